//! RFC 6455 §5.4: messages in fragments.

use crate::support::Script;
use newswire_proto::{Event, OpCode, ProtocolError, Role};

#[test]
fn fragments_become_one_message_with_control_frames_in_between() {
    let outcome = Script::to(Role::Server)
        .frame(false, OpCode::Text, "Web")
        .ping("1")
        .frame(false, OpCode::Continuation, "")
        .frame(false, OpCode::Continuation, "Socket ")
        .frame(true, OpCode::Pong, "2")
        .frame(true, OpCode::Continuation, "rocks")
        .play();
    outcome.assert_messages(&["WebSocket rocks".into()]);
    assert!(matches!(outcome.events[0], Event::Ping(_)));
    assert!(matches!(outcome.events[1], Event::Pong(_)));
}

#[test]
fn an_empty_message_is_a_message_whole_or_in_fragments() {
    Script::to(Role::Client)
        .text("")
        .frame(false, OpCode::Binary, "")
        .frame(true, OpCode::Continuation, "")
        .binary("")
        .play()
        .assert_messages(&["".into(), b"".into(), b"".into()]);
}

#[test]
fn a_continuation_with_nothing_to_continue_fails_the_connection() {
    for fin in [false, true] {
        Script::to(Role::Server)
            .frame(fin, OpCode::Continuation, "x")
            .play()
            .assert_failed(ProtocolError::UnexpectedContinuation, 1002);
        Script::to(Role::Server)
            .frame(false, OpCode::Text, "a")
            .frame(true, OpCode::Continuation, "b")
            .frame(fin, OpCode::Continuation, "c")
            .play()
            .assert_failed(ProtocolError::UnexpectedContinuation, 1002);
    }
}

#[test]
fn a_new_message_inside_a_fragmented_one_fails_the_connection() {
    for opcode in [OpCode::Text, OpCode::Binary] {
        for fin in [false, true] {
            Script::to(Role::Server)
                .frame(false, OpCode::Text, "a")
                .frame(fin, opcode, "b")
                .play()
                .assert_failed(ProtocolError::UnfinishedMessage, 1002);
        }
    }
}

#[test]
fn tens_of_thousands_of_fragments_are_bound_by_their_bytes_not_their_number() {
    use crate::support::{connection, deliver, frame};
    let mut server = connection(Role::Server, newswire_proto::Config::new());
    let first = frame(Role::Client, false, OpCode::Binary, b"");
    let middle = frame(Role::Client, false, OpCode::Continuation, b"x");
    let last = frame(Role::Client, true, OpCode::Continuation, b"");
    assert_eq!(deliver(&mut server, &first), []);
    assert_eq!(deliver(&mut server, &middle.repeat(65_536)), []);
    let message = vec![b'x'; 65_536].into();
    assert_eq!(deliver(&mut server, &last), [Event::Message(message)]);
}
