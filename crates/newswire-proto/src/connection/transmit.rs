//! What waits to be written: small frames copied together, large payloads by reference, all
//! of it handed out for one vectored write. What the frames say is not known here.

use crate::frame::{FrameHeader, OpCode};
use crate::mask::Mask;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

/// Payloads from this length on are kept by reference instead of being copied.
///
/// Measured with echo over loopback: 16 KiB is better referenced than copied. Where exactly the
/// line runs was not measured.
pub(super) const REFERENCE_FROM: usize = 8 * 1024;

/// A drained prefix of the copied bytes longer than this is given back before it is all
/// written, so that a slow reader's queue does not grow by what it has already read.
const COMPACT_FROM: usize = 64 * 1024;

/// The bytes that a connection wants written, as a [`Buf`], and the memory that they are in.
///
/// Write some of [`chunks_vectored`](Buf::chunks_vectored) (or of [`chunk`](Buf::chunk)) and
/// [`advance`](Buf::advance) by what was written.
///
/// A connection has one only while something waits. A driver may lend it an empty one before a
/// send and take it back when all is written, so that connections share their memory:
/// [`Connection::lend_transmit`](super::Connection::lend_transmit).
#[derive(Debug, Default)]
pub struct Transmit {
    copied: Vec<u8>,
    referenced: VecDeque<Referenced>,
    /// How much of `copied` is already written.
    position: usize,
    /// Bytes still to write, copied and referenced ones.
    remaining: usize,
    /// Bytes ever written, wrapping.
    written: u32,
    /// The end, in copied bytes and in references, of what was queued when a write was last
    /// cut short: a frame's end, the first place where another frame may be put in between.
    begun: (usize, usize),
    /// Where in `copied` the pongs stand of which not all is written, 0 to 0 when there are none.
    pongs: Range<usize>,
    /// The payload of the newest ping, when too many pongs wait for it to be answered.
    pub(super) unanswered_ping: Option<Box<[u8]>>,
}

/// Bytes that go out when `at` bytes of `copied` have.
#[derive(Debug)]
struct Referenced {
    at: usize,
    bytes: Bytes,
}

impl Transmit {
    /// Queues a whole message without a mask, copying its payload of less than 64 KiB.
    #[inline]
    pub(super) fn copy(&mut self, opcode: OpCode, payload: &[u8]) {
        let first = 0x80 | opcode as u8;
        let header_len = if payload.len() < 126 {
            self.copied.extend_from_slice(&[first, payload.len() as u8]);
            2
        } else {
            let [high, low] = (payload.len() as u16).to_be_bytes();
            self.copied.extend_from_slice(&[first, 126, high, low]);
            4
        };
        self.copied.extend_from_slice(payload);
        self.remaining += header_len + payload.len();
    }

    /// Queues a frame, copying its payload, and masking the copy when the header says so.
    pub(super) fn frame(&mut self, header: FrameHeader, payload: &[u8]) {
        let before = self.copied.len();
        header.write(&mut self.copied);
        match header.masking_key {
            None => self.copied.extend_from_slice(payload),
            Some(key) => Mask::new(key).copy(payload, &mut self.copied),
        }
        self.remaining += self.copied.len() - before;
    }

    /// Queues a frame whose payload is already as it travels and is kept by reference.
    pub(super) fn frame_by_reference(&mut self, header: FrameHeader, payload: Bytes) {
        let before = self.copied.len();
        header.write(&mut self.copied);
        let at = self.copied.len();
        self.remaining += at - before + payload.len();
        self.referenced.push_back(Referenced { at, bytes: payload });
    }

    /// Queues a frame that is already as it travels.
    pub(super) fn whole_frame(&mut self, frame: Bytes) {
        self.remaining += frame.len();
        if frame.len() < REFERENCE_FROM {
            self.copied.extend_from_slice(&frame);
        } else {
            let at = self.copied.len();
            self.referenced.push_back(Referenced { at, bytes: frame });
        }
    }

    /// How many bytes of pongs wait.
    pub(super) fn pongs_len(&self) -> usize {
        self.pongs.end - self.pongs.start.max(self.position).min(self.pongs.end)
    }

    /// Puts a pong before everything of which nothing is written yet, behind the pongs that
    /// are already there.
    pub(super) fn pong(&mut self, payload: &[u8], masking_key: Option<[u8; 4]>) {
        let header = FrameHeader::new(OpCode::Pong, payload.len() as u64, masking_key);
        let end = self.copied.len();
        self.frame(header, payload);
        let len = self.copied.len() - end;
        let (at, index) = if self.pongs.is_empty() {
            self.pongs = self.begun.0..self.begun.0;
            self.begun
        } else {
            let at = self.pongs.end;
            (at, self.referenced.partition_point(|r| r.at < at))
        };
        self.copied[at..].rotate_right(len);
        for referenced in self.referenced.range_mut(index..) {
            referenced.at += len;
        }
        self.pongs.end += len;
        if self.begun.0 > at {
            self.begun.0 += len;
        }
    }

    /// Whether there is something to write, if only the answer to a remembered ping.
    #[inline]
    pub(super) fn wants_write(&self) -> bool {
        self.remaining > 0 || self.unanswered_ping.is_some()
    }

    /// How many bytes were ever written, wrapping.
    pub(super) fn written(&self) -> u32 {
        self.written
    }

    /// How many bytes of memory it holds for copies.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.copied.capacity()
    }

    /// Where the copied bytes from `position` on are interrupted, or end.
    fn copied_until(&self) -> usize {
        match self.referenced.front() {
            Some(next) => next.at,
            None => self.copied.len(),
        }
    }

    #[inline]
    fn reset(&mut self) {
        self.copied.clear();
        if !self.referenced.is_empty() {
            self.referenced.clear();
        }
        self.position = 0;
        self.begun = (0, 0);
        self.pongs = 0..0;
    }

    /// Gives back the memory of what is written, once it is worth moving the rest.
    fn compact(&mut self) {
        let gone = self.position;
        if gone < COMPACT_FROM || gone < self.copied.len() / 2 {
            return;
        }
        self.copied.drain(..gone);
        for referenced in &mut self.referenced {
            referenced.at -= gone;
        }
        self.position = 0;
        self.begun.0 -= gone;
        self.pongs.start = self.pongs.start.saturating_sub(gone);
        self.pongs.end = self.pongs.end.saturating_sub(gone);
    }
}

impl Buf for Transmit {
    #[inline]
    fn remaining(&self) -> usize {
        self.remaining
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        match self.referenced.front() {
            Some(next) if next.at == self.position => &next.bytes,
            _ => &self.copied[self.position..self.copied_until()],
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
        for next in &self.referenced {
            if !put(&self.copied[position..next.at]) || !put(&next.bytes) {
                return count;
            }
            position = next.at;
        }
        put(&self.copied[position..]);
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
        self.written = self.written.wrapping_add(count as u32);
        if self.remaining == 0 {
            return self.reset();
        }
        while count > 0 {
            let until = self.copied_until();
            if until > self.position {
                let step = count.min(until - self.position);
                self.position += step;
                count -= step;
            } else if let Some(next) = self.referenced.front_mut() {
                let step = count.min(next.bytes.len());
                next.bytes.advance(step);
                count -= step;
                if next.bytes.is_empty() {
                    self.referenced.pop_front();
                    self.begun.1 = self.begun.1.saturating_sub(1);
                }
            }
        }
        if self.position >= self.pongs.end {
            self.pongs = 0..0;
        }
        if self.position >= self.begun.0 && self.begun.1 == 0 {
            self.begun = (self.copied.len(), self.referenced.len());
        }
        self.compact();
    }
}
