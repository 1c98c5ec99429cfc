//! [`WebSocket`]: an open connection in the user's hands. What happens behind the calls is in
//! `shared.rs`; nothing here knows about frames.

mod budget;
mod control;
#[cfg(feature = "server")]
pub(crate) mod driver;
mod futures;
mod inner;
mod latency;
mod rates;
mod seldom;
pub(crate) mod shared;
mod split;
mod stream_sink;
pub(crate) mod timer;
#[cfg(feature = "server")]
pub(crate) mod traffic;
mod turn;
#[cfg(feature = "server")]
mod unattended;
mod watch;

#[cfg(all(test, feature = "server"))]
pub(crate) use inner::outside_len;

pub use control::{ControlFrame, ControlFrames};
pub use futures::{FeedFuture, RecvFuture, SendFuture};
pub use split::{Receiver, Sender};

use self::shared::{Negotiated, Shared};
use crate::config::Config;
use crate::error::{CloseError, RecvError, SendError};
use crate::transport::{Stream, Transport};
#[cfg(feature = "deflate")]
use newswire_proto::deflate::DeflateParams;
use newswire_proto::{
    CloseCode, CloseFrame, CommandError, Connection, EncodedMessage, Message, Side, State,
    Utf8Bytes,
};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// An open WebSocket connection, either end of it.
///
/// Pings are answered, keepalive is sent and the closing handshake is done for the user.
/// On a server these things happen whatever the handler waits for, as far as the first message
/// that it has not received yet; a connection that one opened oneself does them whenever
/// [`recv`](Self::recv) is being awaited, so await it.
///
/// It is also a [`Stream`](futures_core::Stream) of received messages and a
/// [`Sink`](futures_sink::Sink) of messages to send, and [`split`](Self::split) makes two
/// halves of it. Dropping it while it is open sends a Close frame with code 1001 as far as
/// that can be done without waiting.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// let mut ws = newswire::connect("ws://127.0.0.1:9998/echo").await?;
/// ws.send("WebSocket rocks").await?;
/// if let Some(message) = ws.recv().await? {
///     println!("{message:?}");
/// }
/// ws.close(newswire::CloseCode::NORMAL, "done").await?;
/// # Ok(())
/// # }
/// ```
pub struct WebSocket<T: Transport = Stream> {
    shared: Arc<Shared<T>>,
}

impl<T: Transport> WebSocket<T> {
    /// A connection whose opening handshake was done elsewhere, such as by an HTTP server or
    /// over HTTP/2: `connection` is this end of it, made with the limits of `config` or
    /// others, and has been given the bytes that came behind the handshake.
    ///
    /// ```
    /// use newswire::proto::Connection;
    /// use newswire::{Config, WebSocket};
    ///
    /// # fn example(upgraded: tokio::io::DuplexStream) {
    /// let connection = Connection::server(Default::default());
    /// let ws = WebSocket::new(connection, upgraded, Some("chat"), &Config::new());
    /// # }
    /// ```
    pub fn new(
        connection: Connection,
        transport: T,
        subprotocol: Option<&str>,
        config: &Config,
    ) -> Self {
        let negotiated = subprotocol.map(|name| {
            Box::new(Negotiated {
                subprotocol: Some(name.into()),
                #[cfg(feature = "client")]
                response: None,
            })
        });
        Self {
            shared: Shared::new(connection, transport, negotiated, config),
        }
    }

    /// The client's end, after this answer to its handshake.
    #[cfg(feature = "client")]
    pub(crate) fn answered(
        connection: Connection,
        transport: T,
        subprotocol: Option<&str>,
        response: http::Response<()>,
        config: &Config,
    ) -> Self {
        let negotiated = Box::new(Negotiated {
            subprotocol: subprotocol.map(Into::into),
            response: Some(response),
        });
        Self {
            shared: Shared::new(connection, transport, Some(negotiated), config),
        }
    }

