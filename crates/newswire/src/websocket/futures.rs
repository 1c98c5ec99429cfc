//! The futures of receiving and sending. They hold no more than a reference and, until it is
//! queued, the message.

use super::shared::{How, Shared};
use crate::error::{RecvError, SendError};
use crate::transport::{Stream, Transport};
use newswire_proto::Message;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The future of [`WebSocket::recv`](crate::WebSocket::recv).
#[must_use = "futures do nothing unless awaited"]
pub struct RecvFuture<'a, T: Transport = Stream> {
    shared: &'a Arc<Shared<T>>,
}

impl<'a, T: Transport> RecvFuture<'a, T> {
    #[inline]
    pub(super) fn new(shared: &'a Arc<Shared<T>>) -> Self {
        Self { shared }
    }
}

impl<T: Transport> Future for RecvFuture<'_, T> {
    type Output = Result<Option<Message>, RecvError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.poll_recv(cx)
    }
}

impl<T: Transport> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvFuture")
    }
}

/// The future of [`WebSocket::send`](crate::WebSocket::send) and
/// [`WebSocket::feed`](crate::WebSocket::feed).
#[must_use = "futures do nothing unless awaited"]
pub struct SendFuture<'a, T: Transport = Stream> {
    shared: &'a Arc<Shared<T>>,
    message: Option<Message>,
    how: How,
}

impl<'a, T: Transport> SendFuture<'a, T> {
    #[inline]
    pub(super) fn new(shared: &'a Arc<Shared<T>>, message: Message, feeding: bool) -> Self {
        Self {
            shared,
            message: Some(message),
            how: How {
                feeding,
                plain: false,
            },
        }
    }

    /// Sends the message as it is, even where compression was agreed on: for what is compressed
    /// already, or is secret and stands next to what others can choose.
    pub fn uncompressed(mut self) -> Self {
        self.how.plain = true;
        self
    }
}

impl<T: Transport> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.shared.poll_send(cx, &mut this.message, this.how)
    }
}

impl<T: Transport> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFuture")
            .field("queued", &self.message.is_none())
            .finish()
    }
}
