//! The library's tests, one binary. Each file is a promise of the library; `support` holds the
//! server, the raw peer and the transports that they share.

mod backpressure;
mod cancel;
mod closing;
mod handlers;
mod senders;
mod support;
mod talk;
