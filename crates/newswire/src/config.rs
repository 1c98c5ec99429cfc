//! The knobs of clients and servers: those of a connection, and those of what surrounds it.

#[cfg(feature = "deflate")]
use crate::compression::with_codec;
use crate::rate::Rate;
use newswire_proto as proto;
#[cfg(feature = "deflate")]
use newswire_proto::deflate::DeflateConfig;
use newswire_proto::handshake::HeadLimits;
use std::sync::Arc;
use std::time::Duration;

/// Limits and timeouts. The defaults are safe on the open internet. A peer can make a connection
/// hold at most one message that nobody has received, one read (256 KiB), and what is queued.
///
/// | knob | default | worst-case memory |
/// |---|---|---|
/// | [`max_message_size`](Self::max_message_size) | 64 MiB | that much a connection, as it arrives |
/// | [`max_buffered`](Self::max_buffered) | 1 MiB | that much a connection, plus one message |
/// | [`max_head_size`](Self::max_head_size) | 16 KiB | that much a handshake |
/// | [`max_headers`](Self::max_headers) | 100 | – |
/// | [`handshake_timeout`](Self::handshake_timeout) | 10 s | – |
/// | [`close_timeout`](Self::close_timeout) | 5 s | – |
/// | [`idle_timeout`](Self::idle_timeout) | 60 s | – |
/// | [`write_timeout`](Self::write_timeout) | as `idle_timeout` | – |
/// | [`max_message_rate`](Self::max_message_rate) | none | – |
/// | [`max_receive_rate`](Self::max_receive_rate) | none | – |
/// | `deflate` (feature `deflate`) | shared, 2 KiB | see `Compression` |
///
/// ```
/// use newswire::Config;
///
/// let config = Config::new().max_message_size(1 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) connection: Arc<proto::Config>,
    pub(crate) head: HeadLimits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_buffered: usize,
    pub(crate) message_rate: Option<Rate>,
    pub(crate) receive_rate: Option<Rate>,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: DeflateConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connection: Arc::default(),
            head: HeadLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            max_buffered: 1024 * 1024,
            message_rate: None,
            receive_rate: None,
            #[cfg(feature = "deflate")]
            deflate: DeflateConfig::default(),
        }
    }
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn connection(mut self, change: impl FnOnce(proto::Config) -> proto::Config) -> Self {
        self.connection = Arc::new(change(Arc::unwrap_or_clone(self.connection)));
        self
    }

    /// The largest message that is accepted, in bytes, all its fragments together.
    /// Default: 64 MiB. A larger one ends the connection with code 1009.
    #[must_use]
    pub fn max_message_size(self, bytes: usize) -> Self {
        self.connection(|c| c.max_message_size(bytes))
    }

    /// How long a closing handshake may take before the connection is cut. Default: 5 s.
    #[must_use]
    pub fn close_timeout(self, timeout: Duration) -> Self {
        self.connection(|c| c.close_timeout(timeout))
    }

    /// How long a peer may stay silent before the connection is cut; it is sent a ping at half of
    /// that time, whose round trip is then [`latency`](crate::WebSocket::latency). Default: 60 s,
    /// `None` switches it off. The check is made at every half, so the cut comes between one and
    /// one and a half times the timeout.
    #[must_use]
    pub fn idle_timeout(self, timeout: Option<Duration>) -> Self {
        self.connection(|c| c.idle_timeout(timeout))
    }

    /// How long a peer may leave unread what was sent to it before the connection is cut. Default:
    /// as long as [`idle_timeout`](Self::idle_timeout); `None` switches it off. The cut comes
    /// between one and one and a half times the timeout after the last byte that the transport
    /// took.
    #[must_use]
    pub fn write_timeout(self, timeout: Option<Duration>) -> Self {
        self.connection(|c| c.write_timeout(timeout))
    }

    /// How many messages the peer may send in a second on the long run, and how many of them at
    /// once: each at least 1. Pings and pongs count as messages. Default: as many as it likes.
    /// A peer that sends more is told so with code 1008, and its connection ended.
    ///
    /// ```
    /// use newswire::Config;
    ///
    /// let config = Config::new().max_message_rate(20, 100);
    /// ```
    #[must_use]
    pub const fn max_message_rate(mut self, per_second: u32, burst: u32) -> Self {
        self.message_rate = Some(Rate::new(per_second as u64, burst as u64));
        self
    }

    /// How many bytes the peer may send in a second on the long run, and how many of them at once.
    /// Everything counts that came through the transport. Default: as many as it likes. A peer that
    /// sends more is told so with code 1008, and its connection ended.
    ///
    /// A burst that is smaller than a message that is allowed lets none of that size through.
    #[must_use]
    pub const fn max_receive_rate(mut self, bytes_per_second: u64, burst: u64) -> Self {
        self.receive_rate = Some(Rate::new(bytes_per_second, burst));
        self
    }

    /// How many bytes may wait to be written before `send` waits too. Default: 1 MiB; more than
    /// 4 GiB is as 4 GiB. A message is never split for it, so one message more may be held.
    #[must_use]
    pub const fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes;
        self
    }

    /// Compression (permessage-deflate, RFC 7692). Default: offered and accepted, with the memory
    /// of [`Compression::shared`](crate::Compression::shared).
    ///
    /// ```
    /// use newswire::{Compression, Config, DeflateConfig};
    ///
    /// let off = DeflateConfig::new().compression(Compression::Off);
    /// let config = Config::new().deflate(off);
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: DeflateConfig) -> Self {
        self.deflate = deflate;
        self
    }

    /// The connection with the compression that its opening handshake has found, on these
    /// conditions and with the streams of the thread: for [`WebSocket::new`](crate::WebSocket::new)
    /// after a handshake that was done elsewhere.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_compression(
        &self,
        connection: proto::Connection,
        negotiated: &proto::handshake::Negotiated,
    ) -> proto::Connection {
        match negotiated.deflate() {
            Some(params) => connection.with_deflate(&self.deflate, params, with_codec),
            None => connection,
        }
    }

    /// The largest head of a handshake, in bytes. Default: 16 KiB. A server answers a larger
    /// one with 431, and one that is all request line with 414.
    #[must_use]
    pub const fn max_head_size(mut self, bytes: usize) -> Self {
        self.head.max_bytes = bytes;
        self
    }

    /// How many header lines a handshake may have. Default: 100. A server answers more with
    /// 431.
    #[must_use]
    pub const fn max_headers(mut self, lines: usize) -> Self {
        self.head.max_headers = lines;
        self
    }

    /// How long an opening handshake may take; for a client with the look-up of the host's
    /// name and connecting, for a server from the accepted connection on. Default: 10 s.
    #[must_use]
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }
}
