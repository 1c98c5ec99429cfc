//! The connections that a server has open, so that a shutdown reaches all of them.

use crate::transport::Stream;
use crate::websocket::shared::Shared;
use newswire_proto::CloseCode;
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Connections that were open when the shutdown began.
    pub open: usize,
    /// How many of them did not end in time and were cut.
    pub cut: usize,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Mutex<Entries>,
    /// Told when a closing registry becomes empty.
    empty: Notify,
}

#[derive(Default)]
struct Entries {
    closing: bool,
    slab: Slab<Entry>,
}

#[derive(Default)]
struct Entry {
    task: Option<AbortHandle>,
    connection: Weak<Shared<Stream>>,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("closing", &self.closing)
            .field("len", &self.slab.len())
            .finish()
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }

    /// Registers a connection whose task is about to be spawned.
    pub(super) fn register(self: &Arc<Self>) -> Registered {
        Registered {
            key: self.lock().slab.insert(Entry {
                task: None,
                connection: Weak::new(),
            }),
            registry: Arc::clone(self),
        }
    }

    pub(super) fn set_task(&self, key: usize, task: AbortHandle) {
        // The task may have ended already.
        if let Some(entry) = self.lock().slab.get_mut(key) {
            entry.task = Some(task);
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

    /// Closes everything, waits for the end, and cuts what has not ended after `limit`.
    pub(super) async fn shut_down(&self, limit: Duration) -> Shutdown {
        let open = self.begin_closing();
        let emptied = async {
            while !self.lock().slab.is_empty() {
                self.empty.notified().await;
            }
        };
        // The connections keep the same limit for themselves; a moment more lets them.
        let _ = timeout(limit + Duration::from_millis(500), emptied).await;
        let entries = self.lock();
        for (_, entry) in &entries.slab {
            if let Some(task) = &entry.task {
                task.abort();
            }
        }
        Shutdown {
            open,
            cut: entries.slab.len(),
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
    pub(super) fn key(&self) -> usize {
        self.key
    }

    /// Whether the server is shutting down.
    pub(super) fn is_closing(&self) -> bool {
        self.registry.lock().closing
    }

    /// The handshake is done: from now on a shutdown closes the connection with 1001.
    pub(super) fn opened(&self, connection: &Arc<Shared<Stream>>) {
        let mut entries = self.registry.lock();
        if let Some(entry) = entries.slab.get_mut(self.key) {
            entry.connection = Arc::downgrade(connection);
        }
        let closing = entries.closing;
        drop(entries);
        if closing {
            let _ = connection.begin_close(CloseCode::GOING_AWAY, "".into());
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut entries = self.registry.lock();
        entries.slab.try_remove(self.key);
        if entries.closing && entries.slab.is_empty() {
            self.registry.empty.notify_one();
        }
    }
}
