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

/// A connection has ended.
pub(super) fn ended(peer: SocketAddr, ended: &Ended) {
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
