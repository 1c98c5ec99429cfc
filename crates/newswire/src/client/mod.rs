//! Opening a connection to a server: what can be asked for. How it is done is in the files of this
//! folder, which begin with `open.rs`.

mod credentials;
mod deadline;
mod dial;
mod error;
#[cfg(feature = "event")]
pub mod event;
mod exchange;
mod open;
#[cfg(feature = "proxy")]
mod proxy;
pub mod reconnect;
mod resolve;
mod target;

pub use error::{ConnectError, RedirectError, Step};
#[cfg(feature = "proxy")]
pub use proxy::Proxy;
pub use resolve::{Resolve, Resolving};

use self::dial::Dial;
use self::resolve::Resolver;
use crate::config::Config;
#[cfg(feature = "rustls")]
use crate::tls::ClientTls;
use crate::transport::Transport;
use crate::websocket::WebSocket;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

/// How many redirects are followed unless told otherwise.
const MAX_REDIRECTS: usize = 10;

/// Opens a WebSocket to `url` with the defaults. [`Connector`] has the choices.
///
/// # Errors
/// [`ConnectError`] says at which step it failed.
///
/// # Cancel safety
/// Dropping the future gives the attempt up.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// let mut ws = newswire::connect("ws://127.0.0.1:9998/echo").await?;
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    Connector::new().connect(url).await
}

/// How to open a connection: subprotocols, headers, credentials, the way there, limits.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// use newswire::{Config, Connector};
///
/// let ws = Connector::new()
///     .subprotocols(["echo-protocol"])
///     .bearer("0123456789abcdef")
///     .config(Config::new().max_message_size(1 << 20))
///     .connect("ws://127.0.0.1:9998/echo")
///     .await?;
/// assert_eq!(ws.subprotocol(), Some("echo-protocol"));
/// # Ok(())
/// # }
/// ```
///
/// A setter whose value cannot be sent does not fail itself: the connection does, with
/// [`ConnectError::Setting`].
///
/// Name and password in a URL (`wss://name:password@host/`) are sent as [`basic`](Self::basic)
/// does. The addresses of a host's name are tried as RFC 8305 (Happy Eyeballs) says: its families
/// take turns, the next one begins when one fails or has not answered for 250 ms, and the first to
/// answer is taken. `TCP_NODELAY` is on. With the feature `proxy`, the environment's proxies are
/// used.
#[derive(Clone, Debug)]
pub struct Connector {
    subprotocols: Vec<String>,
    require_subprotocol: bool,
    headers: HeaderMap,
    /// The first setting that cannot be.
    wrong: Option<String>,
    max_redirects: usize,
    config: Config,
    dial: Dial,
    #[cfg(feature = "proxy")]
    proxy: Proxy,
    #[cfg(feature = "rustls")]
    tls: ClientTls,
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            subprotocols: Vec::new(),
            require_subprotocol: false,
            headers: HeaderMap::new(),
            wrong: None,
            max_redirects: MAX_REDIRECTS,
            config: Config::default(),
            dial: Dial::default(),
            #[cfg(feature = "proxy")]
            proxy: Proxy::default(),
            #[cfg(feature = "rustls")]
            tls: ClientTls::default(),
        }
    }
}

impl Connector {
    /// The defaults: no subprotocols, no headers of one's own, [`Config::new`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The subprotocols to offer, the preferred one first. The server takes one of them or
    /// none: [`WebSocket::subprotocol`].
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Whether a server that takes none of the offered subprotocols fails the connection. RFC 6455
    /// lets it take none, the WebSockets Standard of web pages does not. Default: no.
    #[must_use]
    pub fn require_subprotocol(mut self, require: bool) -> Self {
        self.require_subprotocol = require;
        self
    }

