//! Which proxies are believed, and what they say about the client: `Forwarded` (RFC 7239), or else
//! the `X-Forwarded-` headers. Values in, values out; no socket here.

mod node;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use http::uri::Authority;
use node::{Element, elements_from_the_right, x_forwarded_for};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies whose word about a client is believed: networks, addresses, and `unix` for whoever
/// connects by a Unix socket. None by default.
///
/// What a client could have written itself is worth nothing. So the headers are read from their
/// right end, where the proxy that is connected here has written; the word of the one that it names
/// is worth something only if that one is trusted, too; and the first address that is not trusted is
/// the client's. The proxies must set or take away these headers, and not just let them pass. When
/// there are both `Forwarded` and `X-Forwarded-For`, one of them may be the client's own invention,
/// and only what both say is believed; if they name different clients, nothing.
///
/// ```
/// use newswire::server::TrustedProxies;
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8", "2001:db8::/32", "unix"])?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    unix: bool,
}

/// What trusted proxies say about a request. Nothing of it is known when they say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarded {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Whether the client came over TLS.
    pub secure: Option<bool>,
    /// The `Host` that the client asked for.
    pub host: Option<String>,
}

impl Forwarded {
    /// What both say. Which of the two the proxy has written, nobody knows; the other one may have
    /// passed it as the client wrote it.
    fn agreed(self, other: &Self) -> Self {
        if self.client != other.client {
            return Self::default();
        }
        Self {
            client: self.client,
            secure: self.secure.filter(|_| self.secure == other.secure),
            host: self.host.filter(|host| other.host.as_ref() == Some(host)),
        }
    }
}

impl TrustedProxies {
    /// Trusts these: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`, `unix`.
    ///
    /// # Errors
    /// [`NetworkError`] for what is none of these.
    pub fn new<S: AsRef<str>>(networks: impl IntoIterator<Item = S>) -> Result<Self, NetworkError> {
        let mut proxies = Self::default();
        for text in networks {
            match text.as_ref().trim() {
                "unix" => proxies.unix = true,
                text => proxies.networks.push(text.parse()?),
            }
        }
        Ok(proxies)
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether a proxy with this address is trusted. An IPv4 address in IPv6's clothes
    /// (`::ffff:10.0.0.1`) is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    /// Whether the one who is connected is trusted: by its address, `None` for a Unix socket.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |address| self.contains(address))
    }

    /// What can be believed of `headers`, when `peer` is the one who is connected: nothing unless
    /// it is trusted.
    #[must_use]
    pub fn resolve(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Forwarded {
        if !self.trusts(peer) {
            return Forwarded::default();
        }
        match (
            headers.contains_key(FORWARDED),
            headers.contains_key(X_FORWARDED_FOR),
        ) {
            (true, false) => self.walk(elements_from_the_right(headers)),
            (false, _) => self.x_forwarded(headers),
            (true, true) => {
                let standard = self.walk(elements_from_the_right(headers));
                standard.agreed(&self.x_forwarded(headers))
            }
        }
    }

    /// From the nearest proxy's element on, as far as the one who wrote the next is trusted. Where
    /// an element cannot be read or hides its address, nothing beyond it is known.
    fn walk(&self, elements: impl Iterator<Item = Option<Element>>) -> Forwarded {
        let mut known = Forwarded::default();
        for element in elements {
            let Some(element) = element else { break };
            // How the client came is said where the client is named.
            known.secure = element.secure;
            known.host = element.host;
            let Some(client) = element.client else { break };
            known.client = Some(client);
            if !self.contains(client) {
                break;
            }
        }
        known
    }

    fn x_forwarded(&self, headers: &HeaderMap) -> Forwarded {
        let clients = x_forwarded_for(headers);
        // Each proxy adds its own or overwrites what was there, and nothing tells which. As many of
        // them as there are addresses belong to these; otherwise it is the nearest proxy's word.
        let schemes = node::list(headers, X_FORWARDED_PROTO);
        let hosts = node::list(headers, X_FORWARDED_HOST);
        let count = clients.len();
        let of = |list: &[String], index: usize| {
            let at_its_side = list.get(index).filter(|_| list.len() == count);
            at_its_side.or(list.last()).cloned()
        };
        let elements = clients.iter().enumerate().rev().map(|(index, client)| {
            Some(Element {
                client: *client,
                secure: of(&schemes, index).and_then(|scheme| node::is_secure(&scheme)),
                host: of(&hosts, index).and_then(|host| node::host(&host)),
            })
        });
        if count > 0 {
            return self.walk(elements);
        }
        Forwarded {
            client: None,
            secure: of(&schemes, 0).and_then(|scheme| node::is_secure(&scheme)),
            host: of(&hosts, 0).and_then(|host| node::host(&host)),
        }
    }
}

/// `address/bits`, in canonical form: no bits are set behind the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// `address` is canonical.
    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address without all but its first `bits`.
fn masked(address: IpAddr, bits: u32) -> IpAddr {
    let gone = width(address).saturating_sub(bits);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(gone).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(gone).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = |what: String| NetworkError {
            found: text.escape_debug().take(60).collect(),
            what,
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            wrong("write an address or a network: 192.0.2.7, 10.0.0.0/8, fd00::/8 or unix".into())
        })?;
        let most = width(address);
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(|| wrong(format!("behind the slash stands a number up to {most}")))?,
        };
        let first = masked(address, bits);
        if first != address {
            return Err(wrong(format!(
                "bits are set behind the prefix: write {first}/{bits} for the network, {address} for \
                 the address"
            )));
        }
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        let canonical = first.to_canonical();
        if canonical != first && bits >= 96 {
            return Ok(Self {
                address: canonical,
                bits: bits - 96,
            });
        }
        Ok(Self {
            address: first,
            bits,
        })
    }
}

/// A text that is not a network, and what one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    found: String,
    what: String,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a network: {}", self.found, self.what)
    }
}

impl std::error::Error for NetworkError {}

/// Whether a text is a host with an optional port, as in `Host`.
fn is_authority(text: &str) -> bool {
    !text.contains('@')
        && text
            .parse::<Authority>()
            .is_ok_and(|a| !a.host().is_empty())
}
