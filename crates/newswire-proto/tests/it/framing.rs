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
        .assert_messages(std::slice::from_ref(&hello));
    Script::to(Role::Server)
        .raw(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
        .play()
        .assert_messages(std::slice::from_ref(&hello));
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

#[test]
fn every_frame_that_is_sent_is_masked_by_a_client_and_never_by_a_server() {
    use crate::support::written;
    use newswire_proto::CloseCode;
    for role in [Role::Client, Role::Server] {
        let mut end = connection(role, Config::new());
        let messages: [Message; 4] = [
            "".into(),
            "text".into(),
            vec![1; 300].into(),
            vec![2; 70_000].into(),
        ];
        for message in &messages {
            end.send(message.clone()).unwrap();
        }
        end.ping(b"ping").unwrap();
        deliver(&mut end, &frame(role.peer(), true, OpCode::Ping, b"?"));
        end.close(CloseCode::NORMAL, "bye").unwrap();
        let wire = written(&mut end);

        let mut opcodes = Vec::new();
        let mut rest = &wire[..];
        while let Some((header, len)) = FrameHeader::parse(rest).unwrap() {
            assert_eq!(header.masking_key.is_some(), role.masks(), "{header:?}");
            assert_eq!((header.fin, header.reserved), (true, 0), "{header:?}");
            opcodes.push(header.opcode);
            rest = &rest[len + header.payload_len as usize..];
        }
        assert_eq!(
            opcodes,
            [
                OpCode::Pong,
                OpCode::Text,
                OpCode::Text,
                OpCode::Binary,
                OpCode::Binary,
                OpCode::Ping,
                OpCode::Close
            ]
        );

        let mut peer = connection(role.peer(), Config::new());
        let received: Vec<_> = deliver(&mut peer, &wire)
            .into_iter()
            .filter(|event| matches!(event, Event::Message(_)))
            .collect();
        assert_eq!(received, messages.map(Event::Message));
        assert_eq!(peer.failure(), None);
    }
}

#[test]
fn every_frame_of_a_client_is_masked_with_a_key_of_its_own() {
    use crate::support::written;
    use newswire_proto::{CloseCode, Connection};
    use std::cell::Cell;
    thread_local!(static DRAWN: Cell<u32> = const { Cell::new(0) });
    fn next_key() -> [u8; 4] {
        DRAWN.set(DRAWN.get() + 1);
        DRAWN.get().to_be_bytes()
    }
    let mut client = Connection::client(Config::new().into(), next_key);
    client.send("text".into()).unwrap();
    client.send(vec![1; 70_000].into()).unwrap();
    let shared = Message::from(vec![2; 70_000]);
    client.send(shared.clone()).unwrap();
    client.send(shared).unwrap();
    client.ping(b"").unwrap();
    let mut wire = written(&mut client);
    deliver(&mut client, &frame(Role::Server, true, OpCode::Ping, b"?"));
    client.close(CloseCode::NORMAL, "").unwrap();
    wire.extend(written(&mut client));

    let mut keys = Vec::new();
    let mut rest = &wire[..];
    while let Some((header, len)) = FrameHeader::parse(rest).unwrap() {
        keys.push(u32::from_be_bytes(header.masking_key.unwrap()));
        rest = &rest[len + header.payload_len as usize..];
    }
    assert_eq!(keys, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(DRAWN.get(), 7);
}

#[test]
fn the_examples_of_the_rfc_are_written() {
    use crate::support::written;
    let (mut client, mut server) = (
        connection(Role::Client, Config::new()),
        connection(Role::Server, Config::new()),
    );
    server.send("Hello".into()).unwrap();
    assert_eq!(written(&mut server), b"\x81\x05Hello");
    client.send("Hello".into()).unwrap();
    let masked = b"\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(written(&mut client), [&b"\x81\x85"[..], masked].concat());
    deliver(&mut client, b"\x89\x05Hello");
    assert_eq!(written(&mut client), [&b"\x8a\x85"[..], masked].concat());
    server.send(vec![9; 256].into()).unwrap();
    assert_eq!(written(&mut server)[..4], *b"\x82\x7e\x01\x00");
    server.send(vec![9; 65_536].into()).unwrap();
    let header = b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00";
    assert_eq!(written(&mut server)[..10], *header);
}
