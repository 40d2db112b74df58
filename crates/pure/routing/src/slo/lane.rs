//! A lane's budgets together: the level it stands at, which calls are moved away because of it, and how they return.
//!
//! The level rises at once and falls one step at a time, each after [`RETURN_STEP_MS`], when the short window of its alert
//! has no such burn any more: so a lane that was down for a minute is tried with a tenth of its calls, then half of them, and
//! so on, and one that has used up much of its budget takes longer.

use std::sync::Arc;

use domain::UnixMs;
use serde::Serialize;

use super::budget::{Allowed, ErrorBudget, Events, Reading};
use super::{ALERTS, Indicator, Span, Times};
use crate::candidate::LaneIndex;
use crate::steer::{CriticalityIndex, Kept, Move, Mover, Permille, Place};

/// How long a level is kept at least before the next milder one, milliseconds: the short window of the fastest alert.
pub const RETURN_STEP_MS: u64 = 300_000;

/// How often a lane is looked at, at most, milliseconds.
pub const LOOK_EVERY_MS: u64 = 1_000;

/// Calls by criticality are remembered up to this many, then halved: the mix follows what comes.
const MIX_MEMORY: u64 = 4_096;

/// What a lane promises by one indicator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// What is counted.
    pub indicator: Indicator,
    /// How much is good, milliseconds; nothing where it is good or bad by itself.
    pub within_ms: Option<u64>,
    /// How many may be bad.
    pub allowed: Allowed,
}

/// The events of one bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// What is counted.
    pub indicator: Indicator,
    /// How much is good, milliseconds.
    pub within_ms: Option<u64>,
    /// How wide the bucket is, milliseconds.
    pub width_ms: u64,
    /// When it begins.
    pub start: UnixMs,
    /// How many events.
    pub events: Events,
}

/// The budgets of one lane.
#[derive(Clone, Debug)]
pub struct LaneBudgets {
    budgets: Vec<(Target, ErrorBudget)>,
    /// Calls that came to the lane first, by criticality; those without one are the last.
    mix: Box<[u64]>,
    level: usize,
    /// Since when any are moved.
    since: UnixMs,
    /// When the level last changed.
    changed: UnixMs,
    looked: Option<UnixMs>,
    /// What put the level where it is, for sentences.
    reason: Arc<str>,
    /// The oldest bucket that was changed after its time, and when it was.
    rewritten: Option<(UnixMs, UnixMs)>,
}

/// How a lane stands, for pages and metrics.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LaneStanding {
    /// Each promise: the indicator, what is good (milliseconds), and how its budget stands.
    pub promises: Vec<Promise>,
    /// How many of the alerts up to the fastest that holds.
    pub level: usize,
    /// Since when calls are moved; absent where none are.
    pub moved_since: Option<UnixMs>,
    /// Why; empty where none are.
    pub reason: String,
    /// Share of calls that still begin here by criticality, the most critical first, thousandths; those without one last.
    pub kept_permille: Vec<u16>,
}

/// One promise of a lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Promise {
    /// What is counted.
    pub indicator: Indicator,
    /// How much is good, milliseconds.
    pub within_ms: Option<u64>,
    /// How its budget stands.
    pub reading: Reading,
}

impl LaneBudgets {
    /// Nothing counted yet, for a lane that calls of so many criticalities come to.
    pub fn new(targets: &[Target], criticalities: usize) -> LaneBudgets {
        LaneBudgets {
            budgets: targets.iter().map(|target| (*target, ErrorBudget::new(target.allowed))).collect(),
            mix: vec![0; criticalities + 1].into(),
            level: 0,
            since: UnixMs(0),
            changed: UnixMs(0),
            looked: None,
            reason: "".into(),
            rewritten: None,
        }
    }

    /// The same lane by new targets. What was counted counts on where it is still good or bad by the same measure.
    pub fn renewed(&self, targets: &[Target], criticalities: usize) -> LaneBudgets {
        let mut renewed = LaneBudgets::new(targets, criticalities);
        for (target, budget) in &mut renewed.budgets {
            let same = |(known, _): &&(Target, ErrorBudget)| {
                known.indicator == target.indicator && known.within_ms == target.within_ms
            };
            if let Some((_, known)) = self.budgets.iter().find(same) {
                *budget = known.clone().allowing(target.allowed);
            }
        }
        if self.mix.len() == renewed.mix.len() {
            renewed.mix.clone_from(&self.mix);
        }
        LaneBudgets {
            level: self.level,
            since: self.since,
            changed: self.changed,
            reason: self.reason.clone(),
            rewritten: self.rewritten,
            ..renewed
        }
    }

