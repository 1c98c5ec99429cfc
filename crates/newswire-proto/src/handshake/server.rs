//! The server's half (RFC 6455 §4.2): judging a request, and the two answers it can get. Nothing
//! here knows how the head was read, which resource exists, or who may use it.

use core::fmt;

use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};

use super::headers::{
    Repeated, add_extra, ascii_value, is_token, list, list_contains, shown, single,
};
use super::http1::{Head, HeadError, write_headers, write_response};
use super::key::{ACCEPT_LEN, accept_value, is_valid_key};
use super::uri::names_host;
use super::{HandshakeMisuse, Negotiated};
#[cfg(feature = "deflate")]
use crate::deflate::{DeflateOffer, DeflateParams};
use crate::extensions;
use crate::role::Role;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request means to become a WebSocket, however badly: it names `websocket` in
/// `Upgrade`. What else is wrong with it, [`Upgrade::from_request`] will say; a request for
/// which this is false belongs to HTTP.
#[must_use]
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    // RFC 9110 §7.8: "A server that receives an Upgrade header field in an HTTP/1.0 request MUST
    // ignore that Upgrade field."
    request.version() == Version::HTTP_11 && upgrades_to_websocket(request.headers())
}

/// An element of `Upgrade` is a protocol's name and, optionally, `/` and its version.
fn upgrades_to_websocket(headers: &HeaderMap) -> bool {
    list(headers, UPGRADE).any(|protocol| {
        let name = protocol.split(|&byte| byte == b'/').next();
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
    })
}

/// A client's opening handshake that a server may accept (RFC 6455 §4.2.1).
///
/// Extensions that the client offers are left out of the answer, and so are not in use, unless
/// [`Accepted::with_deflate`] puts one there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    accept: [u8; ACCEPT_LEN],
    subprotocols: Vec<String>,
    #[cfg(feature = "deflate")]
    offers: Vec<DeflateOffer>,
    head_len: usize,
}

impl Upgrade {
    /// Judges a request that this crate's [`super::HeadReader`] read.
    ///
    /// # Errors
    ///
    /// As [`Upgrade::from_request`].
    pub fn from_head(head: &Head<Request<()>>) -> Result<Self, Rejection> {
        Ok(Self {
            head_len: head.len,
            ..Self::from_request(&head.message)?
        })
    }

    /// Judges a request whose head somebody else read, such as hyper.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] to answer with: 405 unless it is a GET; 426 if it asks for no upgrade to
    /// WebSocket, cannot ask since it is HTTP/1.0, or asks for another version than 13; 400 for
    /// anything else that RFC 6455 §4.2.1 wants otherwise.
    pub fn from_request<B>(request: &Request<B>) -> Result<Self, Rejection> {
        let headers = request.headers();
        if request.method() != Method::GET {
            let reason = format!(
                "a WebSocket handshake is a GET request, not {}",
                request.method()
            );
            return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, reason)
                .with_header(ALLOW, HeaderValue::from_static("GET"))
                .for_method(request.method()));
        }
        if request.version() == Version::HTTP_10 {
            // Its Upgrade field is ignored (see `is_upgrade`), so it gets the same answer as a
            // request without one.
            return Err(Rejection::upgrade(
                "HTTP/1.0 cannot be upgraded: send HTTP/1.1 (is there a proxy that speaks 1.0 to \
                 its backend?)",
            ));
        }
        if !upgrades_to_websocket(headers) {
            return Err(Rejection::upgrade_required());
        }
        if !list_contains(headers, CONNECTION, "upgrade") {
            return Err(Rejection::bad_request(
                "the Connection header must contain Upgrade (did a proxy take it away?)",
            ));
        }
        match single(headers, HOST) {
            Ok(Some(host)) if names_host(host) => {}
            _ => {
                return Err(Rejection::bad_request(
                    "there must be one Host header that names a host",
                ));
            }
        }
        check_version(headers)?;
        let accept = accept_value(check_key(headers)?);
        // RFC 6455 §9.1: "If a value is received by either the client or the server during
        // negotiation that does not conform to the ABNF below, the recipient of such malformed data
        // MUST immediately _Fail the WebSocket Connection_."
        let mut extensions = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter();
        if !extensions.all(|value| extensions::parse(value.as_bytes()).is_ok()) {
            return Err(Rejection::bad_request(
                "Sec-WebSocket-Extensions must be names with parameters: name; parameter=value",
            ));
        }
        let empty = list(headers, CONTENT_LENGTH).all(|length| length == b"0");
        if !empty || headers.contains_key(TRANSFER_ENCODING) {
            return Err(Rejection::bad_request(
                "a WebSocket handshake has no body: leave out Content-Length and Transfer-Encoding",
            ));
        }
        Ok(Self {
            accept,
            subprotocols: offered_subprotocols(headers)?,
            #[cfg(feature = "deflate")]
            offers: DeflateOffer::read(headers.get_all(SEC_WEBSOCKET_EXTENSIONS)),
            head_len: 0,
        })
    }

    /// The subprotocols that the client offers, in its order of preference.
    #[must_use]
    pub fn subprotocols(&self) -> &[String] {
        &self.subprotocols
    }

    /// The client's offers of permessage-deflate that a server may accept, the preferred one first
    /// (RFC 7692 §7.1).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate_offers(&self) -> &[DeflateOffer] {
        &self.offers
    }

    /// Accepts the handshake (RFC 6455 §4.2.2), with one of the offered subprotocols or none.
    ///
    /// # Errors
    ///
    /// [`HandshakeMisuse::SubprotocolNotOffered`].
    pub fn accept(&self, subprotocol: Option<&str>) -> Result<Accepted, HandshakeMisuse> {
        if let Some(chosen) = subprotocol
            && !self.subprotocols.iter().any(|offered| offered == chosen)
        {
            return Err(HandshakeMisuse::SubprotocolNotOffered {
                chosen: chosen.to_owned(),
                offered: self.subprotocols.clone(),
            });
        }
        let negotiated = Negotiated {
            role: Role::Server,
            subprotocol: subprotocol.map(str::to_owned),
            #[cfg(feature = "deflate")]
            deflate: None,
            head_len: self.head_len,
        };
        Ok(Accepted {
            accept: self.accept,
            extra: None,
            negotiated,
        })
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), Rejection> {
    match single(headers, SEC_WEBSOCKET_VERSION) {
        Ok(Some(b"13")) => Ok(()),
        Ok(None) => Err(Rejection::upgrade(
            "there is no Sec-WebSocket-Version header: send 13",
        )),
        Ok(Some(other)) => Err(Rejection::upgrade(format!(
            "WebSocket version {} is not spoken here: send Sec-WebSocket-Version: 13",
            shown(other)
        ))),
        // RFC 6455 §11.3.5: "The |Sec-WebSocket-Version| header field MUST NOT appear more than
        // once in an HTTP request."
        Err(Repeated) => Err(Rejection::bad_request(
            "there is more than one Sec-WebSocket-Version header",
        )),
    }
}

