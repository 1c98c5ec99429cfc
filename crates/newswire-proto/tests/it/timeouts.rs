//! Deadlines: silence, unread output, closing handshakes that do not end.

use crate::support::{Pair, connection, deliver, frame};
use bytes::Buf;
use newswire_proto::{CloseCode, Config, Connection, Event, Failure, OpCode, Role, State};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_idle_connection_stays_open_because_pings_are_answered() {
    let mut pair = Pair::new(Config::new().idle_timeout(Some(60 * SECOND)));
    pair.sleep(3600 * SECOND);
    assert_eq!(pair.client.connection.state(), State::Open);
    assert_eq!(pair.server.connection.state(), State::Open);
    assert!(
        pair.client
            .events
            .iter()
            .any(|e| matches!(e, Event::Ping(_)))
    );
}

#[test]
fn a_peer_that_vanishes_is_let_go_between_one_and_one_and_a_half_idle_timeouts() {
    let mut pair = Pair::new(Config::new().idle_timeout(Some(60 * SECOND)));
    pair.client.connection.send("last sign".into()).unwrap();
    pair.sleep(SECOND);
    pair.client.silent = true;
    pair.sleep(59 * SECOND);
    assert_eq!(pair.server.connection.state(), State::Open);
    pair.sleep(31 * SECOND);
    assert_eq!(pair.server.connection.failure(), Some(Failure::IdleTimeout));
    assert_eq!(pair.server.events.last(), Some(&Event::Closed));
}

#[test]
fn the_idle_timeout_can_be_switched_off() {
    let mut end = connection(Role::Server, Config::new().idle_timeout(None));
    assert_eq!(end.poll_timeout(), None);
}

#[test]
fn a_peer_is_not_silent_while_nobody_listens() {
    let mut server = connection(Role::Server, Config::new());
    for _ in 0..10 {
        assert!(server.poll_timeout().is_some());
        server.handle_timeout(false);
    }
    assert_eq!(server.state(), State::Open);
    assert_eq!(server.buffered_amount(), 0);
}

/// The failure after two whole checks in which `between` happened.
fn after_checks(server: &mut Connection, between: impl FnMut(&mut Connection)) -> Option<Failure> {
    server.poll_timeout().expect("a check is due");
    after_checks_of(server, 3, between)
}

fn after_checks_of(
    server: &mut Connection,
    checks: usize,
    mut between: impl FnMut(&mut Connection),
) -> Option<Failure> {
    for _ in 0..checks {
        between(server);
        server.handle_timeout(true);
        if server.failure().is_some() {
            break;
        }
        server.poll_timeout().expect("a check is due");
    }
    server.failure()
}

#[test]
fn a_frame_that_trickles_counts_as_silence() {
    let mut server = connection(Role::Server, Config::new());
    let bytes = frame(Role::Client, true, OpCode::Binary, &[0; 5000]);
    let mut bytes = bytes.chunks(30);
    let failure = after_checks(&mut server, |server| {
        deliver(server, bytes.next().unwrap());
    });
    assert_eq!(failure, Some(Failure::IdleTimeout));
}

#[test]
fn small_messages_count_as_life() {
    let mut server = connection(Role::Server, Config::new());
    let failure = after_checks(&mut server, |server| {
        deliver(server, &frame(Role::Client, true, OpCode::Text, b""));
    });
    assert_eq!(failure, None);
}

#[test]
fn a_peer_that_does_not_read_is_let_go_though_it_sends() {
    let mut server = connection(Role::Server, Config::new());
    server.send("unread".into()).unwrap();
    let failure = after_checks(&mut server, |server| {
        deliver(server, &frame(Role::Client, true, OpCode::Text, b"x"));
    });
    assert_eq!(failure, Some(Failure::WriteTimeout));
}

#[test]
fn a_peer_that_reads_slowly_is_kept() {
    let mut server = connection(Role::Server, Config::new());
    server.send("read one byte at a time".into()).unwrap();
    let failure = after_checks(&mut server, |server| {
        deliver(server, &frame(Role::Client, true, OpCode::Text, b"x"));
        server.poll_transmit().unwrap().advance(1);
    });
    assert_eq!(failure, None);
}

#[test]
fn a_close_that_is_not_answered_ends_at_the_close_timeout() {
    let mut pair = Pair::new(Config::new().close_timeout(5 * SECOND));
    pair.talk();
    pair.client.silent = true;
    pair.server
        .connection
        .close(CloseCode::GOING_AWAY, "")
        .unwrap();
    pair.sleep(4 * SECOND);
    assert_eq!(pair.server.connection.state(), State::Closing);
    pair.sleep(2 * SECOND);
    assert_eq!(
        pair.server.connection.failure(),
        Some(Failure::CloseTimeout)
    );
    assert_eq!(pair.server.events, [Event::Closed]);
}

#[test]
fn a_server_that_never_ends_the_transport_is_left_after_the_close_timeout() {
    let mut client = connection(Role::Client, Config::new());
    client.poll_timeout();
    deliver(&mut client, &frame(Role::Server, true, OpCode::Close, b""));
    let output = client.poll_transmit().unwrap();
    output.advance(output.remaining());
    assert_eq!(client.poll_timeout(), Some(5 * SECOND));
    client.handle_timeout(true);
    assert_eq!(client.poll_event(), Some(Event::Closed));
    assert_eq!(client.failure(), None, "the closing handshake was complete");
}

