//! The headers in which a client says who it is, and the ones that do not go to another origin.

use crate::grammar;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE, HOST, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue};

/// The value of `Authorization` for a name and a password (RFC 7617 §2).
///
/// `None`: RFC 7617 §2: "a user-id containing a colon character is invalid".
pub(super) fn basic(user: &[u8], password: &[u8]) -> Option<HeaderValue> {
    if user.contains(&b':') || [user, password].concat().iter().any(u8::is_ascii_control) {
        return None;
    }
    let encoded = STANDARD.encode([user, b":", password].concat());
    secret(&format!("Basic {encoded}")).ok()
}

/// The value of `Authorization` for a token (RFC 6750 §2.1).
pub(super) fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    secret(&format!("Bearer {token}"))
}

/// A value that is not to be shown.
pub(super) fn secret(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 6265 §4.1.1: a cookie's name is a token, and its value may have quotes around it.
pub(super) fn is_cookie(name: &str, value: &str) -> bool {
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    grammar::is_token(name) && grammar::is_cookie_value(quoted.unwrap_or(value))
}

/// Takes away what another origin must not see: credentials, cookies, whatever is marked as
/// sensitive, and the name that the first host was called by.
pub(super) fn drop_credentials(headers: &mut HeaderMap) {
    let names: Vec<_> = headers
        .iter()
        .filter(|(name, value)| {
            value.is_sensitive() || [AUTHORIZATION, COOKIE, HOST].contains(name)
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in names {
        headers.remove(name);
    }
}
