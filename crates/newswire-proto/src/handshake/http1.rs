//! Heads of HTTP/1.1 messages (RFC 9112 §2 to §5): read from bytes that arrive in any cut, and
//! written. What a head means for a WebSocket is judged elsewhere; bodies are not read here.

use std::borrow::Cow;

use core::fmt;
use core::ops::Range;

use bytes::{BufMut, Bytes};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Response, StatusCode, Uri, Version};

use super::headers::{list, shown};
use super::uri::{is_target_text, split_authority};

/// How much of a head a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The longest head, in bytes, its final empty line included. Default: 16 KiB.
    pub max_bytes: usize,
    /// The most header lines. Default: 100.
    pub max_headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024,
            max_headers: 100,
        }
    }
}

/// A head that was read.
#[derive(Clone, Debug)]
pub struct Head<M> {
    /// The request or response. Its header values share one allocation, a copy of the head.
    pub message: M,
    /// How many bytes at the front of the buffer the head took. What follows is not HTTP any
    /// more: frames, if the handshake succeeds.
    pub len: usize,
}

/// Reads one head from a buffer that grows.
///
/// Hand it the whole buffer again each time that bytes were added to its end. The buffer is only
/// looked at: for a request that turns out not to be for us, the raw bytes are all still there.
/// A byte that was seen is not looked at again until the head is complete, so that a peer that
/// sends one byte at a time costs no more than one that sends everything at once.
///
/// It is as strict as RFC 9112 lets it be, since what two readers of the same bytes understand
/// differently is how requests are smuggled past one of them.
#[derive(Clone, Debug, Default)]
pub struct HeadReader {
    limits: HeadLimits,
    scan: Scan,
}

/// Where the search for the empty line that ends a head has got to.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    /// Bytes seen so far.
    seen: usize,
    /// Where the start line begins: behind an empty line that was skipped.
    start: usize,
    /// Complete lines, the start line included.
    lines: usize,
    /// Length of the line that is not complete yet.
    line_len: usize,
    after_cr: bool,
}

impl HeadReader {
    /// A reader for one head.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            scan: Scan::default(),
        }
    }

    /// How many bytes it has seen and will not search again. 0 once a head was complete: the
    /// reader is then ready for another one.
    #[must_use]
    pub fn scanned(&self) -> usize {
        self.scan.seen
    }

    /// Reads the head of a request; `None` as long as it is incomplete.
    ///
    /// # Errors
    ///
    /// [`HeadError`] as soon as no further byte could make the request legal. Asked again with
    /// the same bytes, it gives the same error; [`super::Rejection`] is made from it.
    pub fn read_request(&mut self, buffer: &[u8]) -> Result<Option<Head<Request<()>>>, HeadError> {
        // RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line SHOULD
        // ignore at least one empty line (CRLF) received prior to the request-line."
        self.read(buffer, true, parse_request)
    }

    /// Reads the head of a response; `None` as long as it is incomplete.
    ///
    /// # Errors
    ///
    /// [`HeadError`] as soon as no further byte could make the response legal.
    pub fn read_response(
        &mut self,
        buffer: &[u8],
    ) -> Result<Option<Head<Response<()>>>, HeadError> {
        self.read(buffer, false, parse_response)
    }

    fn read<M>(
        &mut self,
        buffer: &[u8],
        skip_empty_line: bool,
        parse: fn(&Bytes, usize) -> Result<M, HeadError>,
    ) -> Result<Option<Head<M>>, HeadError> {
        // The scan goes on from a copy, so that an error leaves everything as it was.
        let mut scan = self.scan;
        let Some(head) = scan.find_end(buffer, skip_empty_line, self.limits)? else {
            self.scan = scan;
            return Ok(None);
        };
        let len = head.end;
        // Of the lines one is the start line.
        let message = parse(&Bytes::copy_from_slice(&buffer[head]), scan.lines - 1)?;
        self.scan = Scan::default();
        Ok(Some(Head { message, len }))
    }
}

