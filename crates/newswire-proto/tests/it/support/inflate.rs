//! A reader of DEFLATE (RFC 1951) that is slow and plain, to be an oracle: besides the bytes it
//! tells how far back a stream has looked. It knows nothing of messages.

/// Code lengths of a block in the order in which they are sent (§3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }

    fn number(&mut self, bits: u32) -> usize {
        (0..bits).map(|i| self.bit() << i).sum()
    }

    fn symbol(&mut self, codes: &Codes) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &codes.counts[1..] {
            code = code << 1 | self.bit();
            if code < first + count {
                return codes.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
        }
        panic!("no such code");
    }
}

/// Codes by their lengths, in which they are consecutive numbers (§3.2.2).
struct Codes {
    /// How many there are of each length.
    counts: [usize; 16],
    /// What they stand for, in the order of their lengths.
    symbols: Vec<usize>,
}

impl Codes {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        let mut symbols: Vec<_> = (0..lengths.len()).collect();
        symbols.retain(|symbol| lengths[*symbol] > 0);
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Self { counts, symbols }
    }
}

/// Inflates blocks up to the end of `bytes`, which must be the end of one, and appends what they
/// say to `window`, in which they may look back at what is there. Returns the longest distance.
pub fn inflate(bytes: &[u8], window: &mut Vec<u8>) -> usize {
    let mut bits = Bits { bytes, at: 0 };
    let mut longest = 0;
    while bits.at.div_ceil(8) < bytes.len() {
        bits.bit();
        match bits.number(2) {
            0 => {
                let at = bits.at.div_ceil(8);
                let len = usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
                assert_eq!(bytes[at + 2..at + 4], (!(len as u16)).to_le_bytes());
                window.extend(&bytes[at + 4..at + 4 + len]);
                bits.at = (at + 4 + len) * 8;
            }
            1 => {
                let literals = [&[8; 144][..], &[9; 112], &[7; 24], &[8; 8]].concat();
                let codes = [Codes::new(&literals), Codes::new(&[5; 30])];
                longest = longest.max(block(&mut bits, &codes, window));
            }
            2 => {
                let codes = codes(&mut bits);
                longest = longest.max(block(&mut bits, &codes, window));
            }
            kind => panic!("no block of type {kind}"),
        }
    }
    longest
}

fn codes(bits: &mut Bits<'_>) -> [Codes; 2] {
    let literals = bits.number(5) + 257;
    let distances = bits.number(5) + 1;
    let mut own = [0; 19];
    for place in &ORDER[..bits.number(4) + 4] {
        own[*place] = bits.number(3) as u8;
    }
    let own = Codes::new(&own);
    let mut all: Vec<u8> = Vec::new();
    while all.len() < literals + distances {
        let (length, times) = match bits.symbol(&own) {
            16 => (*all.last().unwrap(), 3 + bits.number(2)),
            17 => (0, 3 + bits.number(3)),
            18 => (0, 11 + bits.number(7)),
            length => (length as u8, 1),
        };
        all.extend(std::iter::repeat_n(length, times));
    }
    let (literals, distances) = all.split_at(literals);
    [Codes::new(literals), Codes::new(distances)]
}

/// One block, with the codes of its literals and lengths, and of its distances.
fn block(bits: &mut Bits<'_>, [literals, distances]: &[Codes; 2], window: &mut Vec<u8>) -> usize {
    let mut longest = 0;
    loop {
        let symbol = bits.symbol(literals);
        if symbol == 256 {
            return longest;
        }
        if symbol < 256 {
            window.push(symbol as u8);
            continue;
        }
        // Four codes for each number of extra bits, from the second such group on (§3.2.5).
        let length = match symbol - 257 {
            code @ 0..8 => code + 3,
            28 => 258,
            code => {
                let extra = code as u32 / 4 - 1;
                ((4 + code % 4) << extra) + 3 + bits.number(extra)
            }
        };
        // The same with two.
        let distance = match bits.symbol(distances) {
            code @ 0..4 => code + 1,
            code => {
                let extra = code as u32 / 2 - 1;
                ((2 + code % 2) << extra) + 1 + bits.number(extra)
            }
        };
        longest = longest.max(distance);
        for _ in 0..length {
            window.push(window[window.len() - distance]);
        }
    }
}
