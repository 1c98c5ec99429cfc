//! What carries the bytes. Only the files of this folder touch I/O types.

pub(crate) mod io;
mod socket;
mod stream;
#[cfg(feature = "rustls")]
pub(crate) mod tls;

pub use stream::Stream;

use tokio::io::{AsyncRead, AsyncWrite};

/// Anything that a WebSocket can run over: a TCP stream, a TLS stream, a pipe in memory.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for T {}
