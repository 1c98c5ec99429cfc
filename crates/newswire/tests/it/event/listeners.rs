//! Handlers and listeners: who is called, in which order, and what may be changed meanwhile.

use super::{open, wait_until};
use newswire::event::{Event, EventType, Handler, ListenerId, WebSocket};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

type Log = Rc<RefCell<Vec<&'static str>>>;

/// A socket for which an error and a close event wait.
fn failed() -> (WebSocket, Log) {
    let socket = open("ws://127.0.0.1:1/");
    assert!(socket.wait(None));
    (socket, Log::default())
}

/// What notes that it was called.
fn note(log: &Log, what: &'static str) -> impl FnMut(&WebSocket, &Event) + 'static {
    let log = Rc::clone(log);
    move |_, _| log.borrow_mut().push(what)
}

fn handler(log: &Log, what: &'static str) -> Option<Handler> {
    let log = Rc::clone(log);
    Some(Box::new(move |_| log.borrow_mut().push(what)))
}

#[test]
fn listeners_are_called_in_the_order_in_which_they_were_added() {
    let (socket, log) = failed();
    socket.add_event_listener(EventType::Error, note(&log, "first"));
    socket.set_onerror(handler(&log, "handler"));
    socket.add_event_listener(EventType::Error, note(&log, "last"));
    socket.add_event_listener(EventType::Close, note(&log, "close"));
    socket.add_event_listener(EventType::Open, note(&log, "open"));
    assert_eq!(socket.dispatch_pending(), 2);
    assert_eq!(*log.borrow(), ["first", "handler", "last", "close"]);
}

#[test]
fn a_handler_that_replaces_another_takes_its_place() {
    let (socket, log) = failed();
    socket.set_onerror(handler(&log, "old"));
    socket.add_event_listener(EventType::Error, note(&log, "listener"));
    socket.set_onerror(handler(&log, "new"));
    socket.dispatch_pending();
    assert_eq!(*log.borrow(), ["new", "listener"]);
}

#[test]
fn a_handler_that_was_removed_loses_its_place() {
    let (socket, log) = failed();
    socket.set_onerror(handler(&log, "old"));
    socket.add_event_listener(EventType::Error, note(&log, "listener"));
    socket.set_onerror(None);
    socket.set_onerror(None);
    socket.set_onerror(handler(&log, "new"));
    socket.set_onclose(Some(Box::new(|_, _| panic!("it was removed"))));
    socket.set_onclose(None);
    socket.dispatch_pending();
    assert_eq!(*log.borrow(), ["listener", "new"]);
}

#[test]
fn a_listener_is_removed_by_what_adding_it_gave() {
    let (socket, log) = failed();
    let removed = socket.add_event_listener(EventType::Error, note(&log, "removed"));
    socket.add_event_listener(EventType::Error, note(&log, "kept"));
    assert!(socket.remove_event_listener(removed));
    assert!(!socket.remove_event_listener(removed));
    socket.dispatch_pending();
    assert_eq!(*log.borrow(), ["kept"]);
}

#[test]
fn a_listener_that_wants_one_event_is_gone_before_it_gets_it() {
    let (url, running) = super::scripted(|script| {
        script.accept();
        for _ in 0..2 {
            script.send(newswire::proto::OpCode::Text, "x");
        }
        script.next();
    });
    let socket = super::opened(&url);
    let log = Log::default();
    let id: Rc<Cell<Option<ListenerId>>> = Rc::default();
    let (own_id, own_log) = (Rc::clone(&id), Rc::clone(&log));
    id.set(Some(socket.add_event_listener_once(
        EventType::Message,
        move |socket, _| {
            own_log.borrow_mut().push("once");
            assert!(!socket.remove_event_listener(own_id.get().unwrap()));
        },
    )));
    socket.add_event_listener(EventType::Message, note(&log, "always"));
    super::dispatch_until(&socket, || log.borrow().len() >= 3);
    assert_eq!(*log.borrow(), ["once", "always", "always"]);
    drop(socket);
    super::join(running);
}

#[test]
fn handlers_may_be_changed_while_they_run() {
    let (socket, log) = failed();
    let seen = Rc::clone(&log);
    socket.set_onerror(Some(Box::new(move |socket| {
        seen.borrow_mut().push("error");
        // Itself, by one that is not called for this event.
        socket.set_onerror(Some(Box::new(|_| panic!("replaced in the middle"))));
        socket.set_onerror(None);
        let seen = Rc::clone(&seen);
        socket.set_onclose(Some(Box::new(move |socket, _| {
            seen.borrow_mut().push("close");
            socket.set_onclose(None);
        })));
    })));
    socket.dispatch_pending();
    assert_eq!(*log.borrow(), ["error", "close"]);
}

#[test]
fn listeners_may_be_added_and_removed_while_an_event_is_fired() {
    let (socket, log) = failed();
    let later: Rc<Cell<Option<ListenerId>>> = Rc::default();
    let (seen, victim) = (Rc::clone(&log), Rc::clone(&later));
    socket.add_event_listener(EventType::Error, move |socket, _| {
        seen.borrow_mut().push("first");
        assert!(socket.remove_event_listener(victim.get().unwrap()));
        // One that is added while the event is fired gets the next.
        socket.add_event_listener(EventType::Error, note(&seen, "added"));
        socket.add_event_listener(EventType::Close, note(&seen, "added for close"));
    });
    later.set(Some(
        socket.add_event_listener(EventType::Error, note(&log, "removed")),
    ));
    let seen = Rc::clone(&log);
    socket.add_event_listener(EventType::Error, move |socket, _| {
        seen.borrow_mut().push("second");
        // A handler that is set for the first time is an added listener.
        socket.set_onerror(handler(&seen, "handler"));
    });
    socket.dispatch_pending();
    assert_eq!(*log.borrow(), ["first", "second", "added for close"]);
}

#[test]
fn a_handler_that_is_replaced_before_its_turn_is_called_as_the_new_one() {
    let (socket, log) = failed();
    let seen = Rc::clone(&log);
    socket.add_event_listener(EventType::Error, move |socket, _| {
        socket.set_onerror(handler(&seen, "new"));
    });
    socket.set_onerror(handler(&log, "old"));
    socket.dispatch_pending();
    assert_eq!(*log.borrow(), ["new"]);
}

#[test]
fn a_dispatch_within_a_handler_does_nothing() {
    let (socket, log) = failed();
    let seen = Rc::clone(&log);
    socket.set_onerror(Some(Box::new(move |socket| {
        assert_eq!(socket.dispatch_pending(), 0);
        assert_eq!(socket.next_event(Duration::from_secs(60)), None);
        socket.run();
        seen.borrow_mut().push("error");
    })));
    socket.add_event_listener(EventType::Close, note(&log, "close"));
    socket.dispatch_pending();
    assert_eq!(*log.borrow(), ["error", "close"]);
}

#[test]
fn a_handler_that_panics_leaves_the_rest_for_the_next_dispatch() {
    let (socket, log) = failed();
    socket.set_onerror(Some(Box::new(|_| panic!("on purpose"))));
    socket.add_event_listener(EventType::Close, note(&log, "close"));
    let panicked = catch_unwind(AssertUnwindSafe(|| socket.dispatch_pending()));
    assert!(panicked.is_err());
    assert!(log.borrow().is_empty());
    assert_eq!(socket.dispatch_pending(), 1);
    assert_eq!(*log.borrow(), ["close"]);
}

#[test]
fn next_event_calls_handlers_too() {
    let (socket, log) = failed();
    socket.set_onerror(handler(&log, "error"));
    socket.add_event_listener(EventType::Close, note(&log, "close"));
    assert_eq!(socket.next_event(Duration::ZERO), Some(Event::Error));
    assert_eq!(*log.borrow(), ["error"]);
    let close = socket.next_event(Duration::ZERO).unwrap();
    assert_eq!(close.event_type().as_str(), "close");
    assert_eq!(*log.borrow(), ["error", "close"]);
    assert_eq!(socket.next_event(Duration::from_secs(60)), None);
}

#[test]
fn a_handler_may_own_the_socket_and_drop_it_afterwards() {
    // A cycle that the handler itself breaks, as programs in other languages have it.
    let socket = Rc::new(open("ws://127.0.0.1:1/"));
    let own = RefCell::new(Some(Rc::clone(&socket)));
    socket.set_onclose(Some(Box::new(move |socket, _| {
        drop(own.take());
        socket.set_onclose(None);
    })));
    wait_until(|| {
        socket.dispatch_pending();
        Rc::strong_count(&socket) == 1
    });
}
