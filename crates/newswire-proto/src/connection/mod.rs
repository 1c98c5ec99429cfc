//! [`Connection`]: an open WebSocket connection as a state machine, and the contract of
//! driving it. No I/O, no clock, no random source, and no knowledge of the opening
//! handshake.

mod closing;
mod commands;
mod extension;
mod react;
mod receive;
mod timers;
mod transmit;

pub use self::closing::{Side, State};
#[cfg(feature = "deflate")]
pub use self::extension::WithCodec;
pub(crate) use self::extension::{Extension, RSV1};
pub use self::transmit::Transmit;

use self::closing::Closing;
use self::receive::{Received, Receiver};
use self::timers::{Expired, Seen, Timers};
use crate::close::{CloseCode, CloseFrame};
use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::{DeflateConfig, DeflateParams};
use crate::error::Failure;
use crate::frame::{MAX_CONTROL_PAYLOAD, OpCode};
use crate::message::Message;
use crate::role::Role;
use bytes::buf::Limit;
use bytes::{Buf, Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;

/// Where a client's masking keys come from: called once for each frame that is sent.
///
/// RFC 6455 §5.3: "The masking key needs to be unpredictable; thus, the masking key MUST be
/// derived from a strong source of entropy".
pub type MaskingKeys = fn() -> [u8; 4];

/// What has happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A ping. Its pong is already queued.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The end, told once. Drop the transport; [`Connection::failure`] and
    /// [`Connection::close_frame`] say why it ended.
    Closed,
}

/// An open WebSocket connection, either end of it, without any I/O.
///
/// # Driving it
/// There are four kinds of methods:
/// - **getters** tell about the connection and change nothing;
/// - **inputs** tell it what has happened outside: [`handle_data`](Self::handle_data),
///   [`handle_eof`](Self::handle_eof), [`handle_timeout`](Self::handle_timeout);
/// - **commands** are the user's: [`send`](Self::send), [`ping`](Self::ping), [`pong`](Self::pong),
///   [`close`](Self::close), [`fail`](Self::fail);
/// - **outputs** say what to do: [`poll_event`](Self::poll_event),
///   [`poll_transmit`](Self::poll_transmit), [`poll_timeout`](Self::poll_timeout).
///
/// After an input or a command, poll the outputs dry, events first: an event may queue
/// bytes and change the timeout, never the other way round. Then write, and wait for
/// whichever comes first of more bytes, the end of the peer's bytes, the timeout, and the
/// user. When [`wants_shutdown`](Self::wants_shutdown) says so, shut down the transport's
/// sending half. After [`Event::Closed`] nothing more happens.
///
/// Nothing is ever in an inconsistent state between two calls; a driver may stop at any
/// point and go on later.
#[derive(Debug)]
pub struct Connection {
    /// A client has them, a server has none.
    masking_keys: Option<MaskingKeys>,
    config: Arc<Config>,
    receiver: Receiver,
    /// What waits to be written; empty or absent when nothing does.
    transmit: Option<Box<Transmit>>,
    /// How often the output was taken back because all was written, wrapping.
    taken: u32,
    closing: Option<Box<Closing>>,
    extension: Extension,
    timers: Timers,
}

impl Connection {
    /// The server's end of a connection whose opening handshake is done.
    #[must_use]
    pub fn server(config: Arc<Config>) -> Self {
        Self::new(None, config)
    }

    /// The client's end of a connection whose opening handshake is done.
    #[must_use]
    pub fn client(config: Arc<Config>, masking_keys: MaskingKeys) -> Self {
        Self::new(Some(masking_keys), config)
    }

    fn new(masking_keys: Option<MaskingKeys>, config: Arc<Config>) -> Self {
        Self {
            masking_keys,
            receiver: Receiver::new(),
            transmit: None,
            taken: 0,
            closing: None,
            extension: Extension::default(),
            timers: Timers::new(&config),
            config,
        }
    }

