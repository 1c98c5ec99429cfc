//! What a thread counts: replies and handshakes in the time that counts, and how long each took.

use super::compression::Wire;
use super::shared::NEVER;
use hdrhistogram::Histogram;
use newswire::proto::deflate::DeflateParams;

/// The longest latency that is told apart, an hour; three digits of it are kept.
const LONGEST: u64 = 3_600_000_000_000;

/// Counts of one thread, or of all.
#[derive(Debug)]
pub(super) struct Tally {
    begin: u64,
    end: u64,
    /// Replies that came in the time that counts.
    pub(super) messages: u64,
    /// Handshakes that were finished in it.
    pub(super) handshakes: u64,
    /// Messages that were due and never had a reply.
    pub(super) lost: u64,
    /// Connections that were open when it ended.
    pub(super) open: u64,
    /// Nanoseconds from when a message was due to its reply, of those that were due in the time
    /// that counts.
    pub(super) latency: Histogram<u64>,
    /// Nanoseconds from the first packet to the verified response.
    pub(super) handshake: Histogram<u64>,
    /// What the first server that agreed to compression agreed to, and what it made of all
    /// messages, whenever they came back.
    pub(super) deflate: Option<DeflateParams>,
    pub(super) wire: Wire,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST, 3)
                .expect("the lowest value is 1, the highest more than twice that, 3 digits")
        };
        Self {
            begin: NEVER,
            end: NEVER,
            messages: 0,
            handshakes: 0,
            lost: 0,
            open: 0,
            latency: histogram(),
            handshake: histogram(),
            deflate: None,
            wire: Wire::default(),
        }
    }
}

impl Tally {
    /// The time that counts, as far as it is known.
    pub(super) fn set_window(&mut self, begin: u64, end: u64) {
        (self.begin, self.end) = (begin, end);
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn counts(&self, at: u64) -> bool {
        (self.begin..self.end).contains(&at)
    }

    /// Replies to messages that were due at the same time.
    pub(super) fn replies(&mut self, due: u64, now: u64, count: u64) {
        if self.counts(now) {
            self.messages += count;
        }
        if self.counts(due) {
            self.latency
                .saturating_record_n(now.saturating_sub(due), count);
        }
    }

    /// Messages that will have no reply: they took at least until now.
    pub(super) fn lost(&mut self, due: u64, now: u64, count: u64) {
        self.lost += count;
        if self.counts(due) {
            self.latency
                .saturating_record_n(now.saturating_sub(due), count);
        }
    }

    /// A handshake. Its latency is kept whenever it was, unless only those `in_window` are wanted.
    pub(super) fn handshake(&mut self, started: u64, now: u64, in_window: bool) {
        self.handshakes += u64::from(self.counts(now));
        if !in_window || self.counts(now) {
            self.handshake
                .saturating_record(now.saturating_sub(started));
        }
    }

    /// Adds what another thread counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.handshakes += other.handshakes;
        self.lost += other.lost;
        self.open += other.open;
        self.deflate = self.deflate.or(other.deflate);
        self.wire.add(other.wire);
        for (to, from) in [
            (&mut self.latency, &other.latency),
            (&mut self.handshake, &other.handshake),
        ] {
            to.add(from).expect("all have the same bounds");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_when_it_comes_and_its_latency_by_when_it_was_due() {
        let mut tally = Tally::default();
        tally.set_window(100, 200);
        tally.replies(90, 110, 2);
        tally.replies(150, 180, 3);
        tally.replies(190, 260, 4);
        tally.lost(195, 495, 1);
        assert_eq!((tally.messages, tally.lost), (5, 1));
        assert_eq!(tally.latency.len(), 8);
        assert_eq!((tally.latency.min(), tally.latency.max()), (30, 300));
        let mut all = Tally::default();
        all.add(&tally);
        all.add(&tally);
        assert_eq!((all.messages, all.latency.len()), (10, 16));
    }
}
