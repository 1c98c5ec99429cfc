//! What a run does, worked out from the flags before the first connection: where to, how many,
//! what each connection says and how long it lives. No load is made here.

use super::compression;
use super::options::{Content, Load, Messages, Pace, Target, Window};
use super::traffic::Traffic;
use http::{HeaderMap, HeaderName, HeaderValue};
use newswire::proto::handshake::{ClientHandshake, WebSocketUri};
use newswire::tls::rustls::ClientConfig;
use newswire::tls::rustls::pki_types::ServerName;
use newswire::tls::{ClientTls, TlsError};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// What a connection sends once it is open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Talk {
    Nothing,
    /// So many messages, the next one when one has come back.
    Closed {
        in_flight: u64,
    },
    /// Whatever is due: so many messages a second over all connections.
    Open {
        rate: u64,
    },
    /// So many messages one after the other, and then no more.
    Once {
        messages: u64,
    },
    /// A message each so often.
    Spread {
        interval: Duration,
    },
}

/// How long a connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// To the end of the run.
    Lasting,
    /// It is closed as soon as it is open, with or without a closing handshake, and opened again.
    Instant { close: bool },
    /// So long; then it is closed and another one opened.
    Limited(Duration),
}

/// All connections are dropped at once, several times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm {
    pub(super) rounds: u32,
    pub(super) pause: Duration,
}

/// How `wss:` is spoken.
#[derive(Debug)]
pub(super) struct Secure {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Secure {
    /// What the flags say, with nothing for `ws:`.
    fn new(uri: &WebSocketUri, target: &Target) -> Result<Option<Self>, String> {
        if !uri.is_secure() {
            for (flag, is_given) in [
                ("--insecure", target.insecure),
                ("--ca", target.ca.is_some()),
            ] {
                if is_given {
                    return Err(format!("{flag} means nothing for {}: use wss:", target.url));
                }
            }
            return Ok(None);
        }
        let told = |error: TlsError| error.to_string();
        let tls = match &target.ca {
            Some(ca) => ClientTls::new().ca_file(ca).map_err(told)?,
            None if target.insecure => ClientTls::new().dangerous().accept_any_certificate(),
            None => ClientTls::new(),
        };
        let host = uri.host().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsError::ServerName(host.to_owned()).to_string())?;
        let config = tls.config().map_err(told)?;
        Ok(Some(Self { config, name }))
    }
}

/// What a run does.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) load: &'static str,
    pub(super) uri: WebSocketUri,
    pub(super) secure: Option<Secure>,
    pub(super) address: SocketAddr,
    pub(super) sources: Vec<IpAddr>,
    subprotocols: Vec<String>,
    headers: HeaderMap,
    /// Ordinary connections; the slow ones come on top.
    pub(super) connections: usize,
    pub(super) slow: usize,
    /// Bytes a second that a slow one reads.
    pub(super) read_rate: u64,
    pub(super) threads: usize,
    pub(super) ramp: Duration,
    pub(super) timeout: Duration,
    pub(super) content: Content,
    pub(super) traffic: Traffic,
    pub(super) talk: Talk,
    pub(super) life: Life,
    pub(super) storm: Option<Storm>,
    pub(super) window: Window,
}

impl Plan {
    /// Works out what to do.
    ///
    /// # Errors
    /// One line on the flag that cannot be followed.
    pub(super) fn new(load: &Load) -> Result<Self, String> {
        let no_content = Content {
            size: bytesize::ByteSize(0),
            text: false,
            binary: true,
            compression: false,
        };
        let window = |duration| Window {
            duration,
            warm_up: Duration::ZERO,
        };
        match load {
            Load::Echo(echo) => {
                Self::base("echo", &echo.target, echo.messages.content, echo.window)
                    .map(|plan| plan.talking(echo.messages, echo.pace))
            }
            Load::Connect(connect) => {
                let mut plan = Self::base("connect", &connect.target, no_content, connect.window)?;
                plan.life = Life::Instant {
                    close: !connect.no_close,
                };
                Ok(plan)
            }
            Load::Idle(idle) => {
                let mut plan = Self::base("idle", &idle.target, idle.content, idle.window)?;
                plan.talk = Talk::Once {
                    messages: idle.messages.into(),
                };
                Ok(plan)
            }
            Load::Churn(churn) => {
                let mut plan = Self::base("churn", &churn.target, churn.content, churn.window)?;
                plan.life = Life::Limited(churn.lifetime);
                plan.ramp = plan.ramp.max(churn.lifetime);
                if churn.messages > 0 {
                    plan.talk = Talk::Spread {
                        interval: churn.lifetime / churn.messages,
                    };
                }
                Ok(plan)
            }
            Load::Slow(slow) => {
                let mut plan =
                    Self::base("slow", &slow.target, slow.messages.content, slow.window)?
                        .talking(slow.messages, slow.pace);
                plan.slow = number("--slow", slow.slow)?;
                plan.read_rate = slow.read_rate.as_u64();
                Ok(plan)
            }
            Load::Storm(storm) => {
                let mut plan =
                    Self::base("storm", &storm.target, no_content, window(Duration::ZERO))?;
                plan.storm = Some(Storm {
                    rounds: storm.rounds,
                    pause: storm.pause,
                });
                Ok(plan)
            }
        }
    }

