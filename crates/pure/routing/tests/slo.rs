//! Thirty days of a healthy lane wake nobody, and every replayed incident is found: scenarios/slo/*.toml, seeded.

#![expect(clippy::disallowed_methods, reason = "a test reads its incidents from disk")]

use domain::UnixMs;
use proptest::prelude::*;
use routing::backoff::Chance;
use routing::slo::budget::{Allowed, ErrorBudget, Events};
use routing::slo::{ALERTS, BUDGET_MS, HOUR_MS, MINUTE_MS};
use serde::Deserialize;

/// A replayed incident.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incident {
    /// What happened, for the reader of a failure.
    about: String,
    /// Calls a minute.
    calls_per_minute: u32,
    /// Of a million events, how many may be bad.
    allowed_millionths: u32,
    /// Of a million events, how many are bad before and after.
    usual_bad_millionths: u64,
    /// Of a million, how many in it.
    bad_millionths: u64,
    /// How long it lasts, minutes.
    minutes: u32,
    /// The level that it must reach.
    level: usize,
    /// Within so many evaluations, one a minute, of its beginning.
    within_steps: u32,
    /// How many minutes after its end nobody is woken any more, at most.
    quiet_after_minutes: u32,
}

const START: UnixMs = UnixMs(1_767_225_600_000);

/// One minute of calls at a steady pace; how many of them were bad is drawn.
fn minute(budget: &mut ErrorBudget, calls: u32, bad_millionths: u64, number: u64, chance: &mut Chance) -> UnixMs {
    let begins = START + number * MINUTE_MS;
    for call in 0..calls {
        let at = begins + u64::from(call) * MINUTE_MS / u64::from(calls);
        budget.count(chance.below(1_000_000) >= bad_millionths, at);
    }
    begins + MINUTE_MS - 1
}

fn pages(level: usize) -> bool {
    level.checked_sub(1).is_some_and(|index| ALERTS[index].pages)
}

#[test]
fn thirty_healthy_days_wake_nobody() {
    // At half of what is allowed, where a lane that keeps its promise with some room stands.
    for (allowed, bad_millionths) in [(1_000, 500), (10_000, 5_000), (50_000, 25_000)] {
        for seed in 0..2 {
            let mut chance = Chance::new(seed);
            let mut budget = ErrorBudget::new(Allowed::millionths(allowed).unwrap());
            for number in 0..30 * 24 * 60 {
                let now = minute(&mut budget, 5, bad_millionths, number, &mut chance);
                let level = budget.level(now);
                assert!(!pages(level), "seed {seed}, {allowed} allowed: level {level} in minute {number}");
            }
            let reading = budget.reading(START + BUDGET_MS);
            assert!((350..650).contains(&reading.left_permille), "half of the budget is used: {reading:?}");
        }
    }
}

#[test]
fn every_replayed_incident_is_found_in_time_and_is_over_in_time() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/slo");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let incident: Incident = toml::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        for seed in 0..5 {
            replay(&incident, seed);
        }
        count += 1;
    }
    assert!(count >= 5, "only {count} incidents found");
}

fn replay(incident: &Incident, seed: u64) {
    let place = format!("{} (seed {seed})", incident.about);
    let mut chance = Chance::new(seed);
    let mut budget = ErrorBudget::new(Allowed::millionths(incident.allowed_millionths).unwrap());
    let mut number = 0;
    let mut next = |budget: &mut ErrorBudget, bad_millionths: u64| {
        let now = minute(budget, incident.calls_per_minute, bad_millionths, number, &mut chance);
        number += 1;
        budget.level(now)
    };
    for _ in 0..4 * 24 * 60 {
        let level = next(&mut budget, incident.usual_bad_millionths);
        assert!(!pages(level), "{place}: before it began");
    }
    let levels: Vec<usize> = (0..incident.minutes).map(|_| next(&mut budget, incident.bad_millionths)).collect();
    let steps = levels.iter().position(|level| *level >= incident.level).map(|at| at + 1);
    let within = usize::try_from(incident.within_steps).unwrap();
    assert!(steps.is_some_and(|steps| steps <= within), "{place}: level {} after {steps:?} steps", incident.level);
    let after: Vec<usize> = (0..12 * 60).map(|_| next(&mut budget, incident.usual_bad_millionths)).collect();
    let last = after.iter().rposition(|level| pages(*level)).map_or(0, |at| at + 1);
    let quiet = usize::try_from(incident.quiet_after_minutes).unwrap();
    assert!(last <= quiet, "{place}: pages for {last} minutes after its end");
}

proptest! {
    /// Whatever comes when: counts are neither lost nor made up, and the burn is what the counts say.
    #[test]
    fn counts_of_a_window_are_those_of_the_events_in_it(
        steps in prop::collection::vec((0u64..3 * HOUR_MS, prop::bool::ANY), 1..200),
        allowed in 1u32..=1_000_000,
    ) {
        let mut budget = ErrorBudget::new(Allowed::millionths(allowed).unwrap());
        let (mut now, mut counted) = (START, Vec::new());
        for (passes_ms, good) in steps {
            now = now + passes_ms;
            budget.count(good, now);
            counted.push((now, good));
        }
        let of = |window_ms: u64, width_ms: u64| {
            let bucket = |at: UnixMs| at.0.unsigned_abs() / width_ms;
            let within = counted.iter().filter(|(at, _)| bucket(now) - bucket(*at) <= window_ms / width_ms);
            let (good, bad): (Vec<&(UnixMs, bool)>, Vec<_>) = within.partition(|(_, good)| *good);
            Events { good: good.len() as u64, bad: bad.len() as u64 }
        };
        let reading = budget.reading(now);
        prop_assert_eq!(reading.events, of(BUDGET_MS, HOUR_MS));
        for (alert, burn) in ALERTS.iter().zip(&reading.burns) {
            let width = if alert.long_ms > 6 * HOUR_MS { HOUR_MS } else { MINUTE_MS };
            prop_assert_eq!(burn.long_milli, of(alert.long_ms, width).burn_milli(reading.allowed));
            prop_assert_eq!(burn.short_milli, of(alert.short_ms, MINUTE_MS).burn_milli(reading.allowed));
        }
    }

    /// One more bad event never makes a burn smaller, and one more good one never greater.
    #[test]
    fn burn_follows_what_is_bad(good in 0u64..10_000, bad in 0u64..10_000, allowed in 1u32..=1_000_000) {
        let allowed = Allowed::millionths(allowed).unwrap();
        let burn = |good, bad| Events { good, bad }.burn_milli(allowed);
        prop_assert!(burn(good, bad + 1) >= burn(good, bad));
        prop_assert!(burn(good + 1, bad) <= burn(good, bad));
    }
}
