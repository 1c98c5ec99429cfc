//! Messages on their way in (RFC 7692 §7.2.2), against a limit that counts while they are
//! inflated. Gathering their pieces and checking their text is the caller's part.

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;
use super::codec::{self, SharedCodec};
use super::config::{Compression, DeflateConfig};
use super::history::History;
use super::params::DeflateParams;
use crate::role::Role;

/// A connection's decompressor: what it keeps between the messages that it receives.
///
/// | mode | memory |
/// |---|---|
/// | no context takeover | none |
/// | [`Compression::Shared`] | what was received so far, at most the peer's window: `history` bytes (512 at least) at a server, 32 KiB at a client unless the server agreed to less |
/// | [`Compression::Dedicated`] | 47 KiB; none before the first message |
pub struct Decompressor {
    context: Context,
}

/// What later messages may refer to.
enum Context {
    Nothing,
    Shared(History),
    Dedicated(Option<Box<Inflate>>),
}

/// The most bytes that a compressed message may have when the message itself may have
/// `max_message_size`. A peer whose compressor stores what does not compress, in small pieces,
/// stays below it.
#[must_use]
pub const fn max_compressed_size(max_message_size: usize) -> usize {
    max_message_size
        .saturating_add(max_message_size / 8)
        .saturating_add(1024)
}

impl Decompressor {
    /// The decompressor of the end with this role.
    #[must_use]
    pub fn new(config: &DeflateConfig, params: DeflateParams, role: Role) -> Self {
        let (forgets, max_window_bits) = params.of_sender(role.peer());
        let context = match config.compression {
            _ if forgets => Context::Nothing,
            Compression::Dedicated { .. } => Context::Dedicated(None),
            // What the peer may refer to, whatever this end would like to keep.
            Compression::Shared { .. } | Compression::Off => {
                Context::Shared(History::new(1 << max_window_bits))
            }
        };
        Self { context }
    }

    /// Inflates a whole message, all its fragments' payload, and appends it.
    ///
    /// Bytes before it in `output` do not count. On an error `output` has the beginning of the
    /// message, never more than `limit` bytes of it.
    ///
    /// # Errors
    ///
    /// [`DecompressError`], after which the peer's messages cannot be read any more: fail the
    /// connection.
    pub fn decompress(
        &mut self,
        codec: &mut SharedCodec,
        payload: &[u8],
        limit: usize,
        output: &mut Vec<u8>,
    ) -> Result<(), DecompressError> {
        if payload.is_empty() {
            // Not a legal form of the empty message, but what some compressors flush for it. The
            // tail alone would be the beginning of a block.
            return Ok(());
        }
        let mut output = Output {
            start: output.len(),
            bytes: output,
            limit,
        };
        match &mut self.context {
            Context::Nothing => {
                let (stream, step) = codec.inflater(&[]);
                inflate(stream, step, payload, &mut output)?;
            }
            Context::Shared(history) => {
                let (stream, step) = codec.inflater(history.as_slice());
                let ended = inflate(stream, step, payload, &mut output)?;
                if ended.is_some() {
                    history.clear();
                }
                history.push(&output.bytes[ended.unwrap_or(output.start)..]);
            }
            Context::Dedicated(stream) => {
                let stream = stream.get_or_insert_with(|| Box::new(codec::new_inflater()));
                inflate(stream, codec.step(), payload, &mut output)?;
            }
        }
        Ok(())
    }

    /// How many bytes of memory it holds beside its own size.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.context {
            Context::Nothing | Context::Dedicated(None) => 0,
            Context::Shared(history) => history.capacity(),
            Context::Dedicated(Some(_)) => codec::INFLATER_MEMORY,
        }
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

/// The caller's memory, and how much of this message may go there.
struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    start: usize,
    limit: usize,
}

impl Output<'_> {
    fn push(&mut self, piece: &[u8]) -> Result<(), DecompressError> {
        let have = self.bytes.len() - self.start;
        let room = self.limit - have;
        if piece.len() > room {
            return Err(DecompressError::TooBig { limit: self.limit });
        }
        if self.bytes.capacity() - self.bytes.len() < piece.len() {
            // A message of one piece gets just what it needs, a longer one at most as much
            // again as has come, and none more than the limit.
            let ahead = have.min(room - piece.len());
            self.bytes.reserve_exact(piece.len() + ahead);
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// Inflates a message. `Some` if the stream came to its end in it: where, in the output, that
/// begins which later messages may refer to.
fn inflate(
    stream: &mut Inflate,
    step: &mut [u8],
    mut payload: &[u8],
    output: &mut Output<'_>,
) -> Result<Option<usize>, DecompressError> {
    let mut ended = None;
    loop {
        let (taken, made, status) = advance(stream, payload, step, InflateFlush::NoFlush)?;
        output.push(&step[..made])?;
        payload = &payload[taken..];
        if status == Status::StreamEnd {
            // RFC 7692 §7.2.3.4 shows a block with BFINAL set, and behind it the empty one that
            // the tail completes: what follows is a stream of its own. Without that empty block
            // there is nothing for the tail to complete.
            stream.reset(false);
            ended = Some(output.bytes.len());
            if payload.is_empty() {
                return Ok(ended);
            }
        } else if payload.is_empty() && made < step.len() {
            break;
        } else if taken == 0 && made == 0 {
            return Err(DecompressError::Corrupt("the inflater is stuck"));
        }
    }
    // RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of
    // the message."
    // They must complete an empty block, and with it a byte. Told to stop where a block ends, the
    // inflater leaves the first byte of the next one alone. And were there bits left of the last
    // octet, which are ones, they would make of that next block a final one or none at all.
    let tail = advance(stream, &PROBE, step, InflateFlush::Block)?;
    if tail == (TAIL.len(), 0, Status::Ok) {
        let next = &PROBE[TAIL.len()..];
        match advance(stream, next, step, InflateFlush::NoFlush)? {
            (len, 0, Status::Ok) if len == next.len() => return Ok(ended),
            // The block that the tail completed was a final one.
            (0, 0, Status::StreamEnd) => {
                stream.reset(false);
                return Ok(Some(output.bytes.len()));
            }
            _ => {}
        }
    }
    Err(DecompressError::Corrupt("the message ends inside a block"))
}

/// The tail, and an empty block.
const PROBE: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff];

/// One step: how much was taken, how much was made, and what came of it.
fn advance(
    stream: &mut Inflate,
    input: &[u8],
    step: &mut [u8],
    flush: InflateFlush,
) -> Result<(usize, usize, Status), DecompressError> {
    let before = (stream.total_in(), stream.total_out());
    let status = stream.decompress(input, step, flush).map_err(|_| {
        let why = stream.error_message();
        DecompressError::Corrupt(why.unwrap_or("not DEFLATE"))
    })?;
    let taken = (stream.total_in() - before.0) as usize;
    let made = (stream.total_out() - before.1) as usize;
    Ok((taken, made, status))
}

/// Why a compressed message could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecompressError {
    /// The message is larger than the limit: close code 1009.
    TooBig {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It is not DEFLATE, ends too early, or refers to what the peer may not refer to: close
    /// code 1007. The text says which.
    Corrupt(&'static str),
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooBig { limit } => write!(f, "the message inflates to more than {limit} bytes"),
            Self::Corrupt(why) => write!(f, "the compressed message is corrupt: {why}"),
        }
    }
}

impl std::error::Error for DecompressError {}
