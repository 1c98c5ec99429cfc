//! Bytes → frames → what they mean: headers, unmasking in place, whole messages without a
//! copy. What to do about a control frame is decided in `mod.rs` and `closing.rs`.

use super::extension::{Extension, RSV1};
use crate::assembler::Assembler;
use crate::error::{Failure, ProtocolError};
use crate::frame::{FrameHeader, MAX_HEADER_LEN, OpCode, WholeMessage};
use crate::mask::Mask;
use crate::message::Message;
use crate::role::Role;
use bytes::buf::Limit;
use bytes::{Buf, Bytes, BytesMut};
use std::mem;

/// What the peer has said with one frame, or with the last frame of a message.
#[derive(Debug)]
pub(super) enum Received {
    Message(Message),
    Ping(Bytes),
    Pong(Bytes),
    Close(Bytes),
}

/// The receiving half. A message of one frame that arrives whole is handed on where it lies; all
/// else is gathered in [`Unfinished`], which exists only while something is incomplete.
#[derive(Debug)]
pub(super) struct Receiver {
    input: BytesMut,
    unfinished: Option<Box<Unfinished>>,
}

/// From this many bytes of payload on that are still to come, they are read to where they
/// belong instead of into the shared buffer first.
const DIRECT_FROM: u64 = 32 * 1024;

/// What has begun to arrive and has not ended: a header, a frame, a message.
#[derive(Debug, Default)]
struct Unfinished {
    header: [u8; MAX_HEADER_LEN],
    header_len: u8,
    frame: Option<BegunFrame>,
    /// The frame is all there, without a byte of it in the input.
    complete: bool,
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
            unfinished: None,
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
        !self.input.is_empty() || self.unfinished.as_deref().is_some_and(|it| it.complete)
    }

    /// Room to read the rest of a large payload into.
    pub(super) fn room(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        let unfinished = self.unfinished.as_deref_mut()?;
        let frame = unfinished.frame.as_ref()?;
        let is_large = frame.rest >= DIRECT_FROM && !frame.opcode.is_control();
        (is_large && self.input.is_empty())
            .then(|| unfinished.assembler.room(frame.rest, frame.fin))
    }

    /// Takes note of `len` bytes that were read into that room.
    pub(super) fn accept(&mut self, len: usize) -> Result<(), Failure> {
        if let Some(unfinished) = self.unfinished.as_deref_mut()
            && let Some(frame) = &mut unfinished.frame
        {
            unfinished.assembler.accept(len, frame.mask.as_mut())?;
            frame.rest -= len as u64;
            unfinished.complete = frame.rest == 0;
        }
        Ok(())
    }

    /// Whether a frame has begun to arrive and has not ended.
    pub(super) fn is_inside_frame(&self) -> bool {
        self.unfinished
            .as_deref()
            .is_some_and(Unfinished::is_inside_frame)
    }

    /// Forgets everything, for a connection that takes no more data.
    pub(super) fn discard(&mut self) {
        *self = Self::new();
    }

    /// The message at the front of the input, when it is of one frame, whole, and right.
    #[inline]
    pub(super) fn whole_message(
        &mut self,
        us: Role,
        limit: usize,
    ) -> Result<Option<Message>, Failure> {
        if self.unfinished.is_some() {
            return Ok(None);
        }
        let Some(whole) = self.find(us, 0, limit) else {
            return Ok(None);
        };
        let WholeMessage { start, end, .. } = whole;
        let frame = if end == self.input.len() {
            mem::take(&mut self.input)
        } else {
            self.input.split_to(end)
        };
        let mut payload = frame.freeze();
        payload.advance(start);
        Message::received(whole.text, payload).map(Some)
    }

    /// As [`whole_message`](Self::whole_message), of a compressed one.
    fn whole_compressed_message(
        &mut self,
        us: Role,
        limit: usize,
        extension: &mut Extension,
    ) -> Result<Option<Message>, Failure> {
        if self.unfinished.is_some() || !extension.is_on() {
            return Ok(None);
        }
        let Some(whole) = self.find(us, RSV1, Extension::limit(limit)) else {
            return Ok(None);
        };
        let payload = extension.inflate(&self.input[whole.start..whole.end], limit)?;
        self.input.advance(whole.end);
        self.let_go();
        Message::received(whole.text, payload.into()).map(Some)
    }

    /// Finds a whole message of up to `limit` bytes, and unmasks it.
    #[inline]
    fn find(&mut self, us: Role, reserved: u8, limit: usize) -> Option<WholeMessage> {
        let masked = us == Role::Server;
        let whole = WholeMessage::find(&self.input, masked, reserved)?;
        if whole.end - whole.start > limit {
            return None;
        }
        if masked {
            Mask::from_word(whole.key).apply(&mut self.input[whole.start..whole.end]);
        }
        Some(whole)
    }

    /// Lets go of a read buffer that is used up, of which an empty rest would still hold a share.
    fn let_go(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// The next thing that the peer said, `None` when the input is used up.
    pub(super) fn next(
        &mut self,
        us: Role,
        limit: usize,
        extension: &mut Extension,
    ) -> Result<Option<Received>, Failure> {
        while self.has_input() {
            if let Some(message) = self.whole_message(us, limit)? {
                return Ok(Some(Received::Message(message)));
            }
            if let Some(message) = self.whole_compressed_message(us, limit, extension)? {
                return Ok(Some(Received::Message(message)));
            }
            let unfinished = self.unfinished.get_or_insert_default();
            unfinished.complete = false;
            let received = unfinished.take(&mut self.input, us, limit, extension)?;
            if unfinished.is_over() {
                self.unfinished = None;
            }
            self.let_go();
            if received.is_some() {
                return Ok(received);
            }
        }
        Ok(None)
    }
}

