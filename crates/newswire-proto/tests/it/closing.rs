//! RFC 6455 §7: the closing handshake in all its orders.

use crate::support::{Pair, Script, close_payload, connection, deliver, frame, parse, written};
use newswire_proto::{
    CloseCode, CommandError, Config, Event, Failure, OpCode, ProtocolError, Role, Side, State,
};

#[test]
fn a_close_is_answered_with_its_code_and_reason_and_the_server_ends_first() {
    let outcome = Script::to(Role::Server).close(1000, "bye").play();
    assert_eq!(outcome.sent_closes, [close_payload(1000, "bye")]);
    assert_eq!(outcome.events, [Event::Closed]);
    assert_eq!(outcome.state, State::Closed);
    let frame = outcome.close_frame.unwrap();
    assert_eq!(
        (frame.code, frame.reason.as_str()),
        (CloseCode::NORMAL, "bye")
    );
}

#[test]
fn a_client_waits_for_the_server_to_end_the_transport() {
    let script = Script::to(Role::Client).close(1000, "");
    assert_eq!(script.play().state, State::Closing);
    let outcome = script.eof().play();
    assert_eq!(outcome.events, [Event::Closed]);
    assert_eq!(outcome.failure, None);
}

#[test]
fn an_empty_close_is_answered_with_an_empty_one() {
    let outcome = Script::to(Role::Server)
        .frame(true, OpCode::Close, "")
        .play();
    assert_eq!(outcome.sent_closes, [b""]);
    assert_eq!(outcome.close_frame.unwrap().code, CloseCode::NO_STATUS);
}

#[test]
fn codes_that_may_travel_are_answered_and_others_are_protocol_errors() {
    for code in [
        1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999,
    ] {
        let outcome = Script::to(Role::Server).close(code, "").play();
        assert_eq!(outcome.failure, None, "{code}");
        assert_eq!(outcome.sent_closes, [code.to_be_bytes()]);
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        Script::to(Role::Server)
            .close(code, "")
            .play()
            .assert_failed(ProtocolError::InvalidCloseCode(code), 1002);
    }
}

#[test]
fn a_close_of_one_byte_is_a_protocol_error() {
    Script::to(Role::Server)
        .frame(true, OpCode::Close, "x")
        .play()
        .assert_failed(ProtocolError::CloseTooShort, 1002);
}

#[test]
fn a_reason_that_is_not_utf8_is_answered_with_1007() {
    Script::to(Role::Server)
        .frame(true, OpCode::Close, b"\x03\xe8\xce\xba\xff")
        .play()
        .assert_failed(ProtocolError::InvalidUtf8, 1007);
}

#[test]
fn nothing_after_a_close_is_looked_at() {
    let outcome = Script::to(Role::Server)
        .close(1000, "")
        .text("too late")
        .raw(b"\xff\xff\xff")
        .play();
    assert_eq!(outcome.events, [Event::Closed]);
    assert_eq!(outcome.failure, None);
}

#[test]
fn messages_still_come_after_our_close_until_the_peer_closes_too() {
    let mut client = connection(Role::Client, Config::new());
    client.close(CloseCode::NORMAL, "done").unwrap();
    assert_eq!(client.state(), State::Closing);
    let close = parse(&written(&mut client));
    assert_eq!(close, [(OpCode::Close, true, close_payload(1000, "done"))]);
    let events = deliver(
        &mut client,
        &frame(Role::Server, true, OpCode::Text, b"late"),
    );
    assert_eq!(events, [Event::Message("late".into())]);
    let reply = frame(Role::Server, true, OpCode::Close, &close_payload(1000, ""));
    assert_eq!(deliver(&mut client, &reply), []);
    client.handle_eof();
    assert_eq!(client.poll_event(), Some(Event::Closed));
    assert_eq!(client.poll_event(), None);
    assert_eq!(client.failure(), None);
    assert_eq!(client.closed_by(), Some(Side::Local));
}

#[test]
fn nothing_can_be_sent_once_closing() {
    let mut server = connection(Role::Server, Config::new());
    server.close(CloseCode::GOING_AWAY, "").unwrap();
    let refused = server.send("late".into()).unwrap_err();
    assert_eq!(refused.0, "late".into());
    assert_eq!(server.ping(b""), Err(CommandError::Closing));
    assert_eq!(
        server.close(CloseCode::NORMAL, ""),
        Err(CommandError::Closing)
    );
    assert_eq!(parse(&written(&mut server)).len(), 1);
    // A ping is answered all the same, until the peer has closed too.
    deliver(&mut server, &frame(Role::Client, true, OpCode::Ping, b"?"));
    let pong = (OpCode::Pong, true, b"?".to_vec());
    assert_eq!(parse(&written(&mut server)), [pong]);
}

#[test]
fn codes_and_reasons_of_ours_that_may_not_travel_are_refused() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let mut client = connection(Role::Client, Config::new());
        let refused = client.close(CloseCode(code), "x").unwrap_err();
        assert_eq!(refused, CommandError::CloseCode(code));
        assert_eq!(client.state(), State::Open);
    }
    let mut client = connection(Role::Client, Config::new());
    let long = "x".repeat(124);
    let refused = client.close(CloseCode::NORMAL, long.as_str()).unwrap_err();
    assert_eq!(refused, CommandError::TooLong { len: 124, max: 123 });
    client.close(CloseCode::NO_STATUS, "").unwrap();
    assert_eq!(
        parse(&written(&mut client)),
        [(OpCode::Close, true, vec![])]
    );
}

