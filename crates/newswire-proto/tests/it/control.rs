//! RFC 6455 §5.5: pings, pongs and the limits of control frames.

use crate::support::{Script, connection, deliver, frame, parse, written};
use bytes::{Buf, Bytes};
use newswire_proto::{CommandError, Config, Event, OpCode, ProtocolError, Role};

#[test]
fn a_ping_is_answered_with_its_own_payload() {
    for role in [Role::Client, Role::Server] {
        let mut end = connection(role, Config::new());
        let payload = [7; 125];
        let events = deliver(&mut end, &frame(role.peer(), true, OpCode::Ping, &payload));
        assert_eq!(events, [Event::Ping(Bytes::copy_from_slice(&payload))]);
        let answer = parse(&written(&mut end));
        assert_eq!(answer, [(OpCode::Pong, true, payload.to_vec())]);
    }
}

#[test]
fn pings_that_come_together_are_all_answered_in_their_order() {
    let mut server = connection(Role::Server, Config::new());
    server.send("queued".into()).unwrap();
    let pings: Vec<u8> = (0..10_u8)
        .flat_map(|n| frame(Role::Client, true, OpCode::Ping, &[n]))
        .collect();
    deliver(&mut server, &pings);
    let frames = parse(&written(&mut server));
    let pongs: Vec<_> = frames[..10].iter().map(|f| (f.0, f.2[0])).collect();
    assert_eq!(
        pongs,
        (0..10).map(|n| (OpCode::Pong, n)).collect::<Vec<_>>()
    );
    assert_eq!(frames[10].2, b"queued");
}

#[test]
fn only_the_newest_unanswered_ping_is_answered_when_many_wait() {
    let mut server = connection(Role::Server, Config::new());
    for n in 0..100_u8 {
        let ping = frame(Role::Client, true, OpCode::Ping, &[n; 100]);
        deliver(&mut server, &ping);
    }
    let mut pongs = parse(&written(&mut server));
    pongs.extend(parse(&written(&mut server)));
    let payloads: Vec<_> = pongs.iter().map(|f| f.2[0]).collect();
    // As many as fit, without a gap, then the newest.
    assert_eq!(payloads, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99]);
}

#[test]
fn pong_is_sent_before_queued_data() {
    let mut server = connection(Role::Server, Config::new());
    server.send("small".into()).unwrap();
    server.send(vec![1; 100_000].into()).unwrap();
    deliver(
        &mut server,
        &frame(Role::Client, true, OpCode::Ping, b"now"),
    );
    let opcodes: Vec<_> = parse(&written(&mut server))
        .into_iter()
        .map(|f| f.0)
        .collect();
    assert_eq!(opcodes, [OpCode::Pong, OpCode::Text, OpCode::Binary]);
}

#[test]
fn pong_never_splits_a_frame_that_is_already_on_its_way() {
    let mut server = connection(Role::Server, Config::new());
    server.send("first".into()).unwrap();
    server.send(vec![1; 100_000].into()).unwrap();
    let total = server.buffered_amount();
    for cut in [1, 2, 6, 7, 8, 9, 20, 17_000, total - 1] {
        let mut server = connection(Role::Server, Config::new());
        server.send("first".into()).unwrap();
        server.send(vec![1; 100_000].into()).unwrap();
        let output = server.poll_transmit().unwrap();
        let mut wire = output.copy_to_bytes(cut).to_vec();
        server.send("later".into()).unwrap();
        for payload in [b"now", b"too"] {
            let ping = frame(Role::Client, true, OpCode::Ping, payload);
            deliver(&mut server, &ping);
        }
        wire.extend(written(&mut server));
        let frames = parse(&wire);
        assert_eq!(frames[0].2, b"first");
        assert_eq!(frames[1].2, vec![1; 100_000]);
        let opcodes: Vec<_> = frames.iter().map(|f| f.0).collect();
        let expected = [OpCode::Pong, OpCode::Pong, OpCode::Text];
        assert_eq!(opcodes[2..], expected, "cut at {cut}");
    }
}

