//! Messages that are due at set times, whatever comes back: the n-th is due n times the interval
//! after the connections were ready, and goes to the next connection in turn.

use super::super::plan::Talk;
use super::super::shared::NEVER;
use super::Worker;
use std::io;
use std::sync::atomic::Ordering::Relaxed;

/// epoll's timeouts are whole milliseconds, so nearer times are waited for awake.
const TOO_SHORT_TO_SLEEP: u64 = 1_000_000;
/// Messages that are handed out before any of them is sent. After a stop there may be many.
const AT_ONCE: u32 = 1024;

/// How far the messages have come.
#[derive(Debug, Default)]
pub(super) struct OpenLoop {
    /// Messages of this thread that have been due.
    due: u64,
    /// The connection that got the last one.
    turn: usize,
    /// Connections that have something to send; empty between turns.
    to_send: Vec<usize>,
}

impl Worker<'_> {
    /// When the next message of this thread is due.
    fn next_due(&self) -> u64 {
        let Talk::Open { rate } = self.plan.talk else {
            return NEVER;
        };
        let ready_at = self.shared.ready_at.load(Relaxed);
        if ready_at == NEVER {
            return NEVER;
        }
        // The threads take turns, so that their messages are not due at the same times.
        let number =
            u128::from(self.open_loop.due) * self.plan.threads as u128 + self.index as u128;
        let after = number * 1_000_000_000 / u128::from(rate);
        ready_at.saturating_add(u64::try_from(after).unwrap_or(NEVER))
    }

    /// Until when this thread may sleep.
    pub(super) fn awake_from(&self) -> u64 {
        match self.next_due() {
            due if due < self.tally.end() => due.saturating_sub(TOO_SHORT_TO_SLEEP),
            _ => NEVER,
        }
    }

    /// Hands the messages that are due to the connections in turn, and sends them.
    pub(super) fn send_what_is_due(&mut self) -> io::Result<()> {
        for _ in 0..AT_ONCE {
            let due = self.next_due();
            if due > self.now || due >= self.tally.end() {
                break;
            }
            let Some(index) = self.next_open() else {
                break;
            };
            self.open_loop.due += 1;
            if let Some(connection) = &mut self.slots[index].connection {
                if connection.owed() == 0 {
                    self.open_loop.to_send.push(index);
                }
                connection.owe(1, due);
            }
        }
        while let Some(index) = self.open_loop.to_send.pop() {
            self.send(index)?;
        }
        Ok(())
    }

    /// The next ordinary connection that is open, in turn.
    fn next_open(&mut self) -> Option<usize> {
        for _ in 0..self.slots.len() {
            let turn = (self.open_loop.turn + 1) % self.slots.len();
            self.open_loop.turn = turn;
            let connection = self.slots[turn].connection.as_ref();
            if connection.is_some_and(|c| c.is_open()) && !self.is_slow(turn) {
                return Some(turn);
            }
        }
        None
    }
}
