//! What is shown of received messages, and when.

use super::{
    Background, dispatch_until, join, next, next_close, next_text, opened, plain, scripted,
    until_open,
};
use newswire::Message;
use newswire::event::{BinaryType, Data, Event, MessageEvent, Options, ReadyState};
use newswire::proto::OpCode;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[track_caller]
fn next_message(socket: &newswire::event::WebSocket) -> MessageEvent {
    match next(socket) {
        Event::Message(event) => event,
        other => panic!("expected a message, not {other:?}"),
    }
}

#[test]
fn messages_come_back_as_what_they_were() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo"));
    socket.set_binary_type(BinaryType::ArrayBuffer);
    let messages: [Message; 7] = [
        "hello".into(),
        "".into(),
        "\u{feff}κόσμε 🦀\0".into(),
        Vec::new().into(),
        b"\0\xff\x80".into(),
        "x".repeat(65_536).into(),
        vec![7; 1 << 20].into(),
    ];
    for sent in messages {
        socket.send(sent.clone()).unwrap();
        let event = next_message(&socket);
        match (sent, &event.data) {
            (Message::Text(sent), Data::Text(text)) => assert!(sent == *text),
            (Message::Binary(sent), Data::ArrayBuffer(bytes)) => assert!(sent == *bytes),
            (_, data) => panic!("not {data:?}"),
        }
    }
}

#[test]
fn a_message_says_the_origin_of_the_sockets_url() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo?room=1"));
    socket.send("hello").unwrap();
    let event = next_message(&socket);
    assert_eq!(event.origin, server.url(""));
    assert_eq!(event.last_event_id, "");
    assert_eq!(event.data.as_bytes(), b"hello");
}

#[test]
fn binary_type_is_looked_at_when_the_event_is_fired() {
    let (url, running) = scripted(|script| {
        script.accept();
        for n in 0..3 {
            script.send(OpCode::Binary, [n]);
        }
        script.next();
    });
    let socket = opened(&url);
    assert_eq!(next_message(&socket).data, Data::Blob(vec![0].into()));
    // The other two have arrived, or may have; that makes no difference.
    thread::sleep(Duration::from_millis(20));
    socket.set_binary_type(BinaryType::ArrayBuffer);
    assert_eq!(
        next_message(&socket).data,
        Data::ArrayBuffer(vec![1].into())
    );
    socket.set_binary_type(BinaryType::Blob);
    assert_eq!(next_message(&socket).data, Data::Blob(vec![2].into()));
    assert_eq!(
        [BinaryType::Blob, BinaryType::ArrayBuffer].map(BinaryType::as_str),
        ["blob", "arraybuffer"]
    );
    drop(socket);
    join(running);
}

#[test]
fn messages_that_waited_when_close_was_called_are_not_shown() {
    let (url, running) = scripted(|script| {
        script.accept();
        for text in ["one", "two", "three"] {
            script.send(OpCode::Text, text);
        }
        let (opcode, _) = script.next().unwrap();
        assert_eq!(opcode, OpCode::Close);
        // Nor are those that come before the server's Close frame.
        script.send(OpCode::Text, "four");
        script.close(1000, "");
        script.hang_up();
    });
    let socket = opened(&url);
    let shown = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&shown);
    socket.set_onmessage(Some(Box::new(move |socket, event| {
        seen.borrow_mut()
            .push(event.data.as_text().unwrap().to_owned());
        if event.data.as_text() == Some("two") {
            socket.close(None, None).unwrap();
        }
    })));
    // All three wait in one dispatch, or in several: it comes to the same.
    thread::sleep(Duration::from_millis(50));
    dispatch_until(&socket, || socket.ready_state() == ReadyState::Closed);
    assert_eq!(*shown.borrow(), ["one", "two"]);
    join(running);
}

#[test]
fn messages_behind_the_servers_close_frame_are_not_shown() {
    let (url, running) = scripted(|script| {
        script.accept();
        script.send(OpCode::Text, "before");
        script.close(1000, "");
        script.send(OpCode::Text, "behind");
        script.hang_up();
    });
    let socket = opened(&url);
    assert_eq!(next_text(&socket), "before");
    assert_eq!(next_close(&socket), (true, 1000, String::new()));
    join(running);
}

#[test]
fn a_slow_program_makes_a_fast_server_wait() {
    const LEN: usize = 100_000;
    const COUNT: usize = 300;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let (url, running) = scripted(move |script| {
        script.accept();
        for _ in 0..COUNT {
            script.send(OpCode::Binary, vec![1; LEN]);
            count.fetch_add(1, Ordering::Relaxed);
        }
        script.close(1000, "");
        script.hang_up();
    });
    let options: Options = plain().max_pending(2 * LEN);
    let socket = options.open(&url, ()).unwrap();
    until_open(&socket);
    // The sockets' buffers take some megabytes, and then it stands still.
    let stuck = || {
        let before = sent.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(100));
        before == sent.load(Ordering::Relaxed)
    };
    super::wait_until(stuck);
    assert!(sent.load(Ordering::Relaxed) < COUNT);
    for _ in 0..COUNT {
        assert_eq!(next_message(&socket).data.as_bytes().len(), LEN);
    }
    assert_eq!(next_close(&socket), (true, 1000, String::new()));
    join(running);
}

#[test]
fn a_flood_that_nobody_dispatches_does_not_keep_close_from_working() {
    let (url, running) = scripted(|script| {
        script.accept();
        let frame = crate::support::frame(newswire::proto::Role::Server, OpCode::Text, b"");
        let flood = frame.repeat(100_000);
        script.raw(&flood);
        let (opcode, _) = script.next().unwrap();
        assert_eq!(opcode, OpCode::Close);
        script.close(1000, "");
        script.hang_up();
    });
    let socket = plain().max_pending(1000).open(&url, ()).unwrap();
    until_open(&socket);
    socket.close(Some(1000), None).unwrap();
    assert_eq!(next_close(&socket), (true, 1000, String::new()));
    join(running);
}
