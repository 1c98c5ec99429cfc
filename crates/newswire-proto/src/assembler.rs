//! Data frames become a message: order, size limit, UTF-8 (RFC 6455 §5.4, §5.6).
//! Control frames never come here.

use crate::error::{Failure, ProtocolError};
use crate::frame::OpCode;
use crate::message::Message;
use crate::utf8::{Utf8Bytes, Utf8Validator};
use bytes::Bytes;

/// The least that the buffer of an incomplete message grows by, in bytes.
const LEAST_GROWTH: u64 = 1024;

/// What has arrived of a message that is not yet complete. Idle, it owns no memory.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    kind: Option<Kind>,
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

    /// Takes note of a data frame's header before any of its payload.
    pub(crate) fn begin_frame(
        &mut self,
        opcode: OpCode,
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
        let room = limit.saturating_sub(self.payload.len());
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
        if self.kind == Some(Kind::Text) {
            self.utf8
                .feed(piece)
                .map_err(|_| ProtocolError::InvalidUtf8)?;
        }
        if self.payload.capacity() - self.payload.len() < piece.len() {
            // Room grows with what has arrived, never with what was declared: at most as
            // much again as there is, and no more than the last frame still needs.
            let have = (self.payload.len() + piece.len()) as u64;
            let more = have.max(LEAST_GROWTH);
            let ahead = if last { rest.min(more) } else { more };
            self.payload.reserve_exact(piece.len() + ahead as usize);
        }
        self.payload.extend_from_slice(piece);
        Ok(())
    }

    /// The message, after the last piece of its last frame.
    pub(crate) fn finish(&mut self) -> Result<Message, ProtocolError> {
        let payload = Bytes::from(std::mem::take(&mut self.payload));
        match self.kind.take() {
            Some(Kind::Text) if !self.utf8.is_complete() => Err(ProtocolError::InvalidUtf8),
            Some(Kind::Text) => Ok(Message::Text(Utf8Bytes::from_validated(payload))),
            _ => Ok(Message::Binary(payload)),
        }
    }
}
