//! `send` and `bufferedAmount`.

use super::{
    Background, assert_fails, dispatch_until, join, next, next_close, next_text, open, opened,
    plain, scripted, until_open,
};
use newswire::event::{Event, ExceptionKind, ReadyState};
use newswire::proto::OpCode;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[test]
fn sending_before_the_connection_is_established_throws() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    let error = socket.send("early").unwrap_err();
    assert_eq!(error.kind(), ExceptionKind::InvalidStateError);
    assert_eq!(
        (error.name(), error.kind().code()),
        ("InvalidStateError", 11)
    );
    // It has done nothing.
    assert_eq!(socket.buffered_amount(), 0);
    until_open(&socket);
    socket.send("first").unwrap();
    assert_eq!(next_text(&socket), "first");
}

#[test]
fn buffered_amount_grows_by_the_bytes_of_each_message_at_once() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo"));
    let mut sum = 0;
    for (text, len) in [
        ("x", 1),
        ("\u{e5}", 2),
        ("\u{5336}", 3),
        ("\u{1047e}", 4),
        ("", 0),
    ] {
        socket.send(text).unwrap();
        sum += len;
        assert_eq!(socket.buffered_amount(), sum, "{text}");
    }
    socket.send(vec![0; 65_000]).unwrap();
    assert_eq!(socket.buffered_amount(), sum + 65_000);
}

#[test]
fn buffered_amount_does_not_become_less_within_a_task() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    socket.set_onopen(Some(Box::new(|socket| {
        socket.send("x").unwrap();
        socket.send("\u{e5}").unwrap();
        // It has long been written.
        thread::sleep(Duration::from_millis(100));
        assert_eq!(socket.buffered_amount(), 3);
    })));
    let amounts = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&amounts);
    socket.set_onmessage(Some(Box::new(move |socket, _| {
        seen.borrow_mut().push(socket.buffered_amount());
    })));
    dispatch_until(&socket, || amounts.borrow().len() == 2);
    // What was answered was taken by the network.
    assert!(amounts.borrow()[0] <= 2, "{amounts:?}");
    assert_eq!(amounts.borrow()[1], 0);
}

#[test]
fn buffered_amount_becomes_less_without_any_event() {
    let (url, running) = scripted(|script| {
        script.accept();
        let first = script.next().unwrap();
        script.next();
        first
    });
    let socket = opened(&url);
    socket.send("WebSocket rocks").unwrap();
    assert_eq!(socket.buffered_amount(), 15);
    assert!(socket.wait(Some(super::PATIENCE)));
    assert_eq!(socket.buffered_amount(), 15);
    assert_eq!(socket.dispatch_pending(), 0);
    assert_eq!(socket.buffered_amount(), 0);
    drop(socket);
    assert_eq!(join(running).0, OpCode::Text);
}

#[test]
fn what_the_server_does_not_read_stays_buffered_until_it_does() {
    const COUNT: usize = 200;
    const LEN: usize = 100_000;
    let (go, wait) = mpsc::channel();
    let (url, running) = scripted(move |script| {
        script.accept();
        wait.recv().unwrap();
        for n in 0..COUNT {
            let (_, payload) = script.next().unwrap();
            assert!(payload.len() == LEN && payload.iter().all(|&byte| byte == n as u8));
        }
        script.send(OpCode::Text, "all there");
        script.next();
    });
    let socket = plain().open(&url, ()).unwrap();
    until_open(&socket);
    for n in 0..COUNT {
        socket.send(vec![n as u8; LEN]).unwrap();
    }
    let all = (COUNT * LEN) as u64;
    assert_eq!(socket.buffered_amount(), all);
    // The sockets' buffers take some, then nothing moves any more.
    thread::sleep(Duration::from_millis(300));
    socket.dispatch_pending();
    let left = socket.buffered_amount();
    assert!(0 < left && left < all, "{left}");
    thread::sleep(Duration::from_millis(50));
    socket.dispatch_pending();
    assert_eq!(socket.buffered_amount(), left);
    go.send(()).unwrap();
    assert_eq!(next_text(&socket), "all there");
    assert_eq!(socket.buffered_amount(), 0);
    drop(socket);
    join(running);
}

#[cfg(feature = "deflate")]
#[test]
fn a_compressed_message_counts_in_full_until_it_is_written() {
    let (go, wait) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    let (url, running) = scripted(move |script| {
        script.accept_with("Sec-WebSocket-Extensions: permessage-deflate\r\n");
        wait.recv().unwrap();
        let mut stream = script.stream.try_clone().unwrap();
        let reading = thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        is_done.recv().unwrap();
        // The client gives up behind all that it has sent.
        script.stream.shutdown(std::net::Shutdown::Write).unwrap();
        reading.join().unwrap().unwrap()
    });
    let socket = opened(&url);
    // Noise, of which the sockets' buffers hold some megabytes, and behind it what becomes small.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(1 << 20)
    .collect();
    for _ in 0..6 {
        socket.send(noise.clone()).unwrap();
    }
    socket.send(vec![0; 1 << 20]).unwrap();
    thread::sleep(Duration::from_millis(500));
    socket.dispatch_pending();
    assert!(
        socket.buffered_amount() > 1 << 20,
        "{}",
        socket.buffered_amount()
    );
    go.send(()).unwrap();
    dispatch_until(&socket, || socket.buffered_amount() == 0);
    done.send(()).unwrap();
    let wire = join(running);
    assert!((6 << 20..7 << 20).contains(&wire), "{wire} bytes");
}

