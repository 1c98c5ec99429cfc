//! Cookies (RFC 6265): those that a client sends with its handshake, and those that an answer sets.
//! Values in, values out; what a cookie means is the application's matter.

use crate::grammar;
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};
use std::fmt;
use std::time::Duration;

/// The value of the cookie called `name`: of the first one, if there are several.
///
/// RFC 6265 §5.4 has a browser send those with longer paths first. A value in quotation marks is
/// given without them.
#[must_use]
pub fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    all(headers)
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// All cookies, as name and value. What is not such a pair, or not UTF-8, is left out.
pub fn all(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    pairs.filter_map(|pair| {
        let (name, value) = str::from_utf8(pair).ok()?.split_once('=')?;
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        let quoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        (!name.is_empty()).then_some((name, quoted.unwrap_or(value)))
    })
}

/// With which requests from other sites a browser sends a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// When its user follows a link. WebSockets of other sites are not among them.
    #[default]
    Lax,
    /// With all. Check the [`Origins`](super::Origins) then.
    None,
}

/// A cookie for the client to keep: the value of a `Set-Cookie` header (RFC 6265 §4.1).
///
/// Unless told otherwise it goes to all paths of this host alone, over TLS only, out of scripts'
/// reach, not with requests from other sites, and until the browser is closed.
///
/// ```
/// use newswire::server::SetCookie;
/// use std::time::Duration;
///
/// let cookie = SetCookie::new("session", "dGhlIHRva2Vu").max_age(Duration::from_secs(3600));
/// assert_eq!(
///     cookie.to_header_value()?,
///     "session=dGhlIHRva2Vu; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"
/// );
/// # Ok::<(), newswire::server::CookieError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<u64>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
}

impl SetCookie {
    /// A cookie. Its value may have visible ASCII but no quotation mark, comma, semicolon or
    /// backslash: encode others, for example in base64.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: "/".to_owned(),
            domain: None,
            max_age: None,
            secure: true,
            http_only: true,
            same_site: SameSite::default(),
        }
    }

    /// Lets the client forget the cookie; path and domain must be those that it was set with.
    #[must_use]
    pub fn removal(name: impl Into<String>) -> Self {
        Self::new(name, "").max_age(Duration::ZERO)
    }

    /// Only for paths from this one on. Default: `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Also for all hosts below this one. Default: this host alone.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// How long it is kept, in whole seconds. Default: until the browser is closed.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age.as_secs());
        self
    }

    /// Whether it travels over TLS only. Default: yes.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether it is kept from the page's scripts. Default: yes.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// With which requests from other sites it travels. Default: [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// The header's value.
    ///
    /// # Errors
    /// [`CookieError`] when name, value, path or domain have characters that may not stand there.
    pub fn to_header_value(&self) -> Result<HeaderValue, CookieError> {
        if !grammar::is_token(&self.name) {
            return Err(CookieError::Name(self.name.clone()));
        }
        if !grammar::is_cookie_value(&self.value) {
            return Err(CookieError::Value(self.name.clone()));
        }
        let mut text = format!("{}={}", self.name, self.value);
        let max_age = self.max_age.map(|seconds| seconds.to_string());
        let path = Some(&self.path);
        for (attribute, value) in [
            ("Path", path),
            ("Domain", self.domain.as_ref()),
            ("Max-Age", max_age.as_ref()),
        ] {
            let Some(value) = value else { continue };
            // RFC 6265 §4.1.1: "any CHAR except CTLs or ";""
            let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b';';
            if !value.bytes().all(plain) {
                return Err(CookieError::Attribute(attribute));
            }
            text.push_str(&format!("; {attribute}={value}"));
        }
        for (word, set) in [("; Secure", self.secure), ("; HttpOnly", self.http_only)] {
            text.push_str(if set { word } else { "" });
        }
        text.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        HeaderValue::try_from(text).map_err(|_| CookieError::Value(self.name.clone()))
    }
}

/// Why a cookie cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// This is not a name that a cookie may have.
    Name(String),
    /// The value of the cookie with this name has characters that may not stand there.
    Value(String),
    /// This attribute has characters that may not stand there.
    Attribute(&'static str),
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "{name:?} is not a cookie's name: it is letters, digits and !#$%&'*+-.^_`|~"
            ),
            // The value may be a secret.
            Self::Value(name) => write!(
                f,
                "the value of the cookie {name} has characters that may not stand there: it is visible \
                 ASCII without quotation marks, commas, semicolons and backslashes; encode others, for \
                 example in base64"
            ),
            Self::Attribute(attribute) => write!(
                f,
                "the cookie's {attribute} is visible ASCII without semicolons"
            ),
        }
    }
}

impl std::error::Error for CookieError {}
