//! From the spool into the store, through every kind of death.

use control::ingest::{Ingest, Pass};
use control::recover::{balances, recover};
use domain::{AttemptEnd, Cost, Entry, NanoUsd, UnixMs};
use store::{CallQuery, Scope, Store};
use testkit::facts::Sample;

use crate::support::{House, MIDNIGHT, NOON};

fn ingest(house: &House) -> Ingest {
    Ingest::new(house.store.clone(), &house.data.spool(), None)
}

async fn records(store: &Store) -> Vec<domain::Record> {
    let all = store.records_after(0, UnixMs(0), UnixMs(i64::MAX), 10_000).await.unwrap();
    all.into_iter().map(|(_, record)| record).collect()
}

#[tokio::test]
async fn what_the_gateway_appends_is_taken_over_once_and_done_segments_go() {
    let house = House::new().await;
    let mut job = ingest(&house);
    let taken = |fresh, deleted| Pass { fresh, deleted, corrupt_lines: 0 };
    assert_eq!(job.pass(false, NOON).await.unwrap(), taken(0, 0));
    house.append("0001.seg", &Sample::new(1, NOON).entries());
    assert_eq!(job.pass(false, NOON).await.unwrap(), taken(2, 0));
    assert_eq!(job.pass(false, NOON).await.unwrap(), taken(0, 0));
    house.append("0001.seg", &Sample::new(2, NOON).entries());
    house.append("0002.seg", &Sample::new(3, NOON).entries());
    assert_eq!(job.pass(false, NOON).await.unwrap(), taken(4, 1));
    assert_eq!(house.segments(), ["0002.seg"]);
    assert_eq!(house.store.segments().await.unwrap().len(), 1);
    assert_eq!(records(&house.store).await.len(), 3);
    assert_eq!(job.progress().behind(NOON), (0, 0));
}

#[tokio::test]
async fn a_segment_its_writer_still_holds_stays_although_another_sorts_after_it() {
    let house = House::new().await;
    house.append("0001.seg", &Sample::new(1, NOON).entries());
    house.append("0002.seg", &Sample::new(2, NOON).entries());
    let held = std::fs::File::open(house.data.spool().join("0001.seg")).unwrap();
    held.lock().unwrap();
    let mut job = ingest(&house);
    assert_eq!(job.pass(false, NOON).await.unwrap(), Pass { fresh: 4, deleted: 0, corrupt_lines: 0 });
    drop(held);
    assert_eq!(job.pass(false, NOON).await.unwrap().deleted, 1);
    assert_eq!(house.segments(), ["0002.seg"]);
}

#[tokio::test]
async fn the_jobs_end_when_told_and_the_last_records_are_taken_first() {
    let house = House::new().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clock: control::Clock = std::sync::Arc::new(|| NOON);
    let job = tokio::spawn(ingest(&house).run(stopped.clone(), clock));
    let (keys, _) = control::KeyWatch::start(house.store.clone()).await.unwrap();
    let keys = tokio::spawn(keys.run(stopped.clone()));
    let forget = tokio::spawn(control::retention::run(house.control(&crate::support::Desk::at(NOON)), stopped));
    house.append("0001.seg", &Sample::new(1, NOON).entries());
    stop.send(true).unwrap();
    for job in [job, keys, forget] {
        job.await.unwrap();
    }
    assert_eq!(records(&house.store).await.len(), 1);
}

#[tokio::test]
async fn a_line_still_being_written_waits_and_shows_as_behind() {
    let house = House::new().await;
    let mut job = ingest(&house);
    let mut lines = Vec::new();
    Sample::new(1, NOON).entries().iter().for_each(|entry| ledger::segment::encode(entry, &mut lines));
    let (first, rest) = lines.split_at(lines.len() - 40);
    house.append_bytes("0001.seg", first);
    assert_eq!(job.pass(false, NOON).await.unwrap().fresh, 1);
    let (bytes, _) = job.progress().behind(NOON + 500);
    assert!(bytes > 0);
    assert_eq!(job.progress().behind(NOON + 500).1, 500);
    house.append_bytes("0001.seg", rest);
    assert_eq!(job.pass(false, NOON + 900).await.unwrap().fresh, 1);
    assert_eq!(job.progress().behind(NOON + 900), (0, 0));
}

