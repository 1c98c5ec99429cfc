//! What a user asks of a connection: messages, pings and pongs, the close, each made into frames at once.
//! When they are written is the driver's to say.

use super::closing::Side;
use super::transmit::REFERENCE_FROM;
use super::{Connection, RSV1};
use crate::close::{CloseCode, CloseFrame};
use crate::encoded::EncodedMessage;
use crate::error::{CommandError, SendError};
use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, OpCode};
use crate::mask::Mask;
use crate::message::Message;
use crate::role::Role;
use crate::utf8::Utf8Bytes;
use bytes::Bytes;

impl Connection {
    /// Queues a message, compressed when that was agreed on and the message is worth it.
    ///
    /// # Errors
    /// [`SendError`] with the message when the connection is closing or closed.
    #[inline]
    pub fn send(&mut self, message: Message) -> Result<(), SendError> {
        if self.extension.is_on() && self.closing.is_none() {
            return self.send_compressed(message);
        }
        self.queue(message)
    }

    /// As [`send`](Self::send), never compressed: for what is compressed already, or secret next
    /// to what others can choose.
    ///
    /// # Errors
    /// [`SendError`] with the message when the connection is closing or closed.
    pub fn send_plain(&mut self, message: Message) -> Result<(), SendError> {
        self.queue(message)
    }

    /// Queues a message as it is. A function of its own so that the usual way, `send`, is one piece.
    #[inline(always)]
    fn queue(&mut self, message: Message) -> Result<(), SendError> {
        if self.closing.is_some() {
            return Err(SendError(message));
        }
        let (opcode, payload) = match message {
            Message::Text(text) => (OpCode::Text, text.into_bytes()),
            Message::Binary(bytes) => (OpCode::Binary, bytes),
        };
        if self.masking_keys.is_none() && payload.len() < REFERENCE_FROM {
            let output = self.transmit.get_or_insert_default();
            output.copy(opcode, &payload);
        } else {
            self.send_frame(opcode, 0, payload);
        }
        Ok(())
    }

    fn send_compressed(&mut self, message: Message) -> Result<(), SendError> {
        let Some(payload) = self.extension.compress(message.as_bytes()) else {
            return self.send_plain(message);
        };
        self.send_frame(message.opcode(), RSV1, payload.into());
        Ok(())
    }

    /// Queues a message that was made into bytes for many connections. A client, which masks each
    /// frame with another key, sends it as [`send`](Self::send) does.
    ///
    /// # Errors
    /// [`SendError`] with the message when the connection is closing or closed.
    pub fn send_encoded(&mut self, encoded: &EncodedMessage) -> Result<(), SendError> {
        if self.role() == Role::Client || self.closing.is_some() {
            return self.send(encoded.message().clone());
        }
        let frame = self.encoded_frame(encoded);
        self.transmit.get_or_insert_default().whole_frame(frame);
        Ok(())
    }

    fn encoded_frame(&mut self, encoded: &EncodedMessage) -> Bytes {
        #[cfg(feature = "deflate")]
        if let Some((form, with_codec)) = self.extension.form_of(encoded.message().as_bytes()) {
            return encoded.compressed(form, with_codec);
        }
        encoded.plain().clone()
    }

    /// Queues a frame that may be masked, or large.
    fn send_frame(&mut self, opcode: OpCode, reserved: u8, payload: Bytes) {
        let key = self.masking_key();
        let header = FrameHeader {
            reserved,
            ..FrameHeader::new(opcode, payload.len() as u64, key)
        };
        let output = self.transmit.get_or_insert_default();
        if payload.len() < REFERENCE_FROM {
            return output.frame(header, &payload);
        }
        let Some(key) = key else {
            return output.frame_by_reference(header, payload);
        };
        // When nobody else looks at these bytes, they are masked where they are.
        match payload.try_into_mut() {
            Ok(mut payload) => {
                Mask::new(key).apply(&mut payload);
                output.frame_by_reference(header, payload.freeze());
            }
            Err(payload) => output.frame(header, &payload),
        }
    }

    /// Queues a ping. The peer's pong comes as [`Event::Pong`](super::Event::Pong).
    ///
    /// # Errors
    /// [`CommandError::TooLong`] for more than 125 bytes, [`CommandError::Closing`] when the
    /// connection is closing or closed.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), CommandError> {
        self.heartbeat(OpCode::Ping, payload)
    }

    /// Queues a pong that answers no ping. Pings are answered without it.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), CommandError> {
        // RFC 6455 §5.5.3: "A Pong frame MAY be sent unsolicited. This serves as a unidirectional
        // heartbeat. A response to an unsolicited Pong frame is not expected."
        self.heartbeat(OpCode::Pong, payload)
    }

    fn heartbeat(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), CommandError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(CommandError::TooLong {
                len: payload.len(),
                max: MAX_CONTROL_PAYLOAD,
            });
        }
        if self.closing.is_some() {
            return Err(CommandError::Closing);
        }
        self.control(opcode, payload);
        Ok(())
    }

    /// Begins the closing handshake: queues a Close frame behind what was sent before.
    /// [`CloseCode::NO_STATUS`] with an empty reason sends a Close frame without a code.
    ///
    /// Messages of the peer still come until its own Close frame does.
    ///
    /// # Errors
    /// [`CommandError::CloseCode`] for a code that must not travel, [`CommandError::TooLong`]
    /// for a reason of more than 123 bytes, [`CommandError::Closing`] when the connection is
    /// already closing or closed.
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: impl Into<Utf8Bytes>,
    ) -> Result<(), CommandError> {
        let reason = reason.into();
        let frame = if code == CloseCode::NO_STATUS && reason.is_empty() {
            CloseFrame { code, reason }
        } else {
            CloseFrame::new(code, reason)?
        };
        if self.closing.is_some() {
            return Err(CommandError::Closing);
        }
        self.begin_closing(Side::Local, &frame);
        Ok(())
    }
}
