//! TLS over another stream: records are read into the thread's memory, decrypted where they lie
//! and handed on; what one turn writes is encrypted together and goes out in one write. A
//! connection keeps only what is not a whole record yet. Who is trusted and which certificate is
//! shown is decided in `crate::tls`.

mod records;

use self::records::Taken;
use super::stream::Stream;
use crate::tls::TlsError;
use bytes::buf::Limit;
use bytes::{Buf, BufMut, BytesMut};
use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::thread::LocalKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// How much of what is to be written is encrypted at a time. It is also, with what encryption
/// adds, what a connection keeps when its peer does not read.
const TURN: usize = 64 * 1024;

/// How many bytes may wait for the record or the handshake message that they belong to to be
/// complete: more than any of these may have.
const MOST_INCOMPLETE: usize = 128 * 1024;

/// The most that a record has on the wire: RFC 8446 §5.2: "The length MUST NOT exceed 2^14 + 256
/// bytes", after a header of five. TLS 1.2 allows 2048 bytes more than the plaintext.
const MOST_RECORD: usize = 16 * 1024 + 2048 + 5;

/// What is read at once at most.
const MOST_READ: usize = 256 * 1024;

thread_local! {
    /// Records on their way in.
    static INPUT: Cell<BytesMut> = Cell::new(BytesMut::new());
    /// Records on their way out: as many zeros as were ever needed, overwritten again and again.
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// What lies in several places and is to be one record.
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Memory of the thread, until it is given back. A connection that is dropped while its thread
/// ends has some of its own.
fn lend<T: Default>(memory: &'static LocalKey<Cell<T>>) -> T {
    memory.try_with(Cell::take).unwrap_or_default()
}

fn give_back<T>(memory: &'static LocalKey<Cell<T>>, value: T) {
    let _ = memory.try_with(|memory| memory.set(value));
}

/// One end of TLS.
pub(crate) enum Session {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// Does the same with either end.
macro_rules! either {
    ($session:expr, $end:ident => $result:expr) => {
        match $session {
            Session::Client($end) => $result,
            Session::Server($end) => $result,
        }
    };
}

impl Session {
    /// What was agreed on.
    pub(crate) fn state(&self) -> &CommonState {
        either!(self, end => end)
    }
}

/// A stream that speaks TLS.
pub(crate) struct Tls {
    below: Stream,
    session: Session,
    /// What has come and is no whole record yet.
    incoming: Vec<u8>,
    /// What is decrypted and had no room where it was to be read to.
    plain: BytesMut,
    /// Records that the stream below has not taken yet.
    outgoing: BytesMut,
    /// Of the handshake, something is still in `outgoing`.
    owes_handshake: bool,
    /// The peer has said that nothing more comes.
    is_over: bool,
    /// Nothing more may be sent: the end was announced, or an alert.
    has_said_last: bool,
}

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The stream below failed.
    Io(io::Error),
    /// It ended.
    Ended,
    /// What came first is not TLS but text, such as an HTTP request.
    NotTls,
    /// The peer sent what it must not, or refused what was offered, or is not trusted. It was told.
    Tls(rustls::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Tls {
    /// Does the handshake over `below`. A peer that speaks text instead is answered with `to_text`.
    /// Dropping the future drops the stream.
    pub(crate) async fn open(
        below: Stream,
        session: Session,
        to_text: &[u8],
    ) -> Result<Self, Failure> {
        let mut tls = Self {
            below,
            session,
            incoming: Vec::new(),
            plain: BytesMut::new(),
            outgoing: BytesMut::new(),
            owes_handshake: false,
            is_over: false,
            has_said_last: false,
        };
        let mut is_first = true;
        loop {
            let taken = tls.take_incoming();
            let is_done = taken.is_err() || !tls.session.state().is_handshaking();
            let read = poll_fn(|cx| tls.poll_step(cx, is_done)).await;
            // What the peer did explains more than that it has left.
            taken.map_err(Failure::Tls)?;
            if read? == 0 {
                return if is_done {
                    Ok(tls)
                } else {
                    Err(Failure::Ended)
                };
            }
            // A record begins with its type (RFC 8446 §5.1), which is 22 in a handshake and 21 for
            // an alert: no letter.
            let is_text = tls.incoming.first().is_some_and(u8::is_ascii_uppercase);
            if mem::take(&mut is_first) && is_text {
                tls.has_said_last = true;
                tls.below.write_all(to_text).await?;
                tls.below.shutdown().await?;
                return Err(Failure::NotTls);
            }
        }
    }

    /// A step of the handshake: writes what there is to write, and reads what it goes on with
    /// unless it `is_done`. It does not wait for the one before it begins the other, for the peer
    /// may be writing too.
    fn poll_step(&mut self, cx: &mut Context<'_>, is_done: bool) -> Poll<io::Result<usize>> {
        let drained = self.poll_drained(cx)?;
        if drained.is_ready() {
            let _: Poll<()> = Pin::new(&mut self.below).poll_flush(cx)?;
        }
        if is_done {
            // The server waits for the last word of a client. A client need not read what a server
            // sends at the end (tickets for its next connection) before it has something to say.
            if matches!(self.session, Session::Client(_)) {
                ready!(drained);
            }
            self.owes_handshake = drained.is_pending();
            return Poll::Ready(Ok(0));
        }
        self.incoming.reserve(4096);
        pin!(self.below.read_buf(&mut self.incoming)).poll(cx)
    }

    /// The stream below.
    pub(crate) fn below(&self) -> &Stream {
        &self.below
    }

    pub(crate) fn state(&self) -> &CommonState {
        self.session.state()
    }

    /// Has the session look at what has come.
    fn take_incoming(&mut self) -> Result<(), rustls::Error> {
        let Self {
            session,
            incoming,
            plain,
            outgoing,
            ..
        } = self;
        let keep = |bytes: &[u8]| plain.extend_from_slice(bytes);
        let taken = either!(session, end => records::take(end, incoming, outgoing, keep));
        incoming.drain(..taken.used);
        self.note(&taken);
        taken.result
    }

    fn note(&mut self, taken: &Taken) {
        self.is_over |= taken.is_over;
        self.has_said_last |= taken.result.is_err();
    }

    /// Reads once, into the room that `buffer` has; 0 means the end.
    pub(super) fn poll_read_some(
        &mut self,
        cx: &mut Context<'_>,
        emptied: &mut bool,
        buffer: &mut Limit<impl BufMut>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.plain.is_empty() {
                return Poll::Ready(Ok(self.take_plain(buffer)));
            }
            if self.is_over {
                return Poll::Ready(Ok(0));
            }
            let len = ready!(self.poll_read_records(cx, emptied, buffer))?;
            if len > 0 {
                return Poll::Ready(Ok(len));
            }
        }
    }

    /// Hands on what an earlier read has brought.
    fn take_plain(&mut self, buffer: &mut Limit<impl BufMut>) -> usize {
        let len = self.plain.len().min(buffer.remaining_mut());
        buffer.put_slice(&self.plain[..len]);
        self.plain.advance(len);
        if self.plain.is_empty() {
            self.plain = BytesMut::new();
        }
        len
    }

    /// Reads once from the stream below; how many bytes of what came are in `buffer` now.
    fn poll_read_records(
        &mut self,
        cx: &mut Context<'_>,
        emptied: &mut bool,
        buffer: &mut Limit<impl BufMut>,
    ) -> Poll<io::Result<usize>> {
        if self.owes_handshake {
            // Nobody writes yet, whose waker would be replaced.
            self.owes_handshake = self.poll_drained(cx)?.is_pending();
        }
        ready!(self.below.poll_refilled(cx, emptied))?;
        // As much as `buffer` may take, for little should be left over; but a whole record.
        let room = buffer.remaining_mut();
        let wanted = (room + room / 64).clamp(MOST_RECORD, MOST_READ);
        let mut input = lend(&INPUT);
        input.clear();
        input.reserve(self.incoming.len() + wanted);
        input.extend_from_slice(&self.incoming);
        let mut space = (&mut input).limit(wanted);
        let read = self.below.poll_read_some(cx, emptied, &mut space);
        let read = read.map(|read| read.and_then(|len| self.handle(cx, len, &mut input, buffer)));
        give_back(&INPUT, input);
        read
    }

    /// Has the session look at `input`, of which `len` bytes are new.
    fn handle(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
        input: &mut BytesMut,
        buffer: &mut Limit<impl BufMut>,
    ) -> io::Result<usize> {
        if len == 0 {
            // RFC 8446 §6.1: close_notify tells "the recipient that the sender will not send any
            // more messages on this connection"; without it, somebody else may have cut it short.
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer ended the TCP connection without ending TLS before (no close_notify)",
            ));
        }
        let Self {
            session,
            plain,
            outgoing,
            ..
        } = self;
        let room = buffer.remaining_mut();
        let hand_on = |bytes: &[u8]| {
            let (now, later) = bytes.split_at(bytes.len().min(buffer.remaining_mut()));
            buffer.put_slice(now);
            plain.extend_from_slice(later);
        };
        let taken = either!(session, end => records::take(end, input, outgoing, hand_on));
        self.note(&taken);
        let rest = &input[taken.used..];
        if rest.is_empty() {
            self.incoming = Vec::new();
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(rest);
        }
        if !self.outgoing.is_empty() {
            // An alert, or a change of keys that was asked for. What is not taken now goes before
            // the next write.
            let _ = self.poll_drained(cx);
        }
        taken.result.map_err(TlsError::Peer)?;
        if self.incoming.len() > MOST_INCOMPLETE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the peer began a TLS message that is too large to be one",
            ));
        }
        Ok(room - buffer.remaining_mut())
    }

    /// Encrypts up to a turn's worth of `slices` and writes it. What the stream below does not take
    /// is kept, and goes before anything else.
    pub(super) fn poll_write_some(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drained(cx))?;
        let mut output = lend(&OUTPUT);
        let mut gathered = lend(&GATHERED);
        let plain = gather(slices, &mut gathered);
        let written = self.write(cx, plain, &mut output);
        let len = plain.len();
        gathered.clear();
        give_back(&GATHERED, gathered);
        give_back(&OUTPUT, output);
        Poll::Ready(written.map(|()| len))
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        plain: &[u8],
        output: &mut Vec<u8>,
    ) -> io::Result<()> {
        if plain.is_empty() {
            return Ok(());
        }
        let (incoming, outgoing) = (&mut self.incoming, &mut self.outgoing);
        let len = either!(&mut self.session, end => {
            records::encrypt(end, incoming, outgoing, plain, output)
        })?;
        let records = &output[..len];
        let written = match self.outgoing.is_empty() {
            true => self.write_below(cx, records)?,
            // Something had to go before it.
            false => 0,
        };
        self.outgoing.extend_from_slice(&records[written..]);
        let _: Poll<()> = self.poll_drained(cx)?;
        Ok(())
    }

    /// Writes until the stream below takes no more; how much it took.
    fn write_below(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.below.poll_write_some(cx, &bytes[written..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(len) => written += len,
                Poll::Pending => break,
            }
        }
        Ok(written)
    }

    /// Writes what was kept.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let bytes = mem::take(&mut self.outgoing);
        let written = self.write_below(cx, &bytes)?;
        if written == bytes.len() {
            return Poll::Ready(Ok(()));
        }
        self.outgoing = bytes;
        self.outgoing.advance(written);
        Poll::Pending
    }

    /// Says that nothing more comes, once.
    fn say_last(&mut self) {
        if mem::replace(&mut self.has_said_last, true) || self.session.state().is_handshaking() {
            return;
        }
        let mut alert = vec![0; 64];
        let len = either!(&mut self.session, end => {
            records::close(end, &mut self.incoming, &mut self.outgoing, &mut alert)
        });
        // What cannot be said any more is not said.
        let len = len.unwrap_or(0);
        self.outgoing.extend_from_slice(&alert[..len]);
    }
}

/// Up to a turn's worth of bytes that lie together: the first slice when it is enough or the only
/// one, else a copy of them all.
fn gather<'a>(slices: &'a [IoSlice<'_>], gathered: &'a mut Vec<u8>) -> &'a [u8] {
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let first = slices.iter().find(|slice| !slice.is_empty());
    let Some(first) = first else {
        return &[];
    };
    if first.len() == total || first.len() >= TURN {
        return &first[..first.len().min(TURN)];
    }
    for slice in slices {
        let room = TURN - gathered.len();
        gathered.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    gathered
}

impl Drop for Tls {
    /// The peer is told that this was all, as far as one write can.
    fn drop(&mut self) {
        self.say_last();
        let _ = self.poll_drained(&mut Context::from_waker(Waker::noop()));
    }
}

impl AsyncRead for Tls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.initialize_unfilled();
        if room.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let len = room.len();
        let len = ready!(self.poll_read_some(cx, &mut false, &mut room.limit(len)))?;
        buffer.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drained(cx))?;
        Pin::new(&mut self.below).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_last();
        ready!(self.poll_drained(cx))?;
        Pin::new(&mut self.below).poll_shutdown(cx)
    }
}
