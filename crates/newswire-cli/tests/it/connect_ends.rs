//! `newswire connect`: an exit code for each way in which it can fail.

use crate::connect::{connect, ok};
use crate::support::serve;
use newswire::proto::handshake::accept_key;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server for one connection, which reads the request and goes on as `answer` says, with the
/// right `Sec-WebSocket-Accept`; what it has read.
pub fn server<R: Send + 'static>(
    answer: impl FnOnce(TcpStream, String) -> R + Send + 'static,
) -> (SocketAddr, JoinHandle<(String, R)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let (head, accept) = accept(&stream);
        (head, answer(stream, accept))
    });
    (addr, serving)
}

/// Reads a request; it, and the `Sec-WebSocket-Accept` that answers it.
pub fn accept(stream: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let accept = accept_key(key.unwrap().as_bytes());
    (head, accept)
}

/// A server that opens the WebSocket and then sends these bytes and hangs up.
fn opens_and_sends(bytes: &'static [u8]) -> String {
    let (addr, _) = server(move |mut stream, accept| {
        open(&mut stream, &accept);
        stream.write_all(bytes).unwrap();
        // Not a reset, which could overtake the bytes.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    format!("ws://{addr}/")
}

pub fn open(stream: &mut TcpStream, accept: &str) {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
}

#[track_caller]
fn assert_fails(arguments: &[&str], code: i32, part: &str) {
    let (found, _, stderr) = connect(arguments);
    assert_eq!(found, Some(code), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(part), "{arguments:?}: {stderr}");
}

/// A port at which nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_host_without_an_address_is_5() {
    // RFC 1035 §2.3.4: "labels 63 octets or less". Nobody is asked for this one.
    let url = format!("ws://{}.invalid/", "x".repeat(64));
    assert_fails(&[&url, "--proxy", "none"], 5, "no address");
}

#[test]
fn nobody_who_answers_is_6() {
    assert_fails(&[&format!("ws://{}/", nobody())], 6, "cannot connect");
}

#[test]
fn no_way_through_the_proxy_is_7() {
    let proxy = format!("http://{}", nobody());
    assert_fails(&["ws://localhost:1/", "--proxy", &proxy], 7, "proxy");
    let proxy = format!("socks5h://{}", nobody());
    assert_fails(&["ws://localhost:1/", "--proxy", &proxy], 7, "proxy");
    // A server that is none answers as it answers everybody.
    let server = serve(&[]);
    let proxy = format!("http://{}", server.addr);
    assert_fails(&["ws://localhost:1/", "--proxy", &proxy], 7, "answered 4");
}

#[test]
fn no_tls_with_the_server_is_8() {
    let plain = serve(&[]);
    let url = format!("wss://{}/echo", plain.addr);
    assert_fails(&[&url], 8, "TLS");
    let self_signed = serve(&["--tls-self-signed"]);
    let url = format!("wss://{}/echo", self_signed.addr);
    assert_fails(&[&url], 8, "certificate");
}

#[test]
fn a_server_that_opens_no_websocket_is_9() {
    let server = serve(&["--origin", "https://example.com"]);
    let url = server.url("/nothing");
    assert_fails(&[&url], 9, "404");
    assert_fails(&[&server.url("/echo"), "-o", "https://b.example"], 9, "403");

    let (_, stdout, _) = connect(&[&url, "--json"]);
    let event: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(event["type"], "error");
    assert_eq!(event["exit_code"], 9);
    assert_eq!(event["answer"]["status"], 404);
    let headers = event["answer"]["headers"].as_array().unwrap();
    assert!(
        headers.iter().any(|line| line[0] == "content-length"),
        "{event}"
    );

    let (addr, _) = self::server(|_, _| ());
    assert_fails(&[&format!("ws://{addr}/")], 9, "hung up");
    let (addr, _) = self::server(|mut stream, _| {
        let answer =
            b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).unwrap();
    });
    assert_fails(
        &[&format!("ws://{addr}/"), "--max-redirects", "0"],
        9,
        "redirect",
    );
}

