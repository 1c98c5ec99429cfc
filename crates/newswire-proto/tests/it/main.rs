//! The protocol's tests, one binary. Each file is a part of RFC 6455; `support` holds the
//! frame builders, the splitter and the pair.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails may panic, and its helpers are nobody's interface"
)]

mod closing;
mod control;
mod data_path;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod deflate_connection;
#[cfg(feature = "deflate")]
mod deflate_limits;
#[cfg(feature = "deflate")]
mod deflate_negotiation;
mod encoded;
mod fragmentation;
mod framing;
mod handshake;
mod handshake_client;
mod handshake_http1;
mod handshake_server;
mod handshake_uri;
mod output;
mod properties;
mod room;
mod support;
mod text;
mod timeouts;
