//! The PROXY protocol, versions 1 and 2: what a proxy says in front of a connection about whom it
//! speaks for. Bytes in, a [`Header`] out; no socket here, and no opinion on whom to believe.
//!
//! The specification is HAProxy's `proxy-protocol.txt`. It has a receiver expect the header on every
//! connection of a listener or on none: "The receiver MUST be configured to only receive the
//! protocol described in this specification and MUST not try to guess whether the protocol header is
//! present or not." Who could reach such a listener past its proxies could claim any address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// "If the CRLF sequence is not found in the first 107 characters, the receiver should declare the
/// line invalid."
const V1_MAX: usize = 107;
/// The signature, version and command, family, length.
const V2_START: usize = 16;
/// Far more than certificates' names and a unique id need.
const V2_MAX: usize = 4096;

const TLV_AUTHORITY: u8 = 0x02;
const TLV_CRC32C: u8 = 0x03;
const TLV_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// What a proxy says about a connection that it passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// How many bytes it took at the beginning of the connection. Behind it comes what the client
    /// sends.
    pub len: usize,
    /// The client's address. `None` when the proxy speaks for itself, as in a health check, or for
    /// a client that has no IP address: then the connection's own address holds.
    pub source: Option<SocketAddr>,
    /// The address that the client connected to.
    pub destination: Option<SocketAddr>,
    /// Whether the client came over TLS, which the proxy took off. Only version 2 can tell.
    pub tls: bool,
    /// The name of the host that the client asked for (TLS's `server_name`). Only version 2 can
    /// tell.
    pub authority: Option<String>,
}

impl Header {
    /// A header that names nobody.
    fn local(len: usize) -> Self {
        Self {
            len,
            source: None,
            destination: None,
            tls: false,
            authority: None,
        }
    }
}

/// Why the beginning of a connection is not a header of the PROXY protocol. The connection is to be
/// ended without an answer: nobody knows whom it would go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyProtocolError {
    /// It begins with something else.
    Missing,
    /// A version 1 line that is wrong in this way.
    Line(&'static str),
    /// A version 2 header that is wrong in this way.
    Binary(&'static str),
    /// A version 2 header that says it is this long, in bytes. 4096 are read.
    TooLong(usize),
}

impl fmt::Display for ProxyProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "the connection does not begin with a PROXY protocol header: the proxy must send one \
                 (nginx: proxy_protocol on, HAProxy: send-proxy-v2), and clients must come through it",
            ),
            Self::Line(what) => write!(f, "PROXY protocol, version 1: {what}"),
            Self::Binary(what) => write!(f, "PROXY protocol, version 2: {what}"),
            Self::TooLong(len) => write!(
                f,
                "PROXY protocol, version 2: the header is {len} bytes long, and {V2_MAX} are the most"
            ),
        }
    }
}

impl std::error::Error for ProxyProtocolError {}

/// Reads the header at the beginning of `bytes`; `None` as long as it is incomplete.
///
/// ```
/// use newswire::server::proxy_protocol;
///
/// let header = proxy_protocol::parse(b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\nGET /")?
///     .expect("it is complete");
/// assert_eq!(header.source, Some("192.0.2.7:56324".parse()?));
/// assert_eq!(header.len, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ProxyProtocolError`] for what is no beginning of a header, and will be none with more bytes behind
/// it. What a line of version 1 says is judged when the line has ended.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, ProxyProtocolError> {
    if begins(bytes, V2) {
        binary(bytes)
    } else if begins(bytes, V1) {
        line(bytes)
    } else {
        // "otherwise the protocol is not covered by this specification and the connection must be
        // dropped."
        Err(ProxyProtocolError::Missing)
    }
}

/// Whether `bytes` begin like this, as far as they go.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes
        .iter()
        .zip(with)
        .all(|(found, wanted)| found == wanted)
}

// --- version 1 -----------------------------------------------------------------------------------

fn line(bytes: &[u8]) -> Result<Option<Header>, ProxyProtocolError> {
    let within = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = within.iter().position(|&byte| byte == b'\n') else {
        if within.len() == V1_MAX {
            return Err(ProxyProtocolError::Line(
                "the line does not end within 107 bytes",
            ));
        }
        return Ok(None);
    };
    // "The receiver must not tolerate a single CR or LF character to end the line when a complete
    // CRLF sequence is expected."
    let Some(text) = within[..end].strip_suffix(b"\r") else {
        return Err(ProxyProtocolError::Line("the line must end with CRLF"));
    };
    let len = end + 1;
    let text = &text[V1.len().min(text.len())..];
    // "For "UNKNOWN", the rest of the line before the CRLF may be omitted by the sender, and the
    // receiver must ignore anything presented before the CRLF is found."
    if text == b"UNKNOWN" || text.starts_with(b"UNKNOWN ") {
        return Ok(Some(Header::local(len)));
    }
    let (source, destination) = str::from_utf8(text).ok().and_then(endpoints).ok_or(
        ProxyProtocolError::Line(
            "there must be TCP4 or TCP6, two such addresses and two ports, with one space between \
             them, or UNKNOWN",
        ),
    )?;
    Ok(Some(Header {
        source: Some(source),
        destination: Some(destination),
        ..Header::local(len)
    }))
}

/// `TCP4 192.0.2.7 192.0.2.1 56324 443`
fn endpoints(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = text.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |word| word.parse().map(IpAddr::V4).ok(),
        "TCP6" => |word| word.parse().map(IpAddr::V6).ok(),
        _ => return None,
    };
    let (source, destination) = (address(words.next()?)?, address(words.next()?)?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    let ends = (
        SocketAddr::new(source, from),
        SocketAddr::new(destination, to),
    );
    words.next().is_none().then_some(ends)
}

