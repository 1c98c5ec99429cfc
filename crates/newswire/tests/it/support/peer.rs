//! The other end, written by hand: it says what it is told to say, right or wrong, and shows
//! what it is told, frame by frame.

use super::within;
use newswire::proto::handshake::{HeadReader, Upgrade};
use newswire::proto::{FrameHeader, Mask, OpCode, Role};
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

/// A client's request that is right.
pub(crate) const REQUEST: &str = "GET /echo HTTP/1.1\r\n\
                           Host: localhost\r\n\
                           Upgrade: websocket\r\n\
                           Connection: Upgrade\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                           Sec-WebSocket-Version: 13\r\n\r\n";

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as `sender` puts it on the wire.
pub(crate) fn frame(sender: Role, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let masking_key = sender.masks().then_some(KEY);
    let mut bytes = Vec::new();
    FrameHeader::new(opcode, payload.len() as u64, masking_key).write(&mut bytes);
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = masking_key {
        Mask::new(key).apply(&mut bytes[at..]);
    }
    bytes
}

/// The payload of a Close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A server's answer to a client's request.
pub(crate) fn answer(request: &str) -> Vec<u8> {
    let head = HeadReader::default().read_request(request.as_bytes());
    let upgrade = Upgrade::from_head(&head.unwrap().expect("a whole head"));
    upgrade.unwrap().accept(None).unwrap().to_bytes()
}

pub(crate) struct Peer<T> {
    pub(crate) io: T,
    role: Role,
    /// Read, but not yet looked at.
    input: Vec<u8>,
}

impl Peer<TcpStream> {
    /// A client of a server: the handshake is done.
    pub(crate) async fn connect(addr: SocketAddr, path: &str) -> Self {
        let io = within(TcpStream::connect(addr)).await.unwrap();
        io.set_nodelay(true).unwrap();
        let mut peer = Self::client(io);
        let request = REQUEST.replace("/echo", path);
        peer.raw(request.as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }
}

impl Peer<DuplexStream> {
    /// A server for a client: the handshake is done, once the client has begun it.
    pub(crate) async fn accept(io: DuplexStream) -> Self {
        let mut peer = Self::server(io);
        let request = peer.head().await;
        peer.raw(&answer(&request)).await;
        peer
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    pub(crate) fn client(io: T) -> Self {
        Self::new(io, Role::Client)
    }

    pub(crate) fn server(io: T) -> Self {
        Self::new(io, Role::Server)
    }

    /// A client whose handshake is done, and which has read more than that.
    #[cfg(feature = "http")]
    pub(crate) fn opened(io: T, input: Vec<u8>) -> Self {
        Self {
            input,
            ..Self::client(io)
        }
    }

    fn new(io: T, role: Role) -> Self {
        Self {
            io,
            role,
            input: Vec::new(),
        }
    }

    /// Puts bytes on the wire.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        within(self.io.write_all(bytes)).await.unwrap();
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, opcode: OpCode, payload: impl AsRef<[u8]>) {
        let bytes = frame(self.role, opcode, payload.as_ref());
        self.raw(&bytes).await;
    }

    pub(crate) async fn close(&mut self, code: u16) {
        self.send(OpCode::Close, close_payload(code, "")).await;
    }

    /// Reads an HTTP head, up to its empty line.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.input.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.input.split_off(end + 4);
                let head = std::mem::replace(&mut self.input, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read().await, "hung up in the middle of a head");
        }
    }

    /// The next frame: opcode and unmasked payload. `None` at the end, which must not be in
    /// the middle of a frame.
    pub(crate) async fn next(&mut self) -> Option<(OpCode, Vec<u8>)> {
        loop {
            let parsed = FrameHeader::parse(&self.input).expect("newswire's frames are right");
            if let Some((header, len)) = parsed {
                assert!(header.fin && header.reserved == 0, "{header:?}");
                assert_eq!(header.masking_key.is_some(), self.role == Role::Server);
                let end = len + header.payload_len as usize;
                if self.input.len() >= end {
                    let rest = self.input.split_off(end);
                    let mut payload = std::mem::replace(&mut self.input, rest).split_off(len);
                    if let Some(key) = header.masking_key {
                        Mask::new(key).apply(&mut payload);
                    }
                    return Some((header.opcode, payload));
                }
            }
            if !self.read().await {
                assert!(self.input.is_empty(), "hung up in the middle of a frame");
                return None;
            }
        }
    }

    /// The text of the next frame, which must be a text message.
    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some((OpCode::Text, payload)) => String::from_utf8(payload).unwrap(),
            other => panic!("expected text, not {other:?}"),
        }
    }

    /// What the next frame holds, which must be a ping.
    pub(crate) async fn ping(&mut self) -> Vec<u8> {
        match self.next().await {
            Some((OpCode::Ping, payload)) => payload,
            other => panic!("expected a ping, not {other:?}"),
        }
    }

    /// The code of the Close frame that comes next, messages and pings before it aside.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let (OpCode::Close, payload) = self.next().await? {
                return payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    }

    /// That the transport ends, and nothing comes before.
    pub(crate) async fn assert_ends(&mut self) {
        assert_eq!(self.next().await, None);
    }

    /// Reads some bytes; whether there were any.
    async fn read(&mut self) -> bool {
        match within(self.io.read_buf(&mut self.input)).await {
            Ok(len) => len > 0,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}
