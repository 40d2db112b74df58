//! Books that are priced anew.

use config::Catalog;
use control::ledger_export::Summary;
use control::reprice::{ListBooks, run};
use domain::{Entry, NanoUsd, UnixMs};
use store::{Dimension, Scope};
use testkit::facts::Sample;

use crate::support::{House, MIDNIGHT, NOON};

/// What a sample's 700 tokens were booked at is 3 USD per million; the list says 2 until noon and 4 from then on.
fn list() -> ListBooks {
    let provider = "[[provider]]\nname = \"provider\"\nsource = \"a test\"\nas_of = \"2026-11-01\"\n";
    let row = |day: &str, more: &str, input: &str| {
        format!(
            "[[price]]\nid = \"provider/claude-sonnet@{day}\"\nprovider = \"provider\"\nmodel = \"claude-sonnet\"\n{more}\
             input = \"{input}\"\nsources = [\"a list\"]\nas_of = \"{day}\"\n"
        )
    };
    let prices = row("2026-11-01", "to = \"2026-11-21\"\n", "2") + &row("2026-11-20", "from = \"2026-11-21\"\n", "4");
    let catalog = Catalog::parse(provider, "", &prices).unwrap_or_else(|problems| panic!("{problems:?}"));
    ListBooks::new(catalog, None, [])
}

#[tokio::test]
async fn each_attempt_is_priced_by_its_own_day_and_a_correction_is_booked_once() {
    let house = House::new().await;
    let yesterday = UnixMs(MIDNIGHT.0 - 1_000);
    let entries = [Sample::new(1, yesterday), Sample::new(2, NOON)].into_iter().flat_map(|sample| sample.entries());
    house.store.record(entries.collect()).await.unwrap();
    let ever = (UnixMs(0), UnixMs(i64::MAX));

    let report = run(&house.store, &list(), ever, None, NOON).await.unwrap();
    // 700 × 2000 for yesterday, 700 × 4000 for today, where 2 100 000 were booked for each.
    assert_eq!((report.attempts, report.changed, report.corrections), (2, 2, 0));
    assert_eq!((report.booked, report.repriced), (NanoUsd(4_200_000), NanoUsd(4_200_000)));
    let told: Vec<_> = report.differences.iter().map(|row| (row.price_row.as_str(), row.change().0)).collect();
    assert!(told.contains(&("provider/sonnet@2026-01-01", -4_200_000)), "{told:?}");
    assert!(told.contains(&("provider/claude-sonnet@2026-11-20", 2_800_000)), "{told:?}");
    assert_eq!(house.store.corrections(ever.0, ever.1).await.unwrap(), [], "a report books nothing");

    let report = run(&house.store, &list(), ever, Some("a list"), NOON).await.unwrap();
    assert_eq!(report.corrections, 2);
    let again = run(&house.store, &list(), ever, Some("a list"), NOON).await.unwrap();
    assert_eq!((again.changed, again.corrections), (0, 0), "what is booked is not booked twice");

    let spent = |since| {
        let store = house.store.clone();
        async move { store.spent_since(&Scope::Workflow("claims-triage".into()), since).await.unwrap() }
    };
    assert_eq!(
        (spent(UnixMs(MIDNIGHT.0 - 3_600_000)).await, spent(MIDNIGHT).await),
        (NanoUsd(4_200_000), NanoUsd(2_800_000))
    );
    let summary = Summary::of(&house.store, ever.0, ever.1).await.unwrap();
    assert!(summary.balances());
    assert_eq!((summary.attempts, summary.booked), (2, NanoUsd(4_200_000)), "a correction is no attempt more");
    let by_model = house.store.spend_by(Dimension::Model, MIDNIGHT, MIDNIGHT).await.unwrap();
    assert_eq!(by_model["sonnet"].today, NanoUsd(2_800_000));

    let call = house.store.call(Sample::new(2, NOON).call(), NOON).await.unwrap().unwrap();
    let records: Vec<_> = call
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Record(record) => Some(record),
            _ => None,
        })
        .collect();
    assert_eq!(records[0].cost, Sample::new(2, NOON).record().cost, "the stored cost stays");
    assert_eq!((records[1].cost.booked(), records[1].corrects), (NanoUsd(700_000), Some(records[0].intent.attempt)));
    let sum: NanoUsd = call.journal.iter().map(|(_, amount)| *amount).sum();
    assert_eq!(sum, NanoUsd::ZERO);
    let amount = |account: &str| call.journal.iter().find(|(name, _)| name == account).map(|(_, amount)| *amount);
    assert_eq!(amount("spend/claims-triage/correction"), Some(NanoUsd(700_000)));
    assert_eq!(house.store.audit_lines(1).await.unwrap()[0].detail, "2 corrections: a list");
}