#[test]
fn a_flood_of_pings_that_nobody_reads_the_answers_of_holds_a_kilobyte() {
    let mut server = connection(Role::Server, Config::new());
    server.send("waiting".into()).unwrap();
    // The transport takes one byte and then nothing more.
    server.poll_transmit().unwrap().advance(1);
    for _ in 0..10_000 {
        deliver(
            &mut server,
            &frame(Role::Client, true, OpCode::Ping, &[1; 125]),
        );
        server.poll_transmit();
    }
    assert!(server.buffered_amount() < 1300);
}

#[test]
fn a_pong_that_nobody_asked_for_is_only_reported() {
    let outcome = Script::to(Role::Server)
        .frame(true, OpCode::Pong, "hello")
        .play();
    assert_eq!(outcome.events, [Event::Pong(Bytes::from_static(b"hello"))]);
    assert_eq!(outcome.failure, None);
}

#[test]
fn a_control_frame_in_fragments_fails_the_connection() {
    for opcode in [OpCode::Ping, OpCode::Pong, OpCode::Close] {
        Script::to(Role::Server)
            .frame(false, opcode, "")
            .play()
            .assert_failed(ProtocolError::FragmentedControl, 1002);
    }
}

#[test]
fn a_control_frame_of_126_bytes_fails_the_connection() {
    for opcode in [OpCode::Ping, OpCode::Pong, OpCode::Close] {
        Script::to(Role::Server)
            .frame(true, opcode, [0; 126])
            .play()
            .assert_failed(ProtocolError::ControlTooLong, 1002);
    }
}

#[test]
fn a_ping_of_ours_may_hold_125_bytes_and_no_more() {
    let mut client = connection(Role::Client, Config::new());
    client.ping(&[0; 125]).unwrap();
    let refused = client.ping(&[0; 126]).unwrap_err();
    assert_eq!(refused, CommandError::TooLong { len: 126, max: 125 });
    assert_eq!(parse(&written(&mut client)).len(), 1);
}

#[test]
fn a_ping_inside_a_fragmented_message_is_answered_before_the_message_ends() {
    for role in [Role::Client, Role::Server] {
        let mut end = connection(role, Config::new());
        deliver(&mut end, &frame(role.peer(), false, OpCode::Text, b"a"));
        deliver(&mut end, &frame(role.peer(), true, OpCode::Ping, b"?"));
        let answer = parse(&written(&mut end));
        assert_eq!(answer, [(OpCode::Pong, true, b"?".to_vec())]);
        let last = frame(role.peer(), true, OpCode::Continuation, b"b");
        let events = deliver(&mut end, &last);
        assert_eq!(events, [Event::Message("ab".into())]);
    }
}

#[test]
fn a_ping_before_a_close_is_answered_and_one_behind_it_is_not() {
    let mut server = connection(Role::Server, Config::new());
    let before = frame(Role::Client, true, OpCode::Ping, b"before");
    let close = frame(Role::Client, true, OpCode::Close, b"");
    let behind = frame(Role::Client, true, OpCode::Ping, b"behind");
    deliver(&mut server, &[before, close, behind].concat());
    let pong = (OpCode::Pong, true, b"before".to_vec());
    let close = (OpCode::Close, true, vec![]);
    assert_eq!(parse(&written(&mut server)), [pong, close]);
}

#[test]
fn a_pong_may_be_sent_unsolicited_behind_what_was_sent_before() {
    for role in [Role::Client, Role::Server] {
        let mut end = connection(role, Config::new());
        end.send("before".into()).unwrap();
        end.pong(&[7; 125]).unwrap();
        let frames = parse(&written(&mut end));
        assert_eq!(frames[0].2, b"before");
        assert_eq!(frames[1..], [(OpCode::Pong, true, vec![7; 125])]);
        let too_long = end.pong(&[7; 126]).unwrap_err();
        assert_eq!(too_long, CommandError::TooLong { len: 126, max: 125 });
        end.close(1000.into(), "").unwrap();
        assert_eq!(end.pong(b""), Err(CommandError::Closing));
    }
}