    fn base(
        load: &'static str,
        target: &Target,
        content: Content,
        window: Window,
    ) -> Result<Self, String> {
        let url = &target.url;
        let uri = WebSocketUri::parse(url).map_err(|error| format!("{url}: {error}"))?;
        let sources: Vec<IpAddr> = target.source.iter().flat_map(|s| s.0.clone()).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in &target.header {
            let wrong = || format!("--header '{name}: {value}' is not a header");
            let name = HeaderName::try_from(name).map_err(|_| wrong())?;
            headers.append(name, HeaderValue::try_from(value).map_err(|_| wrong())?);
        }
        let plan = Self {
            load,
            secure: Secure::new(&uri, target)?,
            address: resolve(&uri, &sources, target.timeout)?,
            uri,
            sources,
            subprotocols: target.subprotocol.clone(),
            headers,
            connections: number("--connections", target.connections)?,
            slow: 0,
            read_rate: 0,
            threads: usize::from(target.threads),
            ramp: target.ramp,
            timeout: target.timeout,
            content,
            traffic: Traffic::new(content),
            talk: Talk::Nothing,
            life: Life::Lasting,
            storm: None,
            window,
        };
        plan.try_handshake([0; 16])?;
        Ok(plan)
    }

    fn talking(mut self, messages: Messages, pace: Pace) -> Self {
        self.talk = match pace.rate {
            Some(rate) => Talk::Open { rate },
            None => Talk::Closed {
                in_flight: messages.in_flight,
            },
        };
        self
    }

    /// All connections, slow ones included.
    pub(super) fn all(&self) -> usize {
        self.connections + self.slow
    }

    /// A handshake with a nonce of its own.
    pub(super) fn handshake(&self) -> ClientHandshake {
        self.try_handshake(fastrand::u128(..).to_ne_bytes())
            .expect("the same names and headers were accepted when the plan was made")
    }

    fn try_handshake(&self, nonce: [u8; 16]) -> Result<ClientHandshake, String> {
        let handshake = ClientHandshake::new(&self.uri, nonce);
        let handshake = if self.content.compression {
            handshake.with_deflate(compression::offer())
        } else {
            handshake
        };
        handshake
            .with_subprotocols(&self.subprotocols)
            .and_then(|handshake| handshake.with_headers(&self.headers))
            .map_err(|error| error.to_string())
    }

    /// The time that counts is about handshakes, not about messages.
    pub(super) fn counts_handshakes(&self) -> bool {
        matches!(self.life, Life::Instant { .. })
    }
}

fn number(flag: &str, count: u64) -> Result<usize, String> {
    // Far above what a machine has ports and memory for, and it fits every type used for counting.
    usize::try_from(count)
        .ok()
        .filter(|count| *count <= 10_000_000)
        .ok_or_else(|| format!("{flag} {count}: at most 10M"))
}

/// The address to connect to: the first that the name has, or, if there are several, the first
/// that accepts a connection.
fn resolve(
    uri: &WebSocketUri,
    sources: &[IpAddr],
    timeout: Duration,
) -> Result<SocketAddr, String> {
    let (host, port) = (uri.host(), uri.port());
    let mut addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host}: no address found: {error}"))?
        .collect();
    addresses.dedup();
    addresses.retain(|to| sources.iter().all(|from| from.is_ipv4() == to.is_ipv4()));
    match addresses[..] {
        [] => Err(format!("{host} has no address of the kind of --source")),
        [only] => Ok(only),
        [first, ..] => Ok(addresses
            .iter()
            .copied()
            .find(|address| TcpStream::connect_timeout(address, timeout).is_ok())
            .unwrap_or(first)),
    }
}
