//! What runs on a connection: the kinds of handlers, and the stages of a connection's task.

use super::handshake::{self, Handshake, Undecided};
use super::log::{self, Peer};
use super::request::Request;
use crate::transport::Stream;
use crate::websocket::WebSocket;
use crate::websocket::driver::{Driver, Ended, HandlerResult, Handling};
use crate::websocket::shared::Shared;
use pin_project_lite::pin_project;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Handles the connections of a route. Three kinds of functions are handlers, and closures like
/// them, whether they return nothing or a `Result<(), E>`:
///
/// - `async fn(WebSocket)` gets connections that the route's rules let in;
/// - `async fn(WebSocket, Request<S>)` gets the request beside it;
/// - `async fn(Handshake<S>)` gets what the rules let in before it is answered, and accepts or
///   rejects it: see [`Handshake`].
///
/// `A`, the arguments, tells the kinds apart; `S` is the state of the [`Router`](super::Router).
pub trait Handler<S, A>: Send + Sync + 'static {
    /// Whether it takes the request.
    #[doc(hidden)]
    const SEES_REQUESTS: bool;

    /// What goes on with a request that the rules let in.
    #[doc(hidden)]
    fn decider(self: Arc<Self>, request: Option<Request<S>>) -> Decider;
}

impl<S, F, R> Handler<S, (WebSocket,)> for F
where
    F: Fn(WebSocket) -> R + Send + Sync + 'static,
    R: Future<Output: HandlerResult> + Send + 'static,
{
    const SEES_REQUESTS: bool = false;

    fn decider(self: Arc<Self>, _: Option<Request<S>>) -> Decider {
        Decider::accepts(move |opened| run(opened, |ws| self(ws)))
    }
}

impl<S, F, R> Handler<S, (WebSocket, Request<S>)> for F
where
    S: Send + 'static,
    F: Fn(WebSocket, Request<S>) -> R + Send + Sync + 'static,
    R: Future<Output: HandlerResult> + Send + 'static,
{
    const SEES_REQUESTS: bool = true;

    fn decider(self: Arc<Self>, request: Option<Request<S>>) -> Decider {
        let request = seen(request);
        Decider::accepts(move |opened| run(opened, |ws| self(ws, request)))
    }
}

impl<S, F, R> Handler<S, (Handshake<S>,)> for F
where
    S: Send + 'static,
    F: Fn(Handshake<S>) -> R + Send + Sync + 'static,
    R: Future<Output: HandlerResult> + Send + 'static,
{
    const SEES_REQUESTS: bool = true;

    fn decider(self: Arc<Self>, request: Option<Request<S>>) -> Decider {
        let request = seen(request);
        Decider(Next::Decide(Box::new(move |undecided| {
            handshake::decide(undecided, request, move |handshake| self(handshake))
        })))
    }
}

fn seen<S>(request: Option<Request<S>>) -> Request<S> {
    request.expect("who sees requests is given one")
}

/// What goes on with a request that the rules have let in.
pub struct Decider(pub(super) Next);

pub(super) enum Next {
    /// It is accepted; then this.
    Accept(Box<dyn FnOnce(Opened) -> Stage + Send>),
    /// The handler decides.
    Decide(Box<dyn FnOnce(Undecided) -> Stage + Send>),
}

impl Decider {
    fn accepts(start: impl FnOnce(Opened) -> Stage + Send + 'static) -> Self {
        Self(Next::Accept(Box::new(start)))
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decider")
    }
}

/// A handler, whatever it takes.
pub(super) trait Handle<S>: Send + Sync {
    fn sees_requests(&self) -> bool;
    fn decider(&self, request: Option<Request<S>>) -> Decider;
}

pub(super) struct Taking<H, A> {
    handler: Arc<H>,
    arguments: PhantomData<fn(A)>,
}

impl<H, A> Taking<H, A> {
    pub(super) fn new(handler: H) -> Self {
        Self {
            handler: Arc::new(handler),
            arguments: PhantomData,
        }
    }
}

impl<S, A, H: Handler<S, A>> Handle<S> for Taking<H, A> {
    fn sees_requests(&self) -> bool {
        H::SEES_REQUESTS
    }

    fn decider(&self, request: Option<Request<S>>) -> Decider {
        Arc::clone(&self.handler).decider(request)
    }
}

/// Starts a handler on an open connection.
pub(super) fn run<R: Handling + 'static>(
    opened: Opened,
    handler: impl FnOnce(WebSocket) -> R,
) -> Stage {
    let Opened { ws, peer } = opened;
    let shared = ws.shared();
    // A panic before there is a future is the handler's as one in it would be.
    let handler = catch_unwind(AssertUnwindSafe(|| handler(ws)));
    drive(shared, handler, peer)
}

/// The stage of a handler that has begun, which is an error when it has panicked.
pub(super) fn drive<R: Handling + 'static>(
    shared: Arc<Shared<Stream>>,
    handler: Result<R, Box<dyn Any + Send>>,
    peer: Peer,
) -> Stage {
    let driver = Driver::new(shared, handler, move |ended| log::ended(&peer, ended));
    Stage::new(Running { driver })
}

/// A part of a connection's life, as a future that gives the next one.
pub(super) struct Stage(Pin<Box<dyn Future<Output = Option<Self>> + Send>>);

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
pub(super) struct Opened {
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
    struct Running<R, F> {
        #[pin]
        driver: Driver<Stream, R, F>,
    }
}

impl<R: Handling, F: Fn(&Ended)> Future for Running<R, F> {
    type Output = Option<Stage>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Stage>> {
        self.project().driver.poll(cx).map(|()| None)
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::Running;
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
        size_of::<Running<R, fn(&Ended)>>() - size_of::<R>()
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
