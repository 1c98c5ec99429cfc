//! The messages of a cell, built once: the masked frames a client sends and the unmasked frames that must come back
//! (RFC 6455 §5.2). Nothing is masked or compressed, and no header is made, while the clock runs.

use crate::deflate::{Agreed, RSV1};
use crate::json::json;
use crate::{Cell, Kind};

/// How many different messages circulate: odd, so that checking every 16th message meets each of them.
const VARIETY: usize = 7;
/// The same where messages may be compressed: each refers to those before it, and should not find itself there.
const VARIETY_OF_JSON: usize = 257;

/// The frames of one cell.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// Masked frames end to end: the messages in turn, repeated so that any `depth` of them in a row are contiguous.
    requests: Vec<u8>,
    /// Where each of them begins, and where the last one ends.
    starts: Vec<usize>,
    /// As long as nothing is compressed.
    replies: Vec<Vec<u8>>,
    reply_header_len: usize,
}

impl Traffic {
    /// What is sent compresses if that was `agreed` on.
    pub(crate) fn new(cell: Cell, agreed: Option<&Agreed>) -> Self {
        let mut random = fastrand::Rng::with_seed(0x6e65_7773_7769_7265);
        let opcode = match cell.kind {
            Kind::Binary | Kind::Tls => 0x2,
            Kind::Ascii | Kind::Utf8 | Kind::Deflate => 0x1,
        };
        let (mut frames, mut replies) = (Vec::new(), Vec::new());
        let variety = match cell.kind {
            Kind::Deflate => VARIETY_OF_JSON,
            _ => VARIETY,
        };
        for number in 0..variety {
            let payload = match cell.kind {
                Kind::Deflate => json(cell.size, number as u64).into_bytes(),
                _ => payload(cell, &mut random),
            };
            let compressed = agreed.map(|agreed| agreed.compress(&payload));
            let rsv1 = if compressed.is_some() { RSV1 } else { 0 };
            let travels = compressed.as_ref().unwrap_or(&payload);
            let mask = random.u32(..).to_ne_bytes();
            let mut frame = header(opcode | rsv1, travels.len(), 0x80);
            frame.extend(mask);
            frame.extend(
                travels
                    .iter()
                    .zip(mask.iter().cycle())
                    .map(|(byte, key)| byte ^ key),
            );
            frames.push(frame);
            replies.push([header(opcode, cell.size, 0), payload].concat());
        }
        let (mut requests, mut starts) = (Vec::new(), vec![0]);
        for i in 0..variety + cell.depth {
            requests.extend(&frames[i % variety]);
            starts.push(requests.len());
        }
        Self {
            requests,
            starts,
            reply_header_len: replies[0].len() - cell.size,
            replies,
        }
    }

    /// The frames of messages `first` to `first + count` as one slice; `count` is at most the cell's depth.
    pub(crate) fn requests(&self, first: u64, count: usize) -> &[u8] {
        let turn = self.turn(first);
        &self.requests[self.starts[turn]..self.starts[turn + count]]
    }

    /// How many whole frames the first `len` bytes from message `first` on are, and the bytes after these.
    pub(crate) fn frames(&self, first: u64, len: usize) -> (usize, usize) {
        let starts = &self.starts[self.turn(first)..];
        let frames = starts.partition_point(|start| start - starts[0] <= len) - 1;
        (frames, len - (starts[frames] - starts[0]))
    }

    /// The whole frame that must come back for message `number`, uncompressed.
    pub(crate) fn reply(&self, number: u64) -> &[u8] {
        &self.replies[self.turn(number)]
    }

    /// What must come back for message `number`, in whatever form.
    pub(crate) fn message(&self, number: u64) -> &[u8] {
        &self.reply(number)[self.reply_header_len..]
    }

    /// Bytes of a message.
    pub(crate) fn size(&self) -> usize {
        self.replies[0].len() - self.reply_header_len
    }

    pub(crate) fn reply_header_len(&self) -> usize {
        self.reply_header_len
    }

    fn turn(&self, number: u64) -> usize {
        (number % self.replies.len() as u64) as usize
    }
}

/// FIN, the opcode and the shortest form of the length; `mask_bit` is 0x80 for a client.
fn header(opcode: u8, len: usize, mask_bit: u8) -> Vec<u8> {
    let mut header = vec![0x80 | opcode];
    // RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the length".
    match len {
        0..=125 => header.push(mask_bit | len as u8),
        126..=0xffff => {
            header.push(mask_bit | 126);
            header.extend((len as u16).to_be_bytes());
        }
        _ => {
            header.push(mask_bit | 127);
            header.extend((len as u64).to_be_bytes());
        }
    }
    header
}

