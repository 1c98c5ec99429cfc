//! A handler and the rules that a request must keep before it gets there: origin, authentication,
//! subprotocol, limits. The rules themselves are in files of their own.

use super::handler::{Decider, Handle, Handler, Taking};
use super::origin::Origins;
use super::request::{Parts, Request};
use super::subprotocol::Subprotocols;
use crate::config::Config;
use newswire_proto::handshake::Rejection;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(super) type BoxFuture<R> = Pin<Box<dyn Future<Output = R> + Send>>;

pub(super) type Identity = Box<dyn Any + Send + Sync>;
type Authenticate<S> =
    Arc<dyn Fn(Request<S>) -> BoxFuture<Result<Identity, Rejection>> + Send + Sync>;

/// A handler with its rules. Without any, pages of the same origin and clients that are not
/// browsers may connect, and no subprotocol is spoken.
///
/// ```
/// use newswire::{Config, Origins, Request, Rejection, Route, Subprotocols, WebSocket};
///
/// async fn chat(ws: WebSocket) {
///     println!("{:?}", ws.subprotocol());
/// }
///
/// async fn member(request: Request) -> Result<String, Rejection> {
///     match request.cookie("session") {
///         Some("the one in the database") => Ok("somebody".to_owned()),
///         _ => Err(Rejection::forbidden("sign in first")),
///     }
/// }
///
/// # fn main() -> newswire::Result {
/// let route: Route = Route::new(chat)
///     .origins(Origins::list(["https://example.com", "https://*.example.com"])?)
///     .subprotocols(Subprotocols::prefer(["v2.chat", "v1.chat"]))
///     .authenticate(member)
///     .config(Config::new().max_message_size(64 * 1024));
/// # Ok(())
/// # }
/// ```
pub struct Route<S = ()> {
    rules: Rules,
    authenticate: Option<Authenticate<S>>,
    handler: Box<dyn Handle<S>>,
}

/// The rules that do not depend on the state's type.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) origins: Origins,
    pub(super) subprotocols: Subprotocols,
    pub(super) config: Option<Config>,
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    /// A route with the usual rules.
    #[must_use]
    pub fn new<A: 'static>(handler: impl Handler<S, A>) -> Self {
        Self {
            rules: Rules::default(),
            authenticate: None,
            handler: Box::new(Taking::new(handler)),
        }
    }

    /// The pages that may connect. Default: [`Origins::same_origin`]. Others are answered with 403.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.rules.origins = origins;
        self
    }

    /// The subprotocols that the handler speaks. Default: none.
    #[must_use]
    pub fn subprotocols(mut self, subprotocols: impl Into<Subprotocols>) -> Self {
        self.rules.subprotocols = subprotocols.into();
        self
    }

    /// Limits and timeouts for this route's connections, instead of the server's. The handshake
    /// itself is under the server's.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.rules.config = Some(config);
        self
    }

    /// Asks `hook` before anything is accepted. What it finds out is there for the handler:
    /// [`Request::identity`]. A rejection is the answer; [`auth::unauthorized`](super::auth::unauthorized) is a 401, and
    /// [`Rejection::forbidden`] a 403. It has the handshake timeout for it; then the answer is 503.
    /// When it panics the answer is 500.
    #[must_use]
    pub fn authenticate<H, R, I>(mut self, hook: H) -> Self
    where
        H: Fn(Request<S>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<I, Rejection>> + Send + 'static,
        I: Any + Send + Sync,
    {
        self.authenticate = Some(Arc::new(move |request| {
            let found = hook(request);
            Box::pin(async move { found.await.map(|identity| Box::new(identity) as Identity) })
        }));
        self
    }

    pub(super) fn bind(self, state: S) -> Box<dyn Bound> {
        Box::new(WithState { route: self, state })
    }
}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What can be a route: a [`Route`], and every [`Handler`].
pub trait IntoRoute<S, A> {
    /// The route.
    fn into_route(self) -> Route<S>;
}

impl<S> IntoRoute<S, ()> for Route<S> {
    fn into_route(self) -> Self {
        self
    }
}

impl<S, A, H> IntoRoute<S, (A,)> for H
where
    S: Clone + Send + Sync + 'static,
    A: 'static,
    H: Handler<S, A>,
{
    fn into_route(self) -> Route<S> {
        Route::new(self)
    }
}

/// A route with its state, whatever its type.
pub(super) trait Bound: Send + Sync {
    fn rules(&self) -> &Rules;

    /// Whether anything of it wants to see the request.
    fn sees_requests(&self) -> bool;

    /// Asks who it is, if the route does.
    fn authenticate(&self, parts: &Arc<Parts>) -> Option<BoxFuture<Result<Identity, Rejection>>>;

    /// What goes on with the request.
    fn handler(&self, parts: Option<Arc<Parts>>) -> Decider;
}

struct WithState<S> {
    route: Route<S>,
    state: S,
}

impl<S: Clone + Send + Sync + 'static> WithState<S> {
    fn request(&self, parts: Arc<Parts>) -> Request<S> {
        Request::new(parts, self.state.clone())
    }
}

impl<S: Clone + Send + Sync + 'static> Bound for WithState<S> {
    fn rules(&self) -> &Rules {
        &self.route.rules
    }

    fn sees_requests(&self) -> bool {
        self.route.authenticate.is_some() || self.route.handler.sees_requests()
    }

    fn authenticate(&self, parts: &Arc<Parts>) -> Option<BoxFuture<Result<Identity, Rejection>>> {
        let hook = self.route.authenticate.as_ref()?;
        Some(hook(self.request(Arc::clone(parts))))
    }

    fn handler(&self, parts: Option<Arc<Parts>>) -> Decider {
        let request = parts.map(|parts| self.request(parts));
        self.route.handler.decider(request)
    }
}
