//! From an accepted transport to an open connection or an HTTP answer. What is not for a
//! WebSocket goes to hyper, request by request; what the rules of a route say is in `judge.rs`.

#[cfg(feature = "http")]
mod chunks;
#[cfg(feature = "http")]
mod fallback;
#[cfg(feature = "http")]
mod keep_alive;

#[cfg(feature = "http")]
pub(super) use fallback::Fallback;

use super::Service;
use super::handler::{Opened, Stage};
#[cfg(feature = "http")]
use super::handover::Handover;
use super::handshake::Undecided;
use super::judge::{Verdict, accepted, judge, verdict};
use super::limits::Refused;
use super::log::{self, Peer, Span};
use super::registry::Registered;
use super::request::Arrival;
use crate::config::Config;
use crate::error::AcceptError;
use crate::transport::{Stream, Transport, io};
use crate::websocket::WebSocket;
use bytes::BytesMut;
use http::Request;
use newswire_proto::Connection;
#[cfg(feature = "http")]
use newswire_proto::handshake::is_upgrade;
use newswire_proto::handshake::{Accepted, Head, HeadReader, Negotiated, Rejection, Upgrade};
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

/// How long, and for how many bytes, a refused peer may go on sending before it is cut. Were
/// it cut at once, it might be reset before it has read the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// How much is read at once while a head is waited for. What came behind the head is kept until the
/// request is answered, and so is not to be much.
const READ_AT_ONCE: usize = 4096;

/// Opens a WebSocket on a transport whose client has not spoken yet, whatever path it asks
/// for, without a subprotocol. For servers that do their own accepting.
///
/// # Errors
/// [`AcceptError::Rejected`] when the request was wrong; the client has been answered.
///
/// # Cancel safety
/// Dropping the future drops the transport.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// use newswire::Config;
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9998").await?;
/// let (stream, _) = listener.accept().await?;
/// let mut ws = newswire::accept(stream, &Config::new()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn accept<T: Transport>(
    mut transport: T,
    config: &Config,
) -> Result<WebSocket<T>, AcceptError> {
    let limit = deadline(config.handshake_timeout);
    let opening = async {
        let (head, bytes) = read_request(&mut transport, config, limit).await?;
        let rest = behind(&head, bytes);
        let upgrade = Upgrade::from_head(&head).map_err(AcceptError::Rejected)?;
        let accepted = accepted(&upgrade, None, config).map_err(AcceptError::Rejected)?;
        send(&mut transport, &accepted.to_bytes(), limit).await?;
        Ok((rest, accepted.into_negotiated()))
    };
    match opening.await {
        Ok((rest, negotiated)) => Ok(websocket(transport, rest, &negotiated, config)),
        Err(error) => {
            if let AcceptError::Rejected(rejection) = &error {
                refuse(&mut transport, rejection).await;
            }
            Err(error)
        }
    }
}

/// When `timeout` is over, or long after anybody could wait.
pub(super) fn deadline(timeout: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + LONG)
}

/// A request that has been read, and what came behind its head.
pub(super) struct Received {
    pub(super) stream: Stream,
    pub(super) head: Head<Request<()>>,
    /// From the head's first byte on, perhaps in the thread's buffer.
    pub(super) bytes: BytesMut,
}

/// A request for a WebSocket, and who asks.
pub(super) struct Asked {
    pub(super) request: Request<()>,
    pub(super) arrival: Arrival,
    /// The client has reached a limit.
    pub(super) refused: Option<Refused>,
    /// By when it is answered.
    pub(super) limit: Instant,
    pub(super) registered: Registered,
}

/// Serves an accepted connection up to its end or to where its handler takes over. Its first
/// request has until `limit`.
pub(super) async fn open(
    service: Arc<Service>,
    mut stream: Stream,
    arrival: Arrival,
    refused: Option<Refused>,
    limit: Instant,
    registered: Registered,
) -> Option<Stage> {
    let received = match read_request(&mut stream, &service.config, limit).await {
        Ok((head, bytes)) => Received {
            stream,
            head,
            bytes,
        },
        Err(AcceptError::Rejected(rejection)) => {
            service.refused(&arrival.client.into(), None, &rejection);
            return Some(refusing(stream, rejection, registered));
        }
        Err(error) => {
            service.gave_up(&arrival.client.into(), &error);
            return None;
        }
    };
    #[cfg(feature = "http")]
    let (received, limit) = match &service.fallback {
        Some(fallback)
            if refused.is_none()
                && !registered.is_closing()
                && !service.is_for_websocket(&received.head.message) =>
        {
            // In a box: few come this way, and it is long.
            let serving = keep_alive::serve(&service, fallback, received, &arrival, &registered);
            let received = Box::pin(serving).await?;
            (received, deadline(service.config.handshake_timeout))
        }
        _ => (received, limit),
    };
    let judged = judged(service, received, arrival, refused, limit, registered);
    Some(Stage::new(judged))
}

