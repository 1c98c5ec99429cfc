//! [`Metrics`]: what a server has counted. The counters of what connections move are in
//! `websocket/traffic.rs`; how the numbers are shown is not known here.

use super::registry::Registry;
use crate::websocket::traffic::Traffic;
use newswire_proto::CloseCode;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What a server has counted since it was made. A clone reads the same counters, at any time and on
/// any thread, also when the server has ended.
///
/// ```no_run
/// # async fn example() -> newswire::Result {
/// # async fn echo(ws: newswire::WebSocket) {}
/// use newswire::Server;
///
/// let server = Server::bind("127.0.0.1:9998").await?.route("/echo", echo);
/// let metrics = server.metrics();
/// tokio::spawn(server.serve());
/// println!("{} open, {} messages", metrics.open(), metrics.messages_received());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    opened: AtomicU64,
    /// By kind. A kind is a word of the program, so there are few.
    refused: Mutex<BTreeMap<&'static str, u64>>,
    traffic: Traffic,
    registries: Mutex<Vec<Weak<Registry>>>,
}

/// Close codes that are counted together.
const GROUPS: [u16; 2] = [3000, 4000];

impl Metrics {
    /// How many connections were accepted: sockets, whatever became of them.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// How many WebSockets were opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// How many WebSockets are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        // What ends meanwhile was open before.
        let closed = self.0.traffic.closed_in_all();
        self.opened().saturating_sub(closed)
    }

    /// How many handshakes were refused, by the kind of the reason,
    /// [`Rejection::kind`](crate::Rejection::kind): "origin", "subprotocol", "shutdown", the name of the
    /// limit that was reached, what the status is called otherwise, or what a
    /// [`Rejection`](crate::Rejection) of your own says. "TLS", "PROXY protocol" and "hang-up" are those
    /// that did not get as far as an answer.
    #[must_use]
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        let refused = self.0.refused.lock();
        refused
            .iter()
            .map(|(kind, count)| (*kind, *count))
            .collect()
    }

    /// How many messages have come, also those that no handler took.
    #[must_use]
    pub fn messages_received(&self) -> u64 {
        self.0.traffic.totals().messages_received
    }

    /// How many messages were queued for sending.
    #[must_use]
    pub fn messages_sent(&self) -> u64 {
        self.0.traffic.totals().messages_sent
    }

    /// How many bytes of frames have come, those right behind a handshake left out. With TLS, the
    /// bytes inside.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.0.traffic.totals().bytes_received
    }

    /// How many bytes of frames were written. With TLS, the bytes inside.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.0.traffic.totals().bytes_sent
    }

    /// How many WebSockets have ended, by their close code where it is not 0: the code of the first
    /// Close frame, whichever end sent it, 1005 for one without a code, 1006 for an end without
    /// one. 3000 and 4000 stand for all codes of their thousand.
    #[must_use]
    pub fn closed(&self) -> Vec<(CloseCode, u64)> {
        (1000..1016)
            .chain(GROUPS)
            .map(|code| (CloseCode(code), self.0.traffic.closed_with(CloseCode(code))))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// How many handlers returned an error that closed their connection with 1011.
    #[must_use]
    pub fn handlers_failed(&self) -> u64 {
        self.0.traffic.handlers_failed.load(Ordering::Relaxed)
    }

    /// How many handlers panicked.
    #[must_use]
    pub fn handlers_panicked(&self) -> u64 {
        self.0.traffic.handlers_panicked.load(Ordering::Relaxed)
    }

    /// How many bytes wait to be written, on all connections together. They are asked one by one,
    /// now: not for every message.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        let registries = self.0.registries.lock().clone();
        let registries = registries.iter().filter_map(Weak::upgrade);
        registries.map(|registry| registry.queued_bytes()).sum()
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    pub(super) fn connection_accepted(&self) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn websocket_opened(&self) {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handshake_refused(&self, kind: &'static str) {
        *self.0.refused.lock().entry(kind).or_default() += 1;
    }

    pub(super) fn watch(&self, registry: &Arc<Registry>) {
        self.0.registries.lock().push(Arc::downgrade(registry));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.0.traffic.totals();
        f.debug_struct("Metrics")
            .field("accepted", &self.accepted())
            .field("open", &self.open())
            .field("refused", &self.refused())
            .field("traffic", &totals)
            .field("closed", &self.closed())
            .finish_non_exhaustive()
    }
}
