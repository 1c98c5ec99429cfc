//! One request and the head of its answer, and the beginning of a body for an error's text. What a
//! request asks for, and what its answer means, is not known here.

use super::deadline::Deadline;
use super::error::ConnectError;
use crate::transport::Transport;
use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Response, StatusCode};
use newswire_proto::handshake::{Head, HeadLimits, HeadReader};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How much of a body is kept, in bytes.
const MOST_BODY: usize = 1024;

/// How long a body is waited for, once its head is here.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// Sends a request and reads until the head of its final answer, which stands at the front of the
/// bytes that are given back with it.
pub(super) async fn exchange<T: Transport>(
    transport: &mut T,
    request: &[u8],
    limits: HeadLimits,
) -> Result<(Head<Response<()>>, BytesMut), ConnectError> {
    let io = ConnectError::Io;
    transport.write_all(request).await.map_err(io)?;
    transport.flush().await.map_err(io)?;
    let mut reader = HeadReader::new(limits);
    let mut buffer = BytesMut::with_capacity(1024);
    loop {
        match reader.read_response(&buffer).map_err(ConnectError::Head)? {
            // RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses received
            // prior to a final response".
            Some(head) if is_interim(head.message.status()) => buffer.advance(head.len),
            Some(head) => return Ok((head, buffer)),
            None => {
                if transport.read_buf(&mut buffer).await.map_err(io)? == 0 {
                    return Err(ConnectError::Ended);
                }
            }
        }
    }
}

/// Whether another response follows (100, 103 and their like).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The answer with the beginning of its body, of which `body` has come already. Whatever keeps the
/// rest of it away, what is here is good enough for an error.
pub(super) async fn with_body<T: Transport>(
    transport: &mut T,
    answer: Response<()>,
    mut body: BytesMut,
    deadline: Deadline,
) -> Box<Response<Bytes>> {
    let framing = Framing::of(&answer);
    let deadline = deadline.or_after(BODY_PATIENCE);
    while !framing.is_enough(&body) {
        match deadline.wait(transport.read_buf(&mut body)).await {
            Some(Ok(len)) if len > 0 => {}
            _ => break,
        }
    }
    let body = framing.begin(body);
    Box::new(answer.map(|()| body))
}

/// How a body says where it ends (RFC 9112 §6.3).
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

impl Framing {
    fn of(answer: &Response<()>) -> Self {
        let headers = answer.headers();
        let length = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        // Which responses have none: RFC 9110 §6.4.1.
        if matches!(answer.status().as_u16(), 101 | 204 | 304) {
            Self::Length(0)
        } else if headers.contains_key(TRANSFER_ENCODING) {
            Self::Chunked
        } else if let Some(length) = length() {
            Self::Length(length)
        } else {
            Self::UntilEnd
        }
    }

    fn is_enough(&self, body: &[u8]) -> bool {
        match *self {
            Self::Length(length) => body.len() >= length.min(MOST_BODY),
            // What the chunks' sizes take is not worth the exact count.
            Self::Chunked => body.len() >= 2 * MOST_BODY || unchunked(body).1,
            Self::UntilEnd => body.len() >= MOST_BODY,
        }
    }

    fn begin(&self, body: BytesMut) -> Bytes {
        let (mut body, most) = match *self {
            Self::Chunked => (Bytes::from(unchunked(&body).0), MOST_BODY),
            Self::Length(length) => (body.freeze(), length.min(MOST_BODY)),
            Self::UntilEnd => (body.freeze(), MOST_BODY),
        };
        body.truncate(most);
        body
    }
}

/// The data of the chunks that are here, and whether no more follow or what follows is none
/// (RFC 9112 §7.1).
fn unchunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return (data, bytes.len() > 100);
        };
        let (line, rest) = bytes.split_at(end);
        let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let size = str::from_utf8(size.trim_ascii()).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return (data, true);
        };
        if size == 0 {
            return (data, true);
        }
        let rest = &rest[2..];
        let Some(chunk) = rest.get(..size) else {
            data.extend_from_slice(rest);
            return (data, false);
        };
        data.extend_from_slice(chunk);
        bytes = rest[size..].strip_prefix(b"\r\n").unwrap_or_default();
    }
}