impl Scan {
    /// Looks at the bytes that are new. Finds the start line and all that belongs to the head, or
    /// what can be told to be wrong from single bytes.
    fn find_end(
        &mut self,
        buffer: &[u8],
        skip_empty_line: bool,
        limits: HeadLimits,
    ) -> Result<Option<Range<usize>>, HeadError> {
        let within = &buffer[..buffer.len().min(limits.max_bytes)];
        while self.seen < within.len() {
            if self.line_len > 0 && !self.after_cr {
                // Nearly all bytes are of this kind.
                let plain = plain_prefix(&within[self.seen..]);
                self.line_len += plain;
                self.seen += plain;
            }
            let at = self.seen;
            let Some(&byte) = within.get(at) else {
                break;
            };
            match byte {
                b'\n' if !self.after_cr => {
                    return Err(malformed(format!(
                        "byte {at} is a line feed without a carriage return: lines end with CRLF"
                    )));
                }
                b'\n' if self.line_len > 0 => {
                    self.lines += 1;
                    self.line_len = 0;
                    self.after_cr = false;
                    if self.lines > limits.max_headers.saturating_add(1) {
                        return Err(HeadError::TooManyHeaders {
                            max_headers: limits.max_headers,
                        });
                    }
                }
                b'\n' if self.lines > 0 => return Ok(Some(self.start..at + 1)),
                b'\n' if skip_empty_line && at == 1 => {
                    self.start = at + 1;
                    self.after_cr = false;
                }
                b'\n' => return Err(malformed("the head begins with an empty line")),
                _ if self.after_cr => {
                    return Err(malformed(format!(
                        "byte {} is a carriage return without a line feed: lines end with CRLF",
                        at - 1
                    )));
                }
                b'\r' => self.after_cr = true,
                // Obsolete line folding (RFC 9112 §5.2), or whitespace before the first header
                // (§2.2): both may be refused, and both have been used to hide headers.
                b' ' | b'\t' if self.line_len == 0 && self.lines > 0 => {
                    return Err(malformed(format!(
                        "the line at byte {at} begins with whitespace: send each header on one line"
                    )));
                }
                // The type of a TLS record that opens or refuses a handshake.
                0x15 | 0x16 if at == 0 => return Err(HeadError::Tls),
                b'\t' => self.line_len += 1,
                byte if byte.is_ascii_control() => {
                    return Err(malformed(format!(
                        "byte {at} is the control character {byte:#04x}"
                    )));
                }
                _ => self.line_len += 1,
            }
            self.seen = at + 1;
        }
        if self.seen >= limits.max_bytes {
            let max_bytes = limits.max_bytes;
            let is_request = skip_empty_line;
            return Err(if is_request && self.lines == 0 {
                HeadError::RequestLineTooLong { max_bytes }
            } else {
                HeadError::TooLarge { max_bytes }
            });
        }
        Ok(None)
    }
}

/// How many bytes from the first on are no control characters.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    // Without a way out of a block, so that it is a few vector instructions.
    let has_control = |block: &&[u8; 16]| {
        let any = |found: bool, byte: &u8| found | byte.is_ascii_control();
        block.iter().fold(false, any)
    };
    let whole = 16
        * blocks
            .iter()
            .take_while(|block| !has_control(block))
            .count();
    let rest = &bytes[whole..];
    let end = rest.iter().position(u8::is_ascii_control);
    whole + end.unwrap_or(rest.len())
}

fn parse_request(head: &Bytes, header_lines: usize) -> Result<Request<()>, HeadError> {
    let (line, lines) = split_lines(head);
    // RFC 9113 §3.4: the first line of the HTTP/2 connection preface.
    if line == b"PRI * HTTP/2.0" {
        return Err(HeadError::Http2Preface);
    }
    let bad = || {
        malformed(format!(
            "the request line {} is not of the form METHOD target HTTP/1.1",
            shown(line)
        ))
    };
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad());
    };
    let method = Method::from_bytes(method).map_err(|_| bad())?;
    let version = parse_version(version).ok_or_else(bad)??;
    let target = parse_target(&method, target).ok_or_else(|| {
        malformed(format!(
            "the request target {} is not one that this method can have",
            shown(target)
        ))
    })?;
    let headers = parse_headers(head, lines, header_lines)?;
    check_host(version, &headers)?;
    check_framing(version, &headers)?;

    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    Ok(request)
}

fn parse_response(head: &Bytes, header_lines: usize) -> Result<Response<()>, HeadError> {
    let (line, lines) = split_lines(head);
    let bad = || {
        malformed(format!(
            "the status line {} is not of the form HTTP/1.1 code reason",
            shown(line)
        ))
    };
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let version = parts.next().and_then(parse_version).ok_or_else(bad)??;
    let status = parts
        .next()
        .and_then(|code| StatusCode::from_bytes(code).ok());
    // The third part is the reason phrase. RFC 9112 §4: "A client SHOULD ignore the reason-phrase
    // content".
    let mut response = Response::new(());
    *response.status_mut() = status.ok_or_else(bad)?;
    *response.version_mut() = version;
    *response.headers_mut() = parse_headers(head, lines, header_lines)?;
    Ok(response)
}

