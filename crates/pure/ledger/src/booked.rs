//! What is booked in a budget's window: one sum for a window of the calendar, a sum for each stretch of a rolling one.

use std::collections::VecDeque;

use domain::UnixMs;

use crate::budget::Amount;
use crate::window::{Window, start_of};

/// The bookings of one window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Booked {
    window: Window,
    kind: Kind,
    sum: Amount,
    overrun: Amount,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Calendar {
        start: UnixMs,
        end: Option<UnixMs>,
    },
    /// Only stretches in which something was booked, oldest first.
    Rolling {
        span_ms: u64,
        width_ms: u64,
        /// What ended before this has left the window.
        since: UnixMs,
        stretches: VecDeque<Stretch>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stretch {
    start: UnixMs,
    sum: Amount,
    overrun: Amount,
}

impl Booked {
    /// Nothing, in the window that `now` lies in.
    pub fn new(window: Window, now: UnixMs) -> Booked {
        let (start, end) = window.bounds(now);
        let kind = match (window.period().rolling_ms(), window.period().resolution_ms()) {
            (Some(span_ms), Some(width_ms)) => {
                Kind::Rolling { span_ms, width_ms, since: start, stretches: VecDeque::new() }
            }
            _ => Kind::Calendar { start, end },
        };
        Booked { window, kind, sum: Amount::ZERO, overrun: Amount::ZERO }
    }

    /// Which window.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Whether it goes with the clock.
    pub fn is_rolling(&self) -> bool {
        matches!(self.kind, Kind::Rolling { .. })
    }

    /// All that is booked in it.
    pub fn sum(&self) -> Amount {
        self.sum
    }

    /// The part that was billed above its hold.
    pub fn overrun(&self) -> Amount {
        self.overrun
    }

    /// The first millisecond that counts, and the first after the window.
    pub fn bounds(&self, now: UnixMs) -> (UnixMs, Option<UnixMs>) {
        match &self.kind {
            Kind::Calendar { start, end } => (*start, *end),
            Kind::Rolling { since, .. } => ((*since).max(self.window.bounds(now).0), None),
        }
    }

    /// Lets go of what no longer counts. Whether a new window of the calendar began. Never goes back.
    pub fn turn(&mut self, now: UnixMs) -> bool {
        match &mut self.kind {
            Kind::Calendar { start, end } => {
                let over = end.is_some_and(|end| now >= end);
                if over {
                    (*start, *end) = self.window.bounds(now);
                    (self.sum, self.overrun) = (Amount::ZERO, Amount::ZERO);
                }
                over
            }
            Kind::Rolling { span_ms, width_ms, since, stretches } => {
                let oldest = start_of(UnixMs(now.0.saturating_sub(clamped(*span_ms))), *width_ms);
                *since = (*since).max(oldest);
                while let Some(stretch) = stretches.front().filter(|stretch| stretch.start < *since) {
                    self.sum = self.sum.minus(stretch.sum);
                    self.overrun = self.overrun.minus(stretch.overrun);
                    stretches.pop_front();
                }
                false
            }
        }
    }

    /// Books an amount on the time a call was admitted at. Whether that still counts; nothing is booked where it does not.
    pub fn add(&mut self, amount: Amount, overrun: Amount, at: UnixMs) -> bool {
        match &mut self.kind {
            Kind::Calendar { start, .. } if at < *start => return false,
            Kind::Calendar { .. } => {}
            Kind::Rolling { width_ms, since, stretches, .. } => {
                let start = start_of(at, *width_ms);
                if start < *since {
                    return false;
                }
                // Nearly always the last one.
                let place = stretches.iter().rposition(|stretch| stretch.start <= start);
                match place.map(|place| (place, stretches[place].start == start)) {
                    Some((place, true)) => {
                        let stretch = &mut stretches[place];
                        stretch.sum = stretch.sum.plus(amount);
                        stretch.overrun = stretch.overrun.plus(overrun);
                    }
                    Some((place, false)) => stretches.insert(place + 1, Stretch { start, sum: amount, overrun }),
                    None => stretches.push_front(Stretch { start, sum: amount, overrun }),
                }
            }
        }
        self.sum = self.sum.plus(amount);
        self.overrun = self.overrun.plus(overrun);
        true
    }

    /// Takes back what was booked too much at that time, down to nothing.
    pub fn take_back(&mut self, amount: Amount, at: UnixMs) {
        let taken = match &mut self.kind {
            Kind::Calendar { start, .. } if at < *start => Amount::ZERO,
            Kind::Calendar { .. } => amount.min(self.sum),
            Kind::Rolling { width_ms, stretches, .. } => {
                let start = start_of(at, *width_ms);
                match stretches.iter_mut().rfind(|stretch| stretch.start == start) {
                    None => Amount::ZERO,
                    Some(stretch) => {
                        let taken = amount.min(stretch.sum);
                        stretch.sum = stretch.sum.minus(taken);
                        taken
                    }
                }
            }
        };
        self.sum = self.sum.minus(taken.or_zero());
    }

    /// When so much will have left the window if nothing more is booked; `None` where it never does, or does not have to.
    pub fn frees_at(&self, amount: Amount, now: UnixMs) -> Option<UnixMs> {
        match &self.kind {
            Kind::Calendar { end, .. } => *end,
            Kind::Rolling { span_ms, width_ms, stretches, .. } => {
                let mut freed = Amount::ZERO;
                let last = stretches.iter().find(|stretch| {
                    freed = freed.plus(stretch.sum);
                    freed >= amount
                })?;
                let leaves = last.start.0.saturating_add(clamped(*width_ms)).saturating_add(clamped(*span_ms));
                Some(UnixMs(leaves).max(now))
            }
        }
    }
}

fn clamped(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: u64 = 3_600_000;

    fn rolling(window: &str, now: u64) -> Booked {
        Booked::new(window.parse().unwrap(), UnixMs(i64::try_from(now).unwrap()))
    }

    #[test]
    fn what_was_spent_leaves_with_its_stretch_and_not_before_a_day_is_over() {
        let start = UnixMs(1_000 * 24 * 3_600_000);
        let mut booked = Booked::new("rolling 24h".parse().unwrap(), start);
        let spent_at = start + 5 * 60_000;
        assert!(booked.add(Amount(7), Amount::ZERO, spent_at));
        booked.turn(spent_at + 24 * HOUR_MS);
        assert_eq!(booked.sum(), Amount(7));
        assert_eq!(booked.frees_at(Amount(7), spent_at), Some(start + 15 * 60_000 + 24 * HOUR_MS));
        booked.turn(start + 15 * 60_000 + 24 * HOUR_MS);
        assert_eq!(booked.sum(), Amount::ZERO);
        assert!(!booked.add(Amount(7), Amount::ZERO, spent_at), "too late");
    }

    proptest! {
        #[test]
        fn nothing_within_the_span_is_ever_forgotten_and_nothing_stays_longer_than_a_stretch(
            steps in proptest::collection::vec((0u64..3 * HOUR_MS, 0u64..2 * HOUR_MS, 0i64..100), 1..120),
        ) {
            let mut now = UnixMs(1_795_252_724_005);
            let mut booked = rolling("rolling 6h", now.0.unsigned_abs());
            let mut all: Vec<(UnixMs, i64)> = Vec::new();
            for (wait_ms, ago_ms, amount) in steps {
                now = now + wait_ms;
                booked.turn(now);
                let at = now - ago_ms;
                if booked.add(Amount(amount), Amount::ZERO, at) {
                    all.push((at, amount));
                }
                let sum = |age_ms: u64| all.iter().filter(|(at, _)| now.since(*at) <= age_ms).map(|(_, n)| n).sum::<i64>();
                prop_assert!(booked.sum().0 >= sum(6 * HOUR_MS));
                prop_assert!(booked.sum().0 <= sum(6 * HOUR_MS + 60_000));
            }
        }
    }
}
