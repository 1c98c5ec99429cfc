//! Sending from many places: clones, halves, `Stream` and `Sink`.

use crate::support::{Peer, Watched, echo, message, pair, poll_once, serve, within};
use futures_util::{SinkExt, StreamExt, stream};
use newswire::proto::OpCode;
use newswire::{Config, Connector, Message, RecvError, SendError, State, WebSocket};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::duplex;
use tokio::sync::mpsc;

const SENDERS: u8 = 8;
const MESSAGES: u16 = 1000;

/// From 1 byte to 20 KiB, most of them small.
fn len(sender: u8, n: u16) -> usize {
    let mixed = (u32::from(n) + 1).wrapping_mul(2_654_435_761) ^ u32::from(sender) << 7;
    1 + (mixed >> 8) as usize % (1 << (mixed % 15)) + usize::from(n == 500) * 4096
}

/// Says who sent it and which one it is, and shows when it was torn.
fn payload(sender: u8, n: u16) -> Vec<u8> {
    let mut payload = vec![sender ^ n as u8; 3 + len(sender, n)];
    payload[0] = sender;
    payload[1..3].copy_from_slice(&n.to_be_bytes());
    payload
}

#[derive(Default)]
struct Seen([u16; SENDERS as usize]);

impl Seen {
    /// That this is the sender's next message, whole.
    fn check(&mut self, message: &[u8]) {
        let sender = message[0];
        let next = &mut self.0[usize::from(sender)];
        assert!(
            message == payload(sender, *next),
            "of {sender}, expected {next}"
        );
        *next += 1;
    }

