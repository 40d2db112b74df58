//! Runs every scenarios/*.toml: models, a timeline of calls with what their attempts meet, and the hops that must follow.

#![expect(clippy::disallowed_methods, reason = "a test reads its scenarios from disk")]

use domain::{Class, Fault, FaultClass, NanoUsd, Pick, UnixMs};
use routing::{Bought, BreakerSettings, Candidate, ModelHealth, Next, RetryPolicy, Route};
use serde::Deserialize;

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows, for the reader of a failure.
    about: String,
    models: Vec<Model>,
    #[serde(default)]
    retry: Retry,
    calls: Vec<Calls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    name: String,
    lane: String,
    pick: Pick,
    expected_usd: Option<String>,
    quality_milli: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Retry {
    max_attempts: Option<u16>,
    retries_same: Option<u16>,
    max_wait_ms: Option<u64>,
}

/// One call, or several alike.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    /// Time of day, `12:01:05` or `12:01:05.250`.
    at: String,
    #[serde(default = "one")]
    times: u32,
    /// Between one and the next.
    #[serde(default)]
    every_ms: u64,
    /// What each attempt meets, in order: `served`, `served 300` (first token ms), a fault's code, a fault's code and its
    /// Retry-After in ms, or `skip: why` where the caller cannot use the model.
    meets: Vec<String>,
    /// The models that attempts go to, in order. `gpt?` is a probe.
    hops: Vec<String>,
    /// Where given, the sentences.
    decisions: Option<Vec<String>>,
    /// Where given, the bounds of the waits, `0..200`, or the exact wait.
    waits: Option<Vec<String>>,
    /// The sentence of giving up, where it does.
    gives_up: Option<String>,
    retry_after_ms: Option<u64>,
    /// The call's own deadline.
    #[serde(default = "minute")]
    deadline_ms: u64,
}

fn one() -> u32 {
    1
}

fn minute() -> u64 {
    60_000
}

#[test]
fn every_scenario_goes_as_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        run(&file, &scenario);
        count += 1;
    }
    assert!(count >= 5, "only {count} scenarios found");
}

fn run(file: &str, scenario: &Scenario) {
    let mut health: Vec<ModelHealth> =
        scenario.models.iter().map(|_| ModelHealth::new(BreakerSettings::default())).collect();
    let standard = RetryPolicy::default();
    let policy = RetryPolicy {
        max_attempts: scenario.retry.max_attempts.unwrap_or(standard.max_attempts),
        retries_same: scenario.retry.retries_same.unwrap_or(standard.retries_same),
        max_wait_ms: scenario.retry.max_wait_ms.unwrap_or(standard.max_wait_ms),
        ..standard
    };
    for (index, calls) in scenario.calls.iter().enumerate() {
        for time in 0..calls.times {
            let now = clock(&calls.at) + u64::from(time) * calls.every_ms;
            let place = format!("{file}, calls[{index}] time {time} ({})", scenario.about);
            call(&place, scenario, calls, &mut health, policy, now, u64::from(time));
        }
    }
}

fn call(
    place: &str,
    scenario: &Scenario,
    calls: &Calls,
    health: &mut [ModelHealth],
    policy: RetryPolicy,
    mut now: UnixMs,
    seed: u64,
) {
    let mut route = Route::new(candidates(scenario, health, now), policy, seed, now + calls.deadline_ms);
    let (mut hops, mut decisions, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    let mut last: Option<Fault> = None;
    let mut given_up = None;
    let mut meets = calls.meets.iter();
    loop {
        match route.next(last.as_ref(), &mut |model, need| health[model].permit(now, need), now) {
            Next::GiveUp { why, retry_after_ms, .. } => {
                given_up = Some((why, retry_after_ms));
                break;
            }
            Next::Try { candidate, wait_ms, probe, decision, .. } => {
                let met = meets.next().unwrap_or_else(|| panic!("{place}: an attempt too many: {decision}"));
                now = now + wait_ms;
                hops.push(format!("{}{}", candidate.name, if probe { "?" } else { "" }));
                decisions.push(decision);
                waits.push(wait_ms);
                let model = &mut health[candidate.model];
                if let Some(why) = met.strip_prefix("skip: ") {
                    model.abandoned(probe);
                    route.skip(candidate.model, why);
                } else if let Some(rest) = met.strip_prefix("served") {
                    let first_token_ms = rest.trim().parse().ok();
                    model.succeeded(now, first_token_ms, first_token_ms.unwrap_or(100) * 2, probe);
                    break;
                } else {
                    let fault = fault(place, met);
                    model.failed(now, &fault, probe);
                    last = Some(fault);
                }
            }
        }
    }
    assert_eq!(hops, calls.hops, "{place}: hops, decided by {decisions:#?}");
    assert_eq!(meets.next(), None, "{place}: not met");
    if let Some(expected) = &calls.decisions {
        assert_eq!(&decisions, expected, "{place}: decisions");
    }
    for (wait_ms, bounds) in waits.iter().zip(calls.waits.iter().flatten()) {
        let (from, to) = bounds.split_once("..").unwrap_or((bounds, bounds));
        let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
        assert!((from..=to).contains(wait_ms), "{place}: waited {wait_ms} ms, expected {bounds}");
    }
    let (why, retry_after_ms) = given_up.unzip();
    assert_eq!(why, calls.gives_up, "{place}: gives_up");
    assert_eq!(retry_after_ms.flatten(), calls.retry_after_ms, "{place}: retry_after_ms");
}

fn candidates(scenario: &Scenario, health: &[ModelHealth], now: UnixMs) -> Vec<Candidate> {
    let mut lanes: Vec<&str> = Vec::new();
    let mut candidates = Vec::new();
    for (model, entry) in scenario.models.iter().enumerate() {
        if lanes.last() != Some(&entry.lane.as_str()) {
            lanes.push(&entry.lane);
        }
        candidates.push(Candidate {
            model,
            name: entry.name.as_str().into(),
            lane: lanes.len() - 1,
            lane_name: entry.lane.as_str().into(),
            class: Class::B,
            pick: entry.pick,
            expected_cost: entry.expected_usd.as_ref().map(|usd| usd.parse::<NanoUsd>().unwrap()),
            quality_milli: entry.quality_milli,
            first_token_ms: health[model].first_token_ms(now),
            in_flight: health[model].in_flight(),
            failed_percent: health[model].failed_percent(),
            cached_tokens: 0,
            bought: Bought::Nothing,
        });
    }
    candidates
}

fn fault(place: &str, met: &str) -> Fault {
    let (code, retry_after) = met.split_once(' ').unwrap_or((met, ""));
    let class = FaultClass::ALL.iter().find(|class| class.as_str() == code);
    let class = class.unwrap_or_else(|| panic!("{place}: `{code}` is no fault"));
    Fault { retry_after_ms: retry_after.parse().ok(), ..Fault::new(*class, "") }
}

/// A time of 1 July 2026.
fn clock(text: &str) -> UnixMs {
    let (hms, milli) = text.split_once('.').unwrap_or((text, "0"));
    let second = hms.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
    UnixMs(1_782_864_000_000 + second * 1000 + milli.parse::<i64>().unwrap())
}
