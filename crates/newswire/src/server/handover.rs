//! How hyper hands a connection over: its promise, the answer that goes by way of it, and the
//! transport that comes back. What is accepted is decided elsewhere.

use super::http::websocket;
use crate::config::Config;
use crate::error::AcceptError;
use crate::transport::Stream;
use crate::websocket::WebSocket;
use ::http::{Request, Response, StatusCode};
use bytes::BytesMut;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use newswire_proto::handshake::{Accepted, Negotiated, Rejection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// hyper's promise to hand over the connection of a request, if it has given one.
pub(super) fn promise<B>(request: &mut Request<B>) -> Option<OnUpgrade> {
    request.extensions_mut().remove()
}

pub(super) fn no_promise() -> Rejection {
    Rejection::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this HTTP server does not hand connections over: it has to serve them with upgrades",
    )
}

/// A request whose answer goes by way of an HTTP server.
pub(super) struct Handover {
    pub(super) answer: oneshot::Sender<Response<String>>,
    pub(super) on_upgrade: Option<OnUpgrade>,
}

impl Handover {
    /// Has it answered with 101.
    pub(super) async fn accept(
        self,
        accepted: Accepted,
        config: &Config,
        limit: Instant,
    ) -> Result<WebSocket, AcceptError> {
        let Some(on_upgrade) = self.on_upgrade else {
            let rejection = no_promise();
            let _ = self.answer.send(rejection.to_response());
            return Err(AcceptError::Rejected(rejection));
        };
        let response = accepted.response().map(|()| String::new());
        let negotiated = accepted.into_negotiated();
        self.answer.send(response).map_err(|_| AcceptError::Ended)?;
        open(on_upgrade, negotiated, config.clone(), limit).await
    }

    /// Has it answered with an error.
    pub(super) fn refuse(self, rejection: &Rejection) {
        // A client that has gone is not answered.
        let _ = self.answer.send(rejection.to_response());
    }
}

/// The open connection, once hyper hands it over.
pub(super) async fn open(
    on_upgrade: OnUpgrade,
    negotiated: Negotiated,
    config: Config,
    limit: Instant,
) -> Result<WebSocket, AcceptError> {
    let upgraded = timeout_at(limit, on_upgrade).await;
    let upgraded = upgraded.map_err(|_| AcceptError::Ended)?;
    let upgraded = upgraded.map_err(std::io::Error::other)?;
    let (stream, rest) = taken_over(upgraded);
    Ok(websocket(stream, rest, &negotiated, &config))
}

/// What hyper has handed over: the transport below it where it is one of the usual ones, so that
/// nothing of hyper's stays alive, and the bytes that it has read from it.
fn taken_over(upgraded: Upgraded) -> (Stream, BytesMut) {
    let upgraded = match taken::<TcpStream>(upgraded) {
        Ok(taken) => return taken,
        Err(upgraded) => upgraded,
    };
    #[cfg(unix)]
    let upgraded = match taken::<UnixStream>(upgraded) {
        Ok(taken) => return taken,
        Err(upgraded) => upgraded,
    };
    match taken::<Stream>(upgraded) {
        Ok(taken) => taken,
        Err(upgraded) => (Stream::from_io(TokioIo::new(upgraded)), BytesMut::new()),
    }
}

/// Takes a `T` out, of hyper itself or of hyper-util's server for more than one version of HTTP,
/// which is axum's.
fn taken<T>(upgraded: Upgraded) -> Result<(Stream, BytesMut), Upgraded>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let upgraded = match upgraded.downcast::<TokioIo<T>>() {
        Ok(parts) => {
            return Ok((
                Stream::from_io(parts.io.into_inner()),
                parts.read_buf.into(),
            ));
        }
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<T>>(upgraded)?;
    Ok((
        Stream::from_io(parts.io.into_inner()),
        parts.read_buf.into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::{promise, taken_over};
    use crate::transport::Stream;
    use ::http::{Request, Response, StatusCode};
    use bytes::BytesMut;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    const EARLY: &[u8] = b"early bytes";

    /// What is handed over of a connection on which a server of hyper or of hyper-util runs.
    async fn handed_over(
        mut client: impl tokio::io::AsyncWrite + Unpin,
        server: impl crate::Transport,
        by_hyper_util: bool,
    ) -> (Stream, BytesMut) {
        let (told, mut promised) = mpsc::channel(1);
        let service = service_fn(move |mut request: Request<Incoming>| {
            told.try_send(promise(&mut request).unwrap()).unwrap();
            let mut response = Response::new(String::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            std::future::ready(Ok::<_, Infallible>(response))
        });
        client.write_all(&[REQUEST, EARLY].concat()).await.unwrap();
        let io = TokioIo::new(server);
        if by_hyper_util {
            let builder = auto::Builder::new(TokioExecutor::new());
            let serving = builder.serve_connection_with_upgrades(io, service);
            serving.await.unwrap();
        } else {
            let serving = http1::Builder::new().serve_connection(io, service);
            serving.with_upgrades().await.unwrap();
        }
        taken_over(promised.recv().await.unwrap().await.unwrap())
    }

    async fn tcp() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (server, _) = accepted.unwrap();
        let addr = server.local_addr().unwrap();
        (client.unwrap(), server, addr)
    }

    #[tokio::test]
    async fn a_socket_comes_back_as_it_was_and_with_what_was_read() {
        for by_hyper_util in [false, true] {
            let (client, server, addr) = tcp().await;
            let (stream, rest) = handed_over(client, server, by_hyper_util).await;
            assert_eq!(stream.local_addr().unwrap(), addr);
            assert_eq!(rest, EARLY);
            let (client, server, addr) = tcp().await;
            let server = Stream::from(server);
            let (stream, rest) = handed_over(client, server, by_hyper_util).await;
            assert_eq!(stream.local_addr().unwrap(), addr);
            assert_eq!(rest, EARLY);
        }
    }

    #[tokio::test]
    async fn what_is_not_known_comes_in_hypers_box() {
        for by_hyper_util in [false, true] {
            let (client, server) = tokio::io::duplex(1024);
            let (mut stream, rest) = handed_over(client, server, by_hyper_util).await;
            assert!(stream.local_addr().is_err());
            assert!(rest.is_empty());
            let mut read = [0; EARLY.len()];
            stream.read_exact(&mut read).await.unwrap();
            assert_eq!(read, EARLY);
        }
    }
}
