//! What breaks the rules of frames: the wire is told why, and the connection ends in time.

use crate::support::{Peer, assert_echoes, close_payload, echo, frame, serve, within};
use newswire::proto::{Failure, OpCode, ProtocolError, Role};
use newswire::{Config, RecvError, WebSocket};
use std::time::Duration;
use tokio::sync::mpsc;

/// The most bytes that a message may have here.
const LIMIT: usize = 1000;

/// Longer than any test takes: an end that comes before is no timeout's.
const LONG: Duration = Duration::from_secs(600);

fn client(opcode: OpCode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(Role::Client, opcode, payload.as_ref())
}

/// A frame with its first byte exchanged.
fn beginning(first: u8, mut frame: Vec<u8>) -> Vec<u8> {
    frame[0] = first;
    frame
}

/// A fragment that is not the last one.
fn unfinished(opcode: OpCode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    beginning(opcode as u8, client(opcode, payload))
}

/// A masked binary frame's header that declares `len` in so many bytes.
fn declaring<const N: usize>(short_len: u8, len: [u8; N]) -> Vec<u8> {
    [&[0x82, 0x80 | short_len][..], &len, &[1, 2, 3, 4]].concat()
}

/// That each of these, behind a right message, is answered with that message, this code, and
/// the end, though the peer does not hang up.
async fn assert_failed(code: u16, rows: impl IntoIterator<Item = Vec<u8>>) {
    let config = Config::new().max_message_size(LIMIT).close_timeout(LONG);
    let server = serve(|server| server.config(config).route("/echo", echo)).await;
    for bytes in rows {
        let mut peer = Peer::connect(server.addr, "/echo").await;
        peer.raw(&[client(OpCode::Text, "right"), bytes.clone()].concat())
            .await;
        assert_eq!(peer.text().await, "right");
        let failed = peer.next().await;
        let expected = Some((OpCode::Close, close_payload(code, "")));
        assert_eq!(failed, expected, "after {}", bytes.escape_ascii());
        peer.assert_ends().await;
        assert_echoes(server.addr).await;
    }
}

