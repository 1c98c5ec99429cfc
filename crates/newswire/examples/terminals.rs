//! Run it: `cargo run --features http --example terminals`, and open <http://127.0.0.1:8080/> twice.
//!
//! A server for many terminals: what is said at one is heard at all, and every ten seconds all are
//! told the time, by one timer for all of them. A message is encoded once, however many there are.

#![allow(clippy::print_stdout, reason = "the example tells what it does")]

#[path = "shared/mod.rs"]
mod shared;

use newswire::{Config, EncodedMessage, Request, Route, Router, Server, WebSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};

#[derive(Clone)]
struct Hall {
    news: broadcast::Sender<EncodedMessage>,
    numbers: Arc<AtomicUsize>,
}

impl Hall {
    fn say(&self, text: String) {
        println!("{} {}", shared::time(), text.escape_debug());
        // It fails when nobody is there to hear it.
        let _ = self.news.send(EncodedMessage::new(text));
    }
}

async fn terminal(mut ws: WebSocket, request: Request<Hall>) -> newswire::Result {
    let hall = request.state();
    let number = hall.numbers.fetch_add(1, Ordering::Relaxed) + 1;
    let result = talk(&mut ws, hall, number).await;
    hall.say(format!("Terminal {number} has left."));
    result
}

async fn talk(ws: &mut WebSocket, hall: &Hall, number: usize) -> newswire::Result {
    let mut news = hall.news.subscribe();
    hall.say(format!("Terminal {number} is here."));
    loop {
        tokio::select! {
            received = ws.recv() => match received? {
                Some(message) => hall.say(format!("Terminal {number}: {}", message.as_text().unwrap_or("(bytes)"))),
                None => return Ok(()),
            },
            said = news.recv() => match said {
                Ok(message) => ws.feed_encoded(&message).await?,
                Err(RecvError::Lagged(n)) => ws.send(format!("You missed {n} messages.")).await?,
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

#[tokio::main]
async fn main() -> newswire::Result {
    let news = broadcast::Sender::new(64);
    let hall = Hall {
        news,
        numbers: Arc::default(),
    };
    let route = Route::new(terminal).subprotocols(["echo-protocol"]);
    let server = Server::bind(shared::address("127.0.0.1:8080"))
        .await?
        .router(Router::with_state(hall.clone()).route("/terminals", route))
        .config(Config::new().max_message_size(4096))
        .fallback(shared::pages("/", include_str!("shared/terminals.html")));
    println!("http://{}/", server.local_addr());
    tokio::spawn(async move {
        let mut seconds = tokio::time::interval(Duration::from_secs(10));
        loop {
            seconds.tick().await;
            hall.say(format!("It is {}.", shared::time()));
        }
    });
    server.serve_until(shared::interrupted()).await;
    Ok(())
}
