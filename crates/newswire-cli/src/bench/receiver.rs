//! Checks what a server sends, byte for byte, against what it was sent. Bytes in, counts and
//! verdicts out: no socket and no clock here.

use super::compression::{Inflater, RSV1, Wire, Workspace};
use super::traffic::Traffic;
use newswire::proto::deflate::DeflateParams;
use newswire::proto::{CloseFrame, FrameHeader, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, OpCode};
use std::fmt;

/// How far the replies of one connection have come.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// Number of the next reply, which is how many have come.
    received: u64,
    /// Bytes of that reply that have come, and whether its first frame has begun.
    offset: usize,
    in_message: bool,
    /// The frame whose payload is coming, and how much of it is missing.
    frame: Option<(FrameHeader, u64)>,
    /// A header that is not complete yet.
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    /// The payload of a control frame that is not complete yet.
    control: Vec<u8>,
    /// When compression was agreed on.
    inflater: Option<Box<Inflater>>,
}

/// What replies are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) traffic: &'a Traffic,
    /// How many messages have gone out, wholly or in part, compressed with this window if at all.
    pub(super) sent: u64,
    pub(super) window_bits: u8,
}

/// What came, apart from replies.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// To be answered with a pong of the same payload.
    Ping(Vec<u8>),
    /// The server closes; nothing that follows counts.
    Close(CloseFrame),
}

/// What a server did wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The message, counted from 0.
    number: u64,
    how: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}: {}", self.number, self.how)
    }
}

impl Receiver {
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// From now on messages may be compressed.
    pub(super) fn inflate(&mut self, params: DeflateParams) {
        self.inflater = Some(Box::new(Inflater::new(params)));
    }

    /// What was agreed on for compression.
    pub(super) fn deflate(&self) -> Option<DeflateParams> {
        self.inflater.as_ref().map(|inflater| inflater.params())
    }

    /// What compression made of the messages that have come since this was last asked.
    pub(super) fn take_wire(&mut self) -> Wire {
        let inflater = self.inflater.as_mut();
        inflater.map_or_else(Wire::default, |inflater| inflater.take_counted())
    }

