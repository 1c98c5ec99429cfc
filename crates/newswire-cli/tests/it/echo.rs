//! The echo endpoint, and what the server says of itself.

use crate::support::{Served, serve, within};
use newswire::{CloseCode, Connector, Message, WebSocket};

async fn connect(server: &Served) -> WebSocket {
    within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap()
}

async fn assert_echoes(server: &Served) {
    let mut ws = connect(server).await;
    within(ws.send("are you well?")).await.unwrap();
    let answer = within(ws.recv()).await.unwrap();
    assert_eq!(answer, Some("are you well?".into()));
    within(ws.close(CloseCode::NORMAL, "")).await.unwrap();
}

#[test]
fn it_says_where_the_page_and_the_echo_are() {
    let server = serve(&[]);
    let (ip, port) = (server.addr.ip(), server.addr.port());
    assert_eq!(ip.to_string(), "127.0.0.1");
    assert_ne!(port, 0);
    let greeting = server.greeting.join("\n");
    assert!(greeting.contains(env!("CARGO_PKG_VERSION")), "{greeting}");
    assert!(
        greeting.contains(&format!("http://127.0.0.1:{port}/\n")),
        "{greeting}"
    );
    assert!(
        greeting.ends_with(&format!("ws://127.0.0.1:{port}/echo")),
        "{greeting}"
    );
    assert_eq!(server.errors(), b"");
}

#[tokio::test]
async fn what_is_sent_comes_back() {
    let server = serve(&[]);
    let mut ws = connect(&server).await;
    let messages: [Message; 5] = [
        "hello".into(),
        "".into(),
        b"\0\xff".into(),
        "x".repeat(1 << 20).into(),
        vec![7; 5 << 20].into(),
    ];
    for message in messages {
        within(ws.send(message.clone())).await.unwrap();
        let echoed = within(ws.recv()).await.unwrap();
        assert!(echoed == Some(message), "it is not what was sent");
    }
    within(ws.close(CloseCode(4000), "enough")).await.unwrap();
    assert_eq!(ws.close_frame().unwrap().code.0, 4000);
}

#[tokio::test]
async fn echo_protocol_is_spoken_when_it_is_offered_and_no_other() {
    let server = serve(&[]);
    for (offered, chosen) in [
        (&["echo-protocol"][..], Some("echo-protocol")),
        (&["chat", "echo-protocol"], Some("echo-protocol")),
        (&["chat"], None),
        (&["Echo-Protocol"], None),
        (&[], None),
    ] {
        let connector = Connector::new().subprotocols(offered.iter().copied());
        let ws = within(connector.connect(&server.url("/echo"))).await;
        assert_eq!(ws.unwrap().subprotocol(), chosen, "{offered:?}");
    }
}

#[tokio::test]
async fn a_message_beyond_max_message_size_is_1009() {
    let server = serve(&["--max-message-size", "1KiB"]);
    let mut ws = connect(&server).await;
    within(ws.send(vec![7; 1024])).await.unwrap();
    assert_eq!(within(ws.recv()).await.unwrap(), Some(vec![7; 1024].into()));
    within(ws.send(vec![7; 1025])).await.unwrap();
    assert_eq!(within(ws.recv()).await.unwrap(), None);
    assert_eq!(ws.close_frame().unwrap().code, CloseCode::TOO_BIG);
    assert_echoes(&server).await;
}

#[tokio::test]
async fn it_goes_on_when_nobody_reads_its_standard_output() {
    let mut server = serve(&[]);
    server.close_stdout();
    assert_echoes(&server).await;
    assert!(server.is_running());
    #[cfg(unix)]
    {
        // It has its last line to say, to nobody.
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.wait().0, Some(0));
    }
}

#[tokio::test]
async fn it_listens_on_an_ipv6_address_in_brackets_or_not() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // A machine without IPv6: that this is said so is all there is to see.
        let output = crate::support::run(&["serve", "--host", "::1", "--port", "0"]);
        assert_eq!(output.status.code(), Some(3));
        return;
    }
    for host in ["::1", "[::1]"] {
        let server = serve(&["--host", host]);
        assert!(
            server.url("/").starts_with("ws://[::1]:"),
            "{}",
            server.url("/")
        );
        assert_echoes(&server).await;
    }
}
