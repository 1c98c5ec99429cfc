//! One connection under load: writes requests, checks replies. The bytes come from [`Traffic`]; the clock is the caller's.

use std::io::{self, Read, Write};
use std::time::Instant;

use crate::Result;
use crate::deflate::Reader;
use crate::tls::Socket;
use crate::traffic::Traffic;

/// Every reply's header is compared; of every so many replies the whole payload is too.
pub(crate) const COMPARE_EVERY: u64 = 16;

/// One connection and how far it has come.
pub(crate) struct Connection<S = Socket> {
    pub(crate) stream: S,
    /// Whether what comes back is looked at; its length always counts.
    compares: bool,
    /// Where replies may be compressed, and so have no length that is known.
    reader: Option<Box<Reader>>,
    /// Number of the next message to send, which is how many are wholly sent.
    sent: u64,
    /// Bytes already sent of that next message.
    sent_of_next: usize,
    /// Number of the next reply, which is how many are wholly received.
    received: u64,
    /// Bytes already received of that next reply.
    received_of_next: usize,
    /// Messages to send as soon as the socket takes them.
    owed: usize,
    /// When the last message begun was begun; at depth 1 that is the one in flight.
    written_at: Instant,
}

impl<S: Read + Write> Connection<S> {
    /// A connection that owes its first `depth` messages. It begins at message `first`, so that not all send the same.
    pub(crate) fn new(stream: S, compares: bool, first: u64, depth: usize) -> Self {
        Self {
            stream,
            compares,
            reader: None,
            sent: first,
            sent_of_next: 0,
            received: first,
            received_of_next: 0,
            owed: depth,
            written_at: Instant::now(),
        }
    }

    /// Replies may be compressed.
    pub(crate) fn inflating(mut self) -> Self {
        self.reader = Some(Box::new(Reader::new()));
        self
    }

