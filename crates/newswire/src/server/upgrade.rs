//! WebSockets on the connections of other HTTP servers: [`WebSocketUpgrade`], which judges and
//! answers a request that hyper has read. How hyper hands the connection over is in `handover.rs`;
//! routes for such requests are in `service.rs`.

use super::handler::{Opened, run};
use super::handover::{no_promise, open, promise};
use super::http::deadline;
use super::judge::{accepted, check_origin};
use super::log::{self, Span};
use super::origin::Origins;
use super::request::PeerAddr;
use super::subprotocol::Subprotocols;
use super::tasks;
use crate::config::Config;
use crate::error::AcceptError;
use crate::websocket::WebSocket;
use crate::websocket::driver::HandlerResult;
use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;
use newswire_proto::handshake::{Accepted, Rejection, Upgrade};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Accepts a request that hyper has read, whatever path it asks for, as [`WebSocketUpgrade`] does
/// without any settings: the answer to give, and the connection to come.
///
/// # Errors
/// The answer to give instead ([`Rejection::to_response`]).
///
/// ```
/// use http::{Request, Response};
/// use newswire::Error;
///
/// async fn serve(mut request: Request<hyper::body::Incoming>) -> Result<Response<String>, Error> {
///     let (response, upgrading) = match newswire::upgrade(&mut request) {
///         Ok(accepted) => accepted,
///         Err(rejection) => return Ok(rejection.to_response()),
///     };
///     tokio::spawn(async move {
///         let mut ws = upgrading.await?;
///         while let Some(message) = ws.recv().await? {
///             ws.send(message).await?;
///         }
///         Ok::<_, newswire::Error>(())
///     });
///     Ok(response.map(|()| String::new()))
/// }
/// ```
pub fn upgrade<B>(request: &mut Request<B>) -> Result<(Response<()>, Upgrading), Rejection> {
    WebSocketUpgrade::<()>::from_request(request)?.accept()
}

/// A request to open a WebSocket that came to a server on hyper, and which the server may accept:
/// by [`on_upgrade`](Self::on_upgrade) with a handler, or by [`accept`](Self::accept). `B` is the
/// type of the response's body. With the feature `axum` it is also an extractor.
///
/// As with a [`Route`](super::Route), pages of the same origin and clients that are not browsers
/// may connect, and no subprotocol is spoken, unless it is told otherwise. Proxies are nobody's here
/// to trust: where one takes TLS off, it has to pass the header `Host` on.
///
/// ```
/// use http::{Request, Response};
/// use newswire::{WebSocket, WebSocketUpgrade};
///
/// fn chat(mut request: Request<hyper::body::Incoming>) -> Response<String> {
///     match WebSocketUpgrade::from_request(&mut request) {
///         Ok(upgrade) => upgrade
///             .subprotocols(["v2.chat", "v1.chat"])
///             .on_upgrade(async |mut ws: WebSocket| ws.send("welcome").await),
///         Err(rejection) => rejection.to_response(),
///     }
/// }
/// # fn main() {}
/// ```
#[must_use = "the client waits for an answer"]
pub struct WebSocketUpgrade<B = String> {
    upgrade: Upgrade,
    on_upgrade: OnUpgrade,
    /// Of the request.
    headers: HeaderMap,
    peer: PeerAddr,
    uri: Uri,
    /// For the response.
    extra: HeaderMap,
    origins: Origins,
    subprotocols: Subprotocols,
    config: Config,
    body: PhantomData<fn() -> B>,
}

impl<B> WebSocketUpgrade<B> {
    /// Judges a request, and takes from it hyper's promise to hand over the connection.
    ///
    /// # Errors
    /// The answer to give instead: 426 when it asks for no WebSocket, 405 or 400 when it does so
    /// wrongly, 500 when the server cannot hand over connections.
    pub fn from_request<R>(request: &mut Request<R>) -> Result<Self, Rejection> {
        let upgrade = Upgrade::from_request(request)?;
        let peer = request.extensions().get().copied();
        Ok(Self {
            upgrade,
            on_upgrade: promise(request).ok_or_else(no_promise)?,
            headers: request.headers().clone(),
            peer: peer.unwrap_or(PeerAddr::Local),
            uri: request.uri().clone(),
            extra: HeaderMap::new(),
            origins: Origins::default(),
            subprotocols: Subprotocols::default(),
            config: Config::default(),
            body: PhantomData,
        })
    }

