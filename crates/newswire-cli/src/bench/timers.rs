//! What is to happen to which connection, and when. Nothing here knows what it means.

use super::shared::NEVER;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The handshake has to be over.
    Handshake,
    /// The close has to be over.
    Closed,
    /// It sends its next message.
    Message,
    /// It closes.
    End,
    /// It reads a little.
    SlowRead,
    /// It is opened anew after a failure.
    Retry,
}

/// Timers by time. They are not taken back: whoever takes one compares the generation.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(u64, usize, u32, Timer)>>);

impl Timers {
    pub(super) fn set(&mut self, at: u64, slot: usize, generation: u32, timer: Timer) {
        self.0.push(Reverse((at, slot, generation, timer)));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> u64 {
        self.0.peek().map_or(NEVER, |Reverse((at, ..))| *at)
    }

    /// The next one that is due.
    pub(super) fn take(&mut self, now: u64) -> Option<(usize, u32, Timer)> {
        if self.next() > now {
            return None;
        }
        let Reverse((_, slot, generation, timer)) = self.0.pop()?;
        Some((slot, generation, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_their_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        timers.set(30, 1, 7, Timer::End);
        timers.set(10, 2, 8, Timer::Message);
        assert_eq!((timers.next(), timers.take(9)), (10, None));
        assert_eq!(timers.take(30), Some((2, 8, Timer::Message)));
        assert_eq!(timers.take(30), Some((1, 7, Timer::End)));
        assert_eq!((timers.take(NEVER), timers.next()), (None, NEVER));
    }
}
