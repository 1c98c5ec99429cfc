//! One error type an operation, sorted by who is to blame. Connecting has its own, in `client`.

use newswire_proto::handshake::Rejection;
use newswire_proto::{CommandError, Failure, Message, ProtocolError};
use std::{fmt, io};

/// Any error of this crate, and any other one: what a handler returns.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a handler returns.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why no WebSocket was opened for a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The client's request was wrong. It was told so with this answer.
    Rejected(Rejection),
    /// The transport failed during the handshake.
    Io(io::Error),
    /// The client ended the transport before its request was complete.
    Ended,
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Io(error) => write!(f, "the transport failed in the handshake: {error}"),
            Self::Ended => f.write_str("the client hung up before its request was complete"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Rejected(_) | Self::Ended => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a connection ended other than by a closing handshake. It is told once; after it,
/// `recv` gives `None`.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// The peer broke the protocol. It was told so with a Close frame.
    Protocol(ProtocolError),
    /// The peer sent a message larger than the limit. It was told so with code 1009.
    MessageTooBig {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The peer was silent, did not read, or did not answer a close, for too long.
    Timeout(Failure),
    /// The peer sent more in a time than it may. It was told so with code 1008.
    RateExceeded(Failure),
    /// The transport failed, or ended without a Close frame
    /// ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)).
    Io(io::Error),
}

impl RecvError {
    pub(crate) fn new(failure: Failure, io: Option<io::Error>) -> Self {
        match (failure, io) {
            (Failure::Protocol(error), _) => Self::Protocol(error),
            (Failure::MessageTooBig { limit }, _) => Self::MessageTooBig { limit },
            (rate @ (Failure::MessageRate | Failure::ReceiveRate), _) => Self::RateExceeded(rate),
            (_, Some(error)) => Self::Io(error),
            (Failure::Lost, None) => {
                Self::Io(io::Error::new(io::ErrorKind::UnexpectedEof, Failure::Lost))
            }
            (timeout, None) => Self::Timeout(timeout),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => Failure::Protocol(*error).fmt(f),
            Self::MessageTooBig { limit } => Failure::MessageTooBig { limit: *limit }.fmt(f),
            Self::Timeout(failure) | Self::RateExceeded(failure) => failure.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Timeout(failure) | Self::RateExceeded(failure) => Some(failure),
            Self::Io(error) => Some(error),
            Self::MessageTooBig { .. } => None,
        }
    }
}

/// Why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or closed; [`recv`](crate::WebSocket::recv) says why.
    /// Holds the message, of which nothing was sent.
    Closed(Message),
    /// The transport failed while the message, or part of it, was still to be written.
    Io(io::Error),
}

impl SendError {
    /// The message, when nothing of it was sent.
    #[must_use]
    pub fn into_message(self) -> Option<Message> {
        match self {
            Self::Closed(message) => Some(message),
            Self::Io(_) => None,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the connection is closing or closed"),
            Self::Io(error) => write!(f, "the transport failed: {error}"),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Closed(_) => None,
        }
    }
}

/// Why a connection was not closed as asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseError {
    /// The code or the reason cannot be sent. The connection stays open.
    Command(CommandError),
    /// The connection ended in another way while it was being closed.
    Recv(RecvError),
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(error) => error.fmt(f),
            Self::Recv(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CloseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Command(error) => Some(error),
            Self::Recv(error) => Some(error),
        }
    }
}
