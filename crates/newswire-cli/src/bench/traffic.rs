//! The messages of a run, made before it begins: masked frames to send, and what must come back.
//! No socket, no clock and no counting here.

use super::compression;
use super::json::json;
use super::options::Content;
use fastrand::Rng;
use newswire::proto::deflate::SharedCodec;
use newswire::proto::{FrameHeader, Mask, OpCode};
use std::sync::OnceLock;

/// How many different messages take turns: the first that is enough. Primes, so that no batch size
/// hides one of them.
const VARIETIES: [usize; 6] = [7, 17, 67, 131, 521, 1031];
/// What compressed messages are together, if they are not very small: no window reaches back to
/// where one of them was sent before, which would tell of a ratio that nobody else has.
const FORGOTTEN: usize = 64 << 10;
/// Frames that lie next to each other, for one write: as many as fit in here, but one at least.
const RUN_LEN: usize = 1 << 20;
/// The most frames in a row.
const MAX_RUN: usize = 256;

/// Frames to send and frames to expect. Message `n` of any connection is `n` modulo the variety.
#[derive(Debug)]
pub(super) struct Traffic {
    variety: usize,
    opcode: OpCode,
    payload_len: usize,
    /// As a server sends them that neither fragments nor compresses.
    replies: Frames,
    requests: Requests,
}

#[derive(Debug)]
enum Requests {
    Plain(Frames),
    /// By window bits, from [`compression::LEAST_WINDOW_BITS`] on: which of them servers ask for
    /// is known when the first one answers.
    Compressed(Box<[OnceLock<Frames>; compression::WINDOWS]>),
}

impl Traffic {
    /// Messages of random bytes, of printable ASCII, or, to be compressed, of JSON.
    pub(super) fn new(content: Content) -> Self {
        let mut random = Rng::new();
        let size = content.size.as_u64() as usize;
        let opcode = if content.is_text() {
            OpCode::Text
        } else {
            OpCode::Binary
        };
        let variety = if content.compression {
            variety(size)
        } else {
            VARIETIES[0]
        };
        let replies = Frames::new(variety, |number, frames| {
            FrameHeader::new(opcode, size as u64, None).write(frames);
            if content.compression {
                frames.extend_from_slice(&json(size, number as u64));
            } else if content.is_text() {
                frames.extend((0..size).map(|_| random.u8(b' '..=b'~')));
            } else {
                frames.extend((0..size).map(|_| random.u8(..)));
            }
        });
        let mut traffic = Self {
            variety,
            opcode,
            payload_len: size,
            replies,
            requests: Requests::Compressed(Default::default()),
        };
        if content.compression {
            // What nearly every server agrees on is made before the first connection.
            traffic.requests(compression::MOST_WINDOW_BITS);
        } else {
            let plain = Frames::new(variety, |number, frames| {
                masked(opcode, 0, traffic.payload(number as u64), frames);
            });
            traffic.requests = Requests::Plain(plain);
        }
        traffic
    }

    /// The frames of the messages: compressed ones for a server that agreed to this window.
    pub(super) fn requests(&self, window_bits: u8) -> &Frames {
        match &self.requests {
            Requests::Plain(frames) => frames,
            Requests::Compressed(windows) => {
                let least = compression::LEAST_WINDOW_BITS;
                let bits = window_bits.clamp(least, compression::MOST_WINDOW_BITS);
                windows[usize::from(bits - least)].get_or_init(|| self.compressed(bits))
            }
        }
    }

    fn compressed(&self, window_bits: u8) -> Frames {
        let form = compression::form(window_bits);
        let mut codec = SharedCodec::new();
        Frames::new(self.variety, |number, frames| {
            let mut payload = Vec::new();
            form.compress(&mut codec, self.payload(number as u64), &mut payload);
            masked(self.opcode, compression::RSV1, &payload, frames);
        })
    }

    /// What comes back.
    pub(super) fn replies(&self) -> &Frames {
        &self.replies
    }

