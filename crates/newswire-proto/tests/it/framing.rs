//! RFC 6455 §5.1–5.3: headers, lengths, masking, reserved bits.

use crate::support::{Script, connection, deliver, frame};
use newswire_proto::{Config, Event, Failure, FrameHeader, Message, OpCode, ProtocolError, Role};

#[test]
fn the_examples_of_the_rfc_are_read() {
    let hello = Message::from("Hello");
    // §5.7: an unmasked text from a server, a masked one from a client, and fragments.
    Script::to(Role::Client)
        .raw(b"\x81\x05Hello")
        .play()
        .assert_messages(&[hello.clone()]);
    Script::to(Role::Server)
        .raw(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
        .play()
        .assert_messages(&[hello.clone()]);
    Script::to(Role::Client)
        .raw(b"\x01\x03Hel\x80\x02lo")
        .play()
        .assert_messages(&[hello]);
}

#[test]
fn every_length_form_is_read_and_written_in_its_shortest_form() {
    for (len, header) in [
        (0, 2),
        (1, 2),
        (125, 2),
        (126, 4),
        (127, 4),
        (65_535, 4),
        (65_536, 10),
        (70_000, 10),
    ] {
        let payload = vec![0xAB; len];
        for receiver in [Role::Client, Role::Server] {
            let bytes = frame(receiver.peer(), true, OpCode::Binary, &payload);
            let mask = if receiver == Role::Server { 4 } else { 0 };
            assert_eq!(bytes.len(), header + mask + len);
            let mut end = connection(receiver, Config::new());
            let got = deliver(&mut end, &bytes);
            assert_eq!(got, [Event::Message(payload.clone().into())]);
        }
    }
}

#[test]
fn a_length_that_is_not_in_its_shortest_form_fails_the_connection() {
    for header in [
        &b"\x82\x7e\x00\x7d"[..],
        b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
    ] {
        Script::to(Role::Client)
            .raw(header)
            .play()
            .assert_failed(ProtocolError::LengthNotMinimal, 1002);
    }
}

#[test]
fn a_length_with_its_highest_bit_set_fails_the_connection() {
    Script::to(Role::Client)
        .raw(b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00")
        .play()
        .assert_failed(ProtocolError::LengthTooLarge, 1002);
}

#[test]
fn a_server_refuses_an_unmasked_frame() {
    Script::to(Role::Server)
        .raw(&frame(Role::Server, true, OpCode::Text, b"Hello"))
        .play()
        .assert_failed(ProtocolError::Unmasked, 1002);
}

#[test]
fn a_client_refuses_a_masked_frame() {
    Script::to(Role::Client)
        .raw(&frame(Role::Client, true, OpCode::Text, b"Hello"))
        .play()
        .assert_failed(ProtocolError::Masked, 1002);
}

#[test]
fn reserved_bits_fail_the_connection() {
    for reserved in 1..8 {
        for opcode in [OpCode::Text, OpCode::Continuation, OpCode::Ping] {
            let mut bytes = Vec::new();
            let header = FrameHeader {
                reserved,
                ..FrameHeader::new(opcode, 0, None)
            };
            header.write(&mut bytes);
            Script::to(Role::Client)
                .raw(&bytes)
                .play()
                .assert_failed(ProtocolError::ReservedBits, 1002);
        }
    }
}

#[test]
fn reserved_opcodes_fail_the_connection_after_what_came_before() {
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        let outcome = Script::to(Role::Client)
            .text("before")
            .raw(&[0x80 | opcode, 0])
            .text("after")
            .play();
        outcome.assert_failed(ProtocolError::ReservedOpCode(opcode), 1002);
        assert_eq!(outcome.events, [Event::Message("before".into())]);
    }
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let limit = 1000;
    let config = Config::new().max_message_size(limit);
    Script::to(Role::Server)
        .config(config.clone())
        .binary(vec![1; limit])
        .play()
        .assert_messages(&[vec![1; limit].into()]);
    // Only the header comes: it is enough.
    let bytes = frame(Role::Client, true, OpCode::Binary, &vec![1; limit + 1]);
    Script::to(Role::Server)
        .config(config)
        .raw(&bytes[..8])
        .play()
        .assert_failed(Failure::MessageTooBig { limit }, 1009);
}

#[test]
fn fragments_count_together_against_the_limit() {
    let limit = 10;
    Script::to(Role::Server)
        .config(Config::new().max_message_size(limit))
        .frame(false, OpCode::Text, "12345")
        .frame(false, OpCode::Continuation, "12345")
        .frame(true, OpCode::Continuation, "1")
        .play()
        .assert_failed(Failure::MessageTooBig { limit }, 1009);
}

#[test]
fn a_declared_length_of_2_to_the_62_reserves_nothing() {
    let header = [&b"\x82\xff"[..], &(1_u64 << 62).to_be_bytes(), b"\0\0\0\0"].concat();
    let limit = usize::MAX;
    let mut server = connection(Role::Server, Config::new().max_message_size(limit));
    // With such a limit the frame is let in; memory would be gone if it were reserved.
    assert_eq!(deliver(&mut server, &header), []);
    assert_eq!(deliver(&mut server, &[7; 100]), []);
    assert_eq!(server.failure(), None);
    Script::to(Role::Server)
        .raw(&header)
        .play()
        .assert_failed(Failure::MessageTooBig { limit: 64 << 20 }, 1009);
}
