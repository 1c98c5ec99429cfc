//! [`WebSocket`] as a `Stream` of received messages and a `Sink` of messages to send.

use super::WebSocket;
use crate::error::{RecvError, SendError};
use crate::transport::Transport;
use futures_core::Stream;
use futures_sink::Sink;
use newswire_proto::{CloseCode, Message};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl<T: Transport> Stream for WebSocket<T> {
    type Item = Result<Message, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
    }
}

impl<T: Transport> Sink<Message> for WebSocket<T> {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared.poll_room(cx).map(Ok)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.shared.queue(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared.poll_flush(cx)
    }

    /// Closes with code 1000 and waits for the end; messages that still come are thrown
    /// away.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        // When it is closing already, only the end is waited for.
        let _ = self.shared.begin_close(CloseCode::NORMAL, "".into());
        loop {
            match ready!(self.poll_recv(cx)) {
                Some(Ok(_)) => {}
                Some(Err(RecvError::Io(error))) => return Poll::Ready(Err(SendError::Io(error))),
                Some(Err(_)) | None => return Poll::Ready(Ok(())),
            }
        }
    }
}
