//! [`Server`]: from a listening socket to handlers. The accept loop is in `listener.rs`, its
//! threads in `workers.rs`, a connection's opening handshake in `http.rs`.

mod clock;
mod handler;
mod http;
mod listener;
mod log;
mod registry;
mod workers;

pub use crate::websocket::driver::{HandlerResult, Handling};
pub use handler::{Handler, Route};
pub use http::accept;
pub use registry::Shutdown;

use crate::config::Config;
use crate::error::Error;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs};

/// A WebSocket server.
///
/// Each connection is a task of the tokio runtime that [`serve`](Self::serve) runs on, or of one
/// of the server's own [`workers`](Self::workers). In a handler, what is sent is written together
/// when the handler waits for something, pings are answered and closes noticed whatever it waits
/// for, and when it returns the connection is closed: with code 1000, or 1011 when it returned an
/// error or panicked.
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
    listener: TcpListener,
    local_addr: SocketAddr,
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
    routes: HashMap<Box<str>, Route>,
    config: Config,
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

    /// Serves on a socket that listens already.
    ///
    /// # Errors
    /// When the operating system does not tell the socket's address.
    pub fn from_listener(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            local_addr: listener.local_addr()?,
            listener,
            service: Service::default(),
            workers: None,
        })
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Handles connections to `path`, which must match exactly, with `route`: a handler, or a
    /// [`Route`] where it has options. A later route replaces an earlier one.
    ///
    /// # Panics
    /// When `path` does not begin with a slash: no request could ever match it.
    #[must_use]
    pub fn route(mut self, path: &str, route: impl Into<Route>) -> Self {
        assert!(
            path.starts_with('/'),
            "a path begins with a slash: {path:?}"
        );
        self.service.routes.insert(path.into(), route.into());
        self
    }

    /// Limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.service.config = config;
        self
    }

    /// Answers requests that are not for a WebSocket route with `service`, such as an
    /// `axum::Router`. Each such connection serves one request and ends within the handshake
    /// timeout.
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
        self.workers = Some(workers::Workers::start(count).await?);
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
    /// every connection with code 1001, waits for the handlers for the close timeout, and
    /// cuts what is left.
    ///
    /// # Cancel safety
    /// Dropping the future stops accepting; connections that are open go on.
    pub async fn serve_until(self, signal: impl Future<Output = ()>) -> Shutdown {
        listener::run(self.listener, self.service, self.workers, signal).await
    }
}
