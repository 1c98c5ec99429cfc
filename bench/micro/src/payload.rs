//! Payloads of every kind, and the frames they travel in. The same bytes on every run, so that counts can be compared.

use newswire_proto::{FrameHeader, Mask, OpCode, Role};

/// What a payload is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A binary message of every byte there is.
    Binary,
    /// Text of printable ASCII.
    Ascii,
    /// Text of one to four bytes a character.
    Mixed,
}

impl Kind {
    /// Its name in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Ascii => "ASCII",
            Self::Mixed => "mixed scripts",
        }
    }

    fn opcode(self) -> OpCode {
        match self {
            Self::Binary => OpCode::Binary,
            Self::Ascii | Self::Mixed => OpCode::Text,
        }
    }
}

/// A payload of exactly `len` bytes.
#[must_use]
pub fn payload(kind: Kind, len: usize) -> Vec<u8> {
    let pattern = match kind {
        Kind::Binary => return (0..len).map(|i| (i * 7 + i / 251) as u8).collect(),
        Kind::Ascii => r#"{"event":"price","symbol":"XYZ","bid":101.25,"ask":101.5}"#,
        Kind::Mixed => "Grüße, мир! 你好，世界 — नमस्ते 😀 ok. ",
    };
    let mut text = String::with_capacity(len);
    for character in pattern.chars().cycle() {
        if text.len() + character.len_utf8() > len {
            break;
        }
        text.push(character);
    }
    let mut bytes = text.into_bytes();
    bytes.resize(len, b'.');
    bytes
}

/// A message as `sender` puts it on the wire, in one frame.
#[must_use]
pub fn frame(sender: Role, kind: Kind, payload: &[u8]) -> Vec<u8> {
    let key = sender.masks().then_some([0x37, 0xfa, 0x21, 0x3d]);
    let mut bytes = Vec::new();
    FrameHeader::new(kind.opcode(), payload.len() as u64, key).write(&mut bytes);
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = key {
        Mask::new(key).apply(&mut bytes[at..]);
    }
    bytes
}
