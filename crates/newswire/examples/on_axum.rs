//! WebSockets in an application of axum's, in two ways: a handler of axum's with the extractor, and
//! this library's own router, with its rules, as a service. `cargo run --example on_axum --features
//! axum`; then try `/echo` and `/rooms/…` with any client.

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};
use newswire::axum::WebSocketUpgrade;
use newswire::{Request, RouterService, WebSocket};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// A handler of axum's: other extractors may stand beside the upgrade.
async fn open(upgrade: WebSocketUpgrade) -> Response {
    upgrade.subprotocols(["echo-protocol"]).on_upgrade(echo)
}

async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// A handler of this library's.
async fn room(mut ws: WebSocket, request: Request) -> newswire::Result {
    let room = request.param("room").unwrap_or_default();
    ws.send(format!("{} is in {room}", request.peer_addr()))
        .await?;
    // Until the client closes.
    while ws.recv().await?.is_some() {}
    Ok(())
}

/// Serves until `signal` is ready.
pub(crate) async fn serve(
    listener: TcpListener,
    signal: impl Future<Output = ()> + Send + 'static,
) -> newswire::Result {
    let rooms: RouterService = newswire::Router::new()
        .route("/rooms/{room}", room)
        .into_service();
    let app = Router::new()
        .route("/", get("The WebSockets are at /echo and /rooms/….\n"))
        .route("/echo", any(open))
        .route_service("/rooms/{room}", rooms.clone())
        // With it, handlers know who asks.
        .into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app)
        .with_graceful_shutdown(signal)
        .await?;
    // axum knows nothing of the connections that it has handed over.
    rooms.shut_down(Duration::ZERO).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result {
    let listener = TcpListener::bind("127.0.0.1:9998").await?;
    serve(listener, async {
        // If this fails, the process ends by itself.
        let _ = tokio::signal::ctrl_c().await;
    })
    .await
}
