//! permessage-deflate's codec (RFC 7692 §7.2) against ordinary streams of zlib-rs, against a
//! plain reader of DEFLATE, and against peers that mean harm.

use crate::support::inflate;
use newswire_proto::Role;
use newswire_proto::deflate::{
    Compression, Compressor, DecompressError, Decompressor, DeflateConfig, DeflateOffer,
    DeflateParams, SharedCodec, max_compressed_size,
};
use proptest::prelude::*;
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

pub const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
pub const LIMIT: usize = 1 << 20;

/// What an offer comes to at a server that wants nothing but `Dedicated`, so that it adds
/// no conditions of its own.
fn params(offer: &str) -> DeflateParams {
    let config = DeflateConfig::new().compression(Compression::dedicated());
    let offers = DeflateOffer::read([&offer.parse().unwrap()]);
    config.accept(&offers).unwrap()
}

pub fn modes() -> [Compression; 3] {
    [
        Compression::shared(),
        Compression::dedicated(),
        Compression::Dedicated {
            window_bits: 10,
            mem_level: 1,
            level: 1,
        },
    ]
}

/// A server's compressor and a client's decompressor with these parameters.
pub fn ends(mode: Compression, offer: &str) -> (Compressor, Decompressor) {
    let config = DeflateConfig::new().compression(mode);
    let params = params(offer);
    (
        Compressor::new(&config, params, Role::Server),
        Decompressor::new(&config, params, Role::Client),
    )
}

pub fn compress(compressor: &mut Compressor, codec: &mut SharedCodec, message: &[u8]) -> Vec<u8> {
    let mut output = b"before".to_vec();
    compressor.compress(codec, message, &mut output);
    assert!(output.starts_with(b"before"));
    output.split_off(6)
}

pub fn decompress(
    decompressor: &mut Decompressor,
    codec: &mut SharedCodec,
    payload: &[u8],
) -> Result<Vec<u8>, DecompressError> {
    let mut output = b"before".to_vec();
    decompressor.decompress(codec, payload, LIMIT, &mut output)?;
    assert!(output.starts_with(b"before"));
    Ok(output.split_off(6))
}

/// An ordinary peer's inflater, which gets its input in pieces.
pub fn reference_inflate(stream: &mut Inflate, payload: &[u8], cut: usize) -> Vec<u8> {
    let mut message = vec![0; LIMIT];
    let start = stream.total_out();
    for piece in [payload, &TAIL].concat().chunks(cut) {
        let (at, taken) = ((stream.total_out() - start) as usize, stream.total_in());
        stream
            .decompress(piece, &mut message[at..], InflateFlush::NoFlush)
            .unwrap();
        assert_eq!((stream.total_in() - taken) as usize, piece.len());
    }
    message.truncate((stream.total_out() - start) as usize);
    message
}

/// An ordinary peer's compressor, which flushes now and then.
pub fn reference_deflate(
    stream: &mut Deflate,
    message: &[u8],
    cut: usize,
    flush: DeflateFlush,
) -> Vec<u8> {
    let mut payload = vec![0; 2 * message.len() + 1000 + 10 * message.len() / cut];
    let start = stream.total_out();
    let pieces = message.chunks(cut).map(|piece| (piece, flush));
    for (piece, flush) in pieces.chain([(&b""[..], DeflateFlush::SyncFlush)]) {
        let at = (stream.total_out() - start) as usize;
        stream.compress(piece, &mut payload[at..], flush).unwrap();
    }
    payload.truncate((stream.total_out() - start) as usize);
    if !payload.is_empty() {
        assert!(payload.ends_with(&TAIL));
        payload.truncate(payload.len() - TAIL.len());
    }
    payload
}

pub fn raw_deflate(window_bits: u8, level: i32) -> Deflate {
    Deflate::new_with_config(zlib_rs::DeflateConfig {
        level,
        window_bits: -i32::from(window_bits),
        ..Default::default()
    })
}

