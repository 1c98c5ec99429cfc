//! A connection that is driven by the task of its handler: the handler runs, then everything
//! that it and the peer have produced is written in one turn. So a message that was sent
//! never waits for the handler's next call, and many of them share one write. Control frames
//! are answered, deadlines kept and closes noticed whatever the handler waits for, as far as the
//! first message that nobody has received yet.

use super::shared::Shared;
use crate::Error;
use crate::transport::Transport;
use newswire_proto::CloseCode;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How often in one turn a handler that was waiting for room may go on at once.
const ROUNDS: usize = 16;

/// A handler at work on a connection: any future whose output is a [`HandlerResult`].
pub trait Handling: Send {
    /// Polls the future.
    fn poll_result(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
}

impl<R: Future<Output: HandlerResult> + Send> Handling for R {
    fn poll_result(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll(cx).map(HandlerResult::into_result)
    }
}

/// What a handler may return.
pub trait HandlerResult {
    /// The result that decides between close codes 1000 and 1011.
    ///
    /// # Errors
    /// The handler's own.
    fn into_result(self) -> Result<(), Error>;
}

impl HandlerResult for () {
    fn into_result(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<E: Into<Error>> HandlerResult for Result<(), E> {
    fn into_result(self) -> Result<(), Error> {
        self.map_err(Into::into)
    }
}

/// How a handler ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// As it should.
    Done,
    /// With an error.
    #[cfg_attr(
        not(feature = "tracing"),
        expect(dead_code, reason = "only tracing is told")
    )]
    Failed(Error),
    /// It panicked.
    Panicked,
}

/// The future of a driven connection. It ends when the handler and the connection have.
pub(crate) struct Driver<T: Transport> {
    shared: Arc<Shared<T>>,
    handler: Option<Pin<Box<dyn Handling>>>,
    ended: Option<Ended>,
    driving: bool,
}

impl<T: Transport> Driver<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, handler: Pin<Box<dyn Handling>>) -> Self {
        Self {
            shared,
            handler: Some(handler),
            ended: None,
            driving: false,
        }
    }

    fn poll_handler(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(handler) = &mut self.handler else {
            return Poll::Ready(());
        };
        if !self.driving {
            self.driving = true;
            self.shared.set_driver(cx);
        }
        for _ in 0..ROUNDS {
            let polled = self
                .shared
                .turn(|| catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll_result(cx))));
            let ended = match polled {
                Ok(Poll::Pending) => {
                    if self.shared.after_turn(cx) {
                        continue;
                    }
                    return Poll::Pending;
                }
                Ok(Poll::Ready(Ok(()))) => Ended::Done,
                Ok(Poll::Ready(Err(error))) => Ended::Failed(error),
                Err(_) => Ended::Panicked,
            };
            // RFC 6455 §7.4.1: 1011 says that the server "encountered an unexpected
            // condition that prevented it from fulfilling the request."
            let code = match ended {
                Ended::Done => CloseCode::NORMAL,
                Ended::Failed(_) | Ended::Panicked => CloseCode::INTERNAL_ERROR,
            };
            self.handler = None;
            self.ended = Some(ended);
            // An error means that the connection is closing already.
            let _ = self.shared.begin_close(code, "".into());
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Transport> Future for Driver<T> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        std::task::ready!(this.poll_handler(cx));
        std::task::ready!(this.shared.poll_end(cx));
        Poll::Ready(this.ended.take().unwrap_or(Ended::Done))
    }
}