#[test]
fn on_a_closing_and_a_closed_socket_only_buffered_amount_grows() {
    let (url, running) = scripted(|script| {
        script.accept();
        let frames: Vec<_> = std::iter::from_fn(|| {
            let frame = script.next()?;
            if frame.0 == OpCode::Close {
                script.close(1000, "");
                script.hang_up();
            }
            Some(frame)
        })
        .collect();
        frames
    });
    let socket = opened(&url);
    socket.close(None, None).unwrap();
    assert_eq!(socket.ready_state(), ReadyState::Closing);
    socket.send("closing").unwrap();
    assert_eq!(socket.buffered_amount(), 7);
    assert_eq!(next_close(&socket), (true, 1000, String::new()));
    assert_eq!(socket.buffered_amount(), 7);
    socket.send(&b"closed"[..]).unwrap();
    assert_eq!(socket.buffered_amount(), 13);
    socket.dispatch_pending();
    assert_eq!(socket.buffered_amount(), 13);
    assert_eq!(join(running), [(OpCode::Close, vec![])]);
}

#[test]
fn what_was_not_sent_stays_buffered_for_ever() {
    let (url, running) = scripted(|script| {
        script.accept();
        script.next().unwrap();
        // The next has begun.
        script.read();
    });
    let socket = plain().open(&url, ()).unwrap();
    until_open(&socket);
    socket.send("read").unwrap();
    dispatch_until(&socket, || socket.buffered_amount() == 0);
    const LEN: u64 = 64 << 20;
    socket.send(vec![0; LEN as usize]).unwrap();
    join(running);
    assert_fails(&socket);
    let left = socket.buffered_amount();
    assert!(0 < left && left <= LEN, "{left}");
    socket.send("x").unwrap();
    assert_eq!(socket.buffered_amount(), left + 1);
}

#[test]
fn a_closing_handshake_that_the_server_has_begun_is_too_late_to_send_but_counted() {
    let (closed, has_closed) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let (url, running) = scripted(move |script| {
        script.accept();
        script.close(1000, "");
        let answer = script.next().unwrap();
        closed.send(()).unwrap();
        wait.recv().unwrap();
        assert!(script.hang_up().is_empty());
        answer
    });
    let socket = opened(&url);
    // The Close frame is answered, its task has not run.
    has_closed.recv_timeout(super::PATIENCE).unwrap();
    assert_eq!(socket.ready_state(), ReadyState::Open);
    socket.send("late").unwrap();
    assert_eq!(socket.buffered_amount(), 4);
    dispatch_until(&socket, || socket.ready_state() == ReadyState::Closing);
    go.send(()).unwrap();
    assert_eq!(next_close(&socket), (true, 1000, String::new()));
    assert_eq!(socket.buffered_amount(), 4);
    assert_eq!(join(running).0, OpCode::Close);
}

#[test]
fn a_socket_that_is_full_is_closed_with_an_error() {
    let (url, running) = scripted(|script| {
        script.accept();
        while script.read() {}
    });
    let socket = plain().max_buffered_amount(10).open(&url, ()).unwrap();
    until_open(&socket);
    socket.send("0123456789").unwrap();
    assert_eq!(socket.buffered_amount(), 10);
    socket.send("x").unwrap();
    assert_eq!(socket.buffered_amount(), 11);
    assert_eq!(socket.ready_state(), ReadyState::Open);
    assert_eq!(next(&socket), Event::Error);
    assert_eq!(next_close(&socket), (false, 1006, String::new()));
    join(running);
}

#[test]
fn a_blob_keeps_its_place_and_is_counted_while_it_is_read() {
    let (url, running) = scripted(|script| {
        script.accept();
        let frames: Vec<_> = std::iter::from_fn(|| script.next()).take(4).collect();
        script.close(1000, "");
        script.hang_up();
        frames
    });
    let socket = plain().open(&url, ()).unwrap();
    let early = socket.send_blob(4).unwrap_err();
    assert_eq!(early.kind(), ExceptionKind::InvalidStateError);
    until_open(&socket);
    socket.send("first").unwrap();
    let blob = socket.send_blob(4).unwrap();
    let wrong = socket.send_blob(1000).unwrap();
    let dropped = socket.send_blob(100).unwrap();
    socket.send("third").unwrap();
    socket.close(Some(1000), None).unwrap();
    assert_eq!(socket.buffered_amount(), 5 + 4 + 1000 + 100 + 5);
    // All that is before it goes out, and nothing behind.
    dispatch_until(&socket, || socket.buffered_amount() == 4 + 1000 + 100 + 5);
    let late = socket.send_blob(7).unwrap();
    assert!(late.fill(vec![0; 7]));
    assert!(!wrong.fill(vec![0; 999]));
    drop(dropped);
    thread::sleep(Duration::from_millis(20));
    socket.dispatch_pending();
    assert_eq!(socket.buffered_amount(), 4 + 1000 + 100 + 5 + 7);
    assert!(
        thread::spawn(move || blob.fill(&b"slow"[..]))
            .join()
            .unwrap()
    );
    assert_eq!(next_close(&socket), (true, 1000, String::new()));
    assert_eq!(socket.buffered_amount(), 1000 + 100 + 7);
    let expected: [(OpCode, &[u8]); 4] = [
        (OpCode::Text, b"first"),
        (OpCode::Binary, b"slow"),
        (OpCode::Text, b"third"),
        (OpCode::Close, b"\x03\xe8"),
    ];
    let seen = join(running);
    assert!(
        seen.iter()
            .map(|(opcode, payload)| (*opcode, &payload[..]))
            .eq(expected)
    );
}
