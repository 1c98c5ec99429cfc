//! sockudo-ws as its own simple echo example has it: handshake by its helpers, `next`, `send`, default configuration.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::error::Result;
use sockudo_ws::protocol::Message;
use tokio::net::TcpStream;

async fn echo(stream: TcpStream) -> Result<()> {
    let mut ws = peers::sockudo::accept(stream).await?;
    while let Some(message) = ws.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => ws.send(message).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    peers::serve_each(echo)
}
