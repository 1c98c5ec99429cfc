//! `ws://` and `wss://` URIs (RFC 6455 §3), and the grammar of authority and request target that
//! HTTP's request line and `Host` share with them. No name resolution, no percent-decoding here.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

use http::uri::PathAndQuery;

use super::headers::shown;

/// A WebSocket URI (RFC 6455 §3): where to connect, and what to ask for.
///
/// ```
/// use newswire_proto::handshake::WebSocketUri;
/// let uri: WebSocketUri = "wss://[2001:DB8::1]:8443/chat?room=1".parse()?;
/// assert!(uri.is_secure());
/// assert_eq!((uri.host(), uri.port()), ("2001:db8::1", 8443));
/// assert_eq!(uri.host_header(), "[2001:db8::1]:8443");
/// assert_eq!(uri.target(), "/chat?room=1");
/// # Ok::<(), newswire_proto::handshake::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketUri {
    secure: bool,
    /// In lower case, an IPv6 address with its brackets.
    host: String,
    port: u16,
    target: PathAndQuery,
}

impl WebSocketUri {
    /// Reads a URI.
    ///
    /// # Errors
    ///
    /// [`UriError`] if it is not a complete `ws:` or `wss:` URI, or has a fragment or user info.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        let (scheme, rest) = uri.split_once("://").ok_or(UriError::NoScheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return Err(UriError::UnsupportedScheme(scheme.to_owned())),
        };
        // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and
        // MUST NOT be used on these URIs."
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UriError::UserInfo);
        }
        let (host, port) = split_authority(authority)
            // A percent-encoded name is legal, but no resolver would understand it.
            .filter(|(host, _)| !host.contains('%'))
            .ok_or_else(|| UriError::InvalidAuthority(shown(authority.as_bytes())))?;
        if host.is_empty() {
            return Err(UriError::EmptyHost);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        // RFC 6455 §3: the resource name has a "?" "if the query component is non-empty".
        let target = target
            .strip_suffix('?')
            .filter(|path| !path.contains('?'))
            .unwrap_or(target);
        let target = Some(format!("{slash}{target}"))
            .filter(|target| is_target_text(target))
            .and_then(|target| PathAndQuery::try_from(target).ok())
            .ok_or_else(|| UriError::InvalidTarget(shown(target.as_bytes())))?;
        Ok(Self {
            secure,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(default_port(secure)),
            target,
        })
    }

    /// Whether the scheme is `wss`: TLS first, then the handshake.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to, in lower case; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// The port to connect to: 80 for `ws` and 443 for `wss` unless the URI says otherwise.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Host` (RFC 6455 §4.1 step 4): the default port is left out.
    #[must_use]
    pub fn host_header(&self) -> String {
        if self.port == default_port(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The request target, RFC 6455's /resource name/: path and query, `/` if there is no path.
    #[must_use]
    pub fn target(&self) -> &str {
        self.target.as_str()
    }

    /// The same, as the type of which a request's URI is made.
    pub(super) fn path_and_query(&self) -> PathAndQuery {
        self.target.clone()
    }
}

impl FromStr for WebSocketUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        Self::parse(uri)
    }
}

impl fmt::Display for WebSocketUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.target())
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), as in a URI and in `Host`; the host may be empty.
pub(super) fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_len = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        let colon = authority.bytes().position(|byte| byte == b':');
        colon.unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_len);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        _ => return None,
    };
    is_host(host).then_some((host, port))
}

/// Whether the value of a `Host` header names a host, as a WebSocket handshake's must.
pub(super) fn names_host(value: &[u8]) -> bool {
    let authority = str::from_utf8(value).ok().and_then(split_authority);
    authority.is_some_and(|(host, _)| !host.is_empty())
}

/// RFC 3986 §3.2.2: an IPv6 address in brackets, or a name (of which an IPv4 address is one).
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let legal = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_~!$&'()*+,;=".contains(&byte))
    };
    if legal(host) {
        return true;
    }
    let mut encoded = host.split('%');
    encoded.next().is_none_or(legal)
        && encoded.all(|part| {
            let hex = part
                .get(..2)
                .is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
            hex && legal(part)
        })
}

/// Whether a request target has only characters that may stand in a request line unescaped.
pub(super) fn is_target_text(target: &str) -> bool {
    target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Why a text is not a WebSocket URI that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// There is no `scheme://` at its beginning.
    NoScheme,
    /// The scheme is neither `ws` nor `wss`.
    UnsupportedScheme(String),
    /// User info (`name:password@`) stands before the host.
    UserInfo,
    /// There is no host.
    EmptyHost,
    /// Host and port are not legal; what was found, quoted.
    InvalidAuthority(String),
    /// It has a fragment (`#…`).
    Fragment,
    /// Path or query has characters that must be escaped; what was found, quoted.
    InvalidTarget(String),
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => f.write_str("a WebSocket URI starts with ws:// or wss://"),
            Self::UnsupportedScheme(scheme) => {
                let scheme = shown(scheme.as_bytes());
                let hint = match scheme.to_ascii_lowercase().as_str() {
                    "\"http\"" => "use ws:// instead",
                    "\"https\"" => "use wss:// instead",
                    _ => "a WebSocket URI starts with ws:// or wss://",
                };
                write!(f, "scheme {scheme} cannot be connected to: {hint}")
            }
            Self::UserInfo => f.write_str(
                "user info before the host is not supported: send an Authorization header instead",
            ),
            Self::EmptyHost => f.write_str("the URI names no host to connect to"),
            Self::InvalidAuthority(found) => write!(
                f,
                "{found} is not a host with an optional port up to 65535 (IPv6 addresses go in \
                 brackets, names with other letters in their xn-- form)"
            ),
            Self::Fragment => f.write_str(
                "a WebSocket URI has no fragment: leave it out, or write # as %23 if it is data",
            ),
            Self::InvalidTarget(found) => write!(
                f,
                "path or query {found} has characters that must be percent-encoded"
            ),
        }
    }
}

impl core::error::Error for UriError {}
