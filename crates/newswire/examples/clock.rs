//! Run it: `cargo run --features http --example clock`, and open <http://127.0.0.1:8080/>.
//!
//! A server that pushes: it tells the time each second, and says back what it is told. The timer is
//! part of the connection's handler, and so it ends with the connection.

#![allow(clippy::print_stdout, reason = "the example tells what it does")]

#[path = "shared/mod.rs"]
mod shared;

use newswire::{Request, Route, Server, WebSocket};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

async fn clock(mut ws: WebSocket, request: Request) -> newswire::Result {
    let peer = request.peer_addr();
    println!("{} {peer} is connected", shared::time());
    let result = tell_time(&mut ws).await;
    println!(
        "{} {peer} is disconnected, its timer with it",
        shared::time()
    );
    result
}

async fn tell_time(ws: &mut WebSocket) -> newswire::Result {
    let mut seconds = interval(Duration::from_secs(1));
    // Who does not read is not told later what time it was.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        // Both may be dropped while they wait; no message is lost by it.
        tokio::select! {
            received = ws.recv() => match received? {
                Some(message) => ws.send(message).await?,
                None => return Ok(()),
            },
            _ = seconds.tick() => {
                ws.send(format!("It is {} here.", shared::time())).await?;
            }
        }
    }
}

#[tokio::main]
async fn main() -> newswire::Result {
    let server = Server::bind(shared::address("127.0.0.1:8080"))
        .await?
        .route("/clock", Route::new(clock).subprotocols(["echo-protocol"]))
        .fallback(shared::pages("/", include_str!("shared/clock.html")));
    println!("http://{}/", server.local_addr());
    server.serve_until(shared::interrupted()).await;
    Ok(())
}
