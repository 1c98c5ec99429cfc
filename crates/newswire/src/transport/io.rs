//! Reading into the thread's shared buffer and writing all that waits in one call. What the
//! bytes mean is not known here.

use super::{Stream, Transport};
use bytes::buf::Limit;
use bytes::{Buf, BufMut, BytesMut};
use newswire_proto::{Connection, Transmit};
use std::any::Any;
use std::cell::{Cell, RefCell};
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

/// An output that has grown beyond this is not kept for the next connection.
const LARGEST_KEPT: usize = 1024 * 1024;

thread_local! {
    static INPUT: RefCell<BytesMut> = RefCell::new(BytesMut::new());
    static OUTPUT: Cell<Option<Box<Transmit>>> = const { Cell::new(None) };
}

/// Reads once into `connection`, which takes large payloads where they belong; how much, and 0 is the
/// end; and whether it was such a payload. `emptied` is this function's own, from one call to the next.
#[inline]
pub(crate) fn poll_receive<T: Transport>(
    transport: &mut T,
    emptied: &mut bool,
    connection: &mut Connection,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(usize, bool)>> {
    if let Some(mut room) = connection.room() {
        let len = ready!(poll_read_into(transport, emptied, cx, &mut room))?;
        connection.handle_read(len);
        return Poll::Ready(Ok((len, true)));
    }
    let data = ready!(poll_read(transport, emptied, cx, usize::MAX))?;
    let len = data.len();
    connection.handle_data(data);
    Poll::Ready(Ok((len, false)))
}

/// Reads up to `most` bytes before there is a connection. They are in the thread's buffer: whoever
/// waits for anything meanwhile waits with a copy.
///
/// # Cancel safety
/// Nothing is lost when the future is dropped before it is ready.
#[cfg(feature = "server")]
pub(crate) async fn read<T: Transport>(transport: &mut T, most: usize) -> io::Result<BytesMut> {
    let mut emptied = false;
    std::future::poll_fn(|cx| poll_read(transport, &mut emptied, cx, most)).await
}

/// Reads once, up to `most` bytes. No bytes mean the end.
#[inline]
fn poll_read<T: Transport>(
    transport: &mut T,
    emptied: &mut bool,
    cx: &mut Context<'_>,
    most: usize,
) -> Poll<io::Result<BytesMut>> {
    INPUT.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => poll_read_shared(transport, emptied, cx, &mut buffer, most),
        // A transport that is itself made of such connections.
        Err(_) => poll_read_shared(transport, emptied, cx, &mut BytesMut::new(), most),
    })
}

#[inline]
fn poll_read_shared<T: Transport>(
    transport: &mut T,
    emptied: &mut bool,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<BytesMut>> {
    if !buffer.try_reclaim(READ_BUFFER) && buffer.capacity() < LEAST_ROOM {
        *buffer = BytesMut::with_capacity(READ_BUFFER);
    }
    let room = buffer.capacity().min(most);
    ready!(poll_read_into(
        transport,
        emptied,
        cx,
        &mut buffer.limit(room)
    ))?;
    Poll::Ready(Ok(buffer.split()))
}

#[inline]
fn poll_read_into<T: Transport>(
    transport: &mut T,
    emptied: &mut bool,
    cx: &mut Context<'_>,
    buffer: &mut Limit<impl BufMut>,
) -> Poll<io::Result<usize>> {
    match as_stream(transport) {
        Some(stream) => stream.poll_read_some(cx, emptied, buffer),
        None => pin!(transport.read_buf(buffer)).poll(cx),
    }
}

/// The stream that is nearly every transport, which has shorter ways than the traits.
#[inline]
fn as_stream<T: Transport>(transport: &mut T) -> Option<&mut Stream> {
    (transport as &mut dyn Any).downcast_mut()
}

/// Writes all that `connection` wants written, and has a transport with a buffer of its own (TLS)
/// pass it on.
#[inline]
pub(crate) fn poll_write<T: Transport>(
    transport: &mut T,
    connection: &mut Connection,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while let Some(output) = connection.poll_transmit() {
        let first = output.chunk();
        let written = if first.len() < output.remaining() && transport.is_write_vectored() {
            ready!(poll_write_vectored(transport, output, cx))?
        } else {
            ready!(match as_stream(transport) {
                Some(stream) => stream.poll_write_some(cx, first),
                None => Pin::new(&mut *transport).poll_write(cx, first),
            })?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        output.advance(written);
        if !output.has_remaining() {
            take_transmit_back(connection);
        }
    }
    Pin::new(transport).poll_flush(cx)
}

fn poll_write_vectored<T: Transport>(
    transport: &mut T,
    output: &Transmit,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = output.chunks_vectored(&mut slices);
    Pin::new(transport).poll_write_vectored(cx, &slices[..count])
}

/// Lends `connection` the thread's output, so that it need not own one.
#[inline]
pub(crate) fn lend_transmit(connection: &mut Connection) {
    if connection.lacks_transmit()
        && let Some(output) = OUTPUT.take()
    {
        // It is empty, and the connection has none: nothing comes back.
        let _ = connection.lend_transmit(output);
    }
}

/// Takes the drained output back for the thread's next connection.
#[inline]
fn take_transmit_back(connection: &mut Connection) {
    let Some(output) = connection.take_transmit() else {
        return;
    };
    if output.capacity() <= LARGEST_KEPT {
        // A connection may be dropped while its thread ends; then nobody needs the output.
        let _ = OUTPUT.try_with(|kept| kept.set(Some(output)));
    }
}
