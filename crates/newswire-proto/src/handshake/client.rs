//! The client's half (RFC 6455 §4.1): the request, and judging the response. Nothing here draws
//! the nonce, connects, follows a redirect or answers a 401.

use core::fmt;

use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Request, Response, StatusCode, Uri, Version};

use super::headers::{add_extra, ascii_value, is_token, list, list_contains, shown};
use super::http1::{Head, write_request};
use super::key::{accept_key, client_key};
use super::uri::{WebSocketUri, names_host};
use super::{HandshakeMisuse, Negotiated};
#[cfg(feature = "deflate")]
use crate::deflate::DeflateConfig;
use crate::role::Role;

/// A client's opening handshake: the request to send, and what its response must say.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    request: Request<()>,
    accept: String,
    subprotocols: Vec<String>,
    #[cfg(feature = "deflate")]
    deflate: Option<DeflateConfig>,
}

impl ClientHandshake {
    /// The handshake for a URI. The nonce must be drawn anew for each connection, from a source
    /// that nobody can predict.
    #[must_use]
    pub fn new(uri: &WebSocketUri, nonce: [u8; 16]) -> Self {
        let key = client_key(nonce);
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from(uri.path_and_query());
        let headers = request.headers_mut();
        headers.insert(HOST, ascii_value(uri.host_header()));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_KEY, ascii_value(&key));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        Self {
            request,
            accept: accept_key(key.as_bytes()),
            subprotocols: Vec::new(),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Offers permessage-deflate (RFC 7692) on these conditions, or not when it is off there.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, config: DeflateConfig) -> Self {
        let headers = self.request.headers_mut();
        match config.offer() {
            Some(offer) => headers.insert(SEC_WEBSOCKET_EXTENSIONS, offer),
            None => headers.remove(SEC_WEBSOCKET_EXTENSIONS),
        };
        self.deflate = Some(config);
        self
    }

    /// Offers subprotocols, the preferred one first, in place of any offered before.
    ///
    /// # Errors
    ///
    /// [`HandshakeMisuse::InvalidSubprotocol`] and [`HandshakeMisuse::RepeatedSubprotocol`].
    pub fn with_subprotocols<S: AsRef<str>>(
        mut self,
        subprotocols: impl IntoIterator<Item = S>,
    ) -> Result<Self, HandshakeMisuse> {
        let mut offered: Vec<String> = Vec::new();
        for name in subprotocols {
            let name = name.as_ref().to_owned();
            if !is_token(name.as_bytes()) {
                return Err(HandshakeMisuse::InvalidSubprotocol(name));
            }
            if offered.contains(&name) {
                return Err(HandshakeMisuse::RepeatedSubprotocol(name));
            }
            offered.push(name);
        }
        let headers = self.request.headers_mut();
        if offered.is_empty() {
            headers.remove(SEC_WEBSOCKET_PROTOCOL);
        } else {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, ascii_value(offered.join(", ")));
        }
        self.subprotocols = offered;
        Ok(self)
    }

    /// Adds headers, such as `Origin`, `Cookie` or `Authorization`. A `Host` replaces the URI's.
    ///
    /// # Errors
    ///
    /// [`HandshakeMisuse::ReservedHeader`] for those that belong to the handshake, and
    /// [`HandshakeMisuse::InvalidHost`].
    pub fn with_headers(mut self, extra: &HeaderMap) -> Result<Self, HandshakeMisuse> {
        let headers = self.request.headers_mut();
        if let Some(host) = extra.get(HOST) {
            if extra.get_all(HOST).iter().count() > 1 || !names_host(host.as_bytes()) {
                return Err(HandshakeMisuse::InvalidHost(shown(host.as_bytes())));
            }
            // The new value comes with the others.
            headers.remove(HOST);
        }
        add_extra(headers, extra)?;
        Ok(self)
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<()> {
        &self.request
    }

    /// The request as it goes out.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        write_request(&self.request, &mut bytes);
        bytes
    }

    /// Judges the response (RFC 6455 §4.1, the client's validation of the server's response).
    ///
    /// A server that takes none of the offered subprotocols passes, since RFC 6455 lets it:
    /// [`Negotiated::subprotocol`] is then `None`.
    ///
    /// # Errors
    ///
    /// [`ResponseError`], upon which the client must close the connection without a close frame.
    pub fn verify(&self, head: &Head<Response<()>>) -> Result<Negotiated, ResponseError> {
        let response = &head.message;
        let headers = response.headers();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ResponseError::Status(Box::new(response.clone())));
        }
        if response.version() != Version::HTTP_11 {
            return Err(ResponseError::Version(response.version()));
        }
        // "… or the |Upgrade| header field contains a value that is not an ASCII case-insensitive
        // match for the value "websocket", the client MUST _Fail the WebSocket Connection_."
        let mut upgrades = elements(headers, UPGRADE);
        if upgrades.len() != 1 || !upgrades.remove(0).eq_ignore_ascii_case(b"websocket") {
            return Err(ResponseError::Upgrade(found(headers, UPGRADE)));
        }
        if !list_contains(headers, CONNECTION, "upgrade") {
            return Err(ResponseError::Connection(found(headers, CONNECTION)));
        }
        // "… ignoring any leading and trailing whitespace". §11.3.3: "The |Sec-WebSocket-Accept|
        // header MUST NOT appear more than once in an HTTP response."
        if elements(headers, SEC_WEBSOCKET_ACCEPT) != [self.accept.as_bytes()] {
            return Err(ResponseError::Accept {
                expected: self.accept.clone(),
                found: found(headers, SEC_WEBSOCKET_ACCEPT),
            });
        }
        #[cfg(feature = "deflate")]
        if let Some(config) = &self.deflate {
            let extensions = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
            return Ok(Negotiated {
                deflate: config.check(extensions).map_err(|error| {
                    let found = found(headers, SEC_WEBSOCKET_EXTENSIONS);
                    ResponseError::Extension(format!("{error}: {found}"))
                })?,
                ..self.negotiated(head)?
            });
        }
        // "If the response includes a |Sec-WebSocket-Extensions| header field and this header
        // field indicates the use of an extension that was not present in the client's
        // handshake …": none was.
        // An empty value is no legal one (§9.1) and fails as well.
        if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            let found = found(headers, SEC_WEBSOCKET_EXTENSIONS);
            return Err(ResponseError::Extension(format!("not offered: {found}")));
        }
        self.negotiated(head)
    }

    fn negotiated(&self, head: &Head<Response<()>>) -> Result<Negotiated, ResponseError> {
        Ok(Negotiated {
            subprotocol: self.subprotocol(head.message.headers())?,
            head_len: head.len,
            ..Negotiated::new(Role::Client)
        })
    }

    /// "If the response includes a |Sec-WebSocket-Protocol| header field and this header field
    /// indicates the use of a subprotocol that was not present in the client's handshake […], the
    /// client MUST _Fail the WebSocket Connection_."
    fn subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, ResponseError> {
        let mut chosen = list(headers, SEC_WEBSOCKET_PROTOCOL);
        let (Some(name), rest) = (chosen.next(), chosen.next()) else {
            return Ok(None);
        };
        match self
            .subprotocols
            .iter()
            .find(|offered| offered.as_bytes() == name)
        {
            Some(name) if rest.is_none() => Ok(Some(name.clone())),
            _ => Err(ResponseError::Subprotocol {
                offered: self.subprotocols.clone(),
                found: found(headers, SEC_WEBSOCKET_PROTOCOL),
            }),
        }
    }
}

