//! permessage-deflate (RFC 7692) as this load has it: the offer of a browser, messages that refer to none before them, and
//! a reader of replies that may. Sockets are not known here.

use std::fmt;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use crate::Result;
use crate::connection::{COMPARE_EVERY, Replies};
use crate::traffic::Traffic;

/// What browsers offer.
pub(crate) const OFFER: &str = "permessage-deflate; client_max_window_bits";
/// RFC 7692 §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// FIN, and the opcode of text (RFC 6455 §5.2).
const TEXT: u8 = 0x81;
/// What says of a message's first frame that the message is compressed (RFC 7692 §6).
pub(crate) const RSV1: u8 = 0x40;

/// What a server made of the offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    text: String,
    /// The largest window that this end may compress with.
    window_bits: u8,
}

impl Agreed {
    /// Reads the answer's `Sec-WebSocket-Extensions`.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut window_bits = 15;
        let mut known = parts.next() == Some("permessage-deflate");
        for part in parts {
            match part.split_once('=') {
                Some(("client_max_window_bits", bits)) => {
                    window_bits = bits
                        .parse()
                        .ok()
                        .filter(|bits| (8..=15).contains(bits))
                        .unwrap_or(0);
                    known &= window_bits > 0;
                }
                // What this end reads with is the largest window, and never forgets: right for any server.
                Some(("server_max_window_bits", _)) => {}
                None if part.ends_with("_no_context_takeover") => {}
                _ => known = false,
            }
        }
        if known {
            let text = text.into();
            Ok(Self { text, window_bits })
        } else {
            Err(format!("the server chose {text:?}, and {OFFER:?} was offered").into())
        }
    }

    /// A message for itself, as it travels.
    pub(crate) fn compress(&self, message: &[u8]) -> Vec<u8> {
        let mut stream = Deflate::new_with_config(zlib_rs::DeflateConfig {
            level: 6,
            // Raw, and 9 at least: what is written there keeps within 8.
            window_bits: -i32::from(self.window_bits.max(9)),
            ..Default::default()
        });
        let mut output = vec![0; message.len() * 2 + 64];
        stream
            .compress(message, &mut output, DeflateFlush::SyncFlush)
            .expect("a new stream takes a message");
        output.truncate(stream.total_out() as usize);
        assert!(output.ends_with(&TAIL), "there was room for all of it");
        output.truncate(output.len() - TAIL.len());
        output
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads one connection's replies, whatever pieces they come in.
pub(crate) struct Reader {
    /// What earlier replies said is in there.
    stream: Inflate,
    header: Vec<u8>,
    /// Payload bytes of the reply that are still to come, once its header is complete.
    left: Option<usize>,
    /// Those that have come.
    payload: u64,
    /// The message as far as it has come, and room for one byte more than it should have.
    message: Vec<u8>,
    len: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            stream: Inflate::new(false, 15),
            header: Vec::with_capacity(10),
            left: None,
            payload: 0,
            message: Vec::new(),
            len: 0,
        }
    }

    /// Takes what came. Replies `received` to `sent` are due.
    pub(crate) fn check(
        &mut self,
        traffic: &Traffic,
        mut data: &[u8],
        (received, sent): (&mut u64, u64),
        replies: &mut Replies,
    ) -> Result<()> {
        while !data.is_empty() || self.left == Some(0) {
            if *received == sent {
                return Err(
                    format!("{} bytes after the last reply due ({received})", data.len()).into(),
                );
            }
            let Some(left) = self.left else {
                let (byte, rest) = data.split_first().expect("not empty");
                self.header.push(*byte);
                data = rest;
                self.left =
                    length(&self.header).map_err(|error| format!("reply {received}: {error}"))?;
                continue;
            };
            let (piece, rest) = data.split_at(left.min(data.len()));
            self.take(traffic.size(), piece)
                .map_err(|error| format!("reply {received}: {error}"))?;
            data = rest;
            self.left = Some(left - piece.len());
            self.payload += piece.len() as u64;
            if left == piece.len() {
                let compared = received.is_multiple_of(COMPARE_EVERY);
                self.end(traffic.message(*received), compared)
                    .map_err(|error| format!("reply {received}: {error}"))?;
                *received += 1;
                replies.completed += 1;
                replies.compared += u64::from(compared);
                replies.payload += std::mem::take(&mut self.payload);
            }
        }
        Ok(())
    }

    fn is_compressed(&self) -> bool {
        self.header[0] & RSV1 != 0
    }

    fn take(&mut self, size: usize, piece: &[u8]) -> Result<()> {
        self.message.resize(size + 1, 0);
        if self.is_compressed() {
            return self.inflate(piece);
        }
        let room = &mut self.message[self.len..];
        let len = piece.len().min(room.len());
        room[..len].copy_from_slice(&piece[..len]);
        self.len += len;
        Ok(())
    }

    fn inflate(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let before = (self.stream.total_in(), self.stream.total_out());
            let room = &mut self.message[self.len..];
            let status = self.stream.decompress(piece, room, InflateFlush::NoFlush);
            let taken = (self.stream.total_in() - before.0) as usize;
            self.len += (self.stream.total_out() - before.1) as usize;
            piece = &piece[taken..];
            match status {
                _ if self.len == self.message.len() => {
                    return Err("it inflates to more than was sent".into());
                }
                Ok(Status::Ok) if taken > 0 => {}
                other => return Err(format!("it does not inflate: {other:?}").into()),
            }
        }
        Ok(())
    }

    /// The reply is complete: is it the message?
    fn end(&mut self, message: &[u8], compared: bool) -> Result<()> {
        if self.is_compressed() {
            self.inflate(&TAIL)?;
        }
        let came = &self.message[..self.len];
        if came.len() != message.len() {
            return Err(
                format!("it has {} bytes, should have {}", came.len(), message.len()).into(),
            );
        }
        if compared && let Some(at) = came.iter().zip(message).position(|(a, b)| a != b) {
            return Err(format!(
                "byte {at} of the message is {:#04x}, should be {:#04x}",
                came[at], message[at]
            )
            .into());
        }
        self.header.clear();
        self.left = None;
        self.len = 0;
        Ok(())
    }
}

