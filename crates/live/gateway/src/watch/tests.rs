//! From attempts to moves: what is found on which call, and when it is over.

use std::sync::Arc;

use arc_swap::ArcSwap;
use config::Input;
use domain::{AttemptEnd, Cost, NanoUsd, Record, UnixMs};
use routing::anomaly::{GOOD_TO_END, Kind};
use routing::{Move, Place};
use wire::AskedTier;

use super::Watch;
use super::found::Ended;
use crate::deployed::Deployed;
use crate::metrics::Metrics;

/// Monday, 2026-11-02, 00:00 UTC.
const MONDAY: UnixMs = UnixMs(1_793_577_600_000);
const BUCKET_MS: u64 = 300_000;

fn deployed(input_price: &str) -> Deployed {
    let text = format!(
        "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1\"\n\n\
         [models.sonnet]\nprovider = \"p\"\nmodel = \"v\"\nprice = {{ input = \"{input_price}\", output = \"1\" }}\n\n\
         [lanes.premium]\nclass = \"A\"\nmodels = [\"sonnet\"]\n\
         on_anomaly = {{ price = \"change_lane\", tier = \"change_lane\", latency = \"change_lane\" }}\n\n\
         [criticality.high]\nlanes = [\"premium\"]\n\n\
         [workflows.w]\ncriticality = \"high\"\non_anomaly = {{ spend = \"change_lane\" }}\n"
    );
    let input = Input {
        file_name: "freehold.toml",
        text: &text,
        catalog: &config::Catalog::default(),
        environment: &|_| None,
        read_secret_file: &|_| Err("there is none".into()),
        now: MONDAY,
    };
    Deployed::new(Arc::new(config::check(&input).unwrap()), MONDAY, None).unwrap()
}

struct World {
    watch: Watch,
    deployed: ArcSwap<Deployed>,
    metrics: Metrics,
}

impl World {
    fn new() -> World {
        World { watch: Watch::default(), deployed: ArcSwap::from_pointee(deployed("1")), metrics: Metrics::new() }
    }

    /// An attempt of workflow `w` at the model that was booked at a thousand nano-dollars, changed by `change`.
    fn call(&self, at: UnixMs, change: impl FnOnce(&mut Record)) {
        self.call_moved(at, (1_000, 1_000), change);
    }

    /// The same, of a call that should have cost the one here, and the other where it would have begun.
    fn call_moved(&self, at: UnixMs, (here, usual): (i64, i64), change: impl FnOnce(&mut Record)) {
        let mut record = testkit::facts::Sample::new(1, at).record();
        (record.intent.model, record.intent.workflow) = ("sonnet".into(), Some("w".into()));
        (record.intent.at, record.ended_at) = (at, at);
        record.end = AttemptEnd::Served { finish: None };
        record.cost = Cost::Priced { total: NanoUsd(1_000), lines: Vec::new() };
        (record.provider_cost, record.first_token_ms) = (None, None);
        change(&mut record);
        let deployed = self.deployed.load();
        let model = &deployed.snapshot.models[0];
        let asked = if record.served.tier.is_some() { AskedTier::Flex } else { AskedTier::Usual };
        let ended = Ended {
            record: &record,
            row: model.price_at(at),
            asked: Some(asked),
            streamed: true,
            expected_cost: Some(NanoUsd(here)),
            usual_cost: Some(NanoUsd(usual)),
        };
        self.watch.look(&deployed.slots[0], &ended, &self.deployed, &self.metrics);
    }

    fn moves(&self) -> Vec<Arc<Move>> {
        self.deployed.load().steering.now().to_vec()
    }

    /// A day's calls, one in each bucket.
    fn days(&self, from: UnixMs, buckets: u64, change: impl Fn(&mut Record, u64)) -> UnixMs {
        for bucket in 0..buckets {
            self.call(from + bucket * BUCKET_MS, |record| change(record, bucket));
        }
        from + buckets * BUCKET_MS
    }
}

#[test]
fn a_price_that_doubles_moves_the_next_call_and_five_good_answers_bring_it_back() {
    let world = World::new();
    let billed = |at: i64, nano: i64| {
        world.call(UnixMs(MONDAY.0 + at), |record| record.provider_cost = Some(NanoUsd(nano)));
    };
    billed(0, 1_000);
    assert_eq!(world.moves(), []);
    billed(1_000, 2_000);
    let moves = world.moves();
    assert_eq!((moves.len(), moves[0].from, moves[0].since), (1, Place::ModelOf(0, 0), UnixMs(MONDAY.0 + 1_000)));
    assert_eq!(&*moves[0].reason, "realised price 2.0 × the catalogue's");
    assert_eq!(moves[0].kept.times_milli(), Some(2_000));
    (1..GOOD_TO_END).for_each(|probe| billed(1_000 * i64::from(probe), 1_000));
    assert_eq!(world.moves().len(), 1);
    billed(60_000, 1_000);
    assert_eq!(world.moves(), []);
    let told = world.watch.anomalies();
    assert_eq!((told.len(), told[0].kind, told[0].moves), (1, Kind::Price, true));
    assert_eq!(told[0].until, Some(UnixMs(MONDAY.0 + 60_000)));
}

