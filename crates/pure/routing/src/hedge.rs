//! When a second attempt is worth starting beside one that says nothing, and how many may be: a share of the calls, exact.

use domain::UnixMs;

use crate::health::MEASUREMENT_FRESH_MS;

/// First tokens that must have been measured before anything is hedged: of fewer, the 95th percentile is the slowest one.
pub const LEAST_MEASURED: usize = 20;
/// How many of the last first tokens the percentile looks at.
const LAST_MEASURED: usize = 64;
/// Hedges that a quiet time saves up at most. So of any run of calls at most their share and this many are hedged.
pub const MOST_SAVED: u64 = 10;
/// Parts that a hedge costs; a call earns its share of them.
const WHOLE: u64 = 10_000;

/// How a lane hedges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HedgeTerms {
    /// Share of the calls that may be hedged, hundredths of a percent, 1 to 5 000.
    pub share: u64,
    /// The shortest wait before a second attempt, milliseconds.
    pub least_ms: u64,
}

/// What a lane knows of its first tokens, and how many hedges it may still make. Locked by the caller; every method is short.
#[derive(Clone, Debug)]
pub struct Hedging {
    terms: HedgeTerms,
    /// What calls have earned and hedges have not used, in parts of [`WHOLE`].
    credit: u64,
    ring: Vec<u64>,
    next: usize,
    p95_ms: Option<u64>,
    measured_at: UnixMs,
}

impl Hedging {
    /// A lane of which nothing is known. The first hedge has to be earned too.
    pub fn new(terms: HedgeTerms) -> Hedging {
        Hedging { terms, credit: 0, ring: Vec::new(), next: 0, p95_ms: None, measured_at: UnixMs(0) }
    }

    /// The same lane under other terms: what was measured holds, and what was earned under the old share does not.
    pub fn under(&self, terms: HedgeTerms) -> Hedging {
        Hedging { terms, credit: if terms == self.terms { self.credit } else { 0 }, ..self.clone() }
    }

    /// The terms.
    pub fn terms(&self) -> HedgeTerms {
        self.terms
    }

    /// A call that may be hedged begins. Returns after how many milliseconds without content a second attempt is due;
    /// nothing while too little was measured lately.
    pub fn begin(&mut self, now: UnixMs) -> Option<u64> {
        self.credit = (self.credit + self.terms.share).min(MOST_SAVED * WHOLE);
        let fresh = now.since(self.measured_at) < MEASUREMENT_FRESH_MS && self.ring.len() >= LEAST_MEASURED;
        self.p95_ms.filter(|_| fresh).map(|p95_ms| p95_ms.max(self.terms.least_ms))
    }

    /// Takes one hedge from what was earned, or says that there is none.
    pub fn take(&mut self) -> bool {
        let rest = self.credit.checked_sub(WHOLE);
        self.credit = rest.unwrap_or(self.credit);
        rest.is_some()
    }

    /// Gives one back that was not made.
    pub fn give_back(&mut self) {
        self.credit = (self.credit + WHOLE).min(MOST_SAVED * WHOLE);
    }

    /// The first content of an attempt came after so long; of one that was given up, it had not come until then.
    pub fn measured(&mut self, first_token_ms: u64, now: UnixMs) {
        if self.ring.len() < LAST_MEASURED {
            self.ring.push(first_token_ms);
        } else {
            self.ring[self.next] = first_token_ms;
            self.next = (self.next + 1) % LAST_MEASURED;
        }
        self.measured_at = now;
        let mut sorted = self.ring.clone();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that at least 95 of 100 do not exceed.
        let rank = (sorted.len() * 95).div_ceil(100);
        self.p95_ms = sorted.get(rank.saturating_sub(1)).copied();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: HedgeTerms = HedgeTerms { share: 500, least_ms: 100 };

    fn measured(times: &[u64]) -> Hedging {
        let mut hedging = Hedging::new(TERMS);
        times.iter().for_each(|ms| hedging.measured(*ms, UnixMs(0)));
        hedging
    }

    #[test]
    fn a_second_attempt_is_due_after_the_95th_percentile_and_not_before_enough_was_measured() {
        let times: Vec<u64> = (1..=20).map(|at| at * 50).collect();
        assert_eq!(measured(&times[..19]).begin(UnixMs(1)), None);
        assert_eq!(measured(&times).begin(UnixMs(1)), Some(950));
        assert_eq!(measured(&[3; 20]).begin(UnixMs(1)), Some(100), "the floor");
        assert_eq!(measured(&times).begin(UnixMs(0) + MEASUREMENT_FRESH_MS), None, "too long ago");
    }

    #[test]
    fn of_any_run_of_calls_no_more_than_the_share_and_what_was_saved_is_hedged() {
        let mut hedging = measured(&[300; 20]);
        let mut made = 0;
        for call in 1..=1_000_u64 {
            hedging.begin(UnixMs(1));
            made += u64::from(hedging.take());
            assert!(made * 20 <= call, "{made} of {call}");
        }
        assert_eq!(made, 50);
        for _ in 0..10_000 {
            hedging.begin(UnixMs(1));
        }
        assert_eq!((0..100).filter(|_| hedging.take()).count() as u64, MOST_SAVED);
    }

    #[test]
    fn what_was_not_made_is_given_back() {
        let mut hedging = measured(&[300; 20]);
        for _ in 0..20 {
            hedging.begin(UnixMs(1));
        }
        assert!(hedging.take() && !hedging.take());
        hedging.give_back();
        assert!(hedging.take());
    }
}
