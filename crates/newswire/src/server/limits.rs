//! How many connections a server takes, in all and of one address, and how many new ones of an
//! address in a second. Who is asked for an answer, and what the answer is, is said here; that
//! it is asked is `listener.rs`'s, and a connection's place is given back by `registry.rs`.

mod addresses;

use crate::rate::Rate;
use addresses::Addresses;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use newswire_proto::handshake::Rejection;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How many connections that are too many are answered at once. Those beyond are hung up on.
const ANSWERS: usize = 256;

/// When to come again, where it is not known when there will be room.
const LATER: Duration = Duration::from_secs(5);

/// The limits, each `None` for as many as come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    pub(super) connections: Option<usize>,
    pub(super) connections_per_address: Option<u32>,
    pub(super) connection_rate_per_address: Option<Rate>,
}

/// The limits of one server, and what is used of them.
#[derive(Debug)]
pub(super) struct Limits {
    settings: Settings,
    /// What times are counted from.
    began: Instant,
    open: AtomicUsize,
    answering: AtomicUsize,
    addresses: Mutex<Addresses>,
}

/// What a connection has taken up, in as few bytes as can be: every connection keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// Nothing is limited.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// One of those that are too many and are answered.
    const ANSWER: Self = Self(u32::MAX - 1);
    /// One of the server's connections, of no address.
    const SERVER: Self = Self(u32::MAX - 2);
}

/// A connection that is let in, until it is registered. Dropped before, it gives its place back.
#[derive(Debug)]
pub(super) struct Permit {
    limits: Arc<Limits>,
    place: Place,
}

impl Permit {
    /// The place, which whoever takes it must [`give_back`](Limits::give_back).
    pub(super) fn keep(mut self) -> (Arc<Limits>, Place) {
        let place = std::mem::replace(&mut self.place, Place::NONE);
        (Arc::clone(&self.limits), place)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limits.give_back(self.place);
    }
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Connections,
    ConnectionsPerAddress,
    ConnectionRatePerAddress,
}

impl Limit {
    /// By which its refusals are counted: the name of the knob.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::ConnectionsPerAddress => "max_connections_per_address",
            Self::ConnectionRatePerAddress => "max_connection_rate_per_address",
        }
    }
}

/// Why a connection is not let in, and when it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) limit: Limit,
    /// In seconds, and short, since a handshake has room for it.
    retry_after: u32,
}

impl Refused {
    fn new(limit: Limit, retry_after: Duration) -> Self {
        let seconds = retry_after.as_nanos().div_ceil(1_000_000_000).max(1);
        Self {
            limit,
            retry_after: u32::try_from(seconds).unwrap_or(u32::MAX),
        }
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        // RFC 6585 §4: "The 429 status code indicates that the user has sent too many requests in
        // a given amount of time".
        let (status, reason) = match refused.limit {
            Limit::Connections => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has as many connections as it takes: try again later",
            ),
            Limit::ConnectionsPerAddress => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many connections from this address: close one, or try again later",
            ),
            Limit::ConnectionRatePerAddress => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many new connections from this address: try again later",
            ),
        };
        // RFC 9110 §10.2.3: "The value of this field can be either an HTTP-date or a number of
        // seconds to delay after the response is received."
        Self::new(status, reason)
            .with_header(RETRY_AFTER, HeaderValue::from(refused.retry_after))
            .of_kind(refused.limit.kind())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::with(Settings::default())
    }
}

