//! Data frames become a message: order, size limit, UTF-8 (RFC 6455 §5.4, §5.6); a compressed one is
//! inflated when it is complete (RFC 7692 §6.2). Control frames never come here.

use crate::connection::Extension;
use crate::error::{Failure, ProtocolError};
use crate::frame::OpCode;
use crate::mask::Mask;
use crate::message::Message;
use crate::utf8::Utf8Validator;
use bytes::BufMut;
use bytes::buf::Limit;

/// The least that the buffer of an incomplete message grows by, in bytes.
const LEAST_GROWTH: usize = 1024;

/// From this many bytes on, room is made for three times as much again, else for as much again:
/// a large message is not copied time and again while it grows, and of room that nothing was read
/// into, systems hand out only the addresses.
const LARGE: usize = 64 * 1024;

/// What has arrived of a message that is not yet complete. Idle, it owns no memory.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    kind: Option<Kind>,
    /// The payload is compressed.
    compressed: bool,
    payload: Vec<u8>,
    utf8: Utf8Validator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Assembler {
    /// Whether no message has begun, so that a whole one can bypass the assembler.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.kind.is_none()
    }

    /// Takes note of a data frame's header before any of its payload. `compressed` is for the first
    /// frame of a message to say.
    pub(crate) fn begin_frame(
        &mut self,
        opcode: OpCode,
        compressed: bool,
        len: u64,
        limit: usize,
    ) -> Result<(), Failure> {
        match (opcode, self.kind) {
            // RFC 6455 §5.4: "The fragments of one message MUST NOT be interleaved between
            // the fragments of another message unless an extension has been negotiated"
            (OpCode::Text | OpCode::Binary, Some(_)) => {
                return Err(ProtocolError::UnfinishedMessage.into());
            }
            (OpCode::Text, None) => self.kind = Some(Kind::Text),
            (OpCode::Binary, None) => self.kind = Some(Kind::Binary),
            (_, None) => return Err(ProtocolError::UnexpectedContinuation.into()),
            (_, Some(_)) => {}
        }
        if opcode != OpCode::Continuation {
            self.compressed = compressed;
        }
        let most = if self.compressed {
            Extension::limit(limit)
        } else {
            limit
        };
        let room = most.saturating_sub(self.payload.len());
        if len > room as u64 {
            return Err(Failure::MessageTooBig { limit });
        }
        Ok(())
    }

    /// Takes the next unmasked piece of the payload. `rest` bytes of its frame are to come, and
    /// after them, unless it is the last frame, others.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        rest: u64,
        last: bool,
    ) -> Result<(), ProtocolError> {
        if self.is_plain_text() {
            self.utf8
                .feed(piece)
                .map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        if self.payload.capacity() - self.payload.len() < piece.len() {
            let ahead = self.ahead(piece.len(), rest, last);
            self.payload.reserve_exact(piece.len() + ahead);
        }
        self.payload.extend_from_slice(piece);
        Ok(())
    }

    /// How much room to make beyond a piece of `piece` bytes. It grows with what has arrived, never
    /// with what was declared, and not beyond what the last frame still needs.
    fn ahead(&self, piece: usize, rest: u64, last: bool) -> usize {
        let have = self.payload.len() + piece;
        let most = if have < LARGE {
            have.max(LEAST_GROWTH)
        } else {
            have.saturating_mul(3)
        };
        if last {
            usize::try_from(rest).map_or(most, |rest| rest.min(most))
        } else {
            most
        }
    }

    /// Room behind the payload for up to `rest` bytes, to read into.
    pub(crate) fn room(&mut self, rest: u64, last: bool) -> Limit<&mut Vec<u8>> {
        if self.payload.len() == self.payload.capacity() {
            self.payload.reserve_exact(self.ahead(0, rest, last));
        }
        let room = self.payload.capacity() - self.payload.len();
        let room = usize::try_from(rest).map_or(room, |rest| rest.min(room));
        (&mut self.payload).limit(room)
    }

    /// Takes `len` bytes that were read into the room that was given.
    pub(crate) fn accept(
        &mut self,
        len: usize,
        mask: Option<&mut Mask>,
    ) -> Result<(), ProtocolError> {
        let is_plain_text = self.is_plain_text();
        let at = self.payload.len() - len;
        let piece = &mut self.payload[at..];
        if let Some(mask) = mask {
            mask.apply(piece);
        }
        if is_plain_text {
            self.utf8
                .feed(piece)
                .map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        Ok(())
    }

    /// Whether the pieces are text as they come.
    fn is_plain_text(&self) -> bool {
        self.kind == Some(Kind::Text) && !self.compressed
    }

    /// The message, after the last piece of its last frame.
    pub(crate) fn finish(
        &mut self,
        extension: &mut Extension,
        limit: usize,
    ) -> Result<Message, Failure> {
        let payload = std::mem::take(&mut self.payload);
        let is_text = self.kind.take() == Some(Kind::Text);
        if self.compressed {
            let payload = extension.inflate(&payload, limit)?;
            return Message::received(is_text, payload.into());
        }
        if is_text && !self.utf8.is_complete() {
            return Err(ProtocolError::InvalidUtf8.into());
        }
        Ok(Message::checked(is_text, payload.into()))
    }
}
