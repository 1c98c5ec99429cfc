//! Cancel safety: futures that are dropped at every point at which they can be.

use crate::support::{
    Peer, REQUEST, Trickle, close_payload, frame, pair, poll_at_most, poll_once, within,
};
use newswire::proto::{FrameHeader, OpCode, Role};
use newswire::{CloseCode, Config, Connector, Message, WebSocket};
use std::future::Future;
use std::pin::pin;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

/// Text, binary, a message in fragments with a ping between them, and a close.
fn conversation() -> Vec<u8> {
    let client = Role::Client;
    let mut first = frame(client, OpCode::Text, b"in two ");
    first[0] &= 0x7F; // no FIN
    [
        frame(client, OpCode::Text, b"hello"),
        frame(client, OpCode::Binary, &[7; 300]),
        first,
        frame(client, OpCode::Ping, b"?"),
        frame(client, OpCode::Continuation, b"parts"),
        frame(client, OpCode::Text, b""),
        frame(client, OpCode::Close, &close_payload(1000, "bye")),
    ]
    .concat()
}

#[tokio::test]
async fn recv_may_be_dropped_at_every_poll_and_nothing_is_lost() {
    let bytes = [REQUEST.as_bytes(), &conversation()].concat();
    let config = Config::new();
    let mut ws = within(newswire::accept(Trickle::new(bytes), &config))
        .await
        .unwrap();
    let mut received = Vec::new();
    let mut dropped = 0;
    within(async {
        loop {
            // The budget of cooperative tasks is for one poll of the test.
            tokio::task::yield_now().await;
            match poll_once(pin!(ws.recv())).await {
                Some(Ok(Some(message))) => received.push(message),
                Some(end) => break assert_eq!(end.unwrap(), None),
                None => dropped += 1,
            }
        }
    })
    .await;
    let expected: [Message; 4] = [
        "hello".into(),
        vec![7; 300].into(),
        "in two parts".into(),
        "".into(),
    ];
    assert_eq!(received, expected);
    assert_eq!(ws.close_frame().unwrap().reason.as_str(), "bye");
    // It did wait for each byte.
    assert!(dropped >= conversation().len(), "{dropped}");
}

/// Everything that arrives, read a few bytes at a time, until `end` comes as a text.
async fn read_slowly(mut io: DuplexStream, end: &str) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut payloads = Vec::new();
    loop {
        while let Some((header, len)) = FrameHeader::parse(&bytes).expect("a right frame") {
            let whole = len + header.payload_len as usize;
            if bytes.len() < whole {
                break;
            }
            let rest = bytes.split_off(whole);
            let payload = std::mem::replace(&mut bytes, rest).split_off(len);
            if payload == end.as_bytes() {
                return payloads;
            }
            payloads.push(payload);
        }
        let mut few = [0; 5];
        let len = io.read(&mut few).await.unwrap();
        assert!(len > 0, "hung up early");
        bytes.extend_from_slice(&few[..len]);
        tokio::task::yield_now().await;
    }
}

/// A server's end over a pipe that holds seven bytes, and what its client reads from it.
async fn narrow_server() -> (
    WebSocket<DuplexStream>,
    impl Future<Output = Vec<Vec<u8>>> + Send + 'static,
) {
    let (near, far) = duplex(7);
    let config = Config::new().max_buffered(100);
    let mut peer = Peer::client(far);
    let (accepted, _) = within(async {
        tokio::join!(newswire::accept(near, &config), async {
            peer.raw(REQUEST.as_bytes()).await;
            peer.head().await
        })
    })
    .await;
    (accepted.unwrap(), read_slowly(peer.io, "end"))
}

/// A payload that says which message it is, all over.
fn numbered(n: usize) -> Vec<u8> {
    let mark = u8::try_from(n).unwrap();
    vec![mark; 1 + n * 7 % 60]
}

