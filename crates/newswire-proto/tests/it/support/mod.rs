//! Builders of frames as they travel, a splitter that delivers every script at every cut,
//! and a pair of connections that talk to each other.

#[cfg(feature = "deflate")]
mod inflate;
mod pair;
mod script;

#[cfg(feature = "deflate")]
pub use inflate::inflate;
pub use pair::Pair;
pub use script::Script;

use bytes::{Buf, BufMut, BytesMut};
use newswire_proto::{Config, Connection, Event, FrameHeader, Mask, OpCode, Role};
use std::sync::Arc;

pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub fn key() -> [u8; 4] {
    KEY
}

/// A connection of this role with these limits.
pub fn connection(role: Role, config: Config) -> Connection {
    match role {
        Role::Client => Connection::client(Arc::new(config), key),
        Role::Server => Connection::server(Arc::new(config)),
    }
}

/// The connection with permessage-deflate, agreed on without any parameter.
#[cfg(feature = "deflate")]
pub fn deflating(connection: Connection) -> Connection {
    connection.with_deflate(&Default::default(), Default::default(), with_codec)
}

/// Lends a codec that the thread's connections share.
#[cfg(feature = "deflate")]
pub fn with_codec(work: &mut dyn FnMut(&mut newswire_proto::deflate::SharedCodec)) {
    use newswire_proto::deflate::SharedCodec;
    use std::cell::RefCell;
    thread_local! {
        static CODEC: RefCell<SharedCodec> = RefCell::new(SharedCodec::new());
    }
    CODEC.with_borrow_mut(|codec| work(codec));
}

/// A frame as `sender` puts it on the wire.
pub fn frame(sender: Role, fin: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let masking_key = sender.masks().then_some(KEY);
    let header = FrameHeader {
        fin,
        ..FrameHeader::new(opcode, payload.len() as u64, masking_key)
    };
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = masking_key {
        Mask::new(key).apply(&mut bytes[at..]);
    }
    bytes
}

/// The payload of a Close frame.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Hands `bytes` in and returns all that happened.
pub fn deliver(connection: &mut Connection, bytes: &[u8]) -> Vec<Event> {
    connection.handle_data(BytesMut::from(bytes));
    events(connection)
}

/// Hands `wire` in, in reads of at most `cut` bytes, and as much of it as can be through `room`:
/// what happened, and how many bytes went that way.
pub fn read_in_place(
    receiver: &mut Connection,
    mut wire: &[u8],
    cut: usize,
) -> (Vec<Event>, usize) {
    let mut happened = Vec::new();
    let mut direct = 0;
    while !wire.is_empty() {
        let len = cut.min(wire.len());
        let taken = match receiver.room() {
            Some(mut room) => {
                let len = len.min(room.remaining_mut());
                room.put_slice(&wire[..len]);
                receiver.handle_read(len);
                direct += len;
                len
            }
            None => {
                receiver.handle_data(BytesMut::from(&wire[..len]));
                len
            }
        };
        wire = &wire[taken..];
        happened.extend(events(receiver));
    }
    (happened, direct)
}

/// All events that are there.
pub fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

/// Everything that waits to be written, taken.
pub fn written(connection: &mut Connection) -> Vec<u8> {
    match connection.poll_transmit() {
        Some(output) => output.copy_to_bytes(output.remaining()).to_vec(),
        None => Vec::new(),
    }
}

/// Frames read back from the wire: opcode, FIN and unmasked payload of each.
pub fn parse(mut bytes: &[u8]) -> Vec<(OpCode, bool, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, len)) = FrameHeader::parse(bytes).expect("our own frames are right") {
        let end = len + header.payload_len as usize;
        let mut payload = bytes[len..end].to_vec();
        if let Some(key) = header.masking_key {
            Mask::new(key).apply(&mut payload);
        }
        frames.push((header.opcode, header.fin, payload));
        bytes = &bytes[end..];
    }
    assert!(bytes.is_empty(), "half a frame was written");
    frames
}
