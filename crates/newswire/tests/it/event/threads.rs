//! Who runs the tasks: wakers, waits, sockets on threads of their own, and the one thread for I/O.

use super::{Background, next, next_close, next_text, open, opened, wait_until};
use crate::support::PATIENCE;
use newswire::event::{Event, Options, ReadyState, RemoteError, SpawnError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn run_calls_the_handlers_until_the_socket_is_closed() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    socket.set_onopen(Some(Box::new(|socket| {
        socket.send("WebSocket rocks").unwrap()
    })));
    socket.set_onmessage(Some(Box::new(|socket, event| {
        assert_eq!(event.data.as_text(), Some("WebSocket rocks"));
        socket.close(Some(1000), Some("seen it")).unwrap();
    })));
    let (tell, told) = mpsc::channel();
    socket.set_onclose(Some(Box::new(move |_, event| {
        tell.send((event.was_clean, event.code.0)).unwrap();
    })));
    socket.run();
    assert_eq!(told.try_recv(), Ok((true, 1000)));
    // There is nothing more to run.
    socket.run();
}

#[test]
fn the_waker_is_called_once_until_the_next_dispatch() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    socket.set_waker(Some(Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    })));
    let called = || calls.swap(0, Ordering::SeqCst);
    wait_until(|| calls.load(Ordering::SeqCst) == 1);
    called();
    assert_eq!(socket.dispatch_pending(), 1);
    // That the message is written is worth a turn, and that it is answered another.
    let mut messages = 0;
    socket.send("x").unwrap();
    while messages == 0 {
        wait_until(|| calls.load(Ordering::SeqCst) > 0);
        assert_eq!(called(), 1);
        messages += socket.dispatch_pending();
    }
    // What waits when a waker is set wakes at once.
    socket.set_waker(None);
    socket.send("y").unwrap();
    thread::sleep(Duration::from_millis(50));
    assert!(socket.wait(Some(PATIENCE)));
    assert_eq!(called(), 0);
    let count = Arc::clone(&calls);
    socket.set_waker(Some(Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    })));
    assert_eq!(called(), 1);
}

#[test]
fn waiting_takes_no_longer_than_it_may() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo"));
    let begun = Instant::now();
    assert!(!socket.wait(Some(Duration::from_millis(30))));
    assert_eq!(socket.next_event(Duration::from_millis(30)), None);
    assert!(begun.elapsed() >= Duration::from_millis(60));
    assert!(begun.elapsed() < PATIENCE);
    // Longer than there is time.
    socket.send("x").unwrap();
    assert!(socket.wait(Some(Duration::MAX)));
    assert!(matches!(
        socket.next_event(Duration::MAX),
        Some(Event::Message(_))
    ));
}

#[test]
fn nothing_is_waited_for_on_a_closed_socket() {
    let socket = open("ws://127.0.0.1:1/");
    assert_eq!(next(&socket), Event::Error);
    // The rest of the task counts as waiting.
    assert!(socket.wait(None));
    next_close(&socket);
    assert!(!socket.wait(None));
    assert_eq!(socket.next_event(Duration::MAX), None);
}

#[test]
fn a_spawned_socket_calls_its_handlers_on_a_thread_of_its_own() {
    let server = Background::echo();
    let (tell, told) = mpsc::channel();
    let here = thread::current().id();
    let remote = Options::new()
        .spawn(&server.url("/echo"), (), move |socket| {
            assert_ne!(thread::current().id(), here);
            assert_eq!(socket.ready_state(), ReadyState::Connecting);
            socket.set_onopen(Some(Box::new(|socket| socket.send("hello").unwrap())));
            let messages = tell.clone();
            socket.set_onmessage(Some(Box::new(move |_, event| {
                messages
                    .send(event.data.as_text().unwrap().to_owned())
                    .unwrap();
            })));
            socket.set_onclose(Some(Box::new(move |_, event| {
                tell.send(event.code.to_string()).unwrap();
            })));
        })
        .unwrap();
    let told = || told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told(), "hello");
    assert_eq!(
        remote.call(|socket| socket.ready_state()),
        Ok(ReadyState::Open)
    );
    let sent = remote.call(|socket| {
        socket.send("from elsewhere")?;
        Ok::<_, newswire::event::DomException>(socket.buffered_amount())
    });
    assert_eq!(sent, Ok(Ok(14)));
    assert_eq!(told(), "from elsewhere");
    assert!(remote.post(|socket| socket.close(Some(3000), None).unwrap()));
    assert_eq!(told(), "3000");
    // The socket is still there for who asks.
    assert_eq!(
        remote.call(|socket| socket.ready_state()),
        Ok(ReadyState::Closed)
    );
}

