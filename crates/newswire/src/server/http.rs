//! From an accepted transport to an open connection or an HTTP answer. What is not for a
//! WebSocket goes, with its bytes, to hyper.

#[cfg(feature = "http")]
mod fallback;

#[cfg(feature = "http")]
pub(super) use fallback::Fallback;

use super::Service;
use super::handler::{Next, Opened, Stage};
use super::handshake::{Undecided, too_slow};
use super::limits::Refused;
use super::log::{self, Peer};
use super::registry::Registered;
use super::request::{Arrival, Parts};
use super::route::{Bound, Rules};
use super::router::Found;
use crate::config::Config;
use crate::error::AcceptError;
use crate::transport::{Stream, Transport};
use crate::websocket::WebSocket;
use bytes::BytesMut;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request, StatusCode};
use newswire_proto::Connection;
use newswire_proto::handshake::{
    Accepted, Head, HeadReader, Negotiated, Rejection, Upgrade, is_upgrade,
};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// How long, and for how many bytes, a refused peer may go on sending before it is cut. Were
/// it cut at once, it might be reset before it has read the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

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
        let (head, mut bytes) = read_request(&mut transport, config, limit).await?;
        let upgrade = Upgrade::from_head(&head).map_err(AcceptError::Rejected)?;
        let accepted = accepted(&upgrade, None, config).map_err(AcceptError::Rejected)?;
        send(&mut transport, &accepted, limit).await?;
        Ok((bytes.split_off(head.len), accepted.into_parts().1))
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

/// Serves an accepted connection until `limit`, up to its end or to where its handler takes over.
pub(super) async fn open(
    service: Arc<Service>,
    mut stream: Stream,
    mut arrival: Arrival,
    refused: Option<Refused>,
    limit: Instant,
    registered: Registered,
) -> Option<Stage> {
    let read = read_request(&mut stream, &service.config, limit).await;
    let (head, mut bytes) = match read {
        Ok(read) => read,
        Err(AcceptError::Rejected(rejection)) => {
            service.refused(&arrival.client.into(), None, &rejection);
            refuse(&mut stream, &rejection).await;
            return None;
        }
        Err(error) => {
            service.gave_up(&arrival.client.into(), &error);
            return None;
        }
    };
    service.look_through_proxies(&mut arrival, head.message.headers());
    let refused = match refused {
        None => service.charge(&arrival, &registered).err(),
        refused => refused,
    };
    let peer = arrival.client;
    let len = head.len;
    #[cfg(feature = "http")]
    if let Some(fallback) = &service.fallback
        && !is_upgrade(&head.message)
        && service.paths.find(head.message.uri().path()).is_err()
        && !registered.is_closing()
        && refused.is_none()
    {
        let limit = service.config.handshake_timeout;
        fallback.serve(stream, bytes, limit).await;
        return None;
    }
    let path = head.message.uri().path().to_owned();
    let judged = if registered.is_closing() {
        Err(Rejection::service_unavailable("the server shuts down").of_kind("shutdown"))
    } else if let Some(refused) = refused {
        Err(refused.into())
    } else {
        judge(&service, head, arrival, limit).await
    };
    let opening = Opening {
        stream,
        rest: bytes.split_off(len),
    };
    match judged {
        Ok(Verdict::Accept(accepted, config, start)) => {
            match opening.accept(accepted, &config, limit).await {
                Ok(ws) => {
                    registered.opened(&ws.shared());
                    let peer = peer.into();
                    return Some(start(Opened { ws, peer }));
                }
                Err(error) => service.gave_up(&peer.into(), &error),
            }
        }
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
            service.refused(&peer.into(), Some(&path), &rejection);
            opening.refuse(&rejection).await;
        }
    }
    None
}

impl Service {
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
    let mut buffer = BytesMut::new();
    let reading = async {
        loop {
            buffer.reserve(1024);
            if transport.read_buf(&mut buffer).await? == 0 {
                return Err(AcceptError::Ended);
            }
            match reader.read_request(&buffer) {
                Ok(Some(head)) => return Ok(head),
                Ok(None) => {}
                Err(error) => return Err(AcceptError::Rejected(error.into())),
            }
        }
    };
    let read = timeout_at(limit, reading).await;
    match read {
        Ok(read) => read.map(|head| (head, buffer)),
        // A peer that never said anything is not answered.
        Err(_) if buffer.is_empty() => Err(AcceptError::Ended),
        Err(_) => Err(AcceptError::Rejected(Rejection::request_timeout())),
    }
}

/// What becomes of a request that the rules let in.
enum Verdict<'a> {
    /// It is accepted, and then given to the handler.
    Accept(
        Accepted,
        &'a Config,
        Box<dyn FnOnce(Opened) -> Stage + Send>,
    ),
    /// Its handler decides.
    Decide(
        Upgrade,
        Found<'a>,
        Box<dyn FnOnce(Undecided) -> Stage + Send>,
    ),
}

