//! Compression between real ends: who agrees on what, and what goes over the wire.

use crate::support::{echo, message, pair_as, serve, within};
use newswire::{
    CloseCode, Compression, Config, Connector, DeflateConfig, EncodedMessage, Message, State,
    WebSocket,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

fn config(compression: Compression) -> Config {
    Config::new().deflate(DeflateConfig::new().compression(compression))
}

fn long() -> String {
    "over and over again, ".repeat(100)
}

#[tokio::test]
async fn both_ends_agree_by_default_and_either_may_have_it_off() {
    for (server, client, agreed) in [
        (Compression::shared(), Compression::shared(), true),
        (Compression::dedicated(), Compression::shared(), true),
        (Compression::shared(), Compression::dedicated(), true),
        (Compression::Off, Compression::shared(), false),
        (Compression::shared(), Compression::Off, false),
    ] {
        let server = serve(|it| it.config(config(server)).route("/echo", echo)).await;
        let connector = Connector::new().config(config(client));
        let url = server.url("/echo");
        let mut ws = within(connector.connect(&url)).await.unwrap();
        assert_eq!(ws.deflate().is_some(), agreed);
        for n in 0..50 {
            let sent: Message = match n % 3 {
                0 => long().into(),
                1 => format!("{n}").into(),
                _ => vec![n; 3000].into(),
            };
            within(ws.send(sent.clone())).await.unwrap();
            assert_eq!(message(&mut ws).await, sent);
        }
        assert_eq!(ws.deflate_memory() > 0, agreed);
    }
}

#[tokio::test]
async fn what_both_ends_agreed_on_is_told_by_both() {
    let (client, server) = pair_as(1024, &Config::new()).await;
    assert_eq!(client.deflate(), server.deflate());
    let agreed = server.deflate().unwrap().to_string();
    assert_eq!(agreed, "permessage-deflate; client_max_window_bits=11");
}

/// The first byte of the frame that a server makes of this, and the payload's length.
async fn on_the_wire(plain: bool) -> (u8, usize) {
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    )
    .await
    .unwrap();
    let server = within(newswire::accept(far, &Config::new())).await.unwrap();
    let sending = server.send(long());
    let sending = if plain {
        sending.uncompressed()
    } else {
        sending
    };
    within(sending).await.unwrap();
    let mut answer = vec![0; 64 * 1024];
    let len = within(near.read(&mut answer)).await.unwrap();
    let head = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let head_text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
    assert!(head_text.contains("sec-websocket-extensions: permessage-deflate"));
    let mut frame = answer[head..len].to_vec();
    while frame.is_empty() {
        let len = within(near.read(&mut answer)).await.unwrap();
        frame.extend_from_slice(&answer[..len]);
    }
    (frame[0], frame.len())
}

#[tokio::test]
async fn a_message_may_ask_not_to_be_compressed() {
    let (first, len) = on_the_wire(false).await;
    assert_eq!(first, 0xC1);
    assert!(len < 200, "{len}");
    let (first, len) = on_the_wire(true).await;
    assert_eq!(first, 0x81);
    assert_eq!(len, long().len() + 4);
}

#[tokio::test]
async fn a_message_for_many_reaches_all_of_them() {
    let news = EncodedMessage::new(long());
    for compression in [Compression::shared(), Compression::Off] {
        let (mut client, server) = pair_as(64 * 1024, &config(compression)).await;
        let sender = server.sender();
        for n in 0..3 {
            within(server.feed(format!("before {n}"))).await.unwrap();
            within(sender.feed_encoded(&news)).await.unwrap();
            within(server.feed_encoded(&news)).await.unwrap();
            within(server.flush()).await.unwrap();
            assert_eq!(message(&mut client).await, format!("before {n}").into());
            assert_eq!(message(&mut client).await, long().into());
            assert_eq!(message(&mut client).await, long().into());
        }
    }
}

/// Counts how often other tasks have their turn.
fn count_turns() -> (Arc<AtomicUsize>, AbortHandle) {
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let counting = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    (turns, counting.abort_handle())
}

const FLOOD: usize = 2000;

/// A client that has sent many small messages.
async fn flooding(url: &str) -> WebSocket {
    let client = within(newswire::connect(url)).await.unwrap();
    for n in 0..FLOOD {
        let text = format!("{n} of many, {n} of many, {n} of many, {n} of many, {n} of many");
        within(client.feed(text)).await.unwrap();
    }
    within(client.flush()).await.unwrap();
    client
}

#[tokio::test]
async fn a_peer_that_floods_with_compressed_messages_leaves_others_their_turn() {
    let (turns, counting) = count_turns();
    let (seen, mut all_seen) = mpsc::channel(1);
    let server = serve(|it| {
        it.route("/", move |mut ws: WebSocket| {
            let (seen, turns) = (seen.clone(), Arc::clone(&turns));
            async move {
                let mut at = BTreeSet::new();
                for _ in 0..FLOOD {
                    ws.recv().await?.expect("a message");
                    at.insert(turns.load(Ordering::Relaxed));
                }
                seen.send(at.len()).await?;
                Ok::<_, newswire::Error>(())
            }
        })
    })
    .await;
    let _client = flooding(&server.url("/")).await;
    let turns = within(all_seen.recv()).await.unwrap();
    counting.abort();
    assert!(turns > FLOOD / 50, "{turns} turns for {FLOOD} messages");
}

#[tokio::test]
async fn so_it_does_when_nobody_receives_what_it_sends() {
    let (turns, counting) = count_turns();
    let server = serve(|it| {
        it.route("/", |ws: WebSocket| async move {
            let (sender, receiver) = ws.split();
            drop(receiver);
            // Until the peer has closed.
            while sender.state() == State::Open {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    })
    .await;
    let mut client = flooding(&server.url("/")).await;
    let before = turns.load(Ordering::Relaxed);
    within(client.close(CloseCode::NORMAL, "")).await.unwrap();
    let turns = turns.load(Ordering::Relaxed) - before;
    counting.abort();
    assert!(turns > FLOOD / 50, "{turns} turns for {FLOOD} messages");
}
