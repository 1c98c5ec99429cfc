//! What a thread's connections share: the streams, and the memory that their output goes through.
//! Only here and in the two directions' files is zlib-rs known. What stays here of a connection
//! between two calls is of use to itself only, and may be gone when it comes again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use zlib_rs::{Deflate, DeflateFlush, Inflate};

use super::compressor::DeflateForm;
use super::config::LEAST_WINDOW_BITS;

/// The steps in which output is made. It goes through initialised memory that is used again and
/// again, so that none is zeroed for each message and the caller's grows by what really came.
const STEP: usize = 16 * 1024;

/// The memory level of the shared compressors: measured, less is hardly faster for small
/// messages and compresses large ones worse.
const MEM_LEVEL: u8 = 8;

/// The compressor and the inflater that the connections of a thread share, one at a time.
///
/// Make one for each thread and lend it with each call. It makes its streams when they are first
/// needed: a compressor of 371 KiB for each window that was negotiated (nearly always one, at
/// most seven), an inflater of 47 KiB, and 16 KiB to write through. [`memory`](Self::memory) says
/// how much it is.
///
/// No message can refer to another connection's: the streams are reset when another connection
/// comes, and what a peer refers to beyond its own history is an error.
pub struct SharedCodec {
    /// No other codec of this process has it.
    id: u64,
    turns: u64,
    /// By window bits, from 9 on.
    compressors: [Option<SharedCompressor>; 7],
    inflater: Option<Inflate>,
    step: Box<[u8]>,
}

struct SharedCompressor {
    stream: Deflate,
    level: u8,
    /// The last time that it was lent.
    turn: Turn,
}

/// One use of one shared compressor; no other is equal. Who comes back with the last one finds
/// its own messages still in the window, and nothing behind them. The default is no use at all.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Turn {
    codec: u64,
    number: u64,
}

/// The next codec's number.
static CODECS: AtomicU64 = AtomicU64::new(1);

impl SharedCodec {
    /// A codec without any stream yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: CODECS.fetch_add(1, Ordering::Relaxed),
            turns: 0,
            compressors: [const { None }; 7],
            inflater: None,
            step: vec![0; STEP].into_boxed_slice(),
        }
    }

    /// How many bytes of memory it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        let compressors = (LEAST_WINDOW_BITS..).zip(&self.compressors);
        let compressors = compressors.filter_map(|(bits, stream)| stream.as_ref().map(|_| bits));
        compressors
            .map(|bits| compressor_memory(bits, MEM_LEVEL))
            .sum::<usize>()
            + self.inflater.as_ref().map_or(0, |_| INFLATER_MEMORY)
            + self.step.len()
    }

    /// A compressor for messages of this form that knows these last bytes and nothing else of
    /// anybody, and the step buffer. If nobody had it since `last`, it knows all that was said
    /// until then, and there is nothing to make it forget or learn.
    pub(super) fn compressor(
        &mut self,
        form: DeflateForm,
        history: &[u8],
        last: Turn,
    ) -> (Turn, &mut Deflate, &mut [u8]) {
        self.turns += 1;
        let turn = Turn {
            codec: self.id,
            number: self.turns,
        };
        let DeflateForm { window_bits, level } = form;
        let slot = &mut self.compressors[usize::from(window_bits - LEAST_WINDOW_BITS)];
        let shared = slot.get_or_insert_with(|| SharedCompressor {
            stream: new_compressor(window_bits, MEM_LEVEL, level),
            level,
            turn,
        });
        if last != shared.turn {
            shared.stream.reset();
            if shared.level != level {
                shared
                    .stream
                    .set_level(i32::from(level))
                    .expect("a stream that was just reset takes any level");
                shared.level = level;
            }
            remember(&mut shared.stream, history);
        }
        shared.turn = turn;
        (turn, &mut shared.stream, &mut self.step)
    }

    /// An inflater that knows nothing but these last bytes, and the step buffer.
    pub(super) fn inflater(&mut self, history: &[u8]) -> (&mut Inflate, &mut [u8]) {
        let stream = self.inflater.get_or_insert_with(new_inflater);
        stream.reset(false);
        if !history.is_empty() {
            stream
                .set_dictionary(history)
                .expect("raw DEFLATE takes a dictionary at any time");
        }
        (stream, &mut self.step)
    }

    /// The step buffer, for a stream of a connection's own.
    pub(super) fn step(&mut self) -> &mut [u8] {
        &mut self.step
    }
}

impl Default for SharedCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SharedCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCodec")
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

/// A compressor of raw DEFLATE, with a window of 9 to 15 bits and levels from 1 to 9.
pub(super) fn new_compressor(window_bits: u8, mem_level: u8, level: u8) -> Deflate {
    Deflate::new_with_config(zlib_rs::DeflateConfig {
        level: i32::from(level),
        // Negative is raw: without a header and a checksum.
        window_bits: -i32::from(window_bits),
        mem_level: i32::from(mem_level),
        ..Default::default()
    })
}

/// An inflater of raw DEFLATE. Its window is always the largest one, since a smaller one would
/// take as much memory.
pub(super) fn new_inflater() -> Inflate {
    Inflate::new(false, 15)
}

/// What zlib-rs allocates for a compressor: two windows, the chains of one, a hash table, and
/// buffers by the memory level.
pub(super) const fn compressor_memory(window_bits: u8, mem_level: u8) -> usize {
    (4 << window_bits) + (128 << 10) + (7 << (mem_level + 6)) + (7 << 9)
}

/// What zlib-rs allocates for an inflater.
pub(super) const INFLATER_MEMORY: usize = 47 << 10;

/// Makes a compressor look back at bytes that it did not compress. To DEFLATE a dictionary is but
/// what came before, and it may follow every flush.
pub(super) fn remember(stream: &mut Deflate, bytes: &[u8]) {
    if !bytes.is_empty() {
        stream
            .set_dictionary(bytes)
            .expect("a stream that was just reset or flushed takes a dictionary");
    }
}

/// Compresses with a sync flush, all of it, and appends the output.
pub(super) fn compress_into(
    stream: &mut Deflate,
    step: &mut [u8],
    mut input: &[u8],
    output: &mut Vec<u8>,
) {
    loop {
        let before = (stream.total_in(), stream.total_out());
        stream
            .compress(input, step, DeflateFlush::SyncFlush)
            .expect("a stream that was never finished takes more");
        let taken = (stream.total_in() - before.0) as usize;
        let made = (stream.total_out() - before.1) as usize;
        output.extend_from_slice(&step[..made]);
        input = &input[taken..];
        if input.is_empty() && made < step.len() {
            return;
        }
    }
}
