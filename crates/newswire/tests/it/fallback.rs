//! Other requests on the server's port, answered by a service.

use crate::support::{Http, Peer, REQUEST, assert_echoes, echo, exchange, serve, within};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use newswire::proto::OpCode;
use newswire::{Config, PeerAddr, Server, TrustedProxies};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::service_fn;

/// Says what it was asked.
pub(crate) async fn tell(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, newswire::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = head.headers.get("x-header").map(|value| value.to_str());
    let header = header.transpose()?.unwrap_or("-");
    let told = format!(
        "{} {} {header} {} bytes {}",
        head.method,
        head.uri,
        body.len(),
        str::from_utf8(&body)?
    );
    Ok(Response::new(Full::new(told.into())))
}

pub(crate) fn with_tell(server: Server) -> Server {
    server.route("/echo", echo).fallback(service_fn(tell))
}

/// Head and body of an answer.
pub(crate) fn parts(answer: &str) -> (String, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect(answer);
    (format!("{head}\r\n").to_lowercase(), body)
}

/// Sends a request and says that it is the last; all that comes back until the end.
pub(crate) async fn exchange_last(addr: SocketAddr, request: &str) -> String {
    let last = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    exchange(addr, last.as_bytes()).await
}

#[tokio::test]
async fn a_service_is_told_who_asks() {
    let proxies = TrustedProxies::new(["127.0.0.0/8"]).unwrap();
    let server = serve(|server| {
        server
            .trusted_proxies(proxies)
            .fallback(service_fn(async |request: Request<Incoming>| {
                let peer: &PeerAddr = request.extensions().get().unwrap();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(peer.to_string()))))
            }))
    })
    .await;
    let mut client = Http::connect(&server).await;
    // A proxy speaks for another client with each request, or for itself.
    for (line, peer) in [
        ("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
        ("Forwarded: for=192.0.2.2\r\n", "192.0.2.2"),
        ("", "127.0.0.1:"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n");
        client.send(&request).await;
        let (_, body) = client.answer().await;
        assert!(body.starts_with(peer), "{line}{body}");
    }
}

#[tokio::test]
async fn a_body_may_come_in_pieces_behind_or_with_its_head() {
    let server = serve(with_tell).await;
    let body = "0123456789".repeat(5000);
    let request = format!(
        "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = Http::connect(&server).await;
    // In the head, at its end, in the body; and in many pieces.
    for piece in [10, 50, 70, 20_000] {
        let (first, rest) = request.split_at(piece);
        client.send(first).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        for piece in rest.as_bytes().chunks(7000) {
            client.bytes(piece.to_vec()).await;
            tokio::task::yield_now().await;
        }
        let told = format!("POST /upload - 50000 bytes {body}");
        assert!(client.answer().await.1 == told, "{piece}");
    }
}

#[tokio::test]
async fn what_wants_to_be_a_websocket_is_not_for_the_service() {
    let server = serve(with_tell).await;
    // A route is a WebSocket's, whoever asks for it.
    let answer = exchange(server.addr, b"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    // And who asks for a WebSocket is not sent a page.
    let elsewhere = REQUEST.replace("/echo", "/elsewhere");
    let answer = exchange(server.addr, elsewhere.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    // What is no request at all is refused before.
    let answer = exchange(server.addr, b"GET /\n\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let mut peer = Peer::connect(server.addr, "/echo").await;
    peer.send(OpCode::Text, "a route").await;
    assert_eq!(peer.text().await, "a route");
}

#[tokio::test]
async fn a_service_that_fails_or_panics_ends_its_own_connection_only() {
    let server = serve(|server| {
        server
            .route("/echo", echo)
            .fallback(service_fn(async |request: Request<Incoming>| {
                assert_ne!(request.uri().path(), "/panic", "as it should");
                Err::<Response<Full<Bytes>>, newswire::Error>("it fails".into())
            }))
    });
    let server = server.await;
    for path in ["/error", "/panic"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(
            exchange(server.addr, request.as_bytes()).await,
            "",
            "{path}"
        );
        assert_echoes(server.addr).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_a_large_answer_is_let_go() {
    /// Tells when the answer is dropped, be it sent or not.
    struct Large(Vec<u8>, mpsc::Sender<()>);
    impl AsRef<[u8]> for Large {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Large {
        fn drop(&mut self) {
            let _ = self.1.try_send(());
        }
    }
    let (dropped, mut drops) = mpsc::channel(1);
    let config = Config::new().write_timeout(Some(Duration::from_millis(500)));
    let server = serve(|server| {
        server
            .config(config)
            .route("/echo", echo)
            .fallback(service_fn(move |_| {
                let large = Bytes::from_owner(Large(vec![0; 50 << 20], dropped.clone()));
                std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(large))))
            }))
    });
    let server = server.await;
    let mut stream = within(TcpStream::connect(server.addr)).await.unwrap();
    within(stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
        .await
        .unwrap();
    within(drops.recv()).await.expect("the answer is let go");
    let mut read = Vec::new();
    let _ = within(stream.read_to_end(&mut read)).await;
    assert!((1..50 << 20).contains(&read.len()), "{}", read.len());
    assert_echoes(server.addr).await;
}
