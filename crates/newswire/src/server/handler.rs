//! What runs on a connection: handlers, and the routes that lead to them.

use super::log::{self, Peer};
use crate::transport::Stream;
use crate::websocket::WebSocket;
use crate::websocket::driver::{Driver, Ended, HandlerResult, Handling};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Handles the connections of a route. Every `async fn(WebSocket)` is one, whether it returns
/// nothing or a `Result<(), E>`.
pub trait Handler: Send + Sync + 'static {
    /// What a connection's task goes on with, which closes it when the handler's future is ready.
    #[doc(hidden)]
    fn start(&self, opened: Opened) -> Stage;
}

impl<F, R> Handler for F
where
    F: Fn(WebSocket) -> R + Send + Sync + 'static,
    R: Future<Output: HandlerResult> + Send + 'static,
{
    fn start(&self, opened: Opened) -> Stage {
        let Opened { ws, peer } = opened;
        let shared = ws.shared();
        // A panic before there is a future is the handler's as one in it would be.
        let handler = catch_unwind(AssertUnwindSafe(|| self(ws)));
        let driver = Driver::new(shared, handler, move |ended| log::ended(&peer, ended));
        Stage::new(Handled { driver })
    }
}

/// A part of a connection's life, as a future that gives the next one.
pub struct Stage(Pin<Box<dyn Future<Output = Option<Self>> + Send>>);

impl Stage {
    pub(super) fn new(stage: impl Future<Output = Option<Self>> + Send + 'static) -> Self {
        Self(Box::pin(stage))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self>> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stage")
    }
}

/// A connection that is open, on its way to its handler.
pub struct Opened {
    pub(super) ws: WebSocket,
    pub(super) peer: Peer,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ws.fmt(f)
    }
}

pin_project! {
    /// The stage of the handler: nothing but what must live as long as the handler, the handler's
    /// future itself among it, so that a connection is as small as can be.
    struct Handled<R, F> {
        #[pin]
        driver: Driver<Stream, R, F>,
    }
}

impl<R: Handling, F: Fn(&Ended)> Future for Handled<R, F> {
    type Output = Option<Stage>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Stage>> {
        self.project().driver.poll(cx).map(|()| None)
    }
}

/// A handler with its options.
///
/// ```
/// use newswire::{Route, WebSocket};
///
/// async fn chat(ws: WebSocket) {
///     println!("{:?}", ws.subprotocol());
/// }
///
/// let route = Route::new(chat).subprotocols(["v2.chat", "v1.chat"]);
/// ```
#[derive(Clone)]
pub struct Route {
    pub(super) handler: Arc<dyn Handler>,
    subprotocols: Arc<[Box<str>]>,
}

impl Route {
    /// A route without options.
    #[must_use]
    pub fn new(handler: impl Handler) -> Self {
        Self {
            handler: Arc::new(handler),
            subprotocols: Arc::default(),
        }
    }

    /// The subprotocols that the handler speaks, the preferred one first. The first of them
    /// that the client offers is chosen, none when it offers none of them.
    #[must_use]
    pub fn subprotocols<S: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    pub(super) fn speaks(&self) -> &[Box<str>] {
        &self.subprotocols
    }
}

impl<H: Handler> From<H> for Route {
    fn from(handler: H) -> Self {
        Self::new(handler)
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("subprotocols", &self.subprotocols)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::Handled;
    use crate::websocket::driver::Ended;
    use crate::websocket::shared::Shared;
    use crate::{RecvFuture, SendFuture, Stream, WebSocket};
    use std::mem::size_of;

    async fn echo(mut ws: WebSocket) -> crate::Result {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    }

    /// The bytes of a task's future beside its handler's.
    fn task_overhead<R>(_: fn(WebSocket) -> R) -> usize {
        size_of::<Handled<R, fn(&Ended)>>() - size_of::<R>()
    }

    #[test]
    fn what_each_connection_keeps_is_small() {
        // What the runtime adds, and how the allocator packs it all: docs/design/007.
        assert!(size_of::<WebSocket>() <= 8);
        assert!(size_of::<RecvFuture<'_>>() <= 8);
        assert!(size_of::<SendFuture<'_>>() <= 48);
        assert!(task_overhead(echo) <= 24, "{}", task_overhead(echo));
        assert!(
            size_of::<Shared<Stream>>() <= 136,
            "{}",
            size_of::<Shared<Stream>>()
        );
        assert!(crate::websocket::outside_len() <= 104);
    }
}
