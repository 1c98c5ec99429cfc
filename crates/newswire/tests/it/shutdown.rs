//! A graceful shutdown: nobody new, 1001 for everybody, and an end whatever they do.

use crate::support::{
    Peer, REQUEST, assert_echoes, echo, message, serve, serve_echo, start, within,
};
use newswire::proto::OpCode;
use newswire::{CloseCode, Config, SendError, Server, WebSocket};
use std::future::pending;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Time for who answers at once, on a machine that has much else to do.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Nothing but the close timeout ends a connection.
fn config() -> Config {
    Config::new().close_timeout(A_MOMENT).idle_timeout(None)
}

async fn assert_refused(addr: SocketAddr) {
    let error = within(TcpStream::connect(addr)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_shutdown_stops_listening_at_once_and_closes_every_connection_with_1001() {
    let server = serve_echo().await;
    let addr = server.addr;
    let mut ws = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(Peer::connect(addr, "/echo").await);
    }
    peers[0].send(OpCode::Text, "before").await;
    assert_eq!(peers[0].text().await, "before");

    let serving = server.shut_down();
    assert_eq!(within(ws.recv()).await.unwrap(), None);
    assert_eq!(ws.close_frame().unwrap().code.0, 1001);
    for peer in &mut peers {
        assert_eq!(peer.close_code().await, Some(1001));
    }
    // Nobody has answered yet, and yet nobody new comes in.
    assert_refused(addr).await;
    assert!(!serving.is_finished());
    for peer in &mut peers {
        peer.close(1001).await;
        peer.assert_ends().await;
    }
    let shutdown = within(serving).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (21, 0));
}

#[tokio::test]
async fn a_server_without_connections_ends_at_once() {
    let server = serve_echo().await;
    assert_echoes(server.addr).await;
    let addr = server.addr;
    let start = Instant::now();
    let shutdown = within(server.shut_down()).await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the close timeout"
    );
    assert_eq!(shutdown.cut, 0);
    assert_refused(addr).await;
}

#[tokio::test]
async fn what_was_sent_before_a_shutdown_arrives_before_its_close() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            ws.recv().await?;
            for n in 0..1000 {
                ws.send(n.to_string()).await?;
            }
            ws.recv().await?;
            Ok::<_, newswire::Error>(())
        })
    });
    let server = server.await;
    let mut peer = Peer::connect(server.addr, "/").await;
    peer.send(OpCode::Text, "go").await;
    assert_eq!(peer.text().await, "0");
    let serving = server.shut_down();
    for n in 1..1000 {
        assert_eq!(peer.text().await, n.to_string());
    }
    assert_eq!(peer.close_code().await, Some(1001));
    peer.close(1001).await;
    let shutdown = within(serving).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (1, 0));
}