#[test]
fn a_spawned_socket_goes_on_when_its_remote_is_dropped() {
    let server = Background::echo();
    let (tell, told) = mpsc::channel();
    let remote = Options::new().spawn(&server.url("/echo"), (), move |socket| {
        socket.set_onopen(Some(Box::new(|socket| socket.send("hello").unwrap())));
        socket.set_onmessage(Some(Box::new(|socket, _| {
            socket.close(None, None).unwrap()
        })));
        // Dropped with the socket, when its thread ends.
        socket.set_onclose(Some(Box::new(move |_, event| {
            tell.send(event.was_clean).unwrap();
        })));
    });
    drop(remote.unwrap());
    assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
    assert_eq!(
        told.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
}

#[test]
fn what_is_posted_runs_in_its_order_between_events() {
    let server = Background::echo();
    let socket = open(&server.url("/echo"));
    let remote = socket.remote();
    let (tell, told) = mpsc::channel();
    let posting = thread::spawn(move || {
        for n in 0..100 {
            let tell = tell.clone();
            assert!(remote.clone().post(move |socket| {
                tell.send((n, socket.ready_state())).unwrap();
            }));
        }
    });
    posting.join().unwrap();
    // Nothing runs before the owner wants it.
    assert!(told.try_recv().is_err());
    assert_eq!(next(&socket), Event::Open);
    socket.dispatch_pending();
    let ran: Vec<_> = told.try_iter().collect();
    assert!(ran.iter().map(|(n, _)| *n).eq(0..100));
    assert!(ran.is_sorted_by_key(|(_, state)| *state));
}

#[test]
fn a_remote_of_a_socket_that_is_gone_says_so() {
    let server = Background::echo();
    let socket = opened(&server.url("/echo"));
    let remote = socket.remote();
    assert_eq!(remote.call(|_| ()), Err(RemoteError::OwnThread));
    let waiting = {
        let remote = remote.clone();
        thread::spawn(move || remote.call(|_| ()))
    };
    // Its task waits, or it comes too late: either way it is told.
    assert!(socket.wait(Some(PATIENCE)));
    drop(socket);
    assert_eq!(waiting.join().unwrap(), Err(RemoteError::Gone));
    assert!(!remote.post(|_| ()));
    assert_eq!(remote.call(|_| ()), Err(RemoteError::OwnThread));
}

#[test]
fn a_spawned_sockets_constructor_throws_at_once() {
    let spawned = Options::new().spawn("ws://localhost/#", (), |_| panic!("never made"));
    match spawned.unwrap_err() {
        SpawnError::Exception(exception) => assert_eq!(exception.name(), "SyntaxError"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_spawned_socket_whose_handler_panics_is_gone() {
    let server = Background::echo();
    let remote = Options::new().spawn(&server.url("/echo"), (), |_| ());
    let remote = remote.unwrap();
    let failed = remote.call(|_| -> () { panic!("on purpose") });
    assert_eq!(failed, Err(RemoteError::Gone));
    wait_until(|| !remote.post(|_| ()));
}

/// The names of this process's threads.
#[cfg(target_os = "linux")]
fn thread_names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    // A thread may end meanwhile.
    tasks.filter_map(|task| name(task.ok()?).ok()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn all_sockets_share_one_thread_for_their_io() {
    let server = Background::echo();
    let sockets: Vec<_> = (0..20).map(|_| opened(&server.url("/echo"))).collect();
    let names = thread_names();
    let io = names.iter().filter(|name| name.trim() == "newswire-io");
    assert_eq!(io.count(), 1, "{names:?}");
    for socket in &sockets {
        socket.send("x").unwrap();
    }
    for socket in &sockets {
        assert_eq!(next_text(socket), "x");
    }
}

#[test]
fn a_busy_owner_does_not_hold_up_other_sockets() {
    let server = Background::echo();
    let busy = opened(&server.url("/echo"));
    for _ in 0..100 {
        busy.send(vec![0; 100_000]).unwrap();
    }
    // It never dispatches; the other one lives on.
    let other = opened(&server.url("/echo"));
    for _ in 0..10 {
        other.send("x").unwrap();
        assert_eq!(next_text(&other), "x");
    }
    drop(busy);
}
