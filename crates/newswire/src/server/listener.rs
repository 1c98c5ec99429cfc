//! The accept loop: a task for each connection, here or on a worker, and the shutdown. Nothing
//! about HTTP or WebSocket is known here.

use super::handler::{Opened, Stage};
use super::registry::{Registered, Registry, Shutdown, shut_down};
use super::workers::Workers;
use super::{Service, http, log};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting pauses when the process has no file descriptors left, or no worker has
/// room for what was accepted.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    listener: TcpListener,
    service: Service,
    workers: Option<Workers>,
    signal: impl Future<Output = ()>,
) -> Shutdown {
    let limit = service.config.connection.close_limit();
    let service = Arc::new(service);
    let own = Arc::new(Registry::default());
    {
        let mut signal = pin!(signal);
        let mut accepting = pin!(accept_all(&listener, &service, &own, workers.as_ref()));
        std::future::poll_fn(|cx| {
            if signal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            accepting.as_mut().poll(cx)
        })
        .await;
    }
    drop(listener);
    let Some(workers) = workers else {
        return shut_down(&[own], limit).await;
    };
    let shutdown = shut_down(&workers.registries(), limit).await;
    workers.end().await;
    shutdown
}

async fn accept_all(
    listener: &TcpListener,
    service: &Arc<Service>,
    own: &Arc<Registry>,
    workers: Option<&Workers>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match workers {
                Some(workers) => workers.take(stream, peer, service).await,
                None => spawn(stream, Accepted::new(peer, service, own)),
            },
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

/// What a connection's task has beside its stream.
pub(super) struct Accepted {
    peer: SocketAddr,
    service: Arc<Service>,
    registered: Registered,
}

impl Accepted {
    pub(super) fn new(peer: SocketAddr, service: &Arc<Service>, registry: &Arc<Registry>) -> Self {
        Self {
            peer,
            service: Arc::clone(service),
            registered: registry.register(),
        }
    }
}

/// The task of a connection: one stage after the other, each in a box of its own size, so that the
/// long one keeps no room for the short one.
struct Connection(Stage);

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(next) = ready!(self.0.poll(cx)) {
            self.0 = next;
        }
        Poll::Ready(())
    }
}

/// Starts the task of a connection, on this thread's runtime.
pub(super) fn spawn(stream: TcpStream, accepted: Accepted) {
    let Accepted {
        peer,
        service,
        registered,
    } = accepted;
    let place = registered.place();
    let opening = Stage::new(async move {
        let (handler, ws) = http::open(&service, stream, peer, &registered).await?;
        registered.opened(&ws.shared());
        Some(handler.start(Opened {
            ws,
            peer: peer.into(),
        }))
    });
    let task = tokio::spawn(Connection(opening));
    place.set_task(task.abort_handle());
}
