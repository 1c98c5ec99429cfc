//! The opening handshake has a time in which it must be done, whatever the peer does with it.

use crate::support::{Peer, REQUEST, exchange, serve, serve_echo, sooner_or_later, within};
use newswire::{AcceptError, Config, ConnectError, Connector, Step, WebSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// By the paused clock. Shorter than the patience of the tests, which goes by it too.
const LIMIT: Duration = Duration::from_secs(5);
const A_MOMENT: Duration = Duration::from_millis(200);

fn config(limit: Duration) -> Config {
    Config::new().handshake_timeout(limit)
}

/// Accepts; what came of it, and after how long.
async fn accept(io: DuplexStream) -> (Result<WebSocket<DuplexStream>, AcceptError>, Duration) {
    let start = Instant::now();
    let accepted = sooner_or_later(newswire::accept(io, &config(LIMIT))).await;
    (accepted, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_not_answered() {
    let (near, mut far) = duplex(4096);
    let (accepted, after) = accept(near).await;
    let error = accepted.unwrap_err();
    assert!(matches!(error, AcceptError::Ended), "{error:?}");
    assert!((LIMIT..LIMIT * 2).contains(&after), "{after:?}");
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_stays_half_is_answered_with_408() {
    let (near, far) = duplex(4096);
    let mut peer = Peer::client(far);
    peer.raw(&REQUEST.as_bytes()[..REQUEST.len() - 1]).await;
    let (accepted, head) = tokio::join!(accept(near), peer.head());
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let error = accepted.0.unwrap_err();
    assert!(matches!(error, AcceptError::Rejected(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_is_answered_with_408_however_many_bytes_have_come() {
    let (near, far) = duplex(4096);
    let accepting = tokio::spawn(accept(near));
    let mut peer = Peer::client(far);
    let pause = Duration::from_millis(100);
    // All but the last bytes of the head fit into the time.
    let padding = format!("X-Padding: {}\r\n\r\n", "x".repeat(1000));
    for byte in REQUEST
        .replace("\r\n\r\n", "\r\n")
        .bytes()
        .chain(padding.bytes())
    {
        if peer.io.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(pause).await;
    }
    let head = peer.head().await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let (accepted, after) = accepting.await.unwrap();
    assert!(accepted.is_err());
    // The answer may take a second to be read.
    assert!((LIMIT..LIMIT * 2).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_the_answer_is_let_go() {
    // The answer does not fit into the pipe.
    let (near, mut far) = duplex(1);
    let accepting = tokio::spawn(accept(near));
    far.write_all(REQUEST.as_bytes()).await.unwrap();
    let (accepted, after) = accepting.await.unwrap();
    let error = accepted.unwrap_err();
    assert!(matches!(error, AcceptError::Ended), "{error:?}");
    assert!((LIMIT..LIMIT * 3).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_gives_up_on_a_server_that_does_not_answer() {
    let (near, far) = duplex(4096);
    let start = Instant::now();
    let connector = Connector::new().config(config(LIMIT));
    let error = sooner_or_later(connector.connect_over("ws://localhost/", near)).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, ConnectError::Timeout(Step::Http)),
        "{error:?}"
    );
    assert!((LIMIT..LIMIT * 2).contains(&start.elapsed()));
    drop(far);
}

#[tokio::test]
async fn a_server_hangs_up_on_clients_that_do_not_finish_their_request() {
    let server = serve(|server| {
        server
            .config(config(A_MOMENT))
            .route("/", |_: WebSocket| async {})
    });
    let addr = server.await.addr;
    let start = Instant::now();
    assert_eq!(exchange(addr, b"").await, "");
    assert!(start.elapsed() >= A_MOMENT);
    let answer = exchange(addr, b"G").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    let answer = exchange(addr, &REQUEST.as_bytes()[..REQUEST.len() - 2]).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");

    let mut peer = Peer::client(within(TcpStream::connect(addr)).await.unwrap());
    for byte in REQUEST.bytes() {
        if peer.io.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(A_MOMENT / 20).await;
    }
    let head = peer.head().await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[tokio::test]
async fn a_client_that_sends_one_byte_at_a_time_in_time_is_served() {
    let server = serve_echo().await;
    let mut peer = Peer::client(within(TcpStream::connect(server.addr)).await.unwrap());
    peer.io.set_nodelay(true).unwrap();
    for byte in REQUEST.bytes() {
        peer.raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    let head = peer.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}