    #[cfg(feature = "server")]
    pub(crate) fn shared(&self) -> Arc<Shared<T>> {
        Arc::clone(&self.shared)
    }

    /// Waits for the next message. `Ok(None)` means that the connection was closed as it
    /// should be; [`close_frame`](Self::close_frame) says why.
    ///
    /// A received message shares the block of memory that it was read into. Keep a copy of
    /// what is small and kept for long.
    ///
    /// # Errors
    /// [`RecvError`] when the connection ended in any other way: the peer broke the protocol
    /// or a limit, or was silent for too long, or the transport failed. The peer has been
    /// told, as far as it could be, and has had up to the close timeout to read it. It is given
    /// once; after it comes `Ok(None)`.
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing is lost when the future is dropped before it is ready.
    #[inline]
    pub fn recv(&mut self) -> RecvFuture<'_, T> {
        RecvFuture::new(&self.shared)
    }

    /// Sends a message.
    ///
    /// On a connection that one opened oneself this waits until the message is written. In a
    /// [`Server`](crate::Server)'s handler it is ready as soon as the message is queued: all
    /// that a handler has sent is written together, at the latest when the handler waits for
    /// something. Either way it waits while more than
    /// [`max_buffered`](Config::max_buffered) bytes are queued.
    ///
    /// # Errors
    /// [`SendError::Closed`] gives the message back when the connection is closing or
    /// closed; [`SendError::Io`] says that the transport failed under it.
    ///
    /// # Cancel safety
    /// Cancel-safe: when the future is dropped before it is ready, the message is either
    /// queued whole, to be written by the next call, or not at all. It is never sent in part
    /// or twice. To know which, use [`feed`](Self::feed), which has queued the message
    /// exactly when it is ready.
    #[inline]
    pub fn send(&self, message: impl Into<Message>) -> SendFuture<'_, T> {
        SendFuture::new(&self.shared, message.into())
    }

    /// Queues a message without writing it; [`flush`](Self::flush), the next
    /// [`send`](Self::send) or [`recv`](Self::recv) writes it with everything else that is
    /// queued. Waits while more than [`max_buffered`](Config::max_buffered) bytes are.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Cancel-safe: the message is queued if and only if the future was ready.
    #[inline]
    pub fn feed(&self, message: impl Into<Message>) -> FeedFuture<'_, T> {
        FeedFuture::new(&self.shared, message.into())
    }

    /// Queues a message that goes to many connections and is made into bytes once for all of them.
    /// Otherwise as [`feed`](Self::feed): a handler's is written with all that it has sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Cancel-safe: the message is queued if and only if the future was ready.
    pub async fn feed_encoded(&self, message: &EncodedMessage) -> Result<(), SendError> {
        self.shared.feed_encoded(message).await
    }

    /// Waits until everything that is queued is written.
    ///
    /// # Errors
    /// [`SendError::Io`] when the transport failed.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn flush(&self) -> Result<(), SendError> {
        poll_fn(|cx| self.shared.poll_flush(cx)).await
    }

    /// Sends a ping with up to 125 bytes of payload. The peer's pong is timed:
    /// [`latency`](Self::latency); [`control_frames`](Self::control_frames) shows it. That the peer is alive is watched by
    /// [`idle_timeout`](Config::idle_timeout).
    ///
    /// # Errors
    /// [`CommandError::TooLong`] and [`CommandError::Closing`].
    ///
    /// # Cancel safety
    /// Cancel-safe: it never waits.
    pub async fn ping(&self, payload: &[u8]) -> Result<(), CommandError> {
        self.shared.ping(payload)
    }

    /// Sends a pong with up to 125 bytes of payload that answers no ping: a heartbeat to which no
    /// answer is expected (RFC 6455 §5.5.3). Pings of the peer are answered without it.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// Cancel-safe: it never waits.
    pub async fn pong(&self, payload: &[u8]) -> Result<(), CommandError> {
        self.shared.pong(payload)
    }

    /// Shows the pings and pongs that are received from now on. They are answered and timed as
    /// before. Whoever asked for them before is shown no more.
    #[must_use]
    pub fn control_frames(&self) -> ControlFrames {
        self.shared.control_frames()
    }

    /// Closes the connection: sends a Close frame behind what was sent before, waits for the
    /// peer's, and for the end of the transport, at most for the close timeout. Messages
    /// that still come are thrown away; to have them, close with a [`Sender`] and go on
    /// receiving. When the connection is already closing, it only waits.
    ///
    /// `code` is 1000–1003, 1007–1014 or 3000–4999, and `reason` has at most 123 bytes
    /// (RFC 6455 §7.4). [`CloseCode::NO_STATUS`] with "" sends a Close frame without a code.
    ///
    /// # Errors
    /// [`CloseError::Command`] for a code or reason that cannot be sent,
    /// [`CloseError::Recv`] when the connection ended in another way.
    ///
    /// # Cancel safety
    /// Cancel-safe: the closing handshake goes on with the next call of
    /// [`recv`](Self::recv) or `close`.
    pub async fn close(
        &mut self,
        code: CloseCode,
        reason: impl Into<Utf8Bytes>,
    ) -> Result<(), CloseError> {
        match self.shared.begin_close(code, reason.into()) {
            Ok(()) | Err(CommandError::Closing) => {}
            Err(error) => return Err(CloseError::Command(error)),
        }
        while self.recv().await.map_err(CloseError::Recv)?.is_some() {}
        Ok(())
    }

    /// Makes two halves, for two tasks. The sender can be cloned.
    #[must_use]
    pub fn split(self) -> (Sender<T>, Receiver<T>) {
        let sender = Sender::new(Arc::clone(&self.shared));
        (sender, Receiver::new(self))
    }

    /// A handle for sending from elsewhere, while this end goes on receiving.
    #[must_use]
    pub fn sender(&self) -> Sender<T> {
        Sender::new(Arc::clone(&self.shared))
    }

    /// The subprotocol that both ends agreed on in the opening handshake.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.subprotocol()
    }

    /// The server's answer to the opening handshake, status 101 and headers, where this end is the
    /// client and was opened by a [`Connector`](crate::Connector); `None` otherwise.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn response(&self) -> Option<&http::Response<()>> {
        self.shared.response()
    }

    /// What both ends agreed on for compression in the opening handshake, `None` when messages
    /// travel as they are. As text it is the server's answer.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.shared.lock().connection.deflate()
    }

    /// How many bytes of memory this connection keeps for compression between messages.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate_memory(&self) -> usize {
        self.shared.lock().connection.deflate_memory()
    }

    /// The Close frame that the peer sent, once it has.
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.shared.lock().connection.close_frame().cloned()
    }

    /// Which end began to close, once one has.
    #[must_use]
    pub fn closed_by(&self) -> Option<Side> {
        self.shared.lock().connection.closed_by()
    }

    /// Whether the connection is open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.lock().connection.state()
    }

    /// How many bytes wait to be written, frame headers included.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.shared.buffered_amount()
    }

    /// How long the last ping took to its pong: one that was sent because the peer was silent for
    /// half of the [`idle_timeout`](Config::idle_timeout), or by [`ping`](Self::ping). `None`
    /// before the first pong. It includes the time that the ping waited behind other output.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.shared.lock().outside.latency.get()
    }

    pub(crate) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, RecvError>>> {
        self.shared.poll_recv(cx).map(Result::transpose)
    }
}

impl<T: Transport> Drop for WebSocket<T> {
    fn drop(&mut self) {
        self.shared.receiver_dropped();
    }
}

impl<T: Transport> fmt::Debug for WebSocket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("state", &self.state())
            .field("subprotocol", &self.subprotocol())
            .finish_non_exhaustive()
    }
}
