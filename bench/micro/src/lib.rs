//! What both the benchmarks (time) and `hot_paths` (instructions) repeat: payloads, frames, and turns of an echo. How
//! often, and what is measured, is theirs to say.

mod echo;
mod payload;

pub use echo::Echo;
pub use payload::{Kind, frame, payload};

/// The sizes that are measured, with their names.
pub const SIZES: [(usize, &str); 5] = [
    (16, "16 B"),
    (128, "128 B"),
    (1 << 10, "1 KiB"),
    (16 << 10, "16 KiB"),
    (1 << 20, "1 MiB"),
];

/// Text that lives for ever, so that making an [`Utf8Bytes`](newswire_proto::Utf8Bytes) of it is the check and nothing
/// else.
#[must_use]
pub fn text(kind: Kind, len: usize) -> bytes::Bytes {
    bytes::Bytes::from_static(payload(kind, len).leak())
}
