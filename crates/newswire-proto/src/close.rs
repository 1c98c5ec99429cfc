//! Close codes and the payload of a Close frame (RFC 6455 §5.5.1, §7.4).
//! When to close is decided in [`crate::connection`].

use crate::error::{CommandError, ProtocolError};
use crate::frame::MAX_CONTROL_PAYLOAD;
use crate::utf8::Utf8Bytes;
use bytes::Bytes;
use std::fmt;

/// The longest reason: a control frame's 125 bytes less the two of the code.
pub const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// Why a connection is closed, as a number (RFC 6455 §7.4). Unknown codes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away: a server shuts down, a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that the endpoint cannot accept.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the Close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a message that violates a policy.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message that is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client needed an extension that the server did not negotiate.
    pub const MISSING_EXTENSION: Self = Self(1010);
    /// 1011: the endpoint met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded, try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid answer from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// Whether the code may stand in a Close frame.
    ///
    /// RFC 6455 §7.4.1 reserves 1004, and says of 1005, 1006 and 1015 that each "MUST NOT be
    /// set as a status code in a Close control frame by an endpoint"; §7.4.2 leaves 3000–3999
    /// to registered uses and 4000–4999 to private ones. 1012–1014 are in the IANA registry.
    #[must_use]
    pub const fn may_travel(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

/// What a Close frame says: a code and a reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// The code, [`CloseCode::NO_STATUS`] when the frame was empty.
    pub code: CloseCode,
    /// The reason, for logs and debugging; "" when none was given. At most 123 bytes.
    pub reason: Utf8Bytes,
}

impl CloseFrame {
    /// A Close frame that may be sent.
    ///
    /// # Errors
    /// [`CommandError::CloseCode`] for a code that must not travel,
    /// [`CommandError::TooLong`] for a reason of more than 123 bytes.
    pub fn new(code: CloseCode, reason: impl Into<Utf8Bytes>) -> Result<Self, CommandError> {
        let reason = reason.into();
        if !code.may_travel() {
            return Err(CommandError::CloseCode(code.0));
        }
        if reason.len() > MAX_REASON {
            return Err(CommandError::TooLong {
                len: reason.len(),
                max: MAX_REASON,
            });
        }
        Ok(Self { code, reason })
    }

    /// Reads the payload of a received Close frame.
    ///
    /// # Errors
    /// The rule that the payload breaks: one byte only, a code that must not travel, or a
    /// reason that is not UTF-8.
    pub fn parse(payload: Bytes) -> Result<Self, ProtocolError> {
        let Some((code, _)) = payload.split_first_chunk() else {
            // RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be
            // a 2-byte unsigned integer (in network byte order)"
            return if payload.is_empty() {
                Ok(Self {
                    code: CloseCode::NO_STATUS,
                    reason: Utf8Bytes::default(),
                })
            } else {
                Err(ProtocolError::CloseTooShort)
            };
        };
        let code = CloseCode(u16::from_be_bytes(*code));
        if !code.may_travel() {
            return Err(ProtocolError::InvalidCloseCode(code.0));
        }
        let reason =
            Utf8Bytes::try_from(payload.slice(2..)).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(Self { code, reason })
    }

    /// The payload as it travels: nothing at all for [`CloseCode::NO_STATUS`].
    pub(crate) fn payload(&self) -> Vec<u8> {
        if self.code == CloseCode::NO_STATUS {
            return Vec::new();
        }
        let mut payload = Vec::with_capacity(2 + self.reason.len());
        payload.extend_from_slice(&self.code.0.to_be_bytes());
        payload.extend_from_slice(self.reason.as_bytes());
        payload
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if !self.reason.is_empty() {
            write!(f, " {:?}", self.reason.as_str())?;
        }
        Ok(())
    }
}