fn payload(cell: Cell, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(cell.size + 4);
    while bytes.len() < cell.size {
        match cell.kind {
            Kind::Binary | Kind::Tls => bytes.push(random.u8(..)),
            Kind::Ascii => bytes.push(random.u8(b' '..=b'~')),
            // Made in whole, by `json`.
            Kind::Deflate => unreachable!("JSON is not made of single characters"),
            Kind::Utf8 => {
                let range = *random
                    .choice(&[
                        (' ', '~'),
                        ('à', 'ÿ'),
                        ('а', 'я'),
                        ('一', '丏'),
                        ('😀', '😏'),
                    ])
                    .expect("not empty");
                let character = random.char(range.0..=range.1);
                let fits = bytes.len() + character.len_utf8() <= cell.size;
                bytes.extend(
                    (if fits { character } else { '.' })
                        .encode_utf8(&mut [0; 4])
                        .bytes(),
                );
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(cell: &str) -> Traffic {
        Traffic::new(cell.parse().unwrap(), None)
    }

    #[test]
    fn every_request_unmasks_to_the_payload_of_its_reply() {
        for cell in [
            "0x1x1",
            "125x1x3",
            "126x1x1",
            "65535x1x1",
            "65536x1x2",
            "200x1x16:utf8",
            "200x1x16:ascii",
        ] {
            let traffic = traffic(cell);
            for number in 0..20 {
                let (request, reply) = (traffic.requests(number, 1), traffic.reply(number));
                let header_len = traffic.reply_header_len();
                assert_eq!(request[0], reply[0]);
                assert_eq!(request[1], reply[1] | 0x80);
                assert_eq!(request[2..header_len], reply[2..header_len]);
                let (key, masked) = request[header_len..].split_at(4);
                let unmasked: Vec<u8> = masked
                    .iter()
                    .zip(key.iter().cycle())
                    .map(|(byte, key)| byte ^ key)
                    .collect();
                assert_eq!(unmasked, reply[header_len..], "{cell}");
            }
        }
    }

    #[test]
    fn lengths_are_encoded_in_their_shortest_form() {
        assert_eq!(header(2, 125, 0), [0x82, 125]);
        assert_eq!(header(2, 126, 0), [0x82, 126, 0, 126]);
        assert_eq!(header(1, 65_535, 0x80), [0x81, 0xfe, 0xff, 0xff]);
        assert_eq!(header(2, 65_536, 0), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn text_is_valid_utf8_of_the_exact_length() {
        for size in 0..40 {
            let traffic = traffic(&format!("{size}x1x1:utf8"));
            for number in 0..VARIETY as u64 {
                let text = &traffic.reply(number)[traffic.reply_header_len()..];
                assert_eq!(text.len(), size);
                std::str::from_utf8(text).unwrap();
            }
        }
    }

    #[test]
    fn messages_differ_and_a_full_depth_is_contiguous_from_any_start() {
        let traffic = traffic("32x1x16");
        assert_ne!(traffic.reply(0), traffic.reply(1));
        for first in 0..20 {
            let burst = traffic.requests(first, 16);
            let frames = (0..16).map(|i| traffic.requests(first + i, 1));
            assert_eq!(burst, frames.collect::<Vec<_>>().concat());
        }
    }

    #[test]
    fn what_was_written_is_whole_frames_and_the_beginning_of_one() {
        let agreed = Agreed::read("permessage-deflate; client_max_window_bits=9").unwrap();
        for agreed in [None, Some(&agreed)] {
            let traffic = Traffic::new("300x1x16:deflate".parse().unwrap(), agreed);
            for first in [0, 3, 256, 257] {
                let lens = [0, 1, 2].map(|i| traffic.requests(first + i, 1).len());
                assert_eq!(traffic.frames(first, 0), (0, 0));
                assert_eq!(traffic.frames(first, lens[0] - 1), (0, lens[0] - 1));
                assert_eq!(traffic.frames(first, lens[0]), (1, 0));
                assert_eq!(traffic.frames(first, lens[0] + lens[1] + 5), (2, 5));
                let all = traffic.requests(first, 16).len();
                assert_eq!(traffic.frames(first, all), (16, 0));
            }
        }
    }
}
