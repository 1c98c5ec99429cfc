//! The messages of a run, made before it begins: masked frames to send, and what must come back.
//! No socket, no clock and no counting here.

use fastrand::Rng;
use newswire::proto::{FrameHeader, Mask, OpCode};

/// How many different messages take turns. A prime, so that no batch size hides one of them.
const VARIETY: usize = 7;
/// Frames that lie next to each other, for one write: as many as fit in here, but one at least.
const RUN_LEN: usize = 1 << 20;
/// The most frames in a row.
const MAX_RUN: usize = 256;

/// Frames to send and frames to expect. Message `n` of any connection is `n` modulo [`VARIETY`].
#[derive(Debug)]
pub(super) struct Traffic {
    /// Masked frames, end to end: any `run` of them in a row are one slice.
    requests: Vec<u8>,
    /// The same without a mask, as a server that does not fragment sends them.
    replies: Vec<u8>,
    request_len: usize,
    reply_len: usize,
    payload_len: usize,
    opcode: OpCode,
    run: usize,
}

impl Traffic {
    /// Messages of `size` bytes: random bytes, or text of printable ASCII.
    pub(super) fn new(size: usize, text: bool) -> Self {
        let mut random = Rng::new();
        let opcode = if text { OpCode::Text } else { OpCode::Binary };
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        let (mut request_len, mut reply_len) = (0, 0);
        for _ in 0..VARIETY {
            let payload: Vec<u8> = if text {
                (0..size).map(|_| random.u8(b' '..=b'~')).collect()
            } else {
                (0..size).map(|_| random.u8(..)).collect()
            };
            let key = random.u32(..).to_ne_bytes();
            let from = (requests.len(), replies.len());
            FrameHeader::new(opcode, size as u64, Some(key)).write(&mut requests);
            Mask::new(key).copy(&payload, &mut requests);
            FrameHeader::new(opcode, size as u64, None).write(&mut replies);
            replies.extend_from_slice(&payload);
            (request_len, reply_len) = (requests.len() - from.0, replies.len() - from.1);
        }
        let run = (RUN_LEN / request_len).clamp(1, MAX_RUN);
        lengthen(&mut requests, request_len, run);
        lengthen(&mut replies, reply_len, run);
        Self {
            requests,
            replies,
            request_len,
            reply_len,
            payload_len: size,
            opcode,
            run,
        }
    }

    /// The frames of message `first` and those after it: `count` of them, or as many as lie next
    /// to each other.
    pub(super) fn requests(&self, first: u64, count: u64) -> &[u8] {
        in_a_row(&self.requests, self.request_len, self.run, first, count)
    }

    /// What comes back for them.
    pub(super) fn replies(&self, first: u64, count: u64) -> &[u8] {
        in_a_row(&self.replies, self.reply_len, self.run, first, count)
    }

    /// The payload of message `number`.
    pub(super) fn payload(&self, number: u64) -> &[u8] {
        &self.replies(number, 1)[self.reply_len - self.payload_len..]
    }

    pub(super) fn request_len(&self) -> usize {
        self.request_len
    }

    pub(super) fn reply_len(&self) -> usize {
        self.reply_len
    }

    pub(super) fn opcode(&self) -> OpCode {
        self.opcode
    }
}

/// Repeats the first frames at the end, so that `run` frames follow each one of them.
fn lengthen(frames: &mut Vec<u8>, frame_len: usize, run: usize) {
    for index in 0..run {
        let from = index % VARIETY * frame_len;
        frames.extend_from_within(from..from + frame_len);
    }
}

fn in_a_row(frames: &[u8], frame_len: usize, run: usize, first: u64, count: u64) -> &[u8] {
    let start = (first % VARIETY as u64) as usize * frame_len;
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(run);
    &frames[start..start + count * frame_len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_unmasks_to_the_payload_of_its_reply() {
        for (size, text) in [
            (0, false),
            (125, true),
            (126, false),
            (65_536, true),
            (3 << 20, false),
        ] {
            let traffic = Traffic::new(size, text);
            for number in 0..9 {
                let request = traffic.requests(number, 1);
                let (header, len) = FrameHeader::parse(request).unwrap().unwrap();
                assert_eq!((header.opcode, header.fin), (traffic.opcode(), true));
                let mut payload = request[len..].to_vec();
                Mask::new(header.masking_key.unwrap()).apply(&mut payload);
                assert_eq!(payload, traffic.payload(number), "{size} bytes");
                let (header, len) = FrameHeader::parse(traffic.replies(number, 1))
                    .unwrap()
                    .unwrap();
                assert_eq!(header.masking_key, None);
                assert_eq!(&traffic.replies(number, 1)[len..], payload);
            }
        }
    }

    #[test]
    fn frames_in_a_row_are_the_frames_one_by_one_and_never_more_than_asked_for() {
        let traffic = Traffic::new(32, false);
        for first in 0..20 {
            let row = traffic.requests(first, 40);
            assert_eq!(row.len(), 40 * traffic.request_len());
            for (index, frame) in row.chunks(traffic.request_len()).enumerate() {
                assert_eq!(frame, traffic.requests(first + index as u64, 1));
            }
        }
        assert_eq!(
            traffic.requests(3, u64::MAX).len(),
            MAX_RUN * traffic.request_len()
        );
    }

    #[test]
    fn text_is_text() {
        assert!(std::str::from_utf8(Traffic::new(1000, true).payload(3)).is_ok());
    }
}
