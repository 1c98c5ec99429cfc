//! Run it: `cargo run --features http --example echo_origin`, and open <http://127.0.0.1:8080/>.
//!
//! An echo server that looks at each request before it becomes a connection: pages of other origins
//! are turned away, and so is who does not offer the subprotocol `echo-protocol`. Behind the address
//! to listen on there may be more origins: `-- 127.0.0.1:8080 https://example.com`.

#![allow(clippy::print_stdout, reason = "the example tells what it does")]

#[path = "shared/mod.rs"]
mod shared;

use newswire::{Handshake, Message, Origins, Route, Router, Server, WebSocket};

/// Decides about a request, and handles the connection if it becomes one.
async fn decide(handshake: Handshake<Origins>) -> newswire::Result {
    let (peer, origin) = (handshake.peer_addr(), handshake.origin().map(str::to_owned));
    let allowed = handshake.state();
    if let Err(rejection) =
        allowed.check(origin.as_deref(), handshake.host(), handshake.is_secure())
    {
        println!("{} {peer} is turned away: {rejection}", shared::time());
        handshake.reject(rejection).await;
        return Ok(());
    }
    let mut ws = handshake.accept_subprotocol("echo-protocol").await?;
    println!("{} {peer} is connected", shared::time());
    let result = echo(&mut ws).await;
    println!("{} {peer} is disconnected", shared::time());
    result
}

async fn echo(ws: &mut WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        match &message {
            Message::Text(text) => println!("received a message: {}", text.escape_debug()),
            Message::Binary(bytes) => println!("received {} bytes", bytes.len()),
        }
        ws.send(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> newswire::Result {
    let others = std::env::args().skip(2);
    let allowed = Origins::list(others)?.and_same_origin();
    // The route lets all origins through to `decide`.
    let route = Route::new(decide).origins(Origins::any());
    let server = Server::bind(shared::address("127.0.0.1:8080"))
        .await?
        .router(Router::with_state(allowed).route("/echo", route))
        .fallback(shared::pages("/", include_str!("shared/echo_origin.html")));
    println!("http://{}/", server.local_addr());
    server.serve_until(shared::interrupted()).await;
    Ok(())
}
