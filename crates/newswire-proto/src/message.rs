//! What applications exchange: messages. How they become frames is not known here.

use crate::error::{Failure, ProtocolError};
use crate::frame::OpCode;
use crate::utf8::{self, Utf8Bytes};
use bytes::Bytes;

/// One whole message (RFC 6455 §5.6). Control frames are never messages.
///
/// ```
/// use newswire_proto::Message;
///
/// let text: Message = "WebSocket rocks".into();
/// let binary: Message = vec![1, 2, 3].into();
/// assert_eq!(text.as_text(), Some("WebSocket rocks"));
/// assert_eq!(binary.as_bytes(), [1, 2, 3]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Text, which is always UTF-8.
    Text(Utf8Bytes),
    /// Bytes of any kind.
    Binary(Bytes),
}

impl Message {
    /// A message that a peer has sent, once its text is checked.
    ///
    /// RFC 6455 §8.1: text that is not UTF-8 fails the connection.
    #[inline]
    pub(crate) fn received(is_text: bool, payload: Bytes) -> Result<Self, Failure> {
        if is_text && !utf8::is_utf8(&payload) {
            return Err(ProtocolError::InvalidUtf8.into());
        }
        Ok(Self::checked(is_text, payload))
    }

    /// A message whose text the caller has just checked.
    #[inline]
    pub(crate) fn checked(is_text: bool, payload: Bytes) -> Self {
        if is_text {
            Self::Text(Utf8Bytes::from_validated(payload))
        } else {
            Self::Binary(payload)
        }
    }

    /// The payload's bytes, whatever the kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Binary(_) => None,
        }
    }

    /// The payload's bytes, whatever the kind, still shared.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    pub(crate) const fn opcode(&self) -> OpCode {
        match self {
            Self::Text(_) => OpCode::Text,
            Self::Binary(_) => OpCode::Binary,
        }
    }

    /// Whether this is a text message.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether this is a binary message.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }
}

impl From<Utf8Bytes> for Message {
    fn from(text: Utf8Bytes) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}
