//! Client and server talk: sizes, subprotocols, headers, transports, and why a connection is
//! not opened.

use crate::support::{
    Peer, REQUEST, answer, echo, frame, message, pair, serve, serve_echo, within,
};
use http::{HeaderName, HeaderValue};
use newswire::proto::handshake::ResponseError;
use newswire::proto::{OpCode, Role};
use newswire::{CloseCode, Config, ConnectError, Connector, Message, Route, WebSocket};
use tokio::io::{AsyncWriteExt, BufWriter, duplex};
use tokio::net::{TcpListener, TcpStream};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn messages_of_any_size_come_back_as_what_they_were() {
    let server = serve_echo().await;
    let mut ws = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    let messages: [Message; 9] = [
        "hello".into(),
        "".into(),
        Vec::new().into(),
        b"\0\xff\x80".into(),
        "κόσμε 🦀".into(),
        "x".repeat(125).into(),
        pattern(65_536).into(),
        "é".repeat(1 << 19).into(),
        pattern(20 << 20).into(),
    ];
    for sent in messages {
        within(ws.send(sent.clone())).await.unwrap();
        let received = message(&mut ws).await;
        // Not `assert_eq!`, which would print 20 MiB.
        assert!(received == sent, "{} bytes changed", sent.len());
    }
}

#[tokio::test]
async fn many_messages_may_be_under_way_at_once() {
    let server = serve_echo().await;
    let mut ws = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    for n in 0..1000 {
        within(ws.feed(n.to_string())).await.unwrap();
    }
    within(ws.flush()).await.unwrap();
    for n in 0..1000 {
        assert_eq!(message(&mut ws).await, n.to_string().into());
    }
}

async fn tell_subprotocol(ws: WebSocket) -> newswire::Result {
    let name = ws.subprotocol().unwrap_or("none").to_owned();
    Ok(ws.send(name).await?)
}

#[tokio::test]
async fn the_server_chooses_the_first_subprotocol_of_its_own_that_the_client_offers() {
    let route = || Route::new(tell_subprotocol).subprotocols(["v3", "v2", "v1"]);
    let server = serve(|server| server.route("/", route())).await;
    for (offered, chosen) in [
        (&["v1", "v2"][..], Some("v2")),
        (&["v1"], Some("v1")),
        (&["v9", "V3"], None),
        (&[], None),
    ] {
        let connector = Connector::new().subprotocols(offered.iter().copied());
        let mut ws = within(connector.connect(&server.url("/"))).await.unwrap();
        assert_eq!(ws.subprotocol(), chosen);
        assert_eq!(message(&mut ws).await, chosen.unwrap_or("none").into());
    }
}

