//! What a socket is made from: the constructor's arguments, judged as the standard says, and what
//! it takes for granted in a browser. Nothing here connects.

use super::exception::DomException;
use super::ports;
use super::remote::{Remote, SpawnError};
use super::{WebSocket, remote};
use crate::client::Connector;
use crate::grammar::is_token;
use url::Url;

/// How many bytes of messages may wait to be dispatched unless told otherwise.
const MAX_PENDING: usize = 1024 * 1024;

/// What a browser knows besides the constructor's arguments: the page's URL, headers, limits.
///
/// ```no_run
/// use newswire::{Connector, event};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let origin = http::HeaderValue::from_static("https://example.com");
/// let socket = event::Options::new()
///     .base_url("https://example.com/chat/index.html")?
///     .connector(Connector::new().header(http::header::ORIGIN, origin))
///     .open("socket?room=1", "chat")?;
/// assert_eq!(socket.url(), "wss://example.com/chat/socket?room=1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    base: Option<Url>,
    pub(super) connector: Connector,
    allow_bad_ports: bool,
    pub(super) max_pending: usize,
    pub(super) max_buffered_amount: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base: None,
            connector: Connector::new(),
            allow_bad_ports: false,
            max_pending: MAX_PENDING,
            max_buffered_amount: u64::MAX,
        }
    }
}

impl Options {
    /// The defaults: no base URL, [`Connector::new`], Fetch's bad ports are blocked, and of what
    /// was received 1 MiB may wait.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The URL that relative ones are relative to. Without it they are no URLs.
    ///
    /// # Errors
    /// A `SyntaxError` when it is none itself.
    pub fn base_url(mut self, url: &str) -> Result<Self, DomException> {
        let base = Url::parse(url).map_err(|error| not_a_url(url, error))?;
        self.base = Some(base);
        Ok(self)
    }

    /// How to connect: headers such as `Origin` and `Cookie`, limits, timeouts. The subprotocols
    /// are the constructor's.
    #[must_use]
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }

    /// Whether to connect to ports that belong to services which are not HTTP's, such as 25 and
    /// 6667. Default: no, such a connection fails; so the Fetch Standard protects those services
    /// from scripts.
    #[must_use]
    pub fn allow_bad_ports(mut self, allow: bool) -> Self {
        self.allow_bad_ports = allow;
        self
    }

    /// How many bytes of received messages may wait to be dispatched; from then on nothing is
    /// read, so that a fast server has to wait for a slow program. Default: 1 MiB. A message is
    /// never split for it, so one message more may be held. Pings are not read either, and some
    /// servers give up on who does not answer them.
    #[must_use]
    pub fn max_pending(mut self, bytes: usize) -> Self {
        self.max_pending = bytes;
        self
    }

    /// How large `bufferedAmount` may become. A message that would make it larger is not sent,
    /// and the connection is closed as the standard says of a socket that is "full": `error` and
    /// `close` with 1006 follow. Default: no limit, so it is the program that has to look at it.
    #[must_use]
    pub fn max_buffered_amount(mut self, bytes: u64) -> Self {
        self.max_buffered_amount = bytes;
        self
    }

    /// [`WebSocket::new`] with these options.
    ///
    /// # Errors
    /// As [`WebSocket::new`].
    pub fn open(&self, url: &str, protocols: impl Protocols) -> Result<WebSocket, DomException> {
        Ok(WebSocket::start(self.request(url, protocols)?))
    }

    /// Makes a socket on a thread of its own, which calls its handlers until it is closed.
    /// `set_up` runs there first, before anything can have happened.
    ///
    /// Nobody needs to keep the [`Remote`]; with one, what any thread posts runs there too. The
    /// thread ends when the socket is closed and the last `Remote` dropped.
    ///
    /// ```no_run
    /// use newswire::event;
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let remote = event::Options::new().spawn("ws://127.0.0.1:9998/echo", (), |socket| {
    ///     socket.set_onmessage(Some(Box::new(|_, event| println!("{:?}", event.data))));
    /// })?;
    /// remote.post(|socket| println!("state {:?}", socket.ready_state()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`WebSocket::new`], at once; and when the system has no thread left.
    pub fn spawn(
        &self,
        url: &str,
        protocols: impl Protocols,
        set_up: impl FnOnce(&WebSocket) + Send + 'static,
    ) -> Result<Remote, SpawnError> {
        let request = self.request(url, protocols);
        remote::spawn(request.map_err(SpawnError::Exception)?, set_up)
    }

    /// The constructor's steps up to those that run in parallel.
    fn request(&self, url: &str, protocols: impl Protocols) -> Result<Request, DomException> {
        let protocols = protocols.into_protocols();
        let url = self.parse(url)?;
        check_protocols(&protocols)?;
        Ok(Request {
            url,
            protocols,
            options: self.clone(),
        })
    }

    /// The standard, "get a URL record".
    fn parse(&self, text: &str) -> Result<Url, DomException> {
        // "Let urlRecord be the result of applying the URL parser to url with baseURL. If
        // urlRecord is failure, then throw a "SyntaxError" DOMException."
        let mut url = Url::options()
            .base_url(self.base.as_ref())
            .parse(text)
            .map_err(|error| not_a_url(text, error))?;
        // "If urlRecord's scheme is "http", then set urlRecord's scheme to "ws". Otherwise, if
        // urlRecord's scheme is "https", set urlRecord's scheme to "wss"."
        let mapped = match url.scheme() {
            "http" => Some("ws"),
            "https" => Some("wss"),
            _ => None,
        };
        if let Some(scheme) = mapped {
            // One special scheme for another is always allowed.
            let _ = url.set_scheme(scheme);
        }
        // "If urlRecord's scheme is not "ws" or "wss", then throw a "SyntaxError" DOMException."
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(DomException::syntax(format!(
                "the URL's scheme is {:?}; it must be ws, wss, http or https",
                url.scheme()
            )));
        }
        // "If urlRecord's fragment is non-null, then throw a "SyntaxError" DOMException."
        if url.fragment().is_some() {
            return Err(DomException::syntax(format!(
                "the URL {text:?} has a fragment: leave out all from \"#\" on, or write %23"
            )));
        }
        Ok(url)
    }
}

