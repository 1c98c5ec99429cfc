//! Peers that do not read: `send` waits, memory is bounded, nobody else suffers.

use crate::support::{Peer, echo, frame, message, pair, poll_once, serve, start, within};
use newswire::proto::{Connection, OpCode, Role};
use newswire::{Config, SendError, Server, WebSocket};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, duplex};
use tokio::sync::mpsc;

const ROOM: usize = 64 * 1024;

/// How many messages of 60 kB no socket takes.
const MORE_THAN_FITS: usize = 1000;

#[tokio::test]
async fn feed_waits_when_max_buffered_is_queued_and_goes_on_when_the_peer_reads() {
    let (client, mut server) = pair(1000, &Config::new().max_buffered(ROOM)).await;
    let mut fed = 0;
    while poll_once(pin!(client.feed(vec![fed; 1000])))
        .await
        .is_some()
    {
        fed += 1;
    }
    let mut waiting = pin!(client.feed(vec![fed; 1000]));
    assert!(poll_once(waiting.as_mut()).await.is_none());
    let most = ROOM + 1000 + 8;
    assert!(
        (ROOM..most).contains(&client.buffered_amount()),
        "{}",
        client.buffered_amount()
    );
    let reading = async {
        for n in 0..fed {
            assert_eq!(message(&mut server).await, vec![n; 1000].into());
        }
    };
    let queueing = async {
        waiting.await.unwrap();
        client.flush().await.unwrap();
    };
    within(async { tokio::join!(queueing, reading) }).await;
}

#[tokio::test]
async fn flush_waits_until_everything_is_written() {
    let (client, mut server) = pair(1000, &Config::new()).await;
    for _ in 0..10 {
        client.feed(vec![1; 1000]).await.unwrap();
    }
    assert!(poll_once(pin!(client.flush())).await.is_none());
    let flushing = async {
        client.flush().await.unwrap();
        assert_eq!(client.buffered_amount(), 0);
    };
    let reading = async {
        for _ in 0..10 {
            assert_eq!(message(&mut server).await, vec![1; 1000].into());
        }
    };
    within(async { tokio::join!(flushing, reading) }).await;
}

#[tokio::test]
async fn a_buffer_of_nothing_still_lets_one_message_at_a_time_through() {
    let (client, mut server) = pair(1000, &Config::new().max_buffered(0)).await;
    for text in ["one", "two"] {
        within(client.send(text)).await.unwrap();
        assert_eq!(message(&mut server).await, text.into());
    }
}

#[tokio::test]
async fn peers_that_do_not_read_do_not_slow_another_connection() {
    let config = Config::new().max_buffered(ROOM);
    let server = serve(|server| {
        server
            .config(config)
            .route("/echo", echo)
            .route("/push", |ws: WebSocket| async move {
                for _ in 0..MORE_THAN_FITS {
                    ws.send(vec![7; 60_000]).await?;
                }
                Ok::<_, SendError>(())
            })
    });
    let server = server.await;
    // One that is pushed to, one that has stopped reading its echoes.
    let pushed_to = Peer::connect(server.addr, "/push").await;
    let mut echoed = Peer::connect(server.addr, "/echo").await;
    let bytes = frame(Role::Client, OpCode::Binary, &[7; 60_000]);
    let flooding = async { echoed.io.write_all(&bytes.repeat(MORE_THAN_FITS)).await };
    let talking = async {
        let url = server.url("/echo");
        let mut ws = newswire::connect(&url).await.unwrap();
        for n in 0..1000 {
            ws.send(n.to_string()).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(n.to_string().into()));
        }
    };
    tokio::select! {
        flooded = flooding => panic!("the server reads on and on: {flooded:?}"),
        () = within(talking) => {}
    }
    drop(pushed_to);
}

