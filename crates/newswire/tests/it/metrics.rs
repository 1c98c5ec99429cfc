//! What a server counts, against what its peers have done.

use crate::support::{Peer, Served, assert_echoes, close_payload, echo, exchange, start, within};
use newswire::proto::OpCode;
use newswire::server::Metrics;
use newswire::{CloseCode, Rejection, Request, Route, Server, WebSocket};
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::sleep;

async fn fail(mut ws: WebSocket) -> newswire::Result {
    ws.recv().await?;
    Err("what it was for has failed".into())
}

async fn panic(mut ws: WebSocket) {
    let _ = ws.recv().await;
    panic!("a test of what a panic does");
}

/// Sends much, from a task of its own.
async fn push(mut ws: WebSocket) -> newswire::Result {
    let sender = ws.sender();
    let task = tokio::spawn(async move {
        for _ in 0..1000 {
            sender.send(vec![0; 100_000]).await?;
        }
        newswire::Result::Ok(())
    });
    while ws.recv().await?.is_some() {}
    task.await?
}

async fn served(workers: usize) -> (Served, Metrics) {
    let mut server = Server::bind("127.0.0.1:0").await.unwrap();
    let metrics = server.metrics();
    if let Some(workers) = NonZeroUsize::new(workers) {
        server = server.workers(workers).await.unwrap();
    }
    let deny = async |_: Request| Err::<(), _>(Rejection::forbidden("no").of_kind("banned"));
    let server = server
        .route("/echo", echo)
        .route("/fail", fail)
        .route("/panic", panic)
        .route("/push", push)
        .route("/banned", Route::new(echo).authenticate(deny));
    (start(server), metrics)
}

/// Waits until nothing is open.
async fn nothing_open(metrics: &Metrics) {
    within(async {
        while metrics.open() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn messages_and_bytes_are_counted_both_ways_to_the_last() {
    for workers in [0, 2] {
        let (server, metrics) = served(workers).await;
        for _ in 0..5 {
            let mut peer = Peer::connect(server.addr, "/echo").await;
            for _ in 0..10 {
                peer.send(OpCode::Text, "four").await;
                assert_eq!(peer.text().await, "four");
            }
            peer.send(OpCode::Ping, "").await;
            assert_eq!(peer.next().await, Some((OpCode::Pong, Vec::new())));
            assert_eq!(metrics.open(), 1);
            peer.close(1000).await;
            assert_eq!(peer.close_code().await, Some(1000));
            peer.assert_ends().await;
            nothing_open(&metrics).await;
        }
        assert_eq!((metrics.accepted(), metrics.opened()), (5, 5));
        assert_eq!(metrics.messages_received(), 50);
        assert_eq!(metrics.messages_sent(), 50);
        // Header, masking key and payload; the ping and the Close frame are bytes, not messages.
        assert_eq!(metrics.bytes_received(), 5 * (10 * (6 + 4) + 6 + 8));
        assert_eq!(metrics.bytes_sent(), 5 * (10 * (2 + 4) + 2 + 4));
        assert_eq!(metrics.closed(), [(CloseCode::NORMAL, 5)]);
        assert_eq!(metrics.queued_bytes(), 0);
    }
}

#[tokio::test]
async fn every_end_is_counted_by_its_code() {
    let (server, metrics) = served(0).await;
    for (code, times) in [(1000, 1), (1001, 3), (3000, 1), (3999, 1), (4321, 2)] {
        for _ in 0..times {
            let mut peer = Peer::connect(server.addr, "/echo").await;
            peer.close(code).await;
            assert_eq!(peer.close_code().await, Some(code));
        }
    }
    // Without a code, without a Close frame, and with a broken frame.
    let mut peer = Peer::connect(server.addr, "/echo").await;
    peer.send(OpCode::Close, "").await;
    assert_eq!(peer.close_code().await, None);
    drop(Peer::connect(server.addr, "/echo").await);
    let mut peer = Peer::connect(server.addr, "/echo").await;
    peer.raw(&[0xff; 20]).await;
    assert_eq!(peer.close_code().await, Some(1002));
    drop(peer);
    nothing_open(&metrics).await;
    let closed = metrics.closed().into_iter();
    let closed: Vec<_> = closed.map(|(code, count)| (code.0, count)).collect();
    let named = [(1000, 1), (1001, 3), (1002, 1), (1005, 1), (1006, 1)];
    // The last two are all of their thousand.
    assert_eq!(closed[..5], named);
    assert_eq!(closed[5..], [(3000, 2), (4000, 2)]);
    assert_eq!(metrics.opened(), 11);
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_is_counted_and_its_peer_told_1011() {
    for workers in [0, 2] {
        let (server, metrics) = served(workers).await;
        for path in ["/fail", "/panic", "/panic"] {
            let mut peer = Peer::connect(server.addr, path).await;
            peer.send(OpCode::Text, "go").await;
            assert_eq!(peer.close_code().await, Some(1011));
            peer.send(OpCode::Close, close_payload(1011, "")).await;
            peer.assert_ends().await;
            // It harms nobody else.
            assert_echoes(server.addr).await;
        }
        nothing_open(&metrics).await;
        assert_eq!(metrics.handlers_failed(), 1);
        assert_eq!(metrics.handlers_panicked(), 2);
        let closed = metrics.closed();
        assert_eq!(
            closed,
            [(CloseCode::NORMAL, 3), (CloseCode::INTERNAL_ERROR, 3)]
        );
    }
}

#[tokio::test]
async fn a_handler_that_ends_with_its_connection_has_not_failed() {
    let (server, metrics) = served(0).await;
    let mut peer = Peer::connect(server.addr, "/echo").await;
    peer.raw(&[0xff; 20]).await;
    assert_eq!(peer.close_code().await, Some(1002));
    drop(peer);
    nothing_open(&metrics).await;
    assert_eq!(metrics.handlers_failed(), 0);
}

#[tokio::test]
async fn refused_handshakes_are_counted_by_kind() {
    let (server, metrics) = served(0).await;
    let request = |path: &str| crate::support::REQUEST.replace("/echo", path);
    for (request, status) in [
        (request("/nowhere"), "404"),
        (request("/nowhere"), "404"),
        (request("/banned"), "403"),
        ("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426"),
    ] {
        let answer = exchange(server.addr, request.as_bytes()).await;
        assert_eq!(&answer[9..12], status);
    }
    // One that goes before it has asked.
    drop(tokio::net::TcpStream::connect(server.addr).await.unwrap());
    within(async {
        while metrics.refused().len() < 4 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let expected = [
        ("Not Found", 2),
        ("Upgrade Required", 1),
        ("banned", 1),
        ("hang-up", 1),
    ];
    assert_eq!(metrics.refused(), expected);
    assert_eq!((metrics.accepted(), metrics.opened()), (5, 0));
}

#[tokio::test]
async fn what_waits_for_a_peer_that_does_not_read_is_seen() {
    let (server, metrics) = served(2).await;
    let peer = Peer::connect(server.addr, "/push").await;
    within(async {
        while metrics.queued_bytes() < 500_000 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(metrics.messages_sent() > 1);
    drop(peer);
    nothing_open(&metrics).await;
    assert_eq!(metrics.queued_bytes(), 0);
}
