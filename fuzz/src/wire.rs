//! Putting frames on the wire as a peer does, and taking a connection's output off it.

use bytes::Buf;
use newswire_proto::deflate::SharedCodec;
use newswire_proto::{Connection, Role, Transmit};
use std::cell::{Cell, RefCell};
use std::io::IoSlice;

/// Masking keys that differ from frame to frame, and are the same in each run.
pub fn masking_key() -> [u8; 4] {
    thread_local!(static LAST: Cell<u32> = const { Cell::new(0) });
    let key = LAST
        .get()
        .wrapping_mul(0x9E37_79B1)
        .wrapping_add(0x2545_F491);
    LAST.set(key);
    key.to_le_bytes()
}

/// Masks or unmasks (RFC 6455 §5.3), four octets at a time.
pub fn xor(payload: &mut [u8], key: [u8; 4]) {
    let (fours, rest) = payload.as_chunks_mut::<4>();
    for four in fours {
        *four = (u32::from_ne_bytes(*four) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (octet, key) in rest.iter_mut().zip(key) {
        *octet ^= key;
    }
}

/// Appends a frame as `sender` must write it, except that its first byte (FIN, reserved bits
/// and opcode) is taken as it is.
pub fn put_frame(wire: &mut Vec<u8>, sender: Role, first: u8, payload: &[u8]) {
    let mask_bit = if sender == Role::Client { 0x80 } else { 0 };
    wire.push(first);
    match payload.len() {
        len @ ..126 => wire.push(mask_bit | len as u8),
        len @ ..0x1_0000 => {
            wire.push(mask_bit | 126);
            wire.extend((len as u16).to_be_bytes());
        }
        len => {
            wire.push(mask_bit | 127);
            wire.extend((len as u64).to_be_bytes());
        }
    }
    if sender == Role::Client {
        let key = masking_key();
        wire.extend(key);
        let at = wire.len();
        wire.extend(payload);
        xor(&mut wire[at..], key);
    } else {
        wire.extend(payload);
    }
}

/// Writes at most `most` bytes, as one vectored write of a few slices does. Whether anything was
/// there to write.
pub fn write_some(connection: &mut Connection, most: usize, to: &mut Vec<u8>) -> bool {
    let wanted = connection.wants_write();
    let Some(output) = connection.poll_transmit() else {
        assert!(!wanted, "it wants to write, and has nothing");
        return false;
    };
    assert!(wanted, "it has output, and does not want to write");
    let mut slices = [IoSlice::new(&[]); 4];
    let count = output.chunks_vectored(&mut slices);
    let before = to.len();
    for slice in &slices[..count] {
        let room = most - (to.len() - before);
        to.extend(&slice[..slice.len().min(room)]);
    }
    let written = to.len() - before;
    assert!(
        written > 0 || most == 0,
        "there is output, but no slice of it"
    );
    output.advance(written);
    true
}

/// Lends the connection an output, or takes one back, as drivers do whose connections share them.
pub fn lend_or_take(connection: &mut Connection, spare: &mut Option<Box<Transmit>>) {
    match spare.take() {
        Some(output) => *spare = connection.lend_transmit(output),
        None => *spare = connection.take_transmit(),
    }
    assert!(spare.as_ref().is_none_or(|output| !output.has_remaining()));
}

/// Lends the thread's codec for compression.
pub fn with_codec(work: &mut dyn FnMut(&mut SharedCodec)) {
    thread_local!(static CODEC: RefCell<SharedCodec> = RefCell::new(SharedCodec::new()));
    CODEC.with_borrow_mut(|codec| work(codec));
}
