//! Every drill that comes with Freehold runs on the configuration that comes with it, and twice to the same bytes.

use std::sync::Arc;

use config::{Catalog, Input, Snapshot};
use drill::shipped::{SAMPLE, SHIPPED};
use drill::{Report, Scenario, page};

/// The sample configuration, checked.
pub fn sample() -> Arc<Snapshot> {
    snapshot(SAMPLE)
}

/// A configuration that needs no catalog, checked.
pub fn snapshot(text: &str) -> Arc<Snapshot> {
    let input = Input {
        file_name: "freehold.toml",
        text,
        catalog: &Catalog::default(),
        environment: &|_| None,
        read_secret_file: &|_| Err("there is none".into()),
        now: drill::world::BEGINS,
    };
    Arc::new(config::check(&input).unwrap_or_else(|problems| panic!("{problems:?}")))
}

fn run(scenario: &Scenario) -> Report {
    drill::run(scenario, &sample()).unwrap_or_else(|failed| panic!("{}: {failed}", scenario.title))
}

#[test]
fn a_premium_provider_that_is_gone_is_replaced_and_found_again() {
    let report = run(&shortened(drill::shipped::find("premium_outage").unwrap().text, 2.0));
    let claims = report.workflows.iter().find(|one| one.workflow == "claims-triage").unwrap();
    assert!(claims.calls > 40, "two a minute for half an hour: {}", claims.calls);
    let by = |model: &str| claims.served.iter().find(|by| by.model == model).map_or(0, |by| by.calls);
    // A third of the time is the outage's.
    assert!(by("summit-large") > 25 && by("harbour-small") + by("harbour-medium") > 8, "{:?}", claims.served);
    let slo = claims.slo.as_ref().unwrap();
    assert!(slo.last_minute < Some(22), "found again when it is back: {}", slo.sentence());
}

/// A shipped drill with few of its calls: enough to see what happens, and quick in a debug build.
fn shortened(text: &str, per_minute: f64) -> Scenario {
    let mut scenario = drill::scenario::parse(text).unwrap();
    let load = drill::written::usual_load();
    scenario.load = vec![drill::scenario::Load { per_minute, ..load }];
    scenario
}

#[test]
fn every_shipped_drill_runs_twice_to_the_same_bytes() {
    for shipped in SHIPPED {
        let scenario = shortened(shipped.text, 1.0);
        let (first, second) = (run(&scenario), run(&scenario));
        assert_eq!(first.json(), second.json(), "{}", shipped.name);
        assert_eq!(page::html(&first), page::html(&second), "{}", shipped.name);
    }
}

#[test]
fn another_seed_is_another_run() {
    let scenario = shortened(drill::shipped::find("everything_flaky").unwrap().text, 1.0);
    let other = Scenario { seed: scenario.seed + 1, ..scenario.clone() };
    assert_ne!(run(&scenario).workflows, run(&other).workflows);
}

/// What each shipped drill finds on the sample configuration. `cargo xtask prove drills` runs them as they are shipped.
#[test]
#[ignore = "minutes in a debug build; `cargo xtask prove drills` runs it"]
fn prove_drills_as_they_are_shipped() {
    for shipped in SHIPPED {
        let scenario = drill::scenario::parse(shipped.text).unwrap();
        let (first, second) = (run(&scenario), run(&scenario));
        assert_eq!(first.json(), second.json(), "{}", shipped.name);
        println!("## {}\n\n{}", shipped.name, first.text());
    }
}