#[tokio::test]
async fn a_damaged_line_is_an_alarm_and_the_rest_goes_on() {
    let house = House::new().await;
    let mut job = ingest(&house);
    house.append("0001.seg", &Sample::new(1, NOON).entries());
    let damaged_at = std::fs::metadata(house.data.spool().join("0001.seg")).unwrap().len();
    house.append_bytes("0001.seg", b"00000000 {\"kind\":\"intent\"}\n");
    house.append("0001.seg", &Sample::new(2, NOON).entries());
    house.append("0002.seg", &[]);
    let pass = job.pass(false, NOON).await.unwrap();
    assert_eq!((pass.fresh, pass.corrupt_lines), (4, 1));
    assert_eq!(house.segments(), ["0001.bad", "0002.seg"]);
    let kept = &house.store.segments().await.unwrap()[0];
    assert_eq!((kept.corrupt_lines, kept.corrupt_offset), (1, Some(damaged_at)));
    // Whoever looked into it deletes the file; the alarm goes with it.
    std::fs::remove_file(house.data.spool().join("0001.bad")).unwrap();
    job.pass(false, NOON).await.unwrap();
    assert!(house.store.segments().await.unwrap().iter().all(|segment| segment.corrupt_lines == 0));
}

#[tokio::test]
async fn killed_between_any_two_steps_it_ends_with_the_same_books() {
    let house = House::new().await;
    for number in 0..5 {
        house.append(&format!("000{number}.seg"), &Sample::new(number, NOON).entries());
    }
    // Taken over, but killed before the file was deleted: as a copy of the file that comes back.
    let copy = std::fs::read(house.data.spool().join("0000.seg")).unwrap();
    ingest(&house).pass(true, NOON).await.unwrap();
    assert!(house.segments().is_empty());
    house.append_bytes("0000.seg", &copy);
    let pass = ingest(&house).pass(true, NOON).await.unwrap();
    assert_eq!((pass.fresh, pass.deleted), (0, 1));
    // Killed between deleting the file and forgetting the segment: a row without a file.
    let entries = vec![Entry::Record(Box::new(Sample::new(9, NOON).record()))];
    let batch = store::Batch { segment: "0009.seg".into(), upto_offset: 7, entries, ..Default::default() };
    house.store.ingest(batch).await.unwrap();
    ingest(&house).pass(false, NOON).await.unwrap();
    assert_eq!(house.store.segments().await.unwrap(), []);
    assert_eq!(records(&house.store).await.len(), 6);
}

#[tokio::test]
async fn many_entries_go_in_batches_and_long_lines_go_through() {
    let house = House::new().await;
    let samples: Vec<Sample> = (0..1_200).map(|number| Sample::new(number, NOON)).collect();
    let mut long = Sample::new(5_000, NOON).end();
    long.asked = "x".repeat(9 << 20);
    house.append("0001.seg", &samples.iter().flat_map(Sample::entries).collect::<Vec<_>>());
    house.append("0001.seg", &[Entry::Call(Box::new(long))]);
    house.append("0001.seg", &Sample::new(5_001, NOON).entries());
    let pass = ingest(&house).pass(true, NOON).await.unwrap();
    assert_eq!((pass.fresh, pass.corrupt_lines), (2_403, 0));
}

