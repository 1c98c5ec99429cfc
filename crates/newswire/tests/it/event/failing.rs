//! What makes a connection fail. Whatever it is, a script sees the same: `error`, then `close`
//! with 1006, not clean.

use super::{Background, assert_fails, join, open, opened, plain, scripted, until_open};
use newswire::event::{Event, Options, ReadyState, WebSocket};
use newswire::proto::OpCode;
use newswire::{Config, Connector};
use std::net::TcpListener;
use std::time::Duration;

#[test]
fn a_server_that_is_not_there_fails_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    let socket = open(&url);
    assert_fails(&socket);
    assert!(socket.failure().unwrap().starts_with("cannot connect"));
    assert_fails(&open("ws://name.invalid/"));
}

#[test]
fn a_server_without_tls_fails_a_wss_connection() {
    let server = Background::echo();
    let url = server.url("/echo").replace("ws://", "wss://");
    let socket = open(&url);
    assert_eq!(socket.url(), url);
    assert_fails(&socket);
}

#[test]
fn an_answer_that_is_not_a_websockets_fails_the_connection() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n",
        // "redirect mode is "error"": it is not followed.
        "HTTP/1.1 302 Found\r\nLocation: /echo\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        switching,
        "",
    ] {
        let (url, running) = scripted(move |script| {
            script.head();
            script.raw(answer.as_bytes());
            // The client hangs up without another byte, or has already.
            assert!(script.hang_up().is_empty());
        });
        let socket = open(&url);
        assert_fails(&socket);
        assert!(socket.failure().is_some());
        join(running);
    }
}

/// That an answer fails the connection, and nothing is sent for it.
fn assert_answer_fails(protocols: &[&str], lines: &'static str) {
    let (url, running) = scripted(move |script| {
        script.accept_with(lines);
        // RFC 6455 §4.1: no frame goes out on what was never a WebSocket.
        assert_eq!(script.next(), None);
    });
    let socket = WebSocket::new(&url, protocols).unwrap();
    assert_fails(&socket);
    assert_eq!((socket.protocol(), socket.extensions()), Default::default());
    join(running);
}

#[test]
fn a_protocol_that_was_not_asked_for_fails_the_connection() {
    assert_answer_fails(&[], "Sec-WebSocket-Protocol: chat\r\n");
    assert_answer_fails(&["v1"], "Sec-WebSocket-Protocol: chat\r\n");
    assert_answer_fails(&["chat"], "Sec-WebSocket-Protocol: Chat\r\n");
    assert_answer_fails(&["v1", "v2"], "Sec-WebSocket-Protocol: v1, v2\r\n");
    assert_answer_fails(
        &["v1", "v2"],
        "Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v2\r\n",
    );
}

#[test]
fn no_protocol_in_the_answer_when_some_were_asked_for_fails_the_connection() {
    assert_answer_fails(&["chat"], "");
    assert_answer_fails(&["v1", "v2"], "");
    assert_answer_fails(&["chat"], "Sec-WebSocket-Protocol:\r\n");
}

#[test]
fn an_extension_that_was_not_offered_fails_the_connection() {
    assert_answer_fails(&[], "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n");
    assert_answer_fails(&[], "Sec-WebSocket-Extensions: permessage-deflate; foo\r\n");
}

#[test]
fn a_bad_port_fails_the_connection_without_a_try() {
    for port in [1, 25, 6667, 10080] {
        let socket = open(&format!("ws://127.0.0.1:{port}/"));
        assert_eq!(socket.ready_state(), ReadyState::Connecting);
        assert_fails(&socket);
        let why = socket.failure().unwrap();
        assert!(why.contains("blocked"), "{why}");
    }
    let allowed = Options::new().allow_bad_ports(true);
    let socket = allowed.open("ws://127.0.0.1:1/", ()).unwrap();
    assert_fails(&socket);
    let why = socket.failure().unwrap();
    assert!(why.starts_with("cannot connect"), "{why}");
}

#[test]
fn a_server_that_says_nothing_fails_the_connection_in_time() {
    let (url, running) = scripted(|script| {
        script.head();
        script.next();
    });
    let config = Config::new().handshake_timeout(Duration::from_millis(50));
    let options = Options::new().connector(Connector::new().config(config));
    let socket = options.open(&url, ()).unwrap();
    assert_fails(&socket);
    join(running);
}

#[test]
fn a_connection_that_is_lost_fails() {
    let (url, running) = scripted(|script| {
        script.accept();
        script.send(OpCode::Text, "last words");
    });
    let socket = opened(&url);
    assert_eq!(super::next_text(&socket), "last words");
    assert_eq!(socket.ready_state(), ReadyState::Open);
    assert_fails(&socket);
    join(running);
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_and_the_connection_fails() {
    for (bytes, code) in [
        (&b"\x83\x00"[..], 1002),
        (b"\x81\x80\0\0\0\0", 1002),
        (b"\x81\x01\xff", 1007),
        // Close frames that must not be: half a code, one that must not travel, no text.
        (b"\x88\x01\x03", 1002),
        (b"\x88\x02\x03\xed", 1002),
        (b"\x88\x03\x03\xe8\xff", 1007),
    ] {
        let (url, running) = scripted(move |script| {
            script.accept();
            script.raw(bytes);
            let (opcode, payload) = script.next().unwrap();
            assert_eq!(opcode, OpCode::Close);
            u16::from_be_bytes(*payload.first_chunk().unwrap())
        });
        let socket = opened(&url);
        assert_fails(&socket);
        assert_eq!(join(running), code, "{bytes:?}");
    }
}

#[test]
fn a_message_beyond_the_limit_fails_the_connection() {
    let (url, running) = scripted(|script| {
        script.accept();
        script.send(OpCode::Binary, [0; 101]);
        script.next()
    });
    let config = Config::new().max_message_size(100);
    let options = plain().connector(Connector::new().config(config));
    let socket = options.open(&url, ()).unwrap();
    until_open(&socket);
    assert_fails(&socket);
    let (opcode, payload) = join(running).unwrap();
    assert_eq!(
        (opcode, &payload[..2]),
        (OpCode::Close, &1009_u16.to_be_bytes()[..])
    );
}

#[test]
fn error_and_close_are_one_task() {
    let socket = open("ws://127.0.0.1:1/");
    assert!(socket.wait(None));
    // Sending in the error handler changes nothing but what is buffered.
    socket.set_onerror(Some(Box::new(|socket| {
        assert_eq!(socket.ready_state(), ReadyState::Closed);
        socket.send("12").unwrap();
        socket.close(None, None).unwrap();
        assert_eq!(socket.ready_state(), ReadyState::Closed);
    })));
    assert_eq!(socket.dispatch_pending(), 2);
    assert_eq!(socket.buffered_amount(), 2);
    assert_eq!(socket.next_event(Duration::from_millis(20)), None::<Event>);
}