fn check_key(headers: &HeaderMap) -> Result<&[u8], Rejection> {
    match single(headers, SEC_WEBSOCKET_KEY) {
        Ok(Some(key)) if is_valid_key(key) => Ok(key),
        Ok(Some(key)) => Err(Rejection::bad_request(format!(
            "the Sec-WebSocket-Key {} is not base64 of 16 bytes",
            shown(key)
        ))),
        Ok(None) => Err(Rejection::bad_request(
            "there is no Sec-WebSocket-Key header",
        )),
        // RFC 6455 §11.3.1: "The |Sec-WebSocket-Key| header field MUST NOT appear more than once
        // in an HTTP request."
        Err(Repeated) => Err(Rejection::bad_request(
            "there is more than one Sec-WebSocket-Key header",
        )),
    }
}

/// RFC 6455 §4.1: "The elements that comprise this value MUST be non-empty strings with
/// characters in the range U+0021 to U+007E not including separator characters […] and MUST all
/// be unique strings."
fn offered_subprotocols(headers: &HeaderMap) -> Result<Vec<String>, Rejection> {
    let mut offered = Vec::new();
    for element in list(headers, SEC_WEBSOCKET_PROTOCOL) {
        let name = str::from_utf8(element).ok().filter(|_| is_token(element));
        let name = name.map(str::to_owned).ok_or_else(|| {
            let found = shown(element);
            Rejection::bad_request(format!(
                "the Sec-WebSocket-Protocol header offers {found}, which is not a token"
            ))
        })?;
        if offered.contains(&name) {
            return Err(Rejection::bad_request(format!(
                "the Sec-WebSocket-Protocol header offers {name} twice"
            )));
        }
        offered.push(name);
    }
    Ok(offered)
}

/// A handshake that was accepted: what to send, and what holds from then on.
#[derive(Clone, Debug)]
#[must_use = "the client waits for this response"]
pub struct Accepted {
    accept: [u8; ACCEPT_LEN],
    /// In a box, as there seldom are any.
    extra: Option<Box<HeaderMap>>,
    negotiated: Negotiated,
}

/// How the answer begins (RFC 6455 §4.2.2), up to the accept value.
const SWITCHING_PROTOCOLS: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";

impl Accepted {
    /// Accepts one of the offers of permessage-deflate: what
    /// [`DeflateConfig::accept`](crate::deflate::DeflateConfig::accept) made of
    /// [`Upgrade::deflate_offers`].
    #[cfg(feature = "deflate")]
    pub fn with_deflate(mut self, params: DeflateParams) -> Self {
        self.negotiated.deflate = Some(params);
        self
    }