#[test]
fn one_percent_more_is_found_on_the_first_answer_and_what_is_cheaper_moves_nobody() {
    let world = World::new();
    world.call(MONDAY, |record| record.provider_cost = Some(NanoUsd(900)));
    assert_eq!(world.watch.anomalies(), []);
    world.call(MONDAY, |record| record.provider_cost = Some(NanoUsd(1_010)));
    assert_eq!(world.watch.anomalies()[0].sentence, "realised price 1.01 × the catalogue's");
}

#[test]
fn a_price_put_right_in_the_configuration_ends_it_at_once() {
    let world = World::new();
    world.call(MONDAY, |record| record.provider_cost = Some(NanoUsd(2_000)));
    let before = world.deployed.load_full();
    let after = deployed("2");
    let after = Deployed { slots: before.slots.clone(), ..after };
    after.steering.set(routing::Mover::Anomaly, world.moves().iter().map(|one| Move::clone(one)).collect());
    world.deployed.store(Arc::new(after));
    world.watch.redeployed(&world.deployed.load(), &world.metrics);
    let told = world.watch.anomalies();
    assert!(told.iter().all(|one| one.until.is_some()), "{told:?}");
    assert_eq!(world.moves(), []);
}

#[test]
fn another_tier_than_was_asked_for_moves_the_next_call() {
    let world = World::new();
    world.call(MONDAY, |record| record.served.tier = Some("flex".into()));
    assert_eq!(world.moves(), []);
    world.call(MONDAY, |record| record.served.tier = Some("default".into()));
    assert_eq!(&*world.moves()[0].reason, "served as `default` where `flex` was asked for, at 1.0 × the price");
    (0..GOOD_TO_END).for_each(|_| world.call(MONDAY, |record| record.served.tier = Some("flex".into())));
    assert_eq!(world.moves(), []);
}

#[test]
fn first_tokens_that_take_twice_as_long_move_calls_until_they_no_longer_do() {
    let world = World::new();
    let takes = |ms: u64| move |record: &mut Record, bucket: u64| record.first_token_ms = Some(ms + bucket % 5 * 4);
    let now = world.days(MONDAY, 3 * 288, takes(300));
    assert_eq!(world.moves(), []);
    let now = world.days(now, 6, takes(600));
    let moves = world.moves();
    assert_eq!(moves.len(), 1);
    assert!(moves[0].reason.starts_with("first tokens take "), "{}", moves[0].reason);
    world.days(now, 24, takes(300));
    assert_eq!(world.moves(), []);
}

#[test]
fn a_workflow_that_spends_twice_as_much_leaves_for_what_is_cheaper_until_it_would_not() {
    let world = World::new();
    let costs = |nano: i64| {
        move |record: &mut Record, bucket: u64| {
            record.cost = Cost::Priced { total: NanoUsd(nano + bucket as i64 % 5 * nano / 50), lines: Vec::new() };
        }
    };
    let moves = || {
        let deployed = world.deployed.load();
        world.watch.moves_of(deployed.snapshot.workflows.get("w").map(|w| &**w), [0].into_iter())
    };
    let now = world.days(MONDAY, 3 * 288, costs(1_000));
    assert_eq!(moves(), []);
    let mut now = world.days(now, 6, costs(2_000));
    let moved = moves();
    assert_eq!(moved[0].from, Place::Model(0));
    assert!(moved[0].reason.starts_with("w spends "), "{}", moved[0].reason);
    assert!((1_800..2_200).contains(&world.watch.anomalies()[0].factor_milli), "{:?}", world.watch.anomalies());
    // Moved, its calls cost a tenth; they would still cost twice the usual.
    for bucket in 0..12 {
        now = now + BUCKET_MS;
        world.call_moved(now, (100, 1_000), |record| costs(200)(record, bucket));
    }
    assert!(!moves().is_empty(), "what was done about it does not end it");
    for bucket in 0..36 {
        now = now + BUCKET_MS;
        world.call_moved(now, (100, 1_000), |record| costs(100)(record, bucket));
    }
    assert_eq!(moves(), []);
    let kinds: Vec<Kind> = world.watch.anomalies().iter().map(|one| one.kind).collect();
    assert!(kinds.iter().all(|kind| *kind == Kind::Spend), "{kinds:?}");
}

#[test]
fn what_was_learned_outlives_the_process() {
    let world = World::new();
    let now = world.days(MONDAY, 3 * 288, |record, _| record.first_token_ms = Some(300));
    world.call(now, |record| record.provider_cost = Some(NanoUsd(2_000)));
    let text = world.watch.saved(&world.deployed.load());
    let next = World::new();
    next.watch.restore(&text, &next.deployed.load(), &next.metrics).unwrap();
    assert_eq!(next.moves(), world.moves());
    assert_eq!(next.watch.anomalies(), world.watch.anomalies());
    assert_eq!(next.watch.series(&next.deployed.load()).len(), 3);
    assert!(next.watch.restore("{}", &next.deployed.load(), &next.metrics).is_err());
}