#[tokio::test]
async fn a_route_is_found_by_its_whole_path_and_whatever_query() {
    let server = serve(|server| {
        server
            .route("/echo", echo)
            .route("/echo/name", tell_subprotocol)
    });
    let server = server.await;
    for path in ["/echo", "/echo?", "/echo?room=%20&x", "/echo/name"] {
        within(newswire::connect(&server.url(path))).await.unwrap();
    }
    for path in ["/", "/Echo", "/echo/", "/echo%2Fname", "//echo"] {
        let refused = within(newswire::connect(&server.url(path))).await;
        match refused.unwrap_err() {
            ConnectError::Status(answer) => {
                assert_eq!(answer.status(), 404, "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn headers_of_ones_own_are_sent_with_the_request() {
    let (near, far) = duplex(4096);
    let connector = Connector::new()
        .header(
            HeaderName::from_static("authorization"),
            HeaderValue::from_static("Bearer 1"),
        )
        .header(
            HeaderName::from_static("x-twice"),
            HeaderValue::from_static("a"),
        )
        .header(
            HeaderName::from_static("x-twice"),
            HeaderValue::from_static("b"),
        );
    let opening = tokio::spawn(async move {
        connector
            .connect_over("ws://example.com:8080/a?b", near)
            .await
    });
    let request = Peer::server(far).head().await;
    assert!(request.starts_with("GET /a?b HTTP/1.1\r\n"), "{request}");
    for line in [
        "Host: example.com:8080",
        "Authorization: Bearer 1",
        "X-Twice: a",
        "X-Twice: b",
        "Sec-WebSocket-Version: 13",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
    }
    // The peer is gone without an answer.
    let gone = within(opening).await.unwrap().unwrap_err();
    assert!(matches!(gone, ConnectError::Ended), "{gone:?}");
}

#[tokio::test]
async fn client_and_server_talk_over_any_transport() {
    for room in [1, 7, 64 * 1024] {
        let (mut client, mut server) = pair(room, &Config::new()).await;
        let text = "over a pipe ".repeat(100);
        let (sent, received) =
            within(async { tokio::join!(client.send(text.as_str()), message(&mut server)) }).await;
        sent.unwrap();
        assert_eq!(received.as_text(), Some(&*text));
        let (sent, received) =
            within(async { tokio::join!(server.send(received), message(&mut client)) }).await;
        sent.unwrap();
        assert_eq!(received.as_text(), Some(&*text));
    }
}

#[tokio::test]
async fn frames_right_behind_the_request_are_not_lost() {
    let text = frame(Role::Client, OpCode::Text, b"early");
    let bytes = [REQUEST.as_bytes(), &text, &text[..3]].concat();

    let server = serve_echo().await;
    let stream = within(TcpStream::connect(server.addr)).await;
    let mut peer = Peer::client(stream.unwrap());
    peer.raw(&bytes).await;
    assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(peer.text().await, "early");
    peer.raw(&text[3..]).await;
    assert_eq!(peer.text().await, "early");

    let (near, mut far) = duplex(4096);
    far.write_all(&bytes).await.unwrap();
    let mut ws = within(newswire::accept(near, &Config::new()))
        .await
        .unwrap();
    assert_eq!(message(&mut ws).await, "early".into());
    far.write_all(&text[3..]).await.unwrap();
    assert_eq!(message(&mut ws).await, "early".into());
}

#[tokio::test]
async fn frames_right_behind_the_response_are_not_lost() {
    let (near, far) = duplex(4096);
    let opening =
        tokio::spawn(async { Connector::new().connect_over("ws://localhost/", near).await });
    let mut peer = Peer::server(far);
    let mut bytes = answer(&peer.head().await);
    let text = frame(Role::Server, OpCode::Text, b"early");
    bytes.extend_from_slice(&text);
    bytes.extend_from_slice(&text[..3]);
    peer.raw(&bytes).await;
    let mut ws = within(opening).await.unwrap().unwrap();
    assert_eq!(message(&mut ws).await, "early".into());
    peer.raw(&text[3..]).await;
    assert_eq!(message(&mut ws).await, "early".into());
}

#[tokio::test]
async fn interim_responses_before_the_101_are_skipped() {
    let (near, far) = duplex(4096);
    let opening =
        tokio::spawn(async { Connector::new().connect_over("ws://localhost/", near).await });
    let mut peer = Peer::server(far);
    let mut bytes =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
    bytes.extend(answer(&peer.head().await));
    bytes.extend(frame(Role::Server, OpCode::Text, b"early"));
    peer.raw(&bytes).await;
    let mut ws = within(opening).await.unwrap().unwrap();
    assert_eq!(message(&mut ws).await, "early".into());
}

#[tokio::test]
async fn a_connection_that_is_not_opened_says_at_which_step_it_failed() {
    let connect = async |url: &str| within(newswire::connect(url)).await.unwrap_err();
    let error = connect("http://localhost/").await;
    assert!(matches!(error, ConnectError::Url(_)), "{error:?}");
    #[cfg(not(feature = "rustls"))]
    {
        let error = connect("wss://localhost/").await;
        assert!(matches!(error, ConnectError::TlsNeeded), "{error:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = connect(&format!("ws://{addr}/")).await;
    assert!(matches!(error, ConnectError::Tcp { .. }), "{error:?}");
    let misuse = Connector::new().subprotocols(["not a token"]);
    let error = within(misuse.connect_over("ws://localhost/", duplex(64).0)).await;
    assert!(matches!(error, Err(ConnectError::Misuse(_))), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_a_websockets_is_shown() {
    let answered = async |answer: &str| {
        let (near, far) = duplex(4096);
        let mut peer = Peer::server(far);
        peer.raw(answer.as_bytes()).await;
        let opening = Connector::new().connect_over("ws://localhost/", near).await;
        (opening.unwrap_err(), peer).0
    };
    let error = within(answered("SSH-2.0-OpenSSH_9.2\r\n\r\n")).await;
    assert!(matches!(error, ConnectError::Head(_)), "{error:?}");
    let error = within(answered("HTTP/1.1 401 Unauthorized\r\nX-Realm: r\r\n\r\n")).await;
    match error {
        ConnectError::Status(answer) => {
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.headers()["x-realm"], "r");
        }
        other => panic!("{other:?}"),
    }
    let stranger = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
    let error = within(answered(stranger)).await;
    assert!(
        matches!(error, ConnectError::Response(ResponseError::Accept { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_transport_with_a_buffer_of_its_own_is_flushed() {
    let (near, far) = duplex(4096);
    let serving = tokio::spawn(async {
        let mut ws = newswire::accept(BufWriter::new(far), &Config::new()).await?;
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok::<_, newswire::Error>(ws.close_frame())
    });
    let connector = Connector::new();
    let connecting = connector.connect_over("ws://localhost/", BufWriter::new(near));
    let mut ws = within(connecting).await.unwrap();
    for len in [0, 5, 100, 5000, 20_000, 100_000] {
        within(ws.send(pattern(len))).await.unwrap();
        assert_eq!(message(&mut ws).await, pattern(len).into());
    }
    within(ws.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert_eq!(ws.close_frame().unwrap().reason, "bye");
    let seen = within(serving).await.unwrap().unwrap();
    assert_eq!(seen.unwrap().reason, "bye");
}
