//! axum as its own documentation of `axum::extract::ws` has it: a route, an upgrade, `recv`, `send`.

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

async fn echo(mut ws: WebSocket) {
    while let Some(Ok(message)) = ws.recv().await {
        let echoed = matches!(message, Message::Text(_) | Message::Binary(_));
        if echoed && ws.send(message).await.is_err() {
            return;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("TCP_NODELAY: {error}");
        }
    });
    let upgrade = |upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) };
    axum::serve(listener, Router::new().route("/echo", any(upgrade))).await
}
