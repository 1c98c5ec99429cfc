//! Bytes → frames → what they mean: headers, unmasking in place, whole messages without a
//! copy. What to do about a control frame is decided in `mod.rs` and `closing.rs`.

use crate::assembler::Assembler;
use crate::error::{Failure, ProtocolError};
use crate::frame::{FrameHeader, MAX_HEADER_LEN, OpCode};
use crate::mask::Mask;
use crate::message::Message;
use crate::role::Role;
use crate::utf8::{self, Utf8Bytes};
use bytes::{Buf, Bytes, BytesMut};

/// What the peer has said with one frame, or with the last frame of a message.
#[derive(Debug)]
pub(super) enum Received {
    Message(Message),
    Ping(Bytes),
    Pong(Bytes),
    Close(Bytes),
}

/// The receiving half. Between reads it keeps only what is incomplete: up to 13 bytes of a
/// header inline, or the begun payload.
#[derive(Debug)]
pub(super) struct Receiver {
    input: BytesMut,
    header: [u8; MAX_HEADER_LEN],
    header_len: u8,
    frame: Option<BegunFrame>,
    control: Vec<u8>,
    assembler: Assembler,
}

/// A frame whose payload is still arriving.
#[derive(Debug)]
struct BegunFrame {
    opcode: OpCode,
    fin: bool,
    mask: Option<Mask>,
    rest: u64,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self {
            input: BytesMut::new(),
            header: [0; MAX_HEADER_LEN],
            header_len: 0,
            frame: None,
            control: Vec::new(),
            assembler: Assembler::default(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, data: BytesMut) {
        if self.input.is_empty() {
            self.input = data;
        } else {
            self.input.unsplit(data);
        }
    }

    #[inline]
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether a frame has begun to arrive and has not ended.
    pub(super) fn is_inside_frame(&self) -> bool {
        self.header_len > 0 || self.frame.is_some()
    }

    /// Forgets everything, for a connection that takes no more data.
    pub(super) fn discard(&mut self) {
        *self = Self::new();
    }

    /// The next thing that the peer said, `None` when the input is used up.
    #[inline]
    pub(super) fn next(&mut self, us: Role, limit: usize) -> Result<Option<Received>, Failure> {
        while !self.input.is_empty() {
            let received = if self.frame.is_some() {
                self.take_payload()?
            } else {
                self.take_frame(us, limit)?
            };
            if received.is_some() {
                return Ok(received);
            }
        }
        // Lets go of the read buffer, of which an empty rest would still hold a share.
        self.input = BytesMut::new();
        Ok(None)
    }

    /// Reads a header and, when the whole payload has come with it, the frame.
    #[inline]
    fn take_frame(&mut self, us: Role, limit: usize) -> Result<Option<Received>, Failure> {
        let Some(header) = self.take_header()? else {
            return Ok(None);
        };
        if header.reserved != 0 {
            // RFC 6455 §5.2: "If a nonzero value is received and none of the negotiated
            // extensions defines the meaning of such a nonzero value, the receiving endpoint
            // MUST _Fail the WebSocket Connection_."
            return Err(ProtocolError::ReservedBits.into());
        }
        match (us.peer(), header.masking_key) {
            // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame
            // that is not masked." "A client MUST close a connection if it detects a masked
            // frame."
            (Role::Client, None) => return Err(ProtocolError::Unmasked.into()),
            (Role::Server, Some(_)) => return Err(ProtocolError::Masked.into()),
            _ => {}
        }
        let mask = header.masking_key.map(Mask::new);
        let whole = header.payload_len <= self.input.len() as u64;
        if whole && header.opcode.is_control() {
            let payload = self.take_input(header.payload_len as usize, mask);
            return Ok(Some(control(header.opcode, payload.freeze())));
        }
        if !header.opcode.is_control() {
            let bypass = whole && header.fin && self.assembler.is_idle();
            if bypass && header.opcode != OpCode::Continuation {
                if header.payload_len > limit as u64 {
                    return Err(Failure::MessageTooBig { limit });
                }
                let payload = self.take_input(header.payload_len as usize, mask).freeze();
                if header.opcode == OpCode::Binary {
                    return Ok(Some(Received::Message(Message::Binary(payload))));
                }
                if !utf8::is_utf8(&payload) {
                    return Err(ProtocolError::InvalidUtf8.into());
                }
                let text = Utf8Bytes::from_validated(payload);
                return Ok(Some(Received::Message(Message::Text(text))));
            }
            self.assembler
                .begin_frame(header.opcode, header.payload_len, limit)?;
        }
        self.frame = Some(BegunFrame {
            opcode: header.opcode,
            fin: header.fin,
            mask,
            rest: header.payload_len,
        });
        // An empty frame has no payload to wait for.
        self.take_payload()
    }

    /// Reads a header, across reads if need be.
    #[inline]
    fn take_header(&mut self) -> Result<Option<FrameHeader>, ProtocolError> {
        if self.header_len == 0
            && let Some((header, len)) = FrameHeader::parse(&self.input)?
        {
            self.input.advance(len);
            return Ok(Some(header));
        }
        let have = usize::from(self.header_len);
        let more = self.input.len().min(MAX_HEADER_LEN - have);
        self.header[have..have + more].copy_from_slice(&self.input[..more]);
        if let Some((header, len)) = FrameHeader::parse(&self.header[..have + more])? {
            self.input.advance(len - have);
            self.header_len = 0;
            return Ok(Some(header));
        }
        self.input.advance(more);
        self.header_len += more as u8;
        Ok(None)
    }

    /// Takes what has arrived of the begun frame's payload.
    fn take_payload(&mut self) -> Result<Option<Received>, Failure> {
        let Some(frame) = &mut self.frame else {
            return Ok(None);
        };
        let len = frame.rest.min(self.input.len() as u64) as usize;
        frame.rest -= len as u64;
        let piece = &mut self.input[..len];
        if let Some(mask) = &mut frame.mask {
            mask.apply(piece);
        }
        if frame.opcode.is_control() {
            self.control.extend_from_slice(piece);
        } else {
            self.assembler.push(piece, frame.rest, frame.fin)?;
        }
        self.input.advance(len);
        if frame.rest > 0 {
            return Ok(None);
        }
        let (opcode, fin) = (frame.opcode, frame.fin);
        self.frame = None;
        if opcode.is_control() {
            let payload = std::mem::take(&mut self.control).into();
            return Ok(Some(control(opcode, payload)));
        }
        if fin {
            return Ok(Some(Received::Message(self.assembler.finish()?)));
        }
        Ok(None)
    }

    /// The next `len` bytes of the input, unmasked where they are.
    #[inline]
    fn take_input(&mut self, len: usize, mask: Option<Mask>) -> BytesMut {
        let mut payload = if len == self.input.len() {
            std::mem::take(&mut self.input)
        } else {
            self.input.split_to(len)
        };
        if let Some(mut mask) = mask {
            mask.apply(&mut payload);
        }
        payload
    }
}

fn control(opcode: OpCode, payload: Bytes) -> Received {
    match opcode {
        OpCode::Ping => Received::Ping(payload),
        OpCode::Pong => Received::Pong(payload),
        _ => Received::Close(payload),
    }
}
