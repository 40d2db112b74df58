//! What was bought by the hour, agreed and counted.

use config::{Catalog, Snapshot};
use control::contracts::standings;
use domain::{Cost, CostLine, Counted, Entry, Meter, NanoUsd, PicoUsd, UnixMs};
use testkit::facts::Sample;

use crate::support::{House, MIDNIGHT, NOON};

/// A capacity of 2 units at 3 USD an hour from that midnight on, and a contract.
fn snapshot() -> Snapshot {
    let text = "[providers.p]\ndialect = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
        [models.sonnet]\nprovider = \"p\"\nmodel = \"v\"\nprice = { input = \"1\", output = \"1\" }\n\
        [capacity.east]\nmodels = [\"sonnet\"]\nunits = 2\nunit_hour = \"3 USD\"\ntokens_per_minute = 1000\nfrom = 2026-11-21\n\
        [contracts.acme]\nprovider = \"p\"\nfrom = 2026-11-01\nuntil = 2027-01-01\ncommitment = \"100 USD\"\ncredit = \"5 USD\"\n\
        volume = [{ above = \"10 USD\", discount_percent = \"5\" }]\n";
    config::check_elsewhere("freehold.toml", text, &Catalog::default(), NOON)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// An attempt of the hour that was served by the capacity for a dollar.
fn used(number: u64, at: UnixMs) -> Entry {
    let mut record = Sample::new(number, at).record();
    let (units, price) = (20_000, PicoUsd(50_000_000));
    let line = CostLine {
        meter: Meter::Input,
        units,
        price,
        amount: price.times(units),
        price_row: "capacity/east#capacity-east".into(),
    };
    record.cost = Cost::Priced { total: line.amount, lines: vec![line] };
    Entry::Record(Box::new(record))
}

#[tokio::test]
async fn used_and_unused_are_together_what_the_hours_cost_and_are_booked_once() {
    let house = House::new().await;
    let snapshot = snapshot();
    let hour = |number: i64| UnixMs(MIDNIGHT.0 + number * 3_600_000);
    house.store.record(vec![used(1, hour(1)), used(2, UnixMs(hour(2).0 - 1)), used(3, hour(2))]).await.unwrap();
    // At 04:30 the hours from 00:00 and from 01:00 have been over for two hours.
    let now = UnixMs(hour(4).0 + 1_800_000);
    assert_eq!(control::capacity::book(&house.store, &snapshot, now).await.unwrap(), 2);
    assert_eq!(control::capacity::book(&house.store, &snapshot, now).await.unwrap(), 0, "an hour is booked once");
    let booked = house.store.capacity_records(MIDNIGHT, NOON).await.unwrap();
    let totals: Vec<_> = booked.iter().map(|record| record.cost.booked()).collect();
    // Six dollars an hour, of which the second hour used two.
    assert_eq!(totals, [NanoUsd::usd(6), NanoUsd::usd(4)]);
    let call = house.store.call(booked[1].intent.attempt.call, NOON).await.unwrap().unwrap();
    assert_eq!(
        call.journal,
        [("spend/(direct)/capacity".to_owned(), NanoUsd::usd(4)), ("payable/p".to_owned(), NanoUsd::usd(-4)),]
    );
    let all = standings(&house.store, &snapshot, NOON).await.unwrap();
    let east = all.iter().find(|one| one.name == "east").unwrap();
    assert_eq!(
        (east.agreed, east.used, east.left()),
        (Some(NanoUsd::usd(12)), NanoUsd::usd(2), Some(NanoUsd::usd(10)))
    );
}

#[tokio::test]
async fn what_was_drawn_taken_and_spent_is_told_with_what_is_left() {
    let house = House::new().await;
    let mut record = Sample::new(1, NOON).record();
    let counted = |name: &str, usd: u64| Counted { name: name.into(), amount: usd * 1_000_000_000 };
    record.counted = vec![counted("acme-volume", 12), counted("acme-credit", 12), counted("acme-commitment", 7)];
    house.store.record(vec![Entry::Record(Box::new(record))]).await.unwrap();
    let all = standings(&house.store, &snapshot(), NOON).await.unwrap();
    let told: Vec<_> = all[..3].iter().map(|one| (one.kind, one.used, one.left(), one.note.as_str())).collect();
    assert_eq!(
        told,
        [
            ("commitment", NanoUsd::usd(7), Some(NanoUsd::usd(93)), "93.00 USD are left to spend"),
            ("credit", NanoUsd::usd(5), Some(NanoUsd::ZERO), "it is used up"),
            ("volume", NanoUsd::usd(12), None, "5 % off what is spent next in this month"),
        ]
    );
}

#[tokio::test]
async fn what_is_short_of_a_commitment_is_booked_once_some_days_after_its_end() {
    let house = House::new().await;
    let mut snapshot = snapshot();
    snapshot.capacities.clear();
    let (from, until) = (snapshot.contracts[0].from, snapshot.contracts[0].until.unwrap());
    let mut record = Sample::new(1, NOON).record();
    record.counted = vec![Counted { name: "acme-commitment".into(), amount: 70_000_000_000 }];
    house.store.record(vec![Entry::Record(Box::new(record))]).await.unwrap();
    let book = async |now: UnixMs| control::capacity::book(&house.store, &snapshot, now).await.unwrap();
    let days = |days: u64| until + days * 86_400_000;
    assert_eq!(book(days(4)).await, 0, "it began before this installation, which does not know what was spent then");
    let revision = store::Revision { revision: "a".into(), taken_at: from, text: String::new() };
    house.store.record_revision(&revision).await.unwrap();
    assert_eq!(book(days(2)).await, 0, "a batch may still tell what it cost");
    assert_eq!((book(days(4)).await, book(days(5)).await), (1, 0), "it is booked once");
    let booked = house.store.capacity_records(from, until).await.unwrap();
    assert_eq!((booked[0].cost.booked(), booked[0].intent.at), (NanoUsd::usd(30), UnixMs(until.0 - 1)));
    let whole = control::verify::verify(&house.store, control::verify::Against::default(), days(5)).await.unwrap();
    assert!(whole.findings.iter().all(|finding| finding.weight == "note"), "{}", whole.table());
}
