//! The way from a URL to an open connection: socket, proxy, TLS, handshake, and the same again where
//! a redirect leads. How each step is done is in the files next to this one.

use super::Connector;
use super::credentials::{basic, drop_credentials};
use super::deadline::Deadline;
use super::error::{ConnectError, RedirectError, Step};
use super::exchange::{exchange, with_body};
use super::target::{is_same_origin, parse, redirected};
use crate::transport::{Stream, Transport};
use crate::websocket::WebSocket;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, Response};
use newswire_proto::Connection;
use newswire_proto::handshake::{ClientHandshake, ResponseError, WebSocketUri};

/// What is asked for.
struct Asked {
    uri: WebSocketUri,
    headers: HeaderMap,
}

impl Connector {
    fn asked(&self, url: &str) -> Result<Asked, ConnectError> {
        if let Some(reason) = &self.wrong {
            return Err(ConnectError::Setting(reason.clone()));
        }
        let (uri, user_info) = parse(url).map_err(ConnectError::Url)?;
        let mut headers = self.headers.clone();
        if let Some((user, password)) = user_info
            && !headers.contains_key(AUTHORIZATION)
        {
            let value = basic(&user, &password).ok_or_else(|| {
                let reason = "a name with a colon, or control characters, cannot be sent as \
                              credentials (Basic)";
                ConnectError::Setting(reason.to_owned())
            })?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Asked { uri, headers })
    }

    /// Goes the whole way, following redirects.
    pub(super) async fn open(&self, url: &str) -> Result<WebSocket, ConnectError> {
        let mut asked = self.asked(url)?;
        let deadline = Deadline::after(self.config.handshake_timeout);
        let mut followed = 0;
        loop {
            let stream = self.reach(&asked.uri, deadline).await?;
            let follows = self.max_redirects > 0;
            let answer = match self.shake_hands(&asked, stream, deadline, follows).await {
                Err(ConnectError::Status(answer)) if follows => answer,
                opened => return opened,
            };
            let Some(location) = location(&answer) else {
                return Err(ConnectError::Status(answer));
            };
            let next = self.next(&asked, location, followed);
            asked = next.map_err(|reason| ConnectError::Redirect {
                to: String::from_utf8_lossy(location.as_bytes()).into_owned(),
                reason,
            })?;
            followed += 1;
        }
    }

    /// The same over a transport that is there already.
    pub(super) async fn open_over<T: Transport>(
        &self,
        url: &str,
        transport: T,
    ) -> Result<WebSocket<T>, ConnectError> {
        let asked = self.asked(url)?;
        let deadline = Deadline::after(self.config.handshake_timeout);
        self.shake_hands(&asked, transport, deadline, false).await
    }

    /// What to ask for next when the server redirects.
    fn next(
        &self,
        asked: &Asked,
        location: &HeaderValue,
        followed: usize,
    ) -> Result<Asked, RedirectError> {
        if followed == self.max_redirects {
            return Err(RedirectError::TooMany(followed));
        }
        let uri = redirected(&asked.uri, location.as_bytes())?;
        let mut headers = asked.headers.clone();
        if !is_same_origin(&asked.uri, &uri) {
            if self.dial.is_elsewhere() {
                return Err(RedirectError::Elsewhere);
            }
            drop_credentials(&mut headers);
        }
        Ok(Asked { uri, headers })
    }

    /// A stream on which the handshake can begin.
    async fn reach(&self, uri: &WebSocketUri, deadline: Deadline) -> Result<Stream, ConnectError> {
        #[cfg(not(feature = "rustls"))]
        if uri.is_secure() {
            return Err(ConnectError::TlsNeeded);
        }
        let stream = self.reach_plain(uri, deadline).await?;
        #[cfg(feature = "rustls")]
        if uri.is_secure() {
            let tls = async { Ok(self.tls.connect(uri.host(), stream).await?) };
            return deadline.within(Step::Tls, tls).await;
        }
        Ok(stream)
    }

    async fn reach_plain(
        &self,
        uri: &WebSocketUri,
        deadline: Deadline,
    ) -> Result<Stream, ConnectError> {
        #[cfg(feature = "proxy")]
        if !self.dial.is_elsewhere()
            && let Some(proxy) = self.proxy.to(uri)?
        {
            return self.through(&proxy, uri, deadline).await;
        }
        self.dial.connect(uri.host(), uri.port(), deadline).await
    }

    /// The opening handshake (RFC 6455 §4.1). `follows`: the body of a redirect is not waited for.
    async fn shake_hands<T: Transport>(
        &self,
        asked: &Asked,
        mut transport: T,
        deadline: Deadline,
        follows: bool,
    ) -> Result<WebSocket<T>, ConnectError> {
        let handshake = ClientHandshake::new(&asked.uri, rand::random())
            .with_subprotocols(&self.subprotocols)
            .and_then(|handshake| handshake.with_headers(&asked.headers))
            .map_err(ConnectError::Misuse)?;
        #[cfg(feature = "deflate")]
        let handshake = handshake.with_deflate(self.config.deflate.clone());
        let request = handshake.to_bytes();
        let exchange = exchange(&mut transport, &request, self.config.head);
        let (head, mut buffer) = deadline.within(Step::Http, exchange).await?;
        let negotiated = match handshake.verify(&head) {
            Ok(negotiated) => negotiated,
            Err(ResponseError::Status(answer)) if follows && location(&answer).is_some() => {
                return Err(ConnectError::Status(Box::new(
                    answer.map(|()| Default::default()),
                )));
            }
            Err(ResponseError::Status(answer)) => {
                let body = buffer.split_off(head.len);
                let answer = with_body(&mut transport, *answer, body, deadline).await;
                return Err(ConnectError::Status(answer));
            }
            Err(error) => return Err(ConnectError::Response(error)),
        };
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
        Ok(WebSocket::answered(
            connection,
            transport,
            negotiated.subprotocol(),
            head.message,
            &self.config,
        ))
    }
}

/// Where a response sends on to, if it does (RFC 9110 §15.4).
fn location<B>(answer: &Response<B>) -> Option<&HeaderValue> {
    matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| answer.headers().get(LOCATION))
        .flatten()
}
