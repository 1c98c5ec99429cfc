//! The connections that a server has open, so that a shutdown reaches all of them.

use super::alarm::Alarm;
use super::clock::Due;
use super::limits::{Limits, Permit, Place as LimitPlace, Refused};
use super::metrics::Metrics;
use crate::transport::Stream;
use crate::websocket::shared::Shared;
use newswire_proto::CloseCode;
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

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
    alarm: OnceLock<Alarm>,
    /// Told when the server begins to shut down.
    #[cfg(feature = "http")]
    closing: Notify,
    pub(super) metrics: Metrics,
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
    /// The server's limits, once a connection has come that is under them, and its place in them,
    /// by its key in `slab`.
    limits: Option<Arc<Limits>>,
    limited: Vec<LimitPlace>,
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

impl Entries {
    fn set_limited(&mut self, key: usize, place: LimitPlace) {
        if place != LimitPlace::NONE && self.limited.len() <= key {
            self.limited.resize(key + 1, LimitPlace::NONE);
        }
        if let Some(limited) = self.limited.get_mut(key) {
            *limited = place;
        }
    }

    /// Takes out what the connection had taken up of the limits.
    fn take_limited(&mut self, key: usize) -> Option<(Arc<Limits>, LimitPlace)> {
        let place = self.limited.get_mut(key)?;
        let place = std::mem::replace(place, LimitPlace::NONE);
        Some((Arc::clone(self.limits.as_ref()?), place))
    }
}

impl Registry {
    pub(super) fn new(metrics: &Metrics) -> Arc<Self> {
        let registry = Arc::new(Self {
            entries: Mutex::default(),
            empty: Notify::new(),
            began: Instant::now(),
            sooner: Notify::new(),
            alarm: OnceLock::new(),
            #[cfg(feature = "http")]
            closing: Notify::new(),
            metrics: metrics.clone(),
        });
        metrics.watch(&registry);
        registry
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }

    /// The clock's alarm, made by the first to ask for it, on whose runtime it is.
    pub(super) fn alarm(&self) -> &Alarm {
        self.alarm.get_or_init(Alarm::new)
    }

    /// Registers a connection that was let in, and whose task is about to be spawned.
    pub(super) fn register(self: &Arc<Self>, permit: Permit) -> Registered {
        let (limits, place) = permit.keep();
        let mut entries = self.lock();
        let key = entries.slab.insert(Entry {
            task: None,
            connection: Weak::new(),
            due: NEVER,
        });
        entries.set_limited(key, place);
        entries.limits.get_or_insert(limits);
        drop(entries);
        Registered {
            key,
            registry: Arc::clone(self),
        }
    }

    /// A connection's place is free again.
    pub(super) fn give_up(&self, key: usize) {
        let mut entries = self.lock();
        if entries.slab.try_remove(key).is_none() {
            return;
        }
        let limited = entries.take_limited(key);
        if entries.slab.is_empty() {
            self.empty.notify_waiters();
        }
        drop(entries);
        if let Some((limits, place)) = limited {
            limits.give_back(place);
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

    /// How many bytes wait to be written.
    pub(super) fn queued_bytes(&self) -> u64 {
        // Not under the lock: a connection that ends takes itself out.
        let connections = self.connections();
        let queued = connections.iter().filter_map(Weak::upgrade);
        queued.map(|it| it.buffered_amount() as u64).sum()
    }

    fn connections(&self) -> Vec<Weak<Shared<Stream>>> {
        let entries = self.lock();
        let connections = entries.slab.iter();
        connections
            .map(|(_, entry)| Weak::clone(&entry.connection))
            .collect()
    }

    /// From now on a handshake is refused, and a connection that opens is closed at once; which
    /// connections there are.
    fn begin_closing(&self) -> Vec<Weak<Shared<Stream>>> {
        self.lock().closing = true;
        #[cfg(feature = "http")]
        self.closing.notify_waiters();
        self.connections()
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

/// How often some connections are closed when that is spread over a time.
const STEP: Duration = Duration::from_millis(20);

/// Closes every connection with 1001, evenly over the time of `spread`.
async fn close_all(connections: &[Weak<Shared<Stream>>], spread: Duration) {
    let steps = (spread.as_nanos() / STEP.as_nanos()).clamp(1, connections.len().max(1) as u128);
    let steps = steps as usize;
    let began = Instant::now();
    for step in 0..steps {
        // The first are closed now, and the last a step before the time is over.
        let share = |step| step * connections.len() / steps;
        for connection in &connections[share(step)..share(step + 1)] {
            if let Some(connection) = connection.upgrade() {
                // An error means that it is closing already.
                let _ = connection.begin_close(CloseCode::GOING_AWAY, "".into());
            }
        }
        if step + 1 < steps {
            sleep_until(began + spread.mul_f64((step + 1) as f64 / steps as f64)).await;
        }
    }
}

/// Closes everything, spread over a time, waits for the end, and cuts what has not ended `limit`
/// after that time.
pub(super) async fn shut_down(
    registries: &[Arc<Registry>],
    spread: Duration,
    limit: Duration,
) -> Shutdown {
    let open = registries.iter().map(|each| each.len()).sum();
    let connections: Vec<_> = registries
        .iter()
        .flat_map(|each| each.begin_closing())
        .collect();
    let emptied = async {
        for registry in registries {
            registry.emptied().await;
        }
    };
    let mut emptied = pin!(emptied);
    let mut closing = pin!(close_all(&connections, spread));
    let nobody_is_left = poll_fn(|cx| {
        if closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        emptied.as_mut().poll(cx).map(|()| true)
    });
    if nobody_is_left.await {
        return Shutdown { open, cut: 0 };
    }
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

    /// The connection is charged to the address of its client, which is only known now.
    ///
    /// # Errors
    /// Which limit that address has reached.
    pub(super) fn charge(&self, ip: IpAddr) -> Result<(), Refused> {
        let mut entries = self.registry.lock();
        let limits = entries.limits.clone();
        let place = entries.limited.get(self.key).copied();
        let (Some(limits), Some(place)) = (limits, place) else {
            return Ok(());
        };
        let place = limits.charge(place, ip, Instant::now())?;
        entries.set_limited(self.key, place);
        Ok(())
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.registry.metrics
    }

    /// Whether the server is shutting down.
    pub(super) fn is_closing(&self) -> bool {
        self.registry.lock().closing
    }

    /// Ready when the server shuts down.
    #[cfg(feature = "http")]
    pub(super) fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let registry = Arc::clone(&self.registry);
        async move {
            // Made before the look, so that it misses nothing that comes after.
            let begun = registry.closing.notified();
            if !registry.lock().closing {
                begun.await;
            }
        }
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
        self.registry.metrics.websocket_opened();
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