#[tokio::test]
async fn a_handler_may_receive_what_still_comes_and_then_sees_the_end() {
    let (seen, mut observed) = mpsc::channel(1);
    let server = serve(|server| {
        server.route("/", move |mut ws: WebSocket| {
            let seen = seen.clone();
            async move {
                let mut received = Vec::new();
                while let Some(message) = ws.recv().await? {
                    received.push(message);
                }
                let sent = ws.send("too late").await;
                seen.send((received, sent.unwrap_err())).await?;
                Ok::<_, newswire::Error>(())
            }
        })
    });
    let server = server.await;
    let mut peer = Peer::connect(server.addr, "/").await;
    let serving = server.shut_down();
    assert_eq!(peer.close_code().await, Some(1001));
    peer.send(OpCode::Text, "was under way").await;
    peer.close(1001).await;
    peer.assert_ends().await;
    let (received, sent) = within(observed.recv()).await.unwrap();
    assert_eq!(received, ["was under way".into()]);
    assert!(matches!(sent, SendError::Closed(_)), "{sent:?}");
    assert_eq!(within(serving).await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_hung_up_on_after_the_close_timeout() {
    let server = serve(|server| server.config(config()).route("/", echo)).await;
    let mut peer = Peer::connect(server.addr, "/").await;
    let start = Instant::now();
    let shutdown = within(server.shut_down()).await.unwrap();
    assert!(start.elapsed() >= A_MOMENT, "{:?}", start.elapsed());
    // It ends of itself, or is cut where that comes late.
    assert_eq!(shutdown.open, 1);
    assert_eq!(peer.close_code().await, Some(1001));
    peer.assert_ends().await;
}

/// Tells when it is dropped.
struct Tell(mpsc::Sender<()>);

impl Drop for Tell {
    fn drop(&mut self) {
        // The test may have gone.
        let _ = self.0.try_send(());
    }
}

#[tokio::test]
async fn a_handler_that_does_not_notice_the_shutdown_is_cut() {
    let (dropped, mut drops) = mpsc::channel(1);
    let server = serve(|server| {
        server
            .config(config())
            .route("/echo", echo)
            .route("/", move |ws: WebSocket| {
                let tell = Tell(dropped.clone());
                async move {
                    pending::<()>().await;
                    drop((tell, ws));
                }
            })
    });
    let server = server.await;
    let mut peer = Peer::connect(server.addr, "/").await;
    let mut other = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    let serving = server.shut_down();
    assert_eq!(peer.close_code().await, Some(1001));
    peer.close(1001).await;
    peer.assert_ends().await;
    assert_eq!(within(other.recv()).await.unwrap(), None);
    let shutdown = within(serving).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (2, 1));
    within(drops.recv()).await.expect("the handler is dropped");
}

#[tokio::test]
async fn a_handshake_under_way_is_refused_with_503_or_cut() {
    let server = serve(|server| server.config(config()).route("/echo", echo)).await;
    let addr = server.addr;
    let mut half = Peer::client(within(TcpStream::connect(addr)).await.unwrap());
    half.raw(&REQUEST.as_bytes()[..40]).await;
    let mut silent = Peer::client(within(TcpStream::connect(addr)).await.unwrap());
    // The server has accepted these two when it serves one that came after them.
    assert_echoes(addr).await;

    let serving = server.shut_down();
    // The listener is gone, so the shutdown has begun.
    within(async { while TcpStream::connect(addr).await.is_ok() {} }).await;
    half.raw(&REQUEST.as_bytes()[40..]).await;
    let head = half.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    drop(half);
    silent.assert_ends().await;
    let shutdown = within(serving).await.unwrap();
    // The silent one, and any that were slow to go.
    assert!((1..=shutdown.open).contains(&shutdown.cut), "{shutdown:?}");
    assert!(shutdown.open >= 2, "{shutdown:?}");
}

#[tokio::test]
async fn connections_go_on_when_the_future_of_a_server_is_dropped() {
    let server = serve_echo().await;
    let addr = server.addr;
    let mut ws = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    server.abort().await;
    assert_refused(addr).await;
    within(ws.send("still here")).await.unwrap();
    assert_eq!(message(&mut ws).await, "still here".into());
}

#[tokio::test]
async fn a_shutdown_that_is_spread_closes_some_hundred_connections_under_load_one_after_the_other()
{
    const CONNECTIONS: usize = 300;
    let spread = Duration::from_millis(600);
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let server = server.workers(NonZeroUsize::new(2).unwrap()).await.unwrap();
    let server = server.route("/echo", echo).shutdown_spread(spread);
    let metrics = server.metrics();
    let server = start(server);
    let (opened, mut open) = mpsc::channel(CONNECTIONS);
    let mut clients = Vec::new();
    for number in 0..CONNECTIONS {
        let (url, opened) = (server.url("/echo"), opened.clone());
        clients.push(tokio::spawn(async move {
            let mut ws = newswire::connect(&url).await.unwrap();
            opened.send(()).await.unwrap();
            let text = number.to_string().repeat(50);
            // Until the server goes away: what arrives until then is right and whole.
            loop {
                let sent = ws.send(text.as_str()).await;
                match ws.recv().await.unwrap() {
                    Some(echoed) => assert_eq!(echoed, text.as_str().into()),
                    None => break,
                }
                sent.unwrap();
            }
            (ws.close_frame().unwrap().code.0, Instant::now())
        }));
    }
    for _ in 0..CONNECTIONS {
        within(open.recv()).await.unwrap();
    }
    let began = Instant::now();
    let shutdown = within(server.shut_down()).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (CONNECTIONS, 0));
    let mut ends = Vec::new();
    for client in clients {
        let (code, at) = within(client).await.unwrap();
        assert_eq!(code, 1001);
        ends.push(at.saturating_duration_since(began));
    }
    ends.sort_unstable();
    let (first, last) = (ends[0], ends[CONNECTIONS - 1]);
    assert!(last >= spread * 3 / 4, "all at once: {last:?}");
    assert!(first < spread / 2, "none at first: {first:?}");
    let half = ends.partition_point(|at| *at < last / 2);
    assert!(
        (CONNECTIONS / 5..CONNECTIONS * 4 / 5).contains(&half),
        "{half} in the first half"
    );
    assert_eq!(
        metrics.closed(),
        [(CloseCode::GOING_AWAY, CONNECTIONS as u64)]
    );
    assert_eq!(metrics.open(), 0);
}

#[tokio::test]
async fn a_shutdown_that_is_spread_does_not_wait_for_nobody() {
    let hour = Duration::from_secs(3600);
    let server = serve(|it| it.route("/echo", echo).shutdown_spread(hour)).await;
    let mut peer = Peer::connect(server.addr, "/echo").await;
    let serving = server.shut_down();
    assert_eq!(peer.close_code().await, Some(1001));
    peer.close(1001).await;
    assert_eq!(within(serving).await.unwrap().cut, 0);
}
