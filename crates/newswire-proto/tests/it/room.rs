//! Large payloads that are read to where they belong, as a driver does that uses `room`.

use crate::support::{connection, frame, read_in_place};
use bytes::BufMut;
use newswire_proto::{CloseCode, Config, Event, Failure, Message, OpCode, ProtocolError, Role};

fn text(len: usize) -> String {
    "grün ‖ ".chars().cycle().take(len).collect()
}

#[test]
fn a_large_message_is_the_same_however_it_is_read() {
    let text = text(100_000);
    let expected = [
        Event::Message(Message::from(&text[..])),
        Event::Ping("in between".into()),
        Event::Message(Message::from(vec![7; 300_000])),
        Event::Message(Message::from("small")),
    ];
    for (role, peer) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
        // The second message is fragmented, with a ping in its middle.
        let wire = [
            frame(peer, true, OpCode::Text, text.as_bytes()),
            frame(peer, false, OpCode::Binary, &[7; 200_000]),
            frame(peer, true, OpCode::Ping, b"in between"),
            frame(peer, true, OpCode::Continuation, &[7; 100_000]),
            frame(peer, true, OpCode::Text, b"small"),
        ]
        .concat();
        for cut in [999, 4096, 65_536, 100_000, wire.len()] {
            let mut receiver = connection(role, Config::new());
            let (happened, direct) = read_in_place(&mut receiver, &wire, cut);
            assert_eq!(happened, expected, "in reads of {cut}");
            assert_eq!(direct > 0, cut < wire.len(), "in reads of {cut}: {direct}");
            assert!(receiver.room().is_none(), "nothing is under way");
        }
    }
}

#[test]
fn there_is_no_more_room_than_the_frame_still_needs() {
    let wire = frame(Role::Client, true, OpCode::Binary, &[1; 200_000]);
    let mut receiver = connection(Role::Server, Config::new());
    let (happened, _) = read_in_place(&mut receiver, &wire[..150_000], 150_000);
    assert_eq!(happened, []);
    let rest = wire.len() - 150_000;
    let room = receiver.room().expect("much is to come").remaining_mut();
    assert_eq!(room, rest);
}

#[test]
fn a_small_rest_is_read_with_what_comes_behind_it() {
    let wire = frame(Role::Client, true, OpCode::Binary, &[1; 200_000]);
    let mut receiver = connection(Role::Server, Config::new());
    let (happened, _) = read_in_place(&mut receiver, &wire[..190_000], 190_000);
    assert_eq!(happened, []);
    assert!(receiver.room().is_none());
}

#[test]
fn text_that_is_wrong_fails_in_the_read_that_brings_it() {
    let mut payload = text(100_000).into_bytes();
    payload[100_000] = 0xFF;
    let wire = frame(Role::Client, true, OpCode::Text, &payload);
    let mut receiver = connection(Role::Server, Config::new());
    let (_, direct) = read_in_place(&mut receiver, &wire[..101_000], 40_000);
    assert!(direct > 0);
    let failure = Failure::Protocol(ProtocolError::InvalidUtf8);
    assert_eq!(receiver.failure(), Some(failure));
    assert_eq!(failure.close_code(), Some(CloseCode::INVALID_PAYLOAD));
    assert!(receiver.room().is_none());
}