#[test]
fn both_ends_may_close_at_once() {
    let mut pair = Pair::new(Config::new());
    pair.client.connection.close(CloseCode(3001), "c").unwrap();
    pair.server.connection.close(CloseCode(3002), "s").unwrap();
    pair.talk();
    for (end, code) in [(&pair.client, 3002), (&pair.server, 3001)] {
        assert_eq!(end.events, [Event::Closed]);
        assert_eq!(end.connection.failure(), None);
        assert_eq!(end.connection.close_frame().unwrap().code, CloseCode(code));
        assert_eq!(end.connection.closed_by(), Some(Side::Local));
    }
}

#[test]
fn either_end_may_close_after_what_it_has_sent() {
    for client_begins in [true, false] {
        let mut pair = Pair::new(Config::new());
        let end = if client_begins {
            &mut pair.client
        } else {
            &mut pair.server
        };
        end.connection.send("last words".into()).unwrap();
        end.connection.close(CloseCode::NORMAL, "").unwrap();
        pair.talk();
        let (this, other) = if client_begins {
            (&pair.client, &pair.server)
        } else {
            (&pair.server, &pair.client)
        };
        let words = Event::Message("last words".into());
        assert_eq!(this.events, [Event::Closed]);
        assert_eq!(other.events, [words, Event::Closed]);
        assert_eq!(other.connection.closed_by(), Some(Side::Remote));
        assert_eq!(this.connection.failure(), None);
        assert_eq!(other.connection.failure(), None);
    }
}

#[test]
fn a_transport_that_ends_without_a_close_is_a_lost_connection() {
    for script in [
        Script::to(Role::Client).text("whole"),
        Script::to(Role::Client).text("whole").raw(b"\x81\x05Hel"),
    ] {
        let outcome = script.eof().play();
        assert_eq!(outcome.failure, Some(Failure::Lost));
        assert_eq!(
            outcome.events,
            [Event::Message("whole".into()), Event::Closed]
        );
        assert_eq!(outcome.close_frame, None);
    }
}

#[test]
fn a_failed_connection_waits_for_the_peers_end_so_that_the_peer_reads_why() {
    let mut server = connection(Role::Server, Config::new());
    let unmasked = frame(Role::Server, true, OpCode::Text, b"x");
    assert_eq!(deliver(&mut server, &unmasked), []);
    assert!(!server.wants_shutdown());
    assert_eq!(parse(&written(&mut server))[0].2, close_payload(1002, ""));
    assert!(server.wants_shutdown());
    assert_eq!(server.state(), State::Closing);
    assert_eq!(deliver(&mut server, b"whatever else was on its way"), []);
    server.handle_eof();
    assert_eq!(server.poll_event(), Some(Event::Closed));
}

#[test]
fn a_failure_after_our_close_sends_no_second_close() {
    let mut client = connection(Role::Client, Config::new());
    client.close(CloseCode::NORMAL, "").unwrap();
    written(&mut client);
    deliver(&mut client, b"\xff\xff");
    assert!(matches!(client.failure(), Some(Failure::Protocol(_))));
    assert_eq!(written(&mut client), b"");
}

#[test]
fn a_peer_that_closes_its_sending_half_still_gets_our_answer() {
    let mut server = connection(Role::Server, Config::new());
    let close = frame(Role::Client, true, OpCode::Close, b"");
    deliver(&mut server, &close);
    server.handle_eof();
    assert_eq!(server.poll_event(), None);
    assert_eq!(
        parse(&written(&mut server)),
        [(OpCode::Close, true, vec![])]
    );
    assert_eq!(server.poll_event(), Some(Event::Closed));
    assert_eq!(server.failure(), None);
}

#[test]
fn a_transport_that_takes_no_more_can_still_be_read() {
    let mut server = connection(Role::Server, Config::new());
    server.send("never arrives".into()).unwrap();
    server.handle_write_end();
    assert_eq!(server.buffered_amount(), 0);
    assert_eq!(server.state(), State::Closing);
    server.send("nor this".into()).unwrap_err();
    let text = frame(Role::Client, true, OpCode::Text, b"last words");
    let ping = frame(Role::Client, true, OpCode::Ping, b"");
    let events = deliver(&mut server, &[text, ping].concat());
    assert_eq!(events[0], Event::Message("last words".into()));
    assert_eq!(written(&mut server), b"");
    server.handle_eof();
    assert_eq!(server.poll_event(), Some(Event::Closed));
    assert_eq!(server.failure(), Some(Failure::Lost));
}

#[test]
fn a_failed_connection_looks_at_nothing_more_not_even_a_close() {
    for role in [Role::Client, Role::Server] {
        let outcome = Script::to(role)
            .frame(true, OpCode::Continuation, "")
            .text("not heard")
            .close(1000, "")
            .play();
        outcome.assert_failed(ProtocolError::UnexpectedContinuation, 1002);
        assert_eq!(outcome.events, []);
        assert_eq!(outcome.close_frame, None);
    }
}
