//! The deadlines of an open connection: silence, a peer that does not read, a frame that
//! trickles, a close that is not answered. Pipes go by the paused clock, sockets by short times.

use crate::support::{Peer, frame, pair, serve, sooner_or_later, within};
use newswire::proto::{Failure, OpCode, Role};
use newswire::{Config, Connector, RecvError, SendError, WebSocket};
use std::future::pending;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// By the paused clock.
const LIMIT: Duration = Duration::from_secs(6);
const A_MOMENT: Duration = Duration::from_millis(300);

fn idle(limit: Duration) -> Config {
    Config::new().idle_timeout(Some(limit))
}

/// A client of a peer by hand.
async fn client(config: Config, room: usize) -> (WebSocket<DuplexStream>, Peer<DuplexStream>) {
    let (near, far) = duplex(room);
    let connector = Connector::new().config(config);
    let (ws, peer) = tokio::join!(
        connector.connect_over("ws://localhost/", near),
        Peer::accept(far)
    );
    (ws.unwrap(), peer)
}

#[track_caller]
fn assert_timeout<T: std::fmt::Debug>(ended: Result<T, RecvError>, expected: Failure) {
    match ended {
        Err(RecvError::Timeout(failure)) => assert_eq!(failure, expected),
        other => panic!("expected {expected:?}, not {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_at_half_the_idle_timeout_and_cut_after_it() {
    let (mut ws, mut peer) = client(idle(LIMIT), 4096).await;
    let start = Instant::now();
    let watching = async {
        peer.ping().await;
        assert!(start.elapsed() >= LIMIT / 2);
        peer.assert_ends().await;
    };
    let (received, ()) = {
        let receiving = async { (ws.recv().await, start.elapsed()) };
        sooner_or_later(async { tokio::join!(receiving, watching) }).await
    };
    let (ended, after) = received;
    assert_timeout(ended, Failure::IdleTimeout);
    assert!((LIMIT..=LIMIT * 3 / 2).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_may_stay_silent_for_ever() {
    let (mut client, mut server) = pair(4096, &idle(LIMIT)).await;
    let talking = async { tokio::join!(client.recv(), server.recv()) };
    let hours = Duration::from_secs(3 * 3600);
    let ended = tokio::time::timeout(hours, talking).await;
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_an_idle_timeout_is_neither_pinged_nor_cut() {
    let (mut ws, mut peer) = client(Config::new().idle_timeout(None), 4096).await;
    let hours = Duration::from_secs(3 * 3600);
    let ended = tokio::time::timeout(hours, ws.recv()).await;
    assert!(ended.is_err(), "{ended:?}");
    peer.send(OpCode::Ping, "me first").await;
    let (_, first) = tokio::join!(tokio::time::timeout(LIMIT, ws.recv()), peer.next());
    assert_eq!(first, Some((OpCode::Pong, b"me first".to_vec())));
}

#[tokio::test(start_paused = true)]
async fn small_messages_now_and_then_keep_a_connection() {
    let (mut ws, mut peer) = client(idle(LIMIT), 4096).await;
    let talking = async {
        for _ in 0..100 {
            sleep(LIMIT * 2 / 5).await;
            peer.send(OpCode::Binary, [1]).await;
        }
    };
    let receiving = async {
        for _ in 0..100 {
            ws.recv().await.unwrap().expect("a message");
        }
    };
    sooner_or_later(async { tokio::join!(talking, receiving) }).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_trickles_a_frame_is_cut_as_if_it_were_silent() {
    let (mut ws, mut peer) = client(idle(LIMIT), 4096).await;
    let start = Instant::now();
    let trickling = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        for byte in frame(Role::Server, OpCode::Binary, &[7; 60_000]) {
            sleep(LIMIT / 20).await;
            if peer.io.write_all(&[byte]).await.is_err() {
                return true;
            }
        }
        false
    });
    assert_timeout(sooner_or_later(ws.recv()).await, Failure::IdleTimeout);
    assert!(start.elapsed() <= LIMIT * 2, "{:?}", start.elapsed());
    assert!(trickling.await.unwrap(), "the peer is hung up on");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_arrives_slowly_but_steadily_is_received() {
    let (mut ws, mut peer) = client(idle(LIMIT), 4096).await;
    let sending = async {
        for piece in frame(Role::Server, OpCode::Binary, &[7; 60_000]).chunks(1000) {
            sleep(LIMIT / 5).await;
            peer.raw(piece).await;
        }
    };
    let (received, ()) = sooner_or_later(async { tokio::join!(ws.recv(), sending) }).await;
    assert_eq!(received.unwrap(), Some(vec![7; 60_000].into()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_but_does_not_read_is_cut() {
    let (mut ws, mut peer) = client(idle(LIMIT), 100).await;
    let sender = ws.sender();
    let talking = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let pong = frame(Role::Server, OpCode::Pong, b"");
        while peer.io.write_all(&pong).await.is_ok() {
            sleep(LIMIT / 10).await;
        }
    });
    let start = Instant::now();
    let both = async { tokio::join!(ws.recv(), sender.send(vec![1; 10_000])) };
    let (received, sent) = sooner_or_later(both).await;
    assert_timeout(received, Failure::WriteTimeout);
    let after = start.elapsed();
    assert!((LIMIT / 2..=LIMIT * 2).contains(&after), "{after:?}");
    let error = sent.unwrap_err();
    assert!(matches!(error, SendError::Io(_)), "{error:?}");
    talking.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_but_steadily_is_not_cut() {
    let (mut ws, mut peer) = client(idle(LIMIT), 100).await;
    let sender = ws.sender();
    let reading = async {
        use tokio::io::AsyncReadExt;
        let mut left = 10_000 + 8;
        while left > 0 {
            sleep(LIMIT / 5).await;
            left -= peer.io.read(&mut [0; 100]).await.unwrap();
            peer.send(OpCode::Pong, "").await;
        }
    };
    let sending = async { tokio::join!(sender.send(vec![1; 10_000]), reading) };
    tokio::select! {
        (sent, ()) = sooner_or_later(sending) => sent.unwrap(),
        received = ws.recv() => panic!("{received:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_a_close_but_does_not_hang_up_is_left_after_the_close_timeout() {
    let config = Config::new().close_timeout(LIMIT);
    let (mut ws, mut peer) = client(config, 4096).await;
    let start = Instant::now();
    let answering = async {
        assert_eq!(peer.close_code().await, Some(1000));
        peer.close(1000).await;
    };
    let closing = async { tokio::join!(ws.close(newswire::CloseCode::NORMAL, ""), answering) };
    let (closed, ()) = sooner_or_later(closing).await;
    // Both ends have said what there was to say: that is no error.
    closed.unwrap();
    assert!((LIMIT..LIMIT * 2).contains(&start.elapsed()));
}

/// The error of the one handler of a server that was reached with `peer`.
type Ends = mpsc::Receiver<Result<(), newswire::Error>>;

/// A peer of a handler, whose end is told.
async fn handled<F>(
    config: Config,
    handle: impl Fn(WebSocket) -> F + Send + Sync + 'static,
) -> (Peer<tokio::net::TcpStream>, Ends)
where
    F: Future<Output = newswire::Result> + Send + 'static,
{
    let (ended, ends) = mpsc::channel(1);
    let server = serve(|server| {
        server.config(config).route("/", move |ws| {
            let (ended, handling) = (ended.clone(), handle(ws));
            async move { ended.send(handling.await).await.unwrap() }
        })
    });
    (Peer::connect(server.await.addr, "/").await, ends)
}

/// Sends every few milliseconds and never receives.
async fn push(ws: WebSocket) -> newswire::Result {
    loop {
        ws.send("tick").await?;
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_handler_that_only_pushes_sees_the_end_of_a_peer_that_has_vanished() {
    let (mut peer, mut ends) = handled(idle(A_MOMENT), push).await;
    // It reads, as a kernel does whose process hangs, but it never answers.
    let reading = async { while peer.next().await.is_some() {} };
    let (ended, ()) = within(async { tokio::join!(ends.recv(), reading) }).await;
    let error = ended.unwrap().unwrap_err();
    let error = error.downcast::<SendError>().unwrap();
    assert!(matches!(*error, SendError::Closed(_)), "{error:?}");
}

#[tokio::test]
async fn a_handler_that_only_pushes_keeps_a_peer_that_answers_pings() {
    // Long enough for a machine that is busy to answer in.
    let limit = Duration::from_secs(1);
    let (mut peer, mut ends) = handled(idle(limit), push).await;
    let answering = async {
        let mut pings = 0;
        while pings < 3 {
            match peer.next().await.expect("the connection goes on") {
                (OpCode::Ping, payload) => {
                    pings += 1;
                    peer.send(OpCode::Pong, payload).await;
                }
                other => assert_eq!(other, (OpCode::Text, b"tick".to_vec())),
            }
        }
    };
    within(answering).await;
    assert!(ends.try_recv().is_err(), "the handler goes on");
}

#[tokio::test]
async fn a_handler_that_waits_for_something_else_does_not_keep_a_peer_that_has_vanished() {
    let (mut peer, _ends) = handled(idle(A_MOMENT), async |ws| {
        pending::<()>().await;
        drop(ws);
        Ok(())
    })
    .await;
    peer.ping().await;
    peer.assert_ends().await;
}

#[tokio::test]
async fn a_handler_that_receives_is_told_that_its_peer_has_vanished() {
    let (mut peer, mut ends) = handled(idle(A_MOMENT), crate::support::echo).await;
    let error = within(ends.recv()).await.unwrap().unwrap_err();
    assert_timeout::<()>(
        Err(*error.downcast::<RecvError>().unwrap()),
        Failure::IdleTimeout,
    );
    peer.ping().await;
    peer.assert_ends().await;
}

#[tokio::test]
async fn a_handler_whose_peer_does_not_read_is_told_so() {
    let (peer, mut ends) = handled(idle(A_MOMENT), async |ws| {
        // More than any socket takes.
        for _ in 0..1000 {
            ws.send(vec![0; 100_000]).await?;
        }
        Ok(())
    })
    .await;
    let error = within(ends.recv()).await.unwrap().unwrap_err();
    assert!(error.is::<SendError>(), "{error:?}");
    drop(peer);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_close_of_a_handlers_end_is_cut() {
    let config = Config::new().close_timeout(A_MOMENT);
    let (mut peer, _ends) = handled(config, async |ws| Ok(ws.send("bye").await?)).await;
    let start = Instant::now();
    assert_eq!(peer.text().await, "bye");
    assert_eq!(peer.close_code().await, Some(1000));
    // What it goes on to say does not prolong its time.
    let talking = async {
        use tokio::io::AsyncWriteExt;
        let text = frame(Role::Client, OpCode::Text, b"and another thing");
        while peer.io.write_all(&text).await.is_ok() {
            sleep(A_MOMENT / 30).await;
        }
    };
    within(talking).await;
    // From the handler's end, which was before the peer could know of it.
    assert!(start.elapsed() >= A_MOMENT / 2);
}

#[tokio::test]
async fn a_close_that_cannot_be_written_does_not_keep_the_connection() {
    let config = Config::new()
        .close_timeout(A_MOMENT)
        .idle_timeout(None)
        .max_buffered(100 << 20);
    let (mut peer, mut ends) = handled(config, async |ws| {
        // More than any socket takes.
        ws.send(vec![0; 50 << 20]).await?;
        Ok(())
    })
    .await;
    within(ends.recv()).await.unwrap().unwrap();
    sleep(A_MOMENT * 2).await;
    let reading = async {
        use tokio::io::AsyncReadExt;
        let mut read = 0;
        let mut scratch = vec![0; 1 << 20];
        while let Ok(len @ 1..) = peer.io.read(&mut scratch).await {
            read += len;
        }
        read
    };
    assert!(within(reading).await < 50 << 20, "it was cut in the middle");
}

#[tokio::test]
async fn the_longest_timeouts_that_can_be_written_are_only_long() {
    let config = Config::new()
        .idle_timeout(Some(Duration::MAX))
        .close_timeout(Duration::MAX)
        .handshake_timeout(Duration::MAX);
    let server = serve(|it| {
        it.config(config.clone())
            .route("/echo", crate::support::echo)
    })
    .await;
    let connector = Connector::new().config(config);
    let url = server.url("/echo");
    let mut ws = within(connector.connect(&url)).await.unwrap();
    within(ws.send("still here")).await.unwrap();
    let echoed = within(ws.recv()).await.unwrap();
    assert_eq!(echoed, Some("still here".into()));
    let stopping = server.shut_down();
    assert_eq!(within(ws.recv()).await.unwrap(), None);
    let shutdown = within(stopping).await.unwrap();
    assert_eq!((shutdown.open, shutdown.cut), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_round_trip_of_an_automatic_ping_is_the_latency() {
    let (mut ws, mut peer) = client(idle(LIMIT), 4096).await;
    let sender = ws.sender();
    assert_eq!(ws.latency(), None);
    let answering = async {
        for round_trip in [250, 70] {
            let payload = peer.ping().await;
            // One that nobody has asked for, as a heartbeat, tells nothing.
            peer.send(OpCode::Pong, "").await;
            sleep(Duration::from_millis(round_trip)).await;
            peer.send(OpCode::Pong, &payload).await;
            // An answer counts once.
            sleep(Duration::from_millis(500)).await;
            assert_eq!(sender.latency(), Some(Duration::from_millis(round_trip)));
            peer.send(OpCode::Pong, payload).await;
        }
        sleep(Duration::from_millis(500)).await;
        assert_eq!(sender.latency(), Some(Duration::from_millis(70)));
        peer.close(1000).await;
        assert_eq!(peer.close_code().await, Some(1000));
        drop(peer);
    };
    let (received, ()) = sooner_or_later(async { tokio::join!(ws.recv(), answering) }).await;
    assert_eq!(received.unwrap(), None);
    assert_eq!(ws.latency(), Some(Duration::from_millis(70)));
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_the_users_is_timed_too() {
    let (mut ws, mut peer) = client(Config::new(), 4096).await;
    ws.ping(b"first").await.unwrap();
    ws.ping(b"second").await.unwrap();
    let answering = async {
        assert_eq!(peer.ping().await, b"first");
        assert_eq!(peer.ping().await, b"second");
        sleep(Duration::from_millis(30)).await;
        // The last one counts.
        peer.send(OpCode::Pong, "first").await;
        sleep(Duration::from_millis(30)).await;
        peer.send(OpCode::Pong, "second").await;
        peer.send(OpCode::Text, "go on").await;
    };
    let (received, ()) = sooner_or_later(async { tokio::join!(ws.recv(), answering) }).await;
    assert_eq!(received.unwrap(), Some("go on".into()));
    assert_eq!(ws.latency(), Some(Duration::from_millis(60)));
}

#[tokio::test]
async fn a_server_times_its_pings_too() {
    let (latency, mut latencies) = mpsc::channel(1);
    let (mut peer, _ends) = handled(idle(A_MOMENT), move |ws| {
        let latency = latency.clone();
        async move {
            while ws.latency().is_none() {
                sleep(Duration::from_millis(5)).await;
            }
            latency.send(ws.latency()).await?;
            Ok(())
        }
    })
    .await;
    let payload = peer.ping().await;
    sleep(Duration::from_millis(20)).await;
    peer.send(OpCode::Pong, payload).await;
    let latency = within(latencies.recv()).await.unwrap().unwrap();
    assert!(latency >= Duration::from_millis(20), "{latency:?}");
    assert!(latency < crate::support::PATIENCE, "{latency:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_at_the_write_timeout_though_it_may_be_idle_for_long() {
    for idle_timeout in [None, Some(Duration::from_secs(3600))] {
        let config = Config::new()
            .idle_timeout(idle_timeout)
            .write_timeout(Some(A_MOMENT));
        let start = Instant::now();
        let (peer, mut ends) = handled(config, async |ws| {
            // More than any socket takes.
            for _ in 0..1000 {
                ws.send(vec![0; 100_000]).await?;
            }
            Ok(())
        })
        .await;
        let error = within(ends.recv()).await.unwrap().unwrap_err();
        assert!(error.is::<SendError>(), "{error:?}");
        assert!(start.elapsed() >= A_MOMENT, "{:?}", start.elapsed());
        drop(peer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_slow_to_read_is_not_cut_by_the_write_timeout() {
    let config = Config::new().idle_timeout(None).write_timeout(Some(LIMIT));
    let (mut ws, mut peer) = client(config, 100).await;
    let sender = ws.sender();
    let reading = async {
        use tokio::io::AsyncReadExt;
        // It takes many times the timeout in all.
        let mut left = 10_000 + 8;
        while left > 0 {
            sleep(LIMIT / 5).await;
            left -= peer.io.read(&mut [0; 100]).await.unwrap();
        }
    };
    let sending = async { tokio::join!(sender.send(vec![1; 10_000]), reading) };
    tokio::select! {
        (sent, ()) = sooner_or_later(sending) => sent.unwrap(),
        received = ws.recv() => panic!("{received:?}"),
    }
    // And then there is nothing to wait for.
    let hours = Duration::from_secs(3 * 3600);
    assert!(tokio::time::timeout(hours, ws.recv()).await.is_err());
}
