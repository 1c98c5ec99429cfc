//! Opening a connection to a server.

#[cfg(feature = "event")]
pub mod event;

use crate::config::Config;
use crate::error::ConnectError;
#[cfg(feature = "rustls")]
use crate::tls::ClientTls;
use crate::transport::{self, Stream, Transport};
use crate::websocket::WebSocket;
use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use newswire_proto::Connection;
use newswire_proto::handshake::{ClientHandshake, HeadReader, ResponseError, WebSocketUri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Opens a WebSocket to `url` with the defaults. [`Connector`] has the choices.
///
/// # Errors
/// [`ConnectError`] says at which step it failed.
///
/// # Cancel safety
/// Dropping the future gives the attempt up.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// let mut ws = newswire::connect("ws://127.0.0.1:9998/echo").await?;
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<WebSocket, ConnectError> {
    Connector::new().connect(url).await
}

/// How to open a connection: subprotocols, headers, limits.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// use newswire::{Config, Connector};
///
/// let ws = Connector::new()
///     .subprotocols(["echo-protocol"])
///     .config(Config::new().max_message_size(1 << 20))
///     .connect("ws://127.0.0.1:9998/echo")
///     .await?;
/// assert_eq!(ws.subprotocol(), Some("echo-protocol"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Connector {
    subprotocols: Vec<String>,
    require_subprotocol: bool,
    headers: HeaderMap,
    config: Config,
    #[cfg(feature = "rustls")]
    tls: ClientTls,
}

impl Connector {
    /// The defaults: no subprotocols, no headers of one's own, [`Config::new`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The subprotocols to offer, the preferred one first. The server takes one of them or
    /// none: [`WebSocket::subprotocol`].
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Whether a server that takes none of the offered subprotocols fails the connection. RFC 6455
    /// lets it take none, the WebSockets Standard of web pages does not. Default: no.
    #[must_use]
    pub fn require_subprotocol(mut self, require: bool) -> Self {
        self.require_subprotocol = require;
        self
    }

    /// A header line to send with the request, beside those that are there already.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How `wss:` is spoken: whom this end trusts, and what it shows of itself. Default: it trusts
    /// whom the operating system trusts.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }

    /// Opens a WebSocket to `url` over TCP, and over TLS when it begins with `wss:` (feature
    /// `rustls`).
    ///
    /// # Errors
    /// [`ConnectError`] says at which step it failed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up.
    pub async fn connect(&self, url: &str) -> Result<WebSocket, ConnectError> {
        let uri = WebSocketUri::parse(url).map_err(ConnectError::Url)?;
        #[cfg(not(feature = "rustls"))]
        if uri.is_secure() {
            return Err(ConnectError::TlsNeeded);
        }
        self.in_time(async {
            let stream: Stream = transport::connect(uri.host(), uri.port())
                .await
                .map_err(ConnectError::Connect)?;
            #[cfg(feature = "rustls")]
            let stream = match uri.is_secure() {
                true => self.tls.connect(uri.host(), stream).await?,
                false => stream,
            };
            self.open(&uri, stream).await
        })
        .await
    }

    /// Opens a WebSocket to `url` over a transport that is connected already, such as a TLS
    /// stream, a Unix socket or a pipe in memory. Of the URL, only what stands in the request
    /// is used.
    ///
    /// # Errors
    /// [`ConnectError`] says at which step it failed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up, and drops the transport.
    pub async fn connect_over<T: Transport>(
        &self,
        url: &str,
        transport: T,
    ) -> Result<WebSocket<T>, ConnectError> {
        let uri = WebSocketUri::parse(url).map_err(ConnectError::Url)?;
        self.in_time(self.open(&uri, transport)).await
    }

    async fn in_time<R>(
        &self,
        attempt: impl Future<Output = Result<R, ConnectError>>,
    ) -> Result<R, ConnectError> {
        timeout(self.config.handshake_timeout, attempt)
            .await
            .map_err(|_| ConnectError::Timeout)?
    }

    async fn open<T: Transport>(
        &self,
        uri: &WebSocketUri,
        mut transport: T,
    ) -> Result<WebSocket<T>, ConnectError> {
        let handshake = ClientHandshake::new(uri, rand::random())
            .with_subprotocols(&self.subprotocols)
            .and_then(|handshake| handshake.with_headers(&self.headers))
            .map_err(ConnectError::Misuse)?;
        #[cfg(feature = "deflate")]
        let handshake = handshake.with_deflate(self.config.deflate.clone());
        transport
            .write_all(&handshake.to_bytes())
            .await
            .map_err(ConnectError::Io)?;
        transport.flush().await.map_err(ConnectError::Io)?;
        let mut reader = HeadReader::new(self.config.head);
        let mut buffer = BytesMut::with_capacity(1024);
        let head = loop {
            match reader.read_response(&buffer).map_err(ConnectError::Head)? {
                // RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses
                // received prior to a final response".
                Some(head) if is_interim(head.message.status()) => buffer.advance(head.len),
                Some(head) => break head,
                None => {
                    let read = transport.read_buf(&mut buffer).await;
                    if read.map_err(ConnectError::Io)? == 0 {
                        return Err(ConnectError::Ended);
                    }
                }
            }
        };
        let negotiated = handshake.verify(&head).map_err(ConnectError::Response)?;
        let refused = !self.subprotocols.is_empty() && negotiated.subprotocol().is_none();
        if refused && self.require_subprotocol {
            return Err(ConnectError::Response(ResponseError::Subprotocol {
                offered: self.subprotocols.clone(),
                found: "none".to_owned(),
            }));
        }
        let config = self.config.connection.clone();
        let mut connection = Connection::client(config, rand::random);
        #[cfg(feature = "deflate")]
        {
            connection = self.config.with_compression(connection, &negotiated);
        }
        // Frames may have come in the same segment.
        connection.handle_data(buffer.split_off(negotiated.head_len()));
        Ok(WebSocket::new(
            connection,
            transport,
            negotiated.subprotocol(),
            &self.config,
        ))
    }
}

/// Whether another response follows (100, 103 and their like).
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}
