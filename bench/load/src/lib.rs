//! The load generator as a library: [`drive`] loads one echo server with one [`Cell`] and measures it; [`Server`] starts
//! and ends that server. The commands in `src/bin` parse arguments and print; they do not touch a socket.

mod cell;
mod connection;
mod drive;
mod handshake;
mod process;
mod server;
mod traffic;

pub use cell::{Cell, Kind, parse_duration};
pub use drive::{Measurement, Plan, drive};
pub use handshake::accept;
pub use process::{cpu_time, pin};
pub use server::{Program, Server, exec_pinned};

/// What ends a run: one sentence, already naming the server or the connection it is about.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;
