//! From an accepted transport to an open connection or an HTTP answer. What is not for a
//! WebSocket goes, with its bytes, to hyper.

#[cfg(feature = "http")]
mod fallback;

#[cfg(feature = "http")]
pub(super) use fallback::Fallback;

use super::registry::Registered;
use super::{Handler, Service, log};
use crate::config::Config;
use crate::error::AcceptError;
use crate::transport::{Stream, Transport};
use crate::websocket::WebSocket;
use bytes::BytesMut;
use http::Request;
use newswire_proto::Connection;
use newswire_proto::handshake::{Head, HeadReader, Negotiated, Rejection, Upgrade};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

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
    let opening = async {
        let (head, mut bytes) = read_request(&mut transport, config).await?;
        let negotiated = upgrade(&mut transport, &head, config, &[]).await?;
        Ok((bytes.split_off(head.len), negotiated))
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

/// Serves an accepted connection up to its end, or up to where its handler takes over.
pub(super) async fn open<'a>(
    service: &'a Service,
    stream: TcpStream,
    peer: SocketAddr,
    registered: &Registered,
) -> Option<(&'a dyn Handler, WebSocket)> {
    let mut stream = Stream::from(stream);
    let (head, mut bytes) = match read_request(&mut stream, &service.config).await {
        Ok(read) => read,
        Err(AcceptError::Rejected(rejection)) => {
            log::refused(peer, None, &rejection);
            refuse(&mut stream, &rejection).await;
            return None;
        }
        Err(error) => {
            log::gave_up(peer, &error);
            return None;
        }
    };
    let request = &head.message;
    let route = service.routes.get(request.uri().path());
    let rejection = match route {
        _ if registered.is_closing() => Rejection::service_unavailable("the server shuts down"),
        // Whether it asks for an upgrade is judged there, with a reason that helps.
        Some(route) => {
            let speaks = route.speaks();
            match upgrade(&mut stream, &head, &service.config, speaks).await {
                Ok(negotiated) => {
                    let rest = bytes.split_off(head.len);
                    let ws = websocket(stream, rest, &negotiated, &service.config);
                    return Some((&*route.handler, ws));
                }
                Err(AcceptError::Rejected(rejection)) => rejection,
                Err(error) => {
                    log::gave_up(peer, &error);
                    return None;
                }
            }
        }
        None => {
            #[cfg(feature = "http")]
            if let Some(fallback) = &service.fallback
                && !newswire_proto::handshake::is_upgrade(request)
            {
                let limit = service.config.handshake_timeout;
                fallback.serve(stream, bytes, limit).await;
                return None;
            }
            Rejection::not_found()
        }
    };
    log::refused(peer, Some(request.uri().path()), &rejection);
    refuse(&mut stream, &rejection).await;
    None
}

/// Reads a request's head in time: the head, and the bytes that came with it from the head's
/// first byte on.
async fn read_request<T: Transport>(
    transport: &mut T,
    config: &Config,
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
    let read = timeout(config.handshake_timeout, reading).await;
    match read {
        Ok(read) => read.map(|head| (head, buffer)),
        // A peer that never said anything is not answered.
        Err(_) if buffer.is_empty() => Err(AcceptError::Ended),
        Err(_) => Err(AcceptError::Rejected(Rejection::request_timeout())),
    }
}

/// Judges the request and answers it with 101. Of the subprotocols that the client offers, the first
/// that the handler speaks is chosen.
async fn upgrade<T: Transport>(
    transport: &mut T,
    head: &Head<Request<()>>,
    config: &Config,
    speaks: &[Box<str>],
) -> Result<Negotiated, AcceptError> {
    let upgrade = Upgrade::from_head(head).map_err(AcceptError::Rejected)?;
    let offered = upgrade.subprotocols();
    let chosen = speaks
        .iter()
        .find(|ours| offered.iter().any(|name| name.as_str() == &***ours));
    let accepted = upgrade
        .accept(chosen.map(|name| &**name))
        .map_err(|misuse| AcceptError::Rejected(Rejection::bad_request(misuse.to_string())))?;
    #[cfg(feature = "deflate")]
    let accepted = match config.deflate.accept(upgrade.deflate_offers()) {
        Some(params) => accepted.with_deflate(params),
        None => accepted,
    };
    let answer = async {
        transport.write_all(&accepted.to_bytes()).await?;
        transport.flush().await
    };
    timeout(config.handshake_timeout, answer)
        .await
        .map_err(|_| AcceptError::Ended)??;
    Ok(accepted.into_parts().1)
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