#[test]
fn a_server_that_breaks_the_protocol_is_10() {
    let (addr, _) = server(|mut stream, _| open(&mut stream, "this is wrong"));
    assert_fails(&[&format!("ws://{addr}/")], 10, "Sec-WebSocket-Accept");
    // A frame that is masked, one with a reserved bit, text that is none.
    for wrong in [&b"\x81\x81\0\0\0\0x"[..], b"\xf1\x01x", b"\x81\x01\xff"] {
        assert_fails(&[&opens_and_sends(wrong), "--wait", "off"], 10, "protocol");
    }
    let (addr, _) = server(|mut stream, _| stream.write_all(b"SSH-2.0-x\r\n\r\n").unwrap());
    assert_fails(&[&format!("ws://{addr}/")], 10, "HTTP");
}

#[test]
fn an_end_without_a_close_frame_is_11() {
    assert_fails(&[&opens_and_sends(b""), "--wait", "off"], 11, "close frame");
    // Half a message is none.
    let (code, stdout, _) = connect(&[&opens_and_sends(b"\x81\x05he"), "--wait", "off"]);
    assert_eq!((code, stdout.as_str()), (Some(11), ""));
}

#[test]
fn a_close_code_that_complains_is_12_and_one_that_does_not_is_0() {
    for (close, part) in [
        (&b"\x88\x02\x03\xea"[..], "1002"),
        (b"\x88\x05\x0f\xa0why", "4000"),
        (b"\x88\x02\x03\xf3", "1011"),
    ] {
        assert_fails(&[&opens_and_sends(close), "--wait", "off"], 12, part);
    }
    for close in [&b"\x88\x02\x03\xe8"[..], b"\x88\x02\x03\xe9", b"\x88\x00"] {
        assert_eq!(connect(&[&opens_and_sends(close), "--wait", "off"]), ok(""));
    }
    // It is no success when something is still missing.
    assert_fails(
        &[
            &opens_and_sends(b"\x81\x02hi\x88\x02\x03\xe8"),
            "--expect",
            "ho",
        ],
        4,
        "\"ho\"",
    );
    assert_eq!(
        connect(&[
            &opens_and_sends(b"\x81\x02hi\x88\x02\x03\xe8"),
            "--expect",
            "hi"
        ]),
        ok("hi\n")
    );
}

#[test]
fn what_takes_too_long_is_13() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    assert_fails(&[&url, "--timeout", "300ms"], 13, "--timeout");
    assert_fails(&[&url, "--handshake-timeout", "300ms"], 13, "in time");
    let server = serve(&[]);
    let url = server.url("/echo");
    assert_fails(
        &[&url, "--wait", "off", "--timeout", "300ms"],
        13,
        "--timeout",
    );
    // A server that does not answer the close.
    let (addr, _) = self::server(|mut stream, accept| {
        open(&mut stream, &accept);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let url = format!("ws://{addr}/");
    assert_fails(
        &[&url, "--wait", "1ms", "--close-timeout", "300ms"],
        13,
        "close",
    );
}

#[test]
fn pings_are_sent_as_often_as_asked() {
    let (addr, pings) = server(|mut stream, accept| {
        open(&mut stream, &accept);
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        // RFC 6455 §5.2: FIN and the opcode 9, then the mask bit and a byte of payload, then the key
        // and the payload. They are numbered.
        let mut frame = [0; 7];
        (b'1'..=b'3').all(|number| {
            stream.read_exact(&mut frame).is_ok()
                && frame[..2] == [0x89, 0x81]
                && frame[2] ^ frame[6] == number
        })
    });
    let url = format!("ws://{addr}/");
    let arguments = [&url, "--wait", "off", "--ping-interval", "20ms"];
    assert_eq!(connect(&arguments).0, Some(11));
    assert!(pings.join().unwrap().1);
}