#[tokio::test]
async fn a_broken_frame_is_1002() {
    let text = || client(OpCode::Text, "text");
    let mut rows = vec![
        // Reserved bits.
        beginning(0xC1, text()),
        beginning(0xA1, text()),
        beginning(0x91, text()),
        // Control frames: in fragments, or too long.
        beginning(0x09, client(OpCode::Ping, "")),
        beginning(0x0A, client(OpCode::Pong, "")),
        beginning(0x08, client(OpCode::Close, "")),
        client(OpCode::Ping, [0; 126]),
        // Lengths that are not in their shortest form, or too long for any form.
        declaring(126, 125_u16.to_be_bytes()),
        declaring(127, 65_535_u64.to_be_bytes()),
        declaring(127, (1_u64 << 63).to_be_bytes()),
        // A server's frame.
        frame(Role::Server, OpCode::Text, b"not masked"),
        // Fragments out of order.
        client(OpCode::Continuation, "of nothing"),
        [unfinished(OpCode::Text, "one"), text()].concat(),
        [unfinished(OpCode::Text, "one"), client(OpCode::Binary, "")].concat(),
        // A Close frame too short for a code.
        client(OpCode::Close, [3]),
    ];
    // Opcodes that no RFC defines.
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        rows.push(beginning(0x80 | opcode, text()));
    }
    // Codes that must not travel.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        rows.push(client(OpCode::Close, close_payload(code, "")));
    }
    assert_failed(1002, rows).await;
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_1007() {
    let bad_reason = [&1000_u16.to_be_bytes()[..], b"\xff"].concat();
    assert_failed(
        1007,
        [
            client(OpCode::Text, b"\xff"),
            client(OpCode::Text, b"cut off \xe2\x82"),
            client(OpCode::Text, b"surrogate \xed\xa0\x80"),
            client(OpCode::Text, b"overlong \xc0\xaf"),
            client(
                OpCode::Text,
                [&[b'x'; 500][..], b"\xf4\x90\x80\x80"].concat(),
            ),
            // As soon as it can be told, though the message has not ended.
            unfinished(OpCode::Text, b"\xe2\x28"),
            [
                unfinished(OpCode::Text, b"\xe2\x82"),
                unfinished(OpCode::Continuation, b"x"),
            ]
            .concat(),
            client(OpCode::Close, bad_reason),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_1009() {
    assert_failed(
        1009,
        [
            client(OpCode::Binary, [0; LIMIT + 1]),
            client(OpCode::Text, "x".repeat(LIMIT + 1)),
            // As soon as it is declared.
            declaring(126, (LIMIT as u16 + 1).to_be_bytes()),
            declaring(127, (1_u64 << 62).to_be_bytes()),
            [
                unfinished(OpCode::Binary, [0; LIMIT / 2]),
                unfinished(OpCode::Continuation, [0; LIMIT / 2]),
                client(OpCode::Continuation, [0]),
            ]
            .concat(),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_message_as_large_as_may_be_comes_back() {
    let config = Config::new().max_message_size(LIMIT);
    let server = serve(|server| server.config(config).route("/", echo)).await;
    let mut peer = Peer::connect(server.addr, "/").await;
    let whole = vec![7; LIMIT];
    let halves = [
        unfinished(OpCode::Binary, &whole[..LIMIT / 2]),
        client(OpCode::Continuation, &whole[LIMIT / 2..]),
    ];
    for bytes in [client(OpCode::Binary, &whole), halves.concat()] {
        peer.raw(&bytes).await;
        assert_eq!(peer.next().await, Some((OpCode::Binary, whole.clone())));
    }
}

/// Tells why its connection ended.
fn observed(ended: mpsc::Sender<RecvError>) -> impl newswire::Handler<(), (WebSocket,)> {
    move |mut ws: WebSocket| {
        let ended = ended.clone();
        async move {
            let error = loop {
                match ws.recv().await {
                    Ok(message) => assert!(message.is_some(), "it was not closed"),
                    Err(error) => break error,
                }
            };
            assert_eq!(ws.recv().await.unwrap(), None);
            ended.send(error).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_handler_is_told_what_its_peer_did() {
    let (ended, mut ends) = mpsc::channel(1);
    let config = Config::new().max_message_size(LIMIT);
    let server = serve(|server| server.config(config).route("/", observed(ended))).await;
    for (bytes, expected) in [
        (
            client(OpCode::Continuation, ""),
            Failure::Protocol(ProtocolError::UnexpectedContinuation),
        ),
        (
            client(OpCode::Binary, [0; LIMIT + 1]),
            Failure::MessageTooBig { limit: LIMIT },
        ),
    ] {
        let mut peer = Peer::connect(server.addr, "/").await;
        peer.raw(&bytes).await;
        drop(peer);
        let failure = match within(ends.recv()).await.unwrap() {
            RecvError::Protocol(error) => Failure::Protocol(error),
            RecvError::MessageTooBig { limit } => Failure::MessageTooBig { limit },
            other => panic!("{other:?}"),
        };
        assert_eq!(failure, expected);
    }
}

#[tokio::test]
async fn a_peer_that_broke_a_rule_and_does_not_hang_up_is_cut() {
    let (ended, mut ends) = mpsc::channel(1);
    let config = Config::new()
        .close_timeout(Duration::from_millis(300))
        .idle_timeout(None);
    let server = serve(|server| server.config(config).route("/", observed(ended))).await;
    let mut peer = Peer::connect(server.addr, "/").await;
    peer.raw(&client(OpCode::Continuation, "")).await;
    let error = within(ends.recv()).await.unwrap();
    assert!(matches!(error, RecvError::Protocol(_)), "{error:?}");
    assert_eq!(peer.close_code().await, Some(1002));
    peer.assert_ends().await;
}

#[tokio::test]
async fn a_peer_that_broke_a_rule_reads_why_though_it_sends_on() {
    let server = serve(|server| {
        server
            .config(Config::new().close_timeout(LONG))
            .route("/", echo)
    });
    let server = server.await;
    let mut peer = Peer::connect(server.addr, "/").await;
    peer.raw(&client(OpCode::Continuation, "")).await;
    // More than the sockets hold: the server reads and throws away.
    for _ in 0..500 {
        peer.send(OpCode::Binary, [0; 60_000]).await;
    }
    assert_eq!(peer.close_code().await, Some(1002));
    peer.assert_ends().await;
}