    /// The payload of message `number`.
    pub(super) fn payload(&self, number: u64) -> &[u8] {
        let frame = self.replies.in_a_row(number, 1);
        &frame[frame.len() - self.payload_len..]
    }

    pub(super) fn opcode(&self) -> OpCode {
        self.opcode
    }
}

/// How many messages of this size are more than compression remembers.
fn variety(size: usize) -> usize {
    let enough = |variety: &usize| variety * size >= FORGOTTEN;
    let [.., most] = VARIETIES;
    match size {
        0 => VARIETIES[0],
        _ => VARIETIES.into_iter().find(enough).unwrap_or(most),
    }
}

/// A client's frame of a whole message.
fn masked(opcode: OpCode, reserved: u8, payload: &[u8], to: &mut Vec<u8>) {
    let key = fastrand::u32(..).to_ne_bytes();
    let header = FrameHeader::new(opcode, payload.len() as u64, Some(key));
    FrameHeader { reserved, ..header }.write(to);
    Mask::new(key).copy(payload, to);
}

/// A frame of each message, end to end and then again from the first: any `run` of them in a row
/// are one slice.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Where each of the different frames begins, and where the last of them ends.
    starts: Vec<usize>,
    /// How long each of them is, when all are as long.
    each: Option<usize>,
    run: usize,
}

impl Frames {
    fn new(variety: usize, mut append: impl FnMut(usize, &mut Vec<u8>)) -> Self {
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        let (mut longest, mut shortest) = (0, usize::MAX);
        for number in 0..variety {
            append(number, &mut bytes);
            let len = bytes.len() - starts[number];
            (longest, shortest) = (longest.max(len), shortest.min(len));
            starts.push(bytes.len());
        }
        let mut frames = Self {
            bytes,
            starts,
            each: (longest == shortest).then_some(longest),
            run: (RUN_LEN / longest).clamp(1, MAX_RUN),
        };
        // So that `run` frames follow each one of the first.
        for number in 0..frames.run {
            let number = number % variety;
            let frame = frames.starts[number]..frames.starts[number + 1];
            frames.bytes.extend_from_within(frame);
        }
        frames
    }

