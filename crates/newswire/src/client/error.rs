//! [`ConnectError`]: why no connection was opened to a server, sorted by the step that failed.
//! What is tried again, and when, is not decided here.

#[cfg(feature = "rustls")]
use crate::tls::TlsError;
use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use newswire_proto::handshake::{HandshakeMisuse, HeadError, ResponseError, UriError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

/// Why no connection was opened to a server. [`step`](Self::step) sorts the variants.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one that can be connected to.
    Url(UriError),
    /// The [`Connector`](crate::Connector) was told something that cannot be; which, and why.
    Setting(String),
    /// A header or subprotocol that may not be sent.
    Misuse(HandshakeMisuse),
    /// The URL asks for TLS (`wss:`), which needs the feature `rustls`, or a transport that speaks
    /// it: `Connector::connect_over`.
    TlsNeeded,
    /// The host's name has no address.
    Dns {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// Nobody answers at any of the host's addresses.
    Tcp {
        /// The host.
        host: String,
        /// Each address that was tried, and why there is no connection to it.
        attempts: Vec<(SocketAddr, io::Error)>,
    },
    /// Nobody answers at a Unix socket.
    Unix {
        /// Where it is.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// There is no way through the proxy.
    Proxy {
        /// Its URL, without credentials.
        proxy: String,
        /// What went wrong between here and there; a [`Status`](Self::Status) is the proxy's.
        error: Box<Self>,
    },
    /// A SOCKS proxy refuses, or is none.
    Socks(String),
    /// The server was reached, and there is no TLS with it.
    #[cfg(feature = "rustls")]
    Tls(TlsError),
    /// The transport failed during the handshake.
    Io(io::Error),
    /// The server ended the transport before it had answered.
    Ended,
    /// The server did not open a WebSocket but answered with another status. The body is the first
    /// 1024 bytes of its own at most.
    Status(Box<Response<Bytes>>),
    /// The server sends elsewhere, where this client does not go.
    Redirect {
        /// Where to.
        to: String,
        /// Why not.
        reason: RedirectError,
    },
    /// What the server answered is not HTTP, or too large.
    Head(HeadError),
    /// The server answered with status 101 in a way that opens no WebSocket.
    Response(ResponseError),
    /// The step took longer than the handshake timeout, or the connect timeout, had left for it.
    Timeout(Step),
}

/// The steps of opening a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// What was asked for cannot be: nothing was sent.
    Setup,
    /// Finding the addresses of the host's name.
    Dns,
    /// Connecting to them, or to a Unix socket.
    Tcp,
    /// Being let through by a proxy, with the way to it.
    Proxy,
    /// Agreeing on TLS.
    Tls,
    /// The request, and an answer that is HTTP but not status 101.
    Http,
    /// An answer that breaks RFC 6455, or is no HTTP.
    Protocol,
}

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectError {
    /// So many were followed already.
    TooMany(usize),
    /// It leads from `wss:` to `ws:`, where everybody can read.
    Downgrade,
    /// It leads to another origin, and this client was told to use one Unix socket.
    Elsewhere,
    /// It leads to what no WebSocket can be opened to.
    Url(UriError),
}

impl ConnectError {
    /// The step that failed.
    #[must_use]
    pub fn step(&self) -> Step {
        match self {
            Self::Url(_) | Self::Setting(_) | Self::Misuse(_) | Self::TlsNeeded => Step::Setup,
            Self::Dns { .. } => Step::Dns,
            Self::Tcp { .. } | Self::Unix { .. } => Step::Tcp,
            Self::Proxy { .. } | Self::Socks(_) => Step::Proxy,
            #[cfg(feature = "rustls")]
            Self::Tls(_) => Step::Tls,
            Self::Io(_) | Self::Ended | Self::Status(_) | Self::Redirect { .. } => Step::Http,
            Self::Head(_) | Self::Response(_) => Step::Protocol,
            Self::Timeout(step) => *step,
        }
    }

    /// The status of an answer that was not 101; the proxy's, if it was the proxy who answered.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status(answer) => Some(answer.status()),
            Self::Proxy { error, .. } => error.status(),
            _ => None,
        }
    }

    /// How long the server asks to be left alone: `Retry-After` in seconds (RFC 9110 §10.2.3).
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let Self::Status(answer) = self else {
            return None;
        };
        let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Setting(reason) => f.write_str(reason),
            Self::Misuse(error) => error.fmt(f),
            Self::TlsNeeded => {
                f.write_str("wss: needs the feature rustls, or a transport with TLS")
            }
            Self::Dns { host, error } => write!(f, "no address found for {host:?}: {error}"),
            Self::Tcp { host, attempts } => show_attempts(f, host, attempts),
            Self::Unix { path, error } => {
                write!(
                    f,
                    "cannot connect to the socket {}: {error}",
                    path.display()
                )
            }
            Self::Proxy { proxy, error } => match &**error {
                Self::Status(answer) => {
                    write!(f, "the proxy {proxy} answered {}", answer.status())?;
                    if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
                        f.write_str(" (credentials go into its URL: http://name:password@host)")?;
                    }
                    show_body(f, answer.body())
                }
                error => write!(f, "no way through the proxy {proxy}: {error}"),
            },
            Self::Socks(reason) => write!(f, "SOCKS: {reason}"),
            #[cfg(feature = "rustls")]
            Self::Tls(error) => write!(f, "no TLS with the server: {error}"),
            Self::Io(error) => write!(f, "the transport failed in the handshake: {error}"),
            Self::Ended => f.write_str("hung up without an answer"),
            Self::Status(answer) => {
                write!(f, "the server answered {}", answer.status())?;
                show_advice(f, answer)?;
                show_body(f, answer.body())
            }
            Self::Redirect { to, reason } => {
                write!(f, "the server redirects to {to:?}: {reason}")
            }
            Self::Head(error) => write!(f, "the answer is not HTTP: {error}"),
            Self::Response(error) => error.fmt(f),
            Self::Timeout(step) => write!(f, "{step}: not done in time"),
        }
    }
}

