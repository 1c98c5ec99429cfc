//! What a server knows of a request before it answers, and who decides about it: the rules of a
//! route, its hook, or the handler itself.

use crate::support::{Peer, REQUEST, Served, assert_echoes, echo, exchange, serve, within};
use newswire::proto::OpCode;
use newswire::{
    Config, Connector, Handshake, Message, Origins, Rejection, Request, Route, Router,
    Subprotocols, TrustedProxies, WebSocket,
};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// `REQUEST` for another path, with more header lines.
fn request(path: &str, lines: &str) -> String {
    let request = REQUEST.replace("/echo", path);
    request.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

/// The status of the answer to such a request, and its last line.
async fn answer(server: &Served, path: &str, lines: &str) -> (u16, String) {
    let request = request(path, lines);
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    within(async {
        while !is_whole(&bytes) {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
    })
    .await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text[9..12].parse().unwrap();
    (status, text.lines().last().unwrap_or_default().to_owned())
}

/// A 101 ends with its head, a rejection with the line behind it.
fn is_whole(bytes: &[u8]) -> bool {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    end.is_some_and(|end| bytes.starts_with(b"HTTP/1.1 101") || bytes[end + 4..].ends_with(b"\n"))
}

async fn status(server: &Served, path: &str, lines: &str) -> u16 {
    answer(server, path, lines).await.0
}

/// Says what it knows of the request.
async fn tell(ws: WebSocket, request: Request<Arc<str>>) -> newswire::Result {
    ws.send(format!(
        "{} {} {:?} {:?} {:?} {:?} {:?} {} {}",
        request.method(),
        request.path(),
        request.param("room"),
        request.query_param("q"),
        request.cookie("id"),
        request.origin(),
        request.bearer(),
        request.state(),
        request.is_secure(),
    ))
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_handler_may_have_the_request_and_the_state_of_its_router() {
    let state: Arc<str> = "shared".into();
    let router = Router::with_state(state).route("/rooms/{room}", tell);
    let server = serve(|server| server.router(router)).await;
    let lines = "Cookie: a=b; id=7\r\nOrigin: http://localhost\r\nAuthorization: bearer t0k\r\n";
    let mut peer = Peer::client(TcpStream::connect(server.addr).await.unwrap());
    let request = request("/rooms/a%20b?x=1&q=1+%2B+1", lines);
    peer.raw(request.as_bytes()).await;
    peer.head().await;
    assert_eq!(
        peer.text().await,
        "GET /rooms/a%20b Some(\"a b\") Some(\"1 + 1\") Some(\"7\") Some(\"http://localhost\") \
         Some(\"t0k\") shared false"
    );
}

#[tokio::test]
async fn pages_of_the_same_origin_and_programs_get_in_unless_a_route_says_otherwise() {
    let only_there = Origins::list(["https://*.example.com"]).unwrap();
    let server = serve(|server| {
        server
            .route("/", echo)
            .route("/there", Route::new(echo).origins(only_there))
            .route("/any", Route::new(echo).origins(Origins::any()))
    })
    .await;
    for (origin, here, there) in [
        ("", 101, 101),
        ("Origin: http://localhost\r\n", 101, 403),
        ("Origin: HTTP://LOCALHOST:80\r\n", 101, 403),
        ("Origin: http://localhost:81\r\n", 403, 403),
        ("Origin: https://chat.example.com\r\n", 403, 101),
        ("Origin: https://example.com.evil.org\r\n", 403, 403),
        ("Origin: null\r\n", 403, 403),
    ] {
        assert_eq!(status(&server, "/", origin).await, here, "{origin}");
        assert_eq!(status(&server, "/there", origin).await, there, "{origin}");
        assert_eq!(status(&server, "/any", origin).await, 101, "{origin}");
    }
    let twice = "Origin: http://localhost\r\nOrigin: http://localhost\r\n";
    assert_eq!(status(&server, "/", twice).await, 400);
    assert_eq!(status(&server, "/any", "Origin: \u{e4}\r\n").await, 400);
}

#[tokio::test]
async fn a_required_subprotocol_that_is_not_offered_is_a_400_that_says_what_is_spoken() {
    let chat = Subprotocols::prefer(["v2.chat", "v1.chat"]).required();
    let server = serve(|server| server.route("/", Route::new(echo).subprotocols(chat))).await;
    let (status, reason) = answer(&server, "/", "Sec-WebSocket-Protocol: v3.chat\r\n").await;
    assert_eq!(status, 400);
    assert!(reason.contains("v2.chat"), "{reason}");
    let connector = Connector::new().subprotocols(["v1.chat"]);
    let ws = within(connector.connect(&server.url("/"))).await.unwrap();
    assert_eq!(ws.subprotocol(), Some("v1.chat"));
}

/// Who the bearer is.
async fn bearer(request: Request) -> Result<String, Rejection> {
    match request.bearer() {
        Some("panic") => panic!("a hook that panics"),
        Some("wait") => pending().await,
        Some(token) => Ok(token.to_uppercase()),
        None => Err(newswire::server::auth::unauthorized(
            newswire::server::auth::Scheme::Bearer,
            "here",
            "who are you?",
        )),
    }
}

#[tokio::test]
async fn a_hook_finds_out_who_asks_or_refuses_before_anything_is_accepted() {
    async fn greet(ws: WebSocket, request: Request) -> newswire::Result {
        let name = request.identity::<String>().unwrap();
        assert_eq!(request.identity::<u8>(), None);
        ws.send(format!("hello {name}")).await?;
        Ok(())
    }
    let began = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&began);
    let quiet = move |_: WebSocket| {
        count.fetch_add(1, Ordering::Relaxed);
        async {}
    };
    let server = serve(|server| {
        server
            .route("/", Route::new(greet).authenticate(bearer))
            .route("/quiet", Route::new(quiet).authenticate(bearer))
            .route("/echo", echo)
            .config(Config::new().handshake_timeout(Duration::from_millis(300)))
    })
    .await;
    let mut peer = Peer::client(TcpStream::connect(server.addr).await.unwrap());
    let right = request("/", "Authorization: Bearer zoe\r\n");
    peer.raw(right.as_bytes()).await;
    peer.head().await;
    assert_eq!(peer.text().await, "hello ZOE");

    let bytes = exchange(server.addr, request("/quiet", "").as_bytes()).await;
    assert!(bytes.starts_with("HTTP/1.1 401 "), "{bytes}");
    assert!(
        bytes.contains("Www-Authenticate: Bearer realm=\"here\"\r\n"),
        "{bytes}"
    );
    for (token, expected) in [("panic", 500), ("wait", 503)] {
        let line = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(status(&server, "/quiet", &line).await, expected, "{token}");
    }
    assert_eq!(began.load(Ordering::Relaxed), 0);
    assert_echoes(server.addr).await;
}

/// Accepts or rejects as the path says.
async fn decide(handshake: Handshake<&'static str>) -> newswire::Result {
    assert_eq!(*handshake.state(), "state");
    let cookie = newswire::server::SetCookie::new("seen", "yes");
    let handshake = handshake.header("set-cookie".parse()?, cookie.to_header_value()?);
    let ws = match handshake.param("how").unwrap() {
        "accept" => handshake.accept().await?,
        "chat" => handshake.accept_subprotocol("chat").await?,
        "reserved" => {
            let name = "sec-websocket-accept".parse()?;
            handshake.header(name, "mine".parse()?).accept().await?
        }
        "reject" => {
            handshake.reject(Rejection::forbidden("not today")).await;
            return Ok(());
        }
        "fail" => return Err("a handler that fails".into()),
        "panic" => panic!("a handler that panics"),
        "forget" => return Ok(()),
        "wait" => pending::<Infallible>().await.into_websocket(),
        "elsewhere" => tokio::spawn(handshake.accept()).await??,
        other => panic!("{other}?"),
    };
    echo(ws).await
}

/// What never comes is a WebSocket too.
trait IntoWebSocket {
    fn into_websocket(self) -> WebSocket;
}

impl IntoWebSocket for Infallible {
    fn into_websocket(self) -> WebSocket {
        match self {}
    }
}

async fn serve_decisions() -> Served {
    let spoken = Subprotocols::prefer(["echo"]);
    let router = Router::with_state("state")
        .route("/{how}", Route::new(decide).subprotocols(spoken))
        .route("/echo", echo);
    let config = Config::new().handshake_timeout(Duration::from_millis(300));
    serve(|server| server.router(router).config(config)).await
}

#[tokio::test]
async fn a_handler_that_takes_the_handshake_accepts_with_a_subprotocol_and_headers() {
    let server = serve_decisions().await;
    let offers = "Sec-WebSocket-Protocol: chat, echo\r\n";
    for (path, subprotocol) in [
        ("/accept", "echo"),
        ("/chat", "chat"),
        ("/elsewhere", "echo"),
    ] {
        let mut peer = Peer::client(TcpStream::connect(server.addr).await.unwrap());
        peer.raw(request(path, offers).as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{path}: {head}");
        let line = format!("Sec-WebSocket-Protocol: {subprotocol}\r\n");
        assert!(head.contains(&line), "{path}: {head}");
        assert!(head.contains("Set-Cookie: seen=yes; "), "{path}: {head}");
        peer.send(OpCode::Text, "and back").await;
        assert_eq!(peer.text().await, "and back");
        // The task of the connection is at work: it answers.
        peer.send(OpCode::Ping, "?").await;
        assert_eq!(peer.next().await, Some((OpCode::Pong, b"?".to_vec())));
        peer.close(1000).await;
        assert_eq!(peer.close_code().await, Some(1000));
        peer.assert_ends().await;
    }
}

#[tokio::test]
async fn a_handshake_that_its_handler_does_not_accept_has_an_answer_all_the_same() {
    let server = serve_decisions().await;
    for (path, expected, reason) in [
        ("/reject", 403, "not today"),
        ("/chat", 400, "chat"),
        ("/reserved", 500, "sec-websocket-accept"),
        ("/fail", 500, "failed"),
        ("/panic", 500, "panicked"),
        ("/forget", 500, "no answer"),
        ("/wait", 503, "in time"),
    ] {
        let (status, line) = answer(&server, path, "").await;
        assert_eq!(status, expected, "{path}");
        assert!(line.contains(reason), "{path}: {line}");
    }
    assert_echoes(server.addr).await;
}

#[tokio::test]
async fn a_shutdown_reaches_connections_whose_handler_has_accepted_them_itself() {
    let server = serve_decisions().await;
    let mut ws = within(newswire::connect(&server.url("/accept")))
        .await
        .unwrap();
    ws.send("one").await.unwrap();
    assert_eq!(within(ws.recv()).await.unwrap(), Some(Message::from("one")));
    let serving = server.shut_down();
    assert_eq!(within(ws.recv()).await.unwrap(), None);
    assert_eq!(ws.close_frame().unwrap().code.0, 1001);
    drop(ws);
    assert_eq!(within(serving).await.unwrap().cut, 0);
}

/// Says who the client is.
async fn whose(ws: WebSocket, request: Request) -> newswire::Result {
    let told = format!(
        "{} {} {:?}",
        request.peer_addr(),
        request.is_secure(),
        request.host()
    );
    ws.send(told).await?;
    Ok(())
}

/// What `whose` says after `before` on the connection and `lines` in the request.
async fn told(server: &Served, before: &[u8], lines: &str) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    // Byte by byte, so that no part of it is taken for another.
    for byte in before {
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut peer = Peer::client(stream);
    peer.raw(request("/", lines).as_bytes()).await;
    let head = peer.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer.text().await
}

#[tokio::test]
async fn what_proxies_say_is_believed_when_they_are_trusted() {
    let lines = "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n\
                 X-Forwarded-Host: example.com\r\n";
    let nobody = serve(|server| server.route("/", whose)).await;
    let said = told(&nobody, b"", lines).await;
    assert!(said.starts_with("127.0.0.1:"), "{said}");
    assert!(said.ends_with(" false Some(\"localhost\")"), "{said}");

    let proxies = TrustedProxies::new(["127.0.0.0/8"]).unwrap();
    let trusting = serve(|server| server.route("/", whose).trusted_proxies(proxies)).await;
    let said = told(&trusting, b"", lines).await;
    assert_eq!(said, "198.51.100.7 true Some(\"example.com\")");
}

#[tokio::test]
async fn a_proxy_protocol_header_of_a_trusted_proxy_says_who_the_client_is() {
    let proxies = TrustedProxies::new(["127.0.0.1"]).unwrap();
    let server = serve(|server| {
        let server = server.route("/", whose).route("/echo", echo);
        server.trusted_proxies(proxies).proxy_protocol(true)
    })
    .await;
    let first = b"PROXY TCP4 198.51.100.7 203.0.113.1 56324 443\r\n";
    let said = told(&server, first, "").await;
    assert_eq!(said, "198.51.100.7:56324 false Some(\"localhost\")");
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    second.extend_from_slice(&[198, 51, 100, 7, 203, 0, 113, 1, 0xdc, 0x04, 1, 187]);
    let said = told(&server, &second, "").await;
    assert_eq!(said, "198.51.100.7:56324 false Some(\"localhost\")");
    // The proxy's own checks.
    let said = told(&server, b"PROXY UNKNOWN\r\n", "").await;
    assert!(said.starts_with("127.0.0.1:"), "{said}");

    for wrong in [REQUEST.as_bytes(), b"PROXY TCP4 nowhere\r\n", &[0x16, 3, 1]] {
        let answer = exchange_to_end(&server, wrong).await;
        assert_eq!(answer, b"", "{}", wrong.escape_ascii());
    }
}

/// What comes back until the server hangs up, in whichever way.
async fn exchange_to_end(server: &Served, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    answer
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_may_be_on_a_unix_socket_and_on_tcp_at_once() {
    let name = format!("newswire-{}-requests.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = serve(|server| {
        let server = server.route("/echo", echo).route("/", whose);
        server.also_on(listener).unwrap()
    })
    .await;
    assert_echoes(server.addr).await;
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut ws = within(Connector::new().connect_over("ws://localhost/", stream))
        .await
        .unwrap();
    let said = within(ws.recv()).await.unwrap();
    assert_eq!(said, Some("local false Some(\"localhost\")".into()));
}
