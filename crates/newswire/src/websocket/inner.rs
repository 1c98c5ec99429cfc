//! The state of a connection, behind the lock of `shared.rs`: the protocol's state machine, the
//! transport and the timer, and who waits for what. Here bytes are read and written. What is counted
//! and timed meanwhile is in `watch.rs`, what is done while the handler is busy in `unattended.rs`.

use super::budget;
use super::latency::{self, Latency};
use super::rates::Rates;
use super::seldom::Seldom;
use super::shared::Shared;
use super::timer::Timer;
use crate::config::Config;
use crate::error::{RecvError, SendError};
use crate::transport::Transport;
use crate::transport::io;
use newswire_proto::{CloseCode, Connection, EncodedMessage, Event, Message, State};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) struct Inner<T: Transport> {
    pub(crate) connection: Connection,
    pub(super) outside: Box<Outside<T>>,
    /// The handler was left waiting in `recv` in this turn, so the driver need not read.
    pub(super) recv_waits: bool,
    /// The peer's bytes are being waited for.
    reading: bool,
    /// The transport may still hold something that was written to it.
    unflushed: bool,
    /// How many `Sender`s there are.
    pub(super) senders: u32,
    /// There is no `WebSocket` or `Receiver` any more.
    pub(super) receiver_gone: bool,
    pub(super) seldom: Option<Box<Seldom>>,
}

/// What is between the state machine and the world: looked at once a turn, not for each message.
/// An allocation of its own because of its size: with the usual allocator it fits between the
/// aligned blocks that the runtime needs for a connection, where there would be nothing.
pub(super) struct Outside<T: Transport> {
    /// Gone once the connection has ended.
    transport: Option<T>,
    pub(super) timer: Timer,
    /// Who waits in `recv`.
    pub(super) receiver: Option<Waker>,
    /// The task that drives the connection, if one does.
    pub(super) driver: Option<Waker>,
    /// From this many bytes that wait on, senders have to.
    max_buffered: u32,
    /// The last read has emptied the transport.
    emptied: bool,
    pub(super) latency: Latency,
}

/// How many bytes [`Outside`] takes.
#[cfg(all(test, feature = "server"))]
pub(crate) fn outside_len() -> usize {
    size_of::<Outside<crate::Stream>>()
}

impl<T: Transport> Inner<T> {
    pub(super) fn new(connection: Connection, transport: T, config: &Config) -> Self {
        let rates = Rates::new(config);
        Self {
            connection,
            outside: Box::new(Outside {
                transport: Some(transport),
                timer: Timer::new(),
                receiver: None,
                driver: None,
                // Of no room at all, nobody would ever be told.
                max_buffered: u32::try_from(config.max_buffered)
                    .unwrap_or(u32::MAX)
                    .max(1),
                emptied: false,
                latency: Latency::default(),
            }),
            recv_waits: false,
            reading: false,
            unflushed: false,
            senders: 0,
            receiver_gone: false,
            seldom: rates.map(|rates| {
                Box::new(Seldom {
                    rates: Some(rates),
                    ..Seldom::default()
                })
            }),
        }
    }

    /// Whether the connection has ended and the transport is dropped.
    pub(crate) fn has_ended(&self) -> bool {
        self.outside.transport.is_none()
    }

    /// Whether something waits to be written, here or in the transport.
    #[inline]
    pub(super) fn wants_write(&self) -> bool {
        self.connection.wants_write() || self.unflushed
    }

    /// Whether the closing handshake is complete but for what the transport still holds. The
    /// close timeout bounds it.
    #[inline]
    pub(super) fn has_last_words(&self) -> bool {
        self.unflushed
            && self.connection.failure().is_none()
            && self.connection.state() == State::Closed
    }

    /// Whether senders have to wait. What is closing has room: it gives an error.
    #[inline]
    fn lacks_room(&self) -> bool {
        self.connection.buffered_amount() >= self.outside.max_buffered as usize
            && self.connection.state() == State::Open
    }

