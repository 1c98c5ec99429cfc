//! `close`, the closing handshake from either end, and what dropping a socket does.

use super::{
    Background, assert_fails, dispatch_until, join, next, next_close, open, opened, plain,
    scripted, until_open, wait_until,
};
use crate::support::{self, close_payload};
use newswire::event::{Event, EventType, ExceptionKind, ReadyState};
use newswire::proto::OpCode;
use newswire::{Config, Connector};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

#[test]
fn a_code_that_is_not_for_applications_is_an_invalid_access_error() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    let refused = |socket: &newswire::event::WebSocket| {
        for code in [
            0, 1, 500, 999, 1001, 1002, 1005, 1006, 1015, 2999, 5000, 65_535,
        ] {
            let error = socket.close(Some(code), Some("why")).unwrap_err();
            assert_eq!(error.kind(), ExceptionKind::InvalidAccessError);
            assert_eq!(
                (error.name(), error.kind().code()),
                ("InvalidAccessError", 15)
            );
        }
    };
    refused(&socket);
    assert_eq!(socket.ready_state(), ReadyState::Connecting);
    until_open(&socket);
    refused(&socket);
    assert_eq!(socket.ready_state(), ReadyState::Open);
    socket.close(None, None).unwrap();
    // Arguments are judged before the state is looked at.
    refused(&socket);
    assert!(matches!(next(&socket), Event::Close(_)));
    refused(&socket);
}

#[test]
fn a_reason_of_more_than_123_bytes_is_a_syntax_error() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo"));
    for reason in ["x".repeat(124), "é".repeat(62)] {
        for code in [None, Some(1000)] {
            let error = socket.close(code, Some(&reason)).unwrap_err();
            assert_eq!(error.kind(), ExceptionKind::SyntaxError);
        }
    }
    // The code is judged first.
    let error = socket.close(Some(1), Some(&"x".repeat(124))).unwrap_err();
    assert_eq!(error.kind(), ExceptionKind::InvalidAccessError);
    assert_eq!(socket.ready_state(), ReadyState::Open);
    socket.close(Some(1000), Some(&"x".repeat(123))).unwrap();
    assert_eq!(next_close(&socket), (true, 1000, "x".repeat(123)));
}

/// The payload of the Close frame that `close` sends.
fn sent_for(code: Option<u16>, reason: Option<&str>) -> Vec<u8> {
    let (url, running) = scripted(|script| {
        script.accept();
        let (opcode, payload) = script.next().unwrap();
        assert_eq!(opcode, OpCode::Close);
        script.send(OpCode::Close, &payload);
        script.hang_up();
        payload
    });
    let socket = opened(&url);
    socket.close(code, reason).unwrap();
    assert_eq!(socket.ready_state(), ReadyState::Closing);
    let (was_clean, ..) = next_close(&socket);
    assert!(was_clean);
    join(running)
}

#[test]
fn the_close_frame_says_what_close_was_given() {
    assert_eq!(sent_for(None, None), []);
    assert_eq!(sent_for(None, Some("")), []);
    assert_eq!(sent_for(Some(1000), None), close_payload(1000, ""));
    assert_eq!(sent_for(Some(3000), Some("")), close_payload(3000, ""));
    assert_eq!(
        sent_for(Some(4999), Some("why é")),
        close_payload(4999, "why é")
    );
    assert_eq!(sent_for(None, Some("why")), close_payload(1000, "why"));
}

#[test]
fn the_close_event_says_what_the_server_has_sent() {
    for (payload, code, reason) in [
        (vec![], 1005, ""),
        (close_payload(1000, ""), 1000, ""),
        (close_payload(1001, "bye"), 1001, "bye"),
        (close_payload(1011, ""), 1011, ""),
        (close_payload(4000, "\u{feff}é"), 4000, "\u{feff}é"),
    ] {
        // Whether the server begins or answers.
        for begins in [true, false] {
            let payload = payload.clone();
            let (url, running) = scripted(move |script| {
                script.accept();
                if !begins {
                    script.next().unwrap();
                }
                script.send(OpCode::Close, payload);
                script.hang_up()
            });
            let socket = opened(&url);
            if !begins {
                socket.close(Some(3333), Some("mine")).unwrap();
            }
            assert_eq!(next_close(&socket), (true, code, reason.to_owned()));
            assert_eq!(join(running).len(), usize::from(begins));
        }
    }
}

