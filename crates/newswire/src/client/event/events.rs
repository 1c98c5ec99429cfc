//! What is told to handlers and listeners, and the words of the interface. When it is told is
//! decided elsewhere.

use bytes::Bytes;
use newswire_proto::{CloseCode, Utf8Bytes};

/// `readyState`: where the connection is, as far as the thread that owns it has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum ReadyState {
    /// 0: not established yet.
    Connecting = 0,
    /// 1: established.
    Open = 1,
    /// 2: `close` was called, or the closing handshake is under way.
    Closing = 2,
    /// 3: closed, or could not be opened.
    Closed = 3,
}

impl From<ReadyState> for u16 {
    fn from(state: ReadyState) -> Self {
        state as Self
    }
}

/// `binaryType`: as what the bytes of a binary message are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BinaryType {
    /// `"blob"`, the default.
    #[default]
    Blob,
    /// `"arraybuffer"`.
    ArrayBuffer,
}

impl BinaryType {
    /// The word that the standard has for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::ArrayBuffer => "arraybuffer",
        }
    }
}

/// The four events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// `open`
    Open,
    /// `message`
    Message,
    /// `error`
    Error,
    /// `close`
    Close,
}

impl EventType {
    /// The event's `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Message => "message",
            Self::Error => "error",
            Self::Close => "close",
        }
    }
}

/// An event that was fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection is established.
    Open,
    /// A message was received.
    Message(MessageEvent),
    /// The connection has failed. Why is kept from scripts; a [`Close`](Self::Close) follows.
    Error,
    /// The connection is closed. The last event.
    Close(CloseEvent),
}

impl Event {
    /// Which of the four it is.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::Open => EventType::Open,
            Self::Message(_) => EventType::Message,
            Self::Error => EventType::Error,
            Self::Close(_) => EventType::Close,
        }
    }
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageEvent {
    /// The message.
    pub data: Data,
    /// The origin of the socket's URL, such as `wss://example.com`.
    pub origin: String,
    /// Always "": only server-sent events have it.
    pub last_event_id: String,
}

/// The data of a message: text, or bytes as [`BinaryType`] wants them when the event is fired.
/// It shares the memory that it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message, to be shown as a `Blob`.
    Blob(Bytes),
    /// A binary message, to be shown as an `ArrayBuffer`.
    ArrayBuffer(Bytes),
}

impl Data {
    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Blob(_) | Self::ArrayBuffer(_) => None,
        }
    }

    /// The bytes, of text its UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Blob(bytes) | Self::ArrayBuffer(bytes) => bytes,
        }
    }
}

/// How the connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseEvent {
    /// Whether the closing handshake was completed.
    pub was_clean: bool,
    /// The peer's code, 1005 when its Close frame had none, 1006 when there was no Close frame.
    pub code: CloseCode,
    /// The peer's reason.
    pub reason: Utf8Bytes,
}