/// Takes a request through the rules: path, handshake, origin, authentication, subprotocol.
async fn judge(
    service: &Service,
    head: Head<Request<()>>,
    arrival: Arrival,
    limit: Instant,
) -> Result<Verdict<'_>, Rejection> {
    let mut found = service.paths.find(head.message.uri().path())?;
    // Whether it asks for an upgrade is judged here, with a reason that helps.
    let upgrade = Upgrade::from_head(&head)?;
    let route = found.route;
    let rules = route.rules();
    check_origin(rules, head.message.headers(), &arrival)?;
    let config = rules.config.as_ref().unwrap_or(&service.config);
    let parts = route.sees_requests().then(|| {
        Arc::new(Parts {
            head: head.message,
            params: std::mem::take(&mut found.params),
            subprotocols: upgrade.subprotocols().to_vec(),
            arrival,
            identity: OnceLock::new(),
        })
    });
    if let Some(parts) = &parts {
        authenticate(route, parts, limit).await?;
    }
    match route.handler(parts).0 {
        Next::Accept(start) => {
            let subprotocol = rules.subprotocols.choose(upgrade.subprotocols())?;
            let accepted = accepted(&upgrade, subprotocol.as_deref(), config)?;
            Ok(Verdict::Accept(accepted, config, start))
        }
        Next::Decide(decide) => Ok(Verdict::Decide(upgrade, found, decide)),
    }
}

fn check_origin(rules: &Rules, headers: &HeaderMap, arrival: &Arrival) -> Result<(), Rejection> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next();
    if origins.next().is_some() {
        return Err(Rejection::bad_request(
            "there is more than one Origin header",
        ));
    }
    let origin = match origin.map(|origin| origin.to_str()) {
        None => None,
        Some(Ok(origin)) => Some(origin),
        Some(Err(_)) => return Err(Rejection::bad_request("the Origin header is not text")),
    };
    let host = match &arrival.host {
        Some(host) => Some(&**host),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    rules.origins.check(origin, host, arrival.secure)
}

/// Asks the route's hook, if it has one.
async fn authenticate(
    route: &dyn Bound,
    parts: &Arc<Parts>,
    limit: Instant,
) -> Result<(), Rejection> {
    let broken = |_| Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "authentication failed");
    let asked = catch_unwind(AssertUnwindSafe(|| route.authenticate(parts))).map_err(broken)?;
    let Some(mut asked) = asked else {
        return Ok(());
    };
    let answer = poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| asked.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        },
    );
    let identity = timeout_at(limit, answer).await.map_err(|_| too_slow())?;
    let identity = identity.map_err(broken)??;
    // The request is new, and so nobody else has set it.
    let _ = parts.identity.set(identity);
    Ok(())
}

/// The answer that accepts a request: with this subprotocol, and with compression as both want it.
pub(super) fn accepted(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    config: &Config,
) -> Result<Accepted, Rejection> {
    let accepted = upgrade
        .accept(subprotocol)
        .map_err(|misuse| Rejection::bad_request(misuse.to_string()))?;
    #[cfg(feature = "deflate")]
    let accepted = match config.deflate.accept(upgrade.deflate_offers()) {
        Some(params) => accepted.with_deflate(params),
        None => accepted,
    };
    Ok(accepted)
}

/// A connection whose request has been read and not answered.
pub(super) struct Opening {
    stream: Stream,
    /// The bytes that came right behind the request.
    rest: BytesMut,
}

impl Opening {
    /// Answers with 101.
    pub(super) async fn accept(
        mut self,
        accepted: Accepted,
        config: &Config,
        limit: Instant,
    ) -> Result<WebSocket, AcceptError> {
        send(&mut self.stream, &accepted, limit).await?;
        let negotiated = accepted.into_parts().1;
        Ok(websocket(self.stream, self.rest, &negotiated, config))
    }

    /// Answers with an error.
    pub(super) async fn refuse(mut self, rejection: &Rejection) {
        refuse(&mut self.stream, rejection).await;
    }
}

/// Writes the answer in time.
async fn send<T: Transport>(
    transport: &mut T,
    accepted: &Accepted,
    limit: Instant,
) -> Result<(), AcceptError> {
    let answer = async {
        transport.write_all(&accepted.to_bytes()).await?;
        transport.flush().await
    };
    let sent = timeout_at(limit, answer).await;
    Ok(sent.map_err(|_| AcceptError::Ended)??)
}

/// The open connection; `rest` are the frames that came right behind the request.
fn websocket<T: Transport>(
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
        transport.shutdown().await?;
        let mut scratch = [0; 1024];
        let mut read = 0;
        while read < LINGER_BYTES {
            match transport.read(&mut scratch).await? {
                0 => break,
                len => read += len,
            }
        }
        std::io::Result::Ok(())
    })
    .await;
}