/// Text that repeats itself near and far, incompressible bytes, nothing, and long messages.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(0_usize..300, 0..2000);
    prop_oneof![
        4 => words.prop_map(|words| {
            let words = words.iter().map(|word| format!("{{\"id\":{word}}},"));
            words.collect::<String>().into_bytes()
        }),
        2 => "\\{\"user\":\"[a-d]{1,5}\",\"price\":[0-9]{1,4}\\}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..3000),
        1 => Just(Vec::new()),
        1 => (any::<u8>(), 0_usize..100_000).prop_map(|(byte, len)| vec![byte; len]),
        1 => (any::<u64>(), 30_000_usize..70_000).prop_map(|(seed, len)| noise(seed, len)),
    ]
}

/// Bytes that do not compress.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn any_mode() -> impl Strategy<Value = Compression> {
    prop_oneof![
        (0_usize..5000, 0_u8..11)
            .prop_map(|(history, level)| Compression::Shared { history, level }),
        (7_u8..17, 0_u8..11, 0_u8..11).prop_map(|(window_bits, mem_level, level)| {
            Compression::Dedicated {
                window_bits,
                mem_level,
                level,
            }
        }),
    ]
}

/// A server's parameters: takeover or not, and the window.
fn any_offer() -> impl Strategy<Value = (String, bool, u8)> {
    (any::<bool>(), 8_u8..16).prop_map(|(forgets, bits)| {
        let forgetting = if forgets {
            "server_no_context_takeover; "
        } else {
            ""
        };
        let offer = format!("permessage-deflate; {forgetting}server_max_window_bits={bits}");
        (offer, forgets, bits)
    })
}

#[derive(Clone, Debug)]
enum Way {
    Compressed,
    /// Compressed once for many, and noted.
    Relayed,
    /// Not compressed, and so no part of any history.
    Plain,
}