    fn assert_all(&self) {
        assert_eq!(self.0, [MESSAGES; SENDERS as usize]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_of_many_clones_arrive_whole_and_each_clones_in_order() {
    let (done, mut all) = mpsc::channel(1);
    let server = serve(|server| {
        server.route("/", move |mut ws: WebSocket| {
            let done = done.clone();
            async move {
                let mut seen = Seen::default();
                while let Some(message) = ws.recv().await? {
                    seen.check(message.as_bytes());
                }
                done.send(seen).await?;
                Ok::<_, newswire::Error>(())
            }
        })
    });
    let mut ws = within(newswire::connect(&server.await.url("/")))
        .await
        .unwrap();
    let senders: Vec<_> = (0..SENDERS)
        .map(|id| {
            let sender = ws.sender();
            tokio::spawn(async move {
                for n in 0..MESSAGES {
                    if n % 3 == 0 {
                        sender.feed(payload(id, n)).await.unwrap();
                    } else {
                        sender.send(payload(id, n)).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        within(sender).await.unwrap();
    }
    within(ws.close(newswire::CloseCode::NORMAL, ""))
        .await
        .unwrap();
    within(all.recv()).await.unwrap().assert_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handlers_clones_may_send_from_other_threads() {
    let server = serve(|server| {
        server.route("/", |ws: WebSocket| async move {
            let sending: Vec<_> = (0..SENDERS)
                .map(|id| {
                    let sender = ws.sender();
                    tokio::spawn(async move {
                        for n in 0..MESSAGES {
                            sender.send(payload(id, n)).await?;
                        }
                        Ok::<_, SendError>(())
                    })
                })
                .collect();
            for task in sending {
                task.await??;
            }
            Ok::<_, newswire::Error>(())
        })
    });
    let mut ws = within(newswire::connect(&server.await.url("/")))
        .await
        .unwrap();
    let mut seen = Seen::default();
    while let Some(message) = within(ws.recv()).await.unwrap() {
        seen.check(message.as_bytes());
    }
    seen.assert_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_halves_of_a_client_work_in_two_tasks() {
    let server = serve(|server| server.route("/", echo)).await;
    let ws = within(newswire::connect(&server.url("/"))).await.unwrap();
    let (sender, mut receiver) = ws.split();
    // Far more than fits into the sockets between: both halves must move.
    let sending = tokio::spawn(async move {
        for n in 0..400_u32 {
            sender
                .send(n.to_be_bytes().repeat(16 * 1024))
                .await
                .unwrap();
        }
        sender.close(newswire::CloseCode::NORMAL, "").await.unwrap();
    });
    for n in 0..400_u32 {
        let message = within(receiver.recv()).await.unwrap().unwrap();
        assert!(
            message.as_bytes() == n.to_be_bytes().repeat(16 * 1024),
            "{n}"
        );
    }
    assert_eq!(within(receiver.recv()).await.unwrap(), None);
    within(sending).await.unwrap();
}

#[tokio::test]
async fn a_websocket_is_a_stream_and_a_sink() {
    let (mut client, mut server) = pair(100, &Config::new()).await;
    let messages: Vec<Message> = (0..100).map(|n| n.to_string().into()).collect();
    let mut outgoing = stream::iter(messages.clone()).map(Ok);
    let sending = async {
        client.send_all(&mut outgoing).await.unwrap();
        SinkExt::close(&mut client).await.unwrap();
    };
    let receiving = async {
        let mut received = Vec::new();
        while let Some(message) = server.next().await {
            received.push(message.unwrap());
        }
        received
    };
    let ((), received) = within(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(received, messages);
    assert_eq!(server.close_frame().unwrap().code.0, 1000);
    assert!(within(server.next()).await.is_none());
    assert_eq!(client.state(), State::Closed);
    let late = SinkExt::send(&mut client, "late".into()).await.unwrap_err();
    assert_eq!(late.into_message(), Some("late".into()));
}

#[tokio::test]
async fn a_receiver_is_a_stream_that_gives_an_error_once_and_ends() {
    let (client, peer) = pair(100, &Config::new()).await;
    let (sender, mut receiver) = client.split();
    within(peer.send("one")).await.unwrap();
    assert_eq!(
        within(receiver.next()).await.unwrap().unwrap(),
        "one".into()
    );
    drop(peer);
    // The drop said 1001: a close like any other.
    assert!(within(receiver.next()).await.is_none());
    assert_eq!(receiver.close_frame().unwrap().code.0, 1001);
    assert_eq!(sender.state(), State::Closed);

    let (near, far) = duplex(4096);
    let connector = Connector::new();
    let (client, peer) = tokio::join!(
        connector.connect_over("ws://localhost/", near),
        Peer::accept(far)
    );
    let (_sender, mut receiver) = client.unwrap().split();
    drop(peer);
    let lost = within(receiver.next()).await.unwrap().unwrap_err();
    assert!(matches!(lost, RecvError::Io(_)), "{lost:?}");
    assert!(within(receiver.next()).await.is_none());
    assert!(within(receiver.next()).await.is_none());
}

#[tokio::test]
async fn what_was_fed_is_written_together_at_the_flush() {
    let (near, far) = duplex(64 * 1024);
    let (near, writes) = Watched::new(near);
    let connector = Connector::new();
    let (client, peer) = within(async {
        tokio::join!(
            connector.connect_over("ws://localhost/", near),
            Peer::accept(far)
        )
    })
    .await;
    let (client, mut peer) = (client.unwrap(), peer);
    let before = writes.load(Ordering::Relaxed);
    for n in 0..100 {
        client.feed(n.to_string()).await.unwrap();
    }
    assert_eq!(writes.load(Ordering::Relaxed), before);
    within(client.flush()).await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), before + 1);
    for n in 0..100 {
        assert_eq!(peer.text().await, n.to_string());
    }
}

#[tokio::test]
async fn what_was_fed_is_written_by_recv_too() {
    let (mut client, mut server) = pair(64 * 1024, &Config::new()).await;
    client.feed("waiting").await.unwrap();
    assert!(poll_once(pin!(client.recv())).await.is_none());
    assert_eq!(message(&mut server).await, "waiting".into());
}

#[tokio::test]
async fn a_transport_that_is_waited_for_is_dropped_with_its_websocket() {
    let (near, far) = duplex(256);
    let (near, alive) = Watched::new(near);
    let connector = Connector::new();
    let (client, peer) = within(async {
        tokio::join!(
            connector.connect_over("ws://localhost/", near),
            Peer::accept(far)
        )
    })
    .await;
    let client = client.unwrap();
    // More than the pipe holds, so the write waits; then the user gives up.
    assert!(
        poll_once(pin!(client.send(vec![0; 10_000])))
            .await
            .is_none()
    );
    drop(client);
    assert_eq!(Arc::strong_count(&alive), 1, "the transport lives on");
    drop(peer);
}

#[tokio::test]
async fn a_ping_of_ones_own_is_sent_at_once() {
    let (near, far) = duplex(256);
    let connector = Connector::new();
    let (client, mut peer) = within(async {
        tokio::join!(
            connector.connect_over("ws://localhost/", near),
            Peer::accept(far)
        )
    })
    .await;
    let client = client.unwrap();
    client.ping(b"now").await.unwrap();
    assert_eq!(peer.next().await, Some((OpCode::Ping, b"now".to_vec())));
    let long = client.ping(&[0; 126]).await.unwrap_err();
    assert_eq!(long, newswire::CommandError::TooLong { len: 126, max: 125 });
}
