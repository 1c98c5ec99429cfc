//! One thread's share of the connections, driven by one epoll loop: opens them, and acts upon what
//! comes. What happens at a set time is in [`timed`], open-loop messages in [`open_loop`], the end
//! of the run in [`end`]. No printing here, and no bytes of the protocol.

mod end;
mod open_loop;
mod timed;

use super::compression::Workspace;
use super::connection::{Connection, Failure};
use super::plan::{Life, Plan, Talk};
use super::shared::{Shared, nanos};
use super::socket::cannot_connect;
use super::tally::Tally;
use super::timers::{Timer, Timers};
use end::End;
use mio::{Events, Interest, Poll, Token};
use open_loop::OpenLoop;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use timed::SLOW_TICK;

/// Read at once at most.
const READ_BUFFER: usize = 512 * 1024;
/// Handshakes at a time in a thread, unless all at once is the point.
const MAX_OPENING: usize = 128;
/// How long a thread sleeps before it looks at what others have decided.
const LOOK_UP: u64 = 20_000_000;
/// How long after a failure a connection is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// A place for a connection, and for the ones that replace it.
#[derive(Debug, Default)]
struct Slot {
    connection: Option<Connection>,
    /// Counts the connections that were here, so that timers of earlier ones are known.
    generation: u32,
    /// Messages that it still sends before it is ready.
    left: u64,
    /// Whether it counts as settled in this round.
    settled: bool,
}

