//! RFC 6455 as a pure state machine: bytes in, events out.
//!
//! ```text
//!            bytes read                        Event::Message, Ping, Pong, Closed
//!  socket ──────────────▶ ┌──────────────────┐ ──────────────────────▶ application
//!                         │    Connection    │
//!         ◀────────────── └──────────────────┘ ◀──────────────────────
//!            bytes to write                    send, ping, close
//! ```
//!
//! There is no runtime, clock, random source or socket in this crate, so it runs on any of
//! them, and each of its tests is exact. [`handshake`] opens a connection, [`Connection`] is
//! an open one; they do not know each other. Most people want the crate `newswire`, which
//! drives this one on tokio.

pub mod handshake;

mod assembler;
mod close;
mod config;
mod connection;
mod error;
mod frame;
mod mask;
mod message;
mod role;
mod utf8;

pub use close::{CloseCode, CloseFrame, MAX_REASON};
pub use config::Config;
pub use connection::{Connection, Event, MaskingKeys, Side, State, Transmit};
pub use error::{CommandError, Failure, ProtocolError, SendError};
pub use frame::{FrameHeader, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, OpCode};
pub use mask::Mask;
pub use message::Message;
pub use role::Role;
pub use utf8::{NotUtf8, Utf8Bytes};
