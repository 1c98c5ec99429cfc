//! [`Proxy`]: which way leads to a server, and being let through: HTTP CONNECT (RFC 9110 §9.3.6) and
//! SOCKS 5 (RFC 1928). What is spoken on the other side is not known here.

use super::Connector;
use super::deadline::Deadline;
use super::error::{ConnectError, Step};
use super::exchange::{exchange, with_body};
use crate::transport::Stream;
use bytes::Buf;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{Request, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use newswire_proto::handshake::{WebSocketUri, write_request};
use std::net::IpAddr;
use std::sync::Arc;
use std::{env, fmt};
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;

/// Which proxy leads to a server: for [`Connector::proxy`]. The default is
/// [`environment`](Self::environment).
///
/// A proxy's URL is `http://host:port`, `https://host:port` (TLS to the proxy, feature `rustls`),
/// `socks5h://host:port` (the proxy looks up the server's name) or `socks5://host:port` (it is
/// looked up here). Credentials go before the host: `http://name:password@host:port`.
///
/// HTTP proxies are asked for a tunnel (CONNECT), for `ws:` too, and TLS is spoken with the server
/// through it.
///
/// ```
/// use newswire::{Connector, Proxy};
///
/// # fn example() -> newswire::Result {
/// let proxy = Proxy::all("socks5h://127.0.0.1:1080")?.except(".example.com, 10.0.0.0/8");
/// let connector = Connector::new().proxy(proxy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Proxy(Rules);

#[derive(Clone, Default)]
enum Rules {
    #[default]
    Environment,
    None,
    All {
        url: String,
        matcher: Arc<Matcher>,
    },
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::None => f.write_str("None"),
            // It hides the password.
            Self::All { matcher, .. } => matcher.fmt(f),
        }
    }
}

/// The variables that name a proxy.
const VARIABLES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

impl Proxy {
    /// What the environment says, as for curl: `HTTP_PROXY` for `ws:`, `HTTPS_PROXY` for `wss:`,
    /// `ALL_PROXY` for both where the other is not set, and in `NO_PROXY` the hosts, domains and
    /// networks that are reached without, or `*`; each also in small letters. They are read anew
    /// for each connection. Loopback addresses and `localhost` are always reached without, since
    /// they would be the proxy's own. In a CGI program the variables count for nothing, as a
    /// client's header could set one.
    #[must_use]
    pub fn environment() -> Self {
        Self(Rules::Environment)
    }

    /// No proxy, whatever the environment says.
    #[must_use]
    pub fn none() -> Self {
        Self(Rules::None)
    }

    /// One proxy for all servers, loopback included.
    ///
    /// # Errors
    /// [`ConnectError::Setting`] when it is not a proxy's URL.
    pub fn all(url: &str) -> Result<Self, ConnectError> {
        if !is_usable(url) {
            return Err(ConnectError::Setting(unusable("", url)));
        }
        Ok(Self(Rules::All {
            url: url.to_owned(),
            matcher: Arc::new(Matcher::builder().all(url).build()),
        }))
    }

    /// Hosts, domains and networks that are reached without the proxy, with commas between them, as
    /// in `NO_PROXY`: `.example.com, 10.0.0.0/8`. It does nothing to [`environment`](Self::environment),
    /// which has its own.
    #[must_use]
    pub fn except(self, hosts: &str) -> Self {
        Self(match self.0 {
            Rules::All { url, .. } => Rules::All {
                matcher: Arc::new(Matcher::builder().all(&url).no(hosts).build()),
                url,
            },
            other => other,
        })
    }

    /// The proxy that leads to `uri`, if one does.
    pub(super) fn to(&self, uri: &WebSocketUri) -> Result<Option<Intercept>, ConnectError> {
        match &self.0 {
            Rules::None => Ok(None),
            Rules::All { matcher, .. } => Ok(matched(matcher, uri)),
            Rules::Environment => from_variables(uri, |name| env::var(name).ok()),
        }
    }
}

