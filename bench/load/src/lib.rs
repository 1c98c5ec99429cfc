//! The load generator as a library: [`drive`] loads one echo server with one [`Cell`], [`handshakes`] with connections
//! that come and go, [`Idle`] with connections that stay; [`Server`] starts and ends that server. The commands in
//! `src/bin` parse arguments and print; they do not touch a socket. [`Facts`] are what figures depend on besides.

mod cell;
mod connection;
mod deflate;
mod drive;
mod facts;
mod handshake;
mod handshakes;
mod idle;
mod json;
mod process;
mod server;
mod sources;
mod tls;
mod traffic;
mod window;

pub use cell::{Cell, Kind, parse_duration};
pub use drive::drive;
pub use facts::{Facts, bench_directory, locked_version};
pub use handshake::accept;
pub use handshakes::handshakes;
pub use idle::{Idle, Memory, memory_at_rest};
pub use json::json;
pub use process::{allow_connections, cpu_time, memory, most_connections, pin};
pub use server::{Program, Server, exec_pinned};
pub use sources::Sources;
pub use tls::{Socket, server_config};
pub use window::{Measurement, Plan};

/// What ends a run: one sentence, already naming the server or the connection it is about.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;
