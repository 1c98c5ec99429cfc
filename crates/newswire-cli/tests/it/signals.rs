//! The end: every connection is told, whatever its client does, and the exit code is 0.

use crate::support::{Served, serve, within};
use newswire::CloseCode;
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

#[test]
fn a_server_without_connections_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = serve(&[]);
        server.signal(signal);
        let (code, said) = server.wait();
        assert_eq!(code, Some(0), "{signal:?}");
        assert!(said.ends_with("stopped\n"), "{said}");
        let refused = TcpStream::connect(server.addr).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(server.errors(), b"");
    }
}

#[tokio::test]
async fn open_connections_see_1001_and_it_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = serve(&[]);
        let url = server.url("/echo");
        let mut connections = Vec::new();
        for _ in 0..3 {
            connections.push(within(newswire::connect(&url)).await.unwrap());
        }
        server.signal(signal);
        for ws in &mut connections {
            assert_eq!(within(ws.recv()).await.unwrap(), None);
            assert_eq!(ws.close_frame().unwrap().code, CloseCode::GOING_AWAY);
        }
        let (code, said) = server.wait();
        assert_eq!(code, Some(0), "{signal:?}");
        assert!(said.contains("stopped, 3 connections closed\n"), "{said}");
    }
}

/// A client by hand, which does nothing of itself.
fn open(server: &Served) -> TcpStream {
    let mut stream = server.connect();
    stream
        .write_all(
            b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
              Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n",
        )
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream
}

#[test]
fn clients_that_do_not_answer_do_not_keep_it() {
    let mut server = serve(&[]);
    let mut open = open(&server);
    let mut half = server.connect();
    half.write_all(b"GET /echo HT").unwrap();
    let mut silent = server.connect();
    // These were accepted before whoever is served now.
    assert_eq!(server.request("GET", "/healthz").status, 200);

    server.signal(Signal::TERM);
    let (code, _) = server.wait();
    assert_eq!(code, Some(0));
    let mut last = Vec::new();
    open.read_to_end(&mut last).unwrap();
    assert_eq!(last, [0x88, 2, 0x03, 0xE9], "1001");
    for stream in [&mut half, &mut silent] {
        let mut last = Vec::new();
        // The half request is unread, so its end may be a reset.
        match stream.read_to_end(&mut last) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(last, b"");
    }
}
