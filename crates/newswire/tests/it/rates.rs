//! How fast a peer may send: what is too fast is told so with 1008, and nothing of it is handed on.

use crate::support::{Peer, assert_echoes, echo, frame, message, pair, serve, within};
use newswire::proto::{Failure, OpCode, Role};
use newswire::{CloseCode, Config, RecvError};
use std::time::Duration;
use tokio::time::sleep;

fn assert_rate<T: std::fmt::Debug>(ended: Result<T, RecvError>, expected: Failure) {
    match ended {
        Err(RecvError::RateExceeded(failure)) => assert_eq!(failure, expected),
        other => panic!("expected {expected:?}, not {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn messages_up_to_the_rate_and_the_burst_arrive_and_one_more_is_told_1008() {
    let config = Config::new().max_message_rate(10, 5);
    let (mut client, mut server) = pair(100_000, &config).await;
    for n in 0..5 {
        client.send(n.to_string()).await.unwrap();
    }
    for n in 0..5 {
        assert_eq!(message(&mut server).await, n.to_string().into());
    }
    for n in 0..50 {
        sleep(Duration::from_millis(100)).await;
        client.send(n.to_string()).await.unwrap();
        assert_eq!(message(&mut server).await, n.to_string().into());
    }
    client.send("too soon").await.unwrap();
    let telling = async { tokio::join!(server.recv(), client.recv()) };
    let (ended, told) = within(telling).await;
    assert_rate(ended, Failure::MessageRate);
    assert_eq!(told.unwrap(), None);
    assert_eq!(client.close_frame().unwrap().code, CloseCode::POLICY);
    assert_eq!(server.recv().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_comes_at_once_is_handed_on_as_far_as_it_may() {
    let (mut client, mut server) = pair(100_000, &Config::new().max_message_rate(1, 3)).await;
    for n in 0..10 {
        client.feed(n.to_string()).await.unwrap();
    }
    client.flush().await.unwrap();
    for n in 0..3 {
        assert_eq!(message(&mut server).await, n.to_string().into());
    }
    let (ended, told) = within(async { tokio::join!(server.recv(), client.recv()) }).await;
    assert_rate(ended, Failure::MessageRate);
    assert_eq!(told.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn bytes_up_to_the_rate_and_the_burst_arrive_and_more_is_told_1008() {
    let config = Config::new().max_receive_rate(1000, 5000);
    let (mut client, mut server) = pair(100_000, &config).await;
    for _ in 0..4 {
        client.send(vec![1; 1200]).await.unwrap();
        assert_eq!(message(&mut server).await.len(), 1200);
    }
    for _ in 0..10 {
        sleep(Duration::from_secs(2)).await;
        client.send(vec![1; 1900]).await.unwrap();
        assert_eq!(message(&mut server).await.len(), 1900);
    }
    client.send(vec![1; 5000]).await.unwrap();
    let (ended, told) = within(async { tokio::join!(server.recv(), client.recv()) }).await;
    assert_rate(ended, Failure::ReceiveRate);
    assert_eq!(told.unwrap(), None);
    assert_eq!(client.close_frame().unwrap().code, CloseCode::POLICY);
}

#[tokio::test]
async fn a_servers_client_that_is_too_fast_is_told_1008_and_others_go_on() {
    let config = Config::new().max_message_rate(1, 100);
    let server = serve(|it| it.config(config).route("/echo", echo)).await;
    let mut fast = Peer::connect(server.addr, "/echo").await;
    fast.raw(&frame(Role::Client, OpCode::Text, b"x").repeat(200))
        .await;
    for _ in 0..100 {
        assert_eq!(fast.text().await, "x");
    }
    assert_eq!(fast.close_code().await, Some(1008));
    fast.assert_ends().await;
    assert_echoes(server.addr).await;
}

#[tokio::test]
async fn pings_count_as_messages_whatever_the_handler_waits_for() {
    let config = Config::new().max_message_rate(1, 10);
    let server = serve(|it| {
        it.config(config).route("/", async |ws| {
            std::future::pending::<()>().await;
            drop::<newswire::WebSocket>(ws);
        })
    })
    .await;
    let mut peer = Peer::connect(server.addr, "/").await;
    peer.raw(&frame(Role::Client, OpCode::Ping, b"").repeat(11))
        .await;
    assert_eq!(peer.close_code().await, Some(1008));
}
