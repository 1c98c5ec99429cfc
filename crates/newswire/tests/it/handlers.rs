//! What a server does for its handlers: what they send leaves together and at once, control
//! frames are answered and ends noticed whatever they wait for, and their end closes.

use crate::support::{Peer, assert_echoes, echo, message, poll_once, serve, within};
use newswire::proto::OpCode;
use newswire::{CloseCode, Config, SendError, WebSocket};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

/// A handler's result when it has nothing more to say.
const DONE: newswire::Result = Ok(());

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn what_a_handler_sends_in_one_turn_leaves_in_one_write() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            ws.recv().await?;
            for n in 0..1000 {
                ws.send(format!("{n:04}")).await?;
            }
            pending::<newswire::Result>().await
        })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    peer.send(OpCode::Text, "go").await;
    let mut bytes = vec![0; 16 * 1024];
    let read = within(peer.io.read(&mut bytes)).await.unwrap();
    assert_eq!(read, 1000 * 6, "a frame is two bytes and four");
}

#[tokio::test]
async fn what_a_handler_has_sent_does_not_wait_for_its_next_call() {
    let server = serve(|server| {
        server
            .route("/first", |ws: WebSocket| async move {
                ws.send("at once").await?;
                pending::<newswire::Result>().await
            })
            .route("/fed", |ws: WebSocket| async move {
                ws.feed("at once").await?;
                pending::<newswire::Result>().await
            })
            .route("/answer", |mut ws: WebSocket| async move {
                ws.recv().await?;
                ws.send("at once").await?;
                tokio::time::sleep(LONG).await;
                DONE
            })
            .route("/timer", |ws: WebSocket| async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ws.send("at once").await?;
                pending::<newswire::Result>().await
            })
    });
    let server = server.await;
    for path in ["/first", "/fed", "/answer", "/timer"] {
        let mut peer = Peer::connect(server.addr, path).await;
        peer.send(OpCode::Text, "go").await;
        assert_eq!(peer.text().await, "at once", "{path}");
    }
}

/// Sends every few milliseconds and never receives; tells how that ended.
async fn push(ws: WebSocket, ended: mpsc::Sender<SendError>) {
    loop {
        if let Err(error) = ws.send("tick").await {
            return ended.send(error).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_handler_that_never_receives_still_answers_pings_and_sees_the_end() {
    let (ended, mut end) = mpsc::channel(1);
    let server = serve(|server| server.route("/", move |ws| push(ws, ended.clone())));
    let mut peer = Peer::connect(server.await.addr, "/").await;
    for payload in ["one", "two"] {
        peer.send(OpCode::Ping, payload).await;
        loop {
            match peer.next().await.unwrap() {
                (OpCode::Pong, echoed) => break assert_eq!(echoed, payload.as_bytes()),
                other => assert_eq!(other, (OpCode::Text, b"tick".to_vec())),
            }
        }
    }
    peer.close(1000).await;
    assert_eq!(peer.close_code().await, Some(1000));
    peer.assert_ends().await;
    let error = within(end.recv()).await.unwrap();
    assert!(matches!(error, SendError::Closed(_)), "{error:?}");
}

/// That a ping is answered though the handler at `path` waits for something else, and then
/// that a close is.
async fn assert_answers(server: &crate::support::Served, path: &str, first: Option<&str>) {
    let mut peer = Peer::connect(server.addr, path).await;
    if let Some(text) = first {
        peer.send(OpCode::Text, text).await;
        assert_eq!(peer.text().await, "got it");
    }
    peer.send(OpCode::Ping, "there?").await;
    assert_eq!(peer.next().await, Some((OpCode::Pong, b"there?".to_vec())));
    peer.close(1000).await;
    assert_eq!(peer.close_code().await, Some(1000));
    peer.assert_ends().await;
}

#[tokio::test]
async fn a_ping_is_answered_while_a_handler_waits_for_something_else() {
    let server = serve(|server| {
        server.route("/", |ws: WebSocket| async move {
            pending::<()>().await;
            drop(ws);
        })
    });
    assert_answers(&server.await, "/", None).await;
}

#[tokio::test]
async fn a_ping_is_answered_while_a_handler_works_on_what_it_received() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            ws.recv().await?;
            ws.send("got it").await?;
            pending::<newswire::Result>().await
        })
    });
    assert_answers(&server.await, "/", Some("work on this")).await;
}

#[tokio::test]
async fn a_ping_is_answered_after_a_handler_took_a_message_that_was_there_already() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            // Long enough for the message to have been read before.
            tokio::time::sleep(Duration::from_millis(50)).await;
            ws.recv().await?;
            ws.send("got it").await?;
            pending::<newswire::Result>().await
        })
    });
    assert_answers(&server.await, "/", Some("wait for me")).await;
}

#[tokio::test]
async fn a_ping_is_answered_after_a_handler_gave_up_waiting_for_a_message() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            assert!(poll_once(pin!(ws.recv())).await.is_none());
            pending::<()>().await;
        })
    });
    assert_answers(&server.await, "/", None).await;
}

/// Polls as if for a task that is gone; whether it would wait.
fn poll_for_nobody<F: Future>(future: Pin<&mut F>) -> bool {
    let mut nobody = Context::from_waker(Waker::noop());
    future.poll(&mut nobody).is_pending()
}

#[tokio::test]
async fn a_ping_is_answered_after_a_handler_gave_up_on_a_recv_that_had_a_waker_of_its_own() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            assert!(poll_for_nobody(pin!(ws.recv())));
            pending::<()>().await;
        })
    });
    assert_answers(&server.await, "/", None).await;
}

