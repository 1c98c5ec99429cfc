//! The two halves of a connection: one that receives, any number that send.

use super::shared::Shared;
use super::{FeedFuture, RecvFuture, SendFuture, WebSocket};
use crate::error::{RecvError, SendError};
use crate::transport::{Stream, Transport};
use futures_core::Stream as MessageStream;
use newswire_proto::{
    CloseCode, CloseFrame, CommandError, EncodedMessage, Message, Side, State, Utf8Bytes,
};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Sends on a connection. Clones may be used from many tasks at once; each message is sent
/// whole, in the order in which they were queued.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// let (sender, mut receiver) = newswire::connect("ws://127.0.0.1:9998/echo").await?.split();
/// for n in 0..4 {
///     let sender = sender.clone();
///     tokio::spawn(async move { sender.send(format!("from task {n}")).await });
/// }
/// while let Some(message) = receiver.recv().await? {
///     println!("{message:?}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Sender<T: Transport = Stream>(Arc<Shared<T>>);

impl<T: Transport> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        shared.sender_made();
        Self(shared)
    }

    /// Sends a message: [`WebSocket::send`].
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    ///
    /// # Cancel safety
    /// Cancel-safe as [`WebSocket::send`] is.
    #[inline]
    pub fn send(&self, message: impl Into<Message>) -> SendFuture<'_, T> {
        SendFuture::new(&self.0, message.into())
    }

    /// Queues a message without writing it: [`WebSocket::feed`].
    ///
    /// # Errors
    /// As [`WebSocket::feed`].
    ///
    /// # Cancel safety
    /// Cancel-safe: the message is queued if and only if the future was ready.
    #[inline]
    pub fn feed(&self, message: impl Into<Message>) -> FeedFuture<'_, T> {
        FeedFuture::new(&self.0, message.into())
    }

    /// Queues a message that goes to many connections: [`WebSocket::feed_encoded`].
    ///
    /// # Errors
    /// As [`WebSocket::feed_encoded`].
    ///
    /// # Cancel safety
    /// Cancel-safe: the message is queued if and only if the future was ready.
    pub async fn feed_encoded(&self, message: &EncodedMessage) -> Result<(), SendError> {
        self.0.feed_encoded(message).await
    }

    /// Waits until everything that is queued is written.
    ///
    /// # Errors
    /// [`SendError::Io`] when the transport failed.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn flush(&self) -> Result<(), SendError> {
        poll_fn(|cx| self.0.poll_flush(cx)).await
    }

    /// Sends a ping with up to 125 bytes of payload.
    ///
    /// # Errors
    /// [`CommandError::TooLong`] and [`CommandError::Closing`].
    ///
    /// # Cancel safety
    /// Cancel-safe: it never waits.
    pub async fn ping(&self, payload: &[u8]) -> Result<(), CommandError> {
        self.0.ping(payload)
    }

    /// Sends a pong that answers no ping: [`WebSocket::pong`].
    ///
    /// # Errors
    /// As [`WebSocket::pong`].
    ///
    /// # Cancel safety
    /// Cancel-safe: it never waits.
    pub async fn pong(&self, payload: &[u8]) -> Result<(), CommandError> {
        self.0.pong(payload)
    }

    /// Begins to close. The receiving half goes on giving messages until the peer has
    /// closed too, then `None`.
    ///
    /// # Errors
    /// As [`Connection::close`](newswire_proto::Connection::close): a code or reason that
    /// cannot be sent, or a connection that is closing already.
    ///
    /// # Cancel safety
    /// Cancel-safe: it never waits.
    pub async fn close(
        &self,
        code: CloseCode,
        reason: impl Into<Utf8Bytes>,
    ) -> Result<(), CommandError> {
        self.0.begin_close(code, reason.into())
    }

    /// Whether the connection is open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.lock().connection.state()
    }

    /// The Close frame that the peer sent, once it has.
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.0.lock().connection.close_frame().cloned()
    }

    /// Which end began to close, once one has.
    #[must_use]
    pub fn closed_by(&self) -> Option<Side> {
        self.0.lock().connection.closed_by()
    }

    /// How many bytes wait to be written, frame headers included.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.0.buffered_amount()
    }

    /// How long the last ping took to its pong: [`WebSocket::latency`].
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.0.lock().outside.latency.get()
    }
}

impl<T: Transport> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl<T: Transport> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.sender_dropped();
    }
}

impl<T: Transport> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Receives on a connection whose sending is done elsewhere.
#[derive(Debug)]
pub struct Receiver<T: Transport = Stream>(WebSocket<T>);

impl<T: Transport> Receiver<T> {
    pub(super) fn new(websocket: WebSocket<T>) -> Self {
        Self(websocket)
    }

    /// Waits for the next message: [`WebSocket::recv`].
    ///
    /// # Errors
    /// As [`WebSocket::recv`].
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing is lost when the future is dropped before it is ready.
    #[inline]
    pub fn recv(&mut self) -> RecvFuture<'_, T> {
        self.0.recv()
    }

    /// The Close frame that the peer sent, once it has.
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.0.close_frame()
    }

    /// The subprotocol that both ends agreed on in the opening handshake.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.0.subprotocol()
    }

    /// A handle for sending.
    #[must_use]
    pub fn sender(&self) -> Sender<T> {
        self.0.sender()
    }
}

impl<T: Transport> MessageStream for Receiver<T> {
    type Item = Result<Message, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
