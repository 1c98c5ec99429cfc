//! What the handles of one connection share, and what each of their calls does under the one
//! lock. The state itself, and its reading and writing, are in `inner.rs`. No public types
//! live here.
//!
//! A connection is driven in one of two ways. *By its user*: whoever calls `recv` or `send`
//! reads and writes. *By a task of its own* (`driver.rs`): senders only queue, and the task
//! writes everything that its turn has produced at once.

use super::budget;
#[cfg(feature = "server")]
use super::budget::Budget;
use super::control::{self, ControlFrames};
#[cfg(feature = "server")]
use super::driver::Ended;
use super::inner::{Inner, set_waker};
#[cfg(feature = "server")]
use super::timer::{Clock, Timer};
use super::turn;
#[cfg(feature = "server")]
use super::turn::Moved;
use crate::config::Config;
use crate::error::{RecvError, SendError};
use crate::transport::Transport;
use newswire_proto::{CloseCode, CommandError, Connection, EncodedMessage, Message, Utf8Bytes};
use parking_lot::{Mutex, MutexGuard};
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A message to send, until it is queued.
pub(super) enum Slot {
    Message(Message),
    /// Not to be compressed. Boxed because it is rare, and every send has room for a slot.
    Plain(Box<Message>),
    Queued,
}

pub(crate) struct Shared<T: Transport> {
    inner: Mutex<Inner<T>>,
    negotiated: Option<Box<Negotiated>>,
}

/// What the opening handshake has found.
pub(crate) struct Negotiated {
    pub(crate) subprotocol: Option<Box<str>>,
    /// The answer to a client's.
    #[cfg(feature = "client")]
    pub(crate) response: Option<http::Response<()>>,
}

