//! An echo through [`Connection`] without a socket, driven as the library drives it: a read into a shared buffer, every
//! event, every message sent back, the output drained as one vectored write would, its memory taken back.

use std::hint::black_box;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use newswire_proto::{Config, Connection, Event, Message, Role, Transmit};

use crate::{Kind, frame, payload};

/// The most that one read brings, as in the library.
const READ_BUFFER: usize = 256 * 1024;
/// How many slices one vectored write takes, as in the library.
const SLICES: usize = 64;

/// One end of a connection that sends back what it receives.
#[derive(Debug)]
pub struct Echo {
    connection: Connection,
    /// The bytes of one turn: so many messages back to back.
    wire: Vec<u8>,
    messages: usize,
    /// The most that one read brings.
    read_len: usize,
    /// What has arrived and is not yet handled, one item a read, all in one block of memory.
    reads: Vec<BytesMut>,
    buffer: BytesMut,
    /// The memory for output that a thread's connections share.
    output: Option<Box<Transmit>>,
}

impl Echo {
    /// The end of this role, to which `messages` messages of `size` bytes come in each turn.
    #[must_use]
    pub fn new(role: Role, kind: Kind, size: usize, messages: usize) -> Self {
        let config = Arc::new(Config::new());
        Self {
            connection: match role {
                // A constant key: what a random source costs is not this crate's.
                Role::Client => Connection::client(config, || [0xd1, 0x07, 0x5e, 0xa3]),
                Role::Server => Connection::server(config),
            },
            wire: frame(role.peer(), kind, &payload(kind, size)).repeat(messages),
            messages,
            read_len: READ_BUFFER,
            reads: Vec::new(),
            buffer: BytesMut::new(),
            output: Some(Box::default()),
        }
    }

    /// The same, with what comes cut into reads of `len` bytes.
    #[must_use]
    pub fn in_reads_of(mut self, len: usize) -> Self {
        self.read_len = len;
        self
    }

    /// Messages in a turn.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes in a turn.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.wire.len()
    }

    /// Lets the bytes of so many turns arrive: the kernel's part, which is not to be measured.
    pub fn arrive(&mut self, turns: usize) {
        let len = turns * self.wire.len();
        if !self.buffer.try_reclaim(len) {
            self.buffer = BytesMut::with_capacity(len);
        }
        for _ in 0..turns {
            for read in self.wire.chunks(self.read_len) {
                self.buffer.extend_from_slice(read);
                self.reads.push(self.buffer.split());
            }
        }
    }

    /// Sends back all that has arrived, and returns how many messages that were.
    ///
    /// # Panics
    /// When anything else than messages has come.
    pub fn run(&mut self) -> usize {
        self.run_into(|output| {
            while output.has_remaining() {
                let first = output.chunk();
                let len = if first.len() == output.remaining() {
                    black_box(first).len()
                } else {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = output.chunks_vectored(&mut slices);
                    let slices = black_box(&slices[..count]);
                    slices.iter().map(|slice| slice.len()).sum()
                };
                output.advance(len);
            }
        })
    }

    /// The next message, on the short way first.
    #[inline]
    fn next(&mut self) -> Option<Message> {
        if let Some(message) = self.connection.poll_whole_message() {
            return Some(message);
        }
        match self.connection.poll_event()? {
            Event::Message(message) => Some(message),
            event => panic!("{event:?}"),
        }
    }

    /// As [`run`](Self::run), with `write` in the place of the socket: it advances the output to its end.
    ///
    /// # Panics
    /// When anything else than messages has come.
    pub fn run_into(&mut self, mut write: impl FnMut(&mut Transmit)) -> usize {
        let mut messages = 0;
        let mut reads = mem::take(&mut self.reads);
        for read in reads.drain(..) {
            self.connection.handle_data(read);
            if let Some(output) = self.output.take() {
                self.output = self.connection.lend_transmit(output);
            }
            while let Some(message) = self.next() {
                self.connection
                    .send(message)
                    .expect("the connection is open");
                messages += 1;
            }
            if let Some(output) = self.connection.poll_transmit() {
                write(output);
            }
            self.output = self.connection.take_transmit();
        }
        self.reads = reads;
        messages
    }
}
