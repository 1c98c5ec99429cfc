//! The output: what is copied, what is referenced, and any way of writing it.

use crate::support::{connection, parse, written};
use bytes::{Buf, Bytes};
use newswire_proto::{Config, Message, OpCode, Role, Transmit};
use std::io::IoSlice;

fn messages() -> Vec<Message> {
    vec![
        "small".into(),
        vec![1; 20_000].into(),
        "between".into(),
        vec![2; 9_000].into(),
        vec![3; 70_000].into(),
        "".into(),
        "last".into(),
    ]
}

fn expected() -> Vec<Vec<u8>> {
    messages().iter().map(|m| m.as_bytes().to_vec()).collect()
}

#[test]
fn any_way_of_writing_gives_the_same_frames() {
    for role in [Role::Client, Role::Server] {
        for step in [1, 3, 1000, 8192, 65_537, usize::MAX] {
            let mut end = connection(role, Config::new());
            for message in messages() {
                end.send(message).unwrap();
            }
            let mut wire = Vec::new();
            while let Some(output) = end.poll_transmit() {
                // As a vectored write that takes only `step` bytes.
                let mut slices = [IoSlice::new(&[]); 4];
                let count = output.chunks_vectored(&mut slices);
                assert!(count > 0);
                let mut taken = 0;
                for slice in &slices[..count] {
                    let len = slice.len().min(step - taken);
                    wire.extend_from_slice(&slice[..len]);
                    taken += len;
                }
                output.advance(taken);
            }
            let frames = parse(&wire);
            let payloads: Vec<_> = frames.into_iter().map(|f| f.2).collect();
            assert_eq!(payloads, expected());
            assert_eq!(end.buffered_amount(), 0);
        }
    }
}

#[test]
fn a_large_payload_is_handed_out_where_it_lies() {
    let mut server = connection(Role::Server, Config::new());
    let payload = Bytes::from(vec![5; 100_000]);
    server.send(payload.clone().into()).unwrap();
    let output = server.poll_transmit().unwrap();
    let mut slices = [IoSlice::new(&[]); 4];
    assert_eq!(output.chunks_vectored(&mut slices), 2);
    assert_eq!(slices[1].as_ptr(), payload.as_ptr());
}

#[test]
fn a_client_masks_a_payload_that_nobody_shares_where_it_lies_and_copies_a_shared_one() {
    let mut client = connection(Role::Client, Config::new());
    let alone = Bytes::from(vec![5; 100_000]);
    let place = alone.as_ptr();
    client.send(alone.into()).unwrap();
    let mut slices = [IoSlice::new(&[]); 4];
    let output = client.poll_transmit().unwrap();
    output.chunks_vectored(&mut slices);
    assert_eq!(slices[1].as_ptr(), place);
    written(&mut client);

    let shared = Bytes::from(vec![5; 100_000]);
    client.send(shared.clone().into()).unwrap();
    assert_eq!(parse(&written(&mut client))[0].2, shared);
    assert_eq!(shared, vec![5; 100_000]);
}

#[test]
fn the_queue_of_a_slow_reader_does_not_grow_by_what_was_read() {
    let mut server = connection(Role::Server, Config::new());
    let mut sent = 0;
    let mut wire = Vec::new();
    for _ in 0..20_000 {
        // Never drained: always a little more is sent than is read.
        server.send(vec![9; 100].into()).unwrap();
        sent += 1;
        if server.buffered_amount() > 2000 {
            let output = server.poll_transmit().unwrap();
            wire.extend_from_slice(&output.copy_to_bytes(101));
        }
    }
    wire.extend(written(&mut server));
    assert_eq!(parse(&wire).len(), sent);
    let capacity = server.take_transmit().unwrap().capacity();
    assert!(capacity < 1 << 20, "{capacity}");
}

#[test]
fn a_lent_output_is_given_back_only_when_all_is_written() {
    let mut server = connection(Role::Server, Config::new());
    assert!(server.lend_transmit(Box::default()).is_none());
    assert!(server.lend_transmit(Box::default()).is_some());
    server.send("x".into()).unwrap();
    assert!(server.take_transmit().is_none());
    let frames = parse(&written(&mut server));
    assert_eq!(frames, [(OpCode::Text, true, b"x".to_vec())]);
    assert!(
        server
            .take_transmit()
            .is_some_and(|output| output.capacity() > 0)
    );
    assert!(server.lacks_transmit());
}

#[test]
fn an_output_that_holds_something_is_not_lent() {
    let mut first = connection(Role::Server, Config::new());
    let mut second = connection(Role::Server, Config::new());
    first.send("x".into()).unwrap();
    let mut output: Box<Transmit> = Box::default();
    std::mem::swap(first.poll_transmit().unwrap(), &mut *output);
    assert!(second.lend_transmit(output).is_some());
    assert_eq!(second.buffered_amount(), 0);
}