#[test]
fn data_during_the_closing_handshake_does_not_put_its_end_off() {
    let mut server = connection(Role::Server, Config::new());
    server.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(server.poll_timeout(), Some(5 * SECOND));
    deliver(
        &mut server,
        &frame(Role::Client, true, OpCode::Text, b"more"),
    );
    assert_eq!(server.poll_timeout(), None);
    server.handle_timeout(true);
    assert_eq!(server.failure(), Some(Failure::CloseTimeout));
}

/// A server that has something to write which the transport does not take.
fn blocked(config: Config) -> Connection {
    let mut server = connection(Role::Server, config);
    server.poll_timeout();
    server.send("unread".into()).unwrap();
    server.handle_write_blocked();
    server
}

#[test]
fn a_write_timeout_that_is_shorter_than_the_idle_timeout_counts_from_the_blocked_write() {
    for idle in [None, Some(3600 * SECOND)] {
        let config = Config::new().idle_timeout(idle);
        let mut server = blocked(config.write_timeout(Some(10 * SECOND)));
        assert_eq!(server.poll_timeout(), Some(5 * SECOND));
        server.handle_write_blocked();
        assert_eq!(server.poll_timeout(), None, "it is waited for already");
        server.handle_timeout(true);
        assert_eq!(server.state(), State::Open);
        assert_eq!(server.poll_timeout(), Some(5 * SECOND));
        server.handle_timeout(true);
        assert_eq!(server.failure(), Some(Failure::WriteTimeout));
    }
}

#[test]
fn a_peer_that_reads_a_little_of_a_blocked_write_is_kept() {
    let config = Config::new().write_timeout(Some(10 * SECOND));
    let mut server = blocked(config.idle_timeout(None));
    for _ in 0..6 {
        assert_eq!(server.poll_timeout(), Some(5 * SECOND));
        server.poll_transmit().unwrap().advance(1);
        server.handle_timeout(true);
        assert_eq!(server.state(), State::Open);
    }
    assert_eq!(server.poll_timeout(), Some(5 * SECOND));
    server.poll_transmit().unwrap().advance(2);
    server.handle_timeout(true);
    assert_eq!(server.poll_timeout(), None, "nothing is to be waited for");
}

#[test]
fn when_all_is_written_silence_counts_again() {
    let config = Config::new()
        .idle_timeout(Some(60 * SECOND))
        .write_timeout(Some(SECOND));
    let mut server = blocked(config);
    assert_eq!(server.poll_timeout(), Some(SECOND / 2));
    let output = server.poll_transmit().unwrap();
    output.advance(output.remaining());
    server.handle_timeout(true);
    assert_eq!(server.poll_timeout(), Some(30 * SECOND));
    server.handle_timeout(true);
    let output = server.poll_transmit().expect("a ping");
    output.advance(output.remaining());
    assert_eq!(server.poll_timeout(), Some(30 * SECOND));
    server.handle_timeout(true);
    assert_eq!(server.failure(), Some(Failure::IdleTimeout));
}

#[test]
fn a_write_timeout_that_is_longer_than_the_idle_timeout_is_kept_too() {
    let config = Config::new()
        .idle_timeout(Some(10 * SECOND))
        .write_timeout(Some(60 * SECOND));
    let mut server = blocked(config);
    server.poll_timeout();
    let mut checks = 0;
    while server.failure().is_none() {
        checks += 1;
        // It talks, and does not read.
        deliver(&mut server, &frame(Role::Client, true, OpCode::Text, b"x"));
        server.handle_timeout(true);
        assert!(checks < 100, "it is never let go");
        server.poll_timeout();
    }
    assert_eq!(server.failure(), Some(Failure::WriteTimeout));
    assert!((12..=18).contains(&checks), "{checks} checks of 5 s");
}

#[test]
fn the_write_timeout_can_be_switched_off_alone() {
    let mut server = blocked(Config::new().write_timeout(None));
    let failure = after_checks_of(&mut server, 70_000, |server| {
        deliver(server, &frame(Role::Client, true, OpCode::Text, b"x"));
    });
    assert_eq!(failure, None);
}

#[test]
fn a_keepalive_ping_holds_what_the_driver_gives_and_no_more_than_fits() {
    let mut server = connection(Role::Server, Config::new());
    server.poll_timeout();
    assert!(server.handle_timeout_with_ping(true, b"which one"));
    let output = server.poll_transmit().unwrap();
    assert_eq!(output.chunk(), b"\x89\x09which one");
    output.advance(output.remaining());
    deliver(&mut server, &frame(Role::Client, true, OpCode::Pong, b""));
    assert!(!server.handle_timeout_with_ping(true, b"not needed"));
    assert!(server.handle_timeout_with_ping(true, &[7; 200]));
    let output = server.poll_transmit().unwrap();
    assert_eq!((output.remaining(), output.chunk()[1]), (127, 125));
}
