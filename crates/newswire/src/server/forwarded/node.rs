//! The grammar of what proxies write: the elements of `Forwarded` (RFC 7239 §4) and of
//! `X-Forwarded-For`, whose form nobody has written down. Whom to believe is decided elsewhere.

use super::is_authority;
use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::X_FORWARDED_FOR;

/// The longest element that is read: four values, of which `host` may be 255 bytes.
const MAX_ELEMENT: usize = 1024;

/// What one proxy says about the one that was connected to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) client: Option<IpAddr>,
    pub(super) secure: Option<bool>,
    pub(super) host: Option<String>,
}

// --- Forwarded -----------------------------------------------------------------------------------

/// The elements of all `Forwarded` lines from the last one on, which the nearest proxy has written.
/// `None` is what cannot be read; there is nothing behind it.
pub(super) fn elements_from_the_right(
    headers: &HeaderMap,
) -> impl Iterator<Item = Option<Element>> {
    let lines = headers.get_all(FORWARDED).into_iter();
    lines.rev().flat_map(|line| Elements {
        rest: Some(line.as_bytes()),
    })
}

/// The elements of one line, from the right. A client may have begun the line with a quotation mark
/// that is never closed, and a proxy may have gone on behind it: read from the left, the proxy's
/// words would be the client's.
struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl Iterator for Elements<'_> {
    type Item = Option<Element>;

    fn next(&mut self) -> Option<Option<Element>> {
        loop {
            let line = self.rest?;
            let (before, element) = last_element(line);
            self.rest = before;
            match element {
                // RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a reasonable number of
                // empty list elements".
                Some(element) if element.is_empty() => {}
                Some(element) => return Some(Some(read(&element))),
                None => {
                    self.rest = None;
                    return Some(None);
                }
            }
        }
    }
}

type Pairs = Vec<(String, String)>;

/// What stands before the last element, if anything does, and the element: the shortest end of the
/// line behind a comma that is one. A comma may stand inside of quotation marks, too.
fn last_element(line: &[u8]) -> (Option<&[u8]>, Option<Pairs>) {
    let mut end = line.len();
    loop {
        let comma = line[..end].iter().rposition(|&byte| byte == b',');
        let start = comma.map_or(0, |at| at + 1);
        let element = &line[start..];
        if element.len() > MAX_ELEMENT {
            return (None, None);
        }
        if let Some(pairs) = pairs(element) {
            return (comma.map(|at| &line[..at]), Some(pairs));
        }
        match comma {
            Some(at) => end = at,
            None => return (None, None),
        }
    }
}

/// RFC 7239 §4: `[ forwarded-pair ] *( ";" [ forwarded-pair ] )`
fn pairs(element: &[u8]) -> Option<Pairs> {
    let mut pairs = Vec::new();
    let mut rest = element.trim_ascii();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(b";") {
            rest = behind.trim_ascii_start();
            continue;
        }
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&rest[..equals], &rest[equals + 1..]);
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(is_name) {
            return None;
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        // RFC 7239 §4 lets a parameter occur once.
        if pairs.iter().any(|(known, _)| *known == name) {
            return None;
        }
        let (value, behind) = value_and_rest(value)?;
        pairs.push((name, value));
        rest = behind.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b";") {
            return None;
        }
    }
    Some(pairs)
}

/// A token or a quoted string, and what follows. Addresses with a colon would have to be quoted, but
/// they are understood without it.
fn value_and_rest(text: &[u8]) -> Option<(String, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\\\";,=".contains(byte);
        let len = text.iter().take_while(|byte| plain(byte)).count();
        let value = String::from_utf8_lossy(&text[..len]).into_owned();
        return (len > 0).then_some((value, &text[len..]));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return Some((String::from_utf8(value).ok()?, &quoted[at + 1..])),
            // RFC 9110 §5.6.4: "Recipients that process the value of a quoted-string MUST handle a
            // quoted-pair as if it were replaced by the octet following the backslash."
            b'\\' => value.push(*bytes.next()?.1),
            _ => value.push(byte),
        }
    }
    None
}

fn read(pairs: &Pairs) -> Element {
    let value = |wanted: &str| {
        let pair = pairs.iter().find(|(name, _)| name == wanted);
        pair.map(|(_, value)| value.as_str())
    };
    Element {
        client: value("for").and_then(address),
        secure: value("proto").and_then(is_secure),
        host: value("host").and_then(host),
    }
}

// --- X-Forwarded- --------------------------------------------------------------------------------

/// The addresses, the nearest proxy's word last; `None` for what is not an address.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let texts = list(headers, X_FORWARDED_FOR);
    texts.iter().map(|text| address(text)).collect()
}

/// The elements of a comma-separated list over all its header lines, without the empty ones.
pub(super) fn list(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).into_iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let elements = elements
        .map(<[u8]>::trim_ascii)
        .filter(|text| !text.is_empty());
    elements
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

// --- values --------------------------------------------------------------------------------------

/// RFC 7239 §6: an address with or without a port, IPv6 in brackets or (in `X-Forwarded-For`)
/// without. `unknown` and identifiers such as `_hidden` are none.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('"').unwrap_or(text);
    let text = text.strip_suffix('"').unwrap_or(text);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    // Without a port, or with one that is hidden: `[2001:db8::1]`, `192.0.2.7:_port`.
    let address: IpAddr = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (port.is_empty() || port.starts_with(":_")).then_some(address.into())?
        }
        None => {
            let (address, port) = text.split_once(':')?;
            port.starts_with('_').then(|| address.parse().ok())??
        }
    };
    Some(address.to_canonical())
}

pub(super) fn is_secure(scheme: &str) -> Option<bool> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    if is("https") || is("wss") {
        Some(true)
    } else if is("http") || is("ws") {
        Some(false)
    } else {
        None
    }
}

pub(super) fn host(text: &str) -> Option<String> {
    is_authority(text).then(|| text.to_owned())
}
