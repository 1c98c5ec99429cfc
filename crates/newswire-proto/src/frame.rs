//! The frame header: parsing and writing its 2 to 14 bytes (RFC 6455 §5.2).
//! No payloads and no state live here: what a header means for a connection is decided in
//! [`crate::connection`].
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| payload len | extended payload length       |
//! |I|S|S|S|  (4)  |A|     (7)     | 16 bits when the 7 say 126,   |
//! |N|V|V|V|       |S|             | 64 bits when they say 127     |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! | masking key, 4 bytes, when MASK is set                        |
//! +---------------------------------------------------------------+
//! ```

use crate::error::ProtocolError;

/// The longest header: two bytes, eight of extended length, four of masking key.
pub const MAX_HEADER_LEN: usize = 14;

/// The longest payload of a control frame.
///
/// RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less and
/// MUST NOT be fragmented."
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// What a frame carries (RFC 6455 §5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// The next fragment of the message that an earlier frame began.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// A ping, to be answered with a pong.
    Ping = 0x9,
    /// A pong.
    Pong = 0xA,
}

impl OpCode {
    /// The opcode of these four bits.
    ///
    /// # Errors
    /// [`ProtocolError::ReservedOpCode`] for 0x3–0x7 and 0xB–0xF, which no RFC defines.
    pub const fn from_bits(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            // RFC 6455 §5.2: "If an unknown opcode is received, the receiving endpoint
            // MUST _Fail the WebSocket Connection_."
            other => return Err(ProtocolError::ReservedOpCode(other)),
        })
    }

    /// Whether frames of this opcode are control frames (RFC 6455 §5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The header of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 being the highest (0b100). All zero unless an
    /// extension gave them a meaning.
    pub reserved: u8,
    /// What the frame carries.
    pub opcode: OpCode,
    /// The masking key, when the payload is masked.
    pub masking_key: Option<[u8; 4]>,
    /// How many bytes of payload follow.
    pub payload_len: u64,
}

impl FrameHeader {
    /// A last frame without reserved bits.
    #[must_use]
    pub const fn new(opcode: OpCode, payload_len: u64, masking_key: Option<[u8; 4]>) -> Self {
        Self {
            fin: true,
            reserved: 0,
            opcode,
            masking_key,
            payload_len,
        }
    }

    /// Reads a header from the front of `bytes`: the header and its length in bytes, or
    /// `None` when it is not yet all there.
    ///
    /// A header that is already wrong in its first two bytes is refused without waiting for
    /// the rest.
    ///
    /// # Errors
    /// The [`ProtocolError`] that names the rule that the header breaks. Reserved bits and
    /// the presence of a mask depend on the connection and are not judged here.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let &[first, second, ..] = bytes else {
            return Ok(None);
        };
        let opcode = OpCode::from_bits(first & 0x0F)?;
        let fin = first & 0x80 != 0;
        let short_len = second & 0x7F;
        if opcode.is_control() {
            // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or
            // less and MUST NOT be fragmented."
            if !fin {
                return Err(ProtocolError::FragmentedControl);
            }
            if short_len as usize > MAX_CONTROL_PAYLOAD {
                return Err(ProtocolError::ControlTooLong);
            }
        }
        let (payload_len, mut at) = match short_len {
            126 => {
                let Some(extended) = bytes.get(2..).and_then(|b| b.first_chunk()) else {
                    return Ok(None);
                };
                let len = u64::from(u16::from_be_bytes(*extended));
                // RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the
                // length"
                if len < 126 {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (len, 4)
            }
            127 => {
                let Some(extended) = bytes.get(2..).and_then(|b| b.first_chunk()) else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(*extended);
                // RFC 6455 §5.2: "the most significant bit MUST be 0"
                if len >> 63 != 0 {
                    return Err(ProtocolError::LengthTooLarge);
                }
                if len <= u64::from(u16::MAX) {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (len, 10)
            }
            short => (u64::from(short), 2),
        };
        let masking_key = if second & 0x80 != 0 {
            let Some(key) = bytes.get(at..).and_then(|b| b.first_chunk()) else {
                return Ok(None);
            };
            at += 4;
            Some(*key)
        } else {
            None
        };
        let header = Self {
            fin,
            reserved: first >> 4 & 0x7,
            opcode,
            masking_key,
            payload_len,
        };
        Ok(Some((header, at)))
    }

    /// Writes the header behind what `out` holds, in the shortest form there is.
    ///
    /// `payload_len` must be below 2^63, as every length of something in memory is.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; MAX_HEADER_LEN];
        let len = self.encode(&mut bytes);
        out.extend_from_slice(&bytes[..len]);
    }

    /// Writes the header into `bytes` and returns its length.
    #[inline]
    pub fn encode(&self, bytes: &mut [u8; MAX_HEADER_LEN]) -> usize {
        debug_assert!(self.payload_len >> 63 == 0);
        bytes[0] = u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode as u8;
        let mask_bit = u8::from(self.masking_key.is_some()) << 7;
        let mut at = match self.payload_len {
            len @ 0..=125 => {
                bytes[1] = mask_bit | len as u8;
                2
            }
            len @ 126..=0xFFFF => {
                bytes[1] = mask_bit | 126;
                bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                4
            }
            len => {
                bytes[1] = mask_bit | 127;
                bytes[2..10].copy_from_slice(&len.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.masking_key {
            bytes[at..at + 4].copy_from_slice(&key);
            at += 4;
        }
        at
    }
}

/// Where a message of one frame lies, all of which has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeMessage {
    /// Text, otherwise binary.
    pub(crate) text: bool,
    /// The masking key, 0 for a frame without.
    pub(crate) key: u32,
    /// Where the payload begins.
    pub(crate) start: usize,
    /// Where the payload, and with it the frame, ends.
    pub(crate) end: usize,
}

impl WholeMessage {
    /// Finds the message at the front of `bytes` that has exactly these reserved bits: what nearly
    /// every frame is, told with few steps. `None` for all others and for everything that is
    /// wrong: [`FrameHeader::parse`] tells which.
    #[inline]
    pub(crate) fn find(bytes: &[u8], masked: bool, reserved: u8) -> Option<Self> {
        let &[first, second, ..] = bytes else {
            return None;
        };
        // FIN and the opcode, when the reserved bits are as they should be.
        let text = match first ^ reserved << 4 {
            0x81 => true,
            0x82 => false,
            _ => return None,
        };
        // A mask bit that is not as it must be makes a number above 127.
        let (len, at) = match second ^ u8::from(masked) << 7 {
            short @ 0..=125 => (usize::from(short), 2),
            126 => match bytes.get(2..).and_then(|b| b.first_chunk()) {
                Some(extended) => (usize::from(u16::from_be_bytes(*extended)), 4),
                None => return None,
            },
            127 => match bytes.get(2..).and_then(|b| b.first_chunk()) {
                Some(extended) => (usize::try_from(u64::from_be_bytes(*extended)).ok()?, 10),
                None => return None,
            },
            _ => return None,
        };
        let is_minimal = match at {
            2 => true,
            4 => len > 125,
            _ => len > 0xFFFF,
        };
        let (key, start) = if masked {
            let key = bytes.get(at..).and_then(|b| b.first_chunk())?;
            (u32::from_le_bytes(*key), at + 4)
        } else {
            (0, at)
        };
        let end = start.checked_add(len)?;
        (is_minimal && end <= bytes.len()).then_some(Self {
            text,
            key,
            start,
            end,
        })
    }
}
