//! Small readers that every judgement of a head shares: lists, tokens, fields that come once,
//! and quoting what a peer sent. No decisions about a handshake here.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};

use super::HandshakeMisuse;

/// The elements of a comma-separated list over all its header lines, in order (RFC 9110 §5.6.1).
/// Empty elements are kept: most fields ignore them, `Sec-WebSocket-Protocol` does not.
pub(super) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Whether such a list has this element, in any case.
pub(super) fn list_contains(headers: &HeaderMap, name: HeaderName, element: &str) -> bool {
    list(headers, name).any(|found| found.eq_ignore_ascii_case(element.as_bytes()))
}

/// A field came on more than one line, and may not.
pub(super) struct Repeated;

/// The value of a field that may come once at most, without surrounding whitespace.
pub(super) fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&[u8]>, Repeated> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next().map(|value| value.as_bytes().trim_ascii());
    match lines.next() {
        None => Ok(first),
        Some(_) => Err(Repeated),
    }
}

/// A token (RFC 9110 §5.6.2), which is also what RFC 6455 §4.1 lets a subprotocol be called.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Adds the caller's headers, or none of them if one belongs to the handshake itself.
pub(super) fn add_extra(to: &mut HeaderMap, extra: &HeaderMap) -> Result<(), HandshakeMisuse> {
    if let Some(name) = extra.keys().find(|name| is_reserved(name)) {
        return Err(HandshakeMisuse::ReservedHeader(name.clone()));
    }
    for (name, value) in extra {
        to.append(name, value.clone());
    }
    Ok(())
}

/// The handshake writes these itself, and it has no body whose length could be told.
fn is_reserved(name: &HeaderName) -> bool {
    [UPGRADE, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
        || name.as_str().starts_with("sec-websocket-")
}

/// A header value from text that consists of visible ASCII by construction.
pub(super) fn ascii_value(text: impl AsRef<[u8]>) -> HeaderValue {
    HeaderValue::from_bytes(text.as_ref()).expect("visible ASCII is a legal header value")
}

/// What a peer sent, for an error's text: one line, quoted, printable, and not long.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let (head, more) = match bytes.get(..MOST) {
        Some(head) if bytes.len() > MOST => (head, "…"),
        _ => (bytes, ""),
    };
    format!("\"{}{more}\"", head.escape_ascii())
}
