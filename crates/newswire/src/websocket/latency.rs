//! The round trip of a ping: when one was sent, and when its pong came.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The last round trip in microseconds, 0 when there was none yet: 20 bits of it, and in 4 more how
/// far they are shifted to the left. In so few bytes because every connection keeps it.
#[derive(Clone, Copy, Default)]
pub(super) struct Latency([u8; 3]);

const BITS: u32 = 20;
/// Over nine hours.
const LONGEST: u64 = ((1 << BITS) - 1) << 15;

impl Latency {
    pub(super) fn get(self) -> Option<Duration> {
        let [low, middle, high] = self.0;
        let packed = u32::from_le_bytes([low, middle, high, 0]);
        let micros = u64::from(packed & ((1 << BITS) - 1)) << (packed >> BITS);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

impl From<Duration> for Latency {
    fn from(round_trip: Duration) -> Self {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(LONGEST);
        let micros = micros.clamp(1, LONGEST);
        let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(BITS);
        let packed = (shift << BITS) | (micros >> shift) as u32;
        let [low, middle, high, _] = packed.to_le_bytes();
        Self([low, middle, high])
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

#[cfg(test)]
mod tests {
    use super::{Latency, Pinged};
    use std::time::Duration;

    #[test]
    fn a_second_is_kept_to_the_microsecond_and_an_hour_to_some_milliseconds() {
        assert_eq!(Latency::default().get(), None);
        for micros in [1, 2, 999, 1000, 65_537, 1_000_000, (1 << 20) - 1] {
            let kept = Latency::from(Duration::from_micros(micros)).get();
            assert_eq!(kept, Some(Duration::from_micros(micros)));
        }
        for micros in [(1 << 20) + 1, 10_000_001, 3_600_000_123, 30_000_000_000] {
            let exact = Duration::from_micros(micros);
            let kept = Latency::from(exact).get().unwrap();
            assert!(
                kept <= exact && exact - kept <= exact / (1 << 19),
                "{kept:?}"
            );
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_to_tell_is_the_nearest_that_can_be_told() {
        let shortest = Latency::from(Duration::ZERO).get().unwrap();
        assert_eq!(shortest, Duration::from_micros(1));
        let longest = Latency::from(Duration::MAX).get().unwrap();
        assert!(longest > Duration::from_secs(9 * 3600));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_pong_of_this_ping_is_timed() {
        let pinged = Pinged::now(b"mine");
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert!(pinged.round_trip(b"").is_none());
        assert!(pinged.round_trip(b"mines").is_none());
        let latency = pinged.round_trip(b"mine").unwrap().get().unwrap();
        assert_eq!(latency, Duration::from_millis(40));
    }
}
