//! The I/O's side of a socket: it connects, sends what the owner has queued, and makes a task of
//! each thing that happens. What is visible to the owner, and when, is not decided here.

use super::channel::{Channel, Command, End, Task};
use super::connecting;
use super::options::Request;
use crate::client::ConnectError;
use crate::error::{RecvError, SendError};
use crate::websocket::{Sender, WebSocket};
use newswire_proto::{Failure, Message, State};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// So many bytes are handed to the connection before it is waited until they are written.
const BATCH: usize = 64 * 1024;

/// The whole life of a connection.
pub(super) async fn drive(request: Request, channel: Arc<Channel>) {
    // Should it panic, the socket is closed all the same.
    let guard = Guard(channel);
    let channel = &*guard.0;
    let end = match establish(&request, channel).await {
        Ok(ws) => {
            channel.push(Task::Open {
                extensions: extensions_in_use(&ws),
                protocol: ws.subprotocol().unwrap_or_default().to_owned(),
            });
            let max_buffered = request.options.connector.config.max_buffered;
            Wire::new(&ws, channel, max_buffered).converse(ws).await
        }
        Err(why) => End::abnormal(true, why),
    };
    channel.push(Task::Closed(end));
}

struct Guard(Arc<Channel>);

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            let end = End::abnormal(true, "the task of the connection has panicked");
            self.0.push(Task::Closed(end));
        }
    }
}

/// "Establish a WebSocket connection", unless the owner gives it up before.
async fn establish(request: &Request, channel: &Channel) -> Result<WebSocket, String> {
    let connector = request.connector()?;
    let mut connect = pin!(async {
        let _turn = connecting::turn(request.host(), request.port()).await;
        connector.connect(request.url.as_str()).await
    });
    let mut cut = pin!(channel.until_cut());
    poll_fn(|cx| {
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(CUT.to_owned()));
        }
        let connected = connect.as_mut().poll(cx);
        connected.map_err(|error: ConnectError| error.to_string())
    })
    .await
}

const CUT: &str = "given up from this end";

#[cfg(feature = "deflate")]
fn extensions_in_use(ws: &WebSocket) -> String {
    ws.deflate()
        .map_or_else(String::new, |params| params.to_string())
}

#[cfg(not(feature = "deflate"))]
fn extensions_in_use(_: &WebSocket) -> String {
    String::new()
}

/// An established connection.
struct Wire<'a> {
    sender: Sender,
    channel: &'a Channel,
    batch: usize,
    in_flight: Mutex<InFlight>,
}

impl<'a> Wire<'a> {
    fn new(ws: &WebSocket, channel: &'a Channel, max_buffered: usize) -> Self {
        Self {
            sender: ws.sender(),
            channel,
            // Below it there is always room, so that nothing is written in the middle of a count.
            batch: BATCH.min(max_buffered).max(1),
            in_flight: Mutex::default(),
        }
    }

