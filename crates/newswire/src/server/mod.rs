//! [`Server`]: from a listening socket to handlers. The accept loop is in `listener.rs`, its
//! threads in `workers.rs`; what a connection goes through up to its handler, in this order, in
//! `preface.rs`, `http.rs`, `judge.rs` with the rules of `route.rs`, and `handler.rs`. For the
//! connections of other HTTP servers there are `service.rs` and `upgrade.rs`.

mod alarm;
pub mod auth;
#[cfg(feature = "axum")]
pub mod axum;
mod clock;
pub mod cookies;
mod forwarded;
mod handler;
#[cfg(feature = "http")]
mod handover;
mod handshake;
mod http;
mod judge;
mod limits;
mod listener;
mod log;
mod metrics;
mod origin;
mod preface;
pub mod proxy_protocol;
mod registry;
mod request;
mod route;
mod router;
#[cfg(feature = "http")]
mod service;
mod subprotocol;
mod tasks;
#[cfg(feature = "http")]
mod upgrade;
mod workers;

pub use crate::websocket::driver::{HandlerResult, Handling};
pub use cookies::{CookieError, SameSite, SetCookie};
pub use forwarded::{Forwarded, NetworkError, TrustedProxies};
pub use handler::Handler;
pub use handshake::Handshake;
pub use http::accept;
pub use listener::Listener;
pub use metrics::Metrics;
pub use origin::{OriginError, Origins};
pub use registry::Shutdown;
pub use request::{PeerAddr, Request};
pub use route::{IntoRoute, Route};
pub use router::Router;
#[cfg(feature = "http")]
pub use service::{Answering, RouterService};
pub use subprotocol::Subprotocols;
#[cfg(feature = "http")]
pub use upgrade::{Upgrading, WebSocketUpgrade, upgrade};

use crate::config::Config;
use crate::error::Error;
use crate::rate::Rate;
use limits::Limits;
use router::Paths;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs};

/// A WebSocket server.
///
/// Each connection is a task of the tokio runtime that [`serve`](Self::serve) runs on, or of one
/// of the server's own [`workers`](Self::workers). In a handler, what is sent is written together
/// when the handler waits for something, pings are answered and closes noticed whatever it waits
/// for, and when it returns the connection is closed: with code 1000, or 1011 when it returned an
/// error or panicked.
///
/// With the feature `tracing` what is refused, and handlers and handshakes that fail, are events. Each
/// connection has a span of the level DEBUG, `connection` with the fields `peer` and `path`, from its
/// request to its end, and what its handler says is in it. Of messages nothing is said.
///
/// ```no_run
/// use newswire::{Server, WebSocket};
///
/// async fn echo(mut ws: WebSocket) -> newswire::Result {
///     while let Some(message) = ws.recv().await? {
///         ws.send(message).await?;
///     }
///     Ok(())
/// }
///
/// # async fn example() -> newswire::Result {
/// let server = Server::bind("127.0.0.1:9998").await?.route("/echo", echo);
/// println!("listening on ws://{}/echo", server.local_addr());
/// server.serve().await
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    local_addr: Option<SocketAddr>,
    service: Service,
    workers: Option<workers::Workers>,
}

/// How many connections may wait to be accepted: as many as the system allows. After a restart
/// all clients come back at once, and who finds the queue full tries again only a second later.
const BACKLOG: u32 = 4096;

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Elsewhere it means something else: that two may listen at once.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// What a connection needs to know of its server.
#[derive(Debug, Default)]
struct Service {
    paths: Paths,
    config: Config,
    trusted_proxies: TrustedProxies,
    proxy_protocol: bool,
    limits: Arc<Limits>,
    shutdown_spread: Duration,
    metrics: Metrics,
    #[cfg(feature = "rustls")]
    tls: Option<crate::tls::ServerTls>,
    #[cfg(feature = "http")]
    fallback: Option<http::Fallback>,
}

