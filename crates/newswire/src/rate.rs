//! How often something may happen: the generic cell rate algorithm, which keeps one number for
//! whatever is limited. No clock is read here, and what is counted is the callers' to say.

use std::time::Duration;

/// So many units a second on the long run, and so many of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    per_second: u64,
    burst: u64,
}

/// When the units that were taken would all have come, had they come evenly: nanoseconds from a
/// time that the owner chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken(u64);

impl Rate {
    /// At least one unit a second, and one at once: of nothing at all, nobody could ever use it.
    pub(crate) const fn new(per_second: u64, burst: u64) -> Self {
        Self {
            per_second: if per_second == 0 { 1 } else { per_second },
            burst: if burst == 0 { 1 } else { burst },
        }
    }

    /// How long so many units take when they come evenly.
    fn time_of(self, units: u64) -> u64 {
        let nanos = u128::from(units) * 1_000_000_000 / u128::from(self.per_second);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// Takes `units` at `now`.
    ///
    /// # Errors
    /// How long to wait until they can be taken. Nothing is taken then.
    #[inline]
    pub(crate) fn take(self, taken: &mut Taken, now: Duration, units: u64) -> Result<(), Duration> {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let until = taken.0.max(now).saturating_add(self.time_of(units));
        let ahead = until - now;
        match ahead.checked_sub(self.time_of(self.burst)) {
            None | Some(0) => {
                taken.0 = until;
                Ok(())
            }
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

impl Taken {
    /// Whether it is as if nothing had ever been taken.
    #[cfg(feature = "server")]
    pub(crate) fn is_over(self, now: Duration) -> bool {
        u128::from(self.0) <= now.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::{Rate, Taken};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_can_be_taken_at_once_and_then_one_after_the_other() {
        let rate = Rate::new(10, 3);
        let mut taken = Taken::default();
        let now = 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(rate.take(&mut taken, now, 1), Ok(()));
        }
        assert_eq!(rate.take(&mut taken, now, 1), Err(SECOND / 10));
        assert_eq!(rate.take(&mut taken, now + SECOND / 10, 1), Ok(()));
        assert!(rate.take(&mut taken, now + SECOND / 10, 1).is_err());
    }

    #[test]
    fn what_is_refused_is_not_counted() {
        let rate = Rate::new(1, 1);
        let mut taken = Taken::default();
        assert_eq!(rate.take(&mut taken, SECOND, 1), Ok(()));
        for _ in 0..1000 {
            assert!(rate.take(&mut taken, SECOND, 1).is_err());
        }
        assert_eq!(rate.take(&mut taken, 2 * SECOND, 1), Ok(()));
    }

    #[test]
    fn any_rate_lets_no_more_than_itself_and_a_burst_through() {
        for (per_second, burst) in [(1, 1), (3, 2), (7, 100), (1_000_000_007, 5)] {
            let rate = Rate::new(per_second, burst);
            let mut taken = Taken::default();
            let mut passed = 0;
            for step in 0..10_000_u32 {
                passed += u64::from(rate.take(&mut taken, SECOND / 1000 * step, 1).is_ok());
            }
            let most = burst + 10 * per_second.min(1_000_000) + 1;
            assert!(passed <= most, "{passed} of {most} at {per_second}");
            assert!(
                passed >= (10 * per_second).min(9_000),
                "{passed} at {per_second}"
            );
        }
    }

    #[test]
    fn more_than_a_burst_never_passes_and_nothing_overflows() {
        let rate = Rate::new(1, u64::MAX);
        let mut taken = Taken::default();
        assert_eq!(rate.take(&mut taken, Duration::MAX, u64::MAX), Ok(()));
        let rate = Rate::new(0, 0);
        assert!(rate.take(&mut Taken::default(), Duration::ZERO, 2).is_err());
        assert_eq!(rate.take(&mut Taken::default(), Duration::ZERO, 1), Ok(()));
    }

    #[cfg(feature = "server")]
    #[test]
    fn it_is_over_when_all_would_have_come() {
        let rate = Rate::new(2, 2);
        let mut taken = Taken::default();
        assert!(taken.is_over(Duration::ZERO));
        rate.take(&mut taken, SECOND, 2).unwrap();
        assert!(!taken.is_over(SECOND));
        assert!(taken.is_over(2 * SECOND));
    }
}