    /// Sends and receives until the end.
    async fn converse(self, ws: WebSocket) -> End {
        let mut cut = pin!(self.channel.until_cut());
        let mut write = pin!(self.write());
        let mut read = pin!(self.read(ws));
        poll_fn(|cx| {
            if cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::abnormal(true, CUT));
            }
            let _: Poll<Infallible> = write.as_mut().poll(cx);
            read.as_mut().poll(cx)
        })
        .await
    }

    async fn write(&self) -> Infallible {
        loop {
            let mut command = Some(self.channel.command().await);
            while let Some(next) = command {
                match next {
                    Command::Send(messages) => {
                        for message in messages {
                            if self.feed(message).await.is_err() {
                                return self.stop().await;
                            }
                        }
                    }
                    // The peer may have closed meanwhile.
                    Command::Close(frame) => {
                        let _ = self.sender.close(frame.code, frame.reason).await;
                    }
                }
                command = self.channel.try_command();
            }
            if self.flush().await.is_err() {
                return self.stop().await;
            }
        }
    }

    /// Nothing can be sent any more; how the connection ends is the reader's to see.
    async fn stop(&self) -> Infallible {
        pending().await
    }

    async fn feed(&self, message: Message) -> Result<(), SendError> {
        if self.sender.buffered_amount() >= self.batch {
            self.flush().await?;
        }
        let payload = message.len() as u64;
        let before = self.sender.buffered_amount();
        match self.sender.feed(message).await {
            Ok(()) => {
                let frame = self.sender.buffered_amount().saturating_sub(before);
                self.in_flight.lock().add(payload, frame as u64);
                Ok(())
            }
            // The closing handshake has started: it is counted, but not sent.
            Err(SendError::Closed(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn flush(&self) -> Result<(), SendError> {
        let mut flush = pin!(self.sender.flush());
        let flushed = poll_fn(|cx| {
            let polled = flush.as_mut().poll(cx);
            if polled.is_pending() {
                self.note_written();
            }
            polled
        });
        flushed.await?;
        let written = self.in_flight.lock().written(0);
        self.channel.set_transmitted(written);
        Ok(())
    }

    /// Tells how much the network has taken. What waits when a connection is closing may be thrown
    /// away, so then only a flush can tell.
    fn note_written(&self) {
        let waiting = self.sender.buffered_amount() as u64;
        if self.sender.state() == State::Open {
            let written = self.in_flight.lock().written(waiting);
            self.channel.set_transmitted(written);
        }
    }

    async fn read(&self, mut ws: WebSocket) -> End {
        let mut told_closing = false;
        loop {
            self.channel.until_room().await;
            let received = {
                let mut recv = pin!(ws.recv());
                poll_fn(|cx| {
                    let polled = recv.as_mut().poll(cx);
                    let is_message = matches!(polled, Poll::Ready(Ok(Some(_))));
                    if !is_message && !told_closing && self.sender.state() == State::Closing {
                        told_closing = true;
                        self.channel.push(Task::Closing);
                    }
                    polled
                })
                .await
            };
            // What is answered was transmitted.
            self.note_written();
            match received {
                Ok(Some(message)) => self.channel.push(Task::Message(message)),
                Ok(None) => return self.closed(&ws),
                Err(error) => return lost(&ws, &error),
            }
        }
    }

    /// The closing handshake is complete, so everything before it was written.
    fn closed(&self, ws: &WebSocket) -> End {
        let written = self.in_flight.lock().written(0);
        self.channel.set_transmitted(written);
        match ws.close_frame() {
            Some(frame) => End {
                failed: false,
                was_clean: true,
                code: frame.code,
                reason: frame.reason,
                why: None,
            },
            None => End::abnormal(true, "the connection ended without a Close frame"),
        }
    }
}

/// The connection ended without a closing handshake.
fn lost(ws: &WebSocket, error: &RecvError) -> End {
    // RFC 6455 §7.1.1: "In abnormal cases (such as not having received a TCP Close from the server
    // after a reasonable amount of time) a client MAY initiate the TCP Close." That is no failing.
    let failed = !matches!(error, RecvError::Timeout(Failure::CloseTimeout));
    let mut end = End::abnormal(failed, error.to_string());
    if let Some(frame) = ws.close_frame() {
        end.code = frame.code;
        end.reason = frame.reason;
    }
    end
}

/// The messages that the connection has, and not yet written in full.
#[derive(Default)]
struct InFlight {
    frames: VecDeque<Frame>,
    /// The payloads of all messages that the connection was ever given.
    total: u64,
}

struct Frame {
    payload: u64,
    /// Its length on the wire, less than the payload when that was compressed.
    len: u64,
}

impl InFlight {
    fn add(&mut self, payload: u64, len: u64) {
        self.total += payload;
        self.frames.push_back(Frame { payload, len });
    }

    /// How many bytes of payload are written, all in all, when `waiting` bytes of frames are not.
    /// Of a frame that is written in part, the payload counts by that part.
    fn written(&mut self, waiting: u64) -> u64 {
        let (mut left, mut unwritten, mut begun) = (waiting, 0, 0);
        for frame in self.frames.iter().rev() {
            if left == 0 {
                break;
            }
            let part = left.min(frame.len);
            unwritten += if part == frame.len {
                frame.payload
            } else {
                // The whole fits, so does a part of it.
                (u128::from(frame.payload) * u128::from(part)).div_ceil(u128::from(frame.len))
                    as u64
            };
            left -= part;
            begun += 1;
        }
        self.frames.drain(..self.frames.len() - begun);
        self.total - unwritten
    }
}

#[cfg(test)]
mod tests {
    use super::InFlight;

    #[test]
    fn a_message_counts_as_written_by_the_part_of_its_frame_that_is() {
        let mut in_flight = InFlight::default();
        in_flight.add(100, 106);
        assert_eq!(in_flight.written(106), 0);
        assert_eq!(in_flight.written(53), 50);
        // Compressed.
        in_flight.add(1000, 50);
        assert_eq!(in_flight.written(53 + 50), 50);
        assert_eq!(in_flight.written(50), 100);
        assert_eq!(in_flight.written(5), 1000);
        // A pong in front of them counts as theirs until it is gone.
        in_flight.add(10, 16);
        assert_eq!(in_flight.written(16 + 5 + 7), 100 + 1000 - 240);
        assert_eq!(in_flight.written(16), 1100);
        assert_eq!(in_flight.written(0), 1110);
        assert_eq!(in_flight.written(0), 1110);
    }

    #[test]
    fn an_empty_message_is_nothing_to_wait_for() {
        let mut in_flight = InFlight::default();
        in_flight.add(0, 6);
        assert_eq!(in_flight.written(6), 0);
        assert_eq!(in_flight.written(3), 0);
        assert_eq!(in_flight.written(0), 0);
    }
}
