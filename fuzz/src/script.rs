//! A fuzzer's input, read as a script: small numbers and runs of bytes, in the order in which a
//! target asks for them. A plain format, so that seeds can be written by hand and stay valid.

/// What is left of an input. At its end every number is 0 and every run of bytes is empty.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// One of `count` choices.
    pub fn choice(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Two bytes, the higher one first.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A length in one byte, and as many bytes as there are of that many.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        self.0.split_off(..len).unwrap_or_default()
    }

    /// The same as text: what is not UTF-8 is replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// A payload that may be longer than the script, all of one byte: its length is near a power
    /// of two, most often up to 8 KiB and at most 128 KiB.
    pub fn long(&mut self) -> Vec<u8> {
        let power = match self.byte() {
            byte @ ..240 => byte % 14,
            byte => 14 + byte % 4,
        };
        let len = (1_usize << power) + usize::from(self.byte());
        vec![self.byte(); len.saturating_sub(128)]
    }
}
