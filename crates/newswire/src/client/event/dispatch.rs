//! The event loop's part: the owner's thread runs the tasks that wait, one after the other, and
//! only they change what is visible. What goes over the wire is not decided here.

use super::channel::{End, Task};
use super::events::{BinaryType, CloseEvent, Data, Event, MessageEvent, ReadyState};
use super::{Remote, WebSocket};
use newswire_proto::Message;
use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Runs tasks.
impl WebSocket {
    /// Runs the tasks that wait now, calling handlers and listeners, and gives the number of
    /// events that were fired. It never waits. Each call counts as a turn of the event loop, so
    /// that `bufferedAmount` may become less.
    ///
    /// Within a handler it does nothing: the task that is running has to end first.
    pub fn dispatch_pending(&self) -> usize {
        let Some(_turn) = Turn::begin(&self.dispatching) else {
            return 0;
        };
        let mut tasks = self.begin_loop();
        let mut fired = 0;
        loop {
            let event = match self.next.take() {
                Some(event) => Some(event),
                None if tasks == 0 => return fired,
                None => {
                    tasks -= 1;
                    match self.channel.next_task() {
                        Some(task) => self.run_task(task),
                        None => return fired,
                    }
                }
            };
            if let Some(event) = event {
                fired += 1;
                self.target.fire(self, &event);
            }
        }
    }

    /// Runs tasks up to the next event, which handlers and listeners get as well, and gives it;
    /// waits for it for at most `timeout`. `None` when there was none, and after the last.
    ///
    /// Within a handler it gives `None` at once.
    pub fn next_event(&self, timeout: Duration) -> Option<Event> {
        let _turn = Turn::begin(&self.dispatching)?;
        let until = Instant::now().checked_add(timeout);
        loop {
            self.begin_loop();
            while let Some(event) = self.next_now() {
                if let Some(event) = event {
                    self.target.fire(self, &event);
                    return Some(event);
                }
            }
            if !self.channel.wait(until) {
                return None;
            }
        }
    }

    /// `None` when nothing waits, `Some(None)` when a task has fired nothing.
    fn next_now(&self) -> Option<Option<Event>> {
        if let Some(event) = self.next.take() {
            return Some(Some(event));
        }
        let task = self.channel.next_task()?;
        Some(self.run_task(task))
    }

    /// Waits until there is something to dispatch, for ever without a `timeout`. `false` when
    /// the time is over, and when nothing will come any more because the socket is closed.
    #[must_use]
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.next.borrow().is_some() || self.channel.wait(until)
    }

    /// Waits and dispatches until the socket is closed and its `close` event fired.
    ///
    /// Within a handler it returns at once.
    pub fn run(&self) {
        if self.dispatching.get() {
            return;
        }
        while !self.is_over() && self.wait(None) {
            self.dispatch_pending();
        }
    }

    fn is_over(&self) -> bool {
        self.ready_state() == ReadyState::Closed && self.next.borrow().is_none()
    }

    /// Has `waker` called, on any thread, when there is something to dispatch after there was
    /// nothing: to wake a loop that waits for other things too. It is called once until the next
    /// dispatch, and at once when something waits already. `None` removes it. Who takes events one
    /// by one takes them until there is none.
    ///
    /// It runs where the I/O is done: it must not block and must not panic.
    pub fn set_waker(&self, waker: Option<Box<dyn Fn() + Send + Sync>>) {
        self.channel.set_waker(waker.map(Arc::from));
    }

    /// A handle for other threads.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote::new(&self.channel, Some(thread::current().id()))
    }

    /// The event loop's step 1, as of which `bufferedAmount` counts. How many tasks wait.
    fn begin_loop(&self) -> usize {
        let tasks = self.channel.begin_dispatch();
        self.transmitted.set(self.channel.transmitted());
        tasks
    }

    /// What the task changes is visible from here on. Gives the event that it fires.
    fn run_task(&self, task: Task) -> Option<Event> {
        self.transmitted.set(self.channel.transmitted());
        match task {
            // A socket that was closed meanwhile has given the connection up.
            Task::Open { .. } if self.ready_state() != ReadyState::Connecting => None,
            Task::Open {
                extensions,
                protocol,
            } => {
                // "Change the ready state to OPEN (1). Change the extensions attribute's value to
                // the extensions in use […]. Change the protocol attribute's value to the
                // subprotocol in use […]. Fire an event named open at the WebSocket object."
                self.ready_state.set(ReadyState::Open);
                self.extensions.replace(extensions);
                self.protocol.replace(protocol);
                Some(Event::Open)
            }
            // "If ready state is not OPEN (1), then return."
            Task::Message(_) if self.ready_state() != ReadyState::Open => None,
            Task::Message(message) => Some(Event::Message(self.message_event(message))),
            // "When the WebSocket closing handshake is started, the user agent must queue a task
            // to change the ready state to CLOSING (2)."
            Task::Closing => {
                let state = self.ready_state().max(ReadyState::Closing);
                self.ready_state.set(state);
                None
            }
            Task::Closed(end) => Some(self.close_events(end)),
            Task::Posted(posted) => {
                posted(self);
                None
            }
        }
    }

    fn message_event(&self, message: Message) -> MessageEvent {
        MessageEvent {
            data: match (message, self.binary_type()) {
                (Message::Text(text), _) => Data::Text(text),
                (Message::Binary(bytes), BinaryType::Blob) => Data::Blob(bytes),
                (Message::Binary(bytes), BinaryType::ArrayBuffer) => Data::ArrayBuffer(bytes),
            },
            origin: self.origin.clone(),
            last_event_id: String::new(),
        }
    }

    /// "Change the ready state to CLOSED (3). If the user agent was required to fail the WebSocket
    /// connection, or if the WebSocket connection was closed after being flagged as full, fire an
    /// event named error […]. Fire an event named close". Gives the first, the other comes next.
    fn close_events(&self, end: End) -> Event {
        self.ready_state.set(ReadyState::Closed);
        self.failure.replace(end.why);
        let close = Event::Close(CloseEvent {
            was_clean: end.was_clean,
            code: end.code,
            reason: end.reason,
        });
        if !end.failed {
            return close;
        }
        self.next.replace(Some(close));
        Event::Error
    }
}

/// That tasks are being run, until it is dropped.
struct Turn<'a>(&'a Cell<bool>);

impl<'a> Turn<'a> {
    /// `None` within another.
    fn begin(dispatching: &'a Cell<bool>) -> Option<Self> {
        (!dispatching.replace(true)).then(|| Self(dispatching))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
