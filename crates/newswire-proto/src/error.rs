//! What can go wrong on a connection, sorted by who is to blame, and the one mapping from
//! an error to the close code that the peer is told. Handshake errors live with the
//! handshake.

use crate::close::CloseCode;
use crate::message::Message;
use std::fmt;

/// The peer broke a rule of RFC 6455.
///
/// Which rule it was is for people and logs: do not branch on it, later versions may tell
/// cases apart that are one today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit was set and no negotiated extension gives it a meaning (§5.2).
    ReservedBits,
    /// An opcode that no RFC defines (§5.2).
    ReservedOpCode(u8),
    /// A control frame without FIN (§5.5).
    FragmentedControl,
    /// A control frame with more than 125 bytes of payload (§5.5).
    ControlTooLong,
    /// A payload length that was not in its shortest form (§5.2).
    LengthNotMinimal,
    /// A 64-bit payload length with its highest bit set (§5.2).
    LengthTooLarge,
    /// A client sent a frame without masking it (§5.1).
    Unmasked,
    /// A server masked a frame (§5.1).
    Masked,
    /// A continuation frame with no message to continue (§5.4).
    UnexpectedContinuation,
    /// A new message began before the fragmented one before it had ended (§5.4).
    UnfinishedMessage,
    /// Text, or the reason of a close, that is not UTF-8 (§5.6, §8.1).
    InvalidUtf8,
    /// A Close frame whose payload is one byte, too short for a code (§5.5.1).
    CloseTooShort,
    /// A close code that must not travel (§7.4).
    InvalidCloseCode(u16),
    /// A compressed message that cannot be inflated (RFC 7692 §7.2.2).
    CorruptCompression,
}

impl ProtocolError {
    /// The close code that tells the peer about this (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            // RFC 6455 §8.1: "When an endpoint is to interpret a byte stream as UTF-8 but
            // finds that the byte stream is not, in fact, a valid UTF-8 stream, that
            // endpoint MUST _Fail the WebSocket Connection_."
            Self::InvalidUtf8 | Self::CorruptCompression => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "reserved bits set without an extension",
            Self::ReservedOpCode(bits) => return write!(f, "reserved opcode {bits:#x}"),
            Self::FragmentedControl => "fragmented control frame",
            Self::ControlTooLong => "control frame longer than 125 bytes",
            Self::LengthNotMinimal => "payload length not in its shortest form",
            Self::LengthTooLarge => "payload length of 2^63 or more",
            Self::Unmasked => "unmasked frame from a client",
            Self::Masked => "masked frame from a server",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::UnfinishedMessage => "new message inside a fragmented one",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::CloseTooShort => "close frame with one byte of payload",
            Self::InvalidCloseCode(code) => {
                return write!(f, "close code {code} must not be sent");
            }
            Self::CorruptCompression => "compressed message that cannot be inflated",
        })
    }
}

impl std::error::Error for ProtocolError {}

/// Why a connection ended without a closing handshake that both ends wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The peer broke the protocol. It was told so with a Close frame.
    Protocol(ProtocolError),
    /// The peer sent a message larger than `limit` bytes. It was told so with code 1009.
    MessageTooBig {
        /// The limit that was passed, in bytes.
        limit: usize,
    },
    /// The transport ended without a Close frame from the peer (WHATWG's code 1006).
    Lost,
    /// The peer sent nothing for the idle timeout, not even an answer to a ping.
    IdleTimeout,
    /// The peer did not read what was sent to it for the write timeout.
    WriteTimeout,
    /// The peer did not finish the closing handshake within the close timeout.
    CloseTimeout,
    /// The peer sent more messages in a time than it may. It was told so with code 1008.
    MessageRate,
    /// The peer sent more bytes in a time than it may. It was told so with code 1008.
    ReceiveRate,
}

impl Failure {
    /// The close code that tells the peer, where it can still be told.
    #[must_use]
    pub const fn close_code(self) -> Option<CloseCode> {
        match self {
            Self::Protocol(error) => Some(error.close_code()),
            Self::MessageTooBig { .. } => Some(CloseCode::TOO_BIG),
            Self::MessageRate | Self::ReceiveRate => Some(CloseCode::POLICY),
            Self::Lost | Self::IdleTimeout | Self::WriteTimeout | Self::CloseTimeout => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "the peer broke the protocol: {error}"),
            Self::MessageTooBig { limit } => {
                write!(f, "the peer sent a message larger than {limit} bytes")
            }
            Self::Lost => f.write_str("the connection ended without a close frame"),
            Self::IdleTimeout => f.write_str("the peer stayed silent for the idle timeout"),
            Self::WriteTimeout => f.write_str("the peer did not read for the write timeout"),
            Self::CloseTimeout => f.write_str("the peer did not answer the close in time"),
            Self::MessageRate => f.write_str("the peer sent more messages a second than it may"),
            Self::ReceiveRate => f.write_str("the peer sent more bytes a second than it may"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ProtocolError> for Failure {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

/// A message was not taken because the connection is closing or closed. Holds the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError(pub Message);

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closing: nothing more can be sent")
    }
}

impl std::error::Error for SendError {}

/// A command that RFC 6455 does not allow was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// The connection is closing or closed.
    Closing,
    /// A ping or pong payload, or the reason of a close, is too long for a control frame.
    TooLong {
        /// How many bytes there were.
        len: usize,
        /// How many bytes there may be.
        max: usize,
    },
    /// A close code that must not travel (RFC 6455 §7.4).
    CloseCode(u16),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closing => f.write_str("the connection is closing or closed"),
            Self::TooLong { len, max } => {
                write!(
                    f,
                    "{len} bytes given where a control frame holds at most {max}"
                )
            }
            Self::CloseCode(code) => write!(
                f,
                "close code {code} cannot be sent: use 1000–1003, 1007–1014 or 3000–4999"
            ),
        }
    }
}

impl std::error::Error for CommandError {}
