//! The requests of one connection, one after the other: each head is read by this library, as
//! strictly as the first, and what is not for a WebSocket is passed on to hyper, its body behind it.
//! hyper sees nothing of the next request before it has answered the one before. What the answers
//! are is not known here.

use super::chunks::Chunks;
use super::fallback::{Conversation, Fallback};
use super::{LINGER, Received, deadline, linger, refuse};
use crate::server::Service;
use crate::server::registry::Registered;
use crate::server::request::Arrival;
use crate::transport::Stream;
use bytes::BytesMut;
use http::Request;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use newswire_proto::handshake::{Head, HeadReader, Rejection};
use parking_lot::Mutex;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

/// Answers requests that are for `fallback`, up to the first that is for a WebSocket. `None`: the
/// connection has ended before.
pub(super) async fn serve(
    service: &Arc<Service>,
    fallback: &Fallback,
    first: Received,
    arrival: &Arrival,
    registered: &Registered,
) -> Option<Received> {
    let left = Arc::new(Mutex::new(None));
    fallback
        .serve(Conversation {
            io: Io::new(first, service, &left),
            service: Arc::clone(service),
            arrival: arrival.clone(),
            closing: Box::pin(registered.closing()),
        })
        .await;
    let Left {
        mut stream,
        bytes,
        next,
    } = left.lock().take()?;
    match next {
        Next::Request(head) => {
            return Some(Received {
                stream,
                head,
                bytes,
            });
        }
        Next::Refused(rejection) => {
            service.refused(&arrival.client.into(), None, &rejection);
            refuse(&mut stream, &rejection).await;
        }
        Next::End => {
            let _ = timeout(LINGER, linger(&mut stream)).await;
        }
    }
    None
}

/// A connection that hyper has done with.
struct Left {
    stream: Stream,
    /// What was read and not passed on.
    bytes: BytesMut,
    next: Next,
}

/// What is to be done with it.
enum Next {
    /// Here is a request for a WebSocket.
    Request(Head<Request<()>>),
    /// What came is no request.
    Refused(Rejection),
    /// It ends.
    End,
}

/// The connection as hyper sees it: one request, and the end when the next is not for it.
pub(super) struct Io {
    /// `None` when it has been left.
    stream: Option<Stream>,
    /// What was read, and has not been passed on.
    bytes: BytesMut,
    /// How many of these are of a head that is passed on.
    head: usize,
    coming: Coming,
    /// The request that was passed on last is not answered yet.
    answering: bool,
    /// hyper has all of the answer.
    answered: Arc<AtomicBool>,
    /// The peer sends nothing more, and may have gone.
    ended: bool,
    /// hyper has been told that this is the end.
    next: Option<Next>,
    /// By when what is coming must be there, once somebody waits for it.
    due: Option<Instant>,
    waiting: Option<Pin<Box<Sleep>>>,
    /// The peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    service: Arc<Service>,
    left: Arc<Mutex<Option<Left>>>,
}

/// What comes behind the head that was passed on last.
enum Coming {
    Head(HeadReader),
    /// So many bytes of a body, then a head.
    Body(u64),
    /// A body in chunks, and nothing behind it.
    Rest(Chunks),
}

impl Io {
    fn new(first: Received, service: &Arc<Service>, left: &Arc<Mutex<Option<Left>>>) -> Self {
        let mut io = Self {
            stream: Some(first.stream),
            // Not the thread's buffer, which hyper would keep.
            bytes: BytesMut::from(&first.bytes[..]),
            head: 0,
            coming: Coming::Body(0),
            answering: true,
            answered: Arc::default(),
            ended: false,
            next: None,
            due: None,
            waiting: None,
            stalled: None,
            service: Arc::clone(service),
            left: Arc::clone(left),
        };
        io.pass_on(&first.head);
        io
    }

    /// A head is for hyper, and so is the body behind it.
    fn pass_on(&mut self, head: &Head<Request<()>>) {
        self.head = head.len;
        self.answering = true;
        self.answered.store(false, Relaxed);
        self.coming = match body_len(&head.message) {
            Some(0) => self.next_head(),
            Some(len) => Coming::Body(len),
            None => Coming::Rest(Chunks::new()),
        };
        self.wait_until(match self.coming {
            // The time begins when the answer has been sent.
            Coming::Head(_) => None,
            _ => Some(deadline(self.service.config.handshake_timeout)),
        });
    }