impl Limits {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self::with(settings))
    }

    fn with(settings: Settings) -> Self {
        Self {
            settings,
            began: Instant::now(),
            open: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            addresses: Mutex::default(),
        }
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    fn limits_addresses(&self) -> bool {
        let Settings {
            connections: _,
            connections_per_address,
            connection_rate_per_address,
        } = self.settings;
        connections_per_address.is_some() || connection_rate_per_address.is_some()
    }

    /// Lets a connection in at `now`; `ip` is the client's, if it is known yet.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(super) fn admit(
        self: &Arc<Self>,
        ip: Option<IpAddr>,
        now: Instant,
    ) -> Result<Permit, Refused> {
        let mut permit = Permit {
            limits: Arc::clone(self),
            place: Place::NONE,
        };
        if let Some(most) = self.settings.connections {
            let open = self.open.fetch_add(1, Ordering::Relaxed);
            permit.place = Place::SERVER;
            if open >= most {
                return Err(Refused::new(Limit::Connections, LATER));
            }
        } else if self.limits_addresses() {
            self.open.fetch_add(1, Ordering::Relaxed);
            permit.place = Place::SERVER;
        }
        if let Some(ip) = ip {
            permit.place = self.charge(permit.place, ip, now)?;
        }
        Ok(permit)
    }

    /// Charges a connection that was let in to the address of its client, now that it is known;
    /// the connection's place from now on.
    ///
    /// # Errors
    /// Which limit is reached. The connection keeps the place that it has.
    pub(super) fn charge(&self, place: Place, ip: IpAddr, now: Instant) -> Result<Place, Refused> {
        if place != Place::SERVER || !self.limits_addresses() {
            return Ok(place);
        }
        let now = now.saturating_duration_since(self.began);
        let mut addresses = self.addresses.lock();
        let (index, address) = addresses.find_or_add(ip, now);
        if let Some(most) = self.settings.connections_per_address
            && address.open >= most
        {
            return Err(Refused::new(Limit::ConnectionsPerAddress, LATER));
        }
        if let Some(rate) = self.settings.connection_rate_per_address
            && let Err(retry_after) = rate.take(&mut address.taken, now, 1)
        {
            return Err(Refused::new(Limit::ConnectionRatePerAddress, retry_after));
        }
        address.open += 1;
        Ok(Place(index))
    }

    /// Lets a connection in at `now`, either to stay or to be told why it may not.
    ///
    /// # Errors
    /// Which limit is reached, when too many are being told already: this one is hung up on.
    pub(super) fn let_in(
        self: &Arc<Self>,
        ip: Option<IpAddr>,
        now: Instant,
    ) -> Result<(Permit, Option<Refused>), Refused> {
        match self.admit(ip, now) {
            Ok(permit) => Ok((permit, None)),
            Err(refused) => match self.answer() {
                Some(permit) => Ok((permit, Some(refused))),
                None => Err(refused),
            },
        }
    }

    /// A place among the connections that are too many, in which one is told so, if there is any.
    fn answer(self: &Arc<Self>) -> Option<Permit> {
        let answering = self.answering.fetch_add(1, Ordering::Relaxed);
        let permit = Permit {
            limits: Arc::clone(self),
            place: Place::ANSWER,
        };
        (answering < ANSWERS).then_some(permit)
    }

    /// A connection has ended.
    pub(super) fn give_back(&self, place: Place) {
        match place {
            Place::NONE => {}
            Place::ANSWER => {
                self.answering.fetch_sub(1, Ordering::Relaxed);
            }
            Place::SERVER => {
                self.open.fetch_sub(1, Ordering::Relaxed);
            }
            Place(index) => {
                self.open.fetch_sub(1, Ordering::Relaxed);
                let now = self.began.elapsed();
                self.addresses.lock().give_back(index, now);
            }
        }
    }

    /// How many connections are let in, and how many addresses are remembered.
    #[cfg(test)]
    fn used(&self) -> (usize, usize) {
        let addresses = self.addresses.lock();
        (self.open.load(Ordering::Relaxed), addresses.len())
    }
}

#[cfg(test)]
mod tests {
    use super::addresses::MOST_IDLE;
    use super::{ANSWERS, Limit, Limits, Refused, Settings};
    use crate::rate::Rate;
    use newswire_proto::handshake::Rejection;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::Duration;
    use tokio::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn per_address(most: u32) -> Settings {
        Settings {
            connections_per_address: Some(most),
            ..Settings::default()
        }
    }

    fn rate(per_second: u64) -> Settings {
        Settings {
            connection_rate_per_address: Some(Rate::new(per_second, per_second)),
            ..Settings::default()
        }
    }

