//! tokio-tungstenite with batching by hand: feed while messages are ready, flush once when they run dry.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

async fn echo(stream: TcpStream) -> Result<(), tungstenite::Error> {
    let mut ws = tokio_tungstenite::accept_async(stream).await?;
    let mut next = ws.next().await;
    while let Some(message) = next {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.feed(message).await?;
        }
        next = match ws.next().now_or_never() {
            Some(ready) => ready,
            None => {
                ws.flush().await?;
                ws.next().await
            }
        };
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    peers::serve_each(echo)
}
