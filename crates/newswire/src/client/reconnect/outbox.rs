//! [`Outbox`]: what waits to be sent, in order and within bounds, and what else the user's calls and
//! the connection's side tell each other. Nothing is sent here.

use super::Event;
use super::policy::Policy;
use newswire_proto::{CloseCode, CloseFrame, CommandError, Message, Utf8Bytes};
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Takes messages to send, from any task. A message stays here until all of it was handed to the
/// network, so it outlives a connection that is lost before.
#[derive(Clone)]
pub struct Outbox(pub(super) Arc<Mutex<State>>);

/// Why a message was not taken. Holds the message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTaken {
    /// So much waits already that there is no room for it.
    Full(Message),
    /// There will be no further connection.
    Ended(Message),
}

impl NotTaken {
    /// The message.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::Ended(message) => message,
        }
    }
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => {
                "too many messages wait to be sent: wait for a connection, or drop some"
            }
            Self::Ended(_) => "the connection was closed or given up",
        })
    }
}

impl std::error::Error for NotTaken {}

pub(super) struct State {
    queue: VecDeque<Message>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    drop_oldest: bool,
    /// The first one of the queue was given to a connection.
    begun: bool,
    /// How many were handed to the network in full.
    sent: u64,
    dropped: u64,
    /// What the user is told next.
    event: Option<Event>,
    /// How the user wants it to end.
    closing: Option<CloseFrame>,
    ended: bool,
    /// Of the task that drives the connection.
    waker: Option<Waker>,
    /// Of those who wait until nothing is left.
    drainers: Vec<Waker>,
}

/// What the connection's side has to do next.
pub(super) enum Command {
    Send(Message),
    Close(CloseFrame),
}

impl Outbox {
    pub(super) fn new(policy: &Policy) -> Self {
        Self(Arc::new(Mutex::new(State {
            queue: VecDeque::new(),
            bytes: 0,
            max_messages: policy.max_messages,
            max_bytes: policy.max_bytes,
            drop_oldest: policy.drop_oldest,
            begun: false,
            sent: 0,
            dropped: 0,
            event: None,
            closing: None,
            ended: false,
            waker: None,
            drainers: Vec::new(),
        })))
    }

    /// Queues a message. It is written as soon as there is a connection and
    /// [`Reconnecting::recv`](super::Reconnecting::recv) is awaited.
    ///
    /// # Errors
    /// [`NotTaken`] gives the message back.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), NotTaken> {
        let message = message.into();
        let mut state = self.0.lock();
        if state.ended || state.closing.is_some() {
            return Err(NotTaken::Ended(message));
        }
        while !state.has_room(message.len()) {
            if !state.drop_oldest || !state.drop_one() {
                return Err(NotTaken::Full(message));
            }
        }
        state.bytes += message.len();
        state.queue.push_back(message);
        wake(state);
        Ok(())
    }

    /// How many messages wait to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().queue.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes of messages wait to be sent.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// How many messages were handed to the network in full since the beginning. Whether they have
    /// arrived, only an answer can tell.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.lock().sent
    }

    /// Waits until nothing is left to send, or nothing will be sent any more. It does not send:
    /// [`Reconnecting::recv`](super::Reconnecting::recv) has to be awaited beside it.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn drained(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.queue.is_empty() || state.ended {
                return Poll::Ready(());
            }
            if !state
                .drainers
                .iter()
                .any(|waker| waker.will_wake(cx.waker()))
            {
                state.drainers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Begins to close, as [`Reconnecting::close`](super::Reconnecting::close) does, and waits for
    /// nothing: [`Reconnecting::recv`](super::Reconnecting::recv) goes on giving what happens, then
    /// `None`. Nothing is taken any more.
    ///
    /// # Errors
    /// [`CommandError`] for a code or reason that cannot be sent; it goes on then.
    pub fn close(&self, code: CloseCode, reason: impl Into<Utf8Bytes>) -> Result<(), CommandError> {
        let reason = reason.into();
        let frame = match code {
            CloseCode::NO_STATUS if reason.is_empty() => CloseFrame { code, reason },
            code => CloseFrame::new(code, reason)?,
        };
        let mut state = self.0.lock();
        state.closing.get_or_insert(frame);
        wake(state);
        Ok(())
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.lock().closing.is_some()
    }

    /// Nothing is taken any more.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        state.ended = true;
        tell_drainers(state);
    }

    pub(super) fn take_unsent(&self) -> Vec<Message> {
        let mut state = self.0.lock();
        state.bytes = 0;
        state.begun = false;
        let unsent = std::mem::take(&mut state.queue);
        tell_drainers(state);
        unsent.into()
    }

    /// What the user is told next.
    pub(super) fn take_event(&self) -> Option<Event> {
        let mut state = self.0.lock();
        match std::mem::take(&mut state.dropped) {
            0 => state.event.take(),
            messages => Some(Event::Dropped { messages }),
        }
    }

    /// Tells the user. Waits until the user has taken what there was before.
    pub(super) async fn tell(&self, event: Event) {
        let mut event = Some(event);
        poll_fn(|_| {
            let mut state = self.0.lock();
            if state.event.is_some() {
                // Whoever takes it polls here next.
                return Poll::Pending;
            }
            state.event = event.take();
            Poll::Ready(())
        })
        .await;
    }

    /// What is to be done next on a connection.
    pub(super) async fn command(&self) -> Command {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if let Some(message) = state.queue.front() {
                return Poll::Ready(Command::Send(message.clone()));
            }
            match state.closing.clone() {
                Some(frame) => Poll::Ready(Command::Close(frame)),
                None => state.wait(cx),
            }
        })
        .await
    }

    /// Waits until the user wants to close.
    pub(super) async fn until_closing(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            match state.closing {
                Some(_) => Poll::Ready(()),
                None => state.wait(cx),
            }
        })
        .await;
    }

    /// The first message was given to a connection.
    pub(super) fn begin(&self) {
        self.0.lock().begun = true;
    }

    /// All of it was handed to the network.
    pub(super) fn finish(&self) {
        let mut state = self.0.lock();
        state.begun = false;
        state.sent += 1;
        if let Some(message) = state.queue.pop_front() {
            state.bytes -= message.len();
        }
        if state.queue.is_empty() {
            tell_drainers(state);
        }
    }

    /// The connection is lost. Whether the first message had been given to it.
    pub(super) fn give_up(&self) -> bool {
        std::mem::take(&mut self.0.lock().begun)
    }
}

impl State {
    fn has_room(&self, len: usize) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < self.max_messages
                && self.bytes.saturating_add(len) <= self.max_bytes)
    }

    /// Drops the oldest message that no connection has.
    fn drop_one(&mut self) -> bool {
        let Some(oldest) = self.queue.remove(usize::from(self.begun)) else {
            return false;
        };
        self.bytes -= oldest.len();
        self.dropped += 1;
        true
    }

    fn wait<R>(&mut self, cx: &Context<'_>) -> Poll<R> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// Has the connection's side look again. Nobody is woken under the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Nothing is left to wait for.
fn tell_drainers(mut state: MutexGuard<'_, State>) {
    let drainers = std::mem::take(&mut state.drainers);
    drop(state);
    drainers.into_iter().for_each(Waker::wake);
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Outbox")
            .field("len", &state.queue.len())
            .field("bytes", &state.bytes)
            .finish_non_exhaustive()
    }
}