    /// Whether it has just these targets and criticalities.
    pub fn is_of(&self, targets: &[Target], criticalities: usize) -> bool {
        self.budgets.iter().map(|(target, _)| target).eq(targets) && self.mix.len() == criticalities + 1
    }

    /// Counts a call that this lane is the first choice for, wherever it begins.
    pub fn came(&mut self, criticality: Option<CriticalityIndex>) {
        let last = self.mix.len() - 1;
        self.mix[criticality.map_or(last, |index| index.min(last))] += 1;
        if self.mix.iter().sum::<u64>() > MIX_MEMORY {
            self.mix.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// Counts whether the lane answered a call that it was asked for.
    pub fn answered(&mut self, well: bool, now: UnixMs) {
        self.count(Indicator::Success, now, |_| Some(well));
    }

    /// Counts how long something took in an answer that came; nothing where nothing was promised.
    pub fn took(&mut self, indicator: Indicator, ms: u64, now: UnixMs) {
        self.count(indicator, now, |target| target.within_ms.map(|within| ms <= within));
    }

    /// Counts how long all of so many tokens took.
    pub fn took_for_tokens(&mut self, ms: u64, tokens: u64, now: UnixMs) {
        let good = |target: &Target| target.within_ms.map(|within| ms <= within.saturating_mul(tokens));
        self.count(Indicator::InterToken, now, good);
    }

    /// Counts what the application said of an answer. A verdict that replaces one of before (its time, and whether it was good)
    /// is counted in the place of that. When it was counted.
    pub fn judged(&mut self, good: bool, before: Option<(UnixMs, bool)>, now: UnixMs) -> UnixMs {
        let Some((at, was_good)) = before else {
            self.count(Indicator::Quality, now, |_| Some(good));
            return now;
        };
        if was_good != good {
            for (_, budget) in self.budgets.iter_mut().filter(|(target, _)| target.indicator == Indicator::Quality) {
                budget.turn_over(at, was_good, now);
            }
            let oldest = self.rewritten.map_or(at, |(oldest, _)| oldest.min(at));
            self.rewritten = Some((oldest, now));
        }
        at
    }

    fn count(&mut self, indicator: Indicator, now: UnixMs, good: impl Fn(&Target) -> Option<bool>) {
        for (target, budget) in self.budgets.iter_mut().filter(|(target, _)| target.indicator == indicator) {
            if let Some(good) = good(target) {
                budget.count(good, now);
            }
        }
    }

    /// Takes over what was counted before a start, where it was counted by the same measure.
    pub fn restore(&mut self, counted: &Counted, now: UnixMs) {
        let same = |target: &Target| (target.indicator, target.within_ms) == (counted.indicator, counted.within_ms);
        for (_, budget) in self.budgets.iter_mut().filter(|(target, _)| same(target)) {
            budget.restore(counted.start, counted.events, now);
        }
    }

    /// What was counted since `from`, in whole buckets of a minute and of an hour; and older buckets that were changed since.
    pub fn counted(&self, from: UnixMs) -> Vec<Counted> {
        let rewritten = self.rewritten.filter(|(_, changed)| *changed >= from);
        let from = rewritten.map_or(from, |(oldest, _)| oldest.min(from));
        let of_target = |(target, budget): &(Target, ErrorBudget)| {
            let Target { indicator, within_ms, .. } = *target;
            let buckets = budget.buckets(from).into_iter();
            buckets.map(move |(width_ms, start, events)| Counted { indicator, within_ms, width_ms, start, events })
        };
        self.budgets.iter().flat_map(of_target).collect()
    }

    /// Whether it is time to look again.
    pub fn is_due(&self, now: UnixMs) -> bool {
        self.looked.is_none_or(|at| now < at || now.since(at) >= LOOK_EVERY_MS)
    }

    /// Looks at the budgets and sets the level. Whether it is another one than before.
    pub fn look(&mut self, now: UnixMs) -> bool {
        self.looked = Some(now);
        let (burning, worst) = self.worst(now);
        let before = self.level;
        if burning > self.level {
            self.level = burning;
        } else if burning < self.level && (now < self.changed || now.since(self.changed) >= RETURN_STEP_MS) {
            self.level -= 1;
        }
        if self.level == before {
            return false;
        }
        self.changed = now;
        if before == 0 {
            self.since = now;
        }
        if let Some((at, index)) = worst.filter(|_| burning >= self.level) {
            let ((target, budget), alert) = (&mut self.budgets[at], &ALERTS[index]);
            let burn = budget.reading(now).burns[index];
            let (times, long, short) = (Times(burn.long_milli), Span(alert.long_ms), Span(alert.short_ms));
            let what = target.indicator;
            self.reason = format!(
                "{what} burns {times} times its budget of errors over {long}, and more than {} over {short}",
                Times(u64::from(alert.burn_milli))
            )
            .into();
        } else if self.level > 0 && !self.reason.ends_with(RETURNING) {
            self.reason = format!("{}{RETURNING}", self.reason).into();
        }
        true
    }

    /// The level that the budgets ask for, and which budget by which alert asks for it.
    fn worst(&mut self, now: UnixMs) -> (usize, Option<(usize, usize)>) {
        let levels = self.budgets.iter_mut().enumerate().map(|(at, (_, budget))| (budget.level(now), at));
        match levels.max_by_key(|(level, at)| (*level, std::cmp::Reverse(*at))) {
            Some((level, at)) if level > 0 => (level, Some((at, level - 1))),
            _ => (0, None),
        }
    }

    /// Which calls are moved away from it; none where it stands at no level.
    pub fn moved(&self, lane: LaneIndex) -> Option<Move> {
        (self.level > 0).then(|| Move {
            by: Mover::Burn,
            from: Place::Lane(lane),
            kept: Kept::ByCriticality(self.kept()),
            reason: self.reason.clone(),
            since: self.since,
        })
    }

    /// What stays of each criticality. The share of all calls that the level moves is taken from the least critical first.
    fn kept(&self) -> Box<[Permille]> {
        let mut kept = vec![Permille::ALL; self.mix.len()];
        let Some(alert) = self.level.checked_sub(1).map(|index| &ALERTS[index]) else { return kept.into() };
        // In thousandths of a call, so that a small lane's share is not rounded away.
        let mut left = self.mix.iter().sum::<u64>() * u64::from(alert.moved_permille);
        for (kept, count) in kept.iter_mut().zip(&self.mix).rev() {
            let moved = left.min(count * 1000);
            *kept = match moved.checked_div(*count) {
                Some(share) => Permille::new(1000 - u16::try_from(share).unwrap_or(1000)),
                None if left > 0 => Permille::NONE,
                None => Permille::ALL,
            };
            left -= moved;
        }
        kept.into()
    }

    /// How it stands.
    pub fn standing(&mut self, now: UnixMs) -> LaneStanding {
        let promises = self.budgets.iter_mut().map(|(target, budget)| Promise {
            indicator: target.indicator,
            within_ms: target.within_ms,
            reading: budget.reading(now),
        });
        let promises = promises.collect();
        LaneStanding {
            promises,
            level: self.level,
            moved_since: (self.level > 0).then_some(self.since),
            reason: if self.level > 0 { self.reason.to_string() } else { String::new() },
            kept_permille: self.kept().iter().map(|share| share.get()).collect(),
        }
    }
}

/// What a reason ends with while calls return.
const RETURNING: &str = "; calls return step by step";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> UnixMs {
        UnixMs(1_767_225_600_000 + second * 1_000)
    }

    fn success() -> Target {
        Target { indicator: Indicator::Success, within_ms: None, allowed: Allowed::beside_success(99_900).unwrap() }
    }

    fn within(indicator: Indicator, ms: u64) -> Target {
        Target { indicator, within_ms: Some(ms), allowed: Allowed::P95 }
    }

    /// A lane that a tenth `high`, three tenths `medium` and six tenths `routine` calls come to, and none without a
    /// criticality.
    fn lane(targets: &[Target]) -> LaneBudgets {
        let mut lane = LaneBudgets::new(targets, 3);
        for number in 0..1_000 {
            lane.came(Some(match number % 10 {
                0 => 0,
                1..=3 => 1,
                _ => 2,
            }));
        }
        lane
    }

    fn kept(lane: &LaneBudgets) -> Vec<u16> {
        lane.kept().iter().map(|share| share.get()).collect()
    }

    #[test]
    fn the_least_critical_are_moved_first_and_the_most_critical_last() {
        let mut lane = lane(&[success()]);
        let at_level = |lane: &mut LaneBudgets, level| {
            lane.level = level;
            kept(lane)[..3].to_vec()
        };
        assert_eq!(at_level(&mut lane, 0), [1000, 1000, 1000]);
        // A tenth of all is a sixth of the six tenths that are routine.
        assert_eq!(at_level(&mut lane, 1), [1000, 1000, 834]);
        assert_eq!(at_level(&mut lane, 2), [1000, 1000, 584]);
        assert_eq!(at_level(&mut lane, 3), [1000, 1000, 167]);
        assert_eq!(at_level(&mut lane, 4), [1000, 0, 0], "nine tenths are routine and medium");
    }

    #[test]
    fn an_outage_raises_the_level_at_once_and_calls_return_step_by_step() {
        let mut lane = lane(&[success(), within(Indicator::Total, 1_000)]);
        for second in 0..3_600 {
            lane.answered(true, at(second));
            lane.took(Indicator::Total, 400, at(second));
        }
        assert!(!lane.look(at(3_600)) && lane.moved(0).is_none());
        (0..90).for_each(|second| lane.answered(false, at(3_600 + second)));
        assert!(lane.look(at(3_690)));
        let moved = lane.moved(0).unwrap();
        assert_eq!((lane.level, moved.since, moved.from), (4, at(3_690), Place::Lane(0)));
        assert_eq!(
            &*moved.reason,
            "success burns 24.7 times its budget of errors over 1 h, and more than 14.4 over 5 m"
        );
        // It answers again. The level falls when five minutes were good, but no sooner than five after the last change.
        let mut falls = Vec::new();
        for second in 3_690..40_000 {
            lane.answered(true, at(second));
            if lane.is_due(at(second)) && lane.look(at(second)) {
                falls.push((lane.level, (second - 3_690) / 60));
            }
        }
        assert_eq!(falls, [(3, 5), (2, 30), (1, 120), (0, 360)]);
        assert!(lane.moved(0).is_none());
    }

    #[test]
    fn a_slow_lane_is_as_bad_as_one_that_fails() {
        let mut lane = lane(&[within(Indicator::FirstToken, 500), within(Indicator::InterToken, 20)]);
        for second in 0..600 {
            lane.took(Indicator::FirstToken, 200, at(second));
            // 100 tokens in 4 s are 40 ms each.
            lane.took_for_tokens(4_000, 100, at(second));
        }
        assert!(lane.look(at(600)));
        assert_eq!(lane.level, 4);
        assert!(lane.moved(0).unwrap().reason.starts_with("time per token burns 20.0 times its budget"));
    }

    #[test]
    fn answers_that_were_judged_bad_burn_like_any_other_and_a_second_verdict_replaces_the_first() {
        let quality = Target { indicator: Indicator::Quality, within_ms: None, allowed: Allowed::P95 };
        let mut lane = lane(&[success(), quality]);
        let counted: Vec<UnixMs> = (0..40).map(|second| lane.judged(false, None, at(second))).collect();
        assert!(lane.look(at(40)));
        let reason = lane.moved(0).unwrap().reason;
        assert!(reason.starts_with("quality burns 20.0 times its budget of errors over 1 h"), "{reason}");
        for when in counted {
            assert_eq!(lane.judged(true, Some((when, false)), at(600)), when);
            assert_eq!(lane.judged(true, Some((when, true)), at(601)), when, "said twice, counted once");
        }
        let events = lane.standing(at(602)).promises[1].reading.events;
        assert_eq!((events.good, events.bad), (40, 0));
        // What is written down since a minute ago has the old buckets too, until a later write begins after the change.
        let written = |from: i64| lane.counted(at(from)).iter().map(|one| one.events.good).sum::<u64>();
        assert_eq!((written(540), written(7_200)), (80, 0), "40 in a bucket of a minute, and in one of an hour");
    }

    #[test]
    fn what_was_counted_stays_while_its_measure_does() {
        let mut before = lane(&[success(), within(Indicator::Total, 1_000)]);
        before.answered(true, at(0));
        before.took(Indicator::Total, 500, at(0));
        let looser = Target { allowed: Allowed::beside_success(99_000).unwrap(), ..success() };
        let mut after = before.renewed(&[looser, within(Indicator::Total, 400)], 3);
        let seen: Vec<u64> = after.standing(at(1)).promises.iter().map(|one| one.reading.events.all()).collect();
        assert_eq!(
            seen,
            [1, 0],
            "500 ms is good within 1 s, and bad within 400 ms: it says nothing of the new promise"
        );
        assert_eq!(kept(&after), kept(&before));
    }
}
