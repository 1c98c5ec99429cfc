//! Masking (RFC 6455 §5.3): which loop does the work, and the loop in portable words.
//! Where keys come from is not decided here; instruction sets live in files of their own
//! under `mask/`.

#[cfg(target_arch = "x86_64")]
mod x86;

/// From this many bytes on, asking which instructions the processor has pays for itself.
const WIDE_FROM: usize = 256;

/// A masking key and how far its four bytes have been turned, so that a payload may be
/// masked or unmasked in pieces as it arrives.
///
/// RFC 6455 §5.3: octet *i* of the transformed data is octet *i* of the original XOR octet
/// *i* modulo 4 of the key. Masking and unmasking are the same operation.
///
/// ```
/// use newswire_proto::Mask;
///
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58"; // the masked "Hello" of RFC 6455 §5.7
/// let mut mask = Mask::new([0x37, 0xfa, 0x21, 0x3d]);
/// mask.apply(&mut payload[..2]);
/// mask.apply(&mut payload[2..]);
/// assert_eq!(&payload, b"Hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(u32);

impl Mask {
    /// A mask that starts at the key's first byte.
    #[must_use]
    #[inline]
    pub const fn new(key: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(key))
    }

    /// A mask of a key in little-endian order.
    #[inline]
    pub(crate) const fn from_word(key: u32) -> Self {
        Self(key)
    }

    /// Masks or unmasks `data` in place and remembers where the next piece goes on.
    #[inline]
    pub fn apply(&mut self, data: &mut [u8]) {
        if data.len() < WIDE_FROM {
            words(data, self.0);
        } else {
            wide(data, self.0);
        }
        self.0 = self.0.rotate_right(8 * (data.len() % 4) as u32);
    }

    /// Copies `source` behind what `out` holds and masks the copy, a cache-sized piece at a
    /// time, so that the bytes pass through memory once.
    #[inline]
    pub fn copy(&mut self, source: &[u8], out: &mut Vec<u8>) {
        out.reserve(source.len());
        for piece in source.chunks(8 * 1024) {
            let at = out.len();
            out.extend_from_slice(piece);
            self.apply(&mut out[at..]);
        }
    }
}

/// The best loop for this processor, for payloads where the choice is worth making.
fn wide(data: &mut [u8], key: u32) {
    #[cfg(target_arch = "x86_64")]
    if x86::mask(data, key) {
        return;
    }
    words(data, key);
}

/// Eight bytes at a time in ordinary words. Compilers turn it into the vector instructions
/// that the target always has (SSE2 on x86-64, NEON on AArch64).
#[inline(always)]
fn words(data: &mut [u8], key: u32) {
    let wide_key = u64::from(key) << 32 | u64::from(key);
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ wide_key).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide_key.to_le_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(data: &mut [u8], key: [u8; 4]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn every_loop_agrees_with_the_plain_loop_at_every_length_and_alignment() {
        let key = [0xA1, 0x02, 0xF3, 0x44];
        let source: Vec<u8> = (0..4200_u32).map(|i| (i * 7 + i / 251) as u8).collect();
        for start in 0..33 {
            for len in (0..520).chain([1023, 1024, 1025, 4096, 4160]) {
                let mut expected = source[start..start + len].to_vec();
                plain(&mut expected, key);
                for f in loops() {
                    let mut buffer = source.clone();
                    f(&mut buffer[start..start + len], u32::from_le_bytes(key));
                    assert_eq!(&buffer[start..start + len], expected);
                    assert_eq!(&buffer[..start], &source[..start]);
                    assert_eq!(&buffer[start + len..], &source[start + len..]);
                }
            }
        }
    }

    /// Every loop that this processor can run.
    fn loops() -> Vec<fn(&mut [u8], u32)> {
        let mut loops: Vec<fn(&mut [u8], u32)> = vec![|d, k| words(d, k), wide];
        #[cfg(target_arch = "x86_64")]
        loops.extend(x86::loops());
        loops
    }

    #[test]
    fn a_mask_resumes_wherever_the_payload_is_cut() {
        let key = [1, 2, 3, 4];
        let source: Vec<u8> = (0..300_u16).map(|i| i as u8).collect();
        let mut whole = source.clone();
        plain(&mut whole, key);
        for cut in 0..source.len() {
            let mut pieces = source.clone();
            let mut mask = Mask::new(key);
            mask.apply(&mut pieces[..cut]);
            mask.apply(&mut pieces[cut..]);
            assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn copying_masks_the_copy_and_leaves_the_source() {
        let key = [9, 8, 7, 6];
        let source = vec![0x55; 20_001];
        let mut expected = source.clone();
        plain(&mut expected, key);
        let mut out = vec![1, 2];
        Mask::new(key).copy(&source, &mut out);
        assert_eq!(out[..2], [1, 2]);
        assert_eq!(out[2..], expected);
    }
}
