//! A router as a `tower` service, behind hyper: the same rules as in a server of our own, and an
//! end for the connections.

use crate::support::{Http, Peer, REQUEST, within};
use http::Request as HttpRequest;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use newswire::proto::OpCode;
use newswire::{
    Config, Handshake, PeerAddr, Rejection, Request, Route, Router, RouterService, TrustedProxies,
    WebSocket,
};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Serves with hyper, for as long as the test runs.
async fn serve(service: RouterService) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let service = service_fn(move |mut request: HttpRequest<Incoming>| {
                request.extensions_mut().insert(PeerAddr::from(peer));
                request.extensions_mut().insert("from a layer");
                service.call(request)
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    addr
}

async fn echo(mut ws: WebSocket) -> newswire::Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// Head and body of the answer to `REQUEST` for a path and with more lines.
async fn ask(addr: SocketAddr, path: &str, lines: &str) -> (String, String) {
    let mut client = Http::over(within(TcpStream::connect(addr)).await.unwrap());
    let request = REQUEST.replace("/echo", path);
    client
        .send(&request.replacen("\r\n", &format!("\r\n{lines}"), 1))
        .await;
    client.answer().await
}

async fn status(addr: SocketAddr, path: &str, lines: &str) -> u16 {
    ask(addr, path, lines).await.0[9..12].parse().unwrap()
}

#[tokio::test]
async fn all_kinds_of_handlers_work_behind_hyper() {
    async fn tell(ws: WebSocket, request: Request<Arc<str>>) -> newswire::Result {
        let room = request.param("room").unwrap_or_default();
        let PeerAddr::Socket(peer) = request.peer_addr() else {
            return Err("no address".into());
        };
        let layer: &&str = request.extensions().get().unwrap();
        ws.send(format!("{} {room} {} {layer}", request.state(), peer.ip()))
            .await?;
        Ok(())
    }
    async fn decide(handshake: Handshake<Arc<str>>) -> newswire::Result {
        if handshake.query() != Some("please") {
            let rejection = Rejection::forbidden("say please");
            handshake.reject(rejection).await;
            return Ok(());
        }
        let ws = handshake.accept().await?;
        ws.send("since you ask").await?;
        Ok(())
    }
    let router = Router::with_state(Arc::<str>::from("state"))
        .route("/echo", echo)
        .route("/rooms/{room}", tell)
        .route("/decide", decide);
    let service = router.into_service();
    let addr = serve(service.clone()).await;
    let mut peer = Peer::connect(addr, "/echo").await;
    peer.send(OpCode::Text, "through a service").await;
    assert_eq!(peer.text().await, "through a service");
    assert_eq!(
        (service.metrics().opened(), service.metrics().open()),
        (1, 1)
    );
    let mut peer = Peer::connect(addr, "/rooms/a%20b").await;
    assert_eq!(peer.text().await, "state a b 127.0.0.1 from a layer");
    assert_eq!(peer.close_code().await, Some(1000));
    let mut peer = Peer::connect(addr, "/decide?please").await;
    assert_eq!(peer.text().await, "since you ask");
    assert_eq!(peer.close_code().await, Some(1000));
    let (head, body) = ask(addr, "/decide", "").await;
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    assert_eq!(body, "say please\n");
}

#[tokio::test]
async fn the_rules_of_routes_hold_behind_hyper() {
    async fn member(request: Request) -> Result<(), Rejection> {
        match request.bearer() {
            Some("secret") => Ok(()),
            _ => Err(Rejection::forbidden("members only")),
        }
    }
    let router = Router::new()
        .route("/echo", echo)
        .route("/members", Route::new(echo).authenticate(member));
    let addr = serve(router.into_service()).await;
    for (path, lines, expected) in [
        ("/echo", "", 101),
        ("/echo", "Origin: http://localhost\r\n", 101),
        ("/echo", "Origin: https://evil.example\r\n", 403),
        ("/elsewhere", "", 404),
        ("/members", "", 403),
        ("/members", "Authorization: Bearer secret\r\n", 101),
        ("/echo", "Content-Length: 3\r\n", 400),
    ] {
        assert_eq!(status(addr, path, lines).await, expected, "{path} {lines}");
    }
    let mut client = Http::over(TcpStream::connect(addr).await.unwrap());
    client.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (head, _) = client.answer().await;
    assert!(head.starts_with("http/1.1 426 "), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
}

#[tokio::test]
async fn a_handler_that_gives_no_answer_is_answered_for() {
    async fn forgets(_: Handshake) {}
    async fn panics(_: Handshake) {
        panic!("as it should");
    }
    async fn waits(_handshake: Handshake) {
        pending::<()>().await;
    }
    let router = Router::new()
        .route("/forgets", forgets)
        .route("/panics", panics)
        .route("/waits", waits);
    let config = Config::new().handshake_timeout(Duration::from_millis(200));
    let service = router.into_service_with(config, TrustedProxies::default());
    let addr = serve(service).await;
    assert_eq!(status(addr, "/forgets", "").await, 500);
    assert_eq!(status(addr, "/panics", "").await, 500);
    assert_eq!(status(addr, "/waits", "").await, 503);
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_is_not_waited_for() {
    /// Tells when it is dropped.
    struct Tell(mpsc::Sender<()>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }
    let (dropped, mut drops) = mpsc::channel(1);
    let (began, mut begins) = mpsc::channel(1);
    let waits = move |handshake: Handshake| {
        let tell = Tell(dropped.clone());
        let _ = began.try_send(());
        async move {
            let _kept = (handshake, tell);
            pending::<()>().await;
        }
    };
    let service = Router::new().route("/echo", waits).into_service();
    let addr = serve(service.clone()).await;
    let mut client = Http::over(TcpStream::connect(addr).await.unwrap());
    client.send(REQUEST).await;
    within(begins.recv()).await.unwrap();
    drop(client);
    within(drops.recv()).await.expect("the handler is dropped");
}

#[tokio::test]
async fn trusted_proxies_tell_a_service_who_asks() {
    async fn tell(ws: WebSocket, request: Request) -> newswire::Result {
        let secure = request.is_secure();
        ws.send(format!("{} {secure}", request.peer_addr())).await?;
        Ok(())
    }
    let trusted = TrustedProxies::new(["127.0.0.1"]).unwrap();
    let router = || Router::new().route("/", tell);
    let lines = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https";
    for (service, told) in [
        (router().into_service(), "127.0.0.1:"),
        (
            router().into_service_with(Config::new(), trusted),
            "192.0.2.7 true",
        ),
    ] {
        let addr = serve(service).await;
        let mut peer = Peer::client(TcpStream::connect(addr).await.unwrap());
        let request = REQUEST.replace("/echo", "/");
        peer.raw(
            request
                .replacen("\r\n", &format!("\r\n{lines}\r\n"), 1)
                .as_bytes(),
        )
        .await;
        peer.head().await;
        let text = peer.text().await;
        assert!(text.starts_with(told), "{text}");
    }
}

#[tokio::test]
async fn a_service_that_shuts_down_closes_its_connections_and_takes_no_more() {
    let config = Config::new().close_timeout(Duration::from_millis(300));
    let router = Router::new().route("/echo", echo);
    let service = router.into_service_with(config, TrustedProxies::default());
    let addr = serve(service.clone()).await;
    let mut polite = Peer::connect(addr, "/echo").await;
    let mut deaf = Peer::connect(addr, "/echo").await;
    for peer in [&mut polite, &mut deaf] {
        peer.send(OpCode::Text, "open").await;
        assert_eq!(peer.text().await, "open");
    }
    let shutdown = tokio::spawn({
        let service = service.clone();
        async move { service.shut_down(Duration::ZERO).await }
    });
    assert_eq!(polite.close_code().await, Some(1001));
    polite.close(1001).await;
    polite.assert_ends().await;
    assert_eq!(deaf.close_code().await, Some(1001));
    assert_eq!(status(addr, "/echo", "").await, 503);
    let shutdown = within(shutdown).await.unwrap();
    // Who does not answer has had its time, and has been let go.
    assert_eq!((shutdown.open, shutdown.cut), (2, 0));
    deaf.assert_ends().await;
}

#[tokio::test]
async fn a_service_may_be_called_without_a_server() -> Result<(), Infallible> {
    let mut service = Router::new().route("/echo", echo).into_service();
    let request = HttpRequest::get("/echo").body(()).unwrap();
    let response = within(tower::Service::call(&mut service, request)).await?;
    assert_eq!(response.status(), 426);
    Ok(())
}
