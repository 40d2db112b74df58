//! Which calls are to begin elsewhere, and why: a set of moves that [`Route::steer`](crate::Route::steer) honours. Whoever
//! finds a reason (a budget of errors that burns, an anomaly, a concentration) makes a [`Move`]; which calls it meets is
//! drawn from the call's own seed, so a decision replays.
//!
//! A move steers, it never refuses: what is moved away from comes last, not never, and where nothing else may serve a call
//! it goes where it would have gone.

use std::fmt;
use std::sync::Arc;

use domain::UnixMs;

use crate::backoff::Chance;
use crate::candidate::{Candidate, LaneIndex, ModelIndex};

/// Place of a policy class among those of a configuration, the most critical first.
pub type CriticalityIndex = usize;

/// Where calls are moved away from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// All models of a lane.
    Lane(LaneIndex),
    /// One model, whatever lane it is in.
    Model(ModelIndex),
    /// One model as one lane has it.
    ModelOf(LaneIndex, ModelIndex),
}

/// Who found the reason.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Mover {
    /// A lane uses up its budget of errors too fast.
    Burn,
    /// A price, a quota or a speed is not what it was.
    Anomaly,
    /// One vendor would serve too large a share of a criticality.
    Concentration,
}

/// A share in thousandths, 0 to 1000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Permille(u16);

impl Permille {
    /// Nothing.
    pub const NONE: Permille = Permille(0);
    /// All of it.
    pub const ALL: Permille = Permille(1000);

    /// So many thousandths; more than 1000 are 1000.
    pub const fn new(thousandths: u16) -> Permille {
        Permille(if thousandths > 1000 { 1000 } else { thousandths })
    }

    /// The thousandths.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// What share of the calls still begins where it would have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// The same share of all calls.
    OfAll(Permille),
    /// By criticality, the most critical first. A call without one, and one beyond the list, counts with the last.
    ByCriticality(Box<[Permille]>),
    /// A share of all calls. The others leave only for what is expected to cost less than this place now does.
    UnlessDearer {
        /// How many stay.
        share: Permille,
        /// How many times as much as is expected of it the place costs now, thousandths.
        times_milli: u64,
    },
}

impl Kept {
    /// How many times as much as is expected the place costs now, where that is why calls leave.
    pub const fn times_milli(&self) -> Option<u64> {
        match self {
            Kept::UnlessDearer { times_milli, .. } => Some(*times_milli),
            Kept::OfAll(_) | Kept::ByCriticality(_) => None,
        }
    }

    /// The share of the calls of this criticality.
    pub fn of(&self, criticality: Option<CriticalityIndex>) -> Permille {
        match self {
            Kept::OfAll(share) | Kept::UnlessDearer { share, .. } => *share,
            Kept::ByCriticality(shares) => {
                let own = criticality.and_then(|index| shares.get(index));
                own.or(shares.last()).copied().unwrap_or(Permille::ALL)
            }
        }
    }
}

/// Calls are moved away from a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// Who says so.
    pub by: Mover,
    /// Away from where.
    pub from: Place,
    /// How many stay.
    pub kept: Kept,
    /// Why, as the decision of each call it meets says it: `success burns 16.2× its budget over 1 h and 5 m`.
    pub reason: Arc<str>,
    /// Since when any are moved.
    pub since: UnixMs,
}

impl Move {
    /// Whether it speaks of this candidate.
    pub fn concerns(&self, candidate: &Candidate) -> bool {
        match self.from {
            Place::Lane(lane) => candidate.lane == lane,
            Place::Model(model) => candidate.model == model,
            Place::ModelOf(lane, model) => candidate.lane == lane && candidate.model == model,
        }
    }

    /// Whether it meets the call with this seed. The same call is met by every move from the same place that keeps less.
    pub fn meets(&self, criticality: Option<CriticalityIndex>, seed: u64) -> bool {
        let kept = self.kept.of(criticality);
        let place = match self.from {
            Place::Lane(index) => index as u64 * 2,
            // The same calls of a model, whichever lane they come through.
            Place::Model(index) | Place::ModelOf(_, index) => index as u64 * 2 + 1,
        };
        // A draw of its own for each place, so that two moves at once do not always meet the same calls.
        let mut chance = Chance::new(Chance::new(seed ^ place.wrapping_mul(0xd1b5_4a32_d192_ed03)).draw());
        kept < Permille::ALL && chance.below(1000) >= u64::from(kept.get())
    }
}

impl fmt::Display for Permille {
    /// In percent: `37.5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{} %", self.0 / 10),
            tenth => write!(f, "{}.{tenth} %", self.0 / 10),
        }
    }
}

impl fmt::Display for Mover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mover::Burn => "burn",
            Mover::Anomaly => "anomaly",
            Mover::Concentration => "concentration",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(from: Place, kept: Kept) -> Move {
        Move { by: Mover::Burn, from, kept, reason: "it burns".into(), since: UnixMs(0) }
    }

    fn met(moved: &Move, criticality: Option<usize>) -> usize {
        (0..10_000).filter(|seed| moved.meets(criticality, *seed)).count()
    }

    #[test]
    fn the_share_that_is_kept_is_the_share_that_is_not_met() {
        for (kept, about) in [(1000, 0), (900, 1_000), (250, 7_500), (0, 10_000)] {
            let count = met(&away(Place::Lane(3), Kept::OfAll(Permille::new(kept))), None);
            assert!(count.abs_diff(about) < 200, "{kept} ‰ kept: {count} of 10000 moved");
        }
        assert_eq!(met(&away(Place::Lane(3), Kept::OfAll(Permille::ALL)), None), 0);
        assert_eq!(met(&away(Place::Lane(3), Kept::OfAll(Permille::NONE)), None), 10_000);
    }

    #[test]
    fn a_call_that_is_moved_stays_moved_while_less_is_kept() {
        let (more, less) = (Kept::OfAll(Permille::new(700)), Kept::OfAll(Permille::new(200)));
        let (more, less) = (away(Place::Model(1), more), away(Place::Model(1), less));
        assert!((0..1_000).all(|seed| !more.meets(None, seed) || less.meets(None, seed)));
    }

    #[test]
    fn each_criticality_has_its_share_and_a_call_without_one_counts_with_the_last() {
        let kept = Kept::ByCriticality([Permille::ALL, Permille::NONE].into());
        let moved = away(Place::Lane(0), kept);
        assert_eq!((met(&moved, Some(0)), met(&moved, Some(1)), met(&moved, None)), (0, 10_000, 10_000));
        assert_eq!(Kept::ByCriticality([].into()).of(Some(0)), Permille::ALL);
    }
}
