//! The end of a run: the last replies are waited for, what never came is counted, and the
//! connections are closed as they should be.

use super::super::shared::{NEVER, nanos};
use super::Worker;
use std::io;

/// The longest time for the closing handshakes.
const GOODBYE: u64 = 1_000_000_000;

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    NotYet,
    /// Nothing new is sent.
    Draining,
    /// The connections are being closed until this time.
    Closing { until: u64 },
}

impl Worker<'_> {
    /// Goes on with the end; whether it is over.
    pub(super) fn come_to_an_end(&mut self) -> io::Result<bool> {
        if self.end == End::NotYet {
            self.end = End::Draining;
            let slots = self.slots.iter();
            let open = slots.filter(|s| s.connection.as_ref().is_some_and(|c| c.is_open()));
            self.tally.open = open.count() as u64;
        }
        // A thread that was late still owes what was due before the end: to leave it out would be to
        // leave out the latencies of a bad moment.
        self.send_what_is_due()?;
        let give_up_at = self.tally.end().saturating_add(nanos(self.plan.timeout));
        if self.end == End::Draining && (self.is_drained() || give_up_at <= self.now) {
            self.end = End::Closing {
                until: self.now.saturating_add(GOODBYE),
            };
            self.say_goodbye()?;
        }
        let End::Closing { until } = self.end else {
            return Ok(false);
        };
        Ok(until <= self.now || self.slots.iter().all(|slot| slot.connection.is_none()))
    }

    /// Whether every message has its reply.
    fn is_drained(&self) -> bool {
        let all_sent = self.awake_from() == NEVER || self.tally.open == 0;
        all_sent
            && self.slots.iter().enumerate().all(|(index, slot)| {
                let connection = slot.connection.as_ref();
                self.is_slow(index)
                    || connection.is_none_or(|c| !c.is_open() || c.unanswered() == 0)
            })
    }

    /// Counts what never came, and closes all connections.
    fn say_goodbye(&mut self) -> io::Result<()> {
        let mut lost = 0;
        for index in 0..self.slots.len() {
            let slow = self.is_slow(index);
            let Some(connection) = &mut self.slots[index].connection else {
                continue;
            };
            if slow || !connection.is_open() {
                if !connection.is_closing() {
                    self.drop_connection(index);
                }
                continue;
            }
            let unanswered = connection.unanswered();
            lost += unanswered;
            let (now, tally) = (self.now, &mut self.tally);
            connection.take_due(unanswered, |due, count| tally.lost(due, now, count));
            connection.close();
            self.send(index)?;
        }
        if lost > 0 {
            let timeout = self.plan.timeout;
            self.shared.errors_at_once(lost, || {
                format!("{lost} messages had no reply {timeout:?} after the end")
            });
        }
        Ok(())
    }
}
