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
mod connect;
mod control_frames;
mod deadlines;
#[cfg(feature = "event")]
mod event;
#[cfg(feature = "http")]
mod fallback;
mod forwarded;
mod garbage;
mod handlers;
mod handshake_deadlines;
#[cfg(feature = "http")]
mod keep_alive;
#[cfg(target_os = "linux")]
mod left_behind;
mod limits;
mod metrics;
mod origins;
#[cfg(feature = "proxy")]
mod proxies;
mod proxy_protocol;
mod rates;
mod reconnect;
mod redirects;
mod requests;
mod senders;
#[cfg(feature = "http")]
mod service;
mod shutdown;
#[cfg(feature = "tracing")]
mod spans;
mod support;
mod talk;
#[cfg(feature = "rustls")]
mod tls;
mod transports;
#[cfg(feature = "http")]
mod upgrade;
mod workers;