/// "Heading zeroes are not permitted in front of numbers"
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let heading_zero = word.len() > 1 && word.starts_with('0');
    word.parse().ok().filter(|_| plain && !heading_zero)
}

// --- version 2 -----------------------------------------------------------------------------------

fn binary(bytes: &[u8]) -> Result<Option<Header>, ProxyProtocolError> {
    let Some(start) = bytes.first_chunk::<V2_START>() else {
        return Ok(None);
    };
    let [.., version_and_command, family, high, low] = *start;
    if version_and_command >> 4 != 2 {
        return Err(ProxyProtocolError::Binary("the version is another one"));
    }
    let local = match version_and_command & 0x0f {
        0 => true,
        1 => false,
        // "other values are unassigned and must not be emitted by senders. Receivers must drop
        // connections presenting unexpected values here."
        _ => return Err(ProxyProtocolError::Binary("the command is unknown")),
    };
    let len = V2_START + usize::from(u16::from_be_bytes([high, low]));
    if len > V2_MAX {
        return Err(ProxyProtocolError::TooLong(len));
    }
    let Some(whole) = bytes.get(..len) else {
        return Ok(None);
    };
    // LOCAL: "The receiver must accept this connection as valid and must use the real connection
    // endpoints and discard the protocol block including the family which is ignored."
    if local {
        return Ok(Some(Header::local(len)));
    }
    let block = &whole[V2_START..];
    let mut header = Header::local(len);
    let rest = match family {
        // UNSPEC: "The receiver should ignore address information."
        0x00 => return Ok(Some(header)),
        0x11 | 0x12 => {
            let (ends, rest) = block.split_first_chunk::<12>().ok_or(TOO_SHORT)?;
            let [a, b, c, d, e, g, h, i, ports @ ..] = *ends;
            let source = Ipv4Addr::new(a, b, c, d).into();
            header.set_endpoints(source, Ipv4Addr::new(e, g, h, i).into(), ports);
            rest
        }
        0x21 | 0x22 => {
            let (source, rest) = block.split_first_chunk::<16>().ok_or(TOO_SHORT)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(TOO_SHORT)?;
            let (ports, rest) = rest.split_first_chunk::<4>().ok_or(TOO_SHORT)?;
            let source = Ipv6Addr::from(*source).into();
            header.set_endpoints(source, Ipv6Addr::from(*destination).into(), *ports);
            rest
        }
        // Two paths of 108 bytes: nothing that could be a client's address here.
        0x31 | 0x32 => block.get(2 * 108..).ok_or(TOO_SHORT)?,
        _ => {
            return Err(ProxyProtocolError::Binary(
                "the address family or transport is unknown",
            ));
        }
    };
    read_tlvs(whole, rest, &mut header)?;
    Ok(Some(header))
}

const TOO_SHORT: ProxyProtocolError =
    ProxyProtocolError::Binary("the length leaves no room for the addresses");

impl Header {
    fn set_endpoints(&mut self, source: IpAddr, destination: IpAddr, ports: [u8; 4]) {
        let [a, b, c, d] = ports;
        self.source = Some(SocketAddr::new(source, u16::from_be_bytes([a, b])));
        self.destination = Some(SocketAddr::new(destination, u16::from_be_bytes([c, d])));
    }
}

/// The type-length-value vectors behind the addresses, which go to the header's end.
fn read_tlvs<'a>(
    whole: &[u8],
    mut rest: &'a [u8],
    header: &mut Header,
) -> Result<(), ProxyProtocolError> {
    let mut summed = false;
    while let Some((kind, behind)) = rest.split_first() {
        let cut: fn() -> ProxyProtocolError =
            || ProxyProtocolError::Binary("a field reaches beyond the header");
        let (length, behind) = behind.split_first_chunk::<2>().ok_or_else(cut)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let value: &'a [u8] = behind.get(..length).ok_or_else(cut)?;
        rest = &behind[length..];
        match *kind {
            TLV_SSL => header.tls = value.first().is_some_and(|bits| bits & CLIENT_SSL != 0),
            TLV_AUTHORITY => {
                let name = str::from_utf8(value).map_err(|_| {
                    ProxyProtocolError::Binary("the name of the host (authority) is not UTF-8")
                })?;
                header.authority = Some(name.to_owned());
            }
            TLV_CRC32C if summed => {
                return Err(ProxyProtocolError::Binary("there are two checksums"));
            }
            TLV_CRC32C => {
                summed = true;
                let at = whole.len() - rest.len() - length;
                check_sum(whole, at, value)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// "replace the 32 bits of the checksum field in the received PROXY header with all '0's and
/// calculate a CRC32c checksum value of the whole PROXY header."
fn check_sum(whole: &[u8], at: usize, value: &[u8]) -> Result<(), ProxyProtocolError> {
    let bytes = whole.iter().enumerate();
    let zeroed = bytes.map(|(index, &byte)| {
        let in_sum = (at..at + value.len()).contains(&index);
        if in_sum { 0 } else { byte }
    });
    if value == crc32c(zeroed).to_be_bytes() {
        Ok(())
    } else {
        Err(ProxyProtocolError::Binary("the checksum is wrong"))
    }
}

/// RFC 4960, Appendix B, bit by bit: it is done once a connection, and seldom at all.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0x82F6_3B78 } else { 0 }
        })
    })
}