/// A thread of the run.
pub(super) struct Worker<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    /// Which of the threads this is; its connections are every so manyth one.
    index: usize,
    poll: Poll,
    slots: Vec<Slot>,
    timers: Timers,
    buffer: Vec<u8>,
    workspace: Workspace,
    tally: Tally,
    /// Connections that are being opened, and those that have been begun in this round.
    opening: usize,
    begun: usize,
    round: u32,
    round_began: u64,
    open_loop: OpenLoop,
    end: End,
    now: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(plan: &'a Plan, shared: &'a Shared, index: usize) -> io::Result<Self> {
        let count = plan.all() / plan.threads + usize::from(index < plan.all() % plan.threads);
        Ok(Self {
            plan,
            shared,
            index,
            poll: Poll::new()?,
            slots: (0..count).map(|_| Slot::default()).collect(),
            timers: Timers::default(),
            buffer: vec![0; READ_BUFFER],
            workspace: Workspace::default(),
            tally: Tally::default(),
            opening: 0,
            begun: 0,
            round: 0,
            round_began: 0,
            open_loop: OpenLoop::default(),
            end: End::default(),
            now: 0,
        })
    }

    /// Runs to the end; what was measured.
    pub(super) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        self.now = self.shared.now();
        loop {
            if self.shared.stop.load(Relaxed) {
                return Ok(self.tally);
            }
            self.tally.set_window(
                self.shared.begin.load(Relaxed),
                self.shared.end.load(Relaxed),
            );
            if self.now < self.tally.end() {
                self.begin_round();
                self.open_more()?;
                self.send_what_is_due()?;
            } else if self.come_to_an_end()? {
                return Ok(self.tally);
            }
            match self.poll.poll(&mut events, Some(self.nap())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.now = self.shared.now(),
            }
            for event in &events {
                self.drive(event.token().0, event.is_read_closed())?;
            }
            self.handle_timers()?;
        }
    }

    /// How long nothing can happen but on a socket.
    fn nap(&self) -> Duration {
        let mut until = self.now + LOOK_UP;
        until = until.min(self.timers.next()).min(self.awake_from());
        if self.now < self.tally.end() {
            until = until.min(self.tally.end());
        }
        if self.begun < self.slots.len() && self.opening < self.max_opening() {
            until = until.min(self.opens_at(self.begun));
        }
        Duration::from_nanos(until.saturating_sub(self.now))
    }

    /// Drops everything when that has been asked for, to begin anew.
    fn begin_round(&mut self) {
        let round = self.shared.round.load(Relaxed);
        if round == self.round {
            return;
        }
        (self.round, self.round_began) = (round, self.now);
        for index in 0..self.slots.len() {
            self.drop_connection(index);
            self.slots[index].settled = false;
        }
        (self.begun, self.opening) = (0, 0);
    }

    fn max_opening(&self) -> usize {
        if self.plan.storm.is_some() && self.round > 0 || self.plan.counts_handshakes() {
            usize::MAX
        } else {
            MAX_OPENING
        }
    }

    /// When the connection of a slot is opened: evenly over the ramp, which only the first round
    /// has.
    fn opens_at(&self, slot: usize) -> u64 {
        if self.round > 0 || self.plan.ramp.is_zero() {
            return self.round_began;
        }
        let place = (slot * self.plan.threads + self.index) as f64 / self.plan.all() as f64;
        nanos(self.plan.ramp.mul_f64(place))
    }

    fn open_more(&mut self) -> io::Result<()> {
        while self.begun < self.slots.len()
            && self.opening < self.max_opening()
            && self.opens_at(self.begun) <= self.now
        {
            self.open(self.begun)?;
            self.begun += 1;
        }
        Ok(())
    }

    /// Begins to open a slot's connection.
    fn open(&mut self, index: usize) -> io::Result<()> {
        let place = index * self.plan.threads + self.index;
        let source = match self.plan.sources.len() {
            0 => None,
            sources => Some(self.plan.sources[place % sources]),
        };
        let slot = &mut self.slots[index];
        slot.generation += 1;
        let generation = slot.generation;
        self.opening += 1;
        match Connection::open(self.plan, source, self.now) {
            Ok(mut connection) => {
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(
                    connection.stream.source(),
                    Token(index),
                    interest,
                )?;
                slot.connection = Some(connection);
                self.timer(index, generation, Timer::Handshake, self.plan.timeout);
            }
            Err(error) => {
                let text = cannot_connect(self.plan, &error);
                self.failed(index, Failure::Ended(text));
            }
        }
        Ok(())
    }

    fn timer(&mut self, slot: usize, generation: u32, timer: Timer, after: Duration) {
        self.timers.set(
            self.now.saturating_add(nanos(after)),
            slot,
            generation,
            timer,
        );
    }

    /// A connection may have something to read, or room to write.
    fn drive(&mut self, index: usize, end_is_near: bool) -> io::Result<()> {
        let slow = self.is_slow(index);
        let Some(connection) = &mut self.slots[index].connection else {
            return Ok(());
        };
        // A slow one reads when its time has come; its handshake is as fast as any.
        if !slow || !connection.is_open() {
            let received = connection.receive(
                self.plan,
                &mut self.buffer,
                &mut self.workspace,
                true,
                end_is_near,
            );
            self.now = self.shared.now();
            match received {
                Ok(received) => {
                    if received.opened {
                        self.opened(index);
                    }
                    if received.replies > 0 {
                        self.tally.wire.add(received.wire);
                        self.replied(index, received.replies);
                    }
                    if received.closed {
                        return self.closed(index);
                    }
                }
                Err(failure) => {
                    self.failed(index, failure);
                    return Ok(());
                }
            }
        }
        self.send(index)
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        if let Some(connection) = &mut self.slots[index].connection
            && let Err(failure) = connection.send(self.plan)
        {
            self.failed(index, failure);
        }
        // A connection that is dropped as soon as it is open.
        if self.plan.life == (Life::Instant { close: false }) {
            let open = |connection: &Connection| connection.is_open();
            if self.slots[index].connection.as_ref().is_some_and(open) {
                return self.closed(index);
            }
        }
        Ok(())
    }

    /// A connection is open: what it does now.
    fn opened(&mut self, index: usize) {
        self.opening -= 1;
        self.shared.opened.fetch_add(1, Relaxed);
        self.shared.open.fetch_add(1, Relaxed);
        self.shared.last_opened_at.fetch_max(self.now, Relaxed);
        let (slow, now) = (self.is_slow(index), self.now);
        let slot = &mut self.slots[index];
        let generation = slot.generation;
        let Some(connection) = &mut slot.connection else {
            return;
        };
        self.tally
            .handshake(connection.started, now, self.plan.counts_handshakes());
        self.tally.deflate = self.tally.deflate.or(connection.deflate());
        let mut ready = true;
        if slow {
            self.timer(index, generation, Timer::SlowRead, SLOW_TICK);
        } else {
            match self.plan.talk {
                Talk::Closed { in_flight } => connection.owe(in_flight, now),
                Talk::Once { messages } if messages > 0 => {
                    slot.left = messages;
                    connection.owe(1, now);
                    ready = false;
                }
                Talk::Spread { interval } => {
                    self.timer(index, generation, Timer::Message, interval / 2);
                }
                Talk::Nothing | Talk::Once { .. } | Talk::Open { .. } => {}
            }
        }
        match self.plan.life {
            Life::Instant { close: true } => {
                if let Some(connection) = &mut self.slots[index].connection {
                    connection.close();
                }
                self.timer(index, generation, Timer::Closed, self.plan.timeout);
            }
            Life::Limited(lifetime) => self.timer(index, generation, Timer::End, lifetime),
            Life::Lasting | Life::Instant { close: false } => {}
        }
        if ready {
            self.settle(index);
        }
    }

    /// Whatever became of its first connection, the run need not wait for this slot any more.
    fn settle(&mut self, index: usize) {
        if !std::mem::replace(&mut self.slots[index].settled, true) {
            self.shared.settled.fetch_add(1, Relaxed);
        }
    }

    fn replied(&mut self, index: usize, count: u64) {
        let slow = self.is_slow(index);
        let (now, tally) = (self.now, &mut self.tally);
        let slot = &mut self.slots[index];
        let Some(connection) = &mut slot.connection else {
            return;
        };
        connection.take_due(count, |due, count| {
            if !slow {
                tally.replies(due, now, count);
            }
        });
        if slow {
            return;
        }
        self.shared.messages.fetch_add(count, Relaxed);
        match self.plan.talk {
            Talk::Closed { .. } if now < tally.end() && connection.is_open() => {
                connection.owe(count, now);
            }
            Talk::Once { .. } => {
                slot.left = slot.left.saturating_sub(count);
                if slot.left > 0 {
                    connection.owe(1, now);
                } else {
                    self.settle(index);
                }
            }
            _ => {}
        }
    }

    /// A connection has ended as it should: another one takes its place where that is the load.
    fn closed(&mut self, index: usize) -> io::Result<()> {
        self.drop_connection(index);
        if self.plan.life != Life::Lasting && self.now < self.tally.end() {
            return self.open(index);
        }
        Ok(())
    }

    fn drop_connection(&mut self, index: usize) {
        if let Some(mut connection) = self.slots[index].connection.take() {
            // Fails only for a socket that is not registered, and all are.
            let _ = self.poll.registry().deregister(connection.stream.source());
            if connection.is_open() || connection.is_closing() {
                self.shared.open.fetch_sub(1, Relaxed);
            } else {
                self.opening = self.opening.saturating_sub(1);
            }
        }
    }

    fn failed(&mut self, index: usize, failure: Failure) {
        match failure {
            Failure::Wrong(text) => self.shared.fail(format!("wrong echo: {text}")),
            Failure::Ended(text) => {
                // A connection that never came to be is no longer being opened either.
                if self.slots[index].connection.is_none() {
                    self.opening -= 1;
                }
                if let Some(connection) = &mut self.slots[index].connection {
                    let unanswered = connection.unanswered();
                    let (now, tally) = (self.now, &mut self.tally);
                    connection.take_due(unanswered, |due, count| tally.lost(due, now, count));
                }
                self.shared.error(|| text);
                self.drop_connection(index);
                self.settle(index);
                if self.plan.life != Life::Lasting {
                    let generation = self.slots[index].generation;
                    self.timer(index, generation, Timer::Retry, RETRY);
                }
            }
        }
    }

    fn is_slow(&self, index: usize) -> bool {
        index * self.plan.threads + self.index >= self.plan.connections
    }
}
