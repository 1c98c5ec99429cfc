//! Sockets of the operating system, read and written in fewer steps than through the traits:
//! nothing is asked of the reactor as long as the socket is known to be ready. What a socket is
//! connected to is not known here.

use bytes::BufMut;
use bytes::buf::Limit;
use std::io;
use std::mem;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
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

/// What tokio's sockets have in common without having it in a trait.
pub(super) trait Socket {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize>;
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn try_to_read<R>(&self, read: impl FnOnce() -> io::Result<R>) -> io::Result<R>;
}

macro_rules! sockets {
    ($($name:ty),*) => {$(
        impl Socket for $name {
            #[inline]
            fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Self::poll_read_ready(self, cx)
            }

            #[inline]
            fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Self::poll_write_ready(self, cx)
            }

            #[inline]
            fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
                Self::try_read_buf(self, buffer)
            }

            #[inline]
            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                Self::try_write(self, bytes)
            }

            #[inline]
            fn try_to_read<R>(&self, read: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                self.try_io(Interest::READABLE, read)
            }
        }
    )*};
}

sockets!(TcpStream);
#[cfg(unix)]
sockets!(UnixStream);

/// Waits for more when the last read has emptied the socket.
#[inline]
pub(super) fn poll_refilled(
    socket: &impl Socket,
    cx: &mut Context<'_>,
    emptied: &mut bool,
) -> Poll<io::Result<()>> {
    if mem::take(emptied) {
        ready!(socket.poll_read_ready(cx))?;
    }
    Poll::Ready(Ok(()))
}

/// Reads once, into the room that `buffer` has; 0 means the end. `emptied` is kept from one
/// read to the next: the last has emptied the socket, so that this one can only wait.
#[inline]
pub(super) fn poll_read_some(
    socket: &impl Socket,
    cx: &mut Context<'_>,
    emptied: &mut bool,
    buffer: &mut Limit<impl BufMut>,
) -> Poll<io::Result<usize>> {
    ready!(poll_refilled(socket, cx, emptied))?;
    loop {
        let turn = ready!(poll_proceed(cx));
        if let Some(read) = not_blocked(try_read(socket, buffer, emptied)) {
            turn.made_progress();
            return Poll::Ready(read);
        }
        ready!(socket.poll_read_ready(cx))?;
    }
}

/// Reads once, and takes note when that has emptied the socket, so that the reactor is waited
/// for and not the socket asked again.
fn try_read(
    socket: &impl Socket,
    buffer: &mut Limit<impl BufMut>,
    emptied: &mut bool,
) -> io::Result<usize> {
    let room = buffer.remaining_mut();
    let mut last = None;
    let read = socket.try_to_read(|| {
        let len = socket.try_read_buf(buffer)?;
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
    socket: &impl Socket,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        let turn = ready!(poll_proceed(cx));
        if let Some(written) = not_blocked(socket.try_write(bytes)) {
            turn.made_progress();
            return Poll::Ready(written);
        }
        ready!(socket.poll_write_ready(cx))?;
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
