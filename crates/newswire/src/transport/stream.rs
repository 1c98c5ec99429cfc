//! [`Stream`]: whatever this library opens or accepts itself, as one type, so that handlers need
//! not be generic. How its kinds are read and written is in `socket.rs` and `tls.rs`.

use super::Transport;
use super::socket;
#[cfg(feature = "rustls")]
use super::tls::Tls;
use bytes::BufMut;
use bytes::buf::Limit;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// The transport of [`connect`](crate::connect) and of [`Server`](crate::Server): TCP, a Unix
/// socket, TLS over any of these, or any other I/O in a box.
///
/// ```
/// use newswire::{Config, Stream};
///
/// # async fn example(upgraded: tokio::io::DuplexStream) -> newswire::Result {
/// // One type, whatever carries the bytes.
/// let ws = newswire::accept(Stream::from_io(upgraded), &Config::new()).await?;
/// # Ok(())
/// # }
/// ```
pub struct Stream(Kind);

/// All but TCP in a box, so that a connection's place is not larger for them.
enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(Box<UnixStream>),
    #[cfg(feature = "rustls")]
    Tls(Box<Tls>),
    Other(Box<dyn Transport>),
}

/// Does the same with whatever is inside.
macro_rules! inside {
    ($stream:expr, $io:ident => $result:expr) => {
        match &mut $stream.0 {
            Kind::Tcp($io) => $result,
            #[cfg(unix)]
            Kind::Unix($io) => $result,
            #[cfg(feature = "rustls")]
            Kind::Tls($io) => $result,
            Kind::Other($io) => $result,
        }
    };
}

impl Stream {
    /// Any other I/O: what an HTTP server has upgraded, a pipe in memory, a TLS stream of one's
    /// own. Sockets of tokio become what they are, not boxes.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it never does")]
    pub fn from_io(io: impl Transport) -> Self {
        let mut io = Some(io);
        let slot: &mut dyn Any = &mut io;
        if let Some(stream) = slot.downcast_mut().and_then(Option::<Self>::take) {
            return stream;
        }
        if let Some(stream) = slot.downcast_mut().and_then(Option::<TcpStream>::take) {
            return stream.into();
        }
        #[cfg(unix)]
        if let Some(stream) = slot.downcast_mut().and_then(Option::<UnixStream>::take) {
            return stream.into();
        }
        Self(Kind::Other(Box::new(
            io.expect("it was none of those, and nobody took it"),
        )))
    }

    /// The peer's address; under TLS, of the socket below it.
    ///
    /// # Errors
    /// What the operating system says, such as that the socket is no longer connected.
    /// [`Unsupported`](io::ErrorKind::Unsupported) when it is neither TCP nor TLS over it: such a
    /// peer has no IP address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self.tcp() {
            Some(stream) => stream.peer_addr(),
            None => Err(no_address()),
        }
    }

    /// This end's address; under TLS, of the socket below it.
    ///
    /// # Errors
    /// What the operating system says. [`Unsupported`](io::ErrorKind::Unsupported) when it is
    /// neither TCP nor TLS over it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.tcp() {
            Some(stream) => stream.local_addr(),
            None => Err(no_address()),
        }
    }

    /// The TCP stream at the bottom, if there is one that is known.
    fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            Kind::Unix(_) => None,
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => tls.below().tcp(),
            Kind::Other(_) => None,
        }
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn from_tls(tls: Tls) -> Self {
        Self(Kind::Tls(Box::new(tls)))
    }

    /// Waits for more when the last read has emptied the socket. What `emptied` says is looked
    /// at, and is no longer so.
    #[cfg(feature = "rustls")]
    pub(super) fn poll_refilled(
        &self,
        cx: &mut Context<'_>,
        emptied: &mut bool,
    ) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Tcp(stream) => socket::poll_refilled(stream, cx, emptied),
            #[cfg(unix)]
            Kind::Unix(stream) => socket::poll_refilled(&**stream, cx, emptied),
            // They ask for themselves.
            Kind::Tls(_) | Kind::Other(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads once, into the room that `buffer` has; 0 means the end. `emptied` is kept from one
    /// read to the next: the last has emptied the socket, so that this one can only wait.
    #[inline]
    pub(super) fn poll_read_some(
        &mut self,
        cx: &mut Context<'_>,
        emptied: &mut bool,
        buffer: &mut Limit<impl BufMut>,
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Tcp(stream) => socket::poll_read_some(stream, cx, emptied, buffer),
            #[cfg(unix)]
            Kind::Unix(stream) => socket::poll_read_some(&**stream, cx, emptied, buffer),
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => tls.poll_read_some(cx, emptied, buffer),
            Kind::Other(io) => pin!(io.read_buf(buffer)).poll(cx),
        }
    }

    /// Writes once.
    #[inline]
    pub(super) fn poll_write_some(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Tcp(stream) => socket::poll_write_some(stream, cx, bytes),
            #[cfg(unix)]
            Kind::Unix(stream) => socket::poll_write_some(&**stream, cx, bytes),
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => tls.poll_write_some(cx, &[IoSlice::new(bytes)]),
            Kind::Other(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }
}

fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this transport is not TCP: it has no IP address",
    )
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        // Messages are written whole, so waiting for more only adds delay. A socket that
        // cannot switch it off still works.
        let _ = stream.set_nodelay(true);
        Self(Kind::Tcp(stream))
    }
}

#[cfg(unix)]
impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self(Kind::Unix(Box::new(stream)))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp(stream) => stream.fmt(f),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.fmt(f),
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => f.debug_tuple("Tls").field(tls.below()).finish(),
            Kind::Other(_) => f.write_str("Other"),
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        inside!(self, io => Pin::new(io).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        inside!(self, io => Pin::new(io).poll_write(cx, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inside!(self, io => Pin::new(io).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kind::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.is_write_vectored(),
            #[cfg(feature = "rustls")]
            Kind::Tls(tls) => tls.is_write_vectored(),
            Kind::Other(io) => io.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;
    use std::mem::size_of;
    use tokio::net::TcpStream;

    #[test]
    fn a_stream_takes_no_more_room_than_the_tcp_stream_that_it_usually_is() {
        assert_eq!(size_of::<Stream>(), size_of::<TcpStream>());
        assert_eq!(size_of::<Option<Stream>>(), size_of::<TcpStream>());
    }
}