    /// Adds headers to the response, such as `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// [`HandshakeMisuse::ReservedHeader`] for those that belong to the handshake.
    pub fn with_headers(mut self, extra: &HeaderMap) -> Result<Self, HandshakeMisuse> {
        if !extra.is_empty() {
            add_extra(self.extra.get_or_insert_default(), extra)?;
        }
        Ok(self)
    }

    /// The 101 response, for those who send it by way of an HTTP library.
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, ascii_value(self.accept));
        headers.extend(self.rest());
        response
    }

    /// The headers that are not in every answer.
    fn rest(&self) -> HeaderMap {
        let mut headers = self.extra.as_deref().cloned().unwrap_or_default();
        if let Some(chosen) = self.negotiated.subprotocol() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, ascii_value(chosen));
        }
        #[cfg(feature = "deflate")]
        if let Some(params) = self.negotiated.deflate {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, params.to_header_value());
        }
        headers
    }

    /// What the two ends agreed on.
    #[must_use]
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// What the two ends agreed on, once the response has been sent.
    #[must_use]
    pub fn into_negotiated(self) -> Negotiated {
        self.negotiated
    }

    /// The response as it goes out; frames follow right behind it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(SWITCHING_PROTOCOLS);
        bytes.extend_from_slice(&self.accept);
        bytes.extend_from_slice(b"\r\n");
        write_headers(&self.rest(), &mut bytes);
        bytes
    }
}

/// The answer to a request that does not become a WebSocket: a status, and one line for the human
/// at the other end that says what was wrong and what to do. As text it is the line to log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the client waits for this response"]
pub struct Rejection {
    status: StatusCode,
    reason: String,
    kind: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    has_content: bool,
}

impl Rejection {
    /// A rejection with any status. Control characters in the reason become spaces, so that it
    /// stays one line.
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        let mut reason: String = reason.into();
        if reason.contains(char::is_control) {
            reason = reason.replace(char::is_control, " ");
        }
        Self {
            status,
            reason,
            kind: status.canonical_reason().unwrap_or("other"),
            headers: Vec::new(),
            has_content: true,
        }
    }

    /// 400: the handshake breaks RFC 6455 or HTTP.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 403: not for this client, page or user.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// 404: nothing is served at this path.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing is served at this path")
    }

    /// 408: the request did not come in time.
    pub fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request was not complete in time",
        )
    }

    /// 426: an ordinary request came to a resource that is a WebSocket only.
    pub fn upgrade_required() -> Self {
        Self::upgrade(
            "this is a WebSocket: connect with a WebSocket client, which sends Upgrade: websocket",
        )
    }

    /// 503: the server has as many connections as it will take, or is going away.
    pub fn service_unavailable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// 426 with what to upgrade to. RFC 6455 §4.4 has the version in it, RFC 9110 §15.5.22 the
    /// protocol.
    fn upgrade(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, reason)
            .with_header(UPGRADE, WEBSOCKET)
            .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
    }

    /// Adds a header to the response, such as `Retry-After`.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says of which kind it is, where the status does not tell: a word of the program's, by which
    /// such rejections are counted.
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Makes it the answer to a request with this method: one to HEAD has no content.
    pub fn for_method(mut self, method: &Method) -> Self {
        // RFC 9110 §9.3.2: "The HEAD method is identical to GET except that the server MUST NOT
        // send content in the response."
        self.has_content = *method != Method::HEAD;
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Of which kind it is: what the status is called, such as "Not Found", unless
    /// [`of_kind`](Self::of_kind) has said otherwise.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What was wrong and what to do, on one line.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The response; its body is the reason.
    #[must_use]
    pub fn to_response(&self) -> Response<String> {
        let body = format!("{}\n", self.reason);
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(CONTENT_LENGTH, length);
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        // RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option in
        // the Connection header field".
        let upgrade = headers.contains_key(UPGRADE);
        let connection = if upgrade { "Upgrade, close" } else { "close" };
        headers.insert(CONNECTION, HeaderValue::from_static(connection));
        response
    }

    /// The response as it goes out. Close the connection behind it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let response = self.to_response();
        let mut bytes = Vec::with_capacity(512);
        write_response(&response, &mut bytes);
        if self.has_content {
            bytes.extend_from_slice(response.body().as_bytes());
        }
        bytes
    }
}

impl From<HeadError> for Rejection {
    /// Every error of a request's head has its answer.
    fn from(error: HeadError) -> Self {
        let status = match error {
            // RFC 9112 §3: "A server that receives a request-target longer than any URI it wishes
            // to parse MUST respond with a 414 (URI Too Long) status code".
            HeadError::RequestLineTooLong { .. } => StatusCode::URI_TOO_LONG,
            HeadError::TooLarge { .. } | HeadError::TooManyHeaders { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            HeadError::Http2Preface | HeadError::Version(_) => {
                StatusCode::HTTP_VERSION_NOT_SUPPORTED
            }
            HeadError::Tls | HeadError::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.reason)
    }
}

impl core::error::Error for Rejection {}