    /// Compresses from here on as the opening handshake has found: `params`, on this end's
    /// conditions. Nothing may have been sent or received before.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(
        mut self,
        config: &DeflateConfig,
        params: DeflateParams,
        with_codec: WithCodec,
    ) -> Self {
        self.extension = Extension::deflate(config, params, self.role(), with_codec);
        self
    }

    // Getters.

    /// Whether compression was agreed on, so that a message may cost a hundred times what it
    /// costs otherwise.
    #[must_use]
    #[inline]
    pub fn compresses(&self) -> bool {
        self.extension.is_on()
    }

    /// What was agreed on for compression, if it is in use.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.extension.params()
    }

    /// How many bytes of memory the connection keeps for compression between messages.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate_memory(&self) -> usize {
        self.extension.memory()
    }

    /// Which end this is.
    #[must_use]
    #[inline]
    pub fn role(&self) -> Role {
        match self.masking_keys {
            Some(_) => Role::Client,
            None => Role::Server,
        }
    }

    /// Where the connection is in its life.
    #[must_use]
    #[inline]
    pub fn state(&self) -> State {
        if self.is_over() {
            State::Closed
        } else if self.closing.is_some() {
            State::Closing
        } else {
            State::Open
        }
    }

    /// The Close frame that the peer sent, once it has.
    #[must_use]
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        self.closing.as_deref()?.received.as_ref()
    }

    /// The code that the connection was closed with: that of the first Close frame, whichever end
    /// sent it. [`CloseCode::ABNORMAL`] when it ended without one; `None` while it is open.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        let closing = self.closing.as_deref()?;
        Some(closing.code.unwrap_or(CloseCode::ABNORMAL))
    }

    /// Which end began to close, once one has.
    #[must_use]
    pub fn closed_by(&self) -> Option<Side> {
        self.closing.as_deref()?.begun_by
    }

    /// Why the connection failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.closing.as_deref()?.failure
    }

    /// How many bytes wait to be written, frame headers included.
    #[must_use]
    #[inline]
    pub fn buffered_amount(&self) -> usize {
        self.transmit.as_deref().map_or(0, Buf::remaining)
    }

    /// Whether received bytes wait to be looked at by [`poll_event`](Self::poll_event): then
    /// a message may already be there without another read.
    #[must_use]
    #[inline]
    pub fn has_input(&self) -> bool {
        self.receiver.has_input()
    }

    /// Whether this end has said all that it will ever say, and all of it is written, while
    /// the peer's end is still waited for: the driver should shut down the transport's
    /// sending half.
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        self.failure().is_some() && self.is_drained()
    }

    #[inline]
    fn is_over(&self) -> bool {
        match self.closing.as_deref() {
            None => false,
            Some(closing) => {
                !self.receiver.has_input() && closing.is_over(self.role(), self.is_drained())
            }
        }
    }

    /// Something that changes whenever bytes are written.
    fn written(&self) -> u32 {
        // Both count, and neither in such steps that their sum would stand still.
        self.taken
            .rotate_left(16)
            .wrapping_add(self.transmit.as_deref().map_or(0, Transmit::written))
    }

    fn is_drained(&self) -> bool {
        self.buffered_amount() == 0
    }

    #[inline]
    fn ignores_input(&self) -> bool {
        self.closing.as_deref().is_some_and(Closing::ignores_input)
    }

    // Inputs.

    /// The peer's next bytes. Whole messages are handed on from this buffer without a copy,
    /// so they share it; what is incomplete is copied out of it.
    #[inline]
    pub fn handle_data(&mut self, data: BytesMut) {
        self.timers.received(data.len());
        if !self.ignores_input() && !data.is_empty() {
            self.receiver.push(data);
        }
    }

    /// Where the peer's next bytes can be read to at once, when they are the rest of a large
    /// payload: a driver that uses it spares a copy. Call [`handle_read`](Self::handle_read) with
    /// the number of bytes that were read into it; `None` means that they go through
    /// [`handle_data`](Self::handle_data).
    #[inline]
    pub fn room(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        self.receiver.room()
    }

    /// The peer's next `len` bytes were read into [`room`](Self::room).
    ///
    /// # Panics
    /// When more bytes are claimed than were put there.
    pub fn handle_read(&mut self, len: usize) {
        self.timers.received(len);
        if let Err(failure) = self.receiver.accept(len) {
            self.fail(failure);
        }
    }

    /// The peer will send no more bytes, or the transport has failed.
    pub fn handle_eof(&mut self) {
        self.closing_mut().eof = true;
    }

    /// The transport takes no more bytes. What waits is thrown away; what the peer has sent
    /// can still be read, within the close timeout.
    pub fn handle_write_end(&mut self) {
        self.transmit = None;
        self.closing_mut().write_end = true;
        self.timers.begin_closing();
    }

    /// The transport takes no more bytes for now: from here on the write timeout counts, where it
    /// is shorter than the idle timeout. A driver need not call it; then a peer that does not read
    /// is noticed later, at a check of the idle timeout.
    #[inline]
    pub fn handle_write_blocked(&mut self) {
        if self.timers.may_block() {
            self.timers.blocked(&self.config, self.written());
        }
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) gave has passed. `reading` says
    /// whether the driver was waiting for the peer's bytes meanwhile: a peer is not silent
    /// when nobody listens.
    pub fn handle_timeout(&mut self, reading: bool) {
        self.handle_timeout_with_ping(reading, b"");
    }

    /// As [`handle_timeout`](Self::handle_timeout), with what the ping that may be due is to
    /// hold, up to 125 bytes of it. Gives whether one was sent, so that its pong can be known by
    /// that, and timed.
    pub fn handle_timeout_with_ping(&mut self, reading: bool, payload: &[u8]) -> bool {
        let seen = Seen {
            reading,
            inside_frame: self.receiver.is_inside_frame(),
            unwritten: !self.is_drained(),
            written: self.written(),
        };
        match self.timers.expired(&self.config, seen) {
            Expired::Nothing => {}
            Expired::SendPing => {
                let len = payload.len().min(MAX_CONTROL_PAYLOAD);
                self.control(OpCode::Ping, &payload[..len]);
                return true;
            }
            Expired::Idle => self.cut(Failure::IdleTimeout),
            Expired::Write => self.cut(Failure::WriteTimeout),
            Expired::Close if self.close_frame().is_some() => self.closing_mut().cut = true,
            Expired::Close => self.cut(Failure::CloseTimeout),
        }
        false
    }

    // Outputs.

    /// The next thing that has happened, `None` when all of the input is used up.
    ///
    /// After `None` the connection holds no part of the buffers that it was given.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.receiver.has_input() || self.closing.is_some() {
            self.poll_any_event()
        } else {
            None
        }
    }

    fn poll_any_event(&mut self) -> Option<Event> {
        while !self.ignores_input() {
            let limit = self.config.message_limit();
            match self.receiver.next(self.role(), limit, &mut self.extension) {
                Ok(Some(Received::Message(message))) => return Some(Event::Message(message)),
                Ok(Some(Received::Ping(payload))) => {
                    self.answer_ping(&payload);
                    return Some(Event::Ping(payload));
                }
                Ok(Some(Received::Pong(payload))) => return Some(Event::Pong(payload)),
                Ok(Some(Received::Close(payload))) => self.close_received(payload),
                Ok(None) => break,
                Err(failure) => self.fail(failure),
            }
        }
        self.poll_closed()
    }

    /// The message that [`poll_event`](Self::poll_event) would give next, when it has come in
    /// one frame and whole: a short cut for what nearly all input is. After `None`, there may
    /// still be events.
    #[inline]
    pub fn poll_whole_message(&mut self) -> Option<Message> {
        if self.closing.is_some() {
            return None;
        }
        let limit = self.config.message_limit();
        match self.receiver.whole_message(self.role(), limit) {
            Ok(message) => message,
            Err(failure) => {
                self.fail(failure);
                None
            }
        }
    }

    /// The bytes to write now, `None` when there are none. Whatever is left over after a
    /// partial write is there again at the next call.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<&mut Transmit> {
        self.answer_remembered_ping();
        self.transmit.as_deref_mut().filter(|o| o.has_remaining())
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to write.
    #[must_use]
    #[inline]
    pub fn wants_write(&self) -> bool {
        self.transmit.as_deref().is_some_and(Transmit::wants_write)
    }

    /// Whether [`poll_timeout`](Self::poll_timeout) has a time to give.
    #[must_use]
    #[inline]
    pub fn wants_timeout(&self) -> bool {
        self.timers.is_due()
    }

    /// A time to wait from now on, given once whenever the wait is to be started anew; it
    /// replaces the one before. When it has passed, call
    /// [`handle_timeout`](Self::handle_timeout).
    #[inline]
    pub fn poll_timeout(&mut self) -> Option<Duration> {
        self.timers.take(&self.config)
    }

    /// Lends the connection an output, whose memory it will use for what is sent from now on.
    /// An output that holds something, or that the connection does not need because it has
    /// one, is given back.
    #[inline]
    pub fn lend_transmit(&mut self, output: Box<Transmit>) -> Option<Box<Transmit>> {
        if self.transmit.is_some() || output.has_remaining() {
            return Some(output);
        }
        self.transmit = Some(output);
        None
    }

    /// Whether [`lend_transmit`](Self::lend_transmit) would be of use.
    #[must_use]
    #[inline]
    pub fn lacks_transmit(&self) -> bool {
        self.transmit.is_none()
    }

    /// Takes the output back when all of it is written, so that the connection owns no memory
    /// for it.
    #[inline]
    pub fn take_transmit(&mut self) -> Option<Box<Transmit>> {
        if self.wants_write() {
            return None;
        }
        self.taken = self.taken.wrapping_add(1);
        self.transmit.take()
    }
}
