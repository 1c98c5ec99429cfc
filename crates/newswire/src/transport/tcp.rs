//! TCP streams: the transport of [`connect`](crate::connect) and of
//! [`Server`](crate::Server).

use bytes::BufMut;
use bytes::buf::Limit;
use std::io::{self, IoSlice};
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;

/// Whether a read that was given less than it had room for has emptied the socket, and the
/// reactor will tell when there is more: so with epoll and kqueue.
const LESS_MEANS_EMPTY: bool = cfg!(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "ios",
    target_os = "linux",
    target_os = "macos",
    target_os = "netbsd",
    target_os = "openbsd",
));

/// The transport that this library opens or accepts itself.
///
/// What is inside may grow; a transport of one's own goes to
/// `Connector::connect_over` or `accept`.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    /// The peer's address.
    ///
    /// # Errors
    /// What the operating system says, such as that the socket is no longer connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// This end's address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The traits' reads and writes in fewer steps: nothing is asked of the reactor as long as the
/// socket is known to be ready.
impl Stream {
    /// Reads once, into the room that `buffer` has; 0 means the end. `emptied` is kept from one
    /// read to the next: the last has emptied the socket, so that this one can only wait.
    #[inline]
    pub(super) fn poll_read_some(
        &self,
        cx: &mut Context<'_>,
        emptied: &mut bool,
        buffer: &mut Limit<impl BufMut>,
    ) -> Poll<io::Result<usize>> {
        if mem::take(emptied) {
            ready!(self.0.poll_read_ready(cx))?;
        }
        loop {
            let turn = ready!(poll_proceed(cx));
            if let Some(read) = not_blocked(self.try_read(buffer, emptied)) {
                turn.made_progress();
                return Poll::Ready(read);
            }
            ready!(self.0.poll_read_ready(cx))?;
        }
    }

    /// Reads once, and takes note when that has emptied the socket, so that the reactor is waited
    /// for and not the socket asked again.
    fn try_read(&self, buffer: &mut Limit<impl BufMut>, emptied: &mut bool) -> io::Result<usize> {
        let room = buffer.remaining_mut();
        let mut last = None;
        let read = self.0.try_io(Interest::READABLE, || {
            let len = self.0.try_read_buf(buffer)?;
            if LESS_MEANS_EMPTY && 0 < len && len < room {
                last = Some(len);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(len)
        });
        *emptied = last.is_some();
        last.map_or(read, Ok)
    }

    /// Writes once.
    #[inline]
    pub(super) fn poll_write_some(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let turn = ready!(poll_proceed(cx));
            if let Some(written) = not_blocked(self.0.try_write(bytes)) {
                turn.made_progress();
                return Poll::Ready(written);
            }
            ready!(self.0.poll_write_ready(cx))?;
        }
    }
}

/// `None` when the socket is not ready.
#[inline]
fn not_blocked(result: io::Result<usize>) -> Option<io::Result<usize>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        result => Some(result),
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        // Messages are written whole, so waiting for more only adds delay. A socket that
        // cannot switch it off still works.
        let _ = stream.set_nodelay(true);
        Self(stream)
    }
}

/// Connects to the first of the host's addresses that answers.
#[cfg(feature = "client")]
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<Stream> {
    TcpStream::connect((host, port)).await.map(Stream::from)
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