#[tokio::test]
async fn with_the_store_locked_everything_waits_and_nothing_is_lost() {
    let house = House::new().await;
    let impatient = Store::open_waiting(&house.data.database(), 20).await.unwrap();
    let mut job = Ingest::new(impatient, &house.data.spool(), None);
    house.append("0001.seg", &Sample::new(1, NOON).entries());
    let lock = house.store.hold_write_lock().await.unwrap();
    assert!(job.pass(false, NOON).await.is_err());
    house.append("0002.seg", &Sample::new(2, NOON).entries());
    assert!(job.pass(false, NOON + 20_000).await.is_err());
    let (bytes, age_ms) = job.progress().behind(NOON + 20_000);
    assert!(bytes > 0 && age_ms == 20_000);
    drop(lock);
    // A dropped transaction is rolled back by its connection's next use.
    house.store.newest_call().await.unwrap();
    house.store.revoke_key(&domain::KeyId("none".into()), NOON).await.unwrap();
    assert_eq!(job.pass(false, NOON + 30_000).await.unwrap().fresh, 4);
    assert_eq!(job.progress().behind(NOON + 30_000), (0, 0));
}

#[tokio::test]
async fn attempts_in_flight_at_a_kill_become_indeterminate_exactly_once() {
    let house = House::new().await;
    let done = Sample::new(1, NOON);
    let flying = Sample { cost_nano: 70, ..Sample::new(2, NOON) };
    house.append("0001.seg", &done.entries());
    house.append("0001.seg", &[Entry::Intent(flying.intent())]);
    // The last line was torn by the kill.
    house.append_bytes("0001.seg", b"12345678 {\"kind\":\"rec");
    for start in 0..3 {
        let lock = house.data.lock().unwrap();
        let recovered = recover(&house.store, &house.data, &lock, NOON + 60_000).await.unwrap();
        assert_eq!(recovered.indeterminate, u64::from(start == 0));
    }
    assert!(house.segments().is_empty());
    let records = records(&house.store).await;
    assert_eq!(records.len(), 2);
    assert_eq!((&records[1].end, &records[1].cost), (&AttemptEnd::Indeterminate, &Cost::AtMost(Some(NanoUsd(70)))));
    // The call is found among the failed ones, with what is known of it.
    let failed = CallQuery { failed: Some(true), ..CallQuery::default() };
    let calls = house.store.calls(&failed, None, 9).await.unwrap();
    assert_eq!((calls.len(), calls[0].call, calls[0].cost), (1, flying.call(), NanoUsd(70)));
    // And the budget starts from everything that was booked, the upper bound included.
    let scopes =
        [(Scope::Workflow("claims-triage".into()), MIDNIGHT), (Scope::Key(domain::KeyId("k9".into())), MIDNIGHT)];
    let balances = balances(&house.store, &scopes).await.unwrap();
    assert_eq!(balances.workflows, [("claims-triage".into(), NanoUsd(2_100_070))]);
    assert_eq!(balances.keys, [(domain::KeyId("k9".into()), NanoUsd::ZERO)]);
}

#[tokio::test]
async fn a_retry_in_flight_adds_to_the_attempts_its_call_had() {
    let house = House::new().await;
    let first = Sample::new(1, NOON);
    let mut second = first.intent();
    second.attempt.ordinal = 2;
    let facts = [Entry::Intent(first.intent()), Entry::Record(Box::new(first.record())), Entry::Intent(second)];
    house.append("0001.seg", &facts);
    let lock = house.data.lock().unwrap();
    recover(&house.store, &house.data, &lock, NOON).await.unwrap();
    let call = house.store.call(first.call(), NOON).await.unwrap().unwrap();
    let end = call.end.unwrap();
    assert_eq!((end.attempts, end.cost, call.entries.len()), (2, NanoUsd(4_200_000), 2));
}

#[tokio::test]
async fn a_slow_listener_costs_spans_and_never_records() {
    let house = House::new().await;
    let (tap, mut heard) = tokio::sync::mpsc::channel(3);
    let mut job = Ingest::new(house.store.clone(), &house.data.spool(), Some(tap));
    house.append("0001.seg", &(0..4).flat_map(|number| Sample::new(number, NOON).entries()).collect::<Vec<_>>());
    assert_eq!(job.pass(false, NOON).await.unwrap().fresh, 8);
    assert_eq!(job.progress().dropped_from_tap(), 5);
    assert!(matches!(heard.recv().await, Some(Entry::Record(_))));
    assert_eq!(records(&house.store).await.len(), 4);
}
