//! The state of a connection, behind the lock of `shared.rs`: the protocol's state machine, the
//! transport and the timer, and who waits for what. Here bytes are read and written.

use super::shared::Shared;
use crate::error::{RecvError, SendError};
use crate::transport::Transport;
use crate::transport::io;
use newswire_proto::{CloseCode, Connection, Event, Message, State};
use parking_lot::Mutex;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep};

pub(crate) struct Inner<T: Transport> {
    pub(crate) connection: Connection,
    /// Gone once the connection has ended.
    transport: Option<T>,
    timer: Option<Pin<Box<Sleep>>>,
    timer_waker: Option<Waker>,
    pub(super) max_buffered: usize,
    /// Who waits in `recv`.
    pub(super) receiver: Option<Waker>,
    /// Tasks that wait for the transport to take bytes.
    writers: Option<Arc<Writers>>,
    /// Those in `writers` are woken when fewer bytes than this wait; 0 when there are none.
    pub(super) wake_writers_below: usize,
    /// The task that drives the connection, if one does.
    pub(super) driver: Option<Waker>,
    /// The handler was left waiting in `recv` in this turn, so the driver need not read.
    pub(super) recv_waits: bool,
    /// A message that the driver has read while nobody was in `recv`.
    pub(super) unclaimed: Option<Message>,
    /// The peer's bytes are being waited for.
    reading: bool,
    /// The transport may still hold something that was written to it.
    unflushed: bool,
    /// The sending half is shut down.
    shut_down: bool,
    io_error: Option<std::io::Error>,
    /// Something that was queued was not written and never will be.
    lost: bool,
    /// How many `Sender`s there are.
    pub(super) senders: usize,
    /// There is no `WebSocket` or `Receiver` any more.
    pub(super) receiver_gone: bool,
    /// Why the connection ended, until `recv` has told.
    outcome: Option<RecvError>,
}

impl<T: Transport> Inner<T> {
    pub(super) fn new(connection: Connection, transport: T, max_buffered: usize) -> Self {
        Self {
            connection,
            transport: Some(transport),
            timer: None,
            timer_waker: None,
            // Of no room at all, nobody would ever be told.
            max_buffered: max_buffered.max(1),
            receiver: None,
            writers: None,
            wake_writers_below: 0,
            driver: None,
            recv_waits: false,
            unclaimed: None,
            reading: false,
            unflushed: false,
            shut_down: false,
            io_error: None,
            lost: false,
            senders: 0,
            receiver_gone: false,
            outcome: None,
        }
    }

    /// Whether the connection has ended and the transport is dropped.
    pub(crate) fn has_ended(&self) -> bool {
        self.transport.is_none()
    }

    /// Whether something waits to be written, here or in the transport.
    #[inline]
    fn wants_write(&self) -> bool {
        self.connection.wants_write() || self.unflushed
    }

    /// Whether the closing handshake is complete but for what the transport still holds. The
    /// close timeout bounds it.
    #[inline]
    fn has_last_words(&self) -> bool {
        self.unflushed
            && self.connection.failure().is_none()
            && self.connection.state() == State::Closed
    }

    /// Whether senders have to wait. What is closing has room: it gives an error.
    #[inline]
    fn lacks_room(&self) -> bool {
        self.connection.buffered_amount() >= self.max_buffered
            && self.connection.state() == State::Open
    }