/// Goes on with what is taken for a request for a WebSocket.
fn judged(
    service: Arc<Service>,
    received: Received,
    mut arrival: Arrival,
    refused: Option<Refused>,
    limit: Instant,
    registered: Registered,
) -> impl Future<Output = Option<Stage>> {
    let Received {
        stream,
        head,
        bytes,
    } = received;
    let rest = behind(&head, bytes);
    service.look_through_proxies(&mut arrival, head.message.headers());
    let refused = match refused {
        None => service.charge(&arrival, &registered).err(),
        refused => refused,
    };
    let opening = Opening::Own { stream, rest };
    let asked = Asked {
        request: head.message,
        arrival,
        refused,
        limit,
        registered,
    };
    answer(service, opening, asked)
}

/// Answers a request for a WebSocket: its route's rules, and then its handler. All of it, and the
/// connection from then on, is in a span.
pub(super) fn answer(
    service: Arc<Service>,
    opening: Opening,
    asked: Asked,
) -> impl Future<Output = Option<Stage>> {
    // Taken apart here, as the future would keep room for the whole and the parts.
    let Asked {
        request,
        arrival,
        refused,
        limit,
        registered,
    } = asked;
    let peer = arrival.client;
    let span = Span::new(peer, request.uri().path());
    span.around(async move {
        let path: Box<str> = request.uri().path().into();
        let method = request.method().clone();
        let judged = if registered.is_closing() {
            Err(Rejection::service_unavailable("the server shuts down").of_kind("shutdown"))
        } else if let Some(refused) = refused {
            Err(refused.into())
        } else {
            judge(&service, request, arrival)
        };
        let (accepted, config, start) = match verdict(&service, judged, limit).await {
            Ok(Verdict::Accept(accepted, config, start)) => (accepted, config, start),
            Ok(Verdict::Decide(upgrade, found, decide)) => {
                let rules = found.route.rules();
                return Some(decide(Undecided {
                    opening,
                    upgrade,
                    subprotocols: rules.subprotocols.clone(),
                    config: rules.config.as_ref().unwrap_or(&service.config).clone(),
                    limit,
                    registered,
                }));
            }
            Err(rejection) => {
                let rejection = rejection.for_method(&method);
                service.refused(&peer.into(), Some(&path), &rejection);
                return opening.refusing(rejection, registered);
            }
        };
        match opening.accept(accepted, config, limit).await {
            Ok(ws) => {
                registered.opened(&ws.shared());
                let peer = peer.into();
                Some(start(Opened { ws, peer }))
            }
            Err(error) => {
                service.gave_up(&peer.into(), &error);
                None
            }
        }
    })
}

impl Service {
    /// Whether a request is a WebSocket's: by what it asks for, or by where it goes.
    #[cfg(feature = "http")]
    fn is_for_websocket(&self, request: &Request<()>) -> bool {
        is_upgrade(request) || self.paths.find(request.uri().path()).is_ok()
    }

    /// A request is answered with an error.
    fn refused(&self, peer: &Peer, path: Option<&str>, rejection: &Rejection) {
        self.metrics.handshake_refused(rejection.kind());
        log::refused(peer, path, rejection);
    }

    /// A connection has ended before it was open, and cannot be answered.
    fn gave_up(&self, peer: &Peer, error: &AcceptError) {
        self.metrics.handshake_refused("hang-up");
        log::gave_up(peer, error);
    }

    /// Charges a client that a proxy speaks for: others are charged when they are accepted.
    fn charge(&self, arrival: &Arrival, registered: &Registered) -> Result<(), Refused> {
        match arrival.client.ip() {
            Some(ip) if !self.trusted_proxies.trusts(Some(ip)) => registered.charge(ip),
            _ => Ok(()),
        }
    }
}

