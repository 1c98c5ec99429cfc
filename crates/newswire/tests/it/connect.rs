//! The client's way to a server: addresses, settings, and errors that say which step failed,
//! whatever the server does.

use crate::support::{
    PATIENCE, Peer, answer, bad_server, echo, message, serve, serve_echo, silent, within,
};
use newswire::proto::handshake::ResponseError;
use newswire::{Config, ConnectError, Connector, RecvError, Request, Resolve, Step, WebSocket};
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The port of a name that stands for all of these, in this order.
fn found(addresses: &[SocketAddr]) -> impl Resolve {
    let addresses = addresses.to_vec();
    move |_name: String, _port: u16| {
        let addresses = addresses.clone();
        async move { Ok(addresses) }
    }
}

/// An address at which nobody listens.
async fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn the_answer_to_the_handshake_can_be_read() {
    let (near, mut far) = duplex(4096);
    let connector = Connector::new();
    let answering = async {
        let mut request = vec![0; 4096];
        let len = far.read(&mut request).await.unwrap();
        let answer = answer(str::from_utf8(&request[..len]).unwrap());
        let (line, headers) = answer.split_at(answer.len() - 2);
        far.write_all(&[line, b"X-Server: a\r\nX-Server: b\r\n", headers].concat())
            .await
            .unwrap();
    };
    let connecting = connector.connect_over("ws://localhost/", near);
    let (ws, ()) = within(async { tokio::join!(connecting, answering) }).await;
    let ws = ws.unwrap();
    let response = ws.response().unwrap();
    assert_eq!(response.status(), 101);
    let values: Vec<_> = response.headers().get_all("x-server").iter().collect();
    assert_eq!(values, ["a", "b"]);
    // The other end has none.
    let (client, server) = crate::support::pair(64, &Config::new()).await;
    assert!(client.response().is_some());
    assert!(server.response().is_none());
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let server = serve_echo().await;
    let connector = Connector::new().resolver(found(&[refusing().await, server.addr]));
    let mut ws = within(connector.connect("ws://two-addresses.test/echo"))
        .await
        .unwrap();
    within(ws.send("hello")).await.unwrap();
    assert_eq!(message(&mut ws).await, "hello".into());
}

#[tokio::test]
async fn an_address_that_does_not_answer_costs_a_quarter_of_a_second() {
    let server = serve_echo().await;
    let (address, _waiting, _listener) = silent().await;
    let connector = Connector::new().resolver(found(&[address, server.addr]));
    let began = Instant::now();
    within(connector.connect("ws://two-addresses.test/echo"))
        .await
        .unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert!(took < PATIENCE / 2, "{took:?}");
}

#[tokio::test]
async fn every_address_that_failed_is_told() {
    let (one, other) = (refusing().await, refusing().await);
    let connector = Connector::new().resolver(found(&[one, other, one]));
    let error = within(connector.connect("ws://none.test/"))
        .await
        .unwrap_err();
    assert_eq!(error.step(), Step::Tcp);
    let ConnectError::Tcp { host, attempts } = &error else {
        panic!("{error:?}");
    };
    let tried: Vec<_> = attempts.iter().map(|(address, _)| *address).collect();
    assert_eq!((&**host, tried), ("none.test", vec![one, other]));
    let text = error.to_string();
    assert!(
        text.contains(&one.to_string()) && text.contains("refused"),
        "{text}"
    );
}

#[tokio::test]
async fn a_name_that_is_not_found_is_an_error_of_that_step() {
    let no = || io::Error::new(io::ErrorKind::NotFound, "nobody is called that");
    let connector = Connector::new().resolver(move |_: String, _: u16| async move { Err(no()) });
    let error = within(connector.connect("ws://nobody.test/"))
        .await
        .unwrap_err();
    assert_eq!(error.step(), Step::Dns);
    let text = error.to_string();
    assert!(
        text.contains("nobody.test") && text.contains("nobody is called that"),
        "{text}"
    );

    let connector = Connector::new().resolver(found(&[]));
    let error = within(connector.connect("ws://nothing.test/"))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Dns { .. }), "{error:?}");
}