/// The start line, and the header lines. Each ends with CRLF, and no CR or LF stands elsewhere.
fn split_lines(head: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let mut lines = head
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let start_line = lines.next().unwrap_or_default();
    (start_line, lines.filter(|line| !line.is_empty()))
}

/// `None` if it is no HTTP version at all, an error if it is one that is not understood.
fn parse_version(text: &[u8]) -> Option<Result<Version, HeadError>> {
    match text {
        b"HTTP/1.1" => Some(Ok(Version::HTTP_11)),
        b"HTTP/1.0" => Some(Ok(Version::HTTP_10)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some(Err(HeadError::Version(shown(text))))
        }
        _ => None,
    }
}

/// RFC 9112 §3.2: the four forms of a request target.
fn parse_target(method: &Method, target: &[u8]) -> Option<Uri> {
    let target = str::from_utf8(target)
        .ok()
        .filter(|target| is_target_text(target))?;
    if *method == Method::CONNECT {
        let (host, port) = split_authority(target)?;
        port.filter(|_| !host.is_empty())?;
        target.parse::<Authority>().ok().map(Uri::from)
    } else if target.starts_with('/') {
        PathAndQuery::try_from(target).ok().map(Uri::from)
    } else if target == "*" {
        (*method == Method::OPTIONS).then(|| Uri::from_static("*"))
    } else {
        let uri: Uri = target.parse().ok()?;
        let schemes = ["http", "https", "ws", "wss"];
        schemes.contains(&uri.scheme_str()?).then_some(())?;
        let (host, _) = split_authority(uri.authority()?.as_str())?;
        (!host.is_empty()).then_some(uri)
    }
}

fn parse_headers<'a>(
    head: &Bytes,
    lines: impl Iterator<Item = &'a [u8]>,
    count: usize,
) -> Result<HeaderMap, HeadError> {
    // More than anybody sends who means well.
    const MOST: usize = 128;
    let mut headers = HeaderMap::with_capacity(count.min(MOST));
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':');
        // What stands behind the colon may be a secret, and errors end up in logs.
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let bad = || {
            malformed(format!(
                "the header line {} is not of the form name: value",
                shown(name)
            ))
        };
        let value = value.strip_prefix(b":").ok_or_else(bad)?.trim_ascii();
        // RFC 9112 §5.1: "No whitespace is allowed between the field name and colon."
        if name.ends_with(b" ") || name.ends_with(b"\t") {
            return Err(malformed(format!(
                "whitespace stands between the header name {} and its colon",
                shown(name.trim_ascii())
            )));
        }
        let name = HeaderName::from_bytes(name).map_err(|_| bad())?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| bad())?;
        let max_headers = headers.len();
        headers
            .try_append(name, value)
            .map_err(|_| HeadError::TooManyHeaders { max_headers })?;
    }
    Ok(headers)
}

/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
/// request message that lacks a Host header field and to any request message that contains more
/// than one Host header field line or a Host header field with an invalid field value."
fn check_host(version: Version, headers: &HeaderMap) -> Result<(), HeadError> {
    let mut lines = headers.get_all(HOST).into_iter();
    match (lines.next(), lines.next()) {
        (None, _) if version == Version::HTTP_10 => Ok(()),
        (None, _) => Err(malformed("there is no Host header")),
        (Some(_), Some(_)) => Err(malformed("there is more than one Host header")),
        (Some(host), None) => match host.to_str().ok().and_then(split_authority) {
            Some(_) => Ok(()),
            None => Err(malformed(format!(
                "the Host header {} is not host or host:port",
                shown(host.as_bytes())
            ))),
        },
    }
}

