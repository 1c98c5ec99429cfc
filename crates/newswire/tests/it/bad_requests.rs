//! What is not a WebSocket's request gets an answer that says so, and nobody else suffers.

use crate::support::{Peer, REQUEST, assert_echoes, exchange, serve_echo, within};
use newswire::WebSocket;
use tokio::net::TcpStream;

/// A request with a piece of it exchanged.
fn with(from: &str, to: &str) -> Vec<u8> {
    assert!(REQUEST.contains(from), "{from}");
    REQUEST.replacen(from, to, 1).into_bytes()
}

/// A request with another line.
fn plus(line: &str) -> Vec<u8> {
    with("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// That each of these requests gets this status and an answer with this in it.
async fn assert_answered(status: u16, rows: impl IntoIterator<Item = (Vec<u8>, &str)>) {
    let server = serve_echo().await;
    for (request, part) in rows {
        let answer = exchange(server.addr, &request).await;
        let shown = format!("{}\n=> {answer}", request.escape_ascii());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").expect(&shown);
        let head = format!("{}\r\n", head.to_lowercase());
        assert!(
            head.contains("\r\nconnection: close\r\n")
                || head.contains("\r\nconnection: upgrade, close\r\n"),
            "{shown}"
        );
        assert!(
            head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
            "{shown}"
        );
        assert_eq!(body.lines().count(), 1, "{shown}");
        assert!(answer.contains(part), "no {part:?} in {shown}");
        assert_echoes(server.addr).await;
    }
}

#[tokio::test]
async fn what_breaks_http_is_400() {
    assert_answered(
        400,
        [
            (with("\r\nHost", "\nHost"), "line feed"),
            (b"GET /echo HTTP/1.1\n\n".to_vec(), "line feed"),
            (
                with("localhost\r\n", "localhost\rX: y\r\n"),
                "carriage return",
            ),
            (plus("X-Nul: a\0b"), "control character 0x00"),
            (plus("X-Escape: \x1b[31m"), "control character 0x1b"),
            (plus("Host: example.com"), "more than one Host"),
            (with("Host: localhost\r\n", ""), "no Host"),
            (with("localhost", "local host"), "Host"),
            (with("localhost", ""), "Host"),
            (
                plus("Content-Length: 5\r\nTransfer-Encoding: chunked"),
                "contradict",
            ),
            (plus("Content-Length: 5\r\nContent-Length: 6"), "two values"),
            (plus("Content-Length: -5"), "not a number"),
            (plus(" folded"), "whitespace"),
            (plus("X-Space : 1"), "whitespace"),
            (plus("no colon"), "name: value"),
            (plus(": no name"), "name: value"),
            (with("GET /echo", "GET  /echo"), "request line"),
            (with("GET /echo", "G\u{e9}T /echo"), "request line"),
            (with("/echo", "echo"), "request target"),
            (with("/echo", "/e\u{e9}cho"), "request target"),
            (with("HTTP/1.1", "HTTQ/1.1"), "request line"),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(), "empty line"),
            (b"hello?\r\n\r\n".to_vec(), "request line"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_another_protocol_is_named() {
    // The first record of a TLS 1.3 handshake, shortened.
    let client_hello = [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        &[0x5a; 506],
    ]
    .concat();
    assert_answered(400, [(client_hello, "TLS")]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_answered(505, [(preface.to_vec(), "HTTP/2")]).await;
    let ssh = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n";
    assert_answered(400, [(ssh.to_vec(), "request line")]).await;
}

#[tokio::test]
async fn what_breaks_rfc_6455_is_400() {
    let with_key = |key: &str| with("dGhlIHNhbXBsZSBub25jZQ==", key);
    assert_answered(
        400,
        [
            (with(KEY, ""), "no Sec-WebSocket-Key"),
            (plus(KEY.trim_end()), "more than one Sec-WebSocket-Key"),
            (with_key(""), "Sec-WebSocket-Key"),
            (with_key("AAAA"), "16 bytes"),
            (with_key("dGhlIHNhbXBsZSBub25jZQ"), "16 bytes"),
            (with_key("dGhlIHNhbXBsZSBub25jZQ==="), "16 bytes"),
            (with_key("dGhlIHNhbXBsZSBub25jZQ=!"), "16 bytes"),
            (
                plus(VERSION.trim_end()),
                "more than one Sec-WebSocket-Version",
            ),
            (with("Connection: Upgrade\r\n", ""), "Connection"),
            (
                with("Connection: Upgrade", "Connection: keep-alive"),
                "Connection",
            ),
            (plus("Content-Length: 5"), "no body"),
            (plus("Transfer-Encoding: chunked"), "no body"),
            (plus("Sec-WebSocket-Protocol: a b"), "not a token"),
            (plus("Sec-WebSocket-Protocol: a,,b"), "not a token"),
            (plus("Sec-WebSocket-Protocol:"), "not a token"),
            (
                plus("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a"),
                "twice",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn another_method_is_405_and_told_which_is_allowed() {
    let methods = ["POST", "OPTIONS", "BREW"];
    let rows = methods.map(|method| (with("GET", method), "\r\nAllow: GET\r\n"));
    assert_answered(405, rows).await;
}

#[tokio::test]
async fn a_refusal_of_head_has_no_content() {
    let server = serve_echo().await;
    for (path, status) in [("/echo", 405), ("/nowhere", 404)] {
        let request = with("GET /echo", &format!("HEAD {path}"));
        let answer = exchange(server.addr, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Length: "), "{answer}");
    }
}

#[tokio::test]
async fn what_asks_for_no_upgrade_to_version_13_is_426_and_told_to_which() {
    let requests = [
        with("Upgrade: websocket\r\n", ""),
        with("Upgrade: websocket", "Upgrade: h2c"),
        with(VERSION, ""),
        with(VERSION, "Sec-WebSocket-Version: 8\r\n"),
        with(VERSION, "Sec-WebSocket-Version: 8, 13\r\n"),
        with("HTTP/1.1", "HTTP/1.0"),
        b"GET /echo HTTP/1.0\r\n\r\n".to_vec(),
    ];
    for part in [
        "\r\nSec-WebSocket-Version: 13\r\n",
        "\r\nUpgrade: websocket\r\n",
    ] {
        assert_answered(426, requests.clone().map(|request| (request, part))).await;
    }
}

#[tokio::test]
async fn a_head_beyond_the_limits_is_431() {
    let many = "X: 1\r\n".repeat(97);
    assert_answered(
        431,
        [
            (
                plus(&format!("X: {}", "x".repeat(16 * 1024))),
                "16384 bytes",
            ),
            (plus(many.trim_end()), "100 header lines"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_line_beyond_the_limit_is_414() {
    let target = with("/echo", &format!("/echo?{}", "x".repeat(20_000)));
    let rows = [(target, "16384 bytes"), (vec![b'x'; 20_000], "16384 bytes")];
    assert_answered(414, rows).await;
}

#[tokio::test]
async fn a_head_at_the_limits_is_accepted() {
    let server = serve_echo().await;
    let lines = "X: 1\r\n".repeat(95);
    let size = format!("X: {}", "x".repeat(16 * 1024 - REQUEST.len() - 5));
    for mut request in [plus(lines.trim_end()), plus(&size)] {
        // A frame that must not be sent unmasked, so that the server ends the connection.
        request.extend_from_slice(b"\x81\x00");
        let answer = exchange_bytes(server.addr, &request).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 101 "),
            "{}",
            answer.escape_ascii()
        );
    }
}

/// What comes back, which need not be text.
async fn exchange_bytes(addr: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    within(async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    })
    .await
}

#[tokio::test]
async fn a_version_of_http_that_is_not_understood_is_505() {
    let rows = ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/3.0"];
    assert_answered(
        505,
        rows.map(|version| (with("HTTP/1.1", version), version)),
    )
    .await;
}

#[tokio::test]
async fn a_path_without_a_route_is_404() {
    let rows = ["/", "/echo/", "/echo%00", "/../echo", "http://localhost/"];
    let rows = rows.map(|path| (with("/echo", path), "nothing is served at this path"));
    assert_answered(404, rows).await;
    let bare = (b"GET / HTTP/1.0\r\n\r\n".to_vec(), "nothing is served");
    assert_answered(404, [bare]).await;
}

#[tokio::test]
async fn a_refused_client_that_sends_on_is_not_reset_at_once() {
    let server = serve_echo().await;
    // Far more than the head, which is wrong in its first line.
    let request = [&b"hello\n"[..], &[b'x'; 200_000]].concat();
    let answer = exchange(server.addr, &request).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    let mut peer = Peer::client(within(TcpStream::connect(server.addr)).await.unwrap());
    peer.raw(b"hello\n").await;
    let head = peer.head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    // The first write behind a hang-up is answered with a reset, which the next one meets.
    for _ in 0..3 {
        peer.raw(&[b'x'; 1000]).await;
    }
}

#[tokio::test]
async fn a_path_that_could_never_match_is_the_programmers_mistake() {
    let server = newswire::Server::bind("127.0.0.1:0").await.unwrap();
    let wrong = std::panic::AssertUnwindSafe(|| server.route("echo", |_: WebSocket| async {}));
    assert!(std::panic::catch_unwind(wrong).is_err());
}
