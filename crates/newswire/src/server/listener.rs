//! The accept loop: a task for each connection, and the shutdown. Nothing about HTTP or
//! WebSocket is known here.

use super::registry::{Registry, Shutdown};
use super::{Service, http, log};
use crate::transport::Stream;
use crate::websocket::driver::Driver;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting pauses when the process has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    listener: TcpListener,
    service: Service,
    signal: impl Future<Output = ()>,
) -> Shutdown {
    let limit = service.config.connection.close_limit();
    let service = Arc::new(service);
    let registry = Arc::new(Registry::default());
    {
        let mut signal = pin!(signal);
        let mut accepting = pin!(accept_all(&listener, &service, &registry));
        std::future::poll_fn(|cx| {
            if signal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            accepting.as_mut().poll(cx)
        })
        .await;
    }
    drop(listener);
    registry.shut_down(limit).await
}

async fn accept_all(listener: &TcpListener, service: &Arc<Service>, registry: &Arc<Registry>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => spawn(stream, peer, service, registry),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                log::accept_failed(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether only the connection that was to be accepted failed, so that the next may work.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// A connection in its opening handshake.
type Opening<'a> = Pin<Box<dyn Future<Output = Option<Driver<Stream>>> + Send + 'a>>;

fn spawn(stream: TcpStream, peer: SocketAddr, service: &Arc<Service>, registry: &Arc<Registry>) {
    let service = Arc::clone(service);
    let registered = registry.register();
    let key = registered.key();
    let task = tokio::spawn(async move {
        // Boxed, so that the long-lived part of the task does not keep room for it, and without
        // its type, so that its code is not mixed into what runs for every message.
        let opening: Opening<'_> = Box::pin(http::open(&service, stream, peer, &registered));
        if let Some(driver) = opening.await {
            let ended = driver.await;
            log::ended(peer, &ended);
        }
        drop(registered);
    });
    registry.set_task(key, task.abort_handle());
}
