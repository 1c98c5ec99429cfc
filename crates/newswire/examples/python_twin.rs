//! Run it: `cargo run --features http --example python_twin`, and open <http://127.0.0.1:8765/page>.
//!
//! The twin of the small server that introductions to Python's `websockets` begin with: it prints
//! each message and replies to it. Here a connection that fails is told from one that is closed, and
//! a message of bytes is not replied to as if it were text.

#![allow(clippy::print_stdout, reason = "the example tells what it does")]

#[path = "shared/mod.rs"]
mod shared;

use newswire::{Message, Server, WebSocket};

async fn handle_connection(mut ws: WebSocket) -> newswire::Result {
    let result = reply_to_all(&mut ws).await;
    match (&result, ws.close_frame()) {
        (Ok(()), Some(close)) => println!("Connection closed: {close:?}"),
        (Ok(()), None) => println!("Connection closed."),
        (Err(error), _) => println!("Connection failed: {error}"),
    }
    result
}

async fn reply_to_all(ws: &mut WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        let reply = match message {
            Message::Text(text) => {
                println!("Received message: {}", text.escape_debug());
                format!("Replying to: {text}")
            }
            Message::Binary(bytes) => {
                println!("Received {} bytes", bytes.len());
                format!("Replying to: {} bytes", bytes.len())
            }
        };
        ws.send(reply).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> newswire::Result {
    let server = Server::bind(shared::address("127.0.0.1:8765"))
        .await?
        .route("/", handle_connection)
        .fallback(shared::pages(
            "/page",
            include_str!("shared/python_twin.html"),
        ));
    println!("http://{}/page", server.local_addr());
    server.serve_until(shared::interrupted()).await;
    Ok(())
}