#[tokio::test]
async fn an_echo_client_that_never_reads_is_let_go() {
    let (ended, mut end) = mpsc::channel(1);
    let config = Config::new()
        .idle_timeout(Some(Duration::from_millis(300)))
        .max_buffered(ROOM);
    let server = serve(|server| {
        server.config(config).route("/", move |ws| {
            let ended = ended.clone();
            async move {
                let result = echo(ws).await;
                ended.send(result.is_err()).await.unwrap();
            }
        })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    // Until the server stops reading.
    let bytes = frame(Role::Client, OpCode::Binary, &[7; 60_000]);
    let flooding = tokio::spawn(async move { while peer.io.write_all(&bytes).await.is_ok() {} });
    within(end.recv()).await.expect("the handler ended");
    within(flooding).await.unwrap();
}

#[tokio::test]
async fn a_send_whose_message_is_lost_with_the_transport_does_not_claim_to_have_written_it() {
    let (mut client, mut server) = pair(1000, &Config::new()).await;
    let sender = client.sender();
    let mut sending = pin!(sender.send(vec![1; 100_000]));
    assert!(poll_once(sending.as_mut()).await.is_none());
    assert!(poll_once(pin!(server.recv())).await.is_none());
    drop(server);
    // Whoever receives sees the end first.
    within(client.recv()).await.unwrap();
    let error = within(sending).await.unwrap_err();
    assert!(matches!(error, SendError::Io(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_is_cut_ends_though_a_message_of_the_peer_is_unclaimed() {
    let (ended, mut end) = mpsc::channel(1);
    let config = Config::new()
        .idle_timeout(Some(Duration::from_millis(300)))
        .max_buffered(ROOM);
    let server = serve(|server| {
        server.config(config).route("/", move |ws: WebSocket| {
            let (ended, sender) = (ended.clone(), ws.sender());
            tokio::spawn(async move {
                for _ in 0..MORE_THAN_FITS {
                    if sender.send(vec![7; 60_000]).await.is_err() {
                        ended.send(()).await.unwrap();
                        break;
                    }
                }
            });
            async move {
                std::future::pending::<()>().await;
                drop(ws);
            }
        })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    peer.send(OpCode::Text, "nobody asks for this").await;
    within(end.recv()).await.expect("the sender is told");
    drop(peer);
}

#[tokio::test]
async fn a_peer_from_which_there_is_always_more_leaves_others_their_turn() {
    const FLOOD: usize = 8 * 1024 * 1024;
    let flood = frame(Role::Client, OpCode::Binary, &[0; 1000]).repeat(FLOOD / 1000);
    let (mut peer, io) = duplex(flood.len());
    peer.write_all(&flood).await.unwrap();
    let connection = Connection::server(Arc::default());
    let mut ws = WebSocket::new(connection, io, None, &Config::new());

    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let counting = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..FLOOD / 1000 {
        within(ws.recv()).await.unwrap().expect("a message");
    }
    counting.abort();
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns >= 8, "{turns} turns for 8 MiB");
}

#[tokio::test]
async fn a_peer_that_pings_for_ever_and_never_reads_holds_little_and_is_let_go() {
    let timeout = Duration::from_millis(600);
    let config = Config::new().write_timeout(Some(timeout));
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.config(config).route("/echo", echo);
    let metrics = server.metrics();
    let server = start(server);
    let mut other = Peer::connect(server.addr, "/echo").await;
    let mut peer = Peer::connect(server.addr, "/echo").await;
    let pings = frame(Role::Client, OpCode::Ping, &[7; 125]).repeat(1000);
    let flooding = tokio::spawn(async move {
        let mut sent: u64 = 0;
        while peer.io.write_all(&pings).await.is_ok() {
            sent += 1000;
        }
        sent
    });
    let mut most = 0;
    while !flooding.is_finished() {
        most = most.max(metrics.queued_bytes());
        other.send(OpCode::Text, "still here").await;
        assert_eq!(other.text().await, "still here");
    }
    let sent = within(flooding).await.unwrap();
    assert!(sent > 10_000, "{sent} pings were no flood");
    assert!(most <= 4096, "{most} bytes were queued for {sent} pings");
    assert_eq!(metrics.open(), 1);
}
