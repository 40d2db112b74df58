//! What is not as it was, and when it is again: an anomaly begins with the first observation that shows it and ends by
//! several in a row that do not; meanwhile a small share of the calls finds out.

use std::fmt;

use domain::UnixMs;
use serde::{Deserialize, Serialize};

use crate::steer::Permille;

/// What can be out of the ordinary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A provider bills another price than the configuration says.
    Price,
    /// A call was served in another tier than was asked for.
    Tier,
    /// First tokens come later than they usually do.
    Latency,
    /// More is spent than usually at this time of the week.
    Spend,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Price, Kind::Tier, Kind::Latency, Kind::Spend];

    /// As in the configuration and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Price => "price",
            Kind::Tier => "tier",
            Kind::Latency => "latency",
            Kind::Spend => "spend",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Observations in a row that show nothing, until an anomaly is over: five, so that what comes and goes from call to call stays one.
pub const GOOD_TO_END: u16 = 5;
/// The share of calls that still goes where an anomaly is, to find out whether it is over, by how many in a row have found nothing:
/// one in twenty at first.
pub const PROBES: [Permille; 5] =
    [Permille::new(50), Permille::new(100), Permille::new(250), Permille::new(500), Permille::new(500)];

/// How one thing stands: usual, or not since some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    since: Option<UnixMs>,
    /// In a row, since the last that showed it.
    good: u16,
    /// How far off it was when last seen, thousandths of what it should be.
    factor_milli: u64,
}

/// What an observation changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It begins.
    Began,
    /// It goes on, at another measure, or with more calls that find out.
    Changed,
    /// It is over.
    Ended {
        /// When it began.
        since: UnixMs,
    },
}

impl Standing {
    /// Since when it is not usual.
    pub fn since(&self) -> Option<UnixMs> {
        self.since
    }

    /// How far off it was when last seen, thousandths.
    pub fn factor_milli(&self) -> u64 {
        self.factor_milli
    }

    /// The share of calls that finds out now.
    pub fn probes(&self) -> Permille {
        PROBES[usize::from(self.good).min(PROBES.len() - 1)]
    }

    /// An observation that shows it.
    pub fn bad(&mut self, now: UnixMs, factor_milli: u64) -> Option<Turn> {
        let before = *self;
        *self = Standing { since: Some(before.since.unwrap_or(now)), good: 0, factor_milli };
        match before.since {
            None => Some(Turn::Began),
            // A factor that moves by less than a twentieth says nothing new.
            Some(_) if before.good > 0 || before.factor_milli.abs_diff(factor_milli) * 20 > before.factor_milli => {
                Some(Turn::Changed)
            }
            Some(_) => None,
        }
    }

    /// An observation that shows nothing.
    pub fn good(&mut self) -> Option<Turn> {
        self.since?;
        self.good = self.good.saturating_add(1);
        if self.good >= GOOD_TO_END { self.clear() } else { Some(Turn::Changed) }
    }

    /// Ends it whatever was seen: what it was measured by has changed.
    pub fn clear(&mut self) -> Option<Turn> {
        let since = std::mem::take(self).since?;
        Some(Turn::Ended { since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_observation_begins_it_and_five_good_ones_end_it() {
        let mut standing = Standing::default();
        assert_eq!(standing.good(), None);
        assert_eq!(standing.bad(UnixMs(1_000), 2_000), Some(Turn::Began));
        assert_eq!((standing.since(), standing.factor_milli()), (Some(UnixMs(1_000)), 2_000));
        let mut probes = vec![standing.probes().get()];
        for _ in 1..GOOD_TO_END {
            assert_eq!(standing.good(), Some(Turn::Changed));
            probes.push(standing.probes().get());
        }
        assert_eq!(probes, [50, 100, 250, 500, 500], "each that finds nothing lets more find out");
        assert_eq!(standing.good(), Some(Turn::Ended { since: UnixMs(1_000) }));
        assert_eq!(standing.since(), None);
    }

    #[test]
    fn one_bad_observation_among_good_ones_begins_the_count_anew() {
        let mut standing = Standing::default();
        standing.bad(UnixMs(0), 2_000);
        standing.good();
        standing.good();
        assert_eq!(standing.bad(UnixMs(100_000), 2_000), Some(Turn::Changed));
        assert_eq!(standing.probes().get(), 50);
        assert_eq!(standing.bad(UnixMs(100_001), 2_010), None);
        assert_eq!(standing.bad(UnixMs(100_002), 3_000), Some(Turn::Changed));
        assert_eq!(standing.since(), Some(UnixMs(0)), "it began once");
    }
}
