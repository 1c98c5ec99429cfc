//! The closing handshake through the API, in every order.

use crate::support::{
    Peer, close_payload, frame, message, pair, poll_once, serve, serve_echo, sooner_or_later,
    within,
};
use newswire::proto::{Failure, OpCode, ProtocolError, Role};
use newswire::{
    CloseCode, CloseError, CommandError, Config, Connector, RecvError, Route, SendError, Side,
    State, WebSocket,
};
use std::io::ErrorKind;
use std::pin::pin;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// A client of a peer by hand.
async fn client_of_peer(config: Config) -> (WebSocket<DuplexStream>, Peer<DuplexStream>) {
    let (near, far) = duplex(64 * 1024);
    let connector = Connector::new().config(config);
    let (ws, peer) = within(async {
        tokio::join!(
            connector.connect_over("ws://localhost/", near),
            Peer::accept(far)
        )
    })
    .await;
    (ws.unwrap(), peer)
}

#[track_caller]
fn assert_closed(ws: &WebSocket<DuplexStream>, code: u16, reason: &str, by: Side) {
    let frame = ws.close_frame().expect("the peer sent a Close frame");
    assert_eq!((frame.code.0, frame.reason.as_str()), (code, reason));
    assert_eq!(ws.closed_by(), Some(by));
    assert_eq!(ws.state(), State::Closed);
}

#[tokio::test]
async fn a_close_ends_recv_at_the_other_end_with_none_and_tells_why() {
    for client_begins in [true, false] {
        let (client, server) = pair(1024, &Config::new()).await;
        let (mut this, mut other) = if client_begins {
            (client, server)
        } else {
            (server, client)
        };
        let (closed, received) = within(async {
            tokio::join!(this.close(CloseCode(4001), "that is all"), other.recv())
        })
        .await;
        closed.unwrap();
        assert_eq!(received.unwrap(), None);
        assert_closed(&other, 4001, "that is all", Side::Remote);
        // The answer repeats what it answers.
        assert_closed(&this, 4001, "that is all", Side::Local);
        // And so it stays.
        for _ in 0..3 {
            assert_eq!(within(this.recv()).await.unwrap(), None);
            assert_eq!(within(other.recv()).await.unwrap(), None);
        }
        within(this.close(CloseCode::NORMAL, "")).await.unwrap();
    }
}

#[tokio::test]
async fn both_ends_may_close_at_once() {
    let (mut client, mut server) = pair(1024, &Config::new()).await;
    let (one, two) = within(async {
        tokio::join!(
            client.close(CloseCode(3001), "c"),
            server.close(CloseCode(3002), "s")
        )
    })
    .await;
    one.unwrap();
    two.unwrap();
    assert_closed(&client, 3002, "s", Side::Local);
    assert_closed(&server, 3001, "c", Side::Local);
}

#[tokio::test]
async fn a_close_without_a_code_is_no_status_at_the_other_end() {
    let (mut client, mut server) = pair(1024, &Config::new()).await;
    let (closed, received) =
        within(async { tokio::join!(client.close(CloseCode::NO_STATUS, ""), server.recv()) }).await;
    closed.unwrap();
    assert_eq!(received.unwrap(), None);
    assert_closed(&server, 1005, "", Side::Remote);
}

