//! What runs on a connection: handlers, and the routes that lead to them.

use crate::websocket::WebSocket;
use crate::websocket::driver::{HandlerResult, Handling};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Handles the connections of a route. Every `async fn(WebSocket)` is one, whether it returns
/// nothing or a `Result<(), E>`.
pub trait Handler: Send + Sync + 'static {
    /// Handles one connection, which is closed when the future is ready.
    fn call(&self, ws: WebSocket) -> Pin<Box<dyn Handling>>;
}

impl<F, R> Handler for F
where
    F: Fn(WebSocket) -> R + Send + Sync + 'static,
    R: Future<Output: HandlerResult> + Send + 'static,
{
    fn call(&self, ws: WebSocket) -> Pin<Box<dyn Handling>> {
        Box::pin(self(ws))
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
