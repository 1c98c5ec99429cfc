//! A connection that is driven by the task of its handler: the handler runs, then everything
//! that it and the peer have produced is written in one turn. So a message that was sent
//! never waits for the handler's next call, and many of them share one write. Control frames
//! are answered, deadlines kept and closes noticed whatever the handler waits for, as far as the
//! first message that nobody has received yet.

use super::shared::Shared;
use super::turn::Moved;
use crate::Error;
use crate::transport::Transport;
use newswire_proto::CloseCode;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

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

pin_project! {
    /// The future of a driven connection. It ends when the handler and the connection have.
    pub(crate) struct Driver<T: Transport, H, F> {
        shared: Arc<Shared<T>>,
        #[pin]
        handler: Option<H>,
        on_end: F,
    }

    impl<T: Transport, H, F> PinnedDrop for Driver<T, H, F> {
        fn drop(this: Pin<&mut Self>) {
            this.shared.leave_clock();
        }
    }
}

impl<T: Transport, H: Handling, F: Fn(&Ended)> Driver<T, H, F> {
    /// `handler` is an error when it has panicked before there was a future. How it ends is told
    /// to `on_end`.
    pub(crate) fn new<E>(shared: Arc<Shared<T>>, handler: Result<H, E>, on_end: F) -> Self {
        let handler = handler.ok();
        if handler.is_none() {
            on_end(&Ended::Panicked);
            begin_close(&shared, Moved::default(), &Ended::Panicked);
        }
        Self {
            shared,
            handler,
            on_end,
        }
    }

    fn poll_handler(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        this.shared.set_driver(cx);
        for _ in 0..ROUNDS {
            let Some(handler) = this.handler.as_mut().as_pin_mut() else {
                return Poll::Ready(());
            };
            let (polled, moved) = this
                .shared
                .turn(|| catch_unwind(AssertUnwindSafe(|| handler.poll_result(cx))));
            let ended = match polled {
                Ok(Poll::Pending) => {
                    if this.shared.after_turn(moved, cx) {
                        continue;
                    }
                    return Poll::Pending;
                }
                Ok(Poll::Ready(Ok(()))) => Ended::Done,
                Ok(Poll::Ready(Err(error))) => Ended::Failed(error),
                Err(_) => Ended::Panicked,
            };
            this.handler.set(None);
            (this.on_end)(&ended);
            begin_close(this.shared, moved, &ended);
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Begins to close as the handler's end asks for.
fn begin_close<T: Transport>(shared: &Arc<Shared<T>>, moved: Moved, ended: &Ended) {
    // RFC 6455 §7.4.1: 1011 says that the server "encountered an unexpected
    // condition that prevented it from fulfilling the request."
    let code = match ended {
        Ended::Done => CloseCode::NORMAL,
        Ended::Failed(_) | Ended::Panicked => CloseCode::INTERNAL_ERROR,
    };
    shared.after_handler(moved, ended, code);
}

impl<T: Transport, H: Handling, F: Fn(&Ended)> Future for Driver<T, H, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.as_mut().poll_handler(cx));
        self.project().shared.poll_end(cx)
    }
}
