//! What may stand in headers, where more than one part of the crate has to know. What headers mean is
//! not known here.

/// RFC 9110 §5.6.2: a token: names of headers, cookies and subprotocols.
pub(crate) fn is_token(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

/// RFC 6265 §4.1.1: "US-ASCII characters excluding CTLs, whitespace DQUOTE, comma, semicolon, and
/// backslash"
pub(crate) fn is_cookie_value(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
    text.bytes().all(legal)
}
