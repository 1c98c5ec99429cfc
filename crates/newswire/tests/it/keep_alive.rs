//! Requests one after the other on a connection of the server: where one ends, who is let go, and
//! the WebSocket that may follow.

use crate::fallback::{exchange_last, parts, tell, with_tell};
use crate::support::{Http, REQUEST, assert_echoes, exchange, frame, serve, within};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use newswire::Config;
use newswire::proto::{OpCode, Role};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::service_fn;

#[tokio::test]
async fn a_request_is_answered_by_the_service_and_then_the_next_on_the_same_connection() {
    let server = serve(with_tell).await;
    // More than hyper takes at once of what was read for it.
    let padding = "x".repeat(15_000);
    let large = format!("GET /large HTTP/1.1\r\nHost: h\r\nX-Padding: {padding}\r\n\r\n");
    let requests = [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / - 0 bytes "),
        (
            "DELETE /a/b?c=%20d HTTP/1.1\r\nHost: h\r\nX-Header: value\r\n\r\n",
            "DELETE /a/b?c=%20d value 0 bytes ",
        ),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
            "PUT / - 4 bytes body",
        ),
        (&*large, "GET /large - 0 bytes "),
        // An upgrade to something else is no concern of a WebSocket's.
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET / - 0 bytes ",
        ),
        (
            "POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            "POST /s - 0 bytes ",
        ),
    ];
    let mut client = Http::connect(&server).await;
    for (request, told) in requests {
        client.send(request).await;
        let (head, body) = client.answer().await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(!head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(body, told);
    }
    // All at once: they are answered in their order.
    let all: String = requests.iter().map(|(request, _)| *request).collect();
    client.send(&all).await;
    for (_, told) in requests {
        assert_eq!(client.answer().await.1, told);
    }
    // Byte by byte.
    for byte in requests[2].0.as_bytes() {
        client.send(&char::from(*byte).to_string()).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.1, requests[2].1);
    // And with the end.
    for (request, told) in requests {
        let answer = exchange_last(server.addr, request).await;
        assert_eq!(parts(&answer).1, told);
    }
    assert_echoes(server.addr).await;
}

#[tokio::test]
async fn a_connection_ends_with_the_answer_where_http_has_it_so() {
    let server = serve(with_tell).await;
    let behind = "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n";
    for (request, told) in [
        ("GET /old HTTP/1.0\r\n\r\n", "GET /old - 0 bytes "),
        (
            "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET /last - 0 bytes ",
        ),
        // Where such a body ends two readers might see in two places.
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nch\r\n5\r\nunked\r\n0\r\n\r\n",
            "POST / - 7 bytes chunked",
        ),
    ] {
        let both = format!("{request}{behind}");
        let answer = exchange(server.addr, both.as_bytes()).await;
        let (head, body) = parts(&answer);
        assert!(
            head.starts_with("http/1.0 200 ") || head.contains("\r\nconnection: close\r\n"),
            "{answer}"
        );
        assert_eq!(body, told);
    }
}

#[tokio::test]
async fn every_head_of_a_connection_is_read_as_strictly_as_the_first() {
    let server = serve(with_tell).await;
    for (second, status) in [
        ("GET / HTTP/1.1\nHost: h\n\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\
             Content-Length: 4\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
            400,
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ] {
        let mut client = Http::connect(&server).await;
        client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n").await;
        client.send(second).await;
        client.send("GET /3 HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer().await.1, "GET /1 - 0 bytes ");
        let (head, _) = client.answer().await;
        assert!(
            head.starts_with(&format!("http/1.1 {status} ")),
            "{second}{head}"
        );
        client.assert_ends().await;
    }
}

#[tokio::test]
async fn a_websocket_may_follow_on_the_same_connection_under_the_same_rules() {
    let server = serve(with_tell).await;
    let mut client = Http::connect(&server).await;
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer().await.1, "GET / - 0 bytes ");
    }
    // The frames that come with the request are not lost.
    let frame = frame(Role::Client, OpCode::Text, b"with it");
    client.bytes([REQUEST.as_bytes(), &frame].concat()).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    let mut peer = client.into_peer();
    assert_eq!(peer.text().await, "with it");
    peer.send(OpCode::Text, "behind it").await;
    assert_eq!(peer.text().await, "behind it");
    peer.close(1000).await;
    assert_eq!(peer.close_code().await, Some(1000));
    peer.assert_ends().await;

    let elsewhere = REQUEST.replace("/echo", "/elsewhere");
    let foreign = REQUEST.replace("Upgrade: w", "Origin: https://evil.example\r\nUpgrade: w");
    for (request, status) in [
        (&*elsewhere, 404),
        (&*foreign, 403),
        ("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n", 426),
    ] {
        let mut client = Http::connect(&server).await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer().await.1, "GET / - 0 bytes ");
        client.send(request).await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        client.assert_ends().await;
    }
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_closes_the_websockets_that_followed() {
    let server = serve(with_tell).await;
    let mut idle = Http::connect(&server).await;
    let mut busy = Http::connect(&server).await;
    let mut opened = Http::connect(&server).await;
    for client in [&mut idle, &mut opened] {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer().await.1, "GET / - 0 bytes ");
    }
    opened.bytes(REQUEST.into()).await;
    opened.answer().await;
    let mut peer = opened.into_peer();
    // It has begun a request, which is answered.
    let (begin, end) = "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody".split_at(49);
    busy.send(begin).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let serving = server.shut_down();
    idle.assert_ends().await;
    assert_eq!(peer.close_code().await, Some(1001));
    peer.close(1001).await;
    busy.send(end).await;
    let (head, body) = busy.answer().await;
    assert_eq!(body, "PUT /x - 4 bytes body");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    busy.assert_ends().await;
    let shutdown = within(serving).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (3, 0));
}

