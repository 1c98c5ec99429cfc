//! What permessage-deflate's codec may cost: the limit of a message while it is inflated, and the
//! memory of a connection and of a thread.

use crate::data_path::live;
use crate::deflate::{
    LIMIT, TAIL, compress, decompress, ends, modes, noise, raw_deflate, reference_deflate,
    reference_inflate,
};
use newswire_proto::deflate::{Compression, DecompressError, SharedCodec};
use zlib_rs::{DeflateFlush, Inflate};

#[test]
fn a_bomb_costs_the_limit_and_no_more() {
    // What each piece says refers to nothing before it, so that any number of them is a stream.
    let zeros = vec![0; 1 << 20];
    let piece = reference_deflate(
        &mut raw_deflate(15, 9),
        &zeros,
        LIMIT,
        DeflateFlush::SyncFlush,
    );
    let bomb = [&piece[..], &TAIL].concat().repeat(64);
    assert!(bomb.len() < 70_000);
    drop(zeros);
    for mode in modes() {
        let mut codec = SharedCodec::new();
        let (_, mut client) = ends(mode, "permessage-deflate");
        let mut output = Vec::new();
        let read = client.decompress(&mut codec, &bomb, LIMIT, &mut output);
        assert_eq!(read, Err(DecompressError::TooBig { limit: LIMIT }));
        assert!(output.capacity() <= LIMIT);
        assert!(codec.memory() + client.memory() < 150 << 10);
    }
}

#[test]
fn the_limit_is_the_largest_size_that_passes() {
    for len in [1, 5, 16 << 10, (16 << 10) + 1, 100_000] {
        let mut codec = SharedCodec::new();
        let (mut server, _) = ends(Compression::shared(), "permessage-deflate");
        let payload = compress(&mut server, &mut codec, &vec![b'x'; len]);
        for (limit, passes) in [(len, true), (len - 1, false)] {
            let (_, mut client) = ends(Compression::shared(), "permessage-deflate");
            let mut output = vec![0; 10];
            let read = client.decompress(&mut codec, &payload, limit, &mut output);
            assert_eq!(read.is_ok(), passes, "{len} bytes against {limit}");
            assert!(output.len() <= 10 + limit);
        }
    }
}

#[test]
fn output_that_just_fills_the_steps_in_which_it_is_made_is_whole() {
    let mut fills = 0;
    for mode in modes() {
        let mut codec = SharedCodec::new();
        let (mut server, mut client) = ends(mode, "permessage-deflate");
        let mut reference = Inflate::new(false, 15);
        for len in (16_370..16_380).chain(32_750..32_760) {
            let message = noise(2 * len as u64, len);
            let payload = compress(&mut server, &mut codec, &message);
            // Whether the step was full is only seen by trying, which flushes once more.
            fills += usize::from(payload.ends_with(b"\x00\x00\xff\xff\x00"));
            assert!(reference_inflate(&mut reference, &payload, usize::MAX) == message);
            assert!(decompress(&mut client, &mut codec, &payload).unwrap() == message);
        }
    }
    assert!(fills > 0, "some output must be as long as a step");
}

#[test]
fn a_connection_keeps_no_more_than_its_mode_says() {
    let message = noise(1, 100_000);
    let mut codec = SharedCodec::new();
    for (mode, offer, sending, receiving) in [
        (Compression::shared(), "permessage-deflate", 2048, 32 << 10),
        (
            Compression::shared(),
            "permessage-deflate; server_max_window_bits=10",
            1024,
            1024,
        ),
        (
            Compression::shared(),
            "permessage-deflate; server_no_context_takeover",
            0,
            0,
        ),
        (
            Compression::dedicated(),
            "permessage-deflate; server_no_context_takeover",
            0,
            0,
        ),
        (
            Compression::dedicated(),
            "permessage-deflate",
            372 << 10,
            47 << 10,
        ),
    ] {
        let (mut server, mut client) = ends(mode, offer);
        assert_eq!((server.memory(), client.memory()), (0, 0));
        let payload = compress(&mut server, &mut codec, &message);
        decompress(&mut client, &mut codec, &payload).unwrap();
        assert!(server.memory() <= sending && server.memory() >= sending / 2);
        assert!(client.memory() <= receiving && client.memory() >= receiving / 2);
    }
    let (mut server, mut client) = ends(Compression::shared(), "permessage-deflate");
    let payload = compress(&mut server, &mut codec, b"some text");
    decompress(&mut client, &mut codec, &payload).unwrap();
    assert_eq!(
        (server.memory(), client.memory()),
        (9, 9),
        "it grows with what came"
    );
}

#[test]
fn the_memory_that_is_told_is_what_is_allocated() {
    let within = |told: usize, allocated: isize| {
        let difference = told as isize - allocated;
        assert!(
            (0..4 << 10).contains(&difference),
            "{told} told, {allocated} allocated"
        );
    };
    for window_bits in 9..=15 {
        for mem_level in 1..=9 {
            let mode = Compression::Dedicated {
                window_bits,
                mem_level,
                level: 6,
            };
            let mut codec = SharedCodec::new();
            let (mut server, mut client) = ends(mode, "permessage-deflate");
            let before = live();
            let mut payload = Vec::with_capacity(100);
            server.compress(&mut codec, b"Hello", &mut payload);
            within(server.memory(), live() - before - 100);
            let before = live();
            let mut message = Vec::with_capacity(100);
            client
                .decompress(&mut codec, &payload, 100, &mut message)
                .unwrap();
            within(client.memory(), live() - before - 100);
        }
    }
    let before = live();
    let mut codec = SharedCodec::new();
    let (mut server, mut client) = ends(
        Compression::shared(),
        "permessage-deflate; server_no_context_takeover",
    );
    let mut payload = Vec::with_capacity(100);
    server.compress(&mut codec, b"Hello", &mut payload);
    let mut message = Vec::with_capacity(100);
    client
        .decompress(&mut codec, &payload, 100, &mut message)
        .unwrap();
    within(codec.memory(), live() - before - 200);
}
