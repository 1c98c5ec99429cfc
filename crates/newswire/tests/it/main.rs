//! The library's tests, one binary. Each file is a promise of the library; `support` holds the
//! server, the raw peer and the transports that they share.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails may panic, and its helpers are nobody's interface"
)]

mod admission;
mod allocations;
mod backpressure;
mod bad_frames;
mod bad_requests;
mod cancel;
mod closing;
#[cfg(feature = "deflate")]
mod compression;
mod deadlines;
#[cfg(feature = "http")]
mod fallback;
mod forwarded;
mod garbage;
mod handlers;
mod handshake_deadlines;
mod origins;
mod proxy_protocol;
mod requests;
mod senders;
mod shutdown;
mod support;
mod talk;
#[cfg(feature = "rustls")]
mod tls;
mod transports;
mod workers;
