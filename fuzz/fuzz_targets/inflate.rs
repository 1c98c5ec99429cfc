//! Compressed messages that are right, wrong or changed come to two connections in turns. A
//! history in front of a shared inflater and a stream of one's own come to the same, which is
//! what an ordinary inflater says; no limit is passed; what came out travels back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use newswire_fuzz::script::Script;
use newswire_proto::Role;
use newswire_proto::deflate::{
    Compression, Compressor, DecompressError, Decompressor, DeflateConfig, DeflateOffer,
    DeflateParams, SharedCodec, max_compressed_size,
};
use std::cell::Cell;
use zlib_rs::{Inflate, InflateFlush, Status};

/// One connection, received in both modes, and its answers.
struct Peer {
    shared: Decompressor,
    dedicated: Decompressor,
    /// An ordinary stream, until a final block ended it.
    reference: Option<Inflate>,
    sender: Compressor,
    back: Compressor,
    back_read: Decompressor,
}

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let forgets = script.flag();
    let limit = match script.choice(3) {
        0 => usize::from(script.byte()),
        1 => 10_000,
        _ => 1 << 20,
    };
    let params = params(forgets);
    let mode = match script.choice(2) {
        0 => Compression::Shared {
            history: usize::from(script.number()),
            level: script.byte(),
        },
        _ => Compression::Dedicated {
            window_bits: script.byte(),
            mem_level: script.byte(),
            level: script.byte(),
        },
    };
    let config = DeflateConfig::new().compression(mode);
    let shared = DeflateConfig::new().compression(Compression::shared());
    let dedicated = DeflateConfig::new().compression(Compression::dedicated());
    let mut codec = CODEC.take();
    let mut peers = [(); 2].map(|()| Peer {
        shared: Decompressor::new(&shared, params, Role::Server),
        dedicated: Decompressor::new(&dedicated, params, Role::Server),
        reference: Some(Inflate::new(false, 15)),
        sender: Compressor::new(&config, params, Role::Client),
        back: Compressor::new(&config, params, Role::Server),
        back_read: Decompressor::new(&config, params, Role::Client),
    });
    while !script.is_over() {
        let peer = &mut peers[usize::from(script.choice(2))];
        let payload = payload(&mut script, peer, &mut codec);
        if receive(peer, &mut codec, &payload, limit, forgets).is_err() {
            // The connection has failed.
            break;
        }
    }
    CODEC.set(codec);
});

thread_local! {
    /// One for all inputs, since nothing of one connection may be left in it for the next.
    static CODEC: Cell<SharedCodec> = Cell::default();
}

fn params(forgets: bool) -> DeflateParams {
    let config = DeflateConfig::new()
        .compression(Compression::dedicated())
        .server_no_context_takeover(forgets)
        .client_no_context_takeover(forgets);
    let offer = config.offer().expect("compression is on");
    let params = config.accept(&DeflateOffer::read([&offer]));
    params.expect("it was offered")
}

fn payload(script: &mut Script<'_>, peer: &mut Peer, codec: &mut SharedCodec) -> Vec<u8> {
    let kind = script.choice(5);
    if kind == 0 {
        return script.bytes().to_vec();
    }
    let message = match script.choice(2) {
        0 => script.bytes().to_vec(),
        _ => script.long(),
    };
    let mut payload = Vec::new();
    peer.sender.compress(codec, &message, &mut payload);
    match kind {
        1 => payload.truncate(usize::from(script.number())),
        2 => {
            let at = usize::from(script.number()) % payload.len();
            payload[at] ^= script.byte();
        }
        3 => payload.extend(script.bytes()),
        _ => {}
    }
    payload
}

fn receive(
    peer: &mut Peer,
    codec: &mut SharedCodec,
    payload: &[u8],
    limit: usize,
    forgets: bool,
) -> Result<(), DecompressError> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let read = peer.shared.decompress(codec, payload, limit, &mut one);
    let again = peer.dedicated.decompress(codec, payload, limit, &mut other);
    assert_eq!(read, again);
    assert!(one == other);
    assert!(one.capacity() <= limit && other.capacity() <= limit);
    assert!(peer.shared.memory() <= 32 << 10);
    if forgets {
        assert_eq!((peer.shared.memory(), peer.dedicated.memory()), (0, 0));
    }
    read?;
    check_reference(peer, payload, &one, forgets);

    let mut back = Vec::new();
    peer.back.compress(codec, &one, &mut back);
    assert!(back.len() <= max_compressed_size(one.len()));
    let mut came_back = Vec::new();
    let read = peer
        .back_read
        .decompress(codec, &back, one.len(), &mut came_back);
    assert_eq!(read, Ok(()));
    assert!(came_back == one);
    Ok(())
}

/// An ordinary stream, fed with the payload and the tail, says the same, as long as no final
/// block ends it.
fn check_reference(peer: &mut Peer, payload: &[u8], message: &[u8], forgets: bool) {
    let Some(reference) = &mut peer.reference else {
        return;
    };
    if forgets {
        reference.reset(false);
    }
    if payload.is_empty() {
        return;
    }
    let mut output = vec![0; message.len() + 1];
    let start = reference.total_out();
    let input = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
    match reference.decompress(&input, &mut output, InflateFlush::SyncFlush) {
        Ok(Status::StreamEnd) => peer.reference = None,
        Ok(_) => {
            output.truncate((reference.total_out() - start) as usize);
            assert!(output == message);
        }
        Err(error) => panic!("an ordinary inflater says {error:?}"),
    }
}