    /// A header line to send with the request, beside those that are there already. One whose value
    /// is marked as [sensitive](HeaderValue::set_sensitive) stays with the first origin when the
    /// server redirects.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Says who this is with a name and a password: `Authorization: Basic` (RFC 7617), in place of
    /// another `Authorization`, and of what the URL says.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        let value = credentials::basic(user.as_bytes(), password.as_bytes());
        let reason = "basic: a name has no colon, and neither has control characters";
        self.set(AUTHORIZATION, value.ok_or_else(|| reason.to_owned()))
    }

    /// Says who this is with a token: `Authorization: Bearer` (RFC 6750), in place of another
    /// `Authorization`, and of what the URL says.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        let value = credentials::bearer(token);
        let reason = "bearer: the token has characters that no header can have";
        self.set(AUTHORIZATION, value.map_err(|_| reason.to_owned()))
    }

    /// A cookie to send, beside those that are there already. What the server sets in its answer is
    /// not kept.
    #[must_use]
    pub fn cookie(self, name: &str, value: &str) -> Self {
        let before = self.headers.get(COOKIE).map(HeaderValue::to_str);
        let line = match before {
            Some(Ok(before)) => format!("{before}; {name}={value}"),
            _ => format!("{name}={value}"),
        };
        let cookie = match credentials::secret(&line) {
            Ok(line) if credentials::is_cookie(name, value) => Ok(line),
            _ => Err(format!(
                "cookie: name or value of {name:?} has characters that no cookie can have"
            )),
        };
        self.set(COOKIE, cookie)
    }

    /// The `Origin` to send, such as `https://example.com`: what a browser would send from a page
    /// there. Default: none.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        let value = HeaderValue::try_from(origin);
        self.set(
            ORIGIN,
            value.map_err(|_| format!("origin: {origin:?} is none")),
        )
    }

    /// The `Host` to send in place of the URL's, with its port if it is not the scheme's own. Where
    /// to connect to and whose certificate to expect is still what the URL says.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        let value = HeaderValue::try_from(host);
        self.set(HOST, value.map_err(|_| format!("host: {host:?} is none")))
    }

    fn set(mut self, name: HeaderName, value: Result<HeaderValue, String>) -> Self {
        match value {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(reason) => drop(self.wrong.get_or_insert(reason)),
        }
        self
    }

    /// Limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How many redirects are followed before the connection fails with
    /// [`ConnectError::Redirect`]. Default: 10. With 0, a redirect is a [`ConnectError::Status`].
    ///
    /// `http:` and `https:` in them stand for `ws:` and `wss:`. `wss:` is never left for `ws:`. To
    /// another origin (scheme, host or port) go no `Authorization`, no `Cookie`, no `Host` that was
    /// set, no credentials of the URL, and no header whose value is marked as sensitive; what a
    /// redirect's own URL says before its host is not sent either. All of it has to fit within the
    /// handshake timeout. On a transport of one's own ([`connect_over`](Self::connect_over)), none
    /// is followed.
    #[must_use]
    pub fn max_redirects(mut self, limit: usize) -> Self {
        self.max_redirects = limit;
        self
    }

    /// How long looking up a host's name and connecting to it may take, to the server or to a
    /// proxy. Default: as long as the [handshake timeout](Config::handshake_timeout), which bounds
    /// it all, has left.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.dial.connect_timeout = Some(timeout);
        self
    }

    /// The address of this machine from which to connect. Hosts are then reached at addresses of
    /// the same family only.
    #[must_use]
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.dial.local_address = Some(address);
        self
    }

    /// What finds the addresses of names, in place of the operating system.
    #[must_use]
    pub fn resolver(mut self, resolve: impl Resolve) -> Self {
        self.dial.resolver = Resolver::new(resolve);
        self
    }

    /// Connects to a Unix socket, whatever host the URL names, and without a proxy.
    #[cfg(unix)]
    #[must_use]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.dial.unix = Some(path.into());
        self
    }

    /// Which way leads to a server. Default: what the environment says.
    #[cfg(feature = "proxy")]
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// How `wss:` is spoken: whom this end trusts, and what it shows of itself. Default: it trusts
    /// whom the operating system trusts.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }

    /// Opens a WebSocket to `url`, over TLS when it begins with `wss:` (feature `rustls`).
    ///
    /// # Errors
    /// [`ConnectError`] says at which step it failed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up.
    pub async fn connect(&self, url: &str) -> Result<WebSocket, ConnectError> {
        self.open(url).await
    }

    /// Opens a WebSocket to `url` over a transport that is connected already, such as a pipe in
    /// memory or what another library has opened. Of the URL, only what stands in the request is
    /// used.
    ///
    /// # Errors
    /// [`ConnectError`] says at which step it failed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up, and drops the transport.
    pub async fn connect_over<T: Transport>(
        &self,
        url: &str,
        transport: T,
    ) -> Result<WebSocket<T>, ConnectError> {
        self.open_over(url, transport).await
    }
}