#[test]
fn closing_twice_is_closing_once() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo"));
    let closed = Rc::new(Cell::new(0));
    let count = Rc::clone(&closed);
    socket.set_onclose(Some(Box::new(move |socket, _| {
        count.set(count.get() + 1);
        assert_eq!(socket.ready_state(), ReadyState::Closed);
        socket.close(Some(3000), None).unwrap();
        assert_eq!(socket.ready_state(), ReadyState::Closed);
    })));
    socket.close(Some(1000), Some("first")).unwrap();
    socket.close(Some(3000), Some("second")).unwrap();
    socket.close(None, None).unwrap();
    assert_eq!(next_close(&socket), (true, 1000, "first".to_owned()));
    assert_eq!(closed.get(), 1);
}

#[test]
fn closing_does_not_overtake_what_was_sent() {
    const COUNT: usize = 1000;
    let (url, running) = scripted(|script| {
        script.accept();
        for n in 0..COUNT {
            let (_, payload) = script.next().unwrap();
            assert_eq!(payload, vec![n as u8; n * 10]);
        }
        assert_eq!(script.next().unwrap().0, OpCode::Close);
        script.close(1000, "");
        script.hang_up();
    });
    let socket = plain().open(&url, ()).unwrap();
    until_open(&socket);
    for n in 0..COUNT {
        socket.send(vec![n as u8; n * 10]).unwrap();
    }
    socket.close(Some(1000), None).unwrap();
    assert_eq!(next_close(&socket), (true, 1000, String::new()));
    assert_eq!(socket.buffered_amount(), 0);
    join(running);
}

#[test]
fn closing_a_connection_that_is_not_established_fails_it() {
    let (asked, has_asked) = mpsc::channel();
    let (url, running) = scripted(move |script| {
        script.head();
        asked.send(()).unwrap();
        script.next()
    });
    let socket = open(&url);
    has_asked.recv_timeout(super::PATIENCE).unwrap();
    socket.close(Some(1000), Some("never mind")).unwrap();
    assert_eq!(socket.ready_state(), ReadyState::Closing);
    socket.send("counted").unwrap();
    assert_fails(&socket);
    assert_eq!(socket.buffered_amount(), 7);
    assert_eq!(join(running), None);
}

#[test]
fn closing_at_once_fails_the_connection() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    socket.close(None, None).unwrap();
    assert_eq!(socket.ready_state(), ReadyState::Closing);
    assert_fails(&socket);
}

#[test]
fn closing_before_open_was_fired_keeps_it_from_being_fired() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    // The server has answered, the task waits.
    assert!(socket.wait(Some(super::PATIENCE)));
    assert_eq!(socket.ready_state(), ReadyState::Connecting);
    socket.close(None, None).unwrap();
    assert_eq!(socket.ready_state(), ReadyState::Closing);
    assert_fails(&socket);
    assert_eq!(socket.extensions(), "");
}

#[test]
fn a_closing_handshake_that_the_server_begins_is_a_task_of_its_own() {
    let (go, wait) = mpsc::channel::<()>();
    let (url, running) = scripted(move |script| {
        script.accept();
        script.close(1001, "restart");
        let (opcode, payload) = script.next().unwrap();
        assert_eq!(
            (opcode, &payload[..2]),
            (OpCode::Close, &close_payload(1001, "")[..])
        );
        wait.recv().unwrap();
    });
    let socket = opened(&url);
    let fired = Rc::new(Cell::new(0));
    for kind in [EventType::Close, EventType::Error, EventType::Message] {
        let fired = Rc::clone(&fired);
        socket.add_event_listener(kind, move |_, _| fired.set(fired.get() + 1));
    }
    assert!(socket.wait(Some(super::PATIENCE)));
    assert_eq!(socket.ready_state(), ReadyState::Open);
    dispatch_until(&socket, || socket.ready_state() == ReadyState::Closing);
    assert_eq!(fired.get(), 0);
    socket.close(Some(3000), None).unwrap();
    socket.send("counted").unwrap();
    go.send(()).unwrap();
    assert_eq!(next_close(&socket), (true, 1001, "restart".to_owned()));
    assert_eq!(fired.get(), 1);
    join(running);
}