fn show_attempts(
    f: &mut fmt::Formatter<'_>,
    host: &str,
    attempts: &[(SocketAddr, io::Error)],
) -> fmt::Result {
    match attempts {
        [(address, error)] if address.ip().to_string() == host => {
            write!(f, "cannot connect to {address}: {error}")
        }
        [] => write!(
            f,
            "cannot connect to {host}: none of its addresses can be used"
        ),
        _ => {
            write!(f, "cannot connect to {host}: ")?;
            for (number, (address, error)) in attempts.iter().enumerate() {
                let comma = if number == 0 { "" } else { ", " };
                write!(f, "{comma}{address}: {error}")?;
            }
            Ok(())
        }
    }
}

/// What to look at, for the statuses where that is clear.
fn show_advice(f: &mut fmt::Formatter<'_>, answer: &Response<Bytes>) -> fmt::Result {
    let status = answer.status();
    if let Some(to) = answer.headers().get(LOCATION) {
        return write!(f, " (it redirects to {to:?})");
    }
    f.write_str(match status {
        StatusCode::UNAUTHORIZED => " (it wants other credentials)",
        StatusCode::NOT_FOUND => " (is the path right?)",
        status if status.is_success() => " (a page and no WebSocket: is the path right?)",
        _ => "",
    })
}

/// The beginning of a body, on the same line.
fn show_body(f: &mut fmt::Formatter<'_>, body: &[u8]) -> fmt::Result {
    const MOST: usize = 200;
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(());
    }
    let (shown, more) = match body.get(..MOST) {
        Some(shown) if body.len() > MOST => (shown, "…"),
        _ => (body, ""),
    };
    let shown = String::from_utf8_lossy(shown);
    write!(f, ": {:?}{more}", shown.as_ref())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setup => "setting up",
            Self::Dns => "looking up the host's name",
            Self::Tcp => "connecting",
            Self::Proxy => "the proxy",
            Self::Tls => "the TLS handshake",
            Self::Http => "the answer to the handshake",
            Self::Protocol => "the handshake",
        })
    }
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(limit) => write!(f, "{limit} redirects were followed already"),
            Self::Downgrade => f.write_str("wss: is not given up for ws:"),
            Self::Elsewhere => f.write_str("another origin is not behind this Unix socket"),
            Self::Url(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RedirectError {}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Misuse(error) => Some(error),
            Self::Dns { error, .. } | Self::Unix { error, .. } | Self::Io(error) => Some(error),
            Self::Tcp { attempts, .. } => attempts.last().map(|(_, error)| error as _),
            Self::Proxy { error, .. } => Some(error),
            Self::Head(error) => Some(error),
            Self::Redirect { reason, .. } => Some(reason),
            Self::Response(error) => Some(error),
            #[cfg(feature = "rustls")]
            Self::Tls(error) => Some(error),
            Self::Setting(_)
            | Self::TlsNeeded
            | Self::Socks(_)
            | Self::Ended
            | Self::Status(_)
            | Self::Timeout(_) => None,
        }
    }
}

#[cfg(feature = "rustls")]
impl From<TlsError> for ConnectError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}
