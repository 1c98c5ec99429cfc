//! The handshake run: connect, upgrade, close with one Close handshake, and again, so many at a time. Polls as `drive` does;
//! nothing but handshakes is sent.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;

use crate::handshake::{MAX_HEAD, accept, check, key, no_end, request};
use crate::sources::{Sources, socket};
use crate::window::{Measurement, Phase, Plan, Window};
use crate::{Result, drive::about};

/// How many keys circulate: each is answered for often enough to be cached by nobody, and made before the clock starts.
const KEYS: usize = 61;
/// FIN, Close, code 1000 (RFC 6455 §5.5.1), unmasked: what comes back.
const CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xe8];

/// A request and the accept value that belongs to it.
struct Offer {
    request: Vec<u8>,
    accept: String,
}

#[derive(Clone, Copy)]
enum Step {
    Connecting,
    Upgrading,
    Closing,
}

/// One connection on its way.
struct Attempt<'a> {
    stream: TcpStream,
    offer: &'a Offer,
    step: Step,
    /// What has come in this step.
    came: Vec<u8>,
    began: Instant,
}

impl<'a> Attempt<'a> {
    fn begin(address: SocketAddr, sources: &mut Sources, offer: &'a Offer) -> Result<Self> {
        let began = Instant::now();
        let socket = socket(Some(sources))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error.into());
            }
            _ => {}
        }
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            offer,
            step: Step::Connecting,
            came: Vec::new(),
            began,
        })
    }

    /// Goes as far as the socket allows. `true` when the Close handshake is done.
    fn go_on(&mut self, compares: bool) -> Result<bool> {
        if let Step::Connecting = self.step {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            match self.stream.write(&self.offer.request) {
                Ok(len) => whole(len, self.offer.request.len())?,
                Err(error) if waits(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            self.step = Step::Upgrading;
        }
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    return Err(match self.step {
                        Step::Closing => "the server closed without a Close frame".into(),
                        _ => no_end(&self.came),
                    });
                }
                Ok(len) => self.came.extend(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if waits(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            match self.step {
                Step::Closing => return closed(&self.came, compares),
                _ if self.came.ends_with(b"\r\n\r\n") => {
                    check(
                        &String::from_utf8_lossy(&self.came),
                        &self.offer.accept,
                        false,
                    )?;
                    self.came.clear();
                    self.step = Step::Closing;
                    whole(self.stream.write(&close_frame())?, CLOSE.len() + 4)?;
                }
                _ if self.came.len() >= MAX_HEAD => return Err(no_end(&self.came)),
                _ => {}
            }
        }
    }
}

/// The client's Close frame, under a masking key of its own.
pub(crate) fn close_frame() -> [u8; CLOSE.len() + 4] {
    let key = fastrand::u32(..).to_ne_bytes();
    let [first, len, payload @ ..] = CLOSE;
    let mut frame = [first, 0x80 | len, 0, 0, 0, 0, 0, 0];
    frame[2..6].copy_from_slice(&key);
    for (to, (byte, key)) in frame[6..].iter_mut().zip(payload.iter().zip(key)) {
        *to = byte ^ key;
    }
    frame
}

/// Whether a Close frame has come, and nothing else. RFC 6455 §5.5.1 leaves its payload to the server.
pub(crate) fn closed(came: &[u8], compares: bool) -> Result<bool> {
    let len = match *came {
        _ if !compares => CLOSE.len(),
        [] => return Ok(false),
        [first, ..] if first != CLOSE[0] => 0,
        [_] => return Ok(false),
        [_, len, ..] => 2 + usize::from(len),
    };
    if came.len() > len {
        return Err(format!("{came:02x?} came where a Close frame is due").into());
    }
    Ok(came.len() == len)
}

fn waits(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}

/// An empty socket takes so few bytes at once.
fn whole(written: usize, len: usize) -> Result<()> {
    if written == len {
        return Ok(());
    }
    Err(format!("the socket took {written} of {len} bytes").into())
}

/// Loads the server with handshakes as `plan` says, `at_a_time` connections under way at once, and checks every one.
///
/// # Errors
/// When a connection is refused, is not upgraded as it must be, or ends without a Close frame; and when nothing comes
/// for five seconds. A run with an error has no figures.
pub fn handshakes(plan: &Plan, at_a_time: usize) -> Result<Measurement> {
    let offers: Vec<_> = (0..KEYS)
        .map(|_| key())
        .map(|key| Offer {
            request: request(plan.address, &plan.path, &key, false).into(),
            accept: accept(&key),
        })
        .collect();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(at_a_time.max(64));
    let mut begun = 0;
    let mut sources = Sources::new(0);
    let mut begin = |poll: &Poll, slot: usize| -> Result<Attempt<'_>> {
        let mut attempt = Attempt::begin(plan.address, &mut sources, &offers[begun % KEYS])
            .map_err(|error| about(begun, &error))?;
        begun += 1;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut attempt.stream, Token(slot), both)?;
        Ok(attempt)
    };
    let mut slots = Vec::with_capacity(at_a_time);
    for slot in 0..at_a_time {
        slots.push(Some(begin(&poll, slot)?));
    }

    let mut window = Window::new(plan, at_a_time);
    let mut compared = 0;
    loop {
        let now = Instant::now();
        if window.tick(now)? == Phase::Closed && slots.iter().all(Option::is_none) {
            return window.measurement(compared);
        }
        match poll.poll(&mut events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Token(slot) = event.token();
            let Some(attempt) = &mut slots[slot] else {
                continue;
            };
            let done = attempt
                .go_on(plan.compares)
                .map_err(|error| format!("after {} handshakes: {error}", window.done()))?;
            if !done {
                continue;
            }
            window.count(now, 1);
            window.took(attempt.began.elapsed());
            compared += u64::from(plan.compares);
            // Replacing it closes it.
            slots[slot] = None;
            if window.phase() != Phase::Closed {
                slots[slot] = Some(begin(&poll, slot)?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_close_frame_ends_a_connection() {
        assert!(closed(&CLOSE, true).unwrap());
        assert!(closed(&[0x88, 0], true).unwrap());
        for part in [&[][..], &[0x88], &[0x88, 2], &[0x88, 2, 3]] {
            assert!(!closed(part, true).unwrap(), "{part:?}");
        }
        for wrong in [&[0x82][..], &[0x82, 2, 3, 0xe8], &[0x88, 0, 0]] {
            closed(wrong, true).unwrap_err();
        }
        assert!(closed(&[0; 4], false).unwrap());
    }

    #[test]
    fn the_close_frame_unmasks_to_code_1000() {
        let frame = close_frame();
        assert_eq!(frame[..2], [0x88, 0x82]);
        assert_eq!([frame[6] ^ frame[2], frame[7] ^ frame[3]], [0x03, 0xe8]);
    }
}
