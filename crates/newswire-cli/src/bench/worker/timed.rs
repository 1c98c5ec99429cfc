//! What happens to a connection at a set time: deadlines, messages of a life, its end, slow reads.
//! Open-loop messages are not among it: they belong to no connection until they are due.

use super::super::connection::Failure;
use super::super::plan::Talk;
use super::super::timers::Timer;
use super::{READ_BUFFER, Worker};
use std::io;
use std::time::Duration;

/// How often a slow connection reads, and how much it offers to send each time.
pub(super) const SLOW_TICK: Duration = Duration::from_millis(50);
const SLOW_OFFER: u64 = 1 << 20;

impl Worker<'_> {
    /// Does what is due.
    pub(super) fn handle_timers(&mut self) -> io::Result<()> {
        while let Some((index, generation, timer)) = self.timers.take(self.now) {
            if self.slots[index].generation != generation {
                continue;
            }
            let running = self.now < self.tally.end();
            let Some(connection) = &mut self.slots[index].connection else {
                if timer == Timer::Retry && running {
                    self.open(index)?;
                }
                continue;
            };
            match timer {
                Timer::Closed if connection.is_closing() => {
                    let text = "the server did not close the connection in time".to_owned();
                    self.failed(index, Failure::Ended(text));
                }
                Timer::Handshake if connection.is_opening() => {
                    let text = format!("no handshake within {:?}", self.plan.timeout);
                    self.failed(index, Failure::Ended(text));
                }
                Timer::Message if running && connection.is_open() => {
                    connection.owe(1, self.now);
                    if let Talk::Spread { interval } = self.plan.talk {
                        self.timer(index, generation, Timer::Message, interval);
                    }
                    self.send(index)?;
                }
                Timer::End if running && connection.is_open() => {
                    connection.close();
                    self.timer(index, generation, Timer::Closed, self.plan.timeout);
                    self.send(index)?;
                }
                Timer::SlowRead if connection.is_open() => self.slow_read(index, generation)?,
                Timer::Handshake
                | Timer::Closed
                | Timer::Message
                | Timer::End
                | Timer::SlowRead
                | Timer::Retry => {}
            }
        }
        Ok(())
    }

    /// Reads a little, and offers the server as much as it takes.
    fn slow_read(&mut self, index: usize, generation: u32) -> io::Result<()> {
        self.timer(index, generation, Timer::SlowRead, SLOW_TICK);
        let little = (self.plan.read_rate as f64 * SLOW_TICK.as_secs_f64()).ceil() as usize;
        let little = little.clamp(1, READ_BUFFER);
        let Some(connection) = &mut self.slots[index].connection else {
            return Ok(());
        };
        match connection.receive(
            self.plan,
            &mut self.buffer[..little],
            &mut self.workspace,
            false,
            false,
        ) {
            Ok(received) => {
                connection.take_due(received.replies, |_, _| {});
                self.tally.wire.add(received.wire);
                let requests = self.plan.traffic.requests(connection.window_bits());
                let offer = (SLOW_OFFER / requests.average_len() as u64).max(1);
                let owed = connection.owed();
                connection.owe(offer.saturating_sub(owed), self.now);
                self.send(index)
            }
            Err(failure) => {
                self.failed(index, failure);
                Ok(())
            }
        }
    }
}
