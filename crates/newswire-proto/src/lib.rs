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
//! Driving a connection is one loop (`examples/blocking.rs` is a client and a server):
//!
//! ```
//! use bytes::{Buf, BytesMut};
//! use newswire_proto::{Connection, Event, Failure};
//! use std::io::{Read, Result, Write};
//!
//! /// Sends back every message, until the connection is closed.
//! fn echo(mut socket: impl Read + Write, mut connection: Connection) -> Result<Option<Failure>> {
//!     loop {
//!         while let Some(event) = connection.poll_event() {
//!             match event {
//!                 // An error means that the connection is closing: then nobody wants the echo.
//!                 Event::Message(message) => drop(connection.send(message)),
//!                 Event::Closed => return Ok(connection.failure()),
//!                 _ => {} // pings are answered already
//!             }
//!         }
//!         if let Some(output) = connection.poll_transmit() {
//!             let written = socket.write(output.chunk())?;
//!             output.advance(written);
//!             continue;
//!         }
//!         let mut piece = [0; 4096];
//!         match socket.read(&mut piece)? {
//!             0 => connection.handle_eof(),
//!             len => connection.handle_data(BytesMut::from(&piece[..len])),
//!         }
//!     }
//! }
//! # // A masked "Hello" and an empty Close come in; their echoes go out.
//! # let wire = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\x80\0\0\0\0";
//! # struct Socket<'a>(&'a [u8], Vec<u8>);
//! # impl Read for &mut Socket<'_> { fn read(&mut self, to: &mut [u8]) -> Result<usize> { self.0.read(to) } }
//! # impl Write for &mut Socket<'_> {
//! #     fn write(&mut self, from: &[u8]) -> Result<usize> { self.1.write(from) }
//! #     fn flush(&mut self) -> Result<()> { Ok(()) }
//! # }
//! # let mut socket = Socket(wire, Vec::new());
//! # let failure = echo(&mut socket, Connection::server(Default::default())).unwrap();
//! # assert_eq!((failure, &socket.1[..]), (None, &b"\x81\x05Hello\x88\x00"[..]));
//! ```
//!
//! There is no runtime, clock, random source or socket in this crate, so it runs on any of
//! them, and each of its tests is exact. [`handshake`] opens a connection, [`Connection`] is
//! an open one; they do not know each other. Most people want the crate `newswire`, which
//! drives this one on tokio.

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod handshake;

mod assembler;
mod close;
mod config;
mod connection;
mod encoded;
mod error;
mod extensions;
mod frame;
mod mask;
mod message;
mod role;
mod utf8;

pub use close::{CloseCode, CloseFrame, MAX_REASON};
pub use config::Config;
#[cfg(feature = "deflate")]
pub use connection::WithCodec;
pub use connection::{Connection, Event, MaskingKeys, Side, State, Transmit};
pub use encoded::EncodedMessage;
pub use error::{CommandError, Failure, ProtocolError, SendError};
pub use frame::{FrameHeader, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, OpCode};
pub use mask::Mask;
pub use message::Message;
pub use role::Role;
pub use utf8::{NotUtf8, Utf8Bytes};