/// What the variables say that `lookup` finds.
fn from_variables(
    uri: &WebSocketUri,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<Intercept>, ConnectError> {
    if is_loopback(uri.host()) || lookup("REQUEST_METHOD").is_some() {
        return Ok(None);
    }
    let value = |name: &str| {
        let found = lookup(name).or_else(|| lookup(&name.to_ascii_lowercase()));
        found.unwrap_or_default()
    };
    let values = VARIABLES.map(value);
    // A proxy that was asked for and is not used would be a leak.
    if let Some((name, url)) = VARIABLES
        .iter()
        .zip(&values)
        .find(|(_, url)| !url.is_empty() && !is_usable(url))
    {
        return Err(ConnectError::Setting(unusable(&format!("{name}: "), url)));
    }
    let [http, https, all] = values;
    let builder = Matcher::builder().http(http).https(https).all(all);
    Ok(matched(&builder.no(value("NO_PROXY")).build(), uri))
}

fn matched(matcher: &Matcher, uri: &WebSocketUri) -> Option<Intercept> {
    // It knows web pages only.
    let scheme = if uri.is_secure() { "https" } else { "http" };
    let page = format!("{scheme}://{}/", uri.host_header());
    matcher.intercept(&page.parse().ok()?)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_usable(url: &str) -> bool {
    let any = Uri::from_static("http://host.invalid/");
    let proxy = Matcher::builder().all(url).build().intercept(&any);
    proxy.is_some_and(|proxy| {
        proxy.uri().host().is_some_and(|host| !host.is_empty())
            && matches!(
                proxy.uri().scheme_str(),
                Some("http" | "https" | "socks5" | "socks5h")
            )
    })
}

fn unusable(name: &str, url: &str) -> String {
    // The credentials are nobody's to read in a log.
    let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
    format!(
        "{name}{shown:?} is not a proxy's URL: it begins with http://, https://, socks5:// or \
         socks5h://, and has a host"
    )
}

impl Connector {
    /// A stream to the server that the proxy has let through.
    pub(super) async fn through(
        &self,
        proxy: &Intercept,
        uri: &WebSocketUri,
        deadline: Deadline,
    ) -> Result<Stream, ConnectError> {
        let tunnel = async {
            let stream = self.reach_proxy(proxy.uri(), deadline).await?;
            match proxy.uri().scheme_str() {
                Some("socks5") => {
                    let found = self.dial.addresses(uri.host(), uri.port(), deadline);
                    let address = found.await?.into_iter().next();
                    let address = address.ok_or_else(|| ConnectError::Tcp {
                        host: uri.host().to_owned(),
                        attempts: Vec::new(),
                    })?;
                    socks(stream, proxy.raw_auth(), TargetAddr::Ip(address)).await
                }
                Some("socks5h") => {
                    let target = match uri.host().parse::<IpAddr>() {
                        Ok(address) => TargetAddr::Ip((address, uri.port()).into()),
                        Err(_) => TargetAddr::Domain(uri.host().into(), uri.port()),
                    };
                    socks(stream, proxy.raw_auth(), target).await
                }
                _ => self.tunnel(stream, proxy.basic_auth(), uri, deadline).await,
            }
        };
        let tunnel = deadline.within(Step::Proxy, tunnel).await;
        tunnel.map_err(|error| ConnectError::Proxy {
            proxy: Shown(proxy.uri()).to_string(),
            error: Box::new(error),
        })
    }

    async fn reach_proxy(&self, uri: &Uri, deadline: Deadline) -> Result<Stream, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => 1080,
        });
        let stream = self.dial.connect(host, port, deadline).await?;
        if uri.scheme_str() != Some("https") {
            return Ok(stream);
        }
        #[cfg(not(feature = "rustls"))]
        return Err(ConnectError::TlsNeeded);
        #[cfg(feature = "rustls")]
        Ok(self.tls.connect(host, stream).await?)
    }

    /// Asks an HTTP proxy for a tunnel.
    async fn tunnel(
        &self,
        mut stream: Stream,
        credentials: Option<&HeaderValue>,
        uri: &WebSocketUri,
        deadline: Deadline,
    ) -> Result<Stream, ConnectError> {
        // RFC 9110 §9.3.6: "a client MUST send the port number even if the CONNECT request is based
        // on a URI reference that contains an authority component with an elided port".
        let host = uri.host();
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let authority = format!("{host}:{}", uri.port());
        let mut request = Request::connect(&authority).header(HOST, &authority);
        if let Some(credentials) = credentials {
            request = request.header(PROXY_AUTHORIZATION, credentials);
        }
        let request = request.body(()).map_err(|error| {
            ConnectError::Setting(format!(
                "a proxy cannot be asked for {authority:?}: {error}"
            ))
        })?;
        let mut bytes = Vec::with_capacity(256);
        write_request(&request, &mut bytes);
        let (head, mut rest) = exchange(&mut stream, &bytes, self.config.head).await?;
        rest.advance(head.len);
        // RFC 9110 §9.3.6: "Any 2xx (Successful) response indicates that the sender (and all inbound
        // proxies) will switch to tunnel mode immediately after the response header section".
        if !head.message.status().is_success() {
            let answer = with_body(&mut stream, head.message, rest, deadline).await;
            return Err(ConnectError::Status(answer));
        }
        // The server does not speak first, and this is not the server's.
        if !rest.is_empty() {
            let reason = "the proxy goes on talking after it has opened the tunnel";
            return Err(ConnectError::Io(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                reason,
            )));
        }
        Ok(stream)
    }
}

