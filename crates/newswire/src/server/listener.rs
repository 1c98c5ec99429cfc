//! Listening sockets, the accept loop, a task for each connection, here or on a worker, and the
//! shutdown. Nothing about HTTP or WebSocket is known here.

use super::limits::{Permit, Refused};
use super::registry::{Registered, Registry, Shutdown, shut_down};
use super::request::PeerAddr;
use super::workers::Workers;
use super::{Service, http, log, tasks};
use crate::transport::Stream;
use std::future::{Future, poll_fn};
use std::io;
use std::net;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

/// A socket that a [`Server`](super::Server) listens on.
#[derive(Debug)]
pub struct Listener(Listening);

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Listening::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self(Listening::Unix(listener))
    }
}

impl Listener {
    /// The address, unless it is a Unix socket.
    pub(super) fn local_addr(&self) -> io::Result<Option<net::SocketAddr>> {
        match &self.0 {
            Listening::Tcp(listener) => listener.local_addr().map(Some),
            #[cfg(unix)]
            Listening::Unix(_) => Ok(None),
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, PeerAddr)>> {
        Poll::Ready(Ok(match &self.0 {
            Listening::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                (Socket::Tcp(stream), peer.into())
            }
            #[cfg(unix)]
            Listening::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                (Socket::Unix(stream), PeerAddr::Local)
            }
        }))
    }
}

/// An accepted socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// An accepted socket that is in no runtime.
pub(super) enum Detached {
    Tcp(net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// Takes it out of this thread's runtime.
    pub(super) fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            #[cfg(unix)]
            Self::Unix(stream) => Detached::Unix(stream.into_std()?),
        })
    }
}

impl Detached {
    /// Puts it into this thread's runtime.
    pub(super) fn attach(self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            #[cfg(unix)]
            Self::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(stream) => stream.into(),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.into(),
        }
    }
}

/// How long accepting pauses when the process has no file descriptors left, or no worker has
/// room for what was accepted.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    listeners: Vec<Listener>,
    service: Service,
    workers: Option<Workers>,
    signal: impl Future<Output = ()>,
) -> Shutdown {
    let limit = service.config.connection.close_limit();
    let spread = service.shutdown_spread;
    let service = Arc::new(service);
    let own = Registry::new(&service.metrics);
    if workers.is_none() {
        // Now, so that connections leave nothing behind that was not there before.
        own.alarm();
    }
    {
        let mut signal = pin!(signal);
        let mut accepting = pin!(accept_all(&listeners, &service, &own, workers.as_ref()));
        poll_fn(|cx| {
            if signal.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            accepting.as_mut().poll(cx)
        })
        .await;
    }
    drop(listeners);
    let Some(workers) = workers else {
        return shut_down(&[own], spread, limit).await;
    };
    let shutdown = shut_down(&workers.registries(), spread, limit).await;
    workers.end().await;
    shutdown
}

async fn accept_all(
    listeners: &[Listener],
    service: &Arc<Service>,
    own: &Arc<Registry>,
    workers: Option<&Workers>,
) {
    // Who was first last time is last now, so that none of them starves.
    let mut first = 0;
    loop {
        let accepted = poll_fn(|cx| {
            for number in 0..listeners.len() {
                let number = (first + number) % listeners.len();
                if let Poll::Ready(accepted) = listeners[number].poll_accept(cx) {
                    first = number + 1;
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        });
        match accepted.await {
            Ok((socket, peer)) => {
                let Some(admitted) = service.admit(peer) else {
                    continue;
                };
                match workers {
                    Some(workers) => workers.take(socket, admitted, service).await,
                    None => spawn(socket, Accepted::new(admitted, service, own)),
                }
            }
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

/// A connection that is let in, or is to be told why it may not.
pub(super) struct Admitted {
    peer: PeerAddr,
    permit: Permit,
    refused: Option<Refused>,
}

impl Service {
    /// Asks the limits. `None`: hang up.
    fn admit(&self, peer: PeerAddr) -> Option<Admitted> {
        self.metrics.connection_accepted();
        // Whom a proxy speaks for is known later.
        let known = !self.trusted_proxies.trusts(peer.ip());
        let ip = peer.ip().filter(|_| known);
        match self.limits.let_in(ip, Instant::now()) {
            Ok((permit, refused)) => Some(Admitted {
                peer,
                permit,
                refused,
            }),
            Err(refused) => {
                self.metrics.handshake_refused(refused.limit.kind());
                None
            }
        }
    }
}

/// What a connection's task has beside its stream.
pub(super) struct Accepted {
    peer: PeerAddr,
    refused: Option<Refused>,
    service: Arc<Service>,
    registered: Registered,
}

impl Accepted {
    pub(super) fn new(
        admitted: Admitted,
        service: &Arc<Service>,
        registry: &Arc<Registry>,
    ) -> Self {
        Self {
            peer: admitted.peer,
            refused: admitted.refused,
            service: Arc::clone(service),
            registered: registry.register(admitted.permit),
        }
    }
}

/// Starts the task of a connection, on this thread's runtime.
pub(super) fn spawn(socket: Socket, accepted: Accepted) {
    let Accepted {
        peer,
        refused,
        service,
        registered,
    } = accepted;
    let place = registered.place();
    let task = tasks::spawn(async move {
        let limit = http::deadline(service.config.handshake_timeout);
        let (stream, arrival) = service.arrive(socket.into(), peer, limit).await?;
        http::open(service, stream, arrival, refused, limit, registered).await
    });
    place.set_task(task);
}
