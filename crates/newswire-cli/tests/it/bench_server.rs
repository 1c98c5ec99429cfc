//! Servers that misbehave in one way each, for the load generator to notice. Plain threads and
//! blocking sockets; no test lives here.

use newswire::proto::handshake::{HeadReader, Upgrade};
use newswire::proto::{FrameHeader, Mask, OpCode};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A connection after its handshake.
pub struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// Serves each connection with `behave` on a free port, until the test's process ends.
pub fn serve_by(behave: impl Fn(Peer) -> Option<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let behave = Arc::clone(&behave);
            thread::spawn(move || behave(Peer::accept(stream.ok()?)?));
        }
    });
    address
}

impl Peer {
    fn accept(mut stream: TcpStream) -> Option<Self> {
        let mut unread = Vec::new();
        let head = loop {
            read_more(&mut stream, &mut unread)?;
            if let Some(head) = HeadReader::default().read_request(&unread).ok()? {
                break head;
            }
        };
        let accepted = Upgrade::from_head(&head).ok()?.accept(None).ok()?;
        stream.write_all(&accepted.to_bytes()).ok()?;
        unread.drain(..head.len);
        Some(Self { stream, unread })
    }

    /// Where it comes from.
    pub fn address(&self) -> SocketAddr {
        self.stream.peer_addr().unwrap()
    }

    /// The next frame's opcode and payload; `None` at the end.
    pub fn read(&mut self) -> Option<(OpCode, Vec<u8>)> {
        loop {
            if let Some((header, len)) = FrameHeader::parse(&self.unread).unwrap() {
                let end = len + header.payload_len as usize;
                if self.unread.len() >= end {
                    let mut payload = self.unread[len..end].to_vec();
                    Mask::new(header.masking_key.expect("clients mask")).apply(&mut payload);
                    self.unread.drain(..end);
                    return Some((header.opcode, payload));
                }
            }
            read_more(&mut self.stream, &mut self.unread)?;
        }
    }

    /// Sends a frame; `None` when nobody is there any more.
    pub fn write(&mut self, opcode: OpCode, payload: &[u8]) -> Option<()> {
        let mut frame = Vec::new();
        FrameHeader::new(opcode, payload.len() as u64, None).write(&mut frame);
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).ok()
    }

    /// Sends a Close frame and reads to the end, so that unread bytes do not reset the connection
    /// before the frame is read.
    pub fn close(&mut self, payload: &[u8]) -> Option<()> {
        self.write(OpCode::Close, payload)?;
        while self.read().is_some() {}
        None
    }

    /// Sends back the next frame, a Close included.
    pub fn echo(&mut self) -> Option<()> {
        let (opcode, payload) = self.read()?;
        self.write(opcode, &payload)?;
        (opcode != OpCode::Close).then_some(())
    }
}

fn read_more(stream: &mut TcpStream, to: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 * 1024];
    let len = stream.read(&mut chunk).ok().filter(|len| *len > 0)?;
    to.extend_from_slice(&chunk[..len]);
    Some(())
}
