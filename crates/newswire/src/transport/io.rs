//! Reading into the thread's shared buffer and writing all that waits in one call. What the
//! bytes mean is not known here.

use super::Transport;
use bytes::{Buf, BytesMut};
use newswire_proto::{Connection, OutputBuffer};
use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::AsyncReadExt;

/// The read buffer that the connections of a thread share. It is large so that one read
/// takes all that a busy peer has in flight, never zeroed, and used from its start again as
/// soon as no message points into it.
const READ_BUFFER: usize = 256 * 1024;

/// With less room than this left, a buffer that messages still point into is left to them.
const LEAST_ROOM: usize = 64 * 1024;

/// How many slices one vectored write takes.
const SLICES: usize = 64;

/// An output buffer that has grown beyond this is not kept for the next connection.
const LARGEST_KEPT: usize = 1024 * 1024;

thread_local! {
    static INPUT: RefCell<BytesMut> = RefCell::new(BytesMut::new());
    static OUTPUT: RefCell<OutputBuffer> = const { RefCell::new(OutputBuffer::new()) };
}

/// Reads once: the bytes, or `None` at their end.
pub(crate) fn poll_read<T: Transport>(
    transport: &mut T,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Option<BytesMut>>> {
    let mut buffer = INPUT.take();
    if !buffer.try_reclaim(READ_BUFFER) && buffer.capacity() < LEAST_ROOM {
        buffer = BytesMut::with_capacity(READ_BUFFER);
    }
    let read = pin!(transport.read_buf(&mut buffer)).poll(cx);
    let data = buffer.split();
    INPUT.replace(buffer);
    match ready!(read)? {
        0 => Poll::Ready(Ok(None)),
        _ => Poll::Ready(Ok(Some(data))),
    }
}

/// Writes all that `connection` wants written.
pub(crate) fn poll_write<T: Transport>(
    transport: &mut T,
    connection: &mut Connection,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while let Some(output) = connection.poll_transmit() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = output.chunks_vectored(&mut slices);
        let transport = Pin::new(&mut *transport);
        let written = if count > 1 && transport.is_write_vectored() {
            ready!(transport.poll_write_vectored(cx, &slices[..count]))?
        } else {
            ready!(transport.poll_write(cx, output.chunk()))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        output.advance(written);
    }
    take_output_buffer_back(connection);
    Poll::Ready(Ok(()))
}

/// Lends `connection` the thread's output buffer, so that it need not own one.
#[inline]
pub(crate) fn lend_output_buffer(connection: &mut Connection) {
    if connection.buffered_amount() == 0 {
        OUTPUT.with_borrow_mut(|buffer| connection.swap_output_buffer(buffer));
    }
}

/// Takes the drained output buffer back for the thread's next connection.
#[inline]
fn take_output_buffer_back(connection: &mut Connection) {
    let mut buffer = OutputBuffer::new();
    connection.swap_output_buffer(&mut buffer);
    if (1..=LARGEST_KEPT).contains(&buffer.capacity()) {
        // A connection may be dropped while its thread ends; then nobody needs the buffer.
        let _ = OUTPUT.try_with(|kept| kept.replace(buffer));
    }
}