fn any_way() -> impl Strategy<Value = Way> {
    prop_oneof![3 => Just(Way::Compressed), 1 => Just(Way::Relayed), 1 => Just(Way::Plain)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_compressed_here_is_read_by_any_inflater_and_keeps_within_the_window(
        mode in any_mode(),
        (offer, forgets, bits) in any_offer(),
        messages in prop::collection::vec(
            (any_message(), any_way(), any::<bool>(), prop::bool::weighted(0.2)),
            1..8,
        ),
        cut in 1_usize..3000,
    ) {
        // Two connections take turns with one codec, and sometimes are on another thread.
        let mut codecs = [(); 2].map(|()| SharedCodec::new());
        let mut connections = [(); 2].map(|()| {
            let (compressor, decompressor) = ends(mode, &offer);
            (compressor, decompressor, Inflate::new(false, 15), Vec::new())
        });
        for (message, way, second, elsewhere) in messages {
            let codec = &mut codecs[usize::from(elsewhere)];
            let (compressor, decompressor, reference, window) =
                &mut connections[usize::from(second)];
            let payload = match way {
                Way::Plain => continue,
                Way::Compressed => compress(compressor, codec, &message),
                Way::Relayed => {
                    let mut payload = Vec::new();
                    compressor.form().compress(codec, &message, &mut payload);
                    compressor.note_sent(&message);
                    payload
                }
            };
            if forgets {
                reference.reset(false);
                window.clear();
            }
            prop_assert!(reference_inflate(reference, &payload, cut) == message);
            let before = window.len();
            let longest = inflate(&[&payload[..], &TAIL].concat(), window);
            prop_assert!(window[before..] == message);
            prop_assert!(longest <= 1 << bits, "{} back with a window of {} bits", longest, bits);
            let read = decompress(decompressor, codec, &payload);
            prop_assert!(read.as_ref() == Ok(&message), "{:?}", read.err());
            prop_assert!(payload.len() <= max_compressed_size(message.len()));
        }
    }

    #[test]
    fn what_an_ordinary_peer_compresses_is_read_here(
        mode in any_mode(),
        (offer, forgets, bits) in any_offer(),
        level in 0..10,
        messages in prop::collection::vec((any_message(), any::<bool>()), 1..8),
        cut in 1_usize..3000,
        flush in 0_usize..5,
    ) {
        let flush = [
            DeflateFlush::NoFlush, DeflateFlush::PartialFlush, DeflateFlush::SyncFlush,
            DeflateFlush::FullFlush, DeflateFlush::Block,
        ][flush];
        let mut codec = SharedCodec::new();
        // zlib makes 9 of 8, and keeps within 8.
        let mut connections = [(); 2].map(|()| (raw_deflate(bits.max(9), level), ends(mode, &offer).1));
        for (message, second) in messages {
            let (peer, decompressor) = &mut connections[usize::from(second)];
            if forgets {
                peer.reset();
            }
            let payload = reference_deflate(peer, &message, cut, flush);
            let read = decompress(decompressor, &mut codec, &payload);
            prop_assert!(read.as_ref() == Ok(&message), "{:?}", read.err());
        }
    }

    #[test]
    fn no_payload_panics_or_outgrows_the_limit(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
        mode in any_mode(),
        limit in 0_usize..2000,
    ) {
        let mut codec = SharedCodec::new();
        let (_, mut decompressor) = ends(mode, "permessage-deflate");
        for payload in payloads {
            let mut output = Vec::new();
            let read = decompressor.decompress(&mut codec, &payload, limit, &mut output);
            prop_assert!(output.capacity() <= limit);
            if read.is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_shared_compressor_still_knows_a_connection_that_comes_again_before_any_other() {
    let mode = Compression::Shared {
        history: 64,
        level: 6,
    };
    // Too far back to be in the history, and nothing in it that comes twice.
    let message = noise(1, 1000);
    let mut codec = SharedCodec::new();
    let mut elsewhere = SharedCodec::new();
    let (mut one, _) = ends(mode, "permessage-deflate");
    let (mut other, _) = ends(mode, "permessage-deflate");
    let size = |compressor: &mut Compressor, codec: &mut SharedCodec| {
        compress(compressor, codec, &message).len()
    };
    assert!(size(&mut one, &mut codec) > 500);
    assert!(size(&mut one, &mut codec) < 50);
    // Another connection has been there, this one has been elsewhere, or has sent what nobody
    // compressed for it alone: then all that is left is the history.
    assert!(size(&mut other, &mut codec) > 500);
    assert!(size(&mut one, &mut codec) > 500);
    assert!(size(&mut one, &mut elsewhere) > 500);
    assert!(size(&mut one, &mut codec) > 500);
    one.note_sent(b"relayed");
    assert!(size(&mut one, &mut codec) > 500);
    assert!(size(&mut one, &mut codec) < 50);
}

#[test]
fn the_examples_of_the_rfc_are_read_and_written_byte_by_byte() {
    let first = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let second = b"\xf2\x00\x11\x00\x00";
    for mode in [Compression::shared(), Compression::dedicated()] {
        let mut codec = SharedCodec::new();
        // §7.2.3.1 and §7.2.3.2, with the window shared and without.
        let (mut server, mut client) = ends(mode, "permessage-deflate");
        assert_eq!(compress(&mut server, &mut codec, b"Hello"), first);
        assert_eq!(compress(&mut server, &mut codec, b"Hello"), second);
        assert_eq!(
            decompress(&mut client, &mut codec, first).unwrap(),
            b"Hello"
        );
        assert_eq!(
            decompress(&mut client, &mut codec, second).unwrap(),
            b"Hello"
        );
        let (mut server, _) = ends(mode, "permessage-deflate; server_no_context_takeover");
        assert_eq!(compress(&mut server, &mut codec, b"Hello"), first);
        assert_eq!(compress(&mut server, &mut codec, b"Hello"), first);
        // §7.2.3.3 to §7.2.3.5: no compression, BFINAL, two blocks.
        for payload in [
            &b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"[..],
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ] {
            let (_, mut client) = ends(mode, "permessage-deflate");
            for _ in 0..2 {
                assert_eq!(
                    decompress(&mut client, &mut codec, payload).unwrap(),
                    b"Hello"
                );
            }
        }
    }
}

#[test]
fn an_empty_message_is_one_byte_and_none_is_taken_for_one_too() {
    for mode in modes() {
        let mut codec = SharedCodec::new();
        let (mut server, mut client) = ends(mode, "permessage-deflate");
        for message in [&b""[..], b"", b"text", b"", b"text", b""] {
            let payload = compress(&mut server, &mut codec, message);
            assert_eq!(
                decompress(&mut client, &mut codec, &payload).unwrap(),
                message
            );
            if message.is_empty() {
                assert_eq!(payload, [0x00]);
                for empty in [&b""[..], b"\x02\x00", b"\x03\x00\x00", b"\x03\x00"] {
                    let mut client = ends(mode, "permessage-deflate").1;
                    assert_eq!(decompress(&mut client, &mut codec, empty).unwrap(), b"");
                    let next = decompress(&mut client, &mut codec, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
                    assert_eq!(next.unwrap(), b"Hello", "{empty:x?}");
                }
            }
        }
    }
}

#[test]
fn a_final_block_ends_the_stream_and_another_begins() {
    let last = b"\xf3\x48\xcd\xc9\xc9\x07\x00";
    let more = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for mode in modes() {
        let mut codec = SharedCodec::new();
        let (_, mut client) = ends(mode, "permessage-deflate");
        // With the empty block behind it, without, before another stream, and before a back
        // reference into that one.
        for (payload, message) in [
            ([&last[..], b"\x00"].concat(), "Hello"),
            (last.to_vec(), "Hello"),
            ([last, &more[..]].concat(), "HelloHello"),
            (b"\xf2\x00\x11\x00\x00".to_vec(), "Hello"),
            ([&last[..], last, last, b"\x00"].concat(), "HelloHelloHello"),
            // The block that the tail completes is final.
            (more.to_vec(), "Hello"),
            (b"\x01".to_vec(), ""),
        ] {
            let read = decompress(&mut client, &mut codec, &payload).unwrap();
            assert_eq!(read, message.as_bytes(), "{payload:x?}");
        }
        // What was before the end cannot be referred to.
        let read = decompress(&mut client, &mut codec, b"\xf2\x00\x11\x00\x00");
        assert!(matches!(read, Err(DecompressError::Corrupt(_))), "{read:?}");
    }
}

#[test]
fn a_stream_that_is_cut_or_broken_is_corrupt() {
    let text = "one and two and three and four ".repeat(20);
    let messages = [text.as_bytes(), &noise(7, 3000), b"Hello"];
    for mode in modes() {
        let mut codec = SharedCodec::new();
        for message in messages {
            let whole = compress(&mut ends(mode, "permessage-deflate").0, &mut codec, message);
            for len in 1..whole.len() {
                if whole[..len] == [0x00] {
                    // The first byte of a stored block is an empty message.
                    continue;
                }
                let (_, mut client) = ends(mode, "permessage-deflate");
                let read = decompress(&mut client, &mut codec, &whole[..len]);
                assert!(
                    matches!(read, Err(DecompressError::Corrupt(_))),
                    "{len}: {read:?}"
                );
            }
        }
        for (payload, why) in [
            (&b"\x06"[..], "invalid block type"),
            (
                b"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00",
                "invalid stored block lengths",
            ),
            (b"\xf2\x00\x11\x00\x00", "invalid distance too far back"),
            (
                b"\xf2\x48\xcd\xc9\xc9\x07",
                "the message ends inside a block",
            ),
        ] {
            let (_, mut client) = ends(mode, "permessage-deflate");
            let read = decompress(&mut client, &mut codec, payload);
            assert_eq!(read, Err(DecompressError::Corrupt(why)));
        }
    }
}

#[test]
fn a_message_that_ends_inside_an_octet_is_corrupt() {
    // A block's codes, which the tail completes, and with it the block: in the middle of the last
    // octet, where the next message cannot begin.
    let payload = b"\x64\xdd\xa1\x00\x00\x00\x00\x00\xa0\x86\xbf\x73";
    for mode in modes() {
        let mut codec = SharedCodec::new();
        let (_, mut client) = ends(mode, "permessage-deflate");
        let read = decompress(&mut client, &mut codec, payload);
        assert!(matches!(read, Err(DecompressError::Corrupt(_))), "{read:?}");
    }
}

#[test]
fn no_connection_can_look_into_what_another_received() {
    let mut codec = SharedCodec::new();
    let (_, mut victim) = ends(Compression::shared(), "permessage-deflate");
    let secret = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let reference = b"\xf2\x00\x11\x00\x00";
    decompress(&mut victim, &mut codec, secret).unwrap();
    for offer in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
    ] {
        let (_, mut attacker) = ends(Compression::shared(), offer);
        let read = decompress(&mut attacker, &mut codec, reference);
        assert_eq!(
            read,
            Err(DecompressError::Corrupt("invalid distance too far back"))
        );
    }
    assert_eq!(
        decompress(&mut victim, &mut codec, reference).unwrap(),
        b"Hello"
    );
}

#[test]
fn what_is_written_for_a_window_of_8_bits_stays_within_256_bytes() {
    // Far repetitions only: each line comes again after some 300 bytes.
    let lines: String = (0..1000)
        .map(|i| format!("<{:x}>", (i % 60) * 7919))
        .collect();
    let longest = |bits: u8, level: u8, history: usize| {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let mode = Compression::Shared { history, level };
        let (mut server, _) = ends(mode, &offer);
        let mut codec = SharedCodec::new();
        let mut window = Vec::new();
        (0..2)
            .map(|_| {
                let payload = compress(&mut server, &mut codec, lines.as_bytes());
                inflate(&[&payload[..], &TAIL].concat(), &mut window)
            })
            .max()
    };
    for level in 1..=9 {
        for history in [100, 256, 4096] {
            assert!(longest(8, level, history) <= Some(256));
        }
        // The test can tell: with more it looks back further.
        assert!(longest(10, level, 4096) > Some(256), "level {level}");
    }
}

#[test]
fn connections_with_different_levels_and_windows_share_a_codec() {
    let text = "compress me better, level by level, and then compress me again. ".repeat(300);
    let text = text + &String::from_utf8_lossy(&noise(3, 500)) + "compress me at the end";
    let mut codec = SharedCodec::new();
    let mut sizes = Vec::new();
    for round in 0..2 {
        for level in [1, 9, 3] {
            for bits in [15, 9] {
                let mode = Compression::Shared {
                    history: 1024,
                    level,
                };
                let offer = format!("permessage-deflate; server_max_window_bits={bits}");
                let (mut server, _) = ends(mode, &offer);
                let payload = compress(&mut server, &mut codec, text.as_bytes());
                let fresh = compress(
                    &mut ends(mode, &offer).0,
                    &mut SharedCodec::new(),
                    text.as_bytes(),
                );
                assert!(
                    payload == fresh,
                    "level {level}, {bits} bits, round {round}"
                );
                sizes.push(payload.len());
            }
        }
    }
    assert!(sizes[2] < sizes[0], "level 9 is smaller than level 1");
}

#[test]
fn messages_compressed_once_for_many_are_part_of_what_later_ones_refer_to() {
    let first = "the first message is for this connection alone";
    let relayed = "and this was compressed for all of them: ".repeat(3);
    for mode in modes() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover",
        ] {
            let mut codec = SharedCodec::new();
            let (mut server, mut client) = ends(mode, offer);
            let mut payload = Vec::new();
            server
                .form()
                .compress(&mut codec, relayed.as_bytes(), &mut payload);
            let alone = payload.len();
            for (message, relay) in [
                (first, false),
                (&relayed, true),
                (first, false),
                (&relayed, false),
                (&relayed, true),
            ] {
                let payload = if relay {
                    server.note_sent(message.as_bytes());
                    payload.clone()
                } else {
                    compress(&mut server, &mut codec, message.as_bytes())
                };
                let read = decompress(&mut client, &mut codec, &payload).unwrap();
                assert_eq!(String::from_utf8(read).unwrap(), message);
                if message == relayed && !relay {
                    let refers = payload.len() < alone / 2;
                    assert_eq!(refers, offer == "permessage-deflate", "{mode:?}");
                }
            }
        }
    }
}

#[test]
fn small_messages_are_not_worth_it() {
    let config = DeflateConfig::new().min_size(100);
    let server = Compressor::new(&config, params("permessage-deflate"), Role::Server);
    assert!(!server.wants(99));
    assert!(server.wants(100));
}
