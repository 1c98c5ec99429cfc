//! The key and its answer (RFC 6455 §1.3, §4.1 and §4.2.2): how a client sees that the server
//! understood a WebSocket handshake and not some other request. No header handling here.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1_smol::Sha1;

/// RFC 6455 §1.3: the string that a peer which does not speak WebSocket is unlikely to know.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Reads what RFC 6455 asks for and not more: 16 bytes once decoded. The four bits that the last
/// letter has to spare are not compared with zero, since some clients write 22 random letters.
const READ: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The value of `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2 step
/// 5.4). `key` is the value as it stood in the header, without surrounding whitespace.
///
/// ```
/// use newswire_proto::handshake::accept_key;
/// // RFC 6455 §1.3
/// assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    let value = accept_value(key);
    value.map(char::from).iter().collect()
}

/// How long that value is.
pub(super) const ACCEPT_LEN: usize = 28;

/// The same as bytes of ASCII.
pub(super) fn accept_value(key: &[u8]) -> [u8; ACCEPT_LEN] {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(GUID);
    let mut value = [0; ACCEPT_LEN];
    let written = STANDARD.encode_slice(sha1.digest().bytes(), &mut value);
    debug_assert_eq!(written, Ok(ACCEPT_LEN), "20 bytes are 28 letters");
    value
}

/// The value of `Sec-WebSocket-Key` for a nonce.
///
/// RFC 6455 §4.1: "The nonce MUST be selected randomly for each connection." This crate has no
/// random source: the caller draws it.
#[must_use]
pub fn client_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether this is a key that a client may send (RFC 6455 §4.2.1 step 5): base64 of 16 bytes.
#[must_use]
pub fn is_valid_key(key: &[u8]) -> bool {
    // 18 bytes are what the 24 letters of a legal key could hold; more letters do not fit.
    matches!(READ.decode_slice(key, &mut [0; 18]), Ok(16))
}
