//! What a handler and the rules of a route see of a request: the head, the parameters of its path,
//! who asks, and the server's state. Nothing is read or answered here.

use super::auth::{self, Basic};
use super::cookies;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Uri, Version};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddr {
    /// An address and a port: the socket's own, or what a PROXY protocol header gave.
    Socket(SocketAddr),
    /// An address whose port is not known, as a trusted proxy's headers gave it.
    Ip(IpAddr),
    /// A Unix socket, or a transport without addresses.
    Local,
}

impl PeerAddr {
    /// The address, if there is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Socket(addr) => Some(addr.ip()),
            Self::Ip(ip) => Some(*ip),
            Self::Local => None,
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Socket(addr)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(addr) => addr.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
            Self::Local => f.write_str("local"),
        }
    }
}

/// Who asks, and by what way: all that is known of a request beside its head.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// The other end of the socket, or whom a PROXY protocol header names.
    pub(super) connection: PeerAddr,
    /// The client, which may be behind proxies.
    pub(super) client: PeerAddr,
    /// The client speaks TLS, with this server or with a trusted proxy.
    pub(super) secure: bool,
    /// The host that a trusted proxy was asked for.
    pub(super) host: Option<Box<str>>,
    /// Of the TLS that this server speaks itself.
    #[cfg(feature = "rustls")]
    pub(super) tls: Option<Arc<crate::tls::TlsDetails>>,
}

impl Arrival {
    /// Somebody at `peer`, without proxies and TLS.
    pub(super) fn plain(peer: PeerAddr) -> Self {
        Self {
            connection: peer,
            client: peer,
            secure: false,
            host: None,
            #[cfg(feature = "rustls")]
            tls: None,
        }
    }
}

/// The parameters of a path, decoded.
pub(super) type Params = Vec<(Box<str>, Box<str>)>;

/// All of a request but the state, which has the type of the router.
pub(super) struct Parts {
    pub(super) head: http::Request<()>,
    pub(super) params: Params,
    pub(super) subprotocols: Vec<String>,
    pub(super) arrival: Arrival,
    pub(super) identity: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// A client's request to open a WebSocket: what a [`Handler`](super::Handler) may take beside the
/// connection, and what a [`Handshake`](super::Handshake) is about. `S` is the state of the
/// [`Router`](super::Router). A clone is cheap, and is the same request.
///
/// ```
/// use newswire::{Request, Router, WebSocket};
///
/// async fn room(ws: WebSocket, request: Request) -> newswire::Result {
///     let room = request.param("room").unwrap_or_default();
///     ws.send(format!("{} is in {room}", request.peer_addr())).await?;
///     Ok(())
/// }
///
/// let router = Router::new().route("/rooms/{room}", room);
/// ```
pub struct Request<S = ()> {
    parts: Arc<Parts>,
    state: S,
}

impl<S> Request<S> {
    pub(super) fn new(parts: Arc<Parts>, state: S) -> Self {
        Self { parts, state }
    }

    /// The method, which is GET over HTTP/1.1.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.parts.head.method()
    }

    /// The target: the path and the query, as they were sent.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        self.parts.head.uri()
    }

    /// The version of HTTP.
    #[must_use]
    pub fn version(&self) -> Version {
        self.parts.head.version()
    }

    /// The path, as it was sent: percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri().path()
    }

    /// What the path has where the route's has `{name}`, percent-decoded; `None` when the route
    /// has no such parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.parts.params.iter();
        params
            .find(|(known, _)| **known == *name)
            .map(|(_, value)| &**value)
    }

    /// The query, without its question mark, as it was sent.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    /// The first value of `name` in a query of `name=value` pairs, decoded as HTML forms are:
    /// `+` is a space, and what is not UTF-8 becomes U+FFFD (WHATWG URL, urlencoded parsing).
    #[must_use]
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        form_urlencoded::parse(self.query()?.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.parts.head.headers()
    }

    /// The first value of a header, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// What the HTTP server and the layers in front of a [`RouterService`](super::RouterService)
    /// have left with the request: nothing in a [`Server`](super::Server).
    #[cfg(feature = "http")]
    #[must_use]
    pub fn extensions(&self) -> &http::Extensions {
        self.parts.head.extensions()
    }

    /// The first cookie of this name (RFC 6265 §5.4).
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        cookies::get(self.headers(), name)
    }

    /// The page that asks, as scheme, host and port (RFC 6454): what a browser sends always, and
    /// other clients may leave out or make up.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.header(ORIGIN.as_str())
    }

    /// The host that the client asked for, with a port unless it is the usual one: what a trusted
    /// proxy was asked for, else the header `Host`.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let forwarded = self.parts.arrival.host.as_deref();
        forwarded.or_else(|| self.header(HOST.as_str()))
    }

    /// The subprotocols that the client offers, the one that it prefers first.
    #[must_use]
    pub fn subprotocols(&self) -> &[String] {
        &self.parts.subprotocols
    }

    /// The client: of the addresses that trusted proxies give, the nearest that is not a trusted
    /// proxy's, else the other end of the connection. See
    /// [`Server::trusted_proxies`](super::Server::trusted_proxies).
    #[must_use]
    pub fn peer_addr(&self) -> PeerAddr {
        self.parts.arrival.client
    }

    /// The other end of the connection itself, or whom a PROXY protocol header names.
    #[must_use]
    pub fn connection_addr(&self) -> PeerAddr {
        self.parts.arrival.connection
    }

    /// Whether the client speaks TLS: with this server, or as a trusted proxy says, with that.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.parts.arrival.secure
    }

    /// What was agreed on in the TLS handshake, when this server speaks TLS itself.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(&self) -> Option<&crate::tls::TlsDetails> {
        self.parts.arrival.tls.as_deref()
    }

    /// The token of an `Authorization: Bearer` header (RFC 6750).
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        auth::bearer(self.headers())
    }

    /// The name and password of an `Authorization: Basic` header (RFC 7617).
    #[must_use]
    pub fn basic(&self) -> Option<Basic> {
        auth::basic(self.headers())
    }

    /// What [`Route::authenticate`](super::Route::authenticate) found out, if it was of this type.
    #[must_use]
    pub fn identity<I: Any>(&self) -> Option<&I> {
        self.parts.identity.get()?.downcast_ref()
    }

    /// The state of the router.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.state
    }
}

impl<S: Clone> Clone for Request<S> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            state: self.state.clone(),
        }
    }
}

impl<S> fmt::Debug for Request<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may hold secrets, and so may queries.
        f.debug_struct("Request")
            .field("method", self.method())
            .field("path", &self.path())
            .field("peer_addr", &self.peer_addr())
            .finish_non_exhaustive()
    }
}