fn not_a_url(text: &str, error: url::ParseError) -> DomException {
    DomException::syntax(format!("{text:?} is not a URL: {error}"))
}

/// "If any of the values in protocols occur more than once or otherwise fail to match the
/// requirements for elements that comprise the value of `Sec-WebSocket-Protocol` fields […], then
/// throw a "SyntaxError" DOMException."
///
/// Names that differ only in case count as the same, as the public tests have it.
fn check_protocols(protocols: &[String]) -> Result<(), DomException> {
    for (at, name) in protocols.iter().enumerate() {
        if !is_token(name) {
            return Err(DomException::syntax(format!(
                "the subprotocol {name:?} is not a token: use letters, digits and !#$%&'*+-.^_`|~"
            )));
        }
        if protocols[..at].iter().any(|p| p.eq_ignore_ascii_case(name)) {
            return Err(DomException::syntax(format!(
                "the subprotocol {name:?} is there twice"
            )));
        }
    }
    Ok(())
}

/// What the constructor has found, ready to be connected to.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) protocols: Vec<String>,
    pub(super) options: Options,
}

impl Request {
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// How to ask for the URL, or why it must not be asked for.
    pub(super) fn connector(&self) -> Result<Connector, String> {
        let port = self.port();
        // Fetch, main fetch: "If […] should request be blocked due to a bad port […] returns
        // blocked, then set response to a network error."
        if !self.options.allow_bad_ports && ports::is_bad(port) {
            return Err(format!(
                "port {port} is blocked: it belongs to another protocol"
            ));
        }
        let connector = self
            .options
            .connector
            .clone()
            .subprotocols(self.protocols.iter().cloned())
            .require_subprotocol(true)
            // The standard has its request's redirect mode be "error".
            .max_redirects(0);
        Ok(connector)
    }
}

/// The constructor's second argument: `()` for none, one name, or a list of names.
pub trait Protocols {
    /// The names.
    fn into_protocols(self) -> Vec<String>;
}

impl Protocols for () {
    fn into_protocols(self) -> Vec<String> {
        Vec::new()
    }
}

/// "If protocols is a string, set protocols to a sequence consisting of just that string."
impl Protocols for &str {
    fn into_protocols(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Protocols for String {
    fn into_protocols(self) -> Vec<String> {
        vec![self]
    }
}

impl<S: AsRef<str>> Protocols for &[S] {
    fn into_protocols(self) -> Vec<String> {
        self.iter().map(|name| name.as_ref().to_owned()).collect()
    }
}

impl<S: AsRef<str>, const N: usize> Protocols for [S; N] {
    fn into_protocols(self) -> Vec<String> {
        self.as_slice().into_protocols()
    }
}

impl<S: AsRef<str>> Protocols for Vec<S> {
    fn into_protocols(self) -> Vec<String> {
        self.as_slice().into_protocols()
    }
}