/// The elements of a list that are not empty.
fn elements(headers: &HeaderMap, name: http::HeaderName) -> Vec<&[u8]> {
    list(headers, name)
        .filter(|element| !element.is_empty())
        .collect()
}

/// What came in place of what was expected, for an error's text.
fn found(headers: &HeaderMap, name: http::HeaderName) -> String {
    match list(headers, name).collect::<Vec<_>>() {
        none if none.is_empty() => "no such header".to_owned(),
        lines => shown(&lines.join(&b", "[..])),
    }
}

/// Why a client must not use the connection: the server's answer to its handshake is not the one
/// that RFC 6455 §4.1 asks for. All of it is the server's doing, or that of what stands between.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ResponseError {
    /// The status is not 101: the server refused, wants a login, or redirects. The whole response
    /// is kept; its body, if any, follows in the buffer.
    Status(Box<Response<()>>),
    /// 101 in an HTTP version that has no upgrades.
    Version(Version),
    /// `Upgrade` is not `websocket`; what was found.
    Upgrade(String),
    /// `Connection` does not contain `Upgrade`; what was found.
    Connection(String),
    /// `Sec-WebSocket-Accept` is missing, repeated or wrong: whoever answered did not read this
    /// request's key.
    Accept {
        /// The value that answers the key sent.
        expected: String,
        /// What was found.
        found: String,
    },
    /// `Sec-WebSocket-Extensions` names what was not offered, or is wrong in itself; why, and what
    /// was found.
    Extension(String),
    /// A subprotocol that was not offered, or more than one.
    Subprotocol {
        /// What this client offered.
        offered: Vec<String>,
        /// What was found.
        found: String,
    },
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(response) => {
                write!(
                    f,
                    "expected status 101, the server answered {}",
                    response.status()
                )
            }
            Self::Version(version) => write!(f, "expected 101 in HTTP/1.1, it came in {version:?}"),
            Self::Upgrade(found) => write!(f, "expected Upgrade: websocket, found {found}"),
            Self::Connection(found) => write!(f, "expected Connection: Upgrade, found {found}"),
            Self::Accept { expected, found } => write!(
                f,
                "expected Sec-WebSocket-Accept: {expected}, found {found}: the answer is not to \
                 this request (a cache, or no WebSocket server?)"
            ),
            Self::Extension(found) => {
                write!(f, "the server's Sec-WebSocket-Extensions is wrong: {found}")
            }
            Self::Subprotocol { offered, found } if offered.is_empty() => {
                write!(f, "no subprotocol was offered, the server chose {found}")
            }
            Self::Subprotocol { offered, found } => write!(
                f,
                "expected one subprotocol of {}, the server chose {found}",
                offered.join(", ")
            ),
        }
    }
}

impl core::error::Error for ResponseError {}