/// The payload's length, once the header of a reply is complete: one text frame, which may be compressed.
fn length(header: &[u8]) -> Result<Option<usize>> {
    let (first, second) = (header[0], header.get(1).copied());
    if first & !RSV1 != TEXT || second.is_some_and(|second| second > 127) {
        return Err(format!(
            "its header begins with {header:02x?}, should with a whole text message's"
        )
        .into());
    }
    Ok(match (second, &header[1..]) {
        (Some(126), [_, a, b]) => Some(u16::from_be_bytes([*a, *b]).into()),
        (Some(127), [_, bytes @ ..]) if bytes.len() == 8 => {
            let bytes = bytes.try_into().expect("these are eight");
            Some(usize::try_from(u64::from_be_bytes(bytes))?)
        }
        (Some(short @ 0..126), _) => Some(short.into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: u64 = 40;

    /// 40 replies of 300 bytes as a server with context takeover sends them, one of them uncompressed.
    fn replies() -> (Traffic, Vec<Vec<u8>>) {
        let agreed = Agreed::read("permessage-deflate").unwrap();
        let traffic = Traffic::new("300x1x1:deflate".parse().unwrap(), Some(&agreed));
        let mut stream = Deflate::new(6, false, 15);
        let frames = (0..MESSAGES).map(|number| {
            let message = traffic.message(number);
            if number == 7 {
                return traffic.reply(number).to_vec();
            }
            let (before, mut payload) = (stream.total_out(), vec![0; 1000]);
            stream
                .compress(message, &mut payload, DeflateFlush::SyncFlush)
                .unwrap();
            payload.truncate((stream.total_out() - before) as usize - TAIL.len());
            [&frame_header(payload.len())[..], &payload].concat()
        });
        let frames = frames.collect();
        (traffic, frames)
    }

    fn frame_header(len: usize) -> Vec<u8> {
        match u8::try_from(len) {
            Ok(short @ 0..126) => vec![TEXT | RSV1, short],
            _ => [&[TEXT | RSV1, 126][..], &(len as u16).to_be_bytes()].concat(),
        }
    }

    fn read(traffic: &Traffic, wire: &[u8], piece: usize) -> Result<Replies> {
        let (mut reader, mut replies, mut received) = (Reader::new(), Replies::default(), 0);
        for data in wire.chunks(piece) {
            reader.check(traffic, data, (&mut received, MESSAGES), &mut replies)?;
        }
        assert_eq!(received, replies.completed);
        Ok(replies)
    }

    #[test]
    fn replies_that_refer_to_earlier_ones_are_read_in_any_pieces() {
        let (traffic, frames) = replies();
        let wire = frames.concat();
        let headers: usize = frames
            .iter()
            .map(|frame| if frame[1] < 126 { 2 } else { 4 })
            .sum();
        for piece in [1, 2, 7, 300, 1 << 20] {
            let replies = read(&traffic, &wire, piece).unwrap();
            assert_eq!((replies.completed, replies.compared), (MESSAGES, 3));
            assert_eq!(replies.payload as usize, wire.len() - headers);
        }
        assert!(
            wire.len() < 300 * MESSAGES as usize * 2 / 3,
            "{}",
            wire.len()
        );
    }

    #[test]
    fn a_reply_that_is_another_message_or_has_another_length_is_an_error() {
        let (_, frames) = replies();
        let agreed = Agreed::read("permessage-deflate").unwrap();
        let short = Traffic::new("299x1x1:deflate".parse().unwrap(), Some(&agreed));
        let long = Traffic::new("301x1x1:deflate".parse().unwrap(), Some(&agreed));
        for (traffic, expected) in [
            (short, "reply 0: it inflates to more than was sent"),
            (long, "reply 0: it has 300 bytes, should have 301"),
        ] {
            let error = read(&traffic, &frames.concat(), 4096).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let (traffic, mut frames) = replies();
        let plain = traffic.reply(1).to_vec();
        frames[0] = plain;
        let error = read(&traffic, &frames[0], 4096).unwrap_err().to_string();
        assert!(
            error.starts_with("reply 0: byte ") && error.contains("of the message is"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_whole_text_message_or_does_not_inflate_is_an_error() {
        let (traffic, _) = replies();
        for (wire, expected) in [
            (&[0x82, 1][..], "its header begins"),
            (&[0x01, 1], "its header begins"),
            (&[0xc1, 0x81], "its header begins"),
            (&[0xc1, 1, 0x07], "it does not inflate"),
            (&[0xc1, 2, 0x03, 0x00], "it does not inflate"),
            (&[0x81, 0], "it has 0 bytes, should have 300"),
        ] {
            let error = read(&traffic, wire, 4096).unwrap_err().to_string();
            assert!(error.contains(expected), "{wire:02x?}: {error}");
        }
        let mut reader = Reader::new();
        let early = reader.check(&traffic, &[0x81], (&mut 5, 5), &mut Replies::default());
        assert!(
            early
                .unwrap_err()
                .to_string()
                .contains("after the last reply due")
        );
    }

    #[test]
    fn what_is_sent_keeps_within_the_window_that_the_server_asked_for() {
        let message = crate::json(16 << 10, 0);
        let size = |text: &str| {
            Agreed::read(text)
                .unwrap()
                .compress(message.as_bytes())
                .len()
        };
        let (small, large) = (
            size("permessage-deflate; client_max_window_bits=9"),
            size("permessage-deflate; server_no_context_takeover"),
        );
        assert!(small > large, "{small} and {large}");
        let mut output = vec![0; 17 << 10];
        let mut narrow = Inflate::new(false, 9);
        let agreed = Agreed::read("permessage-deflate; client_max_window_bits=9").unwrap();
        let payload = agreed.compress(message.as_bytes());
        narrow
            .decompress(&payload, &mut output, InflateFlush::SyncFlush)
            .unwrap();
        assert_eq!(&output[..message.len()], message.as_bytes());
    }
}