#[tokio::test]
async fn who_keeps_a_connection_waiting_is_let_go_in_time() {
    let config = Config::new().handshake_timeout(Duration::from_millis(300));
    let server = serve(|server| with_tell(server).config(config)).await;
    for (begun, told) in [
        // Nothing comes, which is how keeping alive usually ends.
        ("", None),
        ("GET / HTTP/1.1\r\nHo", Some("http/1.1 408 ")),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo",
            None,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
            None,
        ),
    ] {
        let mut client = Http::connect(&server).await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer().await.1, "GET / - 0 bytes ");
        let began = Instant::now();
        client.send(begun).await;
        if let Some(told) = told {
            let (head, _) = client.answer().await;
            assert!(head.starts_with(told), "{head}");
        }
        client.assert_ends().await;
        let took = began.elapsed();
        assert!(took > Duration::from_millis(250), "{begun}: {took:?}");
        assert!(took < Duration::from_secs(5), "{begun}: {took:?}");
    }
    assert_echoes(server.addr).await;
}

#[tokio::test]
async fn a_service_that_has_its_request_may_take_its_time() {
    let config = Config::new().handshake_timeout(Duration::from_millis(200));
    let server = serve(|server| {
        server
            .config(config)
            .fallback(service_fn(async |request: Request<Incoming>| {
                let answer = tell(request).await?;
                tokio::time::sleep(Duration::from_millis(600)).await;
                newswire::Result::<_, newswire::Error>::Ok(answer)
            }))
    })
    .await;
    for (request, told) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / - 0 bytes "),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
            "PUT / - 4 bytes body",
        ),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\n\r\n",
            "PUT / - 4 bytes body",
        ),
    ] {
        let mut client = Http::connect(&server).await;
        client.send(request).await;
        assert_eq!(client.answer().await.1, told);
    }
}

#[tokio::test]
async fn answers_without_a_body_and_answers_in_pieces_are_followed_by_the_next() {
    /// Gives pieces when it is asked, and not at once.
    async fn answer(request: Request<Incoming>) -> Result<Response<Pieces>, Infallible> {
        let pieces = if request.uri().path() == "/pieces" {
            3
        } else {
            0
        };
        let mut response = Response::new(Pieces {
            left: pieces,
            waits: true,
        });
        if request.uri().path() == "/unchanged" {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        Ok(response)
    }
    struct Pieces {
        left: usize,
        waits: bool,
    }
    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.waits = !self.waits;
            if !self.waits {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.left -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece")))))
        }
    }
    let server = serve(|server| server.fallback(service_fn(answer))).await;
    let mut client = Http::connect(&server).await;
    for _ in 0..2 {
        client
            .send("HEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.1, "");
        client
            .send("GET /unchanged HTTP/1.1\r\nHost: h\r\n\r\n")
            .await;
        let (head, _) = client.answer().await;
        assert!(head.starts_with("http/1.1 304 "), "{head}");
        client.send("GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let (head, _) = client.answer().await;
        assert!(
            head.contains("\r\ntransfer-encoding: chunked\r\n"),
            "{head}"
        );
        let chunks = "5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n";
        assert_eq!(client.exactly(chunks.len()).await, chunks);
    }
}

#[tokio::test]
async fn a_service_is_not_kept_at_work_for_a_client_that_has_gone() {
    /// Tells when it is dropped.
    struct Tell(mpsc::Sender<()>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }
    let (dropped, mut drops) = mpsc::channel(1);
    let config = Config::new().handshake_timeout(Duration::from_millis(300));
    let server = serve(|server| {
        server
            .config(config)
            .fallback(service_fn(move |request: Request<Incoming>| {
                let tell = Tell(dropped.clone());
                async move {
                    let soon = request.uri().path() == "/soon";
                    let wait = Duration::from_millis(if soon { 100 } else { 3_600_000 });
                    tokio::time::sleep(wait).await;
                    drop(tell);
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done"))))
                }
            }))
    })
    .await;
    // Who only sends nothing more gets what comes soon.
    let mut client = Http::connect(&server).await;
    client.send("GET /soon HTTP/1.1\r\nHost: h\r\n\r\n").await;
    within(client.stream.shutdown()).await.unwrap();
    assert_eq!(client.answer().await.1, "done");
    client.assert_ends().await;
    within(drops.recv()).await.unwrap();
    let mut client = Http::connect(&server).await;
    client.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n").await;
    // What comes meanwhile is for later.
    client.send("GET /soon HTTP/1.1\r\nHost: h\r\n\r\n").await;
    drop(client);
    within(drops.recv()).await.expect("it is dropped");
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_request() {
    let server = serve(|server| {
        server.fallback(service_fn(async |request: Request<Incoming>| {
            let path = request.uri().path().to_owned();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(path))))
        }))
    })
    .await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let padding = "x".repeat(100_000);
    for body in [smuggled.to_owned(), format!("{padding}{smuggled}")] {
        let request = format!(
            "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut client = Http::connect(&server).await;
        client.send(&request).await;
        assert_eq!(client.answer().await.1, "/upload");
        // Either it has been thrown away, or the connection ends.
        let _ = client
            .stream
            .write_all(b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
            .await;
        if let Some((_, body)) = client.answer_or_end().await {
            assert_eq!(body, "/next");
        }
    }
    assert_eq!(
        parts(&exchange_last(server.addr, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await).1,
        "/"
    );
}
