//! WebSockets on servers that run on hyper: what `upgrade` and `WebSocketUpgrade` accept, and what
//! becomes of the connection. The examples for hyper and axum are run here too.

use crate::support::{Http, Peer, REQUEST, frame, within};
use http::header::{SET_COOKIE, UPGRADE};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use newswire::proto::{OpCode, Role};
use newswire::{
    AcceptError, Config, Connector, Message, Origins, Subprotocols, Upgrading, WebSocket,
    WebSocketUpgrade, upgrade,
};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

#[cfg(feature = "axum")]
#[allow(dead_code, reason = "its main function is not run")]
#[path = "../../examples/on_axum.rs"]
mod on_axum;
#[allow(dead_code, reason = "its main function is not run")]
#[path = "../../examples/on_hyper.rs"]
mod on_hyper;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Ends a task with the test.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A server on hyper that gives every request to `answer`.
async fn serve<F>(answer: F) -> (SocketAddr, Task<()>)
where
    F: Fn(Request<Incoming>) -> Response<String> + Clone + Send + 'static,
{
    let (listener, addr) = listen().await;
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service =
                service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(request))));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    (addr, Task(serving))
}

/// Answers as the upgrade wants it, with a change to it.
fn changed(
    change: impl Fn(WebSocketUpgrade) -> WebSocketUpgrade + Clone + Send + 'static,
) -> impl Fn(Request<Incoming>) -> Response<String> + Clone + Send + 'static {
    move |mut request| match WebSocketUpgrade::from_request(&mut request) {
        Ok(upgrade) => change(upgrade).on_upgrade(echo),
        Err(rejection) => rejection.to_response(),
    }
}

async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// The head of the answer to `REQUEST` with more lines.
async fn head(addr: SocketAddr, lines: &str) -> String {
    let mut client = Http::over(within(TcpStream::connect(addr)).await.unwrap());
    let request = REQUEST.replacen("\r\n", &format!("\r\n{lines}"), 1);
    client.send(&request).await;
    client.answer().await.0
}

async fn status(addr: SocketAddr, lines: &str) -> u16 {
    head(addr, lines).await[9..12].parse().unwrap()
}

#[tokio::test]
async fn a_server_on_hyper_alone_has_websockets_beside_its_pages() {
    let (listener, addr) = listen().await;
    let _serving = Task(tokio::spawn(on_hyper::serve(listener)));
    let mut client = Http::over(TcpStream::connect(addr).await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.1, "The WebSocket is at /echo.\n");
    client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.1, "Nothing is here.\n");
    // On the same connection, with a frame that comes too early to wait for the answer.
    let early = frame(Role::Client, OpCode::Text, b"early");
    client.bytes([REQUEST.as_bytes(), &early].concat()).await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    let mut peer = client.into_peer();
    assert_eq!(peer.text().await, "early");
    peer.send(OpCode::Text, "late").await;
    assert_eq!(peer.text().await, "late");
    peer.close(1000).await;
    assert_eq!(peer.close_code().await, Some(1000));
    peer.assert_ends().await;
    let mut ws = within(newswire::connect(&format!("ws://{addr}/echo")))
        .await
        .unwrap();
    within(ws.send("compressed ".repeat(100))).await.unwrap();
    let echoed = within(ws.recv()).await.unwrap();
    assert_eq!(echoed, Some("compressed ".repeat(100).into()));
    #[cfg(feature = "deflate")]
    assert!(ws.deflate().is_some());
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn an_application_of_axum_has_websockets_by_extractor_and_by_service() {
    let (listener, addr) = listen().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = Task(tokio::spawn(on_axum::serve(listener, async {
        let _ = stopped.await;
    })));
    let mut client = Http::over(TcpStream::connect(addr).await.unwrap());
    client.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("http/1.1 426 "), "{head}");
    assert!(body.contains("this is a WebSocket"), "{body}");

    let connector = Connector::new().subprotocols(["echo-protocol"]);
    let mut ws = within(connector.connect(&format!("ws://{addr}/echo")))
        .await
        .unwrap();
    assert_eq!(ws.subprotocol(), Some("echo-protocol"));
    within(ws.send("through axum")).await.unwrap();
    assert_eq!(
        within(ws.recv()).await.unwrap(),
        Some("through axum".into())
    );
    within(ws.close(newswire::CloseCode::NORMAL, ""))
        .await
        .unwrap();

    let mut room = within(newswire::connect(&format!("ws://{addr}/rooms/blue")))
        .await
        .unwrap();
    let Some(Message::Text(greeting)) = within(room.recv()).await.unwrap() else {
        panic!("no greeting");
    };
    assert!(greeting.starts_with("127.0.0.1:"), "{greeting}");
    assert!(greeting.ends_with(" is in blue"), "{greeting}");
    // A shutdown reaches what was handed over.
    stop.send(()).unwrap();
    assert_eq!(within(room.recv()).await.unwrap(), None);
    assert_eq!(room.close_frame().unwrap().code.0, 1001);
    within(&mut serving.0).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_upgrade_is_accepted_by_the_usual_rules_and_others() {
    let (usual, _usual) = serve(changed(|upgrade| upgrade)).await;
    assert_eq!(status(usual, "").await, 101);
    assert_eq!(status(usual, "Origin: http://localhost\r\n").await, 101);
    assert_eq!(status(usual, "Origin: http://other\r\n").await, 403);
    assert_eq!(status(usual, "Origin: a\r\nOrigin: b\r\n").await, 400);
    assert_eq!(status(usual, "Sec-WebSocket-Version: 8\r\n").await, 400);
    let offering = head(usual, "Sec-WebSocket-Protocol: chat\r\n").await;
    assert!(!offering.contains("sec-websocket-protocol"), "{offering}");

    let cookie = HeaderValue::from_static("id=7");
    let (others, _others) = serve(changed(move |upgrade| {
        let offered = upgrade.offered().len();
        upgrade
            .origins(Origins::any())
            .subprotocols(Subprotocols::prefer(["v2", "v1"]).required())
            .header(SET_COOKIE, HeaderValue::from(offered))
            .header(SET_COOKIE, cookie.clone())
    }))
    .await;
    let told = head(
        others,
        "Origin: http://other\r\nSec-WebSocket-Protocol: v1, v3\r\n",
    )
    .await;
    assert!(told.starts_with("http/1.1 101 "), "{told}");
    assert!(
        told.contains("\r\nsec-websocket-protocol: v1\r\n"),
        "{told}"
    );
    assert!(told.contains("\r\nset-cookie: 2\r\n"), "{told}");
    assert!(told.contains("\r\nset-cookie: id=7\r\n"), "{told}");
    assert_eq!(status(others, "Sec-WebSocket-Protocol: v3\r\n").await, 400);

    let other = HeaderValue::from_static("h2c");
    let (misused, _misused) = serve(changed(move |upgrade| {
        upgrade.header(UPGRADE, other.clone())
    }))
    .await;
    assert_eq!(status(misused, "").await, 500);
}