    #[inline]
    pub(super) fn poll_room(&mut self, shared: &Arc<Shared<T>>, cx: &Context<'_>) -> Poll<()> {
        if self.lacks_room() {
            let _ = self.poll_flush();
            if self.lacks_room() {
                self.wait_for_write(shared, cx, self.max_buffered);
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
            Poll::Ready(Ok(())) if self.lost => {
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

    #[inline]
    pub(super) fn queue(&mut self, shared: &Shared<T>, message: Message) -> Result<(), SendError> {
        io::lend_transmit(&mut self.connection);
        let queued = self.connection.send(message);
        self.wake_driver(shared);
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
                    return Poll::Ready(self.outcome.take().map_or(Ok(None), Err));
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
            if self.driver.is_none() && self.poll_timer(cx) {
                continue;
            }
            if self.has_last_words() || self.poll_read(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What a driver does for a handler that is busy elsewhere: write, answer control frames,
    /// mind the time, and read as far as the first message that nobody has received yet.
    #[cfg(feature = "server")]
    #[inline]
    pub(super) fn poll_quietly(&mut self, cx: &mut Context<'_>) {
        // The usual turn ends in `recv`, which has done all there was to do.
        if !self.recv_waits || self.wants_write() || !self.timer_is_set(cx) {
            self.poll_everything(cx);
        }
    }

    /// Whether the timer is set as the state machine wants it, for this task, and still runs.
    #[cfg(feature = "server")]
    #[inline]
    fn timer_is_set(&self, cx: &Context<'_>) -> bool {
        !self.connection.wants_timeout()
            && match (&self.timer, &self.timer_waker) {
                (Some(timer), Some(waker)) => waker.will_wake(cx.waker()) && !timer.is_elapsed(),
                (timer, _) => timer.is_none(),
            }
    }

    #[cfg(feature = "server")]
    fn poll_everything(&mut self, cx: &mut Context<'_>) {
        if self.receiver_gone && self.senders == 0 {
            // Nobody can use the connection; that it may be closing already is fine.
            let _ = self.connection.close(CloseCode::GOING_AWAY, "");
        }
        loop {
            self.poll_unclaimed();
            let drained = self.poll_flush().is_ready();
            if self.has_ended() {
                return;
            }
            if (drained && self.connection.state() == State::Closed) || self.poll_timer(cx) {
                continue;
            }
            if self.recv_waits || self.unclaimed.is_some() || self.has_last_words() {
                return;
            }
            self.shut_down_when_done(cx);
            if self.poll_read(cx).is_pending() {
                return;
            }
        }
    }

    /// Takes the next message when there is none yet, and notices the end in any case.
    #[cfg(feature = "server")]
    fn poll_unclaimed(&mut self) {
        while self.unclaimed.is_none() || self.connection.state() == State::Closed {
            let Some(message) = self.poll_events() else {
                return;
            };
            if self.receiver_gone {
                continue;
            }
            self.unclaimed = Some(message);
            if let Some(receiver) = self.receiver.take() {
                receiver.wake();
            }
        }
    }

    /// The next message, when there is one without more ado: no read, no write, nothing that
    /// ends.
    #[inline]
    pub(super) fn next_at_hand(&mut self) -> Option<Message> {
        if self.unclaimed.is_some() {
            // The driver stopped reading when it had this message.
            return self.unclaimed.take();
        }
        if self.unflushed {
            return None;
        }
        self.connection.poll_whole_message()
    }

    /// The next message that is already here. Control frames need nothing more.
    fn poll_events(&mut self) -> Option<Message> {
        if self.has_last_words() {
            return None;
        }
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Message(message) => return Some(message),
                Event::Closed => self.end(),
                _ => {}
            }
        }
        None
    }

    fn end(&mut self) {
        self.lost |= self.wants_write();
        self.unflushed = false;
        self.transport = None;
        self.timer = None;
        let io_error = self.io_error.take();
        if let Some(failure) = self.connection.failure() {
            self.outcome = Some(RecvError::new(failure, io_error));
        }
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
        self.wake_writers();
    }

    /// Reads once, into the state machine.
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(transport) = &mut self.transport else {
            return Poll::Pending;
        };
        match io::poll_read(transport, cx) {
            Poll::Pending => {
                self.reading = true;
                return Poll::Pending;
            }
            Poll::Ready(Ok(data)) if data.is_empty() => self.connection.handle_eof(),
            Poll::Ready(Ok(data)) => {
                self.reading = false;
                self.connection.handle_data(data);
            }
            Poll::Ready(Err(error)) => {
                self.io_error.get_or_insert(error);
                self.connection.handle_eof();
            }
        }
        Poll::Ready(())
    }

    /// Writes what waits. A transport that fails takes no more, but may still be read.
    #[inline]
    fn poll_flush(&mut self) -> Poll<Result<(), ErrorKind>> {
        let Some(transport) = &mut self.transport else {
            return Poll::Ready(Ok(()));
        };
        if !self.connection.wants_write() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        self.unflushed = true;
        let writers;
        let waker = match &self.driver {
            Some(driver) => driver,
            None => {
                writers = Waker::from(Arc::clone(self.writers.get_or_insert_default()));
                &writers
            }
        };
        let cx = &mut Context::from_waker(waker);
        let written = io::poll_write(transport, &mut self.connection, cx);
        self.unflushed = written.is_pending();
        let result = match written {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                let kind = error.kind();
                self.io_error.get_or_insert(error);
                self.lost = true;
                self.connection.handle_write_end();
                Poll::Ready(Err(kind))
            }
        };
        // Nothing waits any more only when the transport holds nothing either.
        let waiting = self.connection.buffered_amount() + usize::from(self.unflushed);
        if waiting < self.wake_writers_below {
            self.wake_writers();
        }
        result
    }

    /// Waits until fewer than `below` bytes wait, or the transport takes some.
    pub(super) fn wait_for_write(&mut self, shared: &Shared<T>, cx: &Context<'_>, below: usize) {
        self.wake_writers_below = self.wake_writers_below.max(below);
        self.writers.get_or_insert_default().add(cx);
        self.wake_driver(shared);
    }

    /// `recv` waits, and something is left to write: whoever receives writes that too.
    pub(super) fn wait_for_what_is_left(&mut self, shared: &Shared<T>, cx: &Context<'_>) {
        if self.wants_write() {
            self.wait_for_write(shared, cx, 1);
        }
    }

    fn wake_writers(&mut self) {
        self.wake_writers_below = 0;
        if let Some(writers) = &self.writers {
            writers.wake_all();
        }
    }

    /// After a failure, once the peer has been told why, the peer's end is waited for.
    fn shut_down_when_done(&mut self, cx: &mut Context<'_>) {
        if self.shut_down || !self.connection.wants_shutdown() {
            return;
        }
        if let Some(transport) = &mut self.transport {
            // Whether it worked or not, the close timeout bounds the wait.
            self.shut_down = Pin::new(transport).poll_shutdown(cx).is_ready();
        }
    }

    /// Sets the timer anew when the state machine asks for it, and tells it when the time
    /// has passed, which gives `true`.
    #[inline]
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let mut register = !self
            .timer_waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        if let Some(wait) = self.connection.poll_timeout() {
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(Instant::now() + wait),
                None => self.timer = Some(Box::pin(sleep(wait))),
            }
            register = true;
        }
        let Some(timer) = &mut self.timer else {
            return false;
        };
        if !timer.is_elapsed() {
            if !register {
                return false;
            }
            // Without budget the timer would not take note of the waker.
            if has_budget_remaining() {
                set_waker(&mut self.timer_waker, cx);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
        self.timer = None;
        self.connection.handle_timeout(self.reading);
        if self.connection.state() == State::Closed {
            self.unflushed = false;
        }
        true
    }

    /// A command was given: it is written now, by the driver at the end of its turn or here,
    /// and whoever waits in `recv` looks at what has changed.
    pub(super) fn after_command(&mut self, shared: &Arc<Shared<T>>) {
        if self.driver.is_some() {
            self.wake_driver(shared);
        } else {
            let _ = self.poll_flush();
        }
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }

    /// Lets the driver write what was queued outside its turn.
    #[inline]
    pub(super) fn wake_driver(&self, shared: &Shared<T>) {
        if let Some(driver) = &self.driver
            && !shared.is_in_turn()
        {
            driver.wake_by_ref();
        }
    }
}

/// The tasks that wait for the transport to take bytes. An allocation of its own: a transport
/// keeps the waker that is made of it, and must not keep the connection that it belongs to; and
/// it may wake while it is being polled, under the connection's lock.
#[derive(Default)]
struct Writers(Mutex<Vec<Waker>>);

impl Writers {
    fn add(&self, cx: &Context<'_>) {
        let mut writers = self.0.lock();
        if !writers.iter().any(|writer| writer.will_wake(cx.waker())) {
            writers.push(cx.waker().clone());
        }
    }

    fn wake_all(&self) {
        let writers = std::mem::take(&mut *self.0.lock());
        for writer in writers {
            writer.wake();
        }
    }
}

impl Wake for Writers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl<T: Transport> Drop for Inner<T> {
    /// An open connection that is dropped says 1001, as far as one write can.
    fn drop(&mut self) {
        let Some(transport) = &mut self.transport else {
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
