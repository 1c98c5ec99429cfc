//! Sends each line of standard input on a connection that comes back when it is lost, and prints what
//! happens as it happens: one line for each event, of a message its first word. It closes the
//! connection when the input has ended and all of it was sent.
//!
//! ```console
//! $ seq 9 | cargo run -p newswire --example reconnecting_client ws://127.0.0.1:9998/echo
//! ```
#![allow(clippy::print_stdout, reason = "a program")]

use newswire::reconnect::{Event, NotTaken, Outbox, Policy};
use newswire::{CloseCode, Connector, Message};
use std::io::stdin;
use std::thread;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::sleep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> newswire::Result {
    let url = std::env::args().nth(1);
    let url = url.ok_or("usage: reconnecting_client URL <LINES")?;
    let policy = Policy::new()
        .first_delay(Duration::from_millis(5))
        .max_delay(Duration::from_millis(50))
        .outbox(200, 16 << 20);
    let mut ws = Connector::new().reconnecting(&url, policy);
    let outbox = ws.outbox();
    let (told, mut ended) = oneshot::channel();
    let runtime = Handle::current();
    let reading = outbox.clone();
    // A thread of its own, which reading may block.
    thread::spawn(move || told.send(runtime.block_on(send_lines(reading))));
    loop {
        let event = tokio::select! {
            event = ws.recv() => event?.ok_or("the server does not want us back")?,
            result = &mut ended => {
                result??;
                println!("sent {}", outbox.sent());
                return Ok(ws.close(CloseCode::NORMAL, "").await?);
            }
        };
        match event {
            Event::Open { before, .. } => {
                let tasks = Handle::current().metrics().num_alive_tasks();
                println!("open {before} {tasks}");
            }
            Event::Message(message) => println!("message {}", first_word(&message)),
            Event::Lost { lost, repeats } => {
                println!("lost {} {repeats} {lost}", outbox.sent());
            }
            Event::Waiting { last, .. } => println!("waiting {last}"),
            other => println!("other {other:?}"),
        }
    }
}

/// Waits while the outbox is full, and at last until it is empty.
async fn send_lines(outbox: Outbox) -> newswire::Result {
    for line in stdin().lines() {
        let mut message = Message::from(line?);
        while let Err(error) = outbox.send(message) {
            match error {
                NotTaken::Full(again) => message = again,
                error => return Err(error.into()),
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
    outbox.drained().await;
    Ok(())
}

fn first_word(message: &Message) -> &str {
    let text = message.as_text().unwrap_or("binary");
    text.split(' ').next().unwrap_or("")
}
