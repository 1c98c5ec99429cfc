//! The one deadline of a connection and what its passing means. No clock is read here: the
//! driver is told how long to wait, and says when it has waited.

use crate::config::Config;
use std::time::Duration;

/// Bytes that must arrive between two checks for a frame in the making to count as alive.
const LEAST_PROGRESS: u16 = 1024;

/// What the passing of the deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// Nothing: the peer is alive.
    Nothing,
    /// The peer was silent: ask it.
    SendPing,
    /// The peer was silent even when asked.
    Idle,
    /// The peer did not read.
    Write,
    /// The closing handshake took too long.
    Close,
}

/// What the driver and the connection saw until the deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The driver was waiting for the peer's bytes.
    pub(super) reading: bool,
    /// A frame has begun to arrive and has not ended.
    pub(super) inside_frame: bool,
    /// Output is waiting.
    pub(super) unwritten: bool,
    /// Something that changes whenever bytes are written.
    pub(super) written: u32,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The next look at whether the peer is alive.
    Open,
    /// The next look at whether the peer reads, which comes sooner.
    Blocked,
    /// The closing handshake.
    Closing,
}

#[derive(Debug)]
pub(super) struct Timers {
    /// The driver has not been told yet how long to wait.
    start: bool,
    phase: Phase,
    /// Checks on end at which the peer had been silent.
    silent_checks: u8,
    /// Checks on end at which something waited and nothing had been written.
    stalled_checks: u16,
    /// Bytes received since the last check.
    received: u16,
    /// [`Seen::written`] at the last check.
    written: u32,
}

impl Timers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            start: config.idle_check().is_some(),
            phase: Phase::Open,
            silent_checks: 0,
            stalled_checks: 0,
            received: 0,
            written: 0,
        }
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.start
    }

    #[inline]
    pub(super) fn take(&mut self, config: &Config) -> Option<Duration> {
        if !std::mem::take(&mut self.start) {
            return None;
        }
        match self.phase {
            // Without an idle timeout nothing is looked at until the transport takes no more.
            Phase::Open => config.idle_check(),
            Phase::Blocked => config.write_check(),
            Phase::Closing => Some(config.close_limit()),
        }
    }

    #[inline]
    pub(super) fn received(&mut self, len: usize) {
        let len = len.min(usize::from(u16::MAX)) as u16;
        self.received = self.received.saturating_add(len);
    }

    /// The closing handshake has begun: from here on only its own deadline counts.
    pub(super) fn begin_closing(&mut self) {
        if self.phase != Phase::Closing {
            self.phase = Phase::Closing;
            self.start = true;
        }
    }

    /// Whether [`blocked`](Self::blocked) may mean something.
    #[inline]
    pub(super) fn may_block(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The transport takes no more bytes. Where the next check would come too late to notice that
    /// it goes on like this, one is made sooner.
    pub(super) fn blocked(&mut self, config: &Config, written: u32) {
        let sooner = config
            .write_check()
            .is_some_and(|write| config.idle_check().is_none_or(|idle| write < idle));
        if sooner && self.phase == Phase::Open {
            self.phase = Phase::Blocked;
            self.stalled_checks = 0;
            self.written = written;
            self.start = true;
        }
    }

    /// The time has passed: what does that mean?
    pub(super) fn expired(&mut self, config: &Config, seen: Seen) -> Expired {
        match self.phase {
            Phase::Open => self.expired_open(config, seen),
            // A peer that reads is alive, and one that does not is let go sooner than for its
            // silence: here only the writing counts.
            Phase::Blocked => {
                self.start = true;
                if !seen.unwritten {
                    self.phase = Phase::Open;
                    self.start = config.idle_check().is_some();
                    return Expired::Nothing;
                }
                if self.stalled_for(seen) >= 2 {
                    Expired::Write
                } else {
                    Expired::Nothing
                }
            }
            Phase::Closing => Expired::Close,
        }
    }

    fn expired_open(&mut self, config: &Config, seen: Seen) -> Expired {
        self.start = config.idle_check().is_some();
        let least = if seen.inside_frame { LEAST_PROGRESS } else { 1 };
        let silent = seen.reading && self.received < least;
        self.silent_checks = if silent {
            self.silent_checks.saturating_add(1)
        } else {
            0
        };
        self.received = 0;
        let stalled = self.stalled_for(seen);
        if checks_of_write(config).is_some_and(|limit| stalled >= limit) {
            return Expired::Write;
        }
        if self.silent_checks >= 2 {
            return Expired::Idle;
        }
        if seen.unwritten {
            self.blocked(config, seen.written);
        }
        if silent {
            Expired::SendPing
        } else {
            Expired::Nothing
        }
    }

    /// At how many checks on end, this one among them, nothing had been written of what waited.
    fn stalled_for(&mut self, seen: Seen) -> u16 {
        let stalled = seen.unwritten && self.written == seen.written;
        self.stalled_checks = if stalled {
            self.stalled_checks.saturating_add(1)
        } else {
            0
        };
        self.written = seen.written;
        self.stalled_checks
    }
}

/// How many checks of an open connection make up the write timeout, where it is not the shorter.
fn checks_of_write(config: &Config) -> Option<u16> {
    let (write, idle) = (config.write_check()?, config.idle_check()?);
    let checks = (2 * write.as_nanos()).div_ceil(idle.as_nanos().max(1));
    u16::try_from(checks).ok().map(|checks| checks.max(2))
}
