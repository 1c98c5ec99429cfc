//! [`EncodedMessage`]: a message for many connections, made into bytes once. Who gets it is not
//! known here.

#[cfg(feature = "deflate")]
use crate::connection::WithCodec;
#[cfg(feature = "deflate")]
use crate::deflate::DeflateForm;
use crate::frame::FrameHeader;
use crate::message::Message;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
#[cfg(feature = "deflate")]
use std::sync::{Mutex, PoisonError};

/// A message that goes to many connections of a server. Its frame is made once for all of them,
/// and once for each set of compression parameters that is in use among them, when the first
/// connection needs it. Clones share all of that.
///
/// The compressed forms refer to no earlier message, so they are a little larger than what a
/// connection with context takeover would make, and every connection can read them.
///
/// ```
/// use newswire_proto::{Connection, EncodedMessage};
///
/// let mut subscribers = [
///     Connection::server(Default::default()),
///     Connection::server(Default::default()),
/// ];
/// let news = EncodedMessage::new("WebSocket rocks");
/// for subscriber in &mut subscribers {
///     subscriber.send_encoded(&news)?;
/// }
/// # Ok::<(), newswire_proto::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncodedMessage(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    message: Message,
    plain: OnceLock<Bytes>,
    #[cfg(feature = "deflate")]
    compressed: Mutex<Vec<(DeflateForm, Bytes)>>,
}

impl EncodedMessage {
    /// Nothing is made before it is needed.
    #[must_use]
    pub fn new(message: impl Into<Message>) -> Self {
        Self(Arc::new(Encoded {
            message: message.into(),
            plain: OnceLock::new(),
            #[cfg(feature = "deflate")]
            compressed: Mutex::default(),
        }))
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// The server's frame of it.
    pub(crate) fn plain(&self) -> &Bytes {
        let plain = &self.0.plain;
        plain.get_or_init(|| self.frame(0, self.0.message.as_bytes()))
    }

    /// The server's frame of its compressed form.
    #[cfg(feature = "deflate")]
    pub(crate) fn compressed(&self, form: DeflateForm, with_codec: WithCodec) -> Bytes {
        // Held while it is compressed, so that nobody else does the same meanwhile. Nothing in
        // there is ever half done.
        let compressed = self.0.compressed.lock();
        let mut compressed = compressed.unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = compressed.iter().find(|(known, _)| *known == form) {
            return frame.clone();
        }
        let mut payload = Vec::new();
        with_codec(&mut |codec| form.compress(codec, self.0.message.as_bytes(), &mut payload));
        let frame = self.frame(crate::connection::RSV1, &payload);
        compressed.push((form, frame.clone()));
        frame
    }

    fn frame(&self, reserved: u8, payload: &[u8]) -> Bytes {
        let header = FrameHeader {
            reserved,
            ..FrameHeader::new(self.0.message.opcode(), payload.len() as u64, None)
        };
        let mut frame = Vec::with_capacity(payload.len() + 10);
        header.write(&mut frame);
        frame.extend_from_slice(payload);
        frame.into()
    }
}
