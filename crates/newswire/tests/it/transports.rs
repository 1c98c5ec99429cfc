//! One type for whatever carries the bytes: TCP, Unix sockets, anything else in a box.

use crate::support::{Trickle, message, tcp_pair, within};
use newswire::{CloseCode, Config, Connector, Message, Stream, WebSocket};
use std::io::ErrorKind;
use tokio::io::duplex;

/// Opens a connection between these, and has messages of all sizes echoed.
pub(crate) async fn assert_talks(near: Stream, far: Stream) {
    let config = Config::new();
    let connector = Connector::new();
    let (client, server) = within(async {
        tokio::join!(
            connector.connect_over("ws://localhost/", near),
            newswire::accept(far, &config),
        )
    })
    .await;
    let (mut client, mut server): (WebSocket, WebSocket) = (client.unwrap(), server.unwrap());
    let echoing = tokio::spawn(async move {
        while let Some(message) = server.recv().await? {
            server.send(message).await?;
        }
        newswire::Result::<()>::Ok(())
    });
    for len in [0, 1, 125, 126, 4096, 70_000, 3_000_000] {
        let sent: Message = vec![len as u8; len].into();
        within(client.send(sent.clone())).await.unwrap();
        assert_eq!(message(&mut client).await, sent);
    }
    // Many in one turn, so that writes are of many pieces.
    let sender = client.sender();
    tokio::spawn(async move {
        for number in 0..200 {
            let sent = "x".repeat([10, 9000][number % 2] + number);
            sender.feed(sent).await.unwrap();
        }
        sender.flush().await.unwrap();
    });
    for number in 0..200 {
        let size = [10, 9000][number % 2];
        assert_eq!(message(&mut client).await.len(), size + number);
    }
    within(client.close(CloseCode::NORMAL, "done"))
        .await
        .unwrap();
    within(echoing).await.unwrap().unwrap();
}

#[tokio::test]
async fn tcp_carries_messages_of_all_sizes() {
    let (near, far) = tcp_pair().await;
    assert_talks(near.into(), far.into()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_carry_messages_of_all_sizes() {
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    assert_talks(near.into(), far.into()).await;
}

#[tokio::test]
async fn anything_else_in_a_box_carries_messages_of_all_sizes() {
    let (near, far) = duplex(10_000);
    assert_talks(Stream::from_io(near), Stream::from_io(far)).await;
}

#[tokio::test]
async fn a_box_that_gives_a_byte_at_a_time_is_read_to_its_end() {
    let request = crate::support::REQUEST.bytes();
    let close = crate::support::frame(
        newswire::proto::Role::Client,
        newswire::proto::OpCode::Close,
        &[],
    );
    let trickle = Stream::from_io(Trickle::new(request.chain(close)));
    let mut ws = within(newswire::accept(trickle, &Config::new()))
        .await
        .unwrap();
    assert_eq!(within(ws.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn a_tcp_stream_has_the_addresses_of_its_socket_even_when_it_came_as_any_io() {
    let (near, far) = tcp_pair().await;
    let (near_addr, far_addr) = (near.local_addr().unwrap(), far.local_addr().unwrap());
    for stream in [Stream::from(near), Stream::from_io(far)] {
        let here = stream.local_addr().unwrap();
        let there = stream.peer_addr().unwrap();
        let expected = [(near_addr, far_addr), (far_addr, near_addr)];
        assert!(expected.contains(&(here, there)), "{here} {there}");
    }
    // A stream in a stream is one.
    let (near, _far) = tcp_pair().await;
    let addr = near.local_addr().unwrap();
    let stream = Stream::from_io(Stream::from_io(near));
    assert_eq!(stream.local_addr().unwrap(), addr);
}

#[tokio::test]
async fn what_is_not_tcp_says_that_it_has_no_address() {
    let (boxed, _far) = duplex(1);
    let mut streams = vec![Stream::from_io(boxed)];
    #[cfg(unix)]
    {
        let (near, far) = tokio::net::UnixStream::pair().unwrap();
        streams.extend([near.into(), Stream::from_io(far)]);
    }
    for stream in streams {
        for address in [stream.peer_addr(), stream.local_addr()] {
            let error = address.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("no IP address"), "{error}");
        }
    }
}
