//! Other requests on the server's port, answered by a service.

use crate::support::{Peer, REQUEST, assert_echoes, echo, exchange, serve, within};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use newswire::{Config, Server};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::service_fn;

/// Says what it was asked.
async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, newswire::Error> {
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

fn with_tell(server: Server) -> Server {
    server.route("/echo", echo).fallback(service_fn(tell))
}

/// Head and body of an answer.
fn parts(answer: &str) -> (String, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect(answer);
    (format!("{head}\r\n").to_lowercase(), body)
}

#[tokio::test]
async fn a_request_is_answered_by_the_service_and_the_connection_ends() {
    let server = serve(with_tell).await;
    // More than hyper takes at once of what was read for it.
    let padding = "x".repeat(15_000);
    let large = format!("GET /large HTTP/1.1\r\nHost: h\r\nX-Padding: {padding}\r\n\r\n");
    for (request, told) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / - 0 bytes "),
        (
            "DELETE /a/b?c=%20d HTTP/1.1\r\nHost: h\r\nX-Header: value\r\n\r\n",
            "DELETE /a/b?c=%20d value 0 bytes ",
        ),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
            "PUT / - 4 bytes body",
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nch\r\n5\r\nunked\r\n0\r\n\r\n",
            "POST / - 7 bytes chunked",
        ),
        // One request a connection: what comes behind it is not served.
        (
            "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /1 - 0 bytes ",
        ),
        ("GET /old HTTP/1.0\r\n\r\n", "GET /old - 0 bytes "),
        (&*large, "GET /large - 0 bytes "),
        // An upgrade to something else is no concern of a WebSocket's.
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET / - 0 bytes ",
        ),
    ] {
        let answer = exchange(server.addr, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1."), "{answer}");
        assert_eq!(answer.split(' ').nth(1), Some("200"), "{answer}");
        let (head, body) = parts(&answer);
        assert_eq!(body, told);
        let http_10 = answer.starts_with("HTTP/1.0");
        assert!(
            http_10 || head.contains("\r\nconnection: close\r\n"),
            "{answer}"
        );
    }
    assert_echoes(server.addr).await;
}

#[tokio::test]
async fn a_body_may_come_in_pieces_behind_or_with_its_head() {
    let server = serve(with_tell).await;
    let body = "0123456789".repeat(5000);
    let request = format!(
        "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // In the head, at its end, in the body; and in many pieces.
    for piece in [10, 50, 70, 20_000] {
        let mut stream = within(TcpStream::connect(server.addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (first, rest) = request.as_bytes().split_at(piece);
        let mut answer = String::new();
        within(async {
            stream.write_all(first).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            for piece in rest.chunks(7000) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream.read_to_string(&mut answer).await.unwrap();
        })
        .await;
        let told = format!("POST /upload - 50000 bytes {body}");
        assert!(parts(&answer).1 == told, "{piece}");
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
    peer.send(newswire::proto::OpCode::Text, "a route").await;
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
    let config = Config::new().handshake_timeout(Duration::from_millis(500));
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
