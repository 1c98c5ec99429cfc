//! What a user wants of permessage-deflate: one mode, and a few knobs beside it. What came of it
//! with a particular peer is in `params.rs`.

/// The windows that DEFLATE and RFC 7692 know: 2⁸ to 2¹⁵ bytes.
pub(super) const MAX_WINDOW_BITS: u8 = 15;
/// The smallest window that the compressor works with. What it writes there does not look back
/// further than 250 bytes, so it is right for a window of 2⁸ bytes as well.
pub(super) const LEAST_WINDOW_BITS: u8 = 9;

/// How messages are compressed, and what a connection keeps for it.
///
/// All modes speak the same extension with any peer; they trade memory for time and ratio.
///
/// | | memory of a connection | of a thread |
/// |---|---|---|
/// | `Shared` | at most `history` bytes for each direction (a client: see there) | about 435 KiB |
/// | `Dedicated` | 134–372 KiB to send, 47 KiB to receive | about 435 KiB |
/// | `Off` | nothing | nothing |
///
/// A direction whose peers agreed on no context takeover keeps nothing in any mode.
///
/// For scale, one core's time for a message of varied JSON, and what is left of its size:
///
/// | | 128 B | 1 KiB | 16 KiB |
/// |---|---|---|---|
/// | `Shared`, 1 KiB, level 1 | 3.1 µs, 46 % | 5.7 µs, 40 % | 41 µs, 37 % |
/// | `Shared`, 1 KiB, level 6 | 6.9 µs, 43 % | 16 µs, 28 % | 168 µs, 23 % |
/// | `Shared`, 2 KiB, level 6 | 7.9 µs, 40 % | 17 µs, 26 % | 176 µs, 23 % |
/// | `Dedicated`, largest, level 1 | 0.5 µs, 40 % | 4.0 µs, 35 % | 43 µs, 35 % |
/// | `Dedicated`, largest, level 6 | 5.1 µs, 33 % | 19 µs, 24 % | 230 µs, 22 % |
/// | no context takeover, level 6 | 7.4 µs, 85 % | 14 µs, 37 % | 162 µs, 24 % |
///
/// Inflating takes 0.4, 3 and 20 µs in all of them.
///
/// These are times of one connection at a time, whose stream is in the processor's cache. Where
/// many connections take turns, 372 KiB for each are in none, and the search goes through a whole
/// window: with a message in flight on each of 50, `Shared` at level 6 echoes two and a half to
/// four times as many as `Dedicated` for the same CPU (`bench/results/deflate.md`). And a connection that
/// sends several messages before another does finds the shared compressor as it left it: until
/// then `Shared` takes the time of `Dedicated`, at its ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// The connections of a thread share its compressor and its inflater
    /// ([`SharedCodec`](super::SharedCodec)). A connection keeps only the last bytes that went
    /// through them, and each message begins with those as the dictionary.
    Shared {
        /// How many bytes to keep for each direction. 1024 to 4096 are good values; more costs
        /// about 1 µs for each KiB and message. 16 KiB at level 9 makes messages about as small as
        /// `Dedicated` at level 6. 0 is no context takeover.
        ///
        /// A server holds its clients to it: it answers `client_max_window_bits` (rounded down
        /// to a power of two, and at least 2⁹) to those that offer the parameter, and
        /// `client_no_context_takeover` to the others. A client cannot ask that of servers
        /// without losing some of them: what it receives can make it keep up to 32 KiB.
        history: usize,
        /// 1 (fast) to 9 (small); others are taken as the nearest.
        level: u8,
    },
    /// A compressor and an inflater for each connection, made when the first message is
    /// compressed. The best ratio, and at level 1 the fastest for small messages.
    Dedicated {
        /// The compressor's window, 9 to 15; others are taken as the nearest. The memory for it
        /// is 2^(`window_bits` + 2) bytes.
        window_bits: u8,
        /// 1 to 9; others are taken as the nearest. The memory for it is
        /// 7 · 2^(`mem_level` + 6) bytes.
        mem_level: u8,
        /// 1 (fast) to 9 (small); others are taken as the nearest.
        level: u8,
    },
    /// The extension is neither offered nor accepted.
    Off,
}

impl Compression {
    /// [`Shared`](Self::Shared) with 2 KiB of history and level 6.
    #[must_use]
    pub const fn shared() -> Self {
        Self::Shared {
            history: 2048,
            level: 6,
        }
    }

    /// [`Dedicated`](Self::Dedicated) with the largest window, memory level 8 and level 6.
    #[must_use]
    pub const fn dedicated() -> Self {
        Self::Dedicated {
            window_bits: MAX_WINDOW_BITS,
            mem_level: 8,
            level: 6,
        }
    }

    /// The compression level, within bounds.
    pub(super) fn level(self) -> u8 {
        match self {
            Self::Shared { level, .. } | Self::Dedicated { level, .. } => level.clamp(1, 9),
            Self::Off => 1,
        }
    }

    /// The largest window that this end compresses with.
    pub(super) fn window_bits(self) -> u8 {
        match self {
            Self::Dedicated { window_bits, .. } => {
                window_bits.clamp(LEAST_WINDOW_BITS, MAX_WINDOW_BITS)
            }
            Self::Shared { .. } | Self::Off => MAX_WINDOW_BITS,
        }
    }

    /// Whether nothing is to be kept between messages.
    pub(super) fn keeps_nothing(self) -> bool {
        matches!(self, Self::Shared { history: 0, .. } | Self::Off)
    }
}

/// What this end wants of permessage-deflate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    pub(super) compression: Compression,
    pub(super) min_size: usize,
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            compression: Compression::shared(),
            min_size: 64,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
        }
    }
}

impl DeflateConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How to compress. Default: [`Compression::shared`].
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The size in bytes under which a message travels uncompressed. Default: 64.
    #[must_use]
    pub const fn min_size(mut self, bytes: usize) -> Self {
        self.min_size = bytes;
        self
    }

    /// Whether the server forgets each message once it is sent (RFC 7692 §7.1.1.1). Default:
    /// false. A client asks for it, a server does it for every client.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, on: bool) -> Self {
        self.server_no_context_takeover = on;
        self
    }

    /// Whether the client forgets each message once it is sent (RFC 7692 §7.1.1.2). Default:
    /// false. A server demands it of every client, a client does it with every server.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, on: bool) -> Self {
        self.client_no_context_takeover = on;
        self
    }

    /// Whether the extension is offered and accepted at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.compression, Compression::Off)
    }
}
