//! What the tests share: a bound on every wait, a server to talk to, peers that put raw frames
//! on the wire, and transports that do not make it easy. No test lives here.

#[cfg(any(target_os = "linux", feature = "tracing"))]
mod alone;
mod bad_server;
#[cfg(feature = "rustls")]
pub(crate) mod certificates;
#[cfg(feature = "http")]
mod http;
mod peer;
mod server;
mod transport;

#[cfg(any(target_os = "linux", feature = "tracing"))]
pub(crate) use alone::alone;
pub(crate) use bad_server::{bad_server, silent};
#[cfg(feature = "http")]
pub(crate) use http::Http;
pub(crate) use peer::{Peer, REQUEST, answer, close_payload, frame};
pub(crate) use server::{Served, assert_echoes, echo, exchange, serve, serve_echo, start};
pub(crate) use transport::{Trickle, Watched};

use newswire::{Config, Connector, Message, WebSocket};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};

/// What any wait may take on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What `future` gives. That it takes too long fails the test, at the caller's line.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("not done within {PATIENCE:?} at {caller}"),
        }
    }
}

/// What `future` gives by the paused clock, which jumps over every wait that is not endless.
#[track_caller]
pub(crate) fn sooner_or_later<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        let days = Duration::from_secs(10 * 24 * 3600);
        match tokio::time::timeout(days, future).await {
            Ok(output) => output,
            Err(_) => panic!("it waits for ever at {caller}"),
        }
    }
}

/// Polls once; `None` when it would wait.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls `future` up to `polls` times while others run; what it gave, unless it was dropped.
pub(crate) async fn poll_at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Some(output) = poll_once(future.as_mut()).await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// A client and a server with a pipe between them that holds `room` bytes each way, through which
/// messages travel as they are.
pub(crate) async fn pair(
    room: usize,
    config: &Config,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let config = config.clone();
    #[cfg(feature = "deflate")]
    let config =
        config.deflate(newswire::DeflateConfig::new().compression(newswire::Compression::Off));
    pair_as(room, &config).await
}

/// The same, with the compression that is configured.
pub(crate) async fn pair_as(
    room: usize,
    config: &Config,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(room);
    let connector = Connector::new().config(config.clone());
    let (client, server) = within(async {
        tokio::join!(
            connector.connect_over("ws://localhost/", near),
            newswire::accept(far, config),
        )
    })
    .await;
    (client.unwrap(), server.unwrap())
}

/// The two ends of a TCP connection.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (far, _) = listener.accept().await.unwrap();
    (near.unwrap(), far)
}

/// The same, with a near end that blocks, and fails a test that waits too long for it.
#[cfg(feature = "rustls")]
pub(crate) async fn tcp_pair_std() -> (std::net::TcpStream, TcpStream) {
    let (near, far) = tcp_pair().await;
    let near = near.into_std().unwrap();
    near.set_nonblocking(false).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    near.set_write_timeout(Some(PATIENCE)).unwrap();
    (near, far)
}

/// The next message, which there must be.
#[track_caller]
pub(crate) fn message<T: newswire::Transport>(
    ws: &mut WebSocket<T>,
) -> impl Future<Output = Message> + use<'_, T> {
    let next = within(ws.recv());
    async { next.await.unwrap().expect("a message") }
}
