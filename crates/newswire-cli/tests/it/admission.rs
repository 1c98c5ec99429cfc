//! Who may connect: origins, subprotocols, who a client is behind a proxy, and how many.

use crate::support::{Served, folder, newswire, run, serve, serve_by, within};
use newswire::{CloseCode, Connector};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         Sec-WebSocket-Version: 13\r\n";

/// The head of the answer to a handshake with these header lines more, and its connection.
fn answer(server: &Served, more: &str) -> (TcpStream, String) {
    answer_after(server, "", more)
}

fn answer_after(server: &Served, before: &str, more: &str) -> (TcpStream, String) {
    let mut stream = server.connect();
    let host = server.addr;
    let request = format!("{before}GET /echo HTTP/1.1\r\nHost: {host}\r\n{HANDSHAKE}{more}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

fn status(server: &Served, more: &str) -> u16 {
    answer(server, more).1[9..12].parse().unwrap()
}

#[test]
fn pages_of_other_origins_are_refused_unless_they_are_let_in() {
    let same = |server: &Served| format!("http://{}", server.addr);
    let ask = |server: &Served, origin: &str| status(server, &format!("Origin: {origin}\r\n"));
    let server = serve(&[]);
    assert_eq!(status(&server, ""), 101);
    assert_eq!(ask(&server, &same(&server)), 101);
    assert_eq!(ask(&server, "http://evil.example"), 403);
    assert_eq!(ask(&server, "null"), 403);
    let log = String::from_utf8(server.errors_of(2)).unwrap();
    assert!(log.contains("403") && log.contains("evil.example"), "{log}");

    let server = serve(&["--origin", "https://*.example.com", "--origin", "same"]);
    assert_eq!(ask(&server, "https://www.example.com"), 101);
    assert_eq!(ask(&server, &same(&server)), 101);
    assert_eq!(ask(&server, "https://example.org"), 403);

    let server = serve(&["--origin", "https://example.com", "--require-origin"]);
    assert_eq!(ask(&server, "https://example.com"), 101);
    assert_eq!(ask(&server, &same(&server)), 403);
    assert_eq!(status(&server, ""), 403);

    let server = serve(&["--allow-null-origin"]);
    assert_eq!(ask(&server, "null"), 101);
    assert_eq!(ask(&server, "http://evil.example"), 403);

    let server = serve(&["--origin", "any"]);
    assert_eq!(ask(&server, "http://evil.example"), 101);
}

#[tokio::test]
async fn subprotocols_can_be_named_and_required() {
    let server = serve(&["--subprotocol", "v2", "--subprotocol", "v1"]);
    let url = server.url("/echo");
    for (offered, chosen) in [
        (&["v1", "v2"][..], Some("v2")),
        (&["v1"], Some("v1")),
        (&["echo-protocol"], None),
    ] {
        let connector = Connector::new().subprotocols(offered.iter().copied());
        let ws = within(connector.connect(&url)).await.unwrap();
        assert_eq!(ws.subprotocol(), chosen, "{offered:?}");
    }
    let server = serve(&["--require-subprotocol"]);
    assert_eq!(status(&server, ""), 400);
    assert_eq!(status(&server, "Sec-WebSocket-Protocol: chat\r\n"), 400);
    assert_eq!(
        status(&server, "Sec-WebSocket-Protocol: echo-protocol\r\n"),
        101
    );
}

#[test]
fn clients_may_have_to_show_a_token() {
    let file = folder("tokens").join("tokens");
    std::fs::write(&file, "# of the team\nfirst-token\n\n  second.token  \n").unwrap();
    let flags = ["--token-file", file.to_str().unwrap()];
    let server = serve(&flags);
    for (shown, code) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Bearer first\r\n", 401),
        ("Authorization: Basic first-token\r\n", 401),
        ("Authorization: Bearer first-token\r\n", 101),
        ("Authorization: bearer second.token\r\n", 101),
        (
            "Sec-WebSocket-Protocol: echo-protocol, bearer.second.token\r\n",
            101,
        ),
        ("Sec-WebSocket-Protocol: echo-protocol, bearer.\r\n", 401),
        ("Authorization: Bearer # of the team\r\n", 401),
    ] {
        assert_eq!(status(&server, shown), code, "{shown}");
    }
    let (_, head) = answer(&server, "");
    assert!(
        head.to_lowercase()
            .contains("\r\nwww-authenticate: bearer "),
        "{head}"
    );
    let log = String::from_utf8(server.errors_of(6)).unwrap();
    assert!(!log.contains("-token") && !log.contains("wrong"), "{log}");

    #[cfg(unix)]
    {
        let bearer = |token| status(&server, &format!("Authorization: Bearer {token}\r\n"));
        std::fs::write(&file, "third-token\n").unwrap();
        server.signal(rustix::process::Signal::HUP);
        let mut tries = 0..200;
        while bearer("third-token") != 101 {
            assert!(tries.next().is_some(), "they are not read again");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        assert_eq!(bearer("first-token"), 401);
    }
    for (content, part) in [("\n# none\n", "no token"), ("good\nsec ret\n", ":2: ")] {
        std::fs::write(&file, content).unwrap();
        let output = run(&["serve", "--check", flags[0], flags[1]]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(
            errors.contains(part) && !errors.contains("sec ret"),
            "{errors}"
        );
    }
}

#[test]
fn a_client_behind_a_trusted_proxy_is_the_one_that_is_logged() {
    let forwarded = "X-Forwarded-For: 203.0.113.7\r\nOrigin: http://evil.example\r\n";
    let server = serve(&["--trusted-proxy", "127.0.0.0/8"]);
    assert_eq!(status(&server, forwarded), 403);
    let log = String::from_utf8(server.errors_of(1)).unwrap();
    assert!(log.contains("203.0.113.7"), "{log}");

    let server = serve(&[]);
    assert_eq!(status(&server, forwarded), 403);
    let log = String::from_utf8(server.errors_of(1)).unwrap();
    assert!(
        log.contains("127.0.0.1") && !log.contains("203.0.113.7"),
        "{log}"
    );
}

#[test]
fn the_proxy_protocol_is_spoken_with_trusted_proxies() {
    let server = serve(&["--trusted-proxy", "127.0.0.1", "--proxy-protocol"]);
    let header = "PROXY TCP4 203.0.113.9 127.0.0.1 40000 80\r\n";
    let (_, head) = answer_after(&server, header, "Origin: http://evil.example\r\n");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let log = String::from_utf8(server.errors_of(1)).unwrap();
    assert!(log.contains("203.0.113.9:40000"), "{log}");
    let (_stream, head) = answer_after(&server, header, "");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[test]
fn connections_are_limited_in_all_and_for_an_address() {
    for (flags, refused) in [
        (["--max-connections", "1"], "503"),
        (["--max-connections-per-address", "1"], "429"),
        (["--max-connection-rate-per-address", "1"], "429"),
    ] {
        let server = serve(&flags);
        let (_first, head) = answer(&server, "");
        assert!(head.starts_with("HTTP/1.1 101 "), "{flags:?}: {head}");
        let (_, head) = answer(&server, "");
        assert!(
            head.starts_with(&format!("HTTP/1.1 {refused} ")),
            "{flags:?}: {head}"
        );
        assert!(head.to_lowercase().contains("\r\nretry-after: "), "{head}");
    }
}

#[cfg(unix)]
#[test]
fn there_are_never_more_connections_than_files_may_be_open() {
    let plain = newswire(&[]);
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -n 300 && exec \"$0\" serve --port 0 --workers 1",
        ])
        .arg(plain.get_program())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let server = serve_by(command);
    let silent: Vec<_> = (0..150).map(|_| server.connect()).collect();
    let (_, head) = answer(&server, "");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    drop(silent);
    for _ in 0..100 {
        if status(&server, "") == 101 {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    panic!("nobody is let in any more");
}

#[tokio::test]
async fn messages_and_bytes_are_limited_for_a_connection() {
    for flags in [
        ["--max-message-rate", "1:2"],
        ["--max-receive-rate", "64B:1KiB"],
    ] {
        // So that the bytes are as many as they seem.
        let server = serve(&[&flags[..], &["--compression", "off"]].concat());
        let mut ws = within(newswire::connect(&server.url("/echo")))
            .await
            .unwrap();
        for _ in 0..8 {
            // It may be closed by now.
            let _ = within(ws.send("x".repeat(256))).await;
        }
        while let Ok(Some(_)) = within(ws.recv()).await {}
        let close = ws.close_frame().expect("it was closed");
        assert_eq!(close.code, CloseCode::POLICY, "{flags:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_shutdown_can_be_spread() {
    let mut server = serve(&["--shutdown-spread", "600ms"]);
    let url = server.url("/echo");
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(within(newswire::connect(&url)).await.unwrap());
    }
    let start = std::time::Instant::now();
    server.signal(rustix::process::Signal::TERM);
    for ws in &mut connections {
        assert_eq!(within(ws.recv()).await.unwrap(), None);
        assert_eq!(ws.close_frame().unwrap().code, CloseCode::GOING_AWAY);
    }
    assert!(start.elapsed().as_millis() >= 300, "all at once");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn proxy_protocol_needs_to_know_from_whom() {
    let output = run(&["serve", "--check", "--proxy-protocol"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("--trusted-proxy"), "{errors}");
}