impl Unfinished {
    fn is_inside_frame(&self) -> bool {
        self.header_len > 0 || self.frame.is_some()
    }

    /// Whether nothing is incomplete any more.
    fn is_over(&self) -> bool {
        !self.is_inside_frame() && self.assembler.is_idle()
    }

    /// Takes a header, if none has been taken yet, and what there is of its payload.
    fn take(
        &mut self,
        input: &mut BytesMut,
        us: Role,
        limit: usize,
        extension: &mut Extension,
    ) -> Result<Option<Received>, Failure> {
        if self.frame.is_none() {
            let Some(header) = self.take_header(input)? else {
                return Ok(None);
            };
            self.begin_frame(header, us, limit, extension)?;
        }
        self.take_payload(input, limit, extension)
    }

    /// Reads a header, across reads if need be.
    fn take_header(&mut self, input: &mut BytesMut) -> Result<Option<FrameHeader>, ProtocolError> {
        let have = usize::from(self.header_len);
        let more = input.len().min(MAX_HEADER_LEN - have);
        self.header[have..have + more].copy_from_slice(&input[..more]);
        if let Some((header, len)) = FrameHeader::parse(&self.header[..have + more])? {
            input.advance(len - have);
            self.header_len = 0;
            return Ok(Some(header));
        }
        input.advance(more);
        self.header_len += more as u8;
        Ok(None)
    }

    fn begin_frame(
        &mut self,
        header: FrameHeader,
        us: Role,
        limit: usize,
        extension: &Extension,
    ) -> Result<(), Failure> {
        // RFC 7692 §6: "An endpoint MUST NOT set the "Per-Message Compressed" bit of control
        // frames and non-first fragments of a data message. An endpoint receiving such a frame
        // MUST _Fail the WebSocket Connection_."
        let compressed = header.reserved == RSV1
            && extension.is_on()
            && matches!(header.opcode, OpCode::Text | OpCode::Binary);
        if header.reserved != 0 && !compressed {
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
        if !header.opcode.is_control() {
            self.assembler
                .begin_frame(header.opcode, compressed, header.payload_len, limit)?;
        }
        self.frame = Some(BegunFrame {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.masking_key.map(Mask::new),
            rest: header.payload_len,
        });
        Ok(())
    }

    /// Takes what has arrived of the begun frame's payload, which may be empty.
    fn take_payload(
        &mut self,
        input: &mut BytesMut,
        limit: usize,
        extension: &mut Extension,
    ) -> Result<Option<Received>, Failure> {
        let Some(frame) = &mut self.frame else {
            return Ok(None);
        };
        let len = frame.rest.min(input.len() as u64) as usize;
        frame.rest -= len as u64;
        let piece = &mut input[..len];
        if let Some(mask) = &mut frame.mask {
            mask.apply(piece);
        }
        if frame.opcode.is_control() {
            self.control.extend_from_slice(piece);
        } else {
            self.assembler.push(piece, frame.rest, frame.fin)?;
        }
        input.advance(len);
        if frame.rest > 0 {
            return Ok(None);
        }
        let (opcode, fin) = (frame.opcode, frame.fin);
        self.frame = None;
        if opcode.is_control() {
            return Ok(Some(control(opcode, mem::take(&mut self.control).into())));
        }
        if fin {
            let message = self.assembler.finish(extension, limit)?;
            return Ok(Some(Received::Message(message)));
        }
        Ok(None)
    }
}

fn control(opcode: OpCode, payload: Bytes) -> Received {
    match opcode {
        OpCode::Ping => Received::Ping(payload),
        OpCode::Pong => Received::Pong(payload),
        _ => Received::Close(payload),
    }
}
