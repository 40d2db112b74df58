//! May this much pass now? Token buckets for requests and tokens per minute.

use domain::UnixMs;
use thiserror::Error;

/// Milliseconds in a minute: a bucket is filled in 60 000 equal steps, so levels are kept in 60 000ths and no
/// rounding ever loses or makes a unit.
const STEPS: i128 = 60_000;

/// A rate limit per minute that lets a whole minute's worth through at once and refills evenly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    per_minute: u64,
    /// 60 000ths of a unit; below zero after [`Bucket::charge`].
    level: i128,
    at: UnixMs,
}

/// A limit was hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("limit of {per_minute} a minute reached")]
pub struct TooFast {
    /// The limit.
    pub per_minute: u64,
    /// How long until it would pass, milliseconds; `None` when it never will, because it is more than a whole minute's.
    pub wait_ms: Option<u64>,
}

impl Bucket {
    /// A full bucket.
    pub fn per_minute(per_minute: u64, now: UnixMs) -> Bucket {
        Bucket { per_minute, level: full(per_minute), at: now }
    }

    /// Takes `n` units or none, and says how long to wait.
    pub fn take(&mut self, n: u64, now: UnixMs) -> Result<(), TooFast> {
        self.refill(now);
        let asked = full(n);
        if asked <= self.level {
            self.level -= asked;
            return Ok(());
        }
        // One step a millisecond brings `per_minute` 60 000ths.
        let missing = asked - self.level;
        let wait_ms = (n <= self.per_minute).then(|| {
            let steps = missing + i128::from(self.per_minute) - 1;
            u64::try_from(steps / i128::from(self.per_minute.max(1))).unwrap_or(u64::MAX)
        });
        Err(TooFast { per_minute: self.per_minute, wait_ms })
    }

    /// Books `n` units that have passed already, such as tokens an answer turned out to have; the level may fall below
    /// zero, and later calls wait for it.
    pub fn charge(&mut self, n: u64, now: UnixMs) {
        self.refill(now);
        self.level -= full(n);
    }

    /// Gives back units that were taken and not used, up to a full bucket.
    pub fn give_back(&mut self, n: u64) {
        self.level = (self.level + full(n)).min(full(self.per_minute));
    }

    /// Changes the limit; what was taken stays taken.
    pub fn set_per_minute(&mut self, per_minute: u64, now: UnixMs) {
        self.refill(now);
        self.level += full(per_minute) - full(self.per_minute);
        self.per_minute = per_minute;
    }

    fn refill(&mut self, now: UnixMs) {
        let elapsed_ms = i128::from(now.since(self.at));
        self.level = (self.level + elapsed_ms * i128::from(self.per_minute)).min(full(self.per_minute));
        self.at = self.at.max(now);
    }
}

fn full(units: u64) -> i128 {
    i128::from(units) * STEPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: UnixMs = UnixMs(1_000_000);

    #[test]
    fn a_minutes_worth_passes_at_once_then_evenly() {
        let mut bucket = Bucket::per_minute(60, START);
        assert_eq!(bucket.take(60, START), Ok(()));
        assert_eq!(bucket.take(1, START).unwrap_err().wait_ms, Some(1000));
        assert!(bucket.take(1, START + 999).is_err());
        assert_eq!(bucket.take(1, START + 1000), Ok(()));
    }

    #[test]
    fn more_than_a_minutes_worth_never_passes() {
        assert_eq!(Bucket::per_minute(60, START).take(61, START).unwrap_err().wait_ms, None);
        assert_eq!(Bucket::per_minute(0, START).take(1, START).unwrap_err().wait_ms, None);
    }

    #[test]
    fn tokens_charged_afterwards_delay_the_next_call() {
        let mut bucket = Bucket::per_minute(60, START);
        bucket.charge(61, START);
        assert_eq!(bucket.take(1, START).unwrap_err().wait_ms, Some(2000));
        bucket.give_back(2);
        assert_eq!(bucket.take(1, START), Ok(()));
    }

    #[test]
    fn a_raised_limit_applies_at_once() {
        let mut bucket = Bucket::per_minute(1, START);
        bucket.take(1, START).unwrap();
        bucket.set_per_minute(2, START);
        assert_eq!(bucket.take(1, START), Ok(()));
        assert!(bucket.take(1, START).is_err());
    }

    proptest! {
        #[test]
        fn what_passes_in_any_stretch_is_at_most_a_minutes_worth_and_the_refill(
            per_minute in 1u64..10_000, asks in proptest::collection::vec((0u64..200, 0u64..5000), 1..60),
        ) {
            let mut bucket = Bucket::per_minute(per_minute, START);
            let (mut now, mut passed) = (START, 0u64);
            for (n, wait_ms) in asks {
                now = now + wait_ms;
                match bucket.take(n, now) {
                    Ok(()) => passed += n,
                    Err(TooFast { wait_ms: Some(wait_ms), .. }) => {
                        prop_assert!(wait_ms > 0);
                        let mut early = bucket.clone();
                        prop_assert!(early.take(n, now + (wait_ms - 1)).is_err());
                        prop_assert_eq!(bucket.clone().take(n, now + wait_ms), Ok(()));
                    }
                    Err(TooFast { wait_ms: None, .. }) => prop_assert!(n > per_minute),
                }
                let refill = u128::from(per_minute) * u128::from(now.since(START)) / 60_000;
                prop_assert!(u128::from(passed) <= u128::from(per_minute) + refill);
            }
        }
    }
}
