//! What the threads of a run tell each other: the clock, when the time that counts begins and
//! ends, and counters for the progress line. Nothing here waits.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A time that has not been set.
pub(super) const NEVER: u64 = u64::MAX;

/// The state of a run. Times are nanoseconds since it was made. All counters stand alone: no
/// thread concludes from one of them what another one says, so relaxed order is enough.
#[derive(Debug)]
pub(super) struct Shared {
    base: Instant,
    /// When all connections were ready and open-loop messages begin to be due.
    pub(super) ready_at: AtomicU64,
    /// The time that counts.
    pub(super) begin: AtomicU64,
    pub(super) end: AtomicU64,
    /// Everybody stops at once.
    pub(super) stop: AtomicBool,
    /// The user wants to see what there is.
    pub(super) interrupted: AtomicBool,
    /// How many times all connections have been dropped.
    pub(super) round: AtomicU32,
    /// Connections that are open now.
    pub(super) open: AtomicU64,
    /// Connections that were opened, ever.
    pub(super) opened: AtomicU64,
    /// Connections that are ready or have failed, ever; a failure of a ready one is not added.
    pub(super) settled: AtomicU64,
    /// When the last connection was opened.
    pub(super) last_opened_at: AtomicU64,
    /// Replies, ever.
    pub(super) messages: AtomicU64,
    /// Connections that failed and replies that never came.
    pub(super) errors: AtomicU64,
    first_error: Mutex<Option<String>>,
    fatal: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            ready_at: NEVER.into(),
            begin: NEVER.into(),
            end: NEVER.into(),
            stop: false.into(),
            interrupted: false.into(),
            round: 0.into(),
            open: 0.into(),
            opened: 0.into(),
            settled: 0.into(),
            last_opened_at: 0.into(),
            messages: 0.into(),
            errors: 0.into(),
            first_error: Mutex::new(None),
            fatal: Mutex::new(None),
        }
    }

    pub(super) fn now(&self) -> u64 {
        nanos(self.base.elapsed())
    }

    /// Counts an error; the first one's text is kept.
    pub(super) fn error(&self, text: impl FnOnce() -> String) {
        self.errors_at_once(1, text);
    }

    /// Counts several of a kind.
    pub(super) fn errors_at_once(&self, count: u64, text: impl FnOnce() -> String) {
        self.errors.fetch_add(count, Relaxed);
        let mut first = lock(&self.first_error);
        if first.is_none() {
            *first = Some(text());
        }
    }

    /// Ends the run: what was measured is worth nothing.
    pub(super) fn fail(&self, text: String) {
        lock(&self.fatal).get_or_insert(text);
        self.stop.store(true, Relaxed);
    }

    pub(super) fn first_error(&self) -> Option<String> {
        lock(&self.first_error).clone()
    }

    pub(super) fn fatal(&self) -> Option<String> {
        lock(&self.fatal).clone()
    }
}

fn lock(text: &Mutex<Option<String>>) -> std::sync::MutexGuard<'_, Option<String>> {
    // A text is whole whenever the lock is free.
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