    /// Where it is told that hyper has all of an answer.
    pub(super) fn answered(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.answered)
    }

    fn next_head(&self) -> Coming {
        Coming::Head(HeadReader::new(self.service.config.head))
    }

    fn wait_until(&mut self, due: Option<Instant>) {
        self.due = due;
        self.waiting = None;
    }

    /// How many of the bytes that are there may be passed on.
    fn passable(&self) -> usize {
        match self.coming {
            _ if self.head > 0 => self.head,
            Coming::Head(_) => 0,
            Coming::Body(len) => self
                .bytes
                .len()
                .min(usize::try_from(len).unwrap_or(usize::MAX)),
            Coming::Rest(_) => self.bytes.len(),
        }
    }

    fn pass(&mut self, buffer: &mut ReadBuf<'_>) {
        let len = self.passable().min(buffer.remaining());
        let passed = self.bytes.split_to(len);
        buffer.put_slice(&passed);
        if self.head > 0 {
            self.head -= len;
            return;
        }
        let is_whole = match &mut self.coming {
            Coming::Head(_) => false,
            Coming::Body(left) => {
                *left -= len as u64;
                *left == 0
            }
            Coming::Rest(chunks) => chunks.skip(&passed),
        };
        if is_whole {
            self.coming = self.next_head();
            self.wait_until(None);
        }
    }

    /// Looks at what is there of the next head.
    fn look(&mut self) {
        let Coming::Head(reader) = &mut self.coming else {
            return;
        };
        if self.bytes.is_empty() {
            return;
        }
        match reader.read_request(&self.bytes) {
            Ok(None) => {}
            Ok(Some(head)) if self.service.is_for_websocket(&head.message) => {
                self.next = Some(Next::Request(head));
            }
            Ok(Some(head)) => self.pass_on(&head),
            Err(error) => self.next = Some(Next::Refused(error.into())),
        }
    }

    /// Reads what comes while a request is answered, as far as there is room: it is for later. Ready
    /// when the peer is taken to have gone.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.ended {
            if self.bytes.len() >= self.service.config.head.max_bytes {
                return Poll::Pending;
            }
            if ready!(self.poll_fill(cx))? == 0 {
                // Who has only ended its sending still gets an answer that comes soon.
                self.ended = true;
                self.wait_until(None);
            }
        }
        self.poll_due(cx).map(Ok)
    }

    /// Reads more, in time. The end is no bytes.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(read) = self.poll_fill(cx) {
            return Poll::Ready(read);
        }
        ready!(self.poll_due(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        self.bytes.reserve(1024);
        pin!(stream.read_buf(&mut self.bytes)).poll(cx)
    }

    /// Ready when what is waited for should be there.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.service.config.handshake_timeout;
        let due = *self.due.get_or_insert_with(|| deadline(limit));
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep_until(due)));
        waiting.as_mut().poll(cx)
    }

    /// `polled`, or an error when the peer has taken nothing for too long.
    fn in_time<R>(
        &mut self,
        polled: Poll<io::Result<R>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let Some(limit) = self.service.config.connection.write_limit() else {
            return Poll::Pending;
        };
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// How long the body of a request is; `None` when that is for hyper to find out.
pub(super) fn body_len<B>(request: &Request<B>) -> Option<u64> {
    let headers = request.headers();
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    // The head's reader has made sure that it is one number, however often.
    let Some(len) = headers.get(CONTENT_LENGTH) else {
        return Some(0);
    };
    let len = len.to_str().ok()?.split(',').next()?;
    len.trim().parse().ok()
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.next.is_some() {
                return Poll::Ready(Ok(()));
            }
            if self.passable() > 0 {
                self.pass(buffer);
                return Poll::Ready(Ok(()));
            }
            let between = matches!(self.coming, Coming::Head(_));
            if between && self.answering {
                ready!(self.poll_gone(cx))?;
                self.next = Some(Next::End);
                continue;
            }
            self.look();
            if self.next.is_some() || self.passable() > 0 {
                continue;
            }
            match ready!(self.poll_more(cx)) {
                Ok(0) => self.next = Some(Next::End),
                Ok(_) => {}
                // A peer that has said nothing is not answered.
                Err(error) if between && error.kind() == io::ErrorKind::TimedOut => {
                    self.next = Some(if self.bytes.is_empty() {
                        Next::End
                    } else {
                        Next::Refused(Rejection::request_timeout())
                    });
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        let polled = Pin::new(stream).poll_write(cx, bytes);
        self.in_time(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        let polled = Pin::new(stream).poll_write_vectored(cx, slices);
        self.in_time(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        let polled = Pin::new(stream).poll_flush(cx);
        if polled.is_ready() && self.answering && self.answered.load(Relaxed) {
            self.answering = false;
            if matches!(self.coming, Coming::Head(_)) {
                self.wait_until(None);
                // hyper waits for bytes that may be here already.
                cx.waker().wake_by_ref();
            }
        }
        self.in_time(polled, cx)
    }

    /// hyper has written all that it had to say: what becomes of the connection is said elsewhere.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(stream) = self.stream.take() {
            let left = Left {
                stream,
                bytes: std::mem::take(&mut self.bytes),
                next: self.next.take().unwrap_or(Next::End),
            };
            *self.left.lock() = Some(left);
        }
        Poll::Ready(Ok(()))
    }
}