impl Server {
    /// Listens on `addr`. Port 0 takes a free port: [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    /// What the operating system says: that the port is taken, or not allowed, or that there
    /// is no such address.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut failure = None;
        for addr in tokio::net::lookup_host(addr).await? {
            match listen(addr) {
                Ok(listener) => return Self::from_listener(listener),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    /// Listens on a Unix socket at `path`, which must not be there yet. It stays when the server
    /// ends.
    ///
    /// # Errors
    /// What the operating system says: that the file is there already, or must not be made.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        Self::from_listener(tokio::net::UnixListener::bind(path)?)
    }

    /// Serves on a socket that listens already: tokio's TCP or Unix listener, which may have come
    /// from the system's service manager.
    ///
    /// # Errors
    /// When the operating system does not tell the socket's address.
    pub fn from_listener(listener: impl Into<Listener>) -> io::Result<Self> {
        let listener = listener.into();
        Ok(Self {
            local_addr: listener.local_addr()?,
            listeners: vec![listener],
            service: Service::default(),
            workers: None,
        })
    }

    /// Serves on one more socket.
    ///
    /// # Errors
    /// When the operating system does not tell the socket's address.
    pub fn also_on(mut self, listener: impl Into<Listener>) -> io::Result<Self> {
        let listener = listener.into();
        let addr = listener.local_addr()?;
        self.local_addr = self.local_addr.or(addr);
        self.listeners.push(listener);
        Ok(self)
    }

    /// The address that the server listens on, the first if there are several.
    ///
    /// # Panics
    /// When it listens on Unix sockets only.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
            .expect("a server that listens on Unix sockets only has no address")
    }

    /// Handles connections to `path` with `route`: a handler, or a [`Route`] where it has rules of
    /// its own. For paths with parameters, and for handlers with a state, see [`Router`].
    ///
    /// # Panics
    /// As [`Router::route`].
    #[must_use]
    pub fn route<A>(mut self, path: &str, route: impl IntoRoute<(), A>) -> Self {
        self.service.paths.insert(path, route.into_route().bind(()));
        self
    }

