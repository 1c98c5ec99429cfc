//! What goes between the thread that owns a socket and the one that does its I/O: tasks one way,
//! messages and the wish to close the other. Nothing here knows what a task does.

use super::WebSocket;
use newswire_proto::{CloseCode, CloseFrame, Message, Utf8Bytes};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::Notify;

/// What an empty message counts for in the limit of what waits to be dispatched.
const TASK_SIZE: usize = 64;

/// A task of the standard's WebSocket task source, or one that another thread has asked for.
pub(super) enum Task {
    /// The connection is established.
    Open {
        extensions: String,
        protocol: String,
    },
    Message(Message),
    /// The closing handshake is started.
    Closing,
    Closed(End),
    Posted(Posted),
}

pub(super) type Posted = Box<dyn FnOnce(&WebSocket) + Send>;

/// How a connection has ended.
#[derive(Debug)]
pub(super) struct End {
    /// "the user agent was required to fail the WebSocket connection".
    pub(super) failed: bool,
    pub(super) was_clean: bool,
    pub(super) code: CloseCode,
    pub(super) reason: Utf8Bytes,
    /// For people, never for scripts.
    pub(super) why: Option<String>,
}

impl End {
    /// The connection is lost, or was given up: there was no Close frame.
    pub(super) fn abnormal(failed: bool, why: impl Into<String>) -> Self {
        Self {
            failed,
            was_clean: false,
            // RFC 6455 §7.1.5: "If _The WebSocket Connection is Closed_ and no Close control frame
            // was received by the endpoint […], _The WebSocket Connection Close Code_ is
            // considered to be 1006."
            code: CloseCode::ABNORMAL,
            reason: Utf8Bytes::default(),
            why: Some(why.into()),
        }
    }
}

/// What the I/O has to do next.
pub(super) enum Command {
    /// Send these, in this order.
    Send(VecDeque<Message>),
    /// Send a Close frame behind them.
    Close(CloseFrame),
}

/// What waits to be sent.
enum Outgoing {
    Message(Message),
    /// A place that is kept for what is still being read.
    Awaited(u64),
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    /// The bytes of the messages among the tasks, and [`TASK_SIZE`] for each.
    waiting: usize,
    outbox: VecDeque<Outgoing>,
    last_awaited: u64,
    close: Option<CloseFrame>,
    /// Drop the connection at once.
    cut: bool,
    /// Received messages are of no use any more.
    deaf: bool,
    /// The owner is gone.
    abandoned: bool,
    /// The last task of the connection was queued.
    ended: bool,
    /// More was written than the owner knows of.
    progress: bool,
    /// The owner was told that there is something to do.
    told: bool,
    remotes: usize,
    waker: Option<Arc<dyn Fn() + Send + Sync>>,
}

pub(super) struct Channel {
    state: Mutex<State>,
    /// Something has changed for whoever waits in [`wait`](Self::wait).
    changed: Condvar,
    commands: Notify,
    cut: Notify,
    room: Notify,
    /// How many bytes of messages the network has taken.
    transmitted: AtomicU64,
    max_waiting: usize,
}

impl Channel {
    pub(super) fn new(max_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            commands: Notify::new(),
            cut: Notify::new(),
            room: Notify::new(),
            transmitted: AtomicU64::new(0),
            max_waiting,
        })
    }

    /// Changes the state, and tells the owner when that has given it something to do.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        let has_work = !state.tasks.is_empty() || state.progress;
        let waker = if has_work && !mem::replace(&mut state.told, has_work) {
            state.waker.clone()
        } else {
            None
        };
        drop(state);
        self.changed.notify_all();
        if let Some(wake) = waker {
            wake();
        }
        result
    }
}

/// The owner's side.
impl Channel {
    /// How many tasks wait. What comes later is worth telling the owner of.
    pub(super) fn begin_dispatch(&self) -> usize {
        let mut state = self.state.lock();
        state.told = false;
        state.progress = false;
        state.tasks.len()
    }

    pub(super) fn next_task(&self) -> Option<Task> {
        let mut state = self.state.lock();
        let task = state.tasks.pop_front()?;
        if let Task::Message(message) = &task {
            let was_full = state.waiting > self.max_waiting;
            state.waiting -= message.len() + TASK_SIZE;
            if was_full && state.waiting <= self.max_waiting {
                self.room.notify_one();
            }
        }
        Some(task)
    }

    pub(super) fn transmitted(&self) -> u64 {
        self.transmitted.load(Ordering::Acquire)
    }

    pub(super) fn send(&self, message: Message) {
        let mut state = self.state.lock();
        state.outbox.push_back(Outgoing::Message(message));
        drop(state);
        self.commands.notify_one();
    }

    /// Keeps a place behind what was sent before; [`fill`](Self::fill) has to be called for it.
    pub(super) fn send_later(&self) -> u64 {
        let mut state = self.state.lock();
        state.last_awaited += 1;
        let place = state.last_awaited;
        state.outbox.push_back(Outgoing::Awaited(place));
        place
    }

