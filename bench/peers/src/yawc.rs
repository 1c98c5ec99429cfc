//! The echo loop of yawc's own benchmark, and its options, for the servers that are tuned as that is: 128 KiB read buffer,
//! 64 KiB write boundary, up to 32 ready messages a flush, text checked (with its `simd` feature).

use futures_util::{FutureExt, SinkExt};
use yawc::{OpCode, Options, UpgradeFut};

/// Messages fed before a flush even if more are ready.
const BATCH: usize = 32;

/// Echoes until the client closes.
///
/// # Errors
/// When the connection fails.
pub async fn echo(upgraded: UpgradeFut) -> yawc::Result<()> {
    let mut ws = upgraded.await?;
    loop {
        let mut frame = ws.next_frame().await?;
        for batched in 1.. {
            match frame.opcode() {
                OpCode::Text | OpCode::Binary => ws.feed(frame).await?,
                OpCode::Close => return ws.close().await,
                _ => {}
            }
            if batched == BATCH {
                break;
            }
            match ws.next_frame().now_or_never() {
                Some(ready) => frame = ready?,
                None => break,
            }
        }
        ws.flush().await?;
    }
}

/// The options, without compression.
#[must_use]
pub fn options() -> Options {
    Options::default()
        .with_max_payload_read(100 << 20)
        .with_max_read_buffer(200 << 20)
        .with_read_buffer_capacity(128 << 10)
        .with_backpressure_boundary(64 << 10)
        .with_utf8()
        .without_compression()
}