/// Reads a request's head in time: the head, and the bytes that came with it from the head's
/// first byte on.
async fn read_request<T: Transport>(
    transport: &mut T,
    config: &Config,
    limit: Instant,
) -> Result<(Head<Request<()>>, BytesMut), AcceptError> {
    let mut reader = HeadReader::new(config.head);
    // What has come of a head that did not come whole, as few do.
    let mut begun = BytesMut::new();
    let reading = async {
        loop {
            let read = io::read(transport, READ_AT_ONCE).await?;
            if read.is_empty() {
                return Err(AcceptError::Ended);
            }
            let first = begun.is_empty();
            let bytes = if first {
                read
            } else {
                begun.extend_from_slice(&read);
                mem::take(&mut begun)
            };
            match reader.read_request(&bytes) {
                Ok(Some(head)) => return Ok((head, bytes)),
                Ok(None) if first => begun.extend_from_slice(&bytes),
                Ok(None) => begun = bytes,
                Err(error) => return Err(AcceptError::Rejected(error.into())),
            }
        }
    };
    let read = timeout_at(limit, reading).await;
    match read {
        Ok(read) => read,
        // A peer that never said anything is not answered.
        Err(_) if begun.is_empty() => Err(AcceptError::Ended),
        Err(_) => Err(AcceptError::Rejected(Rejection::request_timeout())),
    }
}

/// A copy of what came behind a head, which is mostly nothing: it may be kept for longer than the
/// thread's buffer can be done without.
fn behind(head: &Head<Request<()>>, bytes: BytesMut) -> BytesMut {
    BytesMut::from(&bytes[head.len..])
}

/// A connection whose request has been read and not answered.
pub(super) enum Opening {
    /// This server itself speaks HTTP on it.
    Own {
        stream: Stream,
        /// The bytes that came right behind the request.
        rest: BytesMut,
    },
    /// Another HTTP server does.
    #[cfg(feature = "http")]
    Others(Handover),
}

impl Opening {
    /// Answers with 101.
    #[expect(
        clippy::manual_async_fn,
        reason = "the body of an `async fn` would hold its arguments twice"
    )]
    pub(super) fn accept(
        self,
        accepted: Accepted,
        config: &Config,
        limit: Instant,
    ) -> impl Future<Output = Result<WebSocket, AcceptError>> {
        async move {
            match self {
                Self::Own { mut stream, rest } => {
                    let answer = accepted.to_bytes();
                    send(&mut stream, &answer, limit).await?;
                    let negotiated = accepted.into_negotiated();
                    Ok(websocket(stream, rest, &negotiated, config))
                }
                #[cfg(feature = "http")]
                Self::Others(handover) => Box::pin(handover.accept(accepted, config, limit)).await,
            }
        }
    }

    /// Answers with an error.
    pub(super) async fn refuse(self, rejection: &Rejection) {
        match self {
            Self::Own { mut stream, .. } => refuse(&mut stream, rejection).await,
            #[cfg(feature = "http")]
            Self::Others(handover) => handover.refuse(rejection),
        }
    }

    /// Answers with an error, in a stage of its own if that takes time.
    fn refusing(self, rejection: Rejection, registered: Registered) -> Option<Stage> {
        match self {
            Self::Own { stream, .. } => Some(refusing(stream, rejection, registered)),
            #[cfg(feature = "http")]
            Self::Others(handover) => {
                handover.refuse(&rejection);
                None
            }
        }
    }
}

/// The stage of a connection that is refused.
fn refusing(mut stream: Stream, rejection: Rejection, registered: Registered) -> Stage {
    Stage::new(async move {
        refuse(&mut stream, &rejection).await;
        drop(registered);
        None
    })
}

/// Writes the answer in time.
async fn send<T: Transport>(
    transport: &mut T,
    answer: &[u8],
    limit: Instant,
) -> Result<(), AcceptError> {
    let sending = async {
        transport.write_all(answer).await?;
        transport.flush().await
    };
    let sent = timeout_at(limit, sending).await;
    Ok(sent.map_err(|_| AcceptError::Ended)??)
}

/// The open connection; `rest` are the frames that came right behind the request.
pub(super) fn websocket<T: Transport>(
    transport: T,
    rest: BytesMut,
    negotiated: &Negotiated,
    config: &Config,
) -> WebSocket<T> {
    let mut connection = Connection::server(config.connection.clone());
    #[cfg(feature = "deflate")]
    {
        connection = config.with_compression(connection, negotiated);
    }
    connection.handle_data(rest);
    WebSocket::new(connection, transport, negotiated.subprotocol(), config)
}

/// Answers with an error, and waits a moment for the peer to have read it.
async fn refuse<T: Transport>(transport: &mut T, rejection: &Rejection) {
    let _ = timeout(LINGER, async {
        transport.write_all(&rejection.to_bytes()).await?;
        linger(transport).await
    })
    .await;
}

/// Ends a connection whose peer may go on sending, and has yet to read what was written last.
async fn linger<T: Transport>(transport: &mut T) -> std::io::Result<()> {
    transport.shutdown().await?;
    let mut read = 0;
    while read < LINGER_BYTES {
        match io::read(transport, LINGER_BYTES).await?.len() {
            0 => break,
            len => read += len,
        }
    }
    Ok(())
}
