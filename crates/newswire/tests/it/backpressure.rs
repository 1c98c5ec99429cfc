//! Peers that do not read: `send` waits, memory is bounded, nobody else suffers.

use crate::support::{Peer, assert_echoes, echo, message, pair, poll_once, serve, within};
use newswire::proto::{Failure, OpCode, Role};
use newswire::{Config, Connector, RecvError, SendError, State, WebSocket};
use std::pin::pin;
use std::time::Duration;
use tokio::io::duplex;
use tokio::sync::{mpsc, oneshot};

const ROOM: usize = 64 * 1024;

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
    let bytes = crate::support::frame(Role::Client, OpCode::Binary, &[7; 60_000]);
    let flooding = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while peer.io.write_all(&bytes).await.is_ok() {}
    });
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
                let sent = async { while sender.send(vec![7; 60_000]).await.is_ok() {} };
                sent.await;
                ended.send(()).await
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
