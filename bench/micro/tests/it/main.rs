//! What is repeated is right: an echo echoes, and payloads are what they are called.

#![allow(
    clippy::unwrap_used,
    reason = "in a test a panic is how a failure is told"
)]

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use micro::{Echo, Kind, payload};
use newswire_proto::{Config, Connection, Event, Role};

#[test]
fn payloads_have_their_length_and_text_is_text() {
    for len in [0, 1, 2, 3, 16, 128, 1024] {
        assert_eq!(payload(Kind::Binary, len).len(), len);
        for kind in [Kind::Ascii, Kind::Mixed] {
            let text = String::from_utf8(payload(kind, len)).unwrap();
            assert_eq!(text.len(), len);
            assert_eq!(text.is_ascii(), kind == Kind::Ascii || len < 4, "{text}");
        }
    }
}

#[test]
fn every_message_comes_back_as_its_role_sends_it() {
    for role in [Role::Server, Role::Client] {
        for kind in [Kind::Binary, Kind::Ascii, Kind::Mixed] {
            for (size, messages, read_len) in [
                (16, 1, 7),
                (128, 16, 1 << 18),
                (16 << 10, 17, 1 << 18),
                (16 << 10, 3, 1000),
                (300 << 10, 1, 1 << 18),
            ] {
                let mut echo = Echo::new(role, kind, size, messages).in_reads_of(read_len);
                echo.arrive(3);
                let mut written = Vec::new();
                let count = echo.run_into(|output| {
                    while output.has_remaining() {
                        written.extend_from_slice(output.chunk());
                        output.advance(output.chunk().len());
                    }
                });
                assert_eq!(count, 3 * messages);
                // The connection's other end, sent the same frames back, must read the same payloads.
                assert_eq!(
                    payloads(role.peer(), &written),
                    vec![payload(kind, size); 3 * messages]
                );
                echo.arrive(1);
                assert_eq!(echo.run(), messages);
            }
        }
    }
}

fn payloads(receiver: Role, wire: &[u8]) -> Vec<Vec<u8>> {
    let config = Arc::new(Config::new());
    let mut connection = match receiver {
        Role::Client => Connection::client(config, || [0; 4]),
        Role::Server => Connection::server(config),
    };
    connection.handle_data(BytesMut::from(wire));
    std::iter::from_fn(|| connection.poll_event())
        .map(|event| match event {
            Event::Message(message) => message.into_bytes().to_vec(),
            other => panic!("{other:?}"),
        })
        .collect()
}
