//! What waits to be written: small frames copied together, large payloads by reference, all
//! of it handed out for one vectored write. What the frames say is not known here.

use crate::frame::{FrameHeader, OpCode};
use crate::mask::Mask;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Payloads from this length on are kept by reference instead of being copied.
///
/// Measured with echo over loopback (`bench/`): below it, one more slice in the vectored
/// write costs more than the copy.
pub(super) const REFERENCE_FROM: usize = 8 * 1024;

/// A drained prefix of the copied bytes longer than this is given back before it is all
/// written, so that a slow reader's queue does not grow by what it has already read.
const COMPACT_FROM: usize = 64 * 1024;

/// The bytes that a connection wants written, as a [`Buf`].
///
/// Write some of [`chunks_vectored`](Buf::chunks_vectored) (or of [`chunk`](Buf::chunk)) and
/// [`advance`](Buf::advance) by what was written.
#[derive(Debug, Default)]
pub struct Transmit {
    buffer: OutputBuffer,
    /// How much of `buffer.copied` is already written.
    position: usize,
    /// Bytes still to write, copied and referenced ones.
    remaining: usize,
    /// Bytes ever written, wrapping.
    written: usize,
    /// The end, in copied bytes and in references, of what was queued when a write was last
    /// cut short: a frame's end, the first place where another frame may be put in between.
    begun: (usize, usize),
    /// The end in `copied` of a pong that is not yet written, 0 when there is none.
    pong_end: usize,
}

/// The memory behind a connection's output. A driver may lend one to whichever connection
/// is about to send, so that an idle connection owns none
/// ([`Connection::swap_output_buffer`](super::Connection::swap_output_buffer)).
#[derive(Debug, Default)]
pub struct OutputBuffer {
    copied: Vec<u8>,
    referenced: VecDeque<Referenced>,
}

/// Bytes that go out when `at` bytes of `copied` have.
#[derive(Debug)]
struct Referenced {
    at: usize,
    bytes: Bytes,
}

impl OutputBuffer {
    /// An empty buffer that owns no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            copied: Vec::new(),
            referenced: VecDeque::new(),
        }
    }

    /// How many bytes it can hold without growing.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.copied.capacity()
    }
}

impl Transmit {
    /// Queues a frame, copying its payload, and masking the copy when the header says so.
    pub(super) fn frame(&mut self, header: FrameHeader, payload: &[u8]) {
        let before = self.buffer.copied.len();
        header.write(&mut self.buffer.copied);
        match header.masking_key {
            None => self.buffer.copied.extend_from_slice(payload),
            Some(key) => Mask::new(key).copy(payload, &mut self.buffer.copied),
        }
        self.remaining += self.buffer.copied.len() - before;
    }

    /// Queues a frame whose payload is already as it travels and is kept by reference.
    pub(super) fn frame_by_reference(&mut self, header: FrameHeader, payload: Bytes) {
        let before = self.buffer.copied.len();
        header.write(&mut self.buffer.copied);
        let at = self.buffer.copied.len();
        self.remaining += at - before + payload.len();
        self.buffer
            .referenced
            .push_back(Referenced { at, bytes: payload });
    }

    /// Whether a pong still waits here, so that another must not be added.
    pub(super) fn holds_pong(&self) -> bool {
        self.pong_end > 0
    }

    /// Puts a pong before everything of which nothing is written yet.
    pub(super) fn pong(&mut self, payload: &[u8], masking_key: Option<[u8; 4]>) {
        debug_assert!(!self.holds_pong());
        let header = FrameHeader::new(OpCode::Pong, payload.len() as u64, masking_key);
        let (at, index) = self.begun;
        let end = self.buffer.copied.len();
        self.frame(header, payload);
        let len = self.buffer.copied.len() - end;
        self.buffer.copied[at..].rotate_right(len);
        for referenced in self.buffer.referenced.range_mut(index..) {
            referenced.at += len;
        }
        self.pong_end = at + len;
    }

    /// How many bytes were ever written, wrapping.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Exchanges the memory, when nothing waits in it.
    pub(super) fn swap_buffer(&mut self, other: &mut OutputBuffer) {
        if self.remaining == 0 {
            std::mem::swap(&mut self.buffer, other);
        }
    }

    /// Where the copied bytes from `position` on are interrupted, or end.
    fn copied_until(&self) -> usize {
        match self.buffer.referenced.front() {
            Some(next) => next.at,
            None => self.buffer.copied.len(),
        }
    }

    fn reset(&mut self) {
        self.buffer.copied.clear();
        self.buffer.referenced.clear();
        self.position = 0;
        self.begun = (0, 0);
        self.pong_end = 0;
    }

    /// Gives back the memory of what is written, once it is worth moving the rest.
    fn compact(&mut self) {
        let gone = self.position;
        if gone < COMPACT_FROM || gone < self.buffer.copied.len() / 2 {
            return;
        }
        self.buffer.copied.drain(..gone);
        for referenced in &mut self.buffer.referenced {
            referenced.at -= gone;
        }
        self.position = 0;
        self.begun.0 -= gone;
        self.pong_end = self.pong_end.saturating_sub(gone);
    }
}

impl Buf for Transmit {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        match self.buffer.referenced.front() {
            Some(next) if next.at == self.position => &next.bytes,
            _ => &self.buffer.copied[self.position..self.copied_until()],
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut position = self.position;
        let mut put = |slice: &'a [u8]| {
            if !slice.is_empty() && count < slices.len() {
                slices[count] = IoSlice::new(slice);
                count += 1;
            }
            count < slices.len()
        };
        for next in &self.buffer.referenced {
            if !put(&self.buffer.copied[position..next.at]) || !put(&next.bytes) {
                return count;
            }
            position = next.at;
        }
        put(&self.buffer.copied[position..]);
        count
    }

    /// # Panics
    /// When `count` is more than [`remaining`](Buf::remaining), as every `Buf` does.
    fn advance(&mut self, mut count: usize) {
        assert!(
            count <= self.remaining,
            "advanced past the end of the output"
        );
        self.remaining -= count;
        self.written = self.written.wrapping_add(count);
        if self.remaining == 0 {
            return self.reset();
        }
        while count > 0 {
            let until = self.copied_until();
            if until > self.position {
                let step = count.min(until - self.position);
                self.position += step;
                count -= step;
            } else if let Some(next) = self.buffer.referenced.front_mut() {
                let step = count.min(next.bytes.len());
                next.bytes.advance(step);
                count -= step;
                if next.bytes.is_empty() {
                    self.buffer.referenced.pop_front();
                    self.begun.1 = self.begun.1.saturating_sub(1);
                }
            }
        }
        if self.position >= self.pong_end {
            self.pong_end = 0;
        }
        if self.position >= self.begun.0 && self.begun.1 == 0 {
            self.begun = (self.buffer.copied.len(), self.buffer.referenced.len());
        }
        self.compact();
    }
}
