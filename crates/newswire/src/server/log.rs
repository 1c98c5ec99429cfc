//! What a server says about its connections: one line each for what went wrong. Without the
//! feature `tracing` nothing is said.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use super::request::PeerAddr;
use crate::websocket::driver::Ended;
use newswire_proto::handshake::Rejection;
use std::fmt::Display;

/// A request was answered with an error.
pub(super) fn refused(peer: &Peer, target: Option<&str>, rejection: &Rejection) {
    #[cfg(feature = "tracing")]
    {
        // It is the peer's to choose: no more of it than a line has room for.
        let target = target.map(|target| target.get(..100).unwrap_or(target));
        tracing::warn!(
            %peer,
            target = target.map(tracing::field::display),
            "handshake refused: {rejection}"
        );
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
