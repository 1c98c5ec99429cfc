//! tokio-tungstenite as its own echo example has it: split, and forward one half into the other. `forward` feeds while
//! the stream is ready and flushes when it is not, so this batches without saying so.

use std::future;

use futures_util::{StreamExt, TryStreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

async fn echo(stream: TcpStream) -> Result<(), tungstenite::Error> {
    let (sender, receiver) = tokio_tungstenite::accept_async(stream).await?.split();
    receiver
        .try_filter(|message| future::ready(message.is_text() || message.is_binary()))
        .forward(sender)
        .await
}

fn main() -> std::io::Result<()> {
    peers::serve_each(echo)
}
