//! The one deadline of a connection and what its passing means. No clock is read here: the
//! driver is told how long to wait, and says when it has waited.

use crate::config::Config;
use std::time::Duration;

/// Bytes that must arrive between two checks for a frame in the making to count as alive.
const LEAST_PROGRESS: u32 = 1024;

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

/// How long to wait.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// Until the next look at whether the peer is alive.
    IdleCheck,
    /// For the closing handshake.
    Close,
}

#[derive(Debug)]
pub(super) struct Timers {
    /// A time to wait that the driver has not been told yet.
    start: Option<Wait>,
    closing: bool,
    silent_checks: u8,
    stalled_checks: u8,
    /// Bytes received since the last check.
    received: u32,
    /// [`Seen::written`] at the last check.
    written: u32,
}

impl Timers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            start: config.idle_check().map(|_| Wait::IdleCheck),
            closing: false,
            silent_checks: 0,
            stalled_checks: 0,
            received: 0,
            written: 0,
        }
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.start.is_some()
    }

    #[inline]
    pub(super) fn take(&mut self, config: &Config) -> Option<Duration> {
        match self.start.take()? {
            Wait::IdleCheck => config.idle_check(),
            Wait::Close => Some(config.close_limit()),
        }
    }

    #[inline]
    pub(super) fn received(&mut self, len: usize) {
        self.received = self.received.saturating_add(len as u32);
    }

    /// The closing handshake has begun: from here on only its own deadline counts.
    pub(super) fn begin_closing(&mut self) {
        if !self.closing {
            self.closing = true;
            self.start = Some(Wait::Close);
        }
    }

    /// The time has passed: what does that mean?
    pub(super) fn expired(&mut self, config: &Config, seen: Seen) -> Expired {
        if self.closing {
            return Expired::Close;
        }
        self.start = config.idle_check().map(|_| Wait::IdleCheck);
        let least = if seen.inside_frame { LEAST_PROGRESS } else { 1 };
        let silent = seen.reading && self.received < least;
        let stalled = seen.unwritten && self.written == seen.written;
        self.silent_checks = if silent {
            self.silent_checks.saturating_add(1)
        } else {
            0
        };
        self.stalled_checks = if stalled {
            self.stalled_checks.saturating_add(1)
        } else {
            0
        };
        self.received = 0;
        self.written = seen.written;
        if self.stalled_checks >= 2 {
            Expired::Write
        } else if self.silent_checks >= 2 {
            Expired::Idle
        } else if silent {
            Expired::SendPing
        } else {
            Expired::Nothing
        }
    }
}