    /// The subprotocols that the client offers, the one that it prefers first.
    #[must_use]
    pub fn offered(&self) -> &[String] {
        self.upgrade.subprotocols()
    }

    /// The pages that may connect. Default: [`Origins::same_origin`].
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// The subprotocols that are spoken. Default: none.
    pub fn subprotocols(mut self, subprotocols: impl Into<Subprotocols>) -> Self {
        self.subprotocols = subprotocols.into();
        self
    }

    /// Limits and timeouts. The handshake timeout is how long the server has to hand the connection
    /// over.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// A header line for the answer if that is 101, such as `Set-Cookie`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.extra.append(name, value);
        self
    }

    /// Accepts: the answer to give, and the connection that there is once it has been given.
    ///
    /// # Errors
    /// The answer to give instead: 403 for a page that may not connect, 400 when none of the
    /// offered subprotocols will do, 500 when one of the headers cannot be added.
    pub fn accept(self) -> Result<(Response<()>, Upgrading), Rejection> {
        let config = self.config.clone();
        let (accepted, on_upgrade) = self.accepted()?;
        let response = accepted.response();
        let limit = deadline(config.handshake_timeout);
        let upgrading = open(on_upgrade, accepted.into_negotiated(), config, limit);
        Ok((response, Upgrading(Box::pin(upgrading))))
    }

    fn accepted(self) -> Result<(Accepted, OnUpgrade), Rejection> {
        check_origin(&self.origins, &self.headers, None, false)?;
        let subprotocol = self.subprotocols.choose(self.upgrade.subprotocols())?;
        let accepted = accepted(&self.upgrade, subprotocol.as_deref(), &self.config)?;
        let accepted = accepted.with_headers(&self.extra).map_err(|misuse| {
            Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, misuse.to_string())
        })?;
        Ok((accepted, self.on_upgrade))
    }
}

impl<B: From<String>> WebSocketUpgrade<B> {
    /// Accepts, and runs `handler` on the connection: in a task of the tokio runtime that this is
    /// called on, as a [`Server`](super::Server) would, so what is sent is written together when
    /// the handler waits for something, and the connection ends with its handler. What the server
    /// does when it shuts down does not reach it. Gives the answer, which may be a refusal.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn on_upgrade<H, R>(self, handler: H) -> Response<B>
    where
        H: FnOnce(WebSocket) -> R + Send + 'static,
        R: Future<Output: HandlerResult> + Send + 'static,
    {
        let (peer, uri) = (self.peer, self.uri.clone());
        let (response, upgrading) = match self.accept() {
            Ok(accepted) => accepted,
            Err(rejection) => {
                log::refused(&peer.into(), Some(uri.path()), &rejection);
                return rejection.to_response().map(B::from);
            }
        };
        let connection = async move {
            match upgrading.await {
                Ok(ws) => {
                    let peer = peer.into();
                    Some(run(Opened { ws, peer }, handler))
                }
                Err(error) => {
                    log::gave_up(&peer.into(), &error);
                    None
                }
            }
        };
        tasks::spawn(Span::new(peer, uri.path()).around(connection));
        response.map(|()| B::from(String::new()))
    }
}

impl<B> fmt::Debug for WebSocketUpgrade<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may hold secrets.
        f.debug_struct("WebSocketUpgrade")
            .field("peer", &self.peer)
            .field("offered", &self.offered())
            .finish_non_exhaustive()
    }
}

/// The connection that there is once hyper has sent the answer and hands it over: a future for an
/// open WebSocket, which the user drives by its calls.
///
/// # Errors
/// [`AcceptError::Io`] when the client has gone, [`AcceptError::Ended`] when the answer was not
/// given in time.
///
/// # Cancel safety
/// Dropping the future drops the connection.
#[must_use = "the connection is handed over to this future"]
pub struct Upgrading(Pin<Box<dyn Future<Output = Result<WebSocket, AcceptError>> + Send>>);

impl Future for Upgrading {
    type Output = Result<WebSocket, AcceptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrading")
    }
}
