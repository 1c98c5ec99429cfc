//! A peer puts anything on the wire, in any cuts, while commands are given, deadlines pass and
//! the output is written in any pieces. Whatever the cuts: what arrives is what the oracle hears
//! in the same bytes, what goes out is what the oracle hears at the other end, and memory is
//! bounded.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use newswire_fuzz::oracle::{Heard, hear, pings, pongs};
use newswire_fuzz::script::Script;
use newswire_fuzz::wire::{lend_or_take, masking_key, put_frame, write_some};
use newswire_proto::{
    CloseCode, CloseFrame, Config, Connection, Event, Message, Role, State, Transmit,
};
use std::sync::Arc;
use std::time::Duration;

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let mut run = Run::begin(&mut script);
    while !script.is_over() && !run.ended {
        run.step(&mut script);
        run.check_bounds();
    }
    run.finish();
});

/// The longest header, and a control frame's payload.
const CONTROL_FRAME: usize = 14 + 125;

/// When this many bytes of pongs wait, one more may be begun.
const MOST_PONGS: usize = 1024;

struct Run {
    role: Role,
    limit: usize,
    connection: Connection,
    /// What the peer has said and the network still holds.
    travelling: Vec<u8>,
    /// What was handed in.
    arrived: Vec<u8>,
    /// What came of it.
    events: Vec<Event>,
    /// Messages and pings of ours, in order.
    sent: Vec<Event>,
    /// The most bytes that frames of ours can take that wait to be written.
    queued: usize,
    closed_with: Option<CloseFrame>,
    written: Vec<u8>,
    /// An output to lend to the connection.
    spare: Option<Box<Transmit>>,
    /// A deadline was asked for and has not passed.
    armed: bool,
    /// A deadline that has passed ended the connection.
    cut: bool,
    eof: bool,
    write_end: bool,
    ended: bool,
}

