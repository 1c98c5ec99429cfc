//! The connections that a server has open, so that a shutdown reaches all of them.

use super::clock::Due;
use crate::transport::Stream;
use crate::websocket::shared::Shared;
use newswire_proto::CloseCode;
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Connections that were open when the shutdown began.
    pub open: usize,
    /// How many of them did not end in time and were cut.
    pub cut: usize,
}

#[derive(Debug)]
pub(super) struct Registry {
    entries: Mutex<Entries>,
    /// Told when the last connection has ended.
    empty: Notify,
    /// When it was made: what alarms are counted from.
    pub(super) began: Instant,
    /// Told when there is an alarm before all others.
    pub(super) sooner: Notify,
}

#[derive(Default)]
pub(super) struct Entries {
    closing: bool,
    /// The time to close is over too.
    cut: bool,
    /// A task waits for the next alarm.
    pub(super) ticks: bool,
    /// When the next alarm goes off, or earlier.
    pub(super) next_due: Option<Due>,
    slab: Slab<Entry>,
}

struct Entry {
    task: Option<AbortHandle>,
    connection: Weak<Shared<Stream>>,
    /// When its alarm goes off, if one is set.
    due: Due,
}

/// No alarm is set.
const NEVER: Due = Due::MAX;

impl Entries {
    /// Sets the alarm of a connection; whether it is before all others.
    pub(super) fn set_due(&mut self, place: u32, due: Due) -> bool {
        if let Some(entry) = self.slab.get_mut(place as usize) {
            entry.due = due;
        }
        let is_next = self.next_due.is_none_or(|next| due < next);
        if is_next {
            self.next_due = Some(due);
        }
        is_next
    }

    /// The connections whose alarms go off until `now`, which are not set any more.
    pub(super) fn take_due(&mut self, now: Due) -> Vec<Arc<Shared<Stream>>> {
        let mut connections = Vec::new();
        let mut next = NEVER;
        for (_, entry) in &mut self.slab {
            if entry.due <= now {
                entry.due = NEVER;
                connections.extend(entry.connection.upgrade());
            }
            next = next.min(entry.due);
        }
        self.next_due = (next != NEVER).then_some(next);
        connections
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("closing", &self.closing)
            .field("len", &self.slab.len())
            .finish()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            empty: Notify::new(),
            began: Instant::now(),
            sooner: Notify::new(),
        }
    }
}

impl Registry {
    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }

    /// Registers a connection whose task is about to be spawned.
    pub(super) fn register(self: &Arc<Self>) -> Registered {
        Registered {
            key: self.lock().slab.insert(Entry {
                task: None,
                connection: Weak::new(),
                due: NEVER,
            }),
            registry: Arc::clone(self),
        }
    }

    /// A connection's place is free again.
    pub(super) fn give_up(&self, key: usize) {
        let mut entries = self.lock();
        entries.slab.try_remove(key);
        if entries.slab.is_empty() {
            self.empty.notify_waiters();
        }
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.lock().slab.len()
    }

    /// Waits until there is no connection.
    pub(super) async fn emptied(&self) {
        loop {
            // Made before the look, so that it misses nothing that comes after.
            let empty = self.empty.notified();
            if self.len() == 0 {
                return;
            }
            empty.await;
        }
    }

    /// Closes every connection with 1001; how many there were.
    fn begin_closing(&self) -> usize {
        let mut entries = self.lock();
        entries.closing = true;
        let open = entries.slab.len();
        let connections: Vec<_> = entries
            .slab
            .iter()
            .filter_map(|(_, entry)| entry.connection.upgrade())
            .collect();
        // Not under the lock: a connection that ends takes itself out.
        drop(entries);
        for connection in connections {
            // An error means that it is closing already.
            let _ = connection.begin_close(CloseCode::GOING_AWAY, "".into());
        }
        open
    }

    /// Cuts the connections that are left; how many there are.
    fn cut(&self) -> usize {
        let mut entries = self.lock();
        entries.cut = true;
        for (_, entry) in &entries.slab {
            if let Some(task) = &entry.task {
                task.abort();
            }
        }
        entries.slab.len()
    }
}

/// Closes everything, waits for the end, and cuts what has not ended after `limit`.
pub(super) async fn shut_down(registries: &[Arc<Registry>], limit: Duration) -> Shutdown {
    let open = registries.iter().map(|each| each.begin_closing()).sum();
    let emptied = async {
        for registry in registries {
            registry.emptied().await;
        }
    };
    // The connections keep the same limit for themselves; a moment more lets them.
    let _ = timeout(limit.saturating_add(Duration::from_millis(500)), emptied).await;
    let cut = registries.iter().map(|each| each.cut()).sum();
    Shutdown { open, cut }
}

/// Where a connection's task is told, which may have ended by then.
pub(super) struct Place {
    key: usize,
    registry: Arc<Registry>,
}

impl Place {
    /// The task that was spawned for the connection.
    pub(super) fn set_task(self, task: AbortHandle) {
        let mut entries = self.registry.lock();
        if entries.cut {
            task.abort();
        } else if task.is_finished() {
            // By now the place may be another's.
        } else if let Some(entry) = entries.slab.get_mut(self.key) {
            entry.task = Some(task);
        }
    }
}

/// A connection's place in the registry, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    key: usize,
    registry: Arc<Registry>,
}

impl Registered {
    pub(super) fn place(&self) -> Place {
        Place {
            key: self.key,
            registry: Arc::clone(&self.registry),
        }
    }

    /// Whether the server is shutting down.
    pub(super) fn is_closing(&self) -> bool {
        self.registry.lock().closing
    }

    /// The handshake is done: from now on a shutdown closes the connection with 1001, and it is
    /// the end of its task that gives up the place.
    pub(super) fn opened(mut self, connection: &Arc<Shared<Stream>>) {
        let key = std::mem::replace(&mut self.key, GIVEN_ON);
        let mut entries = self.registry.lock();
        if let Some(entry) = entries.slab.get_mut(key) {
            entry.connection = Arc::downgrade(connection);
        }
        let closing = entries.closing;
        drop(entries);
        connection.set_clock(Arc::clone(&self.registry) as _, key as u32);
        if closing {
            let _ = connection.begin_close(CloseCode::GOING_AWAY, "".into());
        }
    }
}

/// No key: the place belongs to another.
const GIVEN_ON: usize = usize::MAX;

impl Drop for Registered {
    fn drop(&mut self) {
        if self.key != GIVEN_ON {
            self.registry.give_up(self.key);
        }
    }
}
