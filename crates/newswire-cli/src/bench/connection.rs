//! One connection under load: opens, sends what it owes, has the replies checked, closes. What it
//! owes, and when, is decided by the worker; nothing here reads a clock or waits.

use super::compression::{self, Wire, Workspace};
use super::plan::Plan;
use super::receiver::{Control, Expected, Receiver};
use super::socket;
use super::stream::Stream;
use newswire::proto::deflate::DeflateParams;
use newswire::proto::handshake::{ClientHandshake, HeadReader, Negotiated};
use newswire::proto::{CloseCode, FrameHeader, Mask, OpCode};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::IpAddr;

/// One connection, and how far it has come.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// When it was begun.
    pub(super) started: u64,
    state: State,
    opening: Option<Box<Opening>>,
    /// The handshake's request, then control frames; goes before the next message's frame.
    control: Vec<u8>,
    /// Messages wholly sent, and bytes sent of the next one.
    sent: u64,
    sent_of_next: usize,
    /// Messages to send.
    owed: u64,
    receiver: Receiver,
    /// The window that messages are compressed with, if they are.
    window_bits: u8,
    /// When the messages without a reply were due, the oldest first: times and counts.
    due: VecDeque<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    /// A Close frame was sent.
    Closing,
}

#[derive(Debug)]
struct Opening {
    handshake: ClientHandshake,
    reader: HeadReader,
    head: Vec<u8>,
}

/// What one readiness brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    pub(super) opened: bool,
    pub(super) replies: u64,
    /// What compression made of them.
    pub(super) wire: Wire,
    /// The end, as it was wanted.
    pub(super) closed: bool,
}

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be opened, or ended early. Others may go on.
    Ended(String),
    /// The server does not do what is being measured. The run is over.
    Wrong(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Ended(error.to_string())
    }
}

impl Connection {
    /// Begins to connect.
    pub(super) fn open(plan: &Plan, source: Option<IpAddr>, now: u64) -> io::Result<Self> {
        let socket = socket::connect(plan, source)?;
        let handshake = plan.handshake();
        Ok(Self {
            stream: Stream::new(plan, mio::net::TcpStream::from_std(socket.into()))?,
            started: now,
            state: State::Opening,
            control: handshake.to_bytes(),
            opening: Some(Box::new(Opening {
                handshake,
                reader: HeadReader::default(),
                head: Vec::new(),
            })),
            sent: 0,
            sent_of_next: 0,
            owed: 0,
            receiver: Receiver::default(),
            window_bits: compression::MOST_WINDOW_BITS,
            due: VecDeque::new(),
        })
    }