impl Run {
    fn begin(script: &mut Script<'_>) -> Self {
        let role = if script.flag() {
            Role::Client
        } else {
            Role::Server
        };
        let limit = [1000, 0, 100_000, usize::MAX][usize::from(script.choice(4))];
        let idle = script.flag().then_some(Duration::from_secs(60));
        let config = Arc::new(Config::new().max_message_size(limit).idle_timeout(idle));
        let connection = match role {
            Role::Client => Connection::client(config, masking_key),
            Role::Server => Connection::server(config),
        };
        Self {
            role,
            limit,
            connection,
            travelling: Vec::new(),
            arrived: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            queued: 0,
            closed_with: None,
            written: Vec::new(),
            spare: None,
            armed: false,
            cut: false,
            eof: false,
            write_end: false,
            ended: false,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.choice(18) {
            // The peer: any bytes, a frame in the form that it should have, a long one.
            0 => self.travelling.extend(script.bytes()),
            1 => {
                let first = script.byte();
                put_frame(
                    &mut self.travelling,
                    self.role.peer(),
                    first,
                    script.bytes(),
                );
            }
            2 => {
                let first = script.byte();
                put_frame(
                    &mut self.travelling,
                    self.role.peer(),
                    first,
                    &script.long(),
                );
            }
            // The network: it brings some, it takes some, it breaks.
            3 => self.deliver(usize::from(script.byte()) + 1),
            4 => self.deliver(usize::MAX),
            5 => self.write(usize::from(script.number())),
            6 => self.write(usize::MAX),
            7 => {
                self.connection.handle_eof();
                self.eof = true;
            }
            8 => {
                self.connection.handle_write_end();
                self.write_end = true;
                self.queued = 0;
            }
            // The driver.
            9 => drop(self.poll_event()),
            10 => self.poll_dry(),
            11 if self.armed => {
                self.armed = false;
                self.connection.handle_timeout(script.flag());
                // It may be a ping.
                self.sent.push(Event::Ping([][..].into()));
                self.queued += CONTROL_FRAME;
                self.cut |= self.connection.state() == State::Closed;
            }
            12 => lend_or_take(&mut self.connection, &mut self.spare),
            // The user.
            13 => self.send(script.text().into()),
            14 => self.send(script.bytes().into()),
            15 => self.send(script.long().into()),
            16 => self.ping(script.bytes()),
            17 => self.close(CloseCode(script.number()), script.text()),
            _ => {}
        }
        self.armed |= self.connection.poll_timeout().is_some();
    }

    fn deliver(&mut self, most: usize) {
        if self.eof {
            return;
        }
        let piece: Vec<u8> = self
            .travelling
            .drain(..most.min(self.travelling.len()))
            .collect();
        self.connection.handle_data(BytesMut::from(&piece[..]));
        self.arrived.extend(piece);
    }

    fn write(&mut self, most: usize) {
        if !self.write_end {
            write_some(&mut self.connection, most, &mut self.written);
        }
    }

    fn send(&mut self, message: Message) {
        let open = self.connection.state() == State::Open;
        // A copy, so that the message sent may be the only one of its payload.
        let copy = match &message {
            Message::Text(text) => text.as_str().into(),
            Message::Binary(bytes) => Message::from(&bytes[..]),
        };
        match self.connection.send(message) {
            Ok(()) => {
                assert!(open, "sent though not open");
                self.queued += copy.len() + CONTROL_FRAME;
                self.sent.push(Event::Message(copy));
            }
            Err(refused) => {
                assert!(!open, "refused though open");
                assert_eq!(refused.0, copy);
            }
        }
    }

    fn ping(&mut self, payload: &[u8]) {
        let may = self.connection.state() == State::Open && payload.len() <= 125;
        assert_eq!(self.connection.ping(payload).is_ok(), may);
        if may {
            self.queued += CONTROL_FRAME;
            self.sent.push(Event::Ping(payload.to_vec().into()));
        }
    }

    fn close(&mut self, code: CloseCode, reason: String) {
        let open = self.connection.state() == State::Open;
        let frame = CloseFrame {
            code,
            reason: reason.as_str().into(),
        };
        if self.connection.close(code, reason).is_ok() {
            assert!(open, "closed twice");
            self.closed_with = Some(frame);
        }
    }

    fn poll_event(&mut self) -> bool {
        match self.connection.poll_event() {
            None => return false,
            Some(Event::Closed) => {
                assert_eq!(self.connection.state(), State::Closed);
                self.ended = true;
            }
            Some(event) => {
                assert!(!self.ended, "{event:?} after the end");
                if let Event::Message(message) = &event {
                    assert!(message.len() <= self.limit, "a message over the limit");
                }
                self.events.push(event);
            }
        }
        true
    }

    fn poll_dry(&mut self) {
        while self.poll_event() {}
        assert!(!self.connection.has_input());
        // Not each time when it would take long: at the end it is done in any case.
        if self.arrived.len() < 512 {
            self.check_input();
        }
    }

    /// Whatever the cuts were, what was heard is what the oracle hears; and a broken rule is
    /// noticed with the byte that breaks it.
    fn check_input(&self) -> Heard {
        let heard = hear(self.role, self.limit, &self.arrived);
        if self.cut {
            assert!(heard.events.starts_with(&self.events));
            return heard;
        }
        assert_eq!(self.events, heard.events);
        assert_eq!(self.connection.close_frame(), heard.close.as_ref());
        if heard.failure.is_some() || !self.ended || heard.close.is_some() {
            assert_eq!(self.connection.failure(), heard.failure);
        } else {
            assert!(
                self.connection.failure().is_some(),
                "nobody closed, and nobody is to blame"
            );
        }
        heard
    }

    /// What goes out is right, and everything that was sent is in it, in order.
    fn check_output(&self, heard: &Heard) {
        let said = hear(self.role.peer(), usize::MAX, &self.written);
        assert_eq!(said.failure, None, "we broke the protocol");
        // RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in
        // response, unless it already received a Close frame." Nothing else follows our Close.
        let behind = &self.written[self.written.len() - said.ignored..];
        let late = hear(self.role.peer(), usize::MAX, behind);
        assert!(
            late.failure.is_none() && late.close.is_none(),
            "we went on after our Close"
        );
        assert_eq!(
            pongs(&late.events).count(),
            late.events.len(),
            "we went on after our Close"
        );
        let drained = self.connection.buffered_amount() == 0 && !self.write_end;

        let mut sent = self.sent.iter();
        for event in &said.events {
            match event {
                Event::Pong(_) => {}
                // A deadline may pass without a ping.
                event => assert!(sent.any(|ours| ours == event), "never sent: {event:?}"),
            }
        }
        if drained {
            let mut missing = sent.filter(|event| **event != Event::Ping([][..].into()));
            assert_eq!(missing.next(), None, "sent and never written");
        }

        let mut asked = pings(&self.events);
        for answer in pongs(&said.events).chain(pongs(&late.events)) {
            assert!(
                asked.any(|ping| ping == answer),
                "a pong that nobody asked for"
            );
        }
        if drained && said.close.is_none() && self.connection.state() == State::Open {
            assert_eq!(pongs(&said.events).last(), pings(&self.events).last());
            let (asked, answered) = (pings(&self.events), pongs(&said.events));
            if asked.clone().map(|ping| ping.len() + 14).sum::<usize>() < MOST_PONGS {
                assert!(asked.eq(answered), "few enough pings to answer each");
            }
        }

        if drained && !self.cut {
            let failed = self.connection.failure();
            let failed = failed.and_then(|failure| failure.close_code());
            let told = self.closed_with.clone();
            let told = told.or_else(|| heard.close.clone()).or_else(|| {
                Some(CloseFrame {
                    code: failed?,
                    reason: "".into(),
                })
            });
            assert_eq!(said.close, told, "what the peer is told at the end");
        }
    }

    /// Output is what was sent, some pongs and one Close: a peer cannot make it grow.
    fn check_bounds(&mut self) {
        let buffered = self.connection.buffered_amount();
        assert!(
            buffered <= self.queued + MOST_PONGS + 2 * CONTROL_FRAME,
            "{buffered} bytes wait"
        );
        if buffered == 0 {
            self.queued = 0;
        }
        if self.connection.state() == State::Closing && !self.eof {
            assert!(self.armed, "a closing connection without a deadline");
        }
    }

    /// All that can travel does; then the transport ends, and with it the connection.
    fn finish(mut self) {
        self.deliver(usize::MAX);
        self.poll_dry();
        while !self.write_end && write_some(&mut self.connection, usize::MAX, &mut self.written) {}
        let heard = self.check_input();
        self.check_output(&heard);
        self.connection.handle_eof();
        self.poll_dry();
        assert!(
            self.ended,
            "the transport has ended, the connection has not"
        );
        assert!(!self.poll_event(), "something happened after the end");
    }
}