    /// The routes, instead of those that were given before.
    #[must_use]
    pub fn router<S: Clone + Send + Sync + 'static>(mut self, router: Router<S>) -> Self {
        self.service.paths = router.into_paths();
        self
    }

    /// The proxies that tell the truth about their clients: what they write into `Forwarded` (RFC
    /// 7239) or `X-Forwarded-For`, `-Proto` and `-Host` is believed, and goes into
    /// [`Request::peer_addr`], [`Request::is_secure`] and [`Request::host`]. Default: none.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.service.trusted_proxies = proxies;
        self
    }

    /// Whether connections from [`trusted_proxies`](Self::trusted_proxies) begin with a header of
    /// the PROXY protocol, version 1 or 2. Then one that does not is cut; those of others are
    /// direct, and must not have one. Default: no.
    #[must_use]
    pub fn proxy_protocol(mut self, expected: bool) -> Self {
        self.service.proxy_protocol = expected;
        self
    }

    /// Speaks TLS on every connection. Default: none.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.service.tls = Some(tls);
        self
    }

    fn limits(mut self, change: impl FnOnce(&mut limits::Settings)) -> Self {
        let mut settings = self.service.limits.settings();
        change(&mut settings);
        self.service.limits = Limits::new(settings);
        self
    }

    /// How many connections there may be at once, those in their handshake among them. More are
    /// answered with 503 and `Retry-After`; when even these are very many, some are hung up on.
    /// Default: as many as come.
    #[must_use]
    pub fn max_connections(self, count: usize) -> Self {
        self.limits(|it| it.connections = Some(count))
    }

    /// How many connections a client may have at once: those of its IPv4 address, or of its IPv6
    /// network of 64 bits. Behind [`trusted_proxies`](Self::trusted_proxies) it is the client that
    /// counts, not the proxy; clients of Unix sockets are not counted. More are answered with 429
    /// and `Retry-After`. Default: as many as come.
    #[must_use]
    pub fn max_connections_per_address(self, count: u32) -> Self {
        self.limits(|it| it.connections_per_address = Some(count))
    }

    /// How many new connections a client may make in a second, on the long run and at once; who is
    /// a client is said at [`max_connections_per_address`](Self::max_connections_per_address).
    /// More are answered with 429 and `Retry-After`. Default: as many as come.
    #[must_use]
    pub fn max_connection_rate_per_address(self, per_second: u32) -> Self {
        let rate = Rate::new(per_second.into(), per_second.into());
        self.limits(|it| it.connection_rate_per_address = Some(rate))
    }

    /// Over which time a shutdown closes the connections, evenly, so that their clients do not all
    /// come back elsewhere at once. Default: none, all are closed at once.
    #[must_use]
    pub fn shutdown_spread(mut self, time: Duration) -> Self {
        self.service.shutdown_spread = time;
        self
    }

    /// What the server counts, to be read at any time from now on.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.service.metrics.clone()
    }

    /// Limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.service.config = config;
        self
    }

    /// Answers requests that are not for a WebSocket route with `service`, such as an
    /// `axum::Router`: over HTTP/1.1 one after the other on a connection, on which a WebSocket may
    /// follow. Who asks is among the extensions of a request, as a [`PeerAddr`].
    ///
    /// The body of a request, and after an answer the next request, must be there within the
    /// handshake timeout; a client that does not take an answer is cut after the write timeout. A
    /// shutdown ends connections without a request at once, and others with their answer.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn fallback<S, B>(mut self, service: S) -> Self
    where
        S: tower_service::Service<
                ::http::Request<hyper::body::Incoming>,
                Response = ::http::Response<B>,
            > + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<Error>,
        S::Future: Send,
        B: http_body::Body<Data: Send, Error: Into<Error>> + Send + 'static,
    {
        self.service.fallback = Some(http::Fallback::new(service));
        self
    }

    /// Runs the connections on `count` threads of the server's own, each with a current-thread
    /// runtime, in which handlers may also use [`tokio::task::spawn_local`]. A new connection
    /// goes to the thread that has the fewest, and stays there. Without this, connections run on
    /// the runtime that serves. One worker a core is usual.
    ///
    /// The threads end with the server: after a shutdown before
    /// [`serve_until`](Self::serve_until) returns, unless a handler blocks its thread; otherwise
    /// each with its last connection. Tasks that handlers have spawned end with the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread, or no file descriptors for its runtime.
    ///
    /// # Cancel safety
    /// Dropping the future drops the server.
    ///
    /// ```no_run
    /// # async fn example() -> newswire::Result {
    /// # async fn echo(ws: newswire::WebSocket) {}
    /// use newswire::Server;
    ///
    /// let cores = std::thread::available_parallelism()?;
    /// let server = Server::bind("127.0.0.1:9998").await?.workers(cores).await?;
    /// server.route("/echo", echo).serve().await
    /// # }
    /// ```
    pub async fn workers(mut self, count: NonZeroUsize) -> io::Result<Self> {
        self.workers = Some(workers::Workers::start(count, &self.service.metrics).await?);
        Ok(self)
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// None at present: that a connection cannot be accepted is waited out. It returns a
    /// result so that it can be the last line of `main`.
    ///
    /// # Cancel safety
    /// Dropping the future stops accepting; connections that are open go on.
    pub async fn serve(self) -> Result<(), Error> {
        self.serve_until(std::future::pending()).await;
        Ok(())
    }

    /// Serves until `signal` is ready, then shuts down gracefully: it stops listening, closes
    /// every connection with code 1001, spread over [`shutdown_spread`](Self::shutdown_spread),
    /// waits for the handlers for the close timeout, and cuts what is left.
    ///
    /// # Cancel safety
    /// Dropping the future stops accepting; connections that are open go on.
    pub async fn serve_until(self, signal: impl Future<Output = ()>) -> Shutdown {
        listener::run(self.listeners, self.service, self.workers, signal).await
    }
}
