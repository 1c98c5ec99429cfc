//! [`RouterService`]: the routes as a `tower` service, for servers that speak HTTP themselves. What
//! the routes do is not known here.

use super::handover::{Handover, promise};
use super::http::{Asked, Opening, answer, deadline};
use super::metrics::Metrics;
use super::registry::{Registry, shut_down};
use super::request::{Arrival, PeerAddr};
use super::router::Router;
use super::{Service, Shutdown, TrustedProxies, tasks};
use crate::config::Config;
use ::http::{Extensions, Request, Response, StatusCode};
use newswire_proto::handshake::Rejection;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The routes of a [`Router`] as a [`tower_service::Service`], for a server that speaks HTTP itself
/// and runs on hyper, such as axum: the same handlers under the same rules as in a
/// [`Server`](super::Server). Requests that lead nowhere are answered with 404, those that ask for
/// no WebSocket with 426. The server has to serve its connections with upgrades.
///
/// Each request is taken up by a task of its own, on the tokio runtime that the service is called
/// on; it becomes the task of the connection, and ends with it. A clone is cheap, and is the same
/// service.
///
/// The client's address is what the server has left among the request's extensions: a [`PeerAddr`],
/// or with the feature `axum` axum's `ConnectInfo<SocketAddr>`. Without, it is
/// [`PeerAddr::Local`], as are proxies on a Unix socket to [`TrustedProxies`].
///
/// ```
/// use newswire::{Request, Router, WebSocket};
///
/// async fn room(ws: WebSocket, request: Request) -> newswire::Result {
///     ws.send(format!("this is {}", request.path())).await?;
///     Ok(())
/// }
///
/// let service = Router::new().route("/rooms/{room}", room).into_service();
/// let app: axum::Router = axum::Router::new().fallback_service(service);
/// ```
#[derive(Clone)]
pub struct RouterService {
    service: Arc<Service>,
    registry: Arc<Registry>,
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// The routes as a service for hyper and tower, with the usual limits and timeouts, and without
    /// proxies to trust.
    #[must_use]
    pub fn into_service(self) -> RouterService {
        self.into_service_with(Config::default(), TrustedProxies::default())
    }

    /// The routes as a service for hyper and tower, with these limits and timeouts, and these
    /// proxies to trust.
    #[must_use]
    pub fn into_service_with(self, config: Config, proxies: TrustedProxies) -> RouterService {
        let service = Service {
            paths: self.into_paths(),
            config,
            trusted_proxies: proxies,
            ..Service::default()
        };
        RouterService {
            registry: Registry::new(&service.metrics),
            service: Arc::new(service),
        }
    }
}

impl RouterService {
    /// What the routes' connections have been counted to.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.service.metrics.clone()
    }

    /// Closes every connection with code 1001, spread over `spread`, waits for the handlers for the
    /// close timeout, and cuts what is left. From then on requests are answered with 503. A server
    /// on hyper does not end the connections that it has handed over, so this is to be called when
    /// it shuts down.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connections as far as they have come.
    pub async fn shut_down(&self, spread: Duration) -> Shutdown {
        let limit = self.service.config.connection.close_limit();
        shut_down(&[Arc::clone(&self.registry)], spread, limit).await
    }

    /// Has a task take up the request; its answer.
    fn take_up<B>(&self, mut request: Request<B>) -> Answering {
        let on_upgrade = promise(&mut request);
        let (head, _) = request.into_parts();
        let mut arrival = Arrival::plain(peer(&head.extensions));
        self.service
            .look_through_proxies(&mut arrival, &head.headers);
        let (answer_to, answered) = oneshot::channel();
        let permit = match self.service.limits.admit(None, Instant::now()) {
            Ok(permit) => permit,
            Err(refused) => {
                let _ = answer_to.send(Rejection::from(refused).to_response());
                return Answering {
                    answer: answered,
                    task: None,
                };
            }
        };
        let registered = self.registry.register(permit);
        let place = registered.place();
        let opening = Opening::Others(Handover {
            answer: answer_to,
            on_upgrade,
        });
        let asked = Asked {
            request: Request::from_parts(head, ()),
            arrival,
            refused: None,
            limit: deadline(self.service.config.handshake_timeout),
            registered,
        };
        let task = tasks::spawn(answer(Arc::clone(&self.service), opening, asked));
        place.set_task(task.clone());
        Answering {
            answer: answered,
            task: Some(task),
        }
    }
}

/// Whom the server says that it is connected to.
fn peer(extensions: &Extensions) -> PeerAddr {
    if let Some(peer) = extensions.get::<PeerAddr>() {
        return *peer;
    }
    #[cfg(feature = "axum")]
    if let Some(peer) = super::axum::peer(extensions) {
        return peer;
    }
    PeerAddr::Local
}

impl fmt::Debug for RouterService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterService")
            .field("connections", &self.registry.len())
            .finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for RouterService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        self.take_up(request)
    }
}

/// The answer of a [`RouterService`], which is 101 or a refusal. When it is dropped before, the
/// client has gone, and the request is not gone on with.
#[must_use = "the client waits for the answer"]
pub struct Answering {
    answer: oneshot::Receiver<Response<String>>,
    task: Option<AbortHandle>,
}

impl Future for Answering {
    type Output = Result<Response<String>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        self.task = None;
        Poll::Ready(Ok(answer.unwrap_or_else(|_| {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Rejection::new(status, "the request was dropped without an answer").to_response()
        })))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}