    /// Reads until the socket is drained and returns how many replies were completed and how many of these compared.
    pub(crate) fn receive(&mut self, traffic: &Traffic, buffer: &mut [u8]) -> Result<Replies> {
        let mut replies = Replies::default();
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(format!("the server closed before reply {}", self.received).into());
                }
                Ok(len) => {
                    self.check(traffic, &buffer[..len], &mut replies)?;
                    // A short read has emptied the socket: the next bytes come with a new event.
                    if len < buffer.len() {
                        return Ok(replies);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(replies),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn check(&mut self, traffic: &Traffic, mut data: &[u8], replies: &mut Replies) -> Result<()> {
        if let Some(reader) = &mut self.reader {
            return reader.check(traffic, data, (&mut self.received, self.sent), replies);
        }
        while !data.is_empty() {
            // What only moves bytes may answer the beginning of a message before its end is sent.
            let begun = !self.compares && self.sent_of_next > 0;
            if self.received == self.sent && !begun {
                return Err(format!(
                    "{} bytes after the last reply due ({})",
                    data.len(),
                    self.received
                )
                .into());
            }
            let reply = traffic.reply(self.received);
            let compared = self.compares && self.received.is_multiple_of(COMPARE_EVERY);
            let checked = match (self.compares, compared) {
                (false, _) => 0,
                (true, true) => reply.len(),
                (true, false) => traffic.reply_header_len(),
            };
            let len = data.len().min(reply.len() - self.received_of_next);
            let check = len.min(checked.saturating_sub(self.received_of_next));
            let expected = &reply[self.received_of_next..][..check];
            if data[..check] != *expected {
                let at = expected
                    .iter()
                    .zip(data)
                    .position(|(a, b)| a != b)
                    .unwrap_or_default();
                let (offset, header) = (self.received_of_next + at, traffic.reply_header_len());
                return Err(format!(
                    "reply {}: byte {offset} of the frame (its header has {header}) is {:#04x}, should be {:#04x}",
                    self.received, data[at], expected[at],
                )
                .into());
            }
            data = &data[len..];
            self.received_of_next += len;
            if self.received_of_next == reply.len() {
                replies.payload += traffic.size() as u64;
                self.received_of_next = 0;
                self.received += 1;
                replies.completed += 1;
                replies.compared += u64::from(compared);
            }
        }
        Ok(())
    }

    /// Owes `count` more messages.
    pub(crate) fn owe(&mut self, count: usize) {
        self.owed += count;
    }

    /// Owes nothing more than the rest of a message that is partly sent.
    pub(crate) fn owe_no_more(&mut self) {
        self.owed = usize::from(self.sent_of_next > 0);
    }

    /// Writes what is owed, in one write if the socket takes it.
    pub(crate) fn send(&mut self, traffic: &Traffic) -> Result<()> {
        self.stream.flush()?;
        while self.owed > 0 {
            let bytes = &traffic.requests(self.sent, self.owed)[self.sent_of_next..];
            if self.sent_of_next == 0 {
                self.written_at = Instant::now();
            }
            match self.stream.write(bytes) {
                Ok(len) => {
                    let (frames, rest) = traffic.frames(self.sent, self.sent_of_next + len);
                    self.sent += frames as u64;
                    self.owed -= frames;
                    self.sent_of_next = rest;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether nothing is in flight, in part or whole, in either direction.
    pub(crate) fn is_idle(&self) -> bool {
        self.received == self.sent && self.owed == 0
    }

    pub(crate) fn written_at(&self) -> Instant {
        self.written_at
    }
}

/// What one read brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replies {
    pub(crate) completed: u64,
    /// Replies of which every byte was compared.
    pub(crate) compared: u64,
    /// Payload bytes of the replies, as they travelled.
    pub(crate) payload: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that gives `input` in pieces of `piece` bytes and takes any write up to `room` bytes at a time.
    struct Pipe {
        input: Vec<u8>,
        piece: usize,
        output: Vec<u8>,
        room: usize,
    }

    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.input.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let len = self.piece.min(self.input.len()).min(buffer.len());
            buffer[..len].copy_from_slice(&self.input[..len]);
            self.input.drain(..len);
            Ok(len)
        }
    }

    impl Write for Pipe {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let len = self.room.min(data.len());
            self.output.extend(&data[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const DEPTH: usize = 32;

    /// A connection of 32 messages of 300 bytes, all sent, whose replies are as they should be.
    fn sent(piece: usize) -> (Traffic, Connection<Pipe>) {
        let traffic = Traffic::new(format!("300x1x{DEPTH}").parse().unwrap(), None);
        let input = (0..DEPTH as u64)
            .flat_map(|number| traffic.reply(number).to_vec())
            .collect();
        let mut connection = Connection::new(
            Pipe {
                input,
                piece,
                output: Vec::new(),
                room: 1000,
            },
            true,
            0,
            DEPTH,
        );
        connection.send(&traffic).unwrap();
        (traffic, connection)
    }

    fn receive_all(traffic: &Traffic, connection: &mut Connection<Pipe>) -> Result<Replies> {
        let mut total = Replies::default();
        while !connection.stream.input.is_empty() {
            let replies = connection.receive(traffic, &mut [0; 4096])?;
            total.completed += replies.completed;
            total.compared += replies.compared;
            total.payload += replies.payload;
        }
        Ok(total)
    }

    #[test]
    fn short_writes_send_every_frame_once_and_in_order() {
        let (traffic, connection) = sent(1);
        assert_eq!(connection.stream.output, traffic.requests(0, DEPTH));
        assert!(!connection.is_idle());
    }

    #[test]
    fn replies_cut_anywhere_are_counted_and_every_16th_is_compared() {
        for piece in [1, 3, 303, 304, 305, 4096] {
            let (traffic, mut connection) = sent(piece);
            let replies = receive_all(&traffic, &mut connection).unwrap();
            assert_eq!(
                replies,
                Replies {
                    completed: 32,
                    compared: 2,
                    payload: 32 * 300,
                }
            );
            assert!(connection.is_idle());
        }
    }

    #[test]
    fn a_wrong_header_wrong_length_or_wrong_payload_is_an_error() {
        let frame = 304;
        // The opcode of reply 3, the length of reply 5, a payload byte of reply 16.
        for offset in [3 * frame, 5 * frame + 3, 16 * frame + 200] {
            let (traffic, mut connection) = sent(4096);
            connection.stream.input[offset] ^= 1;
            let error = receive_all(&traffic, &mut connection)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!(
                    "reply {}: byte {} ",
                    offset / frame,
                    offset % frame
                )),
                "{error}"
            );
        }
    }

    #[test]
    fn replies_that_are_only_counted_may_say_anything_but_not_more() {
        let (traffic, mut connection) = sent(1000);
        connection.compares = false;
        connection.stream.input.fill(0);
        let replies = receive_all(&traffic, &mut connection).unwrap();
        let counted = Replies {
            completed: 32,
            compared: 0,
            payload: 32 * 300,
        };
        assert_eq!(replies, counted);
        connection.stream.input.push(0);
        receive_all(&traffic, &mut connection).unwrap_err();
    }

    #[test]
    fn only_where_nothing_is_compared_may_a_reply_begin_before_its_message_is_sent() {
        for compares in [false, true] {
            let (traffic, mut connection) = sent(4096);
            connection.compares = compares;
            receive_all(&traffic, &mut connection).unwrap();
            connection.sent_of_next = 100;
            let begun = traffic.reply(DEPTH as u64)[..90].to_vec();
            connection.stream.input = begun;
            let received = receive_all(&traffic, &mut connection);
            assert_eq!(received.is_ok(), !compares);
        }
    }

    #[test]
    fn a_reply_too_many_or_too_early_is_an_error() {
        let (traffic, mut connection) = sent(4096);
        connection.stream.input.push(0x82);
        receive_all(&traffic, &mut connection).unwrap_err();
    }

    #[test]
    fn a_stopped_connection_still_finishes_the_frame_it_began() {
        let (traffic, mut connection) = sent(4096);
        connection.sent_of_next = 7;
        connection.owe_no_more();
        connection.send(&traffic).unwrap();
        assert_eq!(connection.sent, DEPTH as u64 + 1);
        connection.owe_no_more();
        connection.send(&traffic).unwrap();
        assert_eq!(connection.sent, DEPTH as u64 + 1);
    }
}
