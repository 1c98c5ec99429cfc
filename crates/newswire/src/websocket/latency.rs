//! The round trip of a ping: when one was sent, and when its pong came.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The last round trip, in microseconds; 0 when there was none yet. In so few bytes because every
/// connection keeps it.
#[derive(Clone, Copy, Default)]
pub(super) struct Latency(u32);

impl Latency {
    pub(super) fn get(self) -> Option<Duration> {
        (self.0 > 0).then(|| Duration::from_micros(self.0.into()))
    }
}

impl From<Duration> for Latency {
    fn from(round_trip: Duration) -> Self {
        let micros = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX);
        Self(micros.max(1))
    }
}

/// A ping whose pong has not come yet.
pub(super) struct Pinged {
    at: Instant,
    payload: Box<[u8]>,
}

impl Pinged {
    pub(super) fn now(payload: &[u8]) -> Self {
        Self {
            at: Instant::now(),
            payload: payload.into(),
        }
    }

    /// How long it took, when this pong is the answer.
    pub(super) fn round_trip(&self, pong: &[u8]) -> Option<Latency> {
        // RFC 6455 §5.5.3: "A Pong frame sent in response to a Ping frame must have identical
        // "Application data" as found in the message body of the Ping frame being replied to."
        // One with other data was unsolicited.
        (*pong == *self.payload).then(|| self.at.elapsed().into())
    }
}

/// What an automatic ping holds: something that the one before had not, so that their pongs can be
/// told apart from each other and from unsolicited ones.
pub(super) fn payload() -> [u8; 4] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()
}
