//! Messages on their way out (RFC 7692 §7.2.1). Whether a message is compressed at all is the
//! caller's decision; what came in is not known here.

use std::fmt;

use zlib_rs::Deflate;

use super::TAIL;
use super::codec::{self, SharedCodec, Turn};
use super::config::{Compression, DeflateConfig, LEAST_WINDOW_BITS};
use super::history::History;
use super::params::DeflateParams;
use crate::role::Role;

/// A connection's compressor: what it keeps between the messages that it sends.
///
/// | mode | memory |
/// |---|---|
/// | no context takeover | none |
/// | [`Compression::Shared`] | what was sent so far, at most `history` bytes |
/// | [`Compression::Dedicated`] | 131 KiB + 2^(`window_bits` + 2) + 7 · 2^(`mem_level` + 6): 371 KiB at 15 and 8, 134 KiB at 9 and 1; none before the first message |
pub struct Compressor {
    form: DeflateForm,
    min_size: usize,
    context: Context,
}

/// What later messages may refer to.
enum Context {
    Nothing,
    Shared {
        history: History,
        /// When a shared compressor last stood where this connection does.
        last: Turn,
    },
    Dedicated {
        mem_level: u8,
        stream: Option<Box<Deflate>>,
    },
}

impl Compressor {
    /// The compressor of the end with this role.
    #[must_use]
    pub fn new(config: &DeflateConfig, params: DeflateParams, role: Role) -> Self {
        let (forgets, max_window_bits) = params.of_sender(role);
        let compression = config.compression;
        let context = match compression {
            _ if forgets || compression.keeps_nothing() => Context::Nothing,
            Compression::Dedicated { mem_level, .. } => Context::Dedicated {
                mem_level: mem_level.clamp(1, 9),
                stream: None,
            },
            Compression::Shared { history, .. } => Context::Shared {
                history: History::new(history.min(1 << max_window_bits)),
                last: Turn::default(),
            },
            Compression::Off => Context::Nothing,
        };
        Self {
            form: DeflateForm {
                // What is written with a window of 2⁹ looks back 250 bytes at most, which is
                // right for one of 2⁸ too.
                window_bits: compression
                    .window_bits()
                    .min(max_window_bits)
                    .max(LEAST_WINDOW_BITS),
                level: compression.level(),
            },
            min_size: config.min_size,
            context,
        }
    }

    /// Whether a message of this length is worth compressing.
    #[inline]
    #[must_use]
    pub fn wants(&self, len: usize) -> bool {
        len >= self.min_size
    }

    /// Compresses a whole message and appends what is to travel, with RSV1 set on its first
    /// frame (RFC 7692 §6.1). It must be sent, and in this order: later messages refer to it.
    pub fn compress(&mut self, codec: &mut SharedCodec, message: &[u8], output: &mut Vec<u8>) {
        match &mut self.context {
            // Not by a stream: one that has just been flushed has nothing to say about nothing.
            _ if message.is_empty() => return output.push(EMPTY),
            Context::Nothing => return self.form.compress(codec, message, output),
            Context::Shared { history, last } => {
                let (turn, stream, step) = codec.compressor(self.form, history.as_slice(), *last);
                codec::compress_into(stream, step, message, output);
                history.push(message);
                *last = turn;
            }
            Context::Dedicated { mem_level, stream } => {
                let form = self.form;
                let stream = stream.get_or_insert_with(|| {
                    let new = codec::new_compressor(form.window_bits, *mem_level, form.level);
                    Box::new(new)
                });
                codec::compress_into(stream, codec.step(), message, output);
            }
        }
        strip_tail(output);
    }

    /// The form that [`DeflateForm::compress`] must have used for a message that this
    /// connection is to send instead of compressing it itself.
    #[must_use]
    pub fn form(&self) -> DeflateForm {
        self.form
    }

    /// Takes note of a message that is sent in its [`form`](Self::form): the peer's window
    /// contains it from now on.
    pub fn note_sent(&mut self, message: &[u8]) {
        match &mut self.context {
            Context::Nothing => {}
            Context::Shared { history, last } => {
                history.push(message);
                // No shared compressor has seen this message.
                *last = Turn::default();
            }
            Context::Dedicated {
                stream: Some(stream),
                ..
            } => {
                let window = 1 << self.form.window_bits;
                let last = &message[message.len().saturating_sub(window)..];
                codec::remember(stream, last);
            }
            // A compressor need not know all that it could refer to.
            Context::Dedicated { stream: None, .. } => {}
        }
    }

    /// How many bytes of memory it holds beside its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.context {
            Context::Nothing | Context::Dedicated { stream: None, .. } => 0,
            Context::Shared { history, .. } => history.capacity(),
            Context::Dedicated {
                mem_level,
                stream: Some(_),
            } => codec::compressor_memory(self.form.window_bits, *mem_level),
        }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("form", &self.form)
            .field("min_size", &self.min_size)
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

/// How a message looks that refers to no other: the same bytes for every connection with the
/// same form, so that a message for many is compressed once for each form in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeflateForm {
    pub(super) window_bits: u8,
    pub(super) level: u8,
}

impl DeflateForm {
    /// Compresses a whole message for itself and appends what is to travel.
    pub fn compress(self, codec: &mut SharedCodec, message: &[u8], output: &mut Vec<u8>) {
        if message.is_empty() {
            return output.push(EMPTY);
        }
        let (_, stream, step) = codec.compressor(self, &[], Turn::default());
        codec::compress_into(stream, step, message, output);
        strip_tail(output);
    }
}

/// An empty message: a block that is stored, not final and has no length yet, which the tail
/// gives it.
const EMPTY: u8 = 0x00;

fn strip_tail(output: &mut Vec<u8>) {
    debug_assert!(output.ends_with(&TAIL), "a sync flush ends with it");
    output.truncate(output.len() - TAIL.len());
}
