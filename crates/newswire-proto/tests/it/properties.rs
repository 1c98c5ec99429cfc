//! Properties: anything may arrive, in any pieces.

use crate::support::{connection, events, frame, written};
use bytes::{Buf, BytesMut};
use newswire_proto::{Config, Event, Message, OpCode, Role};
use proptest::prelude::*;

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<String>().prop_map(Message::from),
        prop::collection::vec(any::<u8>(), 0..40_000).prop_map(Message::from),
        "[a-zκό€𐍈]{0,300}".prop_map(Message::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_bytes_never_panic_and_never_outgrow_the_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        cut in 1_usize..300,
        client in any::<bool>(),
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let mut end = connection(role, Config::new().max_message_size(500));
        for piece in bytes.chunks(cut) {
            end.handle_data(BytesMut::from(piece));
            for event in events(&mut end) {
                if let Event::Message(message) = event {
                    prop_assert!(message.len() <= 500);
                }
            }
            prop_assert!(written(&mut end).len() < 1000);
        }
        end.handle_eof();
        events(&mut end);
    }

    #[test]
    fn messages_arrive_as_they_were_sent_whatever_the_transport_does(
        messages in prop::collection::vec(any_message(), 1..6),
        write in 1_usize..20_000,
        read in 1_usize..20_000,
        client_sends in any::<bool>(),
    ) {
        let sender = if client_sends { Role::Client } else { Role::Server };
        let mut from = connection(sender, Config::new());
        let mut to = connection(sender.peer(), Config::new());
        let mut received = Vec::new();
        for message in &messages {
            from.send(message.clone()).unwrap();
        }
        while let Some(output) = from.poll_transmit() {
            let len = output.remaining().min(write);
            let bytes = output.copy_to_bytes(len);
            for piece in bytes.chunks(read) {
                to.handle_data(BytesMut::from(piece));
                received.extend(events(&mut to));
            }
        }
        let sent: Vec<_> = messages.into_iter().map(Event::Message).collect();
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn fragments_of_any_sizes_make_the_same_message(
        text in "[a-zκό€𐍈]{0,200}",
        sizes in prop::collection::vec(0_usize..50, 1..12),
        cut in 1_usize..40,
    ) {
        let mut wire = Vec::new();
        let mut rest = text.as_bytes();
        let mut opcode = OpCode::Text;
        for size in sizes {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            wire.extend(frame(Role::Client, false, opcode, piece));
            wire.extend(frame(Role::Client, true, OpCode::Ping, b"between"));
            opcode = OpCode::Continuation;
            rest = after;
        }
        wire.extend(frame(Role::Client, true, opcode, rest));
        let mut server = connection(Role::Server, Config::new());
        let mut messages = Vec::new();
        for piece in wire.chunks(cut) {
            server.handle_data(BytesMut::from(piece));
            messages.extend(events(&mut server).into_iter().filter(|e| matches!(e, Event::Message(_))));
        }
        prop_assert_eq!(messages, [Event::Message(text.into())]);
    }
}
