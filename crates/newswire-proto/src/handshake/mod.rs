//! The opening handshake (RFC 6455 §4): an HTTP/1.1 request and its 101 response, after which the
//! connection carries frames. Bytes in, bytes and verdicts out; no frames, no socket, no clock,
//! and the client's nonce is an argument.
//!
//! ```text
//!  client                                                    server
//!  WebSocketUri ─▶ ClientHandshake ── to_bytes ──▶ HeadReader ─▶ Upgrade ─▶ your verdict
//!  Negotiated ◀── verify ◀── HeadReader ◀── to_bytes ── Accepted (101) or Rejection (4xx, 5xx)
//! ```
//!
//! The whole of it, both ends in memory:
//!
//! ```
//! use newswire_proto::handshake::{ClientHandshake, HeadReader, Rejection, Upgrade, WebSocketUri};
//!
//! // The client asks. A real nonce comes from a random source.
//! let uri = WebSocketUri::parse("ws://127.0.0.1:9998/echo")?;
//! let client = ClientHandshake::new(&uri, *b"not that random!").with_subprotocols(["chat"])?;
//! let to_server = client.to_bytes();
//!
//! // The server reads, as often as bytes arrive, and judges.
//! let to_client = match HeadReader::default().read_request(&to_server) {
//!     Ok(None) => unreachable!("everything has arrived"),
//!     Ok(Some(head)) => match Upgrade::from_head(&head) {
//!         Ok(upgrade) => upgrade.accept(Some("chat"))?.to_bytes(),
//!         Err(rejection) => rejection.to_bytes(),
//!     },
//!     Err(error) => Rejection::from(error).to_bytes(),
//! };
//!
//! // The client judges the answer.
//! let head = HeadReader::default().read_response(&to_client)?.expect("everything has arrived");
//! let negotiated = client.verify(&head)?;
//! assert_eq!(negotiated.subprotocol(), Some("chat"));
//! // Frames may already stand behind the head.
//! assert_eq!(to_client[negotiated.head_len()..], []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Errors are sorted by who is to blame: [`UriError`] and [`HandshakeMisuse`] are the caller's,
//! [`HeadError`], [`Rejection`] and [`ResponseError`] the peer's.

use core::fmt;

use http::HeaderName;

#[cfg(feature = "deflate")]
use crate::deflate::DeflateParams;
use crate::role::Role;

mod client;
mod headers;
mod http1;
mod key;
mod server;
mod uri;

pub use client::{ClientHandshake, ResponseError};
pub use http1::{Head, HeadError, HeadLimits, HeadReader, write_request, write_response};
pub use key::{accept_key, client_key, is_valid_key};
pub use server::{Accepted, Rejection, Upgrade, is_upgrade};
pub use uri::{UriError, WebSocketUri};

/// What the two ends agreed on: all that a connection needs to know of its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    role: Role,
    subprotocol: Option<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateParams>,
    head_len: usize,
}

impl Negotiated {
    /// For a connection whose handshake happened elsewhere: no subprotocol, nothing to skip.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            subprotocol: None,
            #[cfg(feature = "deflate")]
            deflate: None,
            head_len: 0,
        }
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The subprotocol in use (RFC 6455 §1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// What was agreed on for compression (RFC 7692), if it is in use.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    /// How many bytes at the front of the receive buffer belong to the peer's head. Frames follow
    /// behind them. 0 if somebody else read the head.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.head_len
    }
}

/// This end's caller asked for a handshake that RFC 6455 forbids. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeMisuse {
    /// A subprotocol's name must be a token.
    InvalidSubprotocol(String),
    /// A subprotocol may be offered once.
    RepeatedSubprotocol(String),
    /// A server can only choose what the client offered.
    SubprotocolNotOffered {
        /// What was to be chosen.
        chosen: String,
        /// What the client offered.
        offered: Vec<String>,
    },
    /// The handshake writes this header itself, or cannot have it.
    ReservedHeader(HeaderName),
    /// `Host` must come once, and be `host` or `host:port`; what was given, quoted.
    InvalidHost(String),
}

impl fmt::Display for HandshakeMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubprotocol(name) => write!(
                f,
                "the subprotocol {name:?} is not a token: letters, digits and !#$%&'*+-.^_`|~"
            ),
            Self::RepeatedSubprotocol(name) => {
                write!(f, "the subprotocol {name:?} is offered twice")
            }
            Self::SubprotocolNotOffered { chosen, offered } => write!(
                f,
                "the subprotocol {chosen:?} was not offered by the client, which offered {offered:?}"
            ),
            Self::ReservedHeader(name) => {
                write!(
                    f,
                    "the header {name} is the handshake's own: it cannot be added"
                )
            }
            Self::InvalidHost(found) => write!(f, "the Host {found} is not one host or host:port"),
        }
    }
}

impl core::error::Error for HandshakeMisuse {}