    #[test]
    fn as_many_connections_are_let_in_as_there_may_be_and_places_are_given_back() {
        let limits = Limits::new(Settings {
            connections: Some(2),
            ..Settings::default()
        });
        let now = Instant::now();
        let first = limits.admit(ip(1), now).unwrap();
        let second = limits.admit(None, now).unwrap();
        for _ in 0..10 {
            let refused = limits.admit(ip(2), now).unwrap_err();
            assert_eq!(refused.limit, Limit::Connections);
        }
        drop(first);
        let third = limits.admit(ip(2), now).unwrap();
        assert!(limits.admit(ip(2), now).is_err());
        drop((second, third));
        assert_eq!(limits.used(), (0, 0));
    }

    #[test]
    fn an_address_has_its_own_limit_and_leaves_nothing_behind() {
        let limits = Limits::new(per_address(2));
        let now = Instant::now();
        let held: Vec<_> = (0..2).map(|_| limits.admit(ip(1), now).unwrap()).collect();
        let refused = limits.admit(ip(1), now).unwrap_err();
        assert_eq!(refused.limit, Limit::ConnectionsPerAddress);
        let other = limits.admit(ip(2), now).unwrap();
        assert_eq!(limits.used(), (3, 2));
        drop((held, other));
        assert_eq!(limits.used(), (0, 0));
    }

    #[test]
    fn a_client_behind_a_proxy_is_charged_when_it_is_known() {
        let limits = Limits::new(per_address(1));
        let now = Instant::now();
        let client = ip(1).unwrap();
        let (_, first) = limits.admit(None, now).unwrap().keep();
        let (_, second) = limits.admit(None, now).unwrap().keep();
        let first = limits.charge(first, client, now).unwrap();
        assert!(limits.charge(second, client, now).is_err());
        // It is charged once, whoever asks again.
        assert_eq!(limits.charge(first, client, now), Ok(first));
        limits.give_back(first);
        let second = limits.charge(second, client, now).unwrap();
        limits.give_back(second);
        assert_eq!(limits.used(), (0, 0));
    }

    #[test]
    fn new_connections_of_an_address_have_a_rate() {
        let limits = Limits::new(rate(2));
        let now = Instant::now();
        assert!(limits.admit(ip(1), now).is_ok());
        assert!(limits.admit(ip(1), now).is_ok());
        let refused = limits.admit(ip(1), now).unwrap_err();
        assert_eq!(refused.limit, Limit::ConnectionRatePerAddress);
        assert_eq!(refused.retry_after, 1);
        assert!(limits.admit(ip(2), now).is_ok());
        assert!(limits.admit(ip(1), now + SECOND / 2).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_and_mapped_ones_are_ipv4() {
        let limits = Limits::new(per_address(1));
        let now = Instant::now();
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        let _held = limits.admit(Some(v6(1)), now).unwrap();
        assert!(limits.admit(Some(v6(2)), now).is_err());
        let mapped: Ipv6Addr = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped();
        let _held = limits.admit(Some(mapped.into()), now).unwrap();
        assert!(limits.admit(ip(7), now).is_err());
    }

    #[test]
    fn however_many_addresses_come_only_so_many_are_remembered() {
        let limits = Limits::new(rate(1));
        let now = Instant::now();
        let staying = limits.admit(ip(1), now).unwrap();
        for n in 0..3 * MOST_IDLE as u32 {
            let address = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n));
            drop(limits.admit(Some(address), now).unwrap());
        }
        let (open, remembered) = limits.used();
        assert_eq!(open, 1);
        assert!(remembered <= 2 * MOST_IDLE + 1, "{remembered}");
        drop(staying);
        assert_eq!(limits.used().0, 0);
    }

    #[test]
    fn what_is_too_much_is_answered_as_long_as_that_is_not_too_much() {
        let limits = Limits::new(per_address(1));
        let answers: Vec<_> = (0..ANSWERS).map(|_| limits.answer().unwrap()).collect();
        assert!(limits.answer().is_none());
        drop(answers);
        assert!(limits.answer().is_some());
    }

    #[test]
    fn a_refusal_says_when_to_come_again() {
        for (limit, status) in [
            (Limit::Connections, 503),
            (Limit::ConnectionsPerAddress, 429),
            (Limit::ConnectionRatePerAddress, 429),
        ] {
            let rejection = Rejection::from(Refused::new(limit, SECOND * 3 / 2));
            let response = rejection.to_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["retry-after"], "2");
        }
    }
}