    /// The frames of message `first` and those after it: `count` of them, or as many as lie next
    /// to each other.
    pub(super) fn in_a_row(&self, first: u64, count: u64) -> &[u8] {
        let first = self.place(first);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.run);
        &self.bytes[self.start(first)..self.start(first + count)]
    }

    /// How many whole frames the first `len` bytes from message `first` on are, and how many
    /// bytes of the next one.
    pub(super) fn split(&self, first: u64, len: usize) -> (u64, usize) {
        if let Some(each) = self.each {
            return ((len / each) as u64, len % each);
        }
        let first = self.place(first);
        let end = self.starts[first] + len;
        let (rounds, end) = (end / self.round(), end % self.round());
        let begun = self.starts.partition_point(|start| *start <= end) - 1;
        let whole = rounds * self.variety() + begun - first;
        (whole as u64, end - self.starts[begun])
    }

    /// How long one of them is, on average.
    pub(super) fn average_len(&self) -> usize {
        self.round() / self.variety()
    }

    fn variety(&self) -> usize {
        self.starts.len() - 1
    }

    /// The length of one of each.
    fn round(&self) -> usize {
        self.starts[self.variety()]
    }

    /// Which of the different frames that of this message is.
    fn place(&self, number: u64) -> usize {
        (number % self.variety() as u64) as usize
    }

    fn start(&self, number: usize) -> usize {
        number / self.variety() * self.round() + self.starts[number % self.variety()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytesize::ByteSize;
    use newswire::proto::Role;
    use newswire::proto::deflate::{Decompressor, DeflateParams};

    impl Traffic {
        pub(in crate::bench) fn of(size: usize, text: bool, compression: bool) -> Self {
            Self::new(Content {
                size: ByteSize(size as u64),
                text,
                binary: false,
                compression,
            })
        }
    }

    /// The header and the unmasked payload of a request.
    fn unmasked(request: &[u8]) -> (FrameHeader, Vec<u8>) {
        let (header, len) = FrameHeader::parse(request).unwrap().unwrap();
        let mut payload = request[len..].to_vec();
        Mask::new(header.masking_key.unwrap()).apply(&mut payload);
        assert_eq!(header.payload_len, payload.len() as u64);
        (header, payload)
    }

    #[test]
    fn every_request_unmasks_to_the_payload_of_its_reply() {
        for (size, text) in [
            (0, false),
            (125, true),
            (126, false),
            (65_536, true),
            (3 << 20, false),
        ] {
            let traffic = Traffic::of(size, text, false);
            for number in 0..9 {
                let (header, payload) = unmasked(traffic.requests(15).in_a_row(number, 1));
                assert_eq!((header.opcode, header.fin), (traffic.opcode(), true));
                assert_eq!(header.reserved, 0);
                assert_eq!(payload, traffic.payload(number), "{size} bytes");
                let reply = traffic.replies().in_a_row(number, 1);
                let (header, len) = FrameHeader::parse(reply).unwrap().unwrap();
                assert_eq!(header.masking_key, None);
                assert_eq!(&reply[len..], payload);
            }
        }
    }

    #[test]
    fn every_compressed_request_inflates_for_itself_to_the_payload_of_its_reply() {
        for (size, window_bits) in [(0, 15), (1, 15), (128, 15), (20_000, 15), (20_000, 8)] {
            let traffic = Traffic::of(size, false, true);
            assert_eq!(traffic.opcode(), OpCode::Text);
            let mut codec = SharedCodec::new();
            for number in 0..140 {
                let request = traffic.requests(window_bits).in_a_row(number, 1);
                let (header, payload) = unmasked(request);
                assert_eq!((header.reserved, header.fin), (compression::RSV1, true));
                // With nothing of the messages before.
                let config = compression::offer();
                let mut server = Decompressor::new(&config, DeflateParams::default(), Role::Server);
                let mut message = Vec::new();
                let inflated = server.decompress(&mut codec, &payload, size, &mut message);
                assert_eq!(inflated, Ok(()));
                assert!(message == traffic.payload(number), "{size} bytes, {number}");
                if size == 20_000 {
                    assert!(request.len() < size / 2, "{}", request.len());
                }
            }
        }
    }

    #[test]
    fn frames_in_a_row_are_the_frames_one_by_one_and_never_more_than_asked_for() {
        for compression in [false, true] {
            let traffic = Traffic::of(32, false, compression);
            let frames = traffic.requests(15);
            for first in 0..20 {
                let one_by_one: Vec<&[u8]> =
                    (first..first + 40).map(|n| frames.in_a_row(n, 1)).collect();
                assert_eq!(frames.in_a_row(first, 40), one_by_one.concat());
            }
            let most = frames.in_a_row(3, u64::MAX);
            assert_eq!(frames.split(3, most.len()), (MAX_RUN as u64, 0));
        }
    }

    #[test]
    fn compressed_messages_come_again_only_when_no_window_reaches_back_to_them() {
        for size in [64, 128, 1000, 1024, 5000, 16_384, 1 << 20] {
            let traffic = Traffic::of(size, true, true);
            let again = (1..)
                .find(|n| traffic.payload(*n) == traffic.payload(0))
                .unwrap();
            assert!(again * size as u64 > 32 << 10, "{again} of {size} bytes");
        }
    }

    #[test]
    fn a_length_is_split_where_a_frame_ends() {
        let traffic = Traffic::of(300, false, true);
        let frames = traffic.requests(15);
        for first in 0..8 {
            let (mut whole, mut begun) = (0, 0);
            for len in 0..5000 {
                assert_eq!(
                    frames.split(first, len),
                    (whole, begun),
                    "{len} from {first}"
                );
                begun += 1;
                if begun == frames.in_a_row(first + whole, 1).len() {
                    (whole, begun) = (whole + 1, 0);
                }
            }
        }
    }

    #[test]
    fn text_is_text() {
        let traffic = Traffic::of(1000, true, false);
        assert!(std::str::from_utf8(traffic.payload(3)).is_ok());
    }
}