#[tokio::test]
async fn a_resolver_and_an_address_that_do_not_answer_are_bounded_by_the_connect_timeout() {
    let soon = Duration::from_millis(50);
    let connector = Connector::new()
        .connect_timeout(soon)
        .resolver(|_: String, _: u16| pending());
    let error = within(connector.connect("ws://slow.test/"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Timeout(Step::Dns)),
        "{error:?}"
    );

    let (address, _waiting, _listener) = silent().await;
    let connector = Connector::new().connect_timeout(soon);
    let error = within(connector.connect(&format!("ws://{address}/")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Timeout(Step::Tcp)),
        "{error:?}"
    );
    // The handshake timeout bounds it as well.
    let connector = Connector::new().config(Config::new().handshake_timeout(soon));
    let error = within(connector.connect(&format!("ws://{address}/")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::Timeout(Step::Tcp)),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_longest_timeouts_do_not_panic() {
    let server = serve_echo().await;
    let connector = Connector::new()
        .connect_timeout(Duration::MAX)
        .config(Config::new().handshake_timeout(Duration::MAX));
    within(connector.connect(&server.url("/echo")))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_local_address_is_where_the_connection_comes_from() {
    async fn tell_peer(ws: WebSocket, request: Request) -> newswire::Result {
        let peer = request.peer_addr().ip().ok_or("no IP address")?;
        Ok(ws.send(peer.to_string()).await?)
    }
    let server = serve(|server| server.route("/", tell_peer)).await;
    let local: IpAddr = "127.0.0.2".parse().unwrap();
    // An address of the other family cannot be reached from there, and is left out.
    let connector = Connector::new()
        .local_address(local)
        .resolver(found(&["[::1]:1".parse().unwrap(), server.addr]));
    let mut ws = within(connector.connect("ws://both.test/")).await.unwrap();
    assert_eq!(message(&mut ws).await, "127.0.0.2".into());

    let connector = connector.resolver(found(&["[::1]:1".parse().unwrap()]));
    let error = within(connector.connect("ws://six.test/"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("can be used"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_stands_for_any_host() {
    let path = std::env::temp_dir().join(format!("newswire-connect-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        echo(newswire::accept(stream.into(), &Config::new()).await?).await
    });
    let connector = Connector::new().unix(&path);
    let mut ws = within(connector.connect("ws://wherever.test/"))
        .await
        .unwrap();
    within(ws.send("hello")).await.unwrap();
    assert_eq!(message(&mut ws).await, "hello".into());
    drop(ws);
    let _ = within(serving).await.unwrap();

    std::fs::remove_file(&path).unwrap();
    let error = within(connector.connect("ws://wherever.test/"))
        .await
        .unwrap_err();
    assert_eq!(error.step(), Step::Tcp);
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
}

/// The request that is sent for `url`.
async fn request(connector: Connector, url: &'static str) -> String {
    let (near, far) = duplex(4096);
    let opening = tokio::spawn(async move { connector.connect_over(url, near).await });
    let request = Peer::server(far).head().await;
    within(opening).await.unwrap().unwrap_err();
    request
}

fn assert_has(request: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            request.contains(&format!("\r\n{line}\r\n")),
            "{line}: {request}"
        );
    }
}

#[tokio::test]
async fn settings_become_headers_each_of_them_once() {
    let connector = Connector::new()
        .basic("someone", "else")
        .bearer("0123.abc")
        .cookie("a", "1")
        .cookie("b", "\"2\"")
        .origin("https://example.com")
        .host("virtual.test:81");
    let request = request(connector, "ws://real.test/path").await;
    assert_has(
        &request,
        &[
            "Authorization: Bearer 0123.abc",
            "Cookie: a=1; b=\"2\"",
            "Origin: https://example.com",
            "Host: virtual.test:81",
        ],
    );
    for name in ["Authorization", "Cookie", "Origin", "Host"] {
        assert_eq!(
            request.matches(&format!("\r\n{name}: ")).count(),
            1,
            "{request}"
        );
    }
}

#[tokio::test]
async fn name_and_password_of_a_url_are_sent_unless_others_are_set() {
    // RFC 7617 §2.1's example.
    let url = "ws://Aladdin:open%20sesame@real.test/path";
    let sent = request(Connector::new(), url).await;
    assert_has(
        &sent,
        &[
            "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Host: real.test",
        ],
    );
    assert!(sent.starts_with("GET /path HTTP/1.1\r\n"), "{sent}");
    let sent = request(Connector::new().basic("a", "b"), url).await;
    assert_has(&sent, &["Authorization: Basic YTpi"]);
    let sent = request(Connector::new(), "ws://token@real.test").await;
    assert_has(&sent, &["Authorization: Basic dG9rZW46"]);
}

#[tokio::test]
async fn a_setting_that_cannot_be_sent_is_named() {
    let url = "ws://127.0.0.1:1/";
    for (connector, url, word) in [
        (Connector::new().bearer("a\r\nX: y"), url, "bearer"),
        (Connector::new().basic("a:b", "c"), url, "basic"),
        (Connector::new().basic("a", "\u{7f}"), url, "basic"),
        (Connector::new().cookie("a b", "c"), url, "a b"),
        (Connector::new().cookie("a", "b; c"), url, "cookie"),
        (Connector::new().origin("a\nb"), url, "origin"),
        (Connector::new().host("a\nb"), url, "host"),
        // The first one is told.
        (Connector::new().bearer("\n").origin("\n"), url, "bearer"),
        (Connector::new(), "ws://a%3ab:c@127.0.0.1:1/", "colon"),
        (Connector::new(), "ws://a%0a:c@127.0.0.1:1/", "control"),
    ] {
        let error = within(connector.connect(url)).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::Setting(_)),
            "{word}: {error:?}"
        );
        assert_eq!(error.step(), Step::Setup);
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

/// What comes of connecting to a bad server. It leaves no socket and no task behind.
async fn failure(how: &'static str) -> ConnectError {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (url, serving) = bad_server(how).await;
    let config = Config::new().handshake_timeout(Duration::from_millis(300));
    let connector = Connector::new().config(config);
    let error = within(connector.connect(&url)).await.unwrap_err();
    // That the server sees the end shows that the client's socket is closed.
    let _ = within(serving).await.unwrap();
    assert_eq!(tasks(), before, "{how}");
    error
}

#[tokio::test]
async fn whatever_a_server_does_the_error_names_the_step_in_time_and_nothing_is_left() {
    for (how, step) in [
        ("garbage", Step::Protocol),
        ("another protocol", Step::Protocol),
        ("half and the end", Step::Http),
        ("nothing and the end", Step::Http),
        ("half and silence", Step::Http),
        ("silence", Step::Http),
        ("endless header", Step::Protocol),
        ("endless headers", Step::Protocol),
        ("endless patience", Step::Http),
        ("64 KiB of redirect", Step::Protocol),
        ("wrong accept", Step::Protocol),
        ("a page", Step::Http),
    ] {
        let error = failure(how).await;
        assert_eq!(error.step(), step, "{how}: {error:?}");
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains('\n'), "{how}: {text}");
        match how {
            "silence" | "half and silence" | "endless patience" => {
                assert!(
                    matches!(error, ConnectError::Timeout(_)),
                    "{how}: {error:?}"
                );
            }
            "half and the end" | "nothing and the end" => {
                assert!(matches!(error, ConnectError::Ended), "{how}: {error:?}");
            }
            "wrong accept" => {
                let accept = matches!(error, ConnectError::Response(ResponseError::Accept { .. }));
                assert!(accept, "{how}: {error:?}");
            }
            "a page" => assert!(text.contains("no WebSocket"), "{text}"),
            _ => assert!(matches!(error, ConnectError::Head(_)), "{how}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_comes_with_its_headers_and_the_beginning_of_its_body() {
    for (how, body) in [
        ("a refusal in chunks", "only members".to_owned()),
        ("an endless refusal", "x".repeat(1024)),
        ("a refusal without its body", "sorry".to_owned()),
        ("a page", "hello".to_owned()),
    ] {
        let error = failure(how).await;
        let text = error.to_string();
        let ConnectError::Status(answer) = error else {
            panic!("{how}: {error:?}");
        };
        assert_eq!(answer.body(), body.as_bytes(), "{how}");
        if how == "a refusal in chunks" {
            assert_eq!(answer.status(), 403);
            assert_eq!(answer.headers()["x-why"], "w");
            assert!(
                text.contains("403 Forbidden") && text.contains("only members"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn masked_frames_from_a_server_fail_the_open_connection() {
    let (url, serving) = bad_server("masked frames").await;
    let mut ws = within(newswire::connect(&url)).await.unwrap();
    let error = within(ws.recv()).await.unwrap_err();
    assert!(matches!(error, RecvError::Protocol(_)), "{error:?}");
    drop(ws);
    let _ = within(serving).await.unwrap();
}
