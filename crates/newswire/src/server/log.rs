//! What a server says about its connections: one line each for what went wrong. Without the
//! feature `tracing` nothing is said.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use crate::websocket::driver::Ended;
use newswire_proto::handshake::Rejection;
use std::fmt::Display;
use std::net::SocketAddr;

/// A request was answered with an error.
pub(super) fn refused(peer: SocketAddr, target: Option<&str>, rejection: &Rejection) {
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
pub(super) fn gave_up(peer: SocketAddr, error: &dyn Display) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%peer, "{error}");
}

/// Whom a connection is with, in as few bytes as can be: every connection keeps it for the day on
/// which it is told.
#[cfg(feature = "tracing")]
pub(super) enum Peer {
    V4(std::net::SocketAddrV4),
    V6(Box<std::net::SocketAddrV6>),
}

#[cfg(feature = "tracing")]
impl From<SocketAddr> for Peer {
    fn from(peer: SocketAddr) -> Self {
        match peer {
            SocketAddr::V4(peer) => Self::V4(peer),
            SocketAddr::V6(peer) => Self::V6(Box::new(peer)),
        }
    }
}

#[cfg(feature = "tracing")]
impl Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4(peer) => peer.fmt(f),
            Self::V6(peer) => peer.fmt(f),
        }
    }
}

/// Nobody is told.
#[cfg(not(feature = "tracing"))]
pub(super) struct Peer;

#[cfg(not(feature = "tracing"))]
impl From<SocketAddr> for Peer {
    fn from(_: SocketAddr) -> Self {
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
