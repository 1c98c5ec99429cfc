//! What a server says about its connections: one line each for what went wrong, and a span for each
//! connection that whatever its handler says is in. Without the feature `tracing` nothing is said.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use super::handler::Stage;
use super::request::PeerAddr;
#[cfg(feature = "tracing")]
use super::tasks::Connection;
use crate::websocket::driver::Ended;
use newswire_proto::handshake::Rejection;
use std::fmt::Display;
use std::future::Future;
#[cfg(feature = "tracing")]
use std::pin::Pin;
#[cfg(feature = "tracing")]
use std::task::{Context, Poll};
#[cfg(feature = "tracing")]
use tracing::Instrument;

/// A request was answered with an error.
pub(super) fn refused(peer: &Peer, target: Option<&str>, rejection: &Rejection) {
    #[cfg(feature = "tracing")]
    {
        tracing::warn!(
            %peer,
            target = target.map(|target| tracing::field::display(shown(target))),
            "handshake refused: {rejection}"
        );
    }
}

/// The beginning of a path: it is the peer's to choose, and a line has room for no more.
#[cfg(feature = "tracing")]
fn shown(path: &str) -> &str {
    path.char_indices()
        .nth(100)
        .map_or(path, |(end, _)| &path[..end])
}

/// The span of a connection, from its request to its end: who asks for what. Its level is DEBUG, and
/// where nobody wants to know, it costs a connection nothing.
pub(super) struct Span(#[cfg(feature = "tracing")] Option<Box<tracing::Span>>);

impl Span {
    pub(super) fn new(peer: PeerAddr, path: &str) -> Self {
        #[cfg(feature = "tracing")]
        {
            let span = tracing::debug_span!("connection", %peer, path = %shown(path));
            Self((!span.is_disabled()).then(|| Box::new(span)))
        }
        #[cfg(not(feature = "tracing"))]
        Self()
    }

    /// What leads to a connection, and then that, in the span.
    #[cfg(feature = "tracing")]
    pub(super) fn around<F: Future<Output = Option<Stage>>>(self, opening: F) -> Around<F> {
        Around {
            opening,
            span: self.0,
        }
    }

    /// Nobody is told.
    #[cfg(not(feature = "tracing"))]
    pub(super) fn around<F: Future<Output = Option<Stage>>>(self, opening: F) -> F {
        opening
    }
}

#[cfg(feature = "tracing")]
pin_project_lite::pin_project! {
    /// What leads to a connection, in its span.
    pub(super) struct Around<F> {
        #[pin]
        opening: F,
        span: Option<Box<tracing::Span>>,
    }
}

#[cfg(feature = "tracing")]
impl<F: Future<Output = Option<Stage>>> Future for Around<F> {
    type Output = Option<Stage>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Stage>> {
        let this = self.project();
        let Some(span) = this.span else {
            return this.opening.poll(cx);
        };
        let next = span.in_scope(|| this.opening.poll(cx));
        next.map(|stage| {
            let connection = Connection::new(stage?).instrument((**span).clone());
            Some(Stage::new(async {
                connection.await;
                None
            }))
        })
    }
}

/// A connection ended before it had asked for anything.
pub(super) fn gave_up(peer: &Peer, error: &dyn Display) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%peer, "{error}");
}

/// A trusted proxy did not say whom it speaks for, as it has to.
pub(super) fn no_proxy_header(peer: &Peer, error: &std::io::Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(%peer, "no PROXY protocol header: {error}");
}

/// The TLS handshake failed, which is mostly the peer's doing.
#[cfg(feature = "rustls")]
pub(super) fn tls_failed(peer: &Peer, error: &std::io::Error) {
    #[cfg(feature = "tracing")]
    tracing::info!(%peer, "TLS handshake failed: {error}");
}

/// Whom a connection is with, in as few bytes as can be: every connection keeps it for the day on
/// which it is told.
#[cfg(feature = "tracing")]
pub(super) enum Peer {
    V4(std::net::SocketAddrV4),
    Other(Box<PeerAddr>),
    Local,
}

#[cfg(feature = "tracing")]
impl From<PeerAddr> for Peer {
    fn from(peer: PeerAddr) -> Self {
        match peer {
            PeerAddr::Socket(std::net::SocketAddr::V4(peer)) => Self::V4(peer),
            PeerAddr::Local => Self::Local,
            peer => Self::Other(Box::new(peer)),
        }
    }
}

#[cfg(feature = "tracing")]
impl Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4(peer) => peer.fmt(f),
            Self::Other(peer) => peer.fmt(f),
            Self::Local => PeerAddr::Local.fmt(f),
        }
    }
}

/// Nobody is told.
#[cfg(not(feature = "tracing"))]
pub(super) struct Peer;

#[cfg(not(feature = "tracing"))]
impl From<PeerAddr> for Peer {
    fn from(_: PeerAddr) -> Self {
        Self
    }
}

/// A connection has ended.
pub(super) fn ended(peer: &Peer, ended: &Ended) {
    #[cfg(feature = "tracing")]
    match ended {
        Ended::Done => tracing::debug!(%peer, "connection ended"),
        Ended::Failed(error) => tracing::info!(%peer, "connection failed: {error}"),
        Ended::Panicked => tracing::error!(%peer, "handler panicked"),
    }
}

/// A connection could not be accepted.
pub(super) fn accept_failed(error: &std::io::Error) {
    #[cfg(feature = "tracing")]
    tracing::error!("cannot accept connections: {error}");
}
