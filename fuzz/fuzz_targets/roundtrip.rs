//! A client and a server talk, over a network that takes and brings any number of bytes at a
//! time: every message that one end sent, whole or in fragments, arrives at the other, in order,
//! and a closing handshake ends both.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use newswire_fuzz::script::Script;
use newswire_fuzz::wire::{lend_or_take, masking_key, put_frame, with_codec, write_some};
use newswire_proto::deflate::{Compression, DeflateConfig, DeflateOffer};
use newswire_proto::{CloseCode, Config, Connection, Event, Message, Role, State};
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let compression = match script.choice(4) {
        0 => Compression::Off,
        1 => Compression::shared(),
        2 => Compression::dedicated(),
        _ => Compression::Shared {
            history: 0,
            level: 1,
        },
    };
    let mut ends = [Role::Client, Role::Server].map(|role| End::new(role, compression));
    let mut shared = None;
    while !script.is_over() {
        let step = script.byte();
        let (one, other) = ends.split_at_mut(1);
        let (from, to) = match step & 1 {
            0 => (&mut one[0], &mut other[0]),
            _ => (&mut other[0], &mut one[0]),
        };
        match step >> 1 & 7 {
            0 => from.send(script.text().into()),
            1 => from.send(script.long().into()),
            2 => from.send_shared(script.long()),
            3 => from.echo(),
            4 => from.send_fragments(&mut script),
            5 => from.write(usize::from(script.number())),
            6 => to.read(from, usize::from(script.number())),
            _ => match script.choice(8) {
                0 => from.close(CloseCode(script.number()), script.text()),
                1 => drop(from.connection.ping(script.bytes())),
                // As a driver does that lends one output to whichever connection sends.
                _ => lend_or_take(&mut from.connection, &mut shared),
            },
        }
    }
    finish(ends);
});

struct End {
    connection: Connection,
    /// Written, and not yet read by the other end.
    pipe: Vec<u8>,
    /// A read buffer that is used again when no message points into it any more.
    buffer: BytesMut,
    sent: Vec<Message>,
    /// Payloads that somebody else holds too.
    held: Vec<(Bytes, Vec<u8>)>,
    received: Vec<Message>,
    closed: bool,
}

impl End {
    fn new(role: Role, compression: Compression) -> Self {
        let config = Arc::new(Config::new());
        let connection = match role {
            Role::Client => Connection::client(config, masking_key),
            Role::Server => Connection::server(config),
        };
        // As both would agree: the client offers, the server accepts.
        let deflate = DeflateConfig::new().compression(compression).min_size(8);
        let offers = deflate.offer().map(|offer| DeflateOffer::read([&offer]));
        let agreed = offers.and_then(|offers| deflate.accept(&offers));
        Self {
            connection: match agreed {
                Some(params) => connection.with_deflate(&deflate, params, with_codec),
                None => connection,
            },
            pipe: Vec::new(),
            buffer: BytesMut::new(),
            sent: Vec::new(),
            held: Vec::new(),
            received: Vec::new(),
            closed: false,
        }
    }

    fn send(&mut self, message: Message) {
        // A copy, so that the message sent may be the only one of its payload.
        let copy = match &message {
            Message::Text(text) => text.as_str().into(),
            Message::Binary(bytes) => Message::from(&bytes[..]),
        };
        if self.connection.send(message).is_ok() {
            self.sent.push(copy);
        }
    }

    fn send_shared(&mut self, payload: Vec<u8>) {
        let shared = Bytes::from(payload.clone());
        self.send(shared.slice(shared.len() / 3..).into());
        self.held.push((shared, payload));
    }

    /// Sends back what came last, which lies in the read buffer.
    fn echo(&mut self) {
        if let Some(message) = self.received.last().cloned() {
            self.send(message);
        }
    }

    /// A peer with other habits: the same connection, a message in fragments, pings in between.
    fn send_fragments(&mut self, script: &mut Script<'_>) {
        let role = self.connection.role();
        if self.connection.state() != State::Open || !self.flush() {
            return;
        }
        let count = script.choice(5);
        let text = script.flag();
        let payload = if text {
            script.text().into_bytes()
        } else {
            script.bytes().to_vec()
        };
        let mut rest = &payload[..];
        let mut opcode = if text { 0x1 } else { 0x2 };
        for _ in 0..count {
            let (piece, after) = rest.split_at(rest.len().min(usize::from(script.byte())));
            put_frame(&mut self.pipe, role, opcode, piece);
            if script.flag() {
                put_frame(&mut self.pipe, role, 0x89, b"between");
            }
            (rest, opcode) = (after, 0x0);
        }
        put_frame(&mut self.pipe, role, 0x80 | opcode, rest);
        self.sent.push(match text {
            true => String::from_utf8(payload)
                .expect("it was made from a string")
                .into(),
            false => payload.into(),
        });
    }

    fn write(&mut self, most: usize) {
        write_some(&mut self.connection, most, &mut self.pipe);
    }

    /// Writes everything, and gives whether the end may still send data.
    fn flush(&mut self) -> bool {
        while write_some(&mut self.connection, usize::MAX, &mut self.pipe) {}
        self.connection.state() == State::Open
    }

    fn close(&mut self, code: CloseCode, reason: String) {
        let _ = self.connection.close(code, reason);
    }

    fn read(&mut self, from: &mut Self, most: usize) {
        let len = most.min(from.pipe.len());
        // Where it cannot be had again, a new one is made.
        let _ = self.buffer.try_reclaim(4096);
        self.buffer.extend_from_slice(&from.pipe[..len]);
        from.pipe.drain(..len);
        self.connection.handle_data(self.buffer.split());
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Message(message) => self.received.push(message),
                Event::Closed => self.closed = true,
                _ => {}
            }
        }
    }
}

fn finish([mut client, mut server]: [End; 2]) {
    // Until nothing moves any more; a ping can be answered once, a Close once.
    for _ in 0..10 {
        client.flush();
        server.flush();
        server.read(&mut client, usize::MAX);
        client.read(&mut server, usize::MAX);
    }
    if server.closed {
        client.connection.handle_eof();
        client.poll();
    }
    assert_eq!(client.closed, server.closed, "one end is left over");
    for (end, peer) in [(&client, &server), (&server, &client)] {
        assert_eq!(end.connection.failure(), None);
        assert!(end.pipe.is_empty() && end.connection.buffered_amount() == 0);
        assert_eq!(end.received, peer.sent, "what was sent is what arrived");
        let state = if end.closed {
            State::Closed
        } else {
            State::Open
        };
        assert_eq!(end.connection.state(), state);
        for (shared, original) in &end.held {
            assert_eq!(
                shared, original,
                "a payload that is not ours alone was changed"
            );
        }
    }
}
