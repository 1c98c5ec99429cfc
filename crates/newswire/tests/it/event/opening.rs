//! How an established connection becomes visible.

use super::{
    Background, Script, accept, join, next, open, opened, scripted, until_open, wait_until,
};
use crate::support::{self, PATIENCE};
use newswire::event::{Event, ExceptionKind, ReadyState};
use std::cell::Cell;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

#[test]
fn an_established_connection_is_not_visible_before_its_task_has_run() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    assert!(socket.wait(Some(PATIENCE)));
    for _ in 0..3 {
        assert_eq!(socket.ready_state(), ReadyState::Connecting);
        assert_eq!(socket.extensions(), "");
        assert_eq!(
            socket.send("early").unwrap_err().kind(),
            ExceptionKind::InvalidStateError
        );
    }
    assert_eq!(socket.dispatch_pending(), 1);
    assert_eq!(socket.ready_state(), ReadyState::Open);
}

#[test]
fn state_protocol_and_extensions_change_before_open_is_fired() {
    let (url, running) = scripted(|script| {
        let request = script.accept_with(
            "Sec-WebSocket-Protocol: chat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
        );
        script.next();
        request
    });
    let socket = newswire::event::WebSocket::new(&url, "chat").unwrap();
    let seen = Rc::new(Cell::new(false));
    let told = Rc::clone(&seen);
    socket.set_onopen(Some(Box::new(move |socket| {
        assert_eq!(u16::from(socket.ready_state()), 1);
        assert_eq!(socket.protocol(), "chat");
        let extensions = socket.extensions();
        assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
        assert!(
            extensions.contains("server_no_context_takeover"),
            "{extensions}"
        );
        told.set(true);
    })));
    if cfg!(feature = "deflate") {
        until_open(&socket);
        assert!(seen.get());
    } else {
        // It was not offered.
        super::assert_fails(&socket);
    }
    drop(socket);
    join(running);
}

#[test]
fn without_protocol_and_extensions_both_stay_empty() {
    let (url, running) = scripted(|script| {
        script.accept();
        script.next();
    });
    let socket = opened(&url);
    assert_eq!((socket.protocol(), socket.extensions()), Default::default());
    drop(socket);
    join(running);
}

#[test]
fn a_handler_set_long_after_the_connection_is_established_gets_open() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    assert!(socket.wait(Some(PATIENCE)));
    thread::sleep(Duration::from_millis(20));
    let opened = Rc::new(Cell::new(0));
    let count = Rc::clone(&opened);
    socket.set_onopen(Some(Box::new(move |_| count.set(count.get() + 1))));
    socket.dispatch_pending();
    assert_eq!(opened.get(), 1);
}

#[test]
fn messages_right_behind_the_answer_come_after_open() {
    let (url, running) = scripted(|script| {
        script.accept();
        script.send(newswire::proto::OpCode::Text, "early");
        script.next();
    });
    let socket = open(&url);
    // Both tasks wait; one dispatch runs them in their order.
    let order = Rc::new(std::cell::RefCell::new(Vec::new()));
    for kind in [
        newswire::event::EventType::Message,
        newswire::event::EventType::Open,
    ] {
        let order = Rc::clone(&order);
        socket.add_event_listener(kind, move |_, event| {
            order.borrow_mut().push(event.event_type().as_str());
        });
    }
    wait_until(|| {
        socket.dispatch_pending();
        order.borrow().len() == 2
    });
    assert_eq!(*order.borrow(), ["open", "message"]);
    drop(socket);
    join(running);
}

#[test]
fn many_sockets_at_once_all_open() {
    let server = Background::echo();
    let sockets: Vec<_> = (0..50).map(|_| open(&server.url("/echo"))).collect();
    for (n, socket) in sockets.iter().enumerate() {
        assert_eq!(next(socket), Event::Open);
        socket.send(n.to_string()).unwrap();
    }
    for (n, socket) in sockets.iter().enumerate() {
        assert_eq!(super::next_text(socket), n.to_string());
    }
}

#[test]
fn sockets_to_the_same_address_are_established_one_after_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let sockets = [0, 1, 2].map(|_| open(&url));
    let mut established = Vec::new();
    for socket in &sockets {
        let mut script = Script::of(accept(&listener));
        let request = script.head();
        // The next one waits until this one has its answer.
        thread::sleep(Duration::from_millis(30));
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        script.raw(&support::answer(&request));
        until_open(socket);
        established.push(script);
    }
}

#[test]
fn a_socket_does_not_wait_for_one_that_was_given_up_or_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let [given_up, refused, waiting, last] = [0, 1, 2, 3].map(|_| open(&url));
    let silent = accept(&listener);
    given_up.close(None, None).unwrap();
    waiting.close(None, None).unwrap();
    let mut script = Script::of(accept(&listener));
    script.head();
    script.raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    super::assert_fails(&refused);
    let mut script = Script::of(accept(&listener));
    script.accept();
    until_open(&last);
    drop(silent);
}
