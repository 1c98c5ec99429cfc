//! The task of a connection: one stage after the other. What the stages are is not known here.

use super::handler::Stage;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::AbortHandle;

/// The stages of a connection, each in a box of its own size, so that the long one keeps no room
/// for the short one.
pub(super) struct Connection(Stage);

impl Connection {
    pub(super) fn new(stage: Stage) -> Self {
        Self(stage)
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(next) = ready!(self.0.poll(cx)) {
            self.0 = next;
        }
        Poll::Ready(())
    }
}

/// Starts the task of a connection, on this thread's runtime, with its first stage.
pub(super) fn spawn(first: impl Future<Output = Option<Stage>> + Send + 'static) -> AbortHandle {
    tokio::spawn(Connection::new(Stage::new(first))).abort_handle()
}