#[test]
fn a_server_that_does_not_answer_a_close_is_left_without_an_error() {
    let (url, running) = scripted(|script| {
        script.accept();
        assert_eq!(script.next().unwrap().0, OpCode::Close);
        assert_eq!(script.next(), None);
    });
    let config = Config::new().close_timeout(Duration::from_millis(50));
    let options = super::Options::new().connector(Connector::new().config(config));
    let socket = options.open(&url, ()).unwrap();
    until_open(&socket);
    socket.close(Some(1000), None).unwrap();
    assert_eq!(next_close(&socket), (false, 1006, String::new()));
    join(running);
}

#[test]
fn a_socket_that_is_dropped_says_going_away_behind_what_was_sent() {
    let (url, running) = scripted(|script| {
        script.accept();
        let text = script.next().unwrap();
        let close = script.next().unwrap();
        script.send(OpCode::Close, &close.1);
        assert!(script.hang_up().is_empty());
        (text, close)
    });
    let socket = plain().open(&url, ()).unwrap();
    until_open(&socket);
    socket.send("last words").unwrap();
    drop(socket);
    let (text, close) = join(running);
    assert_eq!(text, (OpCode::Text, b"last words".to_vec()));
    assert_eq!(close, (OpCode::Close, close_payload(1001, "")));
}

#[test]
fn a_socket_that_is_dropped_before_it_is_established_gives_up() {
    let (asked, has_asked) = mpsc::channel();
    let (url, running) = scripted(move |script| {
        script.head();
        asked.send(()).unwrap();
        let begun = Instant::now();
        assert_eq!(script.next(), None);
        begun.elapsed()
    });
    let socket = open(&url);
    has_asked.recv_timeout(super::PATIENCE).unwrap();
    drop(socket);
    assert!(join(running) < Duration::from_secs(5));
}

#[test]
fn a_dropped_sockets_handlers_are_dropped_with_it() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo"));
    let held = Rc::new(());
    let in_handler = Rc::clone(&held);
    socket.set_onmessage(Some(Box::new(move |_, _| drop(Rc::clone(&in_handler)))));
    let in_listener = Rc::clone(&held);
    socket.add_event_listener(EventType::Close, move |_, _| drop(Rc::clone(&in_listener)));
    assert_eq!(Rc::strong_count(&held), 3);
    drop(socket);
    assert_eq!(Rc::strong_count(&held), 1);
}

/// Counts the handlers that run.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn sockets_that_are_dropped_in_any_state_leave_no_connection_behind() {
    let running = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(AtomicUsize::new(0));
    let (count, all) = (Arc::clone(&running), Arc::clone(&begun));
    let server = Background::serve(|server| {
        server.route("/echo", move |ws: newswire::WebSocket| {
            all.fetch_add(1, Ordering::SeqCst);
            let running = Running::new(&count);
            async move {
                let echoed = support::echo(ws).await;
                drop(running);
                echoed
            }
        })
    });
    for n in 0..40 {
        let socket = open(&server.url("/echo"));
        match n % 4 {
            0 => {}
            1 => until_open(&socket),
            2 => {
                until_open(&socket);
                socket.close(None, None).unwrap();
            }
            _ => socket.close(None, None).unwrap(),
        }
    }
    // The handlers of those that were open, at the least.
    wait_until(|| begun.load(Ordering::SeqCst) >= 20);
    wait_until(|| running.load(Ordering::SeqCst) == 0);
}
