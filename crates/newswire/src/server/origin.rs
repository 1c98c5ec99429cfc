//! [`Origins`]: the pages from which a browser may connect. Values in, a verdict out; which header
//! lines there are is looked at elsewhere.

use http::uri::Authority;
use newswire_proto::handshake::Rejection;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Which pages may connect, by the `Origin` (RFC 6454) that a browser sends along: by default those
/// of the server's own host.
///
/// A browser lets every page open a WebSocket to every server, and sends the server's cookies with
/// it. So it is the server that has to refuse: a page of `https://evil.example` would otherwise talk
/// in the name of whoever looks at it. Only browsers send an `Origin`; from other clients it proves
/// nothing, and they may leave it out ([`allow_missing`](Self::allow_missing)).
///
/// ```
/// use newswire::server::Origins;
///
/// let origins = Origins::list(["https://example.com", "https://*.example.com"])?
///     .and_same_origin();
/// assert!(origins.check(Some("https://www.example.com"), None, true).is_ok());
/// assert!(origins.check(Some("https://example.com.evil.net"), None, true).is_err());
/// # Ok::<(), newswire::server::OriginError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    same: bool,
    patterns: Vec<Pattern>,
    null: bool,
    missing: bool,
}

impl Default for Origins {
    fn default() -> Self {
        Self::same_origin()
    }
}

impl Origins {
    const NONE: Self = Self {
        any: false,
        same: false,
        patterns: Vec::new(),
        null: false,
        missing: true,
    };

    /// Pages of the host that they connect to: the default. Host and port of the `Origin` must be
    /// those of the `Host` header, and the scheme must be `https` if the client is known to have
    /// come over TLS. Where it is not known, a proxy may have taken TLS off, and both schemes will
    /// do. A proxy in front must pass `Host` on, or be trusted with what it says about it.
    #[must_use]
    pub fn same_origin() -> Self {
        Self {
            same: true,
            ..Self::NONE
        }
    }

    /// All pages, those without an origin (`null`) as well. For what is public and knows nobody:
    /// with cookies, any page could act in its visitor's name.
    #[must_use]
    pub fn any() -> Self {
        Self {
            any: true,
            null: true,
            ..Self::NONE
        }
    }

    /// Pages of these origins, and no others:
    ///
    /// | pattern | lets in |
    /// |---|---|
    /// | `https://example.com` | this origin; its port is 443 |
    /// | `https://*.example.com` | all hosts below `example.com`, but not `example.com` |
    /// | `http://localhost:*` | any port |
    /// | `example.com:8443` | `http` and `https`; without a port, that of the scheme |
    ///
    /// Case makes no difference.
    ///
    /// # Errors
    /// [`OriginError`] for what is no origin, with what to write instead.
    pub fn list<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, OriginError> {
        let patterns = patterns.into_iter();
        let patterns = patterns.map(|pattern| pattern.as_ref().trim().parse());
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
            ..Self::NONE
        })
    }

    /// Also the pages of the host that they connect to: [`same_origin`](Self::same_origin).
    #[must_use]
    pub fn and_same_origin(mut self) -> Self {
        self.same = true;
        self
    }

    /// Whether pages that have no origin may connect, which send `null`: those that were opened from
    /// a file, and those in a frame with `sandbox`, which any site can make. Default: no, except
    /// with [`any`](Self::any).
    #[must_use]
    pub fn allow_null(mut self, allow: bool) -> Self {
        self.null = allow;
        self
    }

    /// Whether clients may connect that send no `Origin`, as those do that are no browsers.
    /// Default: yes.
    #[must_use]
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.missing = allow;
        self
    }

    /// Judges a request by its `Origin` and its `Host`. `secure` says that the client is known to
    /// have come over TLS.
    ///
    /// # Errors
    /// The [`Rejection`] to answer with, 403.
    pub fn check(
        &self,
        origin: Option<&str>,
        host: Option<&str>,
        secure: bool,
    ) -> Result<(), Rejection> {
        let Some(text) = origin.map(str::trim) else {
            if self.missing {
                return Ok(());
            }
            return Err(refused(
                "an Origin header is needed here: connect from a page, or send one",
            ));
        };
        // RFC 6454 §6.2: the serialization of an origin that is not a scheme/host/port triple is
        // "null".
        if text.eq_ignore_ascii_case("null") {
            if self.null {
                return Ok(());
            }
            return Err(refused(
                "pages without an origin (opened from a file, or in a sandbox) may not connect \
                 here: serve the page over HTTP",
            ));
        }
        if self.any {
            return Ok(());
        }
        let Some(origin) = Origin::parse(text) else {
            return Err(refused(format!("{} is not an origin", shown(text))));
        };
        if self.patterns.iter().any(|pattern| pattern.matches(&origin))
            || (self.same && origin.is_of(host, secure))
        {
            return Ok(());
        }
        let to = match host {
            Some(host) if self.same => format!("to {}", shown(host)),
            _ => "here".to_owned(),
        };
        Err(refused(format!(
            "pages of {} may not connect {to}",
            shown(text)
        )))
    }
}