#[tokio::test]
async fn a_ping_is_answered_after_another_task_took_a_message() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            tokio::spawn(async move {
                ws.recv().await?;
                ws.send("got it").await?;
                pending::<newswire::Result>().await
            });
            pending::<()>().await;
        })
    });
    assert_answers(&server.await, "/", Some("to another task")).await;
}

#[tokio::test]
async fn the_end_of_a_handler_closes_with_what_came_of_it() {
    let server = serve(|server| {
        server
            .route("/echo", echo)
            .route("/ok", |ws: WebSocket| async move {
                ws.send("last words").await?;
                DONE
            })
            .route("/nothing", |_: WebSocket| async {})
            .route("/error", |_: WebSocket| async { Err::<(), _>("no") })
            .route("/panic", |ws: WebSocket| async move {
                ws.send("last words").await?;
                if ws.buffered_amount() > 0 {
                    panic!("a test's handler panics, as it should");
                }
                DONE
            })
    });
    let server = server.await;
    let mut bystander = within(newswire::connect(&server.url("/echo")))
        .await
        .unwrap();
    for (path, code) in [
        ("/ok", 1000),
        ("/nothing", 1000),
        ("/error", 1011),
        ("/panic", 1011),
    ] {
        let mut peer = Peer::connect(server.addr, path).await;
        assert_eq!(peer.close_code().await, Some(code), "{path}");
        peer.close(code).await;
        peer.assert_ends().await;
    }
    within(bystander.send("all quiet here")).await.unwrap();
    assert_eq!(message(&mut bystander).await, "all quiet here".into());
    assert_echoes(server.addr).await;
}

#[tokio::test]
async fn a_handler_that_panics_before_it_has_a_future_closes_with_1011_too() {
    fn panics(_: WebSocket) -> std::future::Ready<()> {
        panic!("a test's handler panics, as it should")
    }
    let server = serve(|server| server.route("/", panics)).await;
    let mut peer = Peer::connect(server.addr, "/").await;
    assert_eq!(peer.close_code().await, Some(1011));
}

#[tokio::test]
async fn what_the_peer_says_after_a_handlers_end_does_not_keep_its_close_from_arriving() {
    let server = serve(|server| server.route("/", |_: WebSocket| async {})).await;
    let mut peer = Peer::connect(server.addr, "/").await;
    for _ in 0..100 {
        peer.send(OpCode::Binary, [0; 10_000]).await;
    }
    assert_eq!(peer.close_code().await, Some(1000));
    peer.close(1000).await;
    peer.assert_ends().await;
}

#[tokio::test]
async fn a_receiver_may_move_to_another_task() {
    let server = serve(|server| {
        server.route("/", |ws: WebSocket| async move {
            let (sender, mut receiver) = ws.split();
            let receiving = tokio::spawn(async move {
                while let Some(message) = receiver.recv().await? {
                    sender.send(message).await?;
                }
                DONE
            });
            receiving.await?
        })
    });
    let server = server.await;
    let mut ws = within(newswire::connect(&server.url("/"))).await.unwrap();
    for n in 0..100 {
        within(ws.send(n.to_string())).await.unwrap();
        assert_eq!(message(&mut ws).await, n.to_string().into());
    }
    within(ws.close(CloseCode::NORMAL, "")).await.unwrap();
}

#[tokio::test]
async fn a_sender_may_move_to_another_task() {
    let server = serve(|server| {
        server.route("/", |mut ws: WebSocket| async move {
            let sender = ws.sender();
            tokio::spawn(async move {
                for n in 0..100 {
                    sender.send(n.to_string()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            while ws.recv().await?.is_some() {}
            DONE
        })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    for n in 0..100 {
        assert_eq!(peer.text().await, n.to_string());
    }
}

#[tokio::test]
async fn halves_that_outlive_the_handler_see_the_end() {
    let (ended, mut ends) = mpsc::channel(1);
    let server = serve(|server| {
        server.route("/", move |ws: WebSocket| {
            let ended = ended.clone();
            async move {
                let (sender, mut receiver) = ws.split();
                tokio::spawn(async move {
                    let received = receiver.recv().await;
                    let sent = sender.send("too late").await;
                    ended.send((received.unwrap(), sent.unwrap_err())).await
                });
                tokio::task::yield_now().await;
            }
        })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    assert_eq!(peer.close_code().await, Some(1000));
    peer.close(1000).await;
    peer.assert_ends().await;
    let (received, sent) = within(ends.recv()).await.unwrap();
    assert_eq!(received, None);
    assert_eq!(sent.into_message(), Some("too late".into()));
}

#[tokio::test]
async fn a_handler_that_drops_its_websocket_and_goes_on_has_closed_with_1001() {
    let server = serve(|server| {
        server.route("/", |ws: WebSocket| async move {
            ws.send("last words").await?;
            drop(ws);
            pending::<newswire::Result>().await
        })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    assert_eq!(peer.text().await, "last words");
    assert_eq!(peer.close_code().await, Some(1001));
    peer.close(1001).await;
    peer.assert_ends().await;
}

#[tokio::test]
async fn a_handler_waits_for_room_and_goes_on_when_there_is_some() {
    let config = Config::new().max_buffered(1000);
    let server = serve(|server| {
        server
            .config(config)
            .route("/", |ws: WebSocket| async move {
                for n in 0..10_000_u32 {
                    ws.send(n.to_be_bytes().repeat(25)).await?;
                    assert!(ws.buffered_amount() < 1000 + 102);
                }
                DONE
            })
    });
    let mut peer = Peer::connect(server.await.addr, "/").await;
    for n in 0..10_000_u32 {
        let (opcode, payload) = peer.next().await.unwrap();
        assert_eq!(opcode, OpCode::Binary);
        assert_eq!(payload, n.to_be_bytes().repeat(25));
    }
    assert_eq!(peer.close_code().await, Some(1000));
}
