//! What the connections of a server have moved, and how they ended: plain counters, written by the
//! connections. What else a server counts, and how it is read, is in `server/metrics.rs`.

use super::driver::Ended;
use super::turn::Moved;
use newswire_proto::CloseCode;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads write to counters of their own, as far as there are so many, so that the processors need
/// not pass a cache line around for every turn.
const SHARDS: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
}

/// The codes that RFC 6455 and the IANA registry name, one by one.
const FIRST_NAMED: u16 = 1000;
const NAMED: usize = 16;

/// Counts of one server.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    shards: [Shard; SHARDS],
    /// One for each named code, one for 3000 to 3999, one for 4000 to 4999.
    closed: [AtomicU64; NAMED + 2],
    pub(crate) handlers_failed: AtomicU64,
    pub(crate) handlers_panicked: AtomicU64,
}

/// Messages and bytes, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) messages_received: u64,
    pub(crate) messages_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Which counters this thread writes to.
#[inline]
fn shard() -> usize {
    match SHARD.get() {
        usize::MAX => choose_shard(),
        shard => shard,
    }
}

#[cold]
fn choose_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let shard = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    SHARD.set(shard);
    shard
}

#[inline]
fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

impl Traffic {
    #[inline]
    fn own(&self) -> &Shard {
        &self.shards[shard() % SHARDS]
    }

    #[inline]
    pub(super) fn moved(&self, moved: Moved) {
        let own = self.own();
        add(&own.messages_received, moved.received.into());
        add(&own.messages_sent, moved.sent.into());
    }

    #[inline]
    pub(super) fn read(&self, bytes: usize) {
        add(&self.own().bytes_received, bytes as u64);
    }

    #[inline]
    pub(super) fn wrote(&self, bytes: usize) {
        add(&self.own().bytes_sent, bytes as u64);
    }

    /// A connection has ended with this code.
    pub(super) fn closed(&self, code: CloseCode) {
        if let Some(counter) = self.closed.get(place_of(code)) {
            add(counter, 1);
        }
    }

    /// A handler has ended in a way that its peer was told as 1011.
    pub(super) fn handler_ended(&self, ended: &Ended) {
        match ended {
            Ended::Done => {}
            Ended::Failed(_) => add(&self.handlers_failed, 1),
            Ended::Panicked => add(&self.handlers_panicked, 1),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            totals.messages_received += shard.messages_received.load(Ordering::Relaxed);
            totals.messages_sent += shard.messages_sent.load(Ordering::Relaxed);
            totals.bytes_received += shard.bytes_received.load(Ordering::Relaxed);
            totals.bytes_sent += shard.bytes_sent.load(Ordering::Relaxed);
        }
        totals
    }

    /// How many connections have ended with this code, or with one of the same thousand from 3000
    /// on.
    pub(crate) fn closed_with(&self, code: CloseCode) -> u64 {
        let counter = self.closed.get(place_of(code));
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How many connections have ended.
    pub(crate) fn closed_in_all(&self) -> u64 {
        let counts = self.closed.iter();
        counts.map(|counter| counter.load(Ordering::Relaxed)).sum()
    }
}

/// Where a code is counted. There are no others: what may not travel is never received.
fn place_of(code: CloseCode) -> usize {
    match code.0 {
        3000..=3999 => NAMED,
        4000..=4999 => NAMED + 1,
        code => usize::from(code.wrapping_sub(FIRST_NAMED)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Traffic, place_of};
    use newswire_proto::CloseCode;

    #[test]
    fn every_code_that_may_travel_and_every_other_end_has_a_counter() {
        let traffic = Traffic::default();
        let mut counted = 0;
        for code in (0..=u16::MAX).map(CloseCode) {
            let never_sent = [CloseCode::NO_STATUS, CloseCode::ABNORMAL].contains(&code);
            if code.may_travel() || never_sent {
                traffic.closed(code);
                counted += 1;
                assert!(traffic.closed_with(code) > 0, "{code}");
            }
        }
        assert_eq!(traffic.closed_in_all(), counted);
        assert_eq!(traffic.closed_with(CloseCode(1000)), 1);
        assert_eq!(traffic.closed_with(CloseCode(4321)), 1000);
        assert!(place_of(CloseCode(999)) > traffic.closed.len());
    }

    #[test]
    fn threads_count_together() {
        let traffic = Traffic::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| traffic.read(3));
            }
        });
        assert_eq!(traffic.totals().bytes_received, 120);
    }
}
