//! How many connections a server takes: what is too much is told so, and nothing stays taken.

use crate::support::{
    Peer, REQUEST, Served, assert_echoes, echo, exchange, frame, serve, start, within,
};
use newswire::proto::{OpCode, Role};
use newswire::{Server, TrustedProxies};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request from a client that a proxy speaks for.
fn from(client: &str) -> String {
    REQUEST.replace(
        "\r\n\r\n",
        &format!("\r\nX-Forwarded-For: {client}\r\n\r\n"),
    )
}

/// The head of the answer, however the connection ends.
async fn answer(addr: SocketAddr, request: &str) -> String {
    let head = exchange(addr, request.as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 "), "{head:?}");
    head
}

fn assert_told_to_come_again(answer: &str, status: &str) {
    assert!(answer.starts_with(status), "{answer}");
    let seconds = answer
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("retry-after: ")?.parse::<u32>().ok());
    assert!(seconds.is_some_and(|it| (1..60).contains(&it)), "{answer}");
}

/// Waits until a connection that was closed is taken out, so that there is room for another.
async fn room_again(server: &Served) {
    within(async {
        loop {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            stream.write_all(REQUEST.as_bytes()).await.unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).await.unwrap();
            if status.ends_with(b"101") {
                let close = frame(Role::Client, OpCode::Close, b"\x03\xe8");
                stream.write_all(&close).await.unwrap();
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn more_connections_than_there_may_be_are_answered_503_and_leave_no_trace() {
    for workers in [0, 2] {
        let mut server = Server::bind("127.0.0.1:0").await.unwrap();
        if let Some(workers) = NonZeroUsize::new(workers) {
            server = server.workers(workers).await.unwrap();
        }
        let server = server.route("/echo", echo).max_connections(3);
        let metrics = server.metrics();
        let server = start(server);
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(Peer::connect(server.addr, "/echo").await);
        }
        for _ in 0..20 {
            let answer = answer(server.addr, REQUEST).await;
            assert_told_to_come_again(&answer, "HTTP/1.1 503 ");
        }
        assert_eq!(metrics.refused(), [("max_connections", 20)]);
        // Those that are open go on.
        for peer in &mut peers {
            peer.send(OpCode::Text, "still here").await;
            assert_eq!(peer.text().await, "still here");
        }
        // One place is free again for one, each time.
        peers.pop();
        for _ in 0..3 {
            room_again(&server).await;
        }
        drop(peers);
        room_again(&server).await;
        let shutdown = within(server.shut_down()).await.unwrap();
        assert_eq!(shutdown.cut, 0);
    }
}

#[tokio::test]
async fn a_place_that_a_handshake_has_taken_is_free_when_it_fails() {
    let server = serve(|it| it.route("/echo", echo).max_connections(1)).await;
    for request in [
        "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        "rubbish\r\n\r\n",
    ] {
        let status = answer(server.addr, request).await;
        assert!(status.starts_with("HTTP/1.1 4"), "{status}");
        room_again(&server).await;
    }
    // One that says nothing has its place until it goes.
    let silent = TcpStream::connect(server.addr).await.unwrap();
    let status = answer(server.addr, REQUEST).await;
    assert_told_to_come_again(&status, "HTTP/1.1 503 ");
    drop(silent);
    room_again(&server).await;
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may() {
    let server = serve(|it| it.route("/echo", echo).max_connections_per_address(2)).await;
    let _first = Peer::connect(server.addr, "/echo").await;
    let second = Peer::connect(server.addr, "/echo").await;
    let refused = answer(server.addr, REQUEST).await;
    assert_told_to_come_again(&refused, "HTTP/1.1 429 ");
    drop(second);
    room_again(&server).await;
}

#[tokio::test]
async fn it_is_the_client_that_counts_and_not_the_proxy_that_speaks_for_it() {
    let proxies = TrustedProxies::new(["127.0.0.1"]).unwrap();
    let server = serve(|it| {
        it.route("/echo", echo)
            .trusted_proxies(proxies)
            .max_connections_per_address(1)
    })
    .await;
    let mut peers = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let mut peer = Peer::client(TcpStream::connect(server.addr).await.unwrap());
        peer.raw(from(client).as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peers.push(peer);
        let refused = answer(server.addr, &from(client)).await;
        assert_told_to_come_again(&refused, "HTTP/1.1 429 ");
    }
    // The proxy itself is not counted.
    for _ in 0..3 {
        assert_echoes(server.addr).await;
    }
    // A refused one has not given back what the first has taken.
    let refused = answer(server.addr, &from("192.0.2.1")).await;
    assert_told_to_come_again(&refused, "HTTP/1.1 429 ");
}

#[tokio::test]
async fn new_connections_of_an_address_have_a_rate_and_a_wait_helps() {
    let server = serve(|it| it.route("/echo", echo).max_connection_rate_per_address(1)).await;
    let mut refused = 0;
    for _ in 0..10 {
        let mut peer = Peer::client(within(TcpStream::connect(server.addr)).await.unwrap());
        peer.raw(REQUEST.as_bytes()).await;
        let head = peer.head().await;
        if head.starts_with("HTTP/1.1 429 ") {
            assert_told_to_come_again(&head, "HTTP/1.1 429 ");
            refused += 1;
        }
    }
    assert!(refused >= 1, "ten in much less than nine seconds");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_echoes(server.addr).await;
}

#[tokio::test]
async fn so_many_refused_connections_that_not_all_can_be_told_do_not_harm_those_that_are_open() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.route("/echo", echo).max_connections(1);
    let metrics = server.metrics();
    let server = start(server);
    let mut peer = Peer::connect(server.addr, "/echo").await;
    // They say nothing, so each holds on to its place among those that are told.
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(within(TcpStream::connect(server.addr)).await.unwrap());
        peer.send(OpCode::Text, "still here").await;
        assert_eq!(peer.text().await, "still here");
    }
    // Beyond these, they are hung up on.
    let last = silent.last_mut().unwrap();
    let ended = within(last.read(&mut [0; 100])).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert_eq!(metrics.accepted(), 401);
    let shutdown = within(server.shut_down());
    drop((silent, peer));
    shutdown.await.unwrap();
}
