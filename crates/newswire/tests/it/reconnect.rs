//! A connection that comes back: what it keeps, what it tells, and when it stays away.

mod line;

use self::line::Line;
use crate::support::{Served, serve, serve_echo, within};
use newswire::reconnect::{Event, GivenUp, Lost, NotTaken, Policy, Reconnecting};
use newswire::{CloseCode, ConnectError, Connector, Message, WebSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// One that loses no time.
fn quick() -> Policy {
    Policy::new()
        .first_delay(Duration::from_millis(2))
        .max_delay(Duration::from_millis(10))
}

async fn next(ws: &mut Reconnecting) -> Event {
    within(ws.recv()).await.unwrap().expect("an event")
}

/// The next message, whatever else happens before it.
async fn message(ws: &mut Reconnecting) -> Message {
    loop {
        if let Event::Message(message) = next(ws).await {
            return message;
        }
    }
}

#[tokio::test]
async fn what_is_sent_before_there_is_a_connection_waits_in_order() {
    let server = serve_echo().await;
    let mut ws = Connector::new().reconnecting(&server.url("/echo"), quick());
    for n in 0..3 {
        ws.send(n.to_string()).unwrap();
    }
    assert_eq!((ws.outbox().len(), ws.outbox().bytes()), (3, 3));
    let opened = next(&mut ws).await;
    assert!(
        matches!(opened, Event::Open { before: 0, .. }),
        "{opened:?}"
    );
    for n in 0..3 {
        assert_eq!(message(&mut ws).await, n.to_string().into());
    }
    assert_eq!(
        (ws.outbox().len(), ws.outbox().bytes(), ws.outbox().sent()),
        (0, 0, 3)
    );
    within(ws.close(CloseCode::NORMAL, "done")).await.unwrap();
    assert!(within(ws.recv()).await.unwrap().is_none());
    let late = ws.send("late").unwrap_err();
    assert_eq!(late, NotTaken::Ended("late".into()));
}

#[tokio::test]
async fn each_change_of_state_is_an_event() {
    let server = serve_echo().await;
    let mut line = Line::to(server.addr).await;
    let mut ws = Connector::new().reconnecting(&line.url(), quick());
    assert!(matches!(next(&mut ws).await, Event::Open { before: 0, .. }));
    line.cut().await;
    match next(&mut ws).await {
        Event::Lost {
            lost: Lost::Failed(_),
            repeats,
        } => assert!(!repeats),
        other => panic!("{other:?}"),
    }
    // Until it is back, each attempt fails.
    let mut failed = 0;
    while failed < 3 {
        match next(&mut ws).await {
            Event::Waiting {
                delay,
                attempts,
                last,
            } => {
                assert!(delay <= Duration::from_millis(10), "{delay:?}");
                let unstable = failed + 1;
                assert_eq!(attempts, unstable);
                if failed > 0 {
                    let error = last.downcast_ref();
                    assert!(matches!(error, Some(ConnectError::Tcp { .. })), "{last:?}");
                }
                failed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    line.restore(server.addr, false);
    loop {
        match next(&mut ws).await {
            Event::Open { before, .. } => break assert_eq!(before, 1),
            Event::Waiting { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    ws.send("back").unwrap();
    assert_eq!(message(&mut ws).await, "back".into());
}

async fn close_with(mut ws: WebSocket, code: u16) -> newswire::Result {
    ws.recv().await?;
    Ok(ws.close(code.into(), "go away").await?)
}

/// What comes of a server that closes with `code` as soon as it was spoken to.
async fn closed_with(code: u16, policy: Policy) -> Result<bool, GivenUp> {
    let server = serve(|server| server.route("/", move |ws: WebSocket| close_with(ws, code)));
    let server: Served = server.await;
    let mut ws = Connector::new().reconnecting(&server.url("/"), policy);
    ws.send("hello").unwrap();
    let mut opened = 0;
    while let Some(event) = within(ws.recv()).await? {
        if let Event::Open { .. } = event {
            opened += 1;
        }
        if opened == 2 {
            return Ok(true);
        }
    }
    assert_eq!(opened, 1);
    Ok(false)
}

#[tokio::test]
async fn codes_that_mean_do_not_come_back_are_respected() {
    for code in [1001, 1011, 1012, 1013, 4000] {
        assert!(closed_with(code, quick()).await.unwrap(), "{code}");
    }
    assert!(!closed_with(1000, quick()).await.unwrap());
    for (code, policy) in [
        (1008, quick()),
        (4000, quick().stay_away_after([4000, 4001])),
    ] {
        match closed_with(code, policy).await {
            Err(GivenUp::Closed(frame)) => {
                assert_eq!((u16::from(frame.code), &*frame.reason), (code, "go away"));
            }
            other => panic!("{code}: {other:?}"),
        }
    }
    // A list of one's own replaces the default.
    let policy = quick().stay_away_after([4000]);
    assert!(closed_with(1008, policy).await.unwrap());
}

#[tokio::test]
async fn it_gives_up_when_the_attempts_are_used_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut ws = Connector::new().reconnecting(&url, quick().max_attempts(4));
    ws.send("kept").unwrap();
    for _ in 0..3 {
        assert!(matches!(next(&mut ws).await, Event::Waiting { .. }));
    }
    match within(ws.recv()).await.unwrap_err() {
        GivenUp::Attempts { attempts: 4, last } => {
            assert!(last.downcast_ref::<ConnectError>().is_some(), "{last:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(within(ws.recv()).await.unwrap().is_none());
    assert_eq!(ws.take_unsent(), ["kept".into()]);
}

#[tokio::test]
async fn what_happened_before_the_end_is_told_before_it() {
    let server = serve(|server| server.route("/", |ws| close_with(ws, 1008))).await;
    let mut ws = Connector::new().reconnecting(&server.url("/"), quick().max_attempts(1));
    ws.send("hello").unwrap();
    assert!(matches!(next(&mut ws).await, Event::Open { before: 0, .. }));
    let ended = within(ws.recv()).await;
    assert!(matches!(ended, Err(GivenUp::Closed(_))), "{ended:?}");
    assert!(within(ws.recv()).await.unwrap().is_none());

    let policy = quick().max_attempts(1).stay_away_after([1000]);
    let mut ws = Connector::new().reconnecting(&server.url("/"), policy);
    ws.send("hello").unwrap();
    assert!(matches!(next(&mut ws).await, Event::Open { before: 0, .. }));
    assert!(matches!(next(&mut ws).await, Event::Lost { .. }));
    let ended = within(ws.recv()).await;
    assert!(matches!(ended, Err(GivenUp::Attempts { .. })), "{ended:?}");
}

#[tokio::test]
async fn what_no_attempt_can_change_is_not_tried_again() {
    async fn never(_: WebSocket) -> newswire::Result {
        unreachable!("nobody gets in")
    }
    let server = serve(|server| {
        let route = newswire::Route::new(never)
            .origins(newswire::Origins::list(["https://example.com"]).unwrap());
        server.route("/", route)
    });
    let server = server.await;
    let stranger = Connector::new().origin("https://evil.example");
    for (connector, url) in [
        (Connector::new(), "http://localhost/".to_owned()),
        (Connector::new().bearer("\n"), server.url("/")),
        // 403
        (stranger, server.url("/")),
    ] {
        let mut ws = connector.reconnecting(&url, quick());
        let error = within(ws.recv()).await.unwrap_err();
        assert!(matches!(error, GivenUp::Useless(_)), "{url}: {error:?}");
    }
    // What is not there now may be there later.
    let mut ws = Connector::new().reconnecting(&server.url("/missing"), quick());
    assert!(matches!(next(&mut ws).await, Event::Waiting { .. }));
}

#[tokio::test]
async fn a_stable_connection_starts_the_count_anew() {
    let server = serve(|server| server.route("/", |ws: WebSocket| close_with(ws, 1012))).await;
    for (stable_after, gives_up) in [(Duration::MAX, true), (Duration::ZERO, false)] {
        let policy = quick().max_attempts(3).stable_after(stable_after);
        let mut ws = Connector::new().reconnecting(&server.url("/"), policy);
        let mut opened = 0;
        let given_up = loop {
            match within(ws.recv()).await {
                Ok(Some(Event::Open { .. })) => {
                    opened += 1;
                    ws.send("hello").unwrap();
                    if opened == 10 {
                        break false;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => panic!("it has ended"),
                Err(GivenUp::Attempts { .. }) => break true,
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(given_up, gives_up, "{opened}");
    }
}

#[tokio::test]
async fn a_full_outbox_gives_the_message_back_or_drops_the_oldest_and_tells() {
    let server = serve_echo().await;
    let url = server.url("/echo");
    let ws = Connector::new().reconnecting(&url, quick().outbox(2, 10));
    ws.send("123456").unwrap();
    assert_eq!(ws.send("12345"), Err(NotTaken::Full("12345".into())));
    ws.send("1234").unwrap();
    assert_eq!(ws.send(""), Err(NotTaken::Full("".into())));
    // One that is larger than all of it waits alone.
    let ws = Connector::new().reconnecting(&url, quick().outbox(2, 10));
    ws.send("12345678901").unwrap();
    assert_eq!(ws.outbox().bytes(), 11);

    let policy = quick().outbox(3, 100).drop_oldest(true);
    let mut ws = Connector::new().reconnecting(&url, policy);
    for n in 0..10 {
        ws.send(n.to_string()).unwrap();
    }
    assert!(matches!(
        next(&mut ws).await,
        Event::Dropped { messages: 7 }
    ));
    for n in 7..10 {
        assert_eq!(message(&mut ws).await, n.to_string().into());
    }
}

#[tokio::test]
async fn the_hook_runs_on_each_connection_before_what_waits_is_sent() {
    let server = serve_echo().await;
    let mut line = Line::to(server.addr).await;
    let policy = quick().on_open(|mut ws: WebSocket, before| async move {
        if before == 1 {
            // As if the subscription had failed once.
            static FAILED: AtomicU64 = AtomicU64::new(0);
            if FAILED.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err("not subscribed".into());
            }
        }
        ws.send(format!("subscribe {before}")).await?;
        match ws.recv().await? {
            Some(answer) if answer == format!("subscribe {before}").into() => Ok(ws),
            other => Err(format!("{other:?}").into()),
        }
    });
    let mut ws = Connector::new().reconnecting(&line.url(), policy);
    ws.send("first").unwrap();
    assert_eq!(message(&mut ws).await, "first".into());
    line.cut().await;
    line.restore(server.addr, false);
    assert!(matches!(next(&mut ws).await, Event::Lost { .. }));
    ws.send("second").unwrap();
    let mut refused = false;
    loop {
        match next(&mut ws).await {
            Event::Waiting { last, .. } => refused |= last.to_string() == "not subscribed",
            Event::Open { before, .. } => assert_eq!(before, 1),
            Event::Message(message) => break assert_eq!(message, "second".into()),
            other => panic!("{other:?}"),
        }
    }
    assert!(refused);
}

#[tokio::test]
async fn others_may_send_and_wait_for_it_while_one_receives() {
    let server = serve_echo().await;
    let mut ws = Connector::new().reconnecting(&server.url("/echo"), quick());
    let outbox = ws.outbox();
    let sending = tokio::spawn(async move {
        for n in 0..100 {
            outbox.send(n.to_string()).unwrap();
            outbox.drained().await;
        }
        outbox.sent()
    });
    for n in 0..100 {
        assert_eq!(message(&mut ws).await, n.to_string().into());
    }
    assert_eq!(within(sending).await.unwrap(), 100);
    // Nobody waits for what will not be sent any more.
    let outbox = ws.outbox();
    ws.send("unsent").unwrap();
    drop(ws);
    within(outbox.drained()).await;
    assert!(matches!(outbox.send("late"), Err(NotTaken::Ended(_))));
}

#[tokio::test]
async fn closing_ends_it_whatever_it_is_waiting_for() {
    // Between two attempts, while connecting, and while open.
    let slow = Policy::new().first_delay(Duration::from_secs(3600));
    let slow = slow.max_delay(Duration::from_secs(3600));
    let mut waiting = Connector::new().reconnecting("ws://127.0.0.1:1/", slow);
    assert!(matches!(next(&mut waiting).await, Event::Waiting { .. }));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    let connecting = Connector::new().reconnecting(&url, quick());
    let server = serve_echo().await;
    let mut open = Connector::new().reconnecting(&server.url("/echo"), quick());
    assert!(matches!(next(&mut open).await, Event::Open { .. }));
    for mut ws in [waiting, connecting, open] {
        let began = Instant::now();
        assert!(ws.close(CloseCode::ABNORMAL, "").await.is_err());
        within(ws.close(CloseCode::GOING_AWAY, "")).await.unwrap();
        assert!(within(ws.recv()).await.unwrap().is_none());
        assert!(began.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn the_outbox_closes_behind_what_waits_and_the_answers_still_come() {
    let server = serve_echo().await;
    let mut ws = Connector::new().reconnecting(&server.url("/echo"), quick());
    let outbox = ws.outbox();
    assert!(matches!(next(&mut ws).await, Event::Open { .. }));
    outbox.send("one").unwrap();
    outbox.send("two").unwrap();
    assert!(outbox.close(CloseCode::ABNORMAL, "").is_err());
    outbox.close(CloseCode::NORMAL, "done").unwrap();
    assert!(matches!(outbox.send("late"), Err(NotTaken::Ended(_))));
    assert_eq!(message(&mut ws).await, "one".into());
    assert_eq!(message(&mut ws).await, "two".into());
    assert!(within(ws.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_servers_retry_after_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let head = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(head).await.unwrap();
    });
    let policy = Policy::new().first_delay(Duration::from_millis(1));
    let mut ws = Connector::new().reconnecting(&url, policy);
    match next(&mut ws).await {
        Event::Waiting { delay, .. } => assert_eq!(delay, Duration::from_secs(7)),
        other => panic!("{other:?}"),
    }
    within(serving).await.unwrap();
}

/// How often the connection is cut. `./test routes` does it with a server that is killed.
const KILLS: u64 = 10;

/// How many messages are queued whenever a connection is open.
const ROUND: u64 = 100;

/// On each connection the first echo is of the first message that was not handed to the network
/// before, and each further one of the next message: so none is repeated, none that waited is lost,
/// and the order is kept.
#[tokio::test]
async fn nothing_that_waits_is_lost_or_repeated_however_often_the_connection_is_cut() {
    let server = serve_echo().await;
    let mut line = Line::to(server.addr).await;
    let policy = quick().outbox(2 * ROUND as usize, 32 << 20);
    let mut ws = Connector::new().reconnecting(&line.url(), policy);
    let outbox = ws.outbox();

    let (mut expected, mut queued, mut opened) = (0, 0, 0);
    let (mut echoes, mut lost_messages, mut repeated, mut tasks) = (0, 0, 0, 0);
    loop {
        match next(&mut ws).await {
            Event::Open { before, .. } => {
                assert_eq!(before, opened);
                opened += 1;
                echoes = 0;
                let padding = if is_narrow(opened) {
                    noise(64 * 1024)
                } else {
                    String::new()
                };
                for n in queued..queued + ROUND {
                    ws.send(format!("{n} {padding}")).unwrap();
                }
                queued += ROUND;
                tasks = tasks.max(Handle::current().metrics().num_alive_tasks());
            }
            Event::Message(message) => {
                let text = message.as_text().unwrap();
                let n: u64 = text.split(' ').next().unwrap().parse().unwrap();
                assert_eq!(n, expected, "on connection {opened}");
                expected += 1;
                echoes += 1;
                let enough = if is_narrow(opened) {
                    2
                } else {
                    opened * 37 % ROUND
                };
                if opened <= KILLS && echoes == enough.max(1) {
                    line.cut().await;
                    line.restore(server.addr, is_narrow(opened + 1));
                }
            }
            Event::Lost { repeats, .. } => {
                repeated += u64::from(repeats);
                // What was handed to the network and not echoed may be lost, and only that.
                let sent = outbox.sent();
                assert!(
                    (expected..=queued).contains(&sent),
                    "{sent} of {queued} sent"
                );
                lost_messages += sent - expected;
                expected = sent;
            }
            Event::Waiting { .. } => {}
            other => panic!("{other:?}"),
        }
        if expected == queued && opened > KILLS {
            break;
        }
    }
    assert_eq!((opened, queued), (KILLS + 1, (KILLS + 1) * ROUND));
    assert_eq!((outbox.len(), outbox.bytes()), (0, 0));
    assert!(lost_messages < queued, "all {queued} were lost");
    // Those in the middle of which the line was cut were sent again, and came once.
    assert!(repeated > 0, "no message was cut");
    // The accept loops, and what passes on and serves a connection and the one before it.
    assert!(tasks < 20, "{tasks} tasks");
}

/// Text that cannot be compressed much.
fn noise(len: usize) -> String {
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'0' + (state >> 24) as u8 % 64)
    };
    (0..len).map(|_| letter()).collect()
}

/// Every third connection gets stuck, so that it is cut in the middle of a message.
fn is_narrow(connection: u64) -> bool {
    connection.is_multiple_of(3)
}
