//! What the server says on standard error: a line for each refused handshake, in which nothing
//! of what the peer sent is raw.

use crate::support::{serve, serve_with_stderr};

const HANDSHAKE: &str = "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                         Sec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn a_refused_handshake_is_one_line_that_says_who_and_why() {
    let server = serve(&[]);
    let refused = [
        ("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n", "426", "/echo"),
        ("POST /echo HTTP/1.1\r\nHost: h\r\n\r\n", "405", "/echo"),
        ("hello\n", "400", "line feed"),
        ("GET /echo HTTP/9.9\r\n\r\n", "505", "HTTP/9.9"),
    ];
    for (at, (request, status, part)) in refused.into_iter().enumerate() {
        let answer = server.exchange(request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        let log = String::from_utf8(server.errors_of(at + 1)).unwrap();
        assert_eq!(log.lines().count(), at + 1, "{log}");
        let line = log.lines().last().unwrap();
        for part in ["WARN", "127.0.0.1:", status, part] {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }
    let elsewhere = format!("GET /elsewhere HTTP/1.1\r\n{HANDSHAKE}");
    assert!(
        server
            .exchange(elsewhere.as_bytes())
            .starts_with("HTTP/1.1 404 ")
    );
    let log = String::from_utf8(server.errors_of(5)).unwrap();
    let line = log.lines().last().unwrap();
    assert!(
        line.contains("404") && line.contains("/elsewhere"),
        "{line}"
    );
}

#[test]
fn what_is_not_refused_is_not_logged() {
    let server = serve(&[]);
    for path in ["/", "/healthz", "/nothing"] {
        server.request("GET", path);
    }
    // A line that comes after all of it.
    server.exchange(b"hello\n");
    let log = String::from_utf8(server.errors_of(1)).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn a_refused_handshake_is_answered_though_nobody_reads_the_log() {
    let (mut server, stderr) = serve_with_stderr(&[]);
    drop(stderr);
    for _ in 0..3 {
        let answer = server.exchange(b"hello\n");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert!(server.is_running());
    assert_eq!(server.request("GET", "/healthz").status, 200);
}

#[test]
fn nothing_that_a_peer_sends_reaches_the_terminal_raw() {
    let server = serve(&["--verbose"]);
    let line = |start: &[u8], evil: &[u8], end: &[u8]| [start, evil, end].concat();
    let mut sent = 0;
    for evil in [
        &b"\x1b[31mred"[..],
        b"\x1b]0;title\x07",
        b"\x9b31m",
        "\u{9b}31m".as_bytes(),
        "\u{202e}drow".as_bytes(),
        b"\x08\x08\x08\x7f",
        b"\r2026-01-01 WARN forged",
        b"\0",
        b"\xff\xfe",
    ] {
        for request in [
            line(b"GET /echo", evil, b" HTTP/1.1\r\nHost: h\r\n\r\n"),
            line(
                b"GET /",
                evil,
                format!(" HTTP/1.1\r\n{HANDSHAKE}").as_bytes(),
            ),
            line(b"G", evil, b"T /echo HTTP/1.1\r\nHost: h\r\n\r\n"),
            line(b"GET /echo HTTP/", evil, b"\r\nHost: h\r\n\r\n"),
            line(b"GET /echo HTTP/1.1\r\nHost: ", evil, b"\r\n\r\n"),
            line(b"GET /echo HTTP/1.1\r\nX", evil, b": 1\r\nHost: h\r\n\r\n"),
            line(
                b"GET /echo HTTP/1.1\r\nHost: h\r\nContent-Length: ",
                evil,
                b"\r\n\r\n",
            ),
            line(
                b"GET /echo HTTP/1.1\r\nSec-WebSocket-Protocol: ",
                evil,
                format!("\r\n{HANDSHAKE}").as_bytes(),
            ),
            line(
                b"GET /echo HTTP/1.1\r\n",
                &HANDSHAKE.replace("dGhl", "dG\"e").into_bytes(),
                evil,
            ),
            line(
                b"GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
                  Connection: Upgrade\r\nSec-WebSocket-Version: ",
                evil,
                b"\r\n\r\n",
            ),
        ] {
            let answer = server.exchange(&request);
            assert!(
                answer.starts_with("HTTP/1.1 4"),
                "{}",
                request.escape_ascii()
            );
            sent += 1;
            let log = server.errors_of(sent);
            let lines = log.split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(lines, sent, "after {}", request.escape_ascii());
        }
    }
    let log = server.errors();
    for byte in &log {
        let plain = *byte == b'\n' || (b' '..=b'~').contains(byte);
        assert!(plain, "the byte {byte:#04x} in {}", log.escape_ascii());
    }
}
