//! The knobs of a connection. Each name here is the name of the setter, of the flag and of
//! the configuration key.

use std::time::Duration;

/// Limits and timeouts of one connection. The defaults are safe on the open internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    max_message_size: usize,
    close_timeout: Duration,
    idle_timeout: Option<Duration>,
    /// `None`: as the idle timeout.
    write_timeout: Option<Option<Duration>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message_size: 64 << 20,
            close_timeout: Duration::from_secs(5),
            idle_timeout: Some(Duration::from_secs(60)),
            write_timeout: None,
        }
    }
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest message that is accepted, in bytes, all its fragments together.
    /// Default: 64 MiB. A larger one ends the connection with code 1009.
    ///
    /// A connection holds at most this much of an incomplete message, and only as much as
    /// has arrived: a declared length reserves nothing.
    #[must_use]
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// How long a closing handshake may take, from the first Close frame sent until the
    /// transport has ended. Default: 5 seconds. Then the connection is cut.
    #[must_use]
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How long a peer may stay silent before the connection is cut. Default: 60 seconds;
    /// `None` switches it off.
    ///
    /// It is checked at every half of this time, so that nothing has to be measured for each
    /// message: a peer that was silent for one half is sent a ping, and one that was silent
    /// for two halves on end is let go, between one and one and a half times the timeout
    /// after its last byte. A peer that trickles a frame (under 1 KiB in a half) counts as
    /// silent.
    #[must_use]
    pub const fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long a peer may leave unread what was sent to it before the connection is cut, from
    /// when the transport takes no more. Default: as long as
    /// [`idle_timeout`](Self::idle_timeout); `None` switches it off.
    ///
    /// It is checked at every half of this time whether anything was written, so the cut comes
    /// between one and one and a half times the timeout after the last byte that was.
    #[must_use]
    pub const fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.write_timeout = Some(timeout);
        self
    }

    pub(crate) const fn message_limit(&self) -> usize {
        self.max_message_size
    }

    /// The close timeout that was set.
    #[must_use]
    pub const fn close_limit(&self) -> Duration {
        self.close_timeout
    }

    /// The write timeout that was set, or the idle timeout in its place.
    #[must_use]
    pub const fn write_limit(&self) -> Option<Duration> {
        match self.write_timeout {
            Some(timeout) => timeout,
            None => self.idle_timeout,
        }
    }

    /// Half of the idle timeout: the time between two checks.
    pub(crate) fn idle_check(&self) -> Option<Duration> {
        self.idle_timeout.map(|timeout| timeout / 2)
    }

    /// Half of the write timeout: the time between two checks while something waits to be written.
    pub(crate) fn write_check(&self) -> Option<Duration> {
        self.write_limit().map(|timeout| timeout / 2)
    }
}