async fn socks(
    stream: Stream,
    credentials: Option<(&str, &str)>,
    target: TargetAddr<'_>,
) -> Result<Stream, ConnectError> {
    let connected = match credentials {
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
        }
        None => Socks5Stream::connect_with_socket(stream, target).await,
    };
    match connected {
        Ok(stream) => Ok(stream.into_inner()),
        Err(tokio_socks::Error::Io(error)) => Err(ConnectError::Io(error)),
        Err(error) => Err(ConnectError::Socks(error.to_string())),
    }
}

/// A proxy's URL without the path that it must have.
struct Shown<'a>(&'a Uri);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or("http");
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Proxy, Shown, from_variables};
    use crate::client::error::ConnectError;
    use newswire_proto::handshake::WebSocketUri;

    /// The proxy on the way to `url` when these variables are set.
    fn proxy(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let uri = WebSocketUri::parse(url).expect("a URI");
        let found = from_variables(&uri, |name| {
            let variable = variables.iter().find(|(key, _)| *key == name);
            variable.map(|(_, value)| (*value).to_owned())
        });
        match found {
            Ok(proxy) => Ok(proxy.map(|proxy| Shown(proxy.uri()).to_string())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn some(url: &str) -> Result<Option<String>, String> {
        Ok(Some(url.to_owned()))
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_stands_in() {
        let set = [
            ("HTTP_PROXY", "http://plain:1"),
            ("https_proxy", "secure:2"),
        ];
        assert_eq!(proxy("ws://example.com/", &set), some("http://plain:1"));
        assert_eq!(proxy("wss://example.com/", &set), some("http://secure:2"));
        let set = [("ALL_PROXY", "socks5h://a:b@any:3"), ("HTTPS_PROXY", "")];
        assert_eq!(proxy("ws://example.com/", &set), some("socks5h://any:3"));
        assert_eq!(proxy("wss://example.com/", &set), some("socks5h://any:3"));
        assert_eq!(proxy("wss://example.com/", &[]), Ok(None));
    }

    #[test]
    fn what_no_proxy_names_is_reached_without_and_so_is_loopback() {
        let set = [
            ("ALL_PROXY", "http://any:3"),
            ("NO_PROXY", "example.com, 10.0.0.0/8,[::2]"),
        ];
        for url in [
            "ws://example.com/",
            "wss://a.example.com:8443/",
            "ws://10.1.2.3/",
            "ws://localhost:9998/",
            "ws://page.localhost/",
            "ws://127.0.0.2/",
            "wss://[::1]/",
        ] {
            assert_eq!(proxy(url, &set), Ok(None), "{url}");
        }
        assert_eq!(proxy("ws://notexample.com/", &set), some("http://any:3"));
        assert_eq!(proxy("ws://11.1.2.3/", &set), some("http://any:3"));
        assert_eq!(proxy("ws://[::3]/", &set), some("http://any:3"));
        let set = [("ALL_PROXY", "http://any:3"), ("no_proxy", "*")];
        assert_eq!(proxy("wss://example.org/", &set), Ok(None));
    }

    #[test]
    fn a_clients_header_does_not_choose_the_proxy_of_a_cgi_program() {
        let set = [("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(proxy("ws://example.com/", &set), Ok(None));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_its_password_stays_unseen() {
        for url in [
            "ftp://u:secret@x:1",
            "http://u:secret@",
            "socks4://u:secret@x",
            "::",
        ] {
            let error = proxy("ws://example.com/", &[("ALL_PROXY", url)]).unwrap_err();
            assert!(error.starts_with("ALL_PROXY: "), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
            let refused = Proxy::all(url);
            assert!(
                matches!(refused, Err(ConnectError::Setting(_))),
                "{url}: {refused:?}"
            );
        }
    }
}