    #[inline]
    pub(super) fn poll_room(&mut self, shared: &Arc<Shared<T>>, cx: &Context<'_>) -> Poll<()> {
        if self.lacks_room() {
            let _ = self.poll_flush();
            if self.lacks_room() {
                self.wait_for_write(shared, cx, self.outside.max_buffered as usize);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    pub(super) fn poll_drained(
        &mut self,
        shared: &Arc<Shared<T>>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        match self.poll_flush() {
            Poll::Ready(Ok(())) if self.seldom.as_deref().is_some_and(|seldom| seldom.lost) => {
                Poll::Ready(Err(SendError::Io(ErrorKind::BrokenPipe.into())))
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(kind)) => Poll::Ready(Err(SendError::Io(kind.into()))),
            Poll::Pending => {
                self.wait_for_write(shared, cx, 1);
                Poll::Pending
            }
        }
    }

    // In one piece with the future that calls it.
    #[inline(always)]
    pub(super) fn queue(&mut self, shared: &Shared<T>, message: Message) -> Result<(), SendError> {
        io::lend_transmit(&mut self.connection);
        let queued = self.connection.send(message);
        if queued.is_ok() {
            self.sent(shared);
        }
        queued.map_err(|error| SendError::Closed(error.0))
    }

    pub(super) fn queue_plain(
        &mut self,
        shared: &Shared<T>,
        message: Message,
    ) -> Result<(), SendError> {
        io::lend_transmit(&mut self.connection);
        let queued = self.connection.send_plain(message);
        if queued.is_ok() {
            self.sent(shared);
        }
        queued.map_err(|error| SendError::Closed(error.0))
    }

    pub(super) fn queue_encoded(
        &mut self,
        shared: &Shared<T>,
        message: &EncodedMessage,
    ) -> Result<(), SendError> {
        io::lend_transmit(&mut self.connection);
        let queued = self.connection.send_encoded(message);
        if queued.is_ok() {
            self.sent(shared);
        }
        queued.map_err(|error| SendError::Closed(error.0))
    }

    /// Events, writes, reads, until there is a message or everything would wait.
    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, RecvError>> {
        loop {
            match self.poll_events() {
                Some(message) => return Poll::Ready(Ok(Some(message))),
                None if self.has_ended() => {
                    return Poll::Ready(self.take_outcome().map_or(Ok(None), Err));
                }
                None => {}
            }
            // All that was read is handled: now what that has produced is written at once.
            if self.wants_write()
                && self.poll_flush().is_ready()
                && self.connection.state() == State::Closed
            {
                continue;
            }
            self.shut_down_when_done(cx);
            if self.outside.driver.is_none() && self.poll_timer(cx) {
                continue;
            }
            if self.has_last_words() || self.poll_read(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The next message, when there is one without more ado: no read, no write, nothing that
    /// ends.
    #[inline]
    pub(super) fn next_at_hand(&mut self) -> Option<Message> {
        if self.seldom.is_some()
            && let ControlFlow::Break(next) = self.next_before_others()
        {
            return next;
        }
        if self.unflushed {
            return None;
        }
        // The only place that asks for it, so that it is made one piece with the future.
        self.connection.poll_whole_message()
    }

    /// The message that comes before what was read last, where there is something that there seldom
    /// is; none when messages are to be looked at one by one.
    #[cold]
    fn next_before_others(&mut self) -> ControlFlow<Option<Message>> {
        if let Some(message) = self.take_unclaimed() {
            return ControlFlow::Break(Some(message));
        }
        match self.seldom.as_deref() {
            Some(seldom) if seldom.rates.is_some() => ControlFlow::Break(None),
            _ => ControlFlow::Continue(()),
        }
    }

    /// The next message that is already here. Control frames need nothing more.
    pub(super) fn poll_events(&mut self) -> Option<Message> {
        if self.has_last_words() {
            return None;
        }
        while let Some(event) = self.connection.poll_event() {
            if self.seldom.is_some() && self.is_too_much(&event) {
                continue;
            }
            match event {
                Event::Message(message) => return Some(message),
                Event::Closed => self.end(),
                _ => {}
            }
        }
        None
    }

    pub(super) fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    #[cfg(feature = "server")]
    pub(super) fn has_unclaimed(&self) -> bool {
        self.seldom
            .as_deref()
            .is_some_and(|seldom| seldom.unclaimed.is_some())
    }

    /// The message at which the driver stopped to read. When nothing else is seldom, the memory
    /// for it goes too.
    #[cold]
    pub(super) fn take_unclaimed(&mut self) -> Option<Message> {
        let seldom = self.seldom.as_deref_mut()?;
        let message = seldom.unclaimed.take();
        if seldom.is_over() {
            self.seldom = None;
        }
        message
    }

    fn take_outcome(&mut self) -> Option<RecvError> {
        self.seldom.as_deref_mut()?.outcome.take()
    }

    /// Writers are woken when fewer bytes than this wait; 0 when there are none.
    #[inline]
    pub(super) fn wake_writers_below(&self) -> usize {
        self.seldom
            .as_deref()
            .map_or(0, |seldom| seldom.wake_writers_below)
    }

    fn end(&mut self) {
        if self.wants_write() {
            self.seldom().lost = true;
        }
        self.unflushed = false;
        self.outside.transport = None;
        self.outside.timer.stop();
        let io_error = self.seldom.as_deref_mut().and_then(|s| s.io_error.take());
        if let Some(failure) = self.connection.failure() {
            self.seldom().outcome = Some(RecvError::new(failure, io_error));
        }
        if let Some(receiver) = self.outside.receiver.take() {
            receiver.wake();
        }
        self.wake_writers();
    }

    /// Reads once, into the state machine.
    #[inline]
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let outside = &mut *self.outside;
        let Some(transport) = &mut outside.transport else {
            return Poll::Pending;
        };
        match io::poll_receive(transport, &mut outside.emptied, &mut self.connection, cx) {
            Poll::Pending => {
                self.reading = true;
                return Poll::Pending;
            }
            Poll::Ready(Ok((0, _))) => self.connection.handle_eof(),
            Poll::Ready(Ok((len, is_direct))) => {
                self.reading = false;
                budget::charge_read(cx, len, is_direct);
                self.was_read(len);
            }
            Poll::Ready(Err(error)) => {
                self.seldom().io_error.get_or_insert(error);
                self.connection.handle_eof();
            }
        }
        Poll::Ready(())
    }

    /// Writes what waits. A transport that fails takes no more, but may still be read.
    #[inline]
    pub(super) fn poll_flush(&mut self) -> Poll<Result<(), ErrorKind>> {
        if !self.connection.wants_write() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let outside = &mut *self.outside;
        let Some(transport) = &mut outside.transport else {
            return Poll::Ready(Ok(()));
        };
        self.unflushed = true;
        let writers;
        let waker = match &outside.driver {
            Some(driver) => driver,
            None => {
                let seldom = self.seldom.get_or_insert_default();
                writers = Waker::from(Arc::clone(&seldom.writers));
                &writers
            }
        };
        let cx = &mut Context::from_waker(waker);
        #[cfg(feature = "server")]
        let waited = self.connection.buffered_amount();
        let written = io::poll_write(transport, &mut self.connection, cx);
        self.unflushed = written.is_pending();
        #[cfg(feature = "server")]
        if let Some(traffic) = outside.timer.traffic() {
            traffic.wrote(waited.saturating_sub(self.connection.buffered_amount()));
        }
        let result = match written {
            Poll::Pending => {
                self.connection.handle_write_blocked();
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                let kind = error.kind();
                let seldom = self.seldom();
                seldom.io_error.get_or_insert(error);
                seldom.lost = true;
                self.connection.handle_write_end();
                Poll::Ready(Err(kind))
            }
        };
        // Nothing waits any more only when the transport holds nothing either.
        let waiting = self.connection.buffered_amount() + usize::from(self.unflushed);
        if waiting < self.wake_writers_below() {
            self.wake_writers();
        }
        result
    }

    /// Waits until fewer than `below` bytes wait, or the transport takes some.
    pub(super) fn wait_for_write(&mut self, shared: &Shared<T>, cx: &Context<'_>, below: usize) {
        let seldom = self.seldom();
        seldom.wake_writers_below = seldom.wake_writers_below.max(below);
        seldom.writers.add(cx);
        self.wake_driver(shared);
    }

    /// `recv` waits, and something is left to write: whoever receives writes that too.
    pub(super) fn wait_for_what_is_left(&mut self, shared: &Shared<T>, cx: &Context<'_>) {
        if self.wants_write() {
            self.wait_for_write(shared, cx, 1);
        }
    }

    fn wake_writers(&mut self) {
        if let Some(seldom) = &mut self.seldom {
            seldom.wake_writers_below = 0;
            seldom.writers.wake_all();
        }
    }

    /// After a failure, once the peer has been told why, the peer's end is waited for.
    pub(super) fn shut_down_when_done(&mut self, cx: &mut Context<'_>) {
        if !self.connection.wants_shutdown() {
            return;
        }
        let seldom = self.seldom.get_or_insert_default();
        if let (false, Some(transport)) = (seldom.shut_down, &mut self.outside.transport) {
            // Whether it worked or not, the close timeout bounds the wait.
            seldom.shut_down = Pin::new(transport).poll_shutdown(cx).is_ready();
        }
    }

    /// Sets the timer anew when the state machine asks for it, and tells it when the time
    /// has passed, which gives `true`.
    #[inline]
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(wait) = self.connection.poll_timeout() {
            self.outside.timer.set(wait);
        }
        if !self.outside.timer.poll(cx) {
            return false;
        }
        let payload = latency::payload();
        let pinged = self
            .connection
            .handle_timeout_with_ping(self.reading, &payload);
        if pinged {
            self.pinged(&payload);
        }
        if self.connection.state() == State::Closed {
            self.unflushed = false;
        }
        true
    }

    /// A command was given: it is written now, by the driver at the end of its turn or here,
    /// and whoever waits in `recv` looks at what has changed.
    pub(super) fn after_command(&mut self, shared: &Arc<Shared<T>>) {
        if self.outside.driver.is_some() {
            self.wake_driver(shared);
        } else {
            let _ = self.poll_flush();
        }
        if let Some(receiver) = self.outside.receiver.take() {
            receiver.wake();
        }
    }

    /// Lets the driver write what was queued outside its turn.
    #[inline]
    pub(super) fn wake_driver(&self, shared: &Shared<T>) {
        if !shared.is_in_turn()
            && let Some(driver) = &self.outside.driver
        {
            driver.wake_by_ref();
        }
    }
}

impl<T: Transport> Drop for Inner<T> {
    /// An open connection that is dropped says 1001, as far as one write can.
    fn drop(&mut self) {
        let Some(transport) = &mut self.outside.transport else {
            return;
        };
        let _ = self.connection.close(CloseCode::GOING_AWAY, "");
        let cx = &mut Context::from_waker(Waker::noop());
        let _ = io::poll_write(transport, &mut self.connection, cx);
    }
}

pub(super) fn set_waker(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