impl<T: Transport> Shared<T> {
    pub(crate) fn new(
        connection: Connection,
        transport: T,
        negotiated: Option<Box<Negotiated>>,
        config: &Config,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner::new(connection, transport, config)),
            negotiated,
        })
    }

    /// What both ends will speak.
    pub(super) fn subprotocol(&self) -> Option<&str> {
        self.negotiated.as_deref()?.subprotocol.as_deref()
    }

    /// The answer to a client's handshake.
    #[cfg(feature = "client")]
    pub(super) fn response(&self) -> Option<&http::Response<()>> {
        self.negotiated.as_deref()?.response.as_ref()
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock()
    }

    /// The next message; `None` after the end.
    #[inline]
    pub(crate) fn poll_recv(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, RecvError>> {
        let mut inner = self.lock();
        if inner.connection.compresses() {
            return self.poll_recv_fairly(&mut inner, cx);
        }
        if let Some(message) = inner.next_at_hand() {
            inner.received(self);
            return Poll::Ready(Ok(Some(message)));
        }
        self.poll_recv_from(&mut inner, cx)
    }

    /// As [`poll_recv`](Self::poll_recv), where a message may take long to inflate, and its answer
    /// to compress: a turn has a budget, messages are charged to it by their size, and when it is
    /// used up, what there is to write is written and other tasks have their turn. One read may
    /// hold thousands of such messages.
    #[inline(never)]
    fn poll_recv_fairly(
        self: &Arc<Self>,
        inner: &mut Inner<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, RecvError>> {
        let in_turn = self.is_in_turn();
        if in_turn && turn::left().is_spent() {
            return budget::defer(cx);
        }
        if !in_turn {
            // The task is its user's: it has only the runtime's budget.
            ready!(budget::charge_runtime(cx, 1));
        }
        let polled = match inner.next_at_hand() {
            Some(message) => {
                inner.received(self);
                Poll::Ready(Ok(Some(message)))
            }
            None => self.poll_recv_from(inner, cx),
        };
        if let Poll::Ready(Ok(Some(message))) = &polled {
            // What is too much is the next call's to wait for.
            if in_turn {
                turn::set_left(turn::left().less(message));
            } else {
                let _ = budget::charge_runtime(cx, budget::units(message));
            }
        }
        polled
    }

    #[inline(never)]
    fn poll_recv_from(
        self: &Arc<Self>,
        inner: &mut Inner<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, RecvError>> {
        let polled = inner.poll_message(cx);
        if let Poll::Ready(Ok(Some(_))) = &polled {
            inner.received(self);
        }
        if inner.outside.driver.is_none() {
            if polled.is_pending() {
                set_waker(&mut inner.outside.receiver, cx);
                inner.wait_for_what_is_left(self, cx);
            }
            return polled;
        }
        if polled.is_pending() {
            set_waker(&mut inner.outside.receiver, cx);
            inner.recv_waits = inner
                .outside
                .driver
                .as_ref()
                .is_some_and(|driver| driver.will_wake(cx.waker()));
        }
        // What was read may have queued a pong or begun the closing handshake, and when this
        // task does not go on reading, the driver does.
        inner.wake_driver(self);
        polled
    }

    /// Queues the message in `slot` when there is room for it, and writes it unless a task
    /// drives the connection, which will do that. `feeding`: it need not be written yet.
    #[inline]
    pub(super) fn poll_send(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        slot: &mut Slot,
        feeding: bool,
    ) -> Poll<Result<(), SendError>> {
        let mut inner = self.lock();
        if !matches!(slot, Slot::Queued) {
            ready!(inner.poll_room(self, cx));
            match mem::replace(slot, Slot::Queued) {
                Slot::Message(message) => inner.queue(self, message)?,
                Slot::Plain(message) => inner.queue_plain(self, *message)?,
                Slot::Queued => {}
            }
        }
        if feeding || inner.outside.driver.is_some() {
            return Poll::Ready(Ok(()));
        }
        inner.poll_drained(self, cx)
    }

    /// Queues an encoded message when there is room for it.
    pub(super) async fn feed_encoded(
        self: &Arc<Self>,
        message: &EncodedMessage,
    ) -> Result<(), SendError> {
        poll_fn(|cx| {
            let mut inner = self.lock();
            ready!(inner.poll_room(self, cx));
            Poll::Ready(inner.queue_encoded(self, message))
        })
        .await
    }

    /// Waits for room for a message.
    pub(super) fn poll_room(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.lock().poll_room(self, cx)
    }

    /// Queues `message`, room or not.
    pub(super) fn queue(self: &Arc<Self>, message: Message) -> Result<(), SendError> {
        self.lock().queue(self, message)
    }

    /// Waits until nothing is left to write.
    pub(super) fn poll_flush(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.lock().poll_drained(self, cx)
    }

    /// Begins the closing handshake, without waiting for anything.
    pub(crate) fn begin_close(
        self: &Arc<Self>,
        code: CloseCode,
        reason: Utf8Bytes,
    ) -> Result<(), CommandError> {
        let mut inner = self.lock();
        inner.connection.close(code, reason)?;
        inner.after_command(self);
        Ok(())
    }

    /// Queues a ping, and writes it when nobody else will.
    pub(crate) fn ping(self: &Arc<Self>, payload: &[u8]) -> Result<(), CommandError> {
        let mut inner = self.lock();
        inner.connection.ping(payload)?;
        inner.pinged(payload);
        inner.after_command(self);
        Ok(())
    }

    /// Queues a pong that answers no ping, and writes it when nobody else will.
    pub(crate) fn pong(self: &Arc<Self>, payload: &[u8]) -> Result<(), CommandError> {
        let mut inner = self.lock();
        inner.connection.pong(payload)?;
        inner.after_command(self);
        Ok(())
    }

    /// Shows control frames from now on.
    pub(super) fn control_frames(&self) -> ControlFrames {
        let (sender, frames) = control::channel();
        let mut inner = self.lock();
        if !inner.has_ended() {
            inner.seldom().control = Some(sender);
        }
        frames
    }

    #[cfg(feature = "server")]
    /// The connection's time is kept by `clock` from now on, in `place`.
    pub(crate) fn set_clock(&self, clock: Arc<dyn Clock>, place: u32) {
        self.lock().outside.timer = Timer::Shared {
            clock,
            place,
            passed: false,
        };
    }

    #[cfg(feature = "server")]
    /// The task of the connection has ended, and with it its place in the clock.
    pub(super) fn leave_clock(&self) {
        let mut inner = self.lock();
        // One that is still open says that it goes away when it is dropped.
        let code = inner.connection.close_code();
        let left = inner.outside.timer.leave();
        drop(inner);
        if let Some((clock, place)) = left {
            clock
                .traffic()
                .closed(code.unwrap_or(CloseCode::GOING_AWAY));
            clock.leave(place);
        }
    }

    #[cfg(feature = "server")]
    /// The clock says that the connection's time has passed.
    pub(crate) fn time_passed(self: &Arc<Self>) {
        let mut inner = self.lock();
        inner.outside.timer.pass();
        inner.wake_driver(self);
    }

    #[cfg(feature = "server")]
    /// This task drives the connection.
    pub(super) fn set_driver(&self, cx: &Context<'_>) {
        set_waker(&mut self.lock().outside.driver, cx);
    }

    #[cfg(feature = "server")]
    /// Runs a turn of the driver: in it, senders on this thread only queue.
    pub(super) fn turn<R>(&self, run: impl FnOnce() -> R) -> (R, Moved) {
        turn::run(std::ptr::from_ref(self).addr(), run)
    }

    /// Whether this thread is in a turn of this connection's driver.
    #[inline]
    pub(super) fn is_in_turn(&self) -> bool {
        turn::is_of(std::ptr::from_ref(self).addr())
    }

    #[cfg(feature = "server")]
    /// After a turn: everything that it produced is written, the timer is looked at, and the
    /// peer's bytes are read when nobody else does. Gives whether the handler has reason to
    /// run again at once.
    #[inline]
    pub(super) fn after_turn(self: &Arc<Self>, moved: Moved, cx: &mut Context<'_>) -> bool {
        let mut inner = self.lock();
        inner.count(moved);
        let writers_waited = inner.wake_writers_below() > 0;
        inner.poll_quietly(cx);
        inner.recv_waits = false;
        writers_waited && inner.wake_writers_below() == 0
    }

    #[cfg(feature = "server")]
    /// The handler has ended with this turn, and the connection is closed with `code` unless it is
    /// closing already.
    pub(super) fn after_handler(self: &Arc<Self>, moved: Moved, ended: &Ended, code: CloseCode) {
        self.lock().count(moved);
        let closes = self.begin_close(code, "".into()).is_ok();
        // An error that comes of the connection's end is no failure of the handler.
        if (closes || matches!(ended, Ended::Panicked))
            && let Some(traffic) = self.lock().outside.timer.traffic()
        {
            traffic.handler_ended(ended);
        }
    }

    #[cfg(feature = "server")]
    /// Reads and throws away until the connection has ended.
    pub(super) fn poll_end(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        inner.take_unclaimed();
        set_waker(&mut inner.outside.driver, cx);
        let mut left = Budget::WHOLE;
        loop {
            match inner.poll_message(cx) {
                Poll::Ready(Ok(Some(message))) => {
                    inner.count(Moved::RECEIVED);
                    left = left.less(&message);
                    if left.is_spent() && inner.connection.compresses() && !inner.poll_timer(cx) {
                        return budget::defer(cx);
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if inner.poll_timer(cx) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// How many bytes wait to be written.
    pub(crate) fn buffered_amount(&self) -> usize {
        self.lock().connection.buffered_amount()
    }

    /// A [`Sender`](super::Sender) was made.
    pub(super) fn sender_made(&self) {
        self.lock().senders += 1;
    }

    /// A [`Sender`](super::Sender) was dropped.
    pub(super) fn sender_dropped(&self) {
        let mut inner = self.lock();
        inner.senders -= 1;
        inner.wake_driver(self);
    }

    /// Nobody will receive any more.
    pub(super) fn receiver_dropped(&self) {
        let mut inner = self.lock();
        inner.receiver_gone = true;
        inner.wake_driver(self);
    }
}