#[tokio::test]
async fn a_message_whose_feed_is_dropped_arrives_exactly_when_feed_was_ready() {
    let (ws, reading) = narrow_server().await;
    let reading = tokio::spawn(reading);
    let mut fed = Vec::new();
    let mut dropped = 0;
    for n in 0..250 {
        match poll_at_most(1 + n % 7, ws.feed(numbered(n))).await {
            Some(queued) => {
                queued.unwrap();
                fed.push(numbered(n));
            }
            None => dropped += 1,
        }
    }
    within(ws.send("end")).await.unwrap();
    assert_eq!(within(reading).await.unwrap(), fed);
    assert!(dropped > 10 && fed.len() > 10, "{dropped} of 250 dropped");
}

#[tokio::test]
async fn a_message_whose_send_is_dropped_arrives_whole_or_not_at_all() {
    let (ws, reading) = narrow_server().await;
    let reading = tokio::spawn(reading);
    let mut sent = Vec::new();
    let mut dropped = 0;
    for n in 0..250 {
        match poll_at_most(1 + n % 20, ws.send(numbered(n))).await {
            Some(written) => {
                written.unwrap();
                sent.push(numbered(n));
            }
            None => dropped += 1,
        }
    }
    within(ws.send("end")).await.unwrap();
    let arrived = within(reading).await.unwrap();
    assert!(dropped > 10 && sent.len() > 10, "{dropped} of 250 dropped");
    // Whole, in order, none twice.
    let mut all = (0..250).map(numbered);
    for payload in &arrived {
        assert!(all.any(|sent| sent == *payload), "{payload:?}");
    }
    // None that was said to be sent is missing.
    let mut arrived = arrived.iter();
    for payload in &sent {
        assert!(arrived.any(|found| found == payload), "{payload:?}");
    }
}

#[tokio::test]
async fn a_flush_that_is_dropped_is_gone_on_with_by_the_next() {
    let (ws, reading) = narrow_server().await;
    within(ws.feed(numbered(5))).await.unwrap();
    assert!(poll_once(pin!(ws.flush())).await.is_none());
    let reading = tokio::spawn(reading);
    within(ws.flush()).await.unwrap();
    assert_eq!(ws.buffered_amount(), 0);
    within(ws.send("end")).await.unwrap();
    assert_eq!(within(reading).await.unwrap(), [numbered(5)]);
}

#[tokio::test]
async fn a_close_that_is_dropped_is_gone_on_with_by_the_next() {
    let (mut client, mut server) = pair(1, &Config::new()).await;
    assert!(
        poll_once(pin!(client.close(CloseCode(4000), "once")))
            .await
            .is_none()
    );
    let again = async {
        for _ in 0..20 {
            let closing = pin!(client.close(CloseCode(4001), "again"));
            if let Some(closed) = poll_once(closing).await {
                return closed;
            }
            tokio::task::yield_now().await;
        }
        client.close(CloseCode(4001), "again").await
    };
    let (closed, received) = within(async { tokio::join!(again, server.recv()) }).await;
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
    let frame = server.close_frame().unwrap();
    assert_eq!((frame.code.0, frame.reason.as_str()), (4000, "once"));
}

#[tokio::test]
async fn a_close_that_is_dropped_is_gone_on_with_by_recv() {
    let (mut client, mut server) = pair(1, &Config::new()).await;
    assert!(
        poll_once(pin!(client.close(CloseCode::NORMAL, "")))
            .await
            .is_none()
    );
    let (one, two) = within(async { tokio::join!(client.recv(), server.recv()) }).await;
    assert_eq!((one.unwrap(), two.unwrap()), (None, None));
}

#[tokio::test]
async fn dropping_a_handshake_drops_its_transport() {
    let (near, mut far) = duplex(4096);
    assert!(
        poll_once(pin!(newswire::accept(near, &Config::new())))
            .await
            .is_none()
    );
    assert_eq!(
        within(far.read_u8()).await.unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );

    let (near, far) = duplex(4096);
    let connector = Connector::new();
    assert!(
        poll_once(pin!(connector.connect_over("ws://localhost/", near)))
            .await
            .is_none()
    );
    let mut peer = Peer::server(far);
    peer.head().await;
    peer.assert_ends().await;
}
