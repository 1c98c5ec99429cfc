//! axum's view of what this library has for servers on hyper: an extractor, its rejection, and where
//! axum keeps the client's address. Nothing is decided here.

use super::PeerAddr;
use super::upgrade;
use ::axum::body::Body;
use ::axum::extract::{ConnectInfo, FromRequestParts};
use ::axum::response::{IntoResponse, Response};
use ::http::request::Parts;
use ::http::{Extensions, Request};
use newswire_proto::handshake::Rejection;
use std::fmt;
use std::mem;
use std::net::SocketAddr;

/// An extractor for requests that open a WebSocket.
///
/// ```
/// use axum::response::Response;
/// use axum::routing::any;
/// use newswire::WebSocket;
/// use newswire::axum::WebSocketUpgrade;
///
/// async fn echo(mut ws: WebSocket) -> newswire::Result {
///     while let Some(message) = ws.recv().await? {
///         ws.send(message).await?;
///     }
///     Ok(())
/// }
///
/// async fn chat(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.subprotocols(["chat"]).on_upgrade(echo)
/// }
///
/// let app: axum::Router = axum::Router::new().route("/chat", any(chat));
/// ```
pub type WebSocketUpgrade = upgrade::WebSocketUpgrade<Body>;

/// The answer to a request that opens no WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketRejection(pub Rejection);

impl IntoResponse for WebSocketRejection {
    fn into_response(self) -> Response {
        self.0.to_response().map(Body::from)
    }
}

impl From<Rejection> for WebSocketRejection {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl fmt::Display for WebSocketRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for WebSocketRejection {}

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = WebSocketRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if parts.extensions.get::<PeerAddr>().is_none()
            && let Some(peer) = peer(&parts.extensions)
        {
            parts.extensions.insert(peer);
        }
        let nothing = Request::new(()).into_parts().0;
        let mut request = Request::from_parts(mem::replace(parts, nothing), ());
        let upgrade = Self::from_request(&mut request);
        *parts = request.into_parts().0;
        Ok(upgrade?)
    }
}

/// Whom axum is connected to, when it serves with `into_make_service_with_connect_info`.
pub(super) fn peer(extensions: &Extensions) -> Option<PeerAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some((*peer).into())
}