#[tokio::test]
async fn the_limits_of_an_upgrade_are_those_of_its_config() {
    let config = Config::new().max_message_size(3);
    let (addr, _serving) = serve(changed(move |upgrade| upgrade.config(config.clone()))).await;
    let mut peer = Peer::connect(addr, "/").await;
    peer.send(OpCode::Text, "abc").await;
    assert_eq!(peer.text().await, "abc");
    peer.send(OpCode::Text, "abcd").await;
    assert_eq!(peer.close_code().await, Some(1009));
}

#[tokio::test]
async fn a_handler_on_an_upgrade_is_driven_as_a_servers_own() {
    let (addr, _serving) = serve(|mut request| {
        let upgrade = WebSocketUpgrade::from_request(&mut request).unwrap();
        upgrade.on_upgrade(async |ws: WebSocket| {
            // Queued, and written though nothing is called any more.
            ws.feed("hello").await?;
            pending::<newswire::Result>().await
        })
    })
    .await;
    let mut peer = Peer::connect(addr, "/").await;
    assert_eq!(peer.text().await, "hello");
    // Pings are answered, and closes, whatever the handler waits for.
    peer.send(OpCode::Ping, "well?").await;
    assert_eq!(peer.next().await, Some((OpCode::Pong, b"well?".to_vec())));
    peer.close(1000).await;
    assert_eq!(peer.close_code().await, Some(1000));
}

#[tokio::test]
async fn a_handler_that_panics_or_fails_closes_its_connection_with_1011() {
    for panics in [true, false] {
        let (addr, _serving) = serve(move |mut request| {
            let upgrade = WebSocketUpgrade::from_request(&mut request).unwrap();
            upgrade.on_upgrade(async move |_: WebSocket| {
                assert!(!panics, "as it should");
                Err::<(), newswire::Error>("it fails".into())
            })
        })
        .await;
        let mut peer = Peer::connect(addr, "/").await;
        assert_eq!(peer.close_code().await, Some(1011));
    }
}

#[tokio::test]
async fn an_upgrade_without_a_handler_gives_the_connection_to_who_asked() {
    let (opened, mut openings) = mpsc::channel::<Upgrading>(1);
    let (addr, _serving) = serve(move |mut request| match upgrade(&mut request) {
        Ok((response, upgrading)) => {
            opened.try_send(upgrading).unwrap();
            response.map(|()| String::new())
        }
        Err(rejection) => rejection.to_response(),
    })
    .await;
    let mut peer = Peer::connect(addr, "/").await;
    let mut ws = within(within(openings.recv()).await.unwrap())
        .await
        .unwrap();
    peer.send(OpCode::Text, "to the user").await;
    assert_eq!(within(ws.recv()).await.unwrap(), Some("to the user".into()));
    within(ws.send("by the user")).await.unwrap();
    assert_eq!(peer.text().await, "by the user");
    assert_eq!(status(addr, "Origin: http://other\r\n").await, 403);
}

#[tokio::test]
async fn an_upgrade_whose_answer_is_not_given_ends_in_time() {
    let (opened, mut openings) = mpsc::channel::<Upgrading>(1);
    let (addr, _serving) = serve(move |mut request| {
        let upgrade = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
        let config = Config::new().handshake_timeout(Duration::from_millis(100));
        let (_, upgrading) = upgrade.config(config).accept().unwrap();
        opened.try_send(upgrading).unwrap();
        Response::new("something else".to_owned())
    })
    .await;
    let mut client = Http::over(within(TcpStream::connect(addr)).await.unwrap());
    client.send(REQUEST).await;
    assert_eq!(client.answer().await.1, "something else");
    let upgrading = within(openings.recv()).await.unwrap();
    let error = within(upgrading).await.unwrap_err();
    assert!(matches!(error, AcceptError::Ended), "{error:?}");
}

#[test]
fn a_server_that_does_not_hand_connections_over_is_told_so() {
    let request = Request::get("http://localhost/")
        .header("Host", "localhost")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let rejection = upgrade(&mut request.body(()).unwrap()).unwrap_err();
    assert_eq!(rejection.status(), 500);
    assert!(rejection.reason().contains("with upgrades"), "{rejection}");
}