    /// Sends `message` in the place that was kept for it, or gives the place up.
    pub(super) fn fill(&self, place: u64, message: Option<Message>) {
        let mut state = self.state.lock();
        let at = state
            .outbox
            .iter()
            .position(|outgoing| matches!(outgoing, Outgoing::Awaited(id) if *id == place));
        match (at, message) {
            (Some(at), Some(message)) => state.outbox[at] = Outgoing::Message(message),
            (Some(at), None) => {
                state.outbox.remove(at);
            }
            (None, _) => {}
        }
        drop(state);
        self.commands.notify_one();
    }

    /// Sends a Close frame behind what was sent before. What still comes is not wanted.
    pub(super) fn close(&self, frame: CloseFrame) {
        let mut state = self.state.lock();
        state.deaf = true;
        state.close.get_or_insert(frame);
        drop(state);
        self.commands.notify_one();
        self.room.notify_one();
    }

    /// Drops the connection, established or not.
    pub(super) fn cut(&self) {
        self.state.lock().cut = true;
        self.cut.notify_one();
    }

    /// The owner is gone: an established connection says so, one that is not is given up.
    pub(super) fn abandon(&self, established: bool) {
        let tasks = {
            let mut state = self.state.lock();
            state.abandoned = true;
            state.waker = None;
            mem::take(&mut state.tasks)
        };
        // What was posted may own anything, so not under the lock.
        drop(tasks);
        if established {
            // The standard, "make disappear": "Start the WebSocket closing handshake, with the
            // status code to use in the WebSocket Close message being 1001."
            self.close(CloseFrame {
                code: CloseCode::GOING_AWAY,
                reason: Utf8Bytes::default(),
            });
        } else {
            self.cut();
        }
    }

    pub(super) fn set_waker(&self, waker: Option<Arc<dyn Fn() + Send + Sync>>) {
        let old = self.change(|state| {
            state.told = false;
            mem::replace(&mut state.waker, waker)
        });
        drop(old);
    }

    /// Waits until there is something to dispatch; `false` when it is `until` before, or nothing
    /// will ever come.
    pub(super) fn wait(&self, until: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        loop {
            if !state.tasks.is_empty() || state.progress {
                return true;
            }
            if state.ended && state.remotes == 0 {
                return false;
            }
            match until {
                None => self.changed.wait(&mut state),
                Some(until) if Instant::now() >= until => return false,
                Some(until) => {
                    self.changed.wait_until(&mut state, until);
                }
            }
        }
    }
}

/// Other threads' side.
impl Channel {
    pub(super) fn remote_made(&self) {
        self.state.lock().remotes += 1;
    }

    pub(super) fn remote_dropped(&self) {
        self.change(|state| state.remotes -= 1);
    }

    /// Whether the owner is still there to run it.
    pub(super) fn post(&self, posted: Posted) -> bool {
        let refused = self.change(|state| {
            if state.abandoned {
                return Some(posted);
            }
            state.tasks.push_back(Task::Posted(posted));
            None
        });
        refused.is_none()
    }
}

/// The I/O's side.
impl Channel {
    pub(super) fn push(&self, task: Task) {
        let unwanted = self.change(|state| {
            if state.abandoned {
                return Some(task);
            }
            match &task {
                Task::Message(_) if state.deaf => return Some(task),
                Task::Message(message) => state.waiting += message.len() + TASK_SIZE,
                Task::Closed(_) => state.ended = true,
                Task::Open { .. } | Task::Closing | Task::Posted(_) => {}
            }
            state.tasks.push_back(task);
            None
        });
        drop(unwanted);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// The network has taken so many bytes, all in all.
    pub(super) fn set_transmitted(&self, bytes: u64) {
        if self.transmitted.fetch_max(bytes, Ordering::AcqRel) < bytes {
            self.change(|state| state.progress = !state.abandoned);
        }
    }

    /// Waits for the next command. For one caller at a time.
    pub(super) async fn command(&self) -> Command {
        loop {
            if let Some(command) = self.try_command() {
                return command;
            }
            self.commands.notified().await;
        }
    }

    pub(super) fn try_command(&self) -> Option<Command> {
        let mut state = self.state.lock();
        let mut messages = VecDeque::new();
        while let Some(outgoing) = state.outbox.pop_front() {
            match outgoing {
                Outgoing::Message(message) => messages.push_back(message),
                Outgoing::Awaited(_) => {
                    state.outbox.push_front(outgoing);
                    break;
                }
            }
        }
        if !messages.is_empty() {
            return Some(Command::Send(messages));
        }
        // What is still being read goes before the Close frame, too.
        if !state.outbox.is_empty() {
            return None;
        }
        state.close.take().map(Command::Close)
    }

    /// Waits until the connection is to be dropped. For one caller at a time.
    pub(super) async fn until_cut(&self) {
        while !self.state.lock().cut {
            self.cut.notified().await;
        }
    }

    /// Waits until the owner wants to have more messages. For one caller at a time.
    pub(super) async fn until_room(&self) {
        loop {
            {
                let state = self.state.lock();
                if state.deaf || state.waiting <= self.max_waiting {
                    return;
                }
            }
            self.room.notified().await;
        }
    }
}
