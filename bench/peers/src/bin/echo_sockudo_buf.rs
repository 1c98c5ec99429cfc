//! sockudo-ws as its README's echo loop has it: `feed` only; its read path writes what waits before it reads again.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::error::Result;
use sockudo_ws::protocol::Message;
use tokio::net::TcpStream;

async fn echo(stream: TcpStream) -> Result<()> {
    let mut ws = peers::sockudo::accept(stream).await?;
    while let Some(message) = ws.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => ws.feed(message).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    ws.flush().await
}

fn main() -> std::io::Result<()> {
    peers::serve_each(echo)
}