#[tokio::test]
async fn a_close_that_may_not_be_sent_is_refused_and_the_connection_stays_open() {
    let (mut client, mut server) = pair(1024, &Config::new()).await;
    let long = "x".repeat(124);
    for (code, reason, error) in [
        (
            1005,
            "a reason without a code",
            CommandError::CloseCode(1005),
        ),
        (1006, "", CommandError::CloseCode(1006)),
        (0, "", CommandError::CloseCode(0)),
        (2999, "", CommandError::CloseCode(2999)),
        (1000, &long, CommandError::TooLong { len: 124, max: 123 }),
    ] {
        match within(client.close(CloseCode(code), reason)).await {
            Err(CloseError::Command(found)) => assert_eq!(found, error),
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(client.state(), State::Open);
    }
    within(client.send("still here")).await.unwrap();
    assert_eq!(message(&mut server).await, "still here".into());
}

#[tokio::test]
async fn what_was_sent_before_a_close_arrives_before_it() {
    let (mut client, mut server) = pair(64, &Config::new()).await;
    let texts: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    for text in &texts {
        within(client.feed(text.as_str())).await.unwrap();
    }
    let receiving = async {
        let mut received = Vec::new();
        while let Some(message) = server.recv().await.unwrap() {
            received.push(message.as_text().unwrap().to_owned());
        }
        received
    };
    let (closed, received) =
        within(async { tokio::join!(client.close(CloseCode::NORMAL, ""), receiving) }).await;
    closed.unwrap();
    assert_eq!(received, texts);
}

#[tokio::test]
async fn a_sender_that_closes_lets_the_receiver_have_what_still_comes() {
    let (mut ws, mut peer) = client_of_peer(Config::new()).await;
    let sender = ws.sender();
    sender.close(CloseCode::NORMAL, "enough").await.unwrap();
    assert_eq!(ws.state(), State::Closing);
    assert_eq!(
        sender.close(CloseCode::NORMAL, "").await,
        Err(CommandError::Closing)
    );
    assert_eq!(
        peer.next().await,
        Some((OpCode::Close, close_payload(1000, "enough")))
    );
    peer.send(OpCode::Text, "was under way").await;
    assert_eq!(message(&mut ws).await, "was under way".into());
    peer.close(1000).await;
    drop(peer);
    assert_eq!(within(ws.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_can_be_sent_once_closing_and_the_message_is_given_back() {
    let (mut ws, _peer) = client_of_peer(Config::new()).await;
    ws.sender().close(CloseCode::NORMAL, "").await.unwrap();
    for refused in [
        within(ws.send("late")).await.unwrap_err(),
        within(ws.feed("late")).await.unwrap_err(),
    ] {
        assert!(matches!(refused, SendError::Closed(_)), "{refused:?}");
        assert_eq!(refused.into_message(), Some("late".into()));
    }
    assert_eq!(ws.ping(b"late").await, Err(CommandError::Closing));
    // Whoever waits for the end gets it, whichever way it comes.
    drop(_peer);
    let error = within(ws.close(CloseCode::NORMAL, "")).await.unwrap_err();
    assert!(
        matches!(error, CloseError::Recv(RecvError::Io(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_open_connection_that_is_dropped_says_1001() {
    let (ws, mut peer) = client_of_peer(Config::new()).await;
    drop(ws);
    assert_eq!(peer.close_code().await, Some(1001));
    peer.assert_ends().await;

    let (ws, mut peer) = client_of_peer(Config::new()).await;
    let (sender, receiver) = ws.split();
    drop(receiver);
    sender.send("one half is left").await.unwrap();
    assert_eq!(peer.text().await, "one half is left");
    drop(sender);
    assert_eq!(peer.close_code().await, Some(1001));
    peer.assert_ends().await;
}

#[tokio::test]
async fn a_connection_that_ends_without_a_close_is_an_error_once_then_none() {
    for bytes in [&b""[..], &frame(Role::Server, OpCode::Text, b"half")[..4]] {
        let (mut ws, mut peer) = client_of_peer(Config::new()).await;
        peer.raw(bytes).await;
        drop(peer);
        match within(ws.recv()).await {
            Err(RecvError::Io(error)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            other => panic!("{other:?}"),
        }
        assert_eq!(within(ws.recv()).await.unwrap(), None);
        assert_eq!(within(ws.recv()).await.unwrap(), None);
        within(ws.close(CloseCode::NORMAL, "")).await.unwrap();
        assert_eq!((ws.close_frame(), ws.state()), (None, State::Closed));
    }
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_told_and_so_is_the_user_once() {
    let (mut ws, mut peer) = client_of_peer(Config::new()).await;
    peer.send(OpCode::Text, "before").await;
    peer.send(OpCode::Text, b"\xff").await;
    assert_eq!(message(&mut ws).await, "before".into());
    let told = async {
        assert_eq!(peer.close_code().await, Some(1007));
        drop(peer);
    };
    let (received, ()) = within(async { tokio::join!(ws.recv(), told) }).await;
    match received {
        Err(RecvError::Protocol(error)) => assert_eq!(error, ProtocolError::InvalidUtf8),
        other => panic!("{other:?}"),
    }
    assert_eq!(within(ws.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn the_server_ends_the_transport_first() {
    let server = serve_echo().await;
    let mut peer = Peer::connect(server.addr, "/echo").await;
    peer.close(1000).await;
    assert_eq!(peer.close_code().await, Some(1000));
    peer.assert_ends().await;

    let (mut ws, mut peer) = client_of_peer(Config::new()).await;
    peer.close(1000).await;
    let mut ending = pin!(ws.recv());
    assert!(poll_once(ending.as_mut()).await.is_none());
    assert_eq!(peer.close_code().await, Some(1000));
    assert!(poll_once(ending.as_mut()).await.is_none());
    drop(peer);
    assert_eq!(within(ending).await.unwrap(), None);
}

#[tokio::test]
async fn a_client_gives_up_on_a_peer_that_does_not_answer_its_close() {
    tokio::time::pause();
    let (mut ws, peer) = client_of_peer(Config::new()).await;
    let closed = sooner_or_later(ws.close(CloseCode::NORMAL, "")).await;
    match closed.unwrap_err() {
        CloseError::Recv(RecvError::Timeout(failure)) => {
            assert_eq!(failure, Failure::CloseTimeout);
        }
        other => panic!("{other:?}"),
    }
    drop(peer);
}

/// Tells how its connection ended.
fn observed(seen: mpsc::Sender<(Option<u16>, Option<Side>)>) -> Route {
    Route::new(move |mut ws: WebSocket| {
        let seen = seen.clone();
        async move {
            while ws.recv().await?.is_some() {}
            let code = ws.close_frame().map(|frame| frame.code.0);
            seen.send((code, ws.closed_by())).await?;
            Ok::<_, newswire::Error>(())
        }
    })
}

#[tokio::test]
async fn a_handler_sees_who_closed_and_why() {
    let (seen, mut observations) = mpsc::channel(1);
    let server = serve(|server| server.route("/", observed(seen))).await;
    let mut peer = Peer::connect(server.addr, "/").await;
    peer.send(OpCode::Close, close_payload(3000, "done")).await;
    assert_eq!(peer.close_code().await, Some(3000));
    peer.assert_ends().await;
    let observed = within(observations.recv()).await;
    assert_eq!(observed, Some((Some(3000), Some(Side::Remote))));
}

#[tokio::test]
async fn a_handler_may_close_and_wait_for_the_end_itself() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            ws.send("bye").await?;
            ws.close(CloseCode(4000), "of my own").await?;
            Ok::<_, newswire::Error>(())
        })
    });
    let server = server.await;
    let mut ws = within(newswire::connect(&server.url("/"))).await.unwrap();
    assert_eq!(message(&mut ws).await, "bye".into());
    assert_eq!(within(ws.recv()).await.unwrap(), None);
    let frame = ws.close_frame().unwrap();
    assert_eq!((frame.code.0, frame.reason.as_str()), (4000, "of my own"));
}
