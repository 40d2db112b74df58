//! How near must a request be? The declared threshold, moved by what comparing shows.

use std::collections::VecDeque;

use config::NearRule;
use domain::UnixMs;
use routing::share::interval;

/// How far it rises when too many answers differ, thousandths of a cosine.
const RISE_MILLI: u16 = 10;
/// How far it sinks when few enough do: slower, so that it does not swing.
const SINK_MILLI: u16 = 2;
/// The highest it goes: hardly anything but the same words is nearer.
const HIGHEST_MILLI: u16 = 999;
/// Moves that are remembered.
const MOVES: usize = 64;

/// The threshold of one workflow on this instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Threshold {
    rule: NearRule,
    milli: u16,
    compared: u32,
    differing: u32,
    moves: VecDeque<(UnixMs, u16)>,
}

impl Threshold {
    /// As declared.
    pub fn new(rule: NearRule, now: UnixMs) -> Threshold {
        let milli = rule.threshold_milli;
        Threshold { rule, milli, compared: 0, differing: 0, moves: VecDeque::from([(now, milli)]) }
    }

    /// The rule it follows.
    pub fn rule(&self) -> NearRule {
        self.rule
    }

    /// How near a request must be now, thousandths.
    pub fn milli(&self) -> u16 {
        self.milli
    }

    /// Hits compared since it moved last, and those of them whose answers differed.
    pub fn compared(&self) -> (u32, u32) {
        (self.compared, self.differing)
    }

    /// When it moved, and to what; the last ones, oldest first.
    pub fn moves(&self) -> impl Iterator<Item = (UnixMs, u16)> + '_ {
        self.moves.iter().copied()
    }

    /// Takes in that a hit was compared. It rises where an answer differed and the share of those may, by the upper end of its
    /// interval, be above what is allowed. It sinks, down to what was declared, where that end lies below half of what is allowed: in
    /// between it stays, so that it does not swing about one value. What was counted at one threshold says nothing of another.
    pub fn compare(&mut self, agrees: bool, now: UnixMs) {
        self.compared += 1;
        self.differing += u32::from(!agrees);
        let most = f64::from(self.rule.max_differing_millipercent) / 100_000.0;
        let (_, upper) = interval(self.differing.into(), self.compared.into());
        if !agrees && upper > most {
            self.move_to((self.milli + RISE_MILLI).min(HIGHEST_MILLI), now);
        } else if upper <= most / 2.0 && self.milli > self.rule.threshold_milli {
            self.move_to((self.milli - SINK_MILLI).max(self.rule.threshold_milli), now);
        }
    }

    fn move_to(&mut self, milli: u16, now: UnixMs) {
        (self.compared, self.differing) = (0, 0);
        if milli != self.milli {
            self.milli = milli;
            if self.moves.len() == MOVES {
                self.moves.pop_front();
            }
            self.moves.push_back((now, milli));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(0);

    fn threshold() -> Threshold {
        let rule = NearRule { threshold_milli: 900, compare_millipercent: 5_000, max_differing_millipercent: 2_000 };
        Threshold::new(rule, NOW)
    }

    #[test]
    fn it_rises_with_each_answer_that_differs_while_too_many_may() {
        let mut threshold = threshold();
        threshold.compare(false, NOW);
        threshold.compare(true, NOW);
        threshold.compare(false, NOW);
        assert_eq!(threshold.milli(), 920);
        (0..50).for_each(|_| threshold.compare(false, NOW));
        assert_eq!(threshold.milli(), 999);
        assert_eq!(threshold.moves().count(), 11, "as declared, nine steps of ten and the last one of nine");
    }

    #[test]
    fn one_that_differs_among_very_many_moves_nothing() {
        let mut threshold = threshold();
        (0..600).for_each(|_| threshold.compare(true, NOW));
        threshold.compare(false, NOW);
        assert_eq!((threshold.milli(), threshold.compared()), (900, (601, 1)));
    }

    #[test]
    fn it_sinks_slowly_and_never_below_what_was_declared() {
        let mut threshold = threshold();
        threshold.compare(false, NOW);
        assert_eq!(threshold.milli(), 910);
        let mut agreed = 0;
        while threshold.milli() == 910 {
            threshold.compare(true, NOW);
            agreed += 1;
        }
        // The upper end of Wilson's interval of none among n is z² / (n + z²), which is 1 % at 381.
        assert_eq!((threshold.milli(), agreed), (908, 381));
        (0..10_000).for_each(|_| threshold.compare(true, NOW));
        assert_eq!(threshold.milli(), 900);
    }
}