    /// Checks what came next. What is not a reply is handed to `on_control`; after a Close the
    /// rest is ignored.
    pub(super) fn handle(
        &mut self,
        expected: Expected<'_>,
        mut data: &[u8],
        workspace: &mut Workspace,
        mut on_control: impl FnMut(Control),
    ) -> Result<(), Wrong> {
        let Expected { traffic, sent, .. } = expected;
        while !data.is_empty() {
            let between = self.frame.is_none() && self.header_len == 0 && !self.in_message;
            if between && self.inflater.is_none() {
                // The common case: whole replies, many at once, compared with one memcmp.
                let (whole, _) = traffic.replies().split(self.received, data.len());
                let count = whole.min(sent - self.received);
                let replies = traffic.replies().in_a_row(self.received, count);
                if !replies.is_empty() && data[..replies.len()] == *replies {
                    self.received += traffic.replies().split(self.received, replies.len()).0;
                    data = &data[replies.len()..];
                    continue;
                }
            }
            match self.frame {
                None => data = self.handle_header(traffic, sent, data)?,
                Some((header, missing)) => {
                    let len = usize::try_from(missing).map_or(data.len(), |m| m.min(data.len()));
                    let (piece, rest) = data.split_at(len);
                    if header.opcode.is_control() {
                        self.control.extend_from_slice(piece);
                    } else {
                        self.handle_payload(traffic, piece)?;
                    }
                    self.frame = Some((header, missing - len as u64));
                    data = rest;
                }
            }
            if let Some((header, 0)) = self.frame {
                self.frame = None;
                match self.end_frame(expected, header, workspace)? {
                    Some(Control::Close(close)) => {
                        on_control(Control::Close(close));
                        return Ok(());
                    }
                    Some(ping) => on_control(ping),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Takes a header's next bytes; what is left of `data`.
    fn handle_header<'a>(
        &mut self,
        traffic: &Traffic,
        sent: u64,
        data: &'a [u8],
    ) -> Result<&'a [u8], Wrong> {
        let had = self.header_len;
        let len = data.len().min(MAX_HEADER_LEN - had);
        self.header[had..had + len].copy_from_slice(&data[..len]);
        let known = &self.header[..had + len];
        match FrameHeader::parse(known) {
            Err(error) => Err(self.wrong(format!("not a frame: {error}"))),
            Ok(None) => {
                self.header_len += len;
                Ok(&data[len..])
            }
            Ok(Some((header, header_len))) => {
                self.judge(traffic, sent, &header, header_len)?;
                self.header_len = 0;
                self.frame = Some((header, header.payload_len));
                Ok(&data[header_len - had..])
            }
        }
    }

    fn judge(
        &mut self,
        traffic: &Traffic,
        sent: u64,
        header: &FrameHeader,
        header_len: usize,
    ) -> Result<(), Wrong> {
        // RFC 6455 §5.1: "A server MUST NOT mask any frames that it sends to the client."
        if header.masking_key.is_some() {
            return Err(self.wrong("the frame is masked, which a server's must not be"));
        }
        // RFC 7692 §6: "An endpoint MUST NOT set the "Per-Message Compressed" bit of control
        // frames and non-first fragments of a data message."
        let first = !self.in_message && !header.opcode.is_control();
        match (header.reserved, &self.inflater) {
            (0, _) => {}
            (RSV1, Some(_)) if first => {}
            (RSV1, Some(_)) => {
                return Err(self.wrong("RSV1 is set on a frame that does not begin a message"));
            }
            (_, Some(_)) => return Err(self.wrong("a reserved bit other than RSV1 is set")),
            (_, None) => {
                return Err(self.wrong("a reserved bit is set, and no extension was agreed on"));
            }
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        if self.received == sent {
            return Err(self.wrong(format!(
                "a {} that nothing was sent for: this server sends more than an echo",
                name(header.opcode)
            )));
        }
        let expected = if self.in_message {
            OpCode::Continuation
        } else {
            traffic.opcode()
        };
        if header.opcode != expected {
            return Err(self.wrong(format!(
                "came as a {}, should be a {}",
                name(header.opcode),
                name(expected)
            )));
        }
        let payload_len = traffic.payload(self.received).len();
        self.in_message = true;
        if let Some(inflater) = &mut self.inflater {
            let begun = inflater.begin_frame(header, header_len, payload_len);
            let compressed = inflater.is_compressed();
            begun.map_err(|how| self.wrong(how))?;
            if compressed {
                return Ok(());
            }
        }
        let len = (self.offset as u64).saturating_add(header.payload_len);
        if len > payload_len as u64 || header.fin && len < payload_len as u64 {
            return Err(self.wrong(format!(
                "came with {}{len} bytes, should have {payload_len}",
                if header.fin { "" } else { "at least " }
            )));
        }
        Ok(())
    }

    fn handle_payload(&mut self, traffic: &Traffic, piece: &[u8]) -> Result<(), Wrong> {
        match &mut self.inflater {
            Some(inflater) if inflater.is_compressed() => {
                inflater.gather(piece);
                Ok(())
            }
            _ => self.compare(traffic, piece),
        }
    }

    fn compare(&mut self, traffic: &Traffic, piece: &[u8]) -> Result<(), Wrong> {
        // Whoever calls has seen to it that it does not go past the message's end.
        let expected = &traffic.payload(self.received)[self.offset..][..piece.len()];
        if piece != expected {
            let at = expected.iter().zip(piece).take_while(|(a, b)| a == b);
            let at = at.count();
            return Err(self.wrong(format!(
                "byte {} of the payload came as {:#04x}, should be {:#04x}",
                self.offset + at,
                piece[at],
                expected[at]
            )));
        }
        self.offset += piece.len();
        Ok(())
    }

    fn end_frame(
        &mut self,
        expected: Expected<'_>,
        header: FrameHeader,
        workspace: &mut Workspace,
    ) -> Result<Option<Control>, Wrong> {
        debug_assert!(self.control.len() <= MAX_CONTROL_PAYLOAD);
        match header.opcode {
            OpCode::Ping => Ok(Some(Control::Ping(std::mem::take(&mut self.control)))),
            OpCode::Pong => {
                self.control.clear();
                Ok(None)
            }
            OpCode::Close => {
                let payload = std::mem::take(&mut self.control);
                match CloseFrame::parse(payload.into()) {
                    Ok(close) => Ok(Some(Control::Close(close))),
                    Err(error) => Err(self.wrong(format!("not a Close frame: {error}"))),
                }
            }
            OpCode::Text | OpCode::Binary | OpCode::Continuation => {
                if header.fin {
                    self.end_message(expected, workspace)?;
                }
                Ok(None)
            }
        }
    }

    fn end_message(
        &mut self,
        expected: Expected<'_>,
        workspace: &mut Workspace,
    ) -> Result<(), Wrong> {
        let traffic = expected.traffic;
        let payload_len = traffic.payload(self.received).len();
        if let Some(inflater) = &mut self.inflater {
            let requests = traffic.requests(expected.window_bits);
            inflater.count(requests.in_a_row(self.received, 1).len());
            if inflater.is_compressed() {
                let message = inflater.message(workspace, payload_len);
                let message = message.map_err(|how| self.wrong(how))?;
                self.compare(traffic, message)?;
                if message.len() < payload_len {
                    let len = message.len();
                    return Err(self.wrong(format!(
                        "inflates to {len} bytes, should have {payload_len}"
                    )));
                }
            }
        }
        debug_assert_eq!(self.offset, payload_len);
        (self.offset, self.in_message) = (0, false);
        self.received += 1;
        Ok(())
    }

    fn wrong(&self, how: impl Into<String>) -> Wrong {
        Wrong {
            number: self.received,
            how: how.into(),
        }
    }
}

fn name(opcode: OpCode) -> &'static str {
    match opcode {
        OpCode::Text => "text",
        OpCode::Binary => "binary",
        OpCode::Continuation => "continuation",
        OpCode::Close => "close",
        OpCode::Ping => "ping",
        OpCode::Pong => "pong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use newswire::CloseCode;

    fn frame(opcode: OpCode, fin: bool, payload: &[u8]) -> Vec<u8> {
        let mut header = FrameHeader::new(opcode, payload.len() as u64, None);
        header.fin = fin;
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Hands `data` over in pieces; replies counted, and what else came.
    fn handle(
        traffic: &Traffic,
        sent: u64,
        data: &[u8],
        piece: usize,
    ) -> Result<(u64, Vec<Control>), Wrong> {
        let mut receiver = Receiver::default();
        let (mut workspace, mut controls) = (Workspace::default(), Vec::new());
        let expected = Expected {
            traffic,
            sent,
            window_bits: 15,
        };
        for piece in data.chunks(piece) {
            receiver.handle(expected, piece, &mut workspace, |c| controls.push(c))?;
        }
        Ok((receiver.received(), controls))
    }

    #[test]
    fn replies_cut_anywhere_are_counted() {
        let traffic = Traffic::of(200, false, false);
        let data = traffic.replies().in_a_row(0, 30).to_vec();
        for piece in [1, 2, 3, 203, 204, 205, 1000, data.len()] {
            assert_eq!(handle(&traffic, 30, &data, piece), Ok((30, Vec::new())));
        }
    }

    #[test]
    fn fragments_and_control_frames_between_them_are_understood() {
        let traffic = Traffic::of(10, true, false);
        let payload = traffic.payload(0);
        let data = [
            frame(OpCode::Text, false, &payload[..4]),
            frame(OpCode::Ping, true, b"hi"),
            frame(OpCode::Continuation, false, b""),
            frame(OpCode::Pong, true, b"unasked"),
            frame(OpCode::Continuation, true, &payload[4..]),
            traffic.replies().in_a_row(1, 2).to_vec(),
            frame(OpCode::Close, true, b"\x03\xe9bye"),
            b"ignored".to_vec(),
        ]
        .concat();
        for piece in [data.len(), 1, 5] {
            let data = if piece == data.len() {
                &data[..]
            } else {
                &data[..data.len() - 7]
            };
            let (received, controls) = handle(&traffic, 3, data, piece).unwrap();
            assert_eq!(received, 3);
            let close = CloseFrame::new(CloseCode::GOING_AWAY, "bye").unwrap();
            assert_eq!(
                controls,
                [Control::Ping(b"hi".to_vec()), Control::Close(close)]
            );
        }
    }

    #[test]
    fn what_is_not_the_echo_is_named() {
        let traffic = Traffic::of(10, true, false);
        let mut flipped = traffic.replies().in_a_row(0, 3).to_vec();
        let at = 2 * traffic.replies().average_len() + 2 + 7;
        flipped[at] ^= 1;
        let mut reserved = traffic.replies().in_a_row(0, 1).to_vec();
        reserved[0] |= 0x40;
        let masked = traffic.requests(15).in_a_row(0, 1).to_vec();
        for (sent, data, said) in [
            (3, flipped, "message 2: byte 7 of the payload came as"),
            (
                1,
                frame(OpCode::Text, true, b"short"),
                "came with 5 bytes, should have 10",
            ),
            (
                1,
                frame(OpCode::Text, false, &[b'x'; 11]),
                "came with at least 11 bytes",
            ),
            (
                1,
                frame(OpCode::Binary, true, traffic.payload(0)),
                "came as a binary, should be a text",
            ),
            (
                1,
                frame(OpCode::Continuation, true, b""),
                "came as a continuation",
            ),
            (
                0,
                frame(OpCode::Text, true, b"hello"),
                "a text that nothing was sent for",
            ),
            (
                1,
                traffic.replies().in_a_row(0, 2).to_vec(),
                "message 1: a text that nothing was sent for",
            ),
            (1, reserved, "a reserved bit is set"),
            (1, masked, "masked"),
            (1, vec![0x83, 0], "not a frame"),
            (1, vec![0x88, 1, 0], "not a Close frame"),
        ] {
            for piece in [1, 1000] {
                let wrong = handle(&traffic, sent, &data, piece)
                    .unwrap_err()
                    .to_string();
                assert!(wrong.contains(said), "{wrong:?} should say {said:?}");
            }
        }
    }
}
