//! A script is what a peer puts on the wire. Playing it delivers the same bytes whole, one
//! at a time, and cut in two at every offset, and demands the same outcome every time.

use super::{close_payload, connection, events, frame, parse, written};
use bytes::BytesMut;
use newswire_proto::{CloseFrame, Config, Event, Failure, OpCode, Role, State};

/// What came of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub events: Vec<Event>,
    pub failure: Option<Failure>,
    pub close_frame: Option<CloseFrame>,
    pub state: State,
    /// The Close frames that were answered with: code and reason as bytes.
    pub sent_closes: Vec<Vec<u8>>,
}

/// The bytes of one end, and where they go.
pub struct Script {
    receiver: Role,
    config: Config,
    bytes: Vec<u8>,
    eof: bool,
    #[cfg(feature = "deflate")]
    deflates: bool,
}

impl Script {
    pub fn to(receiver: Role) -> Self {
        Self {
            receiver,
            config: Config::new(),
            bytes: Vec::new(),
            eof: false,
            #[cfg(feature = "deflate")]
            deflates: false,
        }
    }

    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn frame(self, fin: bool, opcode: OpCode, payload: impl AsRef<[u8]>) -> Self {
        let bytes = frame(self.receiver.peer(), fin, opcode, payload.as_ref());
        self.raw(&bytes)
    }

    /// permessage-deflate was agreed on, without any parameter.
    #[cfg(feature = "deflate")]
    pub fn deflates(mut self) -> Self {
        self.deflates = true;
        self
    }

    /// A frame with the bit that says that its message is compressed.
    #[cfg(feature = "deflate")]
    pub fn compressed(mut self, fin: bool, opcode: OpCode, payload: impl AsRef<[u8]>) -> Self {
        let at = self.bytes.len();
        self = self.frame(fin, opcode, payload);
        self.bytes[at] |= 0x40;
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.frame(true, OpCode::Text, text)
    }

    pub fn binary(self, payload: impl AsRef<[u8]>) -> Self {
        self.frame(true, OpCode::Binary, payload)
    }

    pub fn ping(self, payload: &str) -> Self {
        self.frame(true, OpCode::Ping, payload)
    }

    pub fn close(self, code: u16, reason: &str) -> Self {
        self.frame(true, OpCode::Close, close_payload(code, reason))
    }

    /// The transport ends after the bytes.
    pub fn eof(mut self) -> Self {
        self.eof = true;
        self
    }

    /// Plays the script at every cut; the outcome that they all have.
    pub fn play(&self) -> Outcome {
        let whole = self.play_in(&[self.bytes.len()]);
        let single = vec![1; self.bytes.len()];
        assert_eq!(self.play_in(&single), whole, "one byte at a time");
        for cut in 1..self.bytes.len() {
            let cuts = [cut, self.bytes.len() - cut];
            assert_eq!(self.play_in(&cuts), whole, "cut at {cut}");
        }
        whole
    }

    fn play_in(&self, cuts: &[usize]) -> Outcome {
        let mut connection = connection(self.receiver, self.config.clone());
        #[cfg(feature = "deflate")]
        if self.deflates {
            connection = super::deflating(connection);
        }
        let mut outcome = Vec::new();
        let mut output = Vec::new();
        let mut rest = &self.bytes[..];
        for cut in cuts {
            let (piece, after) = rest.split_at(*cut);
            rest = after;
            connection.handle_data(BytesMut::from(piece));
            outcome.extend(events(&mut connection));
            output.extend(written(&mut connection));
        }
        if self.eof {
            connection.handle_eof();
        }
        outcome.extend(events(&mut connection));
        Outcome {
            events: outcome,
            failure: connection.failure(),
            close_frame: connection.close_frame().cloned(),
            state: connection.state(),
            sent_closes: parse(&output)
                .into_iter()
                .filter(|(opcode, ..)| *opcode == OpCode::Close)
                .map(|(_, _, payload)| payload)
                .collect(),
        }
    }
}

impl Outcome {
    /// The connection failed with this, and the peer was told with this code.
    #[track_caller]
    pub fn assert_failed(&self, failure: impl Into<Failure>, code: u16) {
        assert_eq!(self.failure, Some(failure.into()));
        assert_eq!(self.sent_closes, [code.to_be_bytes()]);
        assert_ne!(self.state, State::Open);
    }

    /// Nothing went wrong, and these are the messages.
    #[track_caller]
    pub fn assert_messages(&self, messages: &[newswire_proto::Message]) {
        assert_eq!(self.failure, None);
        let received: Vec<_> = self
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Message(message) => Some(message.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(received, messages);
    }
}
