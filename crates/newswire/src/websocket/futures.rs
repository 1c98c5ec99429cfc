//! The futures of receiving and sending. They hold no more than a reference and, until it is
//! queued, the message.

use super::shared::{Shared, Slot};
use crate::error::{RecvError, SendError};
use crate::transport::{Stream, Transport};
use newswire_proto::Message;
use std::fmt;
use std::future::Future;
use std::mem;
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

/// Makes a future of sending: what it is called, what it is of, and whether it only feeds.
macro_rules! sending {
    ($(#[$doc:meta])* $name:ident, $feeding:literal) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless awaited"]
        pub struct $name<'a, T: Transport = Stream> {
            shared: &'a Arc<Shared<T>>,
            slot: Slot,
        }

        impl<'a, T: Transport> $name<'a, T> {
            #[inline]
            pub(super) fn new(shared: &'a Arc<Shared<T>>, message: Message) -> Self {
                Self {
                    shared,
                    slot: Slot::Message(message),
                }
            }

            /// Sends the message as it is, even where compression was agreed on: for what is
            /// compressed already, or is secret and stands next to what others can choose.
            pub fn uncompressed(mut self) -> Self {
                if let Slot::Message(message) = mem::replace(&mut self.slot, Slot::Queued) {
                    self.slot = Slot::Plain(Box::new(message));
                }
                self
            }
        }

        impl<T: Transport> Future for $name<'_, T> {
            type Output = Result<(), SendError>;

            #[inline]
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let this = &mut *self;
                this.shared.poll_send(cx, &mut this.slot, $feeding)
            }
        }

        impl<T: Transport> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("queued", &matches!(self.slot, Slot::Queued))
                    .finish()
            }
        }
    };
}

sending!(
    /// The future of [`WebSocket::send`](crate::WebSocket::send).
    SendFuture,
    false
);
sending!(
    /// The future of [`WebSocket::feed`](crate::WebSocket::feed).
    FeedFuture,
    true
);