/// RFC 9112 §6: where the body ends must have one answer only.
fn check_framing(version: Version, headers: &HeaderMap) -> Result<(), HeadError> {
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    if chunked && headers.contains_key(CONTENT_LENGTH) {
        return Err(malformed(
            "Content-Length and Transfer-Encoding contradict each other: send one",
        ));
    }
    // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a
    // Transfer-Encoding header field MUST treat the message as if the framing is faulty".
    if chunked && version == Version::HTTP_10 {
        return Err(malformed(
            "HTTP/1.0 has no Transfer-Encoding: send Content-Length or HTTP/1.1",
        ));
    }
    let mut length = None;
    for found in list(headers, CONTENT_LENGTH) {
        let invalid = || {
            malformed(format!(
                "the Content-Length {} is not a number",
                shown(found)
            ))
        };
        let digits = Some(found).filter(|found| found.iter().all(u8::is_ascii_digit));
        let digits = digits
            .and_then(|digits| str::from_utf8(digits).ok())
            .ok_or_else(invalid)?;
        let value: u64 = digits.parse().map_err(|_| invalid())?;
        if *length.get_or_insert(value) != value {
            return Err(malformed("Content-Length has two values"));
        }
    }
    Ok(())
}

/// Writes the head of a request, its empty line included. As nothing but `http`'s own types goes
/// in, no value can break out of its line.
pub fn write_request<B>(request: &Request<B>, to: &mut impl BufMut) {
    to.put_slice(request.method().as_str().as_bytes());
    to.put_slice(b" ");
    to.put_slice(request.uri().to_string().as_bytes());
    to.put_slice(b" HTTP/1.1\r\n");
    write_headers(request.headers(), to);
}

/// Writes the head of a response, its empty line included.
pub fn write_response<B>(response: &Response<B>, to: &mut impl BufMut) {
    let status = response.status();
    to.put_slice(b"HTTP/1.1 ");
    to.put_slice(status.as_str().as_bytes());
    to.put_slice(b" ");
    to.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    to.put_slice(b"\r\n");
    write_headers(response.headers(), to);
}

/// Writes header lines, and the empty line behind them.
pub(super) fn write_headers(headers: &HeaderMap, to: &mut impl BufMut) {
    for (name, value) in headers {
        write_name(name, to);
        to.put_slice(b": ");
        to.put_slice(value.as_bytes());
        to.put_slice(b"\r\n");
    }
    to.put_slice(b"\r\n");
}

/// Names have no case, but some small peers have not heard of that: write them as RFC 6455 does.
fn write_name(name: &HeaderName, to: &mut impl BufMut) {
    for (index, word) in name.as_str().split('-').enumerate() {
        if index > 0 {
            to.put_slice(b"-");
        }
        match word.as_bytes() {
            b"websocket" => to.put_slice(b"WebSocket"),
            [first, rest @ ..] => {
                to.put_u8(first.to_ascii_uppercase());
                to.put_slice(rest);
            }
            [] => {}
        }
    }
}

/// Why bytes are not the head of an HTTP/1.1 message that can be answered. All of it is the
/// peer's doing. What it sent is quoted and cut short; values of headers other than those at
/// fault do not appear.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The head is longer than [`HeadLimits::max_bytes`].
    TooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// The request line alone is as long as [`HeadLimits::max_bytes`].
    RequestLineTooLong {
        /// The limit.
        max_bytes: usize,
    },
    /// There are more header lines than [`HeadLimits::max_headers`].
    TooManyHeaders {
        /// The limit.
        max_headers: usize,
    },
    /// The peer speaks TLS.
    Tls,
    /// The peer speaks HTTP/2 with prior knowledge (RFC 9113 §3.4).
    Http2Preface,
    /// An HTTP version other than 1.0 and 1.1, quoted.
    Version(String),
    /// The bytes break RFC 9112; the text says which rule, and where.
    Malformed(Cow<'static, str>),
}

fn malformed(how: impl Into<Cow<'static, str>>) -> HeadError {
    HeadError::Malformed(how.into())
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { max_bytes } => write!(f, "the head is larger than {max_bytes} bytes"),
            Self::RequestLineTooLong { max_bytes } => {
                write!(f, "the request line is longer than {max_bytes} bytes")
            }
            Self::TooManyHeaders { max_headers } => {
                write!(f, "there are more than {max_headers} header lines")
            }
            Self::Tls => f.write_str(
                "the peer speaks TLS where plain HTTP was expected: check ws:// against wss://",
            ),
            Self::Http2Preface => {
                f.write_str("the client speaks HTTP/2, which is not served here: send HTTP/1.1")
            }
            Self::Version(found) => write!(f, "{found} is not understood here: send HTTP/1.1"),
            Self::Malformed(how) => f.write_str(how),
        }
    }
}

impl core::error::Error for HeadError {}
