//! The command's tests, one binary: the real `newswire`, run as a process. Each file is a promise
//! to those who run it; `support` starts it and speaks HTTP to it.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails may panic, and its helpers are nobody's interface"
)]

mod admission;
mod arguments;
mod bench;
mod bench_failures;
mod bench_server;
mod bench_tls;
mod compression;
mod connect;
#[cfg(unix)]
mod connect_again;
mod connect_ends;
#[cfg(unix)]
mod connect_terminal;
mod connect_way;
mod echo;
mod files;
mod log;
mod metrics;
mod page;
mod settings;
mod shells;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod sockets;
mod support;
mod tls;
mod workers;