#[tokio::test]
async fn a_second_list_goes_on_from_the_first() {
    let house = House::new().await;
    house.store.record(Sample::new(1, NOON).entries()).await.unwrap();
    let ever = (UnixMs(0), UnixMs(i64::MAX));
    run(&house.store, &list(), ever, Some("the first"), NOON).await.unwrap();
    let dearer = Catalog::parse(
        "[[provider]]\nname = \"provider\"\nsource = \"a test\"\nas_of = \"2026-11-01\"\n",
        "",
        "[[price]]\nid = \"provider/claude-sonnet@x\"\nprovider = \"provider\"\nmodel = \"claude-sonnet\"\ninput = \"10\"\n\
         sources = [\"b\"]\nas_of = \"2026-11-22\"\n",
    );
    let dearer = ListBooks::new(dearer.unwrap(), None, []);
    let report = run(&house.store, &dearer, ever, Some("the second"), NOON).await.unwrap();
    // 700 × 4000 were due by the first, 700 × 10000 are by the second.
    assert_eq!((report.booked, report.repriced, report.corrections), (NanoUsd(2_800_000), NanoUsd(7_000_000), 1));
    let all = house.store.corrections(ever.0, ever.1).await.unwrap();
    assert_eq!(all.iter().map(|record| record.cost.booked().0).collect::<Vec<_>>(), [700_000, 4_200_000]);
    assert_eq!(Summary::of(&house.store, ever.0, ever.1).await.unwrap().booked, NanoUsd(7_000_000));
}

#[tokio::test]
async fn a_cost_that_the_provider_tells_otherwise_is_kept_by_model() {
    let house = House::new().await;
    let record = |number, theirs| {
        let mut record = Sample::new(number, NOON).record();
        record.provider_cost = Some(NanoUsd(theirs));
        Entry::Record(Box::new(record))
    };
    let entries = vec![record(1, 2_100_000), record(2, 2_000_000), record(3, 4_200_000)];
    house.store.record(entries.clone()).await.unwrap();
    house.store.record(entries).await.unwrap();
    let found = house.store.cost_differences(MIDNIGHT, UnixMs(i64::MAX), 10).await.unwrap();
    let told: Vec<_> = found.iter().map(|one| (one.model.as_str(), one.costs.percent())).collect();
    assert_eq!(told, [("sonnet", "+5.00".to_owned()), ("sonnet", "-50.00".to_owned())]);
    let sums = house.store.cost_differences_by_model(MIDNIGHT).await.unwrap();
    assert_eq!(
        (sums["sonnet"].attempts, sums["sonnet"].ours, sums["sonnet"].theirs),
        (2, NanoUsd(4_200_000), NanoUsd(6_200_000))
    );
    assert!(house.store.cost_differences_by_model(NOON + 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_attempts_count_is_summed_by_name() {
    let house = House::new().await;
    let record = |number, at, amount| {
        let mut record = Sample::new(number, at).record();
        record.counted = vec![domain::Counted { name: "searches".into(), amount }];
        Entry::Record(Box::new(record))
    };
    house
        .store
        .record(vec![record(1, NOON, 3), record(2, NOON, 4), record(3, UnixMs(MIDNIGHT.0 - 1), 9)])
        .await
        .unwrap();
    assert_eq!(house.store.counted_since("searches", MIDNIGHT).await.unwrap(), 7);
    assert_eq!(house.store.counted_since("searches", UnixMs(0)).await.unwrap(), 16);
    assert_eq!(house.store.counted_since("others", UnixMs(0)).await.unwrap(), 0);
}
