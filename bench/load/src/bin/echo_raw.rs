//! The floor: no WebSocket server, but what every one of them has to do at least with this machine's sockets.
//!
//! It answers the opening handshake, and takes from the first frame's header how long the frames of this connection
//! are. From then on it looks at nothing: what one `read` brings goes out with one `write` from the same memory, less
//! four bytes a message, which are a masking key. So its system calls are, in number and length, those of an echo that
//! sends everything at once; it forms no messages, and the beginning of a large one goes out before its end has come.
//! What it sends has the length of an echo and not its content: the load counts these bytes and compares none.
//!
//! With the argument `tls` all of that goes through rustls, as its own examples use it: the floor of a server with TLS.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use load::Socket;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;

/// Read at once at most. With less, 16 KiB messages take more reads; with more, nothing changes.
const READ_BUFFER: usize = 512 * 1024;
const KEY_LEN: usize = 4;
const LISTENER: Token = Token(usize::MAX);

/// One connection and how far it has come.
struct Connection {
    stream: Socket,
    state: State,
    /// Bytes to be sent that the socket has not taken yet.
    owed: usize,
}

enum State {
    /// The request so far.
    Handshake(Vec<u8>),
    /// The first frame's header so far.
    Header(Vec<u8>),
    /// Frames of `len` bytes; `at` bytes of the current one have come.
    Frames { len: usize, at: usize },
}

impl Connection {
    /// Handles everything that the socket holds. `false` when the connection is over.
    fn ready(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut drained = false;
        self.stream.flush()?;
        loop {
            while self.owed > 0 {
                let len = self.owed.min(buffer.len());
                match self.stream.write(&buffer[..len]) {
                    Ok(written) => self.owed -= written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if drained {
                return Ok(true);
            }
            match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    // A short read has emptied the socket: the next bytes come with a new event.
                    drained = len < buffer.len();
                    self.owed = match &mut self.state {
                        State::Frames { len: frame, at } => due(*frame, at, len),
                        _ => self.begin(&buffer[..len])?,
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes what comes before the frames' length is known, and returns how many bytes are to be sent for the rest.
    fn begin(&mut self, data: &[u8]) -> io::Result<usize> {
        if let State::Handshake(head) = &mut self.state {
            head.extend(data);
            if !head.ends_with(b"\r\n\r\n") {
                return Ok(0);
            }
            let response = respond(&String::from_utf8_lossy(head))?;
            // It fits an empty socket.
            self.stream.write_all(response.as_bytes())?;
            self.state = State::Header(Vec::new());
            return Ok(0);
        }
        let State::Header(begun) = &mut self.state else {
            return Ok(0);
        };
        begun.extend(data);
        let Some(len) = frame_len(begun) else {
            return Ok(0);
        };
        let (mut at, come) = (0, begun.len());
        let due = due(len, &mut at, come);
        self.state = State::Frames { len, at };
        Ok(due)
    }
}

/// How many bytes of reply `come` bytes are worth, of frames that are `len` bytes long; each frame's first four bytes
/// are worth nothing.
fn due(len: usize, at: &mut usize, come: usize) -> usize {
    let worth =
        |bytes: usize| bytes / len * (len - KEY_LEN) + (bytes % len).saturating_sub(KEY_LEN);
    let before = worth(*at);
    let due = worth(*at + come) - before;
    *at = (*at + come) % len;
    due
}

/// The length of a masked frame by its header (RFC 6455 §5.2), once enough of it has come.
fn frame_len(header: &[u8]) -> Option<usize> {
    let payload_at = |extended: usize| 2 + extended + KEY_LEN;
    match *header.get(1)? & 0x7f {
        126 => {
            let len = header.get(2..)?.first_chunk()?;
            Some(payload_at(2) + usize::from(u16::from_be_bytes(*len)))
        }
        127 => {
            let len = header.get(2..)?.first_chunk()?;
            Some(payload_at(8) + u64::from_be_bytes(*len) as usize)
        }
        len => Some(payload_at(0) + usize::from(len)),
    }
}

fn respond(head: &str) -> io::Result<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let key = fields.find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"));
    let (_, key) = key.ok_or_else(|| io::Error::other("no Sec-WebSocket-Key in the request"))?;
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        load::accept(key.trim())
    ))
}

fn main() -> load::Result<()> {
    let tls = match std::env::args().nth(1).as_deref() {
        Some("tls") => Some(load::server_config()?),
        Some(other) => return Err(format!("{other:?} is no argument: tls, or none").into()),
        None => None,
    };
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?.port());
    let mut connections: HashMap<Token, Connection> = HashMap::new();
    let mut buffer = vec![0; READ_BUFFER];
    let mut events = Events::with_capacity(1024);
    let mut opened = 0;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept_all(
                    &listener,
                    &poll,
                    &mut connections,
                    &mut opened,
                    tls.as_ref(),
                )?;
            } else if let Some(connection) = connections.get_mut(&event.token()) {
                // An error here is the load leaving.
                if !connection.ready(&mut buffer).unwrap_or(false) {
                    connections.remove(&event.token());
                }
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut HashMap<Token, Connection>,
    opened: &mut usize,
    tls: Option<&Arc<ServerConfig>>,
) -> load::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let token = Token(*opened);
        *opened += 1;
        let mut stream = Socket::accepted(stream, tls)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(stream.source(), token, interest)?;
        let connection = Connection {
            stream,
            state: State::Handshake(Vec::new()),
            owed: 0,
        };
        connections.insert(token, connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_the_frames_are_cut_each_is_worth_its_length_without_the_key() {
        for piece in [1, 3, 4, 21, 22, 23, 100, 2200] {
            let (mut at, mut sent) = (0, 0);
            for _ in 0..2200 / piece {
                sent += due(22, &mut at, piece);
            }
            sent += due(22, &mut at, 2200 % piece);
            assert_eq!((at, sent), (0, 100 * 18), "{piece}");
        }
    }

    #[test]
    fn the_first_header_says_how_long_frames_are() {
        assert_eq!(frame_len(&[0x82]), None);
        assert_eq!(frame_len(&[0x82, 0x80 | 16]), Some(22));
        assert_eq!(frame_len(&[0x82, 0xfe, 1]), None);
        assert_eq!(frame_len(&[0x82, 0xfe, 1, 0]), Some(8 + 256));
        let mib = [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0];
        assert_eq!(frame_len(&mib), Some(14 + (1 << 20)));
    }
}
