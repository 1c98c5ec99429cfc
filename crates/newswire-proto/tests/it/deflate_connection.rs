//! RFC 7692 §6: compressed messages on a connection.

use crate::data_path::live;
use crate::support::{
    Script, connection, deflating, deliver, frame, parse, read_in_place, with_codec, written,
};
use bytes::BytesMut;
use newswire_proto::deflate::{
    Compression, Compressor, DeflateConfig, DeflateOffer, DeflateParams, SharedCodec,
};
use newswire_proto::{
    Config, Connection, EncodedMessage, Event, Failure, Message, OpCode, ProtocolError, Role,
};

/// "Hello" in RFC 7692 §7.2.3.1.
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

/// Takes what one end has written to the other: what happened there.
fn carry(from: &mut Connection, to: &mut Connection) -> Vec<Event> {
    let bytes = written(from);
    deliver(to, &bytes)
}

fn received(messages: &[Message]) -> Vec<Event> {
    messages.iter().cloned().map(Event::Message).collect()
}

fn json(number: usize) -> Message {
    let numbers: Vec<String> = (0..number % 300)
        .map(|n| format!("{}", n * number))
        .collect();
    let text = format!(r#"{{"number":{number},"others":[{}]}}"#, numbers.join(","));
    if number.is_multiple_of(3) {
        Message::Binary(text.into_bytes().into())
    } else {
        text.into()
    }
}

/// Both ends, in this mode, with these parameters.
fn ends(mode: Compression, params: DeflateParams) -> [Connection; 2] {
    let config = DeflateConfig::new().compression(mode).min_size(0);
    [Role::Client, Role::Server]
        .map(|role| connection(role, Config::new()).with_deflate(&config, params, with_codec))
}

#[test]
fn the_rfcs_examples_are_read_at_every_cut() {
    Script::to(Role::Server)
        .deflates()
        .compressed(true, OpCode::Text, HELLO)
        .compressed(false, OpCode::Text, &HELLO[..3])
        .frame(true, OpCode::Continuation, &HELLO[3..])
        // §7.2.3.2: the window is shared with the message before.
        .compressed(true, OpCode::Text, b"\xf2\x00\x11\x00\x00")
        // §7.2.3.3: a block without compression.
        .compressed(true, OpCode::Text, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")
        // §7.2.3.4: a final block.
        .compressed(true, OpCode::Text, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")
        // §7.2.3.5: two blocks.
        .compressed(true, OpCode::Text, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")
        .play()
        .assert_messages(&[const { "Hello" }; 6].map(Message::from));
}

#[test]
fn plain_and_compressed_messages_and_pings_may_alternate() {
    let outcome = Script::to(Role::Client)
        .deflates()
        .text("plain")
        .compressed(false, OpCode::Text, &HELLO[..2])
        .ping("in between")
        .frame(false, OpCode::Continuation, "")
        .frame(true, OpCode::Continuation, &HELLO[2..])
        .binary("plain again")
        .compressed(true, OpCode::Binary, HELLO)
        .play();
    outcome.assert_messages(&[
        "plain".into(),
        "Hello".into(),
        b"plain again".into(),
        b"Hello".into(),
    ]);
}

#[test]
fn the_bit_of_compression_is_for_first_frames_of_agreed_messages_only() {
    let hello = Script::to(Role::Server).compressed(true, OpCode::Text, HELLO);
    hello
        .play()
        .assert_failed(ProtocolError::ReservedBits, 1002);
    for opcode in [OpCode::Ping, OpCode::Pong, OpCode::Close] {
        Script::to(Role::Server)
            .deflates()
            .compressed(true, opcode, "")
            .play()
            .assert_failed(ProtocolError::ReservedBits, 1002);
    }
    Script::to(Role::Server)
        .deflates()
        .compressed(false, OpCode::Text, &HELLO[..3])
        .compressed(true, OpCode::Continuation, &HELLO[3..])
        .play()
        .assert_failed(ProtocolError::ReservedBits, 1002);
    for bits in [0x20, 0x10, 0x60, 0x50] {
        let mut bytes = frame(Role::Client, true, OpCode::Text, HELLO);
        bytes[0] |= bits;
        Script::to(Role::Server)
            .deflates()
            .raw(&bytes)
            .play()
            .assert_failed(ProtocolError::ReservedBits, 1002);
    }
}

#[test]
fn what_cannot_be_inflated_fails_with_1007() {
    Script::to(Role::Server)
        .deflates()
        // A block of the type that does not exist.
        .compressed(true, OpCode::Binary, b"\x07\x00")
        .compressed(true, OpCode::Text, HELLO)
        .play()
        .assert_failed(ProtocolError::CorruptCompression, 1007);
    // It refers to a message that never came.
    Script::to(Role::Server)
        .deflates()
        .compressed(true, OpCode::Text, b"\xf2\x00\x11\x00\x00")
        .play()
        .assert_failed(ProtocolError::CorruptCompression, 1007);
}

#[test]
fn text_is_checked_when_it_is_inflated() {
    let wrong = b"\x00\x02\x00\xfd\xff\xc3\x28\x00";
    Script::to(Role::Server)
        .deflates()
        .compressed(true, OpCode::Binary, wrong)
        .compressed(true, OpCode::Text, wrong)
        .play()
        .assert_failed(ProtocolError::InvalidUtf8, 1007);
    // As compressed bytes it would not be text.
    Script::to(Role::Client)
        .deflates()
        .compressed(false, OpCode::Text, &HELLO[..3])
        .frame(true, OpCode::Continuation, &HELLO[3..])
        .play()
        .assert_messages(&["Hello".into()]);
}

#[test]
fn a_bomb_costs_no_more_than_the_limit_and_ends_with_1009() {
    let limit = 1 << 20;
    let mut bomb = Vec::new();
    let mut compressor = Compressor::new(&dedicated(), DeflateParams::default(), Role::Client);
    compressor.compress(&mut SharedCodec::new(), &vec![0; 64 << 20], &mut bomb);
    assert!(bomb.len() < 70_000);
    let mut whole = frame(Role::Client, true, OpCode::Binary, &bomb);
    whole[0] |= 0x40;
    let mut first = frame(Role::Client, false, OpCode::Binary, &bomb[..30_000]);
    first[0] |= 0x40;
    let last = frame(Role::Client, true, OpCode::Continuation, &bomb[30_000..]);
    for wire in [whole, [first, last].concat()] {
        let config = Config::new().max_message_size(limit);
        let mut server = deflating(connection(Role::Server, config));
        // The codec is the thread's.
        with_codec(&mut |_| {});
        let before = live();
        let mut most = 0;
        for piece in wire.chunks(10_000) {
            server.handle_data(BytesMut::from(piece));
            assert_eq!(server.poll_event(), None);
            most = most.max(live() - before);
        }
        assert_eq!(server.failure(), Some(Failure::MessageTooBig { limit }));
        assert!(most < (limit + (256 << 10)) as isize, "{most} bytes");
        let close = parse(&written(&mut server));
        assert_eq!(close[0].2, 1009_u16.to_be_bytes());
    }
}

fn dedicated() -> DeflateConfig {
    DeflateConfig::new().compression(Compression::dedicated())
}

#[test]
fn messages_of_every_kind_arrive_in_every_mode_and_both_ways() {
    let offers = [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; client_max_window_bits; server_max_window_bits=9",
    ];
    for mode in [Compression::shared(), Compression::dedicated()] {
        for offer in offers {
            let config = DeflateConfig::new().compression(mode);
            let offers = DeflateOffer::read([&offer.parse().unwrap()]);
            let params = config.accept(&offers).unwrap();
            let [mut client, mut server] = ends(mode, params);
            let mut plain = 0;
            let mut travelled = 0;
            for number in 0..120 {
                let messages = [json(number), "".into(), json(number * 7)];
                for message in &messages {
                    client.send(message.clone()).unwrap();
                    plain += message.len();
                }
                travelled += client.buffered_amount();
                assert_eq!(carry(&mut client, &mut server), received(&messages));
                for message in &messages {
                    server.send(message.clone()).unwrap();
                }
                assert_eq!(carry(&mut server, &mut client), received(&messages));
            }
            assert!(
                travelled * 3 < plain * 2,
                "{travelled} of {plain}: {mode:?}, {offer}"
            );
        }
    }
}

#[test]
fn a_large_compressed_message_is_gathered_where_it_belongs() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(400_000)
    .collect();
    let [mut client, mut server] = ends(Compression::shared(), DeflateParams::default());
    client.send(noise.clone().into()).unwrap();
    let (happened, direct) = read_in_place(&mut server, &written(&mut client), 50_000);
    assert!(direct > 100_000, "{direct}");
    assert_eq!(happened, received(&[noise.into()]));
}

#[test]
fn small_messages_and_those_that_ask_for_it_travel_plain() {
    let [first, second] = [Role::Server, Role::Client];
    let mut server = deflating(connection(first, Config::new()));
    let mut client = deflating(connection(second, Config::new()));
    let long = "long enough to be worth it, ".repeat(20);
    for (message, plain, bit) in [
        (&long[..], false, 0x40),
        (&long[..63], false, 0),
        (&long[..64], false, 0x40),
        (&long[..], true, 0),
        // What is plain is no part of the window that later messages refer to.
        (&long[..], false, 0x40),
    ] {
        if plain {
            server.send_plain(message.into()).unwrap();
        } else {
            server.send(message.into()).unwrap();
        }
        let wire = written(&mut server);
        assert_eq!(wire[0] & 0x40, bit, "{} bytes", message.len());
        assert_eq!(deliver(&mut client, &wire), received(&[message.into()]));
    }
}

#[test]
fn a_message_for_many_is_compressed_once_and_fits_between_the_others() {
    let modes = [
        Compression::shared(),
        Compression::dedicated(),
        Compression::shared(),
    ];
    let mut pairs = modes.map(|mode| ends(mode, DeflateParams::default()));
    for number in 1..40 {
        let news = EncodedMessage::new(json(number));
        let mut wires = Vec::new();
        for [client, server] in &mut pairs {
            server.send(json(number + 1)).unwrap();
            let _ = carry(server, client);
            server.send_encoded(&news).unwrap();
            let wire = written(server);
            assert_eq!(deliver(client, &wire), received(&[json(number)]));
            server.send(json(number)).unwrap();
            assert_eq!(carry(server, client), received(&[json(number)]));
            wires.push(wire);
        }
        assert_eq!(wires[0], wires[2], "the same form is the same bytes");
    }
}

#[test]
fn what_a_connection_keeps_for_compression_is_told() {
    let [mut client, mut server] = ends(Compression::shared(), DeflateParams::default());
    assert_eq!(connection(Role::Server, Config::new()).deflate_memory(), 0);
    let before = server.deflate_memory();
    for number in 0..200 {
        client.send(json(number)).unwrap();
        let _ = carry(&mut client, &mut server);
        server.send(json(number)).unwrap();
        let _ = written(&mut server);
    }
    let after = server.deflate_memory();
    assert!(before < after && after < 64 << 10, "{before}, {after}");
    assert_eq!(server.deflate(), Some(DeflateParams::default()));
}
