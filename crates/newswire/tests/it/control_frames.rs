//! Pings and pongs that somebody wants to see, and pongs that nobody has asked for.

use crate::support::{Peer, pair, serve, sooner_or_later, within};
use newswire::proto::OpCode;
use newswire::{CloseCode, CommandError, Config, Connector, ControlFrame, WebSocket};
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::sleep;

async fn client() -> (WebSocket<DuplexStream>, Peer<DuplexStream>) {
    let (near, far) = duplex(4096);
    let connector = Connector::new();
    let (ws, peer) = tokio::join!(
        connector.connect_over("ws://localhost/", near),
        Peer::accept(far)
    );
    (ws.unwrap(), peer)
}

fn ping(payload: &'static str) -> ControlFrame {
    ControlFrame::Ping(payload.into())
}

fn pong(payload: &'static str, millis: Option<u64>) -> ControlFrame {
    ControlFrame::Pong {
        payload: payload.into(),
        round_trip: millis.map(Duration::from_millis),
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_message_is_there_with_it_and_in_order() {
    let (mut ws, mut peer) = client().await;
    let mut frames = ws.control_frames();
    assert_eq!(frames.try_recv(), None);
    for payload in [b"one", b"two", b"two"] {
        ws.ping(payload).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    peer.send(OpCode::Ping, "theirs").await;
    peer.send(OpCode::Pong, "two").await;
    // A ping that was skipped is not answered later.
    peer.send(OpCode::Pong, "one").await;
    peer.send(OpCode::Pong, "two").await;
    peer.send(OpCode::Pong, "unasked").await;
    peer.send(OpCode::Text, "a message").await;
    peer.send(OpCode::Ping, "behind it").await;
    let message = sooner_or_later(ws.recv()).await.unwrap();
    assert_eq!(message, Some("a message".into()));
    for expected in [
        ping("theirs"),
        pong("two", Some(20)),
        pong("one", None),
        pong("two", Some(10)),
        pong("unasked", None),
    ] {
        assert_eq!(frames.try_recv(), Some(expected));
    }
    assert_eq!(frames.try_recv(), None);
    // They were answered as ever.
    for payload in [b"one", b"two", b"two"] {
        assert_eq!(peer.ping().await, payload);
    }
    assert_eq!(ws.latency(), Some(Duration::from_millis(10)));
    peer.close(1000).await;
    assert_eq!(sooner_or_later(ws.recv()).await.unwrap(), None);
    assert_eq!(peer.next().await, Some((OpCode::Pong, b"theirs".to_vec())));
    assert_eq!(frames.recv().await, Some(ping("behind it")));
    // The connection has ended, though somebody still holds it.
    assert_eq!(frames.recv().await, None);
    assert_eq!(ws.control_frames().recv().await, None);
}

#[tokio::test]
async fn they_come_while_others_wait_for_them_and_for_messages() {
    let (mut client, mut server) = pair(4096, &Config::new()).await;
    let mut frames = client.control_frames();
    server.ping(b"hello").await.unwrap();
    server.pong(b"heartbeat").await.unwrap();
    let watching = async {
        assert_eq!(frames.recv().await, Some(ping("hello")));
        assert_eq!(frames.recv().await, Some(pong("heartbeat", None)));
    };
    within(async {
        tokio::select! {
            () = watching => {}
            ended = client.recv() => panic!("{ended:?}"),
            ended = server.recv() => panic!("{ended:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn who_does_not_look_loses_the_last_ones_and_nothing_is_held_up() {
    let (mut ws, mut peer) = client().await;
    let mut frames = ws.control_frames();
    let reading = async {
        for n in 0..40_u8 {
            peer.send(OpCode::Pong, [n]).await;
        }
        peer.send(OpCode::Text, "go on").await;
    };
    let (message, ()) = within(async { tokio::join!(ws.recv(), reading) }).await;
    assert_eq!(message.unwrap(), Some("go on".into()));
    let mut kept = 0..32_u8;
    while let Some(ControlFrame::Pong { payload, .. }) = frames.try_recv() {
        assert_eq!(payload[..], [kept.next().unwrap()]);
    }
    assert_eq!(kept.next(), None);
    // Who asks last is shown them; the others learn that.
    let mut newer = ws.control_frames();
    assert_eq!(frames.recv().await, None);
    peer.send(OpCode::Ping, "now").await;
    peer.send(OpCode::Text, "go on").await;
    within(ws.recv()).await.unwrap();
    assert_eq!(newer.try_recv(), Some(ping("now")));
    // That nobody looks any more is no reason to fail.
    drop(newer);
    peer.send(OpCode::Ping, "again").await;
    peer.send(OpCode::Text, "go on").await;
    assert_eq!(within(ws.recv()).await.unwrap(), Some("go on".into()));
}

#[tokio::test]
async fn a_servers_connection_shows_them_too_while_its_handler_waits_for_them() {
    let (seen, mut all) = mpsc::channel(4);
    let server = serve(|server| {
        server.route("/", move |ws: WebSocket| {
            let seen = seen.clone();
            async move {
                let mut frames = ws.control_frames();
                loop {
                    let frame = frames.recv().await;
                    let is_end = frame.is_none();
                    seen.send(frame).await?;
                    if is_end {
                        return Ok::<(), newswire::Error>(());
                    }
                }
            }
        })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    peer.send(OpCode::Ping, "hello").await;
    assert_eq!(within(all.recv()).await, Some(Some(ping("hello"))));
    assert_eq!(peer.next().await, Some((OpCode::Pong, b"hello".to_vec())));
    peer.close(1000).await;
    assert_eq!(within(peer.close_code()).await, Some(1000));
    // The handler was told of the end.
    assert_eq!(within(all.recv()).await, Some(None));
}

#[tokio::test]
async fn a_pong_can_be_sent_that_answers_nothing() {
    let (mut ws, mut peer) = client().await;
    ws.pong(b"alive").await.unwrap();
    ws.sender().pong(b"still").await.unwrap();
    assert_eq!(peer.next().await, Some((OpCode::Pong, b"alive".to_vec())));
    assert_eq!(peer.next().await, Some((OpCode::Pong, b"still".to_vec())));
    let too_long = ws.pong(&[0; 126]).await.unwrap_err();
    assert_eq!(too_long, CommandError::TooLong { len: 126, max: 125 });
    let sender = ws.sender();
    sender.close(CloseCode::NORMAL, "done").await.unwrap();
    assert_eq!(ws.pong(b"").await, Err(CommandError::Closing));
    assert_eq!(sender.close_frame(), None);
    peer.close(1000).await;
    drop(peer);
    assert_eq!(within(ws.recv()).await.unwrap(), None);
    // A sender that is left knows how it ended.
    drop(ws);
    assert_eq!(sender.close_frame().unwrap().code, CloseCode::NORMAL);
    assert_eq!(sender.closed_by(), Some(newswire::Side::Local));
}
