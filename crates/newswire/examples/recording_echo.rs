//! An echo server that writes the first word of each message to a file before it answers. What is in
//! the file has been received, even if the server is killed the next moment.
//!
//! ```console
//! $ cargo run -p newswire --example recording_echo 127.0.0.1:9998 received.txt
//! ```

use newswire::{Message, Server, WebSocket};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;

async fn echo(mut ws: WebSocket, mut file: &File) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        file.write_all(record(&message).as_bytes())?;
        ws.send(message).await?;
    }
    Ok(())
}

fn record(message: &Message) -> String {
    let text = message.as_text().unwrap_or("binary");
    format!("{}\n", text.split(' ').next().unwrap_or(""))
}

#[tokio::main]
async fn main() -> newswire::Result {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: recording_echo ADDRESS FILE".into());
    };
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let file = Arc::new(file);
    let server = Server::bind(&address).await?.route("/echo", move |ws| {
        let file = Arc::clone(&file);
        async move { echo(ws, &file).await }
    });
    server.serve_until(std::future::pending()).await;
    Ok(())
}