/// 403, counted as what it is.
fn refused(reason: impl Into<String>) -> Rejection {
    Rejection::forbidden(reason).of_kind("origin")
}

/// What somebody wrote, for a line of text: quoted, printable, and not long.
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let more = if text.chars().nth(MOST).is_some() {
        "…"
    } else {
        ""
    };
    let text: String = text.chars().take(MOST).collect();
    format!("\"{}{more}\"", text.escape_debug())
}

/// RFC 6454 §4: scheme, host and port, in lower case; the port that the scheme implies is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        if !is_scheme(scheme) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = host_and_port(authority)?;
        let port = port.or(default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether it is the origin of a page on this host.
    fn is_of(&self, host: Option<&str>, secure: bool) -> bool {
        let scheme = match self.scheme.as_str() {
            "https" => true,
            "http" => !secure,
            _ => false,
        };
        let Some((host, port)) = host.and_then(host_and_port) else {
            return false;
        };
        scheme && host == self.host && port.or(default_port(&self.scheme)) == self.port
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The host in lower case, an IPv6 address as it is usually written.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    // `Authority` lets a port be too large, and says that there is none then.
    let port = match text.get(host.len()..)? {
        "" | ":" => None,
        port => Some(port.strip_prefix(':')?.parse().ok()?),
    };
    let host = match host.strip_prefix('[') {
        Some(address) => {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            format!("[{address}]")
        }
        None => host.to_ascii_lowercase(),
    };
    (!text.contains('@') && !host.is_empty()).then_some((host, port))
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// `None`: `http` and `https`.
    scheme: Option<String>,
    /// Without the `*`, when hosts below it are meant: `.example.com`.
    host: String,
    below: bool,
    port: Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    OfScheme,
    Number(u16),
}

impl Pattern {
    fn matches(&self, origin: &Origin) -> bool {
        let scheme = match &self.scheme {
            Some(scheme) => *scheme == origin.scheme,
            None => default_port(&origin.scheme).is_some(),
        };
        let host = match origin.host.strip_suffix(&self.host) {
            Some("") => !self.below,
            Some(label) => self.below && !label.ends_with('.'),
            None => false,
        };
        let port = match self.port {
            Port::Any => true,
            Port::OfScheme => origin.port == default_port(&origin.scheme),
            Port::Number(number) => origin.port == Some(number),
        };
        scheme && host && port
    }
}

impl FromStr for Pattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let wrong = |what: &'static str| OriginError {
            found: shown(text),
            what,
        };
        match text {
            "*" => return Err(wrong("to let all pages in, use Origins::any")),
            "null" => {
                return Err(wrong(
                    "for pages without an origin there is Origins::allow_null",
                ));
            }
            _ => {}
        }
        let (scheme, authority) = match text.split_once("://") {
            Some((scheme, authority)) => (Some(scheme.to_ascii_lowercase()), authority),
            None => (None, text),
        };
        if scheme.as_deref().is_some_and(|scheme| !is_scheme(scheme)) {
            return Err(wrong(
                "a scheme is letters: write https://example.com or example.com",
            ));
        }
        if matches!(scheme.as_deref(), Some("ws" | "wss")) {
            return Err(wrong(
                "an origin is the page's, not the WebSocket's: write http:// or https://",
            ));
        }
        if authority.contains(['/', '?', '#']) {
            return Err(wrong(
                "an origin ends with its host and port: leave out what comes behind",
            ));
        }
        let (authority, any_port) = match authority.strip_suffix(":*") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        let (authority, below) = match authority.strip_prefix("*.") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        if authority.contains('*') {
            return Err(wrong(
                "a * stands for all that comes before a dot at the beginning (*.example.com), or for \
                 the port (localhost:*)",
            ));
        }
        let (host, port) = host_and_port(authority).ok_or_else(|| {
            wrong(
                "write https://example.com, https://*.example.com, http://localhost:* or \
                 example.com:8443; names with other letters in their xn-- form",
            )
        })?;
        if any_port && port.is_some() {
            return Err(wrong("there are two ports"));
        }
        Ok(Self {
            scheme,
            host: if below { format!(".{host}") } else { host },
            below,
            port: match port {
                _ if any_port => Port::Any,
                Some(number) => Port::Number(number),
                None => Port::OfScheme,
            },
        })
    }
}

/// A pattern that is no origin, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    found: String,
    what: &'static str,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not an origin: {}", self.found, self.what)
    }
}

impl std::error::Error for OriginError {}