    pub(super) fn is_opening(&self) -> bool {
        self.state == State::Opening
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// What was agreed on for compression.
    pub(super) fn deflate(&self) -> Option<DeflateParams> {
        self.receiver.deflate()
    }

    /// The window that messages are compressed with, if they are.
    pub(super) fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// Messages that were due and have no reply.
    pub(super) fn unanswered(&self) -> u64 {
        self.sent + self.owed - self.receiver.received()
    }

    /// Messages that wait to be sent.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Owes messages that are due at a time, which is not before that of others.
    pub(super) fn owe(&mut self, count: u64, due: u64) {
        self.owed += count;
        match self.due.back_mut() {
            Some((at, more)) if *at == due => *more += count,
            _ => self.due.push_back((due, count)),
        }
    }

    /// Takes the times at which the oldest `count` messages were due.
    pub(super) fn take_due(&mut self, mut count: u64, mut each: impl FnMut(u64, u64)) {
        while count > 0
            && let Some((at, there)) = self.due.front_mut()
        {
            let taken = count.min(*there);
            each(*at, taken);
            count -= taken;
            *there -= taken;
            if *there == 0 {
                self.due.pop_front();
            }
        }
    }

    /// Sends a Close frame, behind a message that is partly sent, and nothing after it.
    pub(super) fn close(&mut self) {
        self.push_control(OpCode::Close, &CloseCode::NORMAL.0.to_be_bytes());
        self.owed = self.owed.min(u64::from(self.sent_of_next > 0));
        self.state = State::Closing;
    }

    fn push_control(&mut self, opcode: OpCode, payload: &[u8]) {
        let key = fastrand::u32(..).to_ne_bytes();
        FrameHeader::new(opcode, payload.len() as u64, Some(key)).write(&mut self.control);
        Mask::new(key).copy(payload, &mut self.control);
    }

    /// Writes what is owed, until the socket takes no more.
    pub(super) fn send(&mut self, plan: &Plan) -> Result<(), Failure> {
        let requests = plan.traffic.requests(self.window_bits);
        if let Err(error) = self.stream.flush()
            && self.is_opening()
        {
            return Err(self.failed(plan, &error));
        }
        loop {
            let control = self.sent_of_next == 0 && !self.control.is_empty();
            let bytes = if control {
                &self.control[..]
            } else if self.owed > 0 {
                // What must go between two messages goes as soon as the one that was begun ends.
                let count = if self.control.is_empty() {
                    self.owed
                } else {
                    1
                };
                &requests.in_a_row(self.sent, count)[self.sent_of_next..]
            } else {
                return Ok(());
            };
            match self.stream.write(bytes) {
                Ok(len) if control => drop(self.control.drain(..len)),
                Ok(len) => {
                    let (frames, rest) = requests.split(self.sent, self.sent_of_next + len);
                    self.sent_of_next = rest;
                    self.sent += frames;
                    self.owed -= frames;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A socket that is still connecting.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                // What the server said before it closed tells more than that it did.
                Err(_) if self.state != State::Opening => return Ok(()),
                Err(error) => return Err(self.failed(plan, &error)),
            }
        }
    }

    /// Reads until the socket is empty, or the buffer full when the end is not `near`, and checks
    /// what came.
    pub(super) fn receive(
        &mut self,
        plan: &Plan,
        buffer: &mut [u8],
        workspace: &mut Workspace,
        whole: bool,
        end_is_near: bool,
    ) -> Result<Received, Failure> {
        let mut received = Received::default();
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.handle_eof()?;
                    received.closed = true;
                    return Ok(received);
                }
                Ok(len) => {
                    self.handle(plan, &buffer[..len], workspace, &mut received)?;
                    // A short read has emptied the socket; more comes with a new event.
                    if !whole || len < buffer.len() && !end_is_near {
                        return Ok(received);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(received),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(received),
                Err(_) if self.state == State::Closing => {
                    received.closed = true;
                    return Ok(received);
                }
                Err(error) => return Err(self.failed(plan, &error)),
            }
        }
    }

    fn handle(
        &mut self,
        plan: &Plan,
        read: &[u8],
        workspace: &mut Workspace,
        received: &mut Received,
    ) -> Result<(), Failure> {
        let mut data = read;
        let behind_head;
        if let Some(opening) = &mut self.opening {
            opening.head.extend_from_slice(read);
            let refused = |error: &dyn std::fmt::Display| {
                Failure::Ended(format!("the handshake failed: {error}"))
            };
            let Some(head) = opening
                .reader
                .read_response(&opening.head)
                .map_err(|error| refused(&error))?
            else {
                return Ok(());
            };
            let negotiated = opening
                .handshake
                .verify(&head)
                .map_err(|error| refused(&error))?;
            behind_head = opening.head.split_off(head.len);
            data = &behind_head;
            self.opening = None;
            if plan.content.compression {
                self.begin_compression(&negotiated)?;
            }
            self.state = State::Open;
            received.opened = true;
        }
        let before = self.receiver.received();
        let mut controls = Vec::new();
        let expected = Expected {
            traffic: &plan.traffic,
            sent: self.sent,
            window_bits: self.window_bits,
        };
        self.receiver
            .handle(expected, data, workspace, |control| controls.push(control))
            .map_err(|wrong| Failure::Wrong(wrong.to_string()))?;
        received.replies += self.receiver.received() - before;
        if plan.content.compression {
            received.wire.add(self.receiver.take_wire());
        }
        for control in controls {
            match control {
                // RFC 6455 §5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong
                // frame in response, unless it already received a Close frame."
                Control::Ping(payload) if self.state == State::Open => {
                    self.push_control(OpCode::Pong, &payload);
                }
                Control::Close(close) if self.state == State::Open => {
                    let (code, reason) = (close.code, close.reason);
                    return Err(Failure::Ended(format!(
                        "the server closed the connection with code {code} and {}",
                        if reason.is_empty() {
                            "no reason".to_owned()
                        } else {
                            format!("the reason {:?}", &*reason)
                        }
                    )));
                }
                // The answer to our own: what remains is the end of the stream, which RFC 6455
                // §7.1.1 leaves to the server.
                Control::Ping(_) | Control::Close(_) => {}
            }
        }
        Ok(())
    }

    /// Messages are compressed from now on, as the server wants them.
    fn begin_compression(&mut self, negotiated: &Negotiated) -> Result<(), Failure> {
        let Some(params) = negotiated.deflate() else {
            return Err(Failure::Ended(
                "the server did not agree to permessage-deflate: turn it on there, or leave out --compression"
                    .to_owned(),
            ));
        };
        self.window_bits = params.client_max_window_bits();
        self.receiver.inflate(params);
        Ok(())
    }

    fn handle_eof(&self) -> Result<(), Failure> {
        Err(Failure::Ended(
            match self.state {
                State::Closing => return Ok(()),
                State::Opening => {
                    "the server ended the connection before it answered the handshake"
                }
                State::Open => "the server ended the connection without a Close frame",
            }
            .to_owned(),
        ))
    }

    fn failed(&self, plan: &Plan, error: &io::Error) -> Failure {
        Failure::Ended(match self.state {
            State::Opening => socket::cannot_connect(plan, error),
            State::Open | State::Closing => format!("the connection broke: {error}"),
        })
    }
}
