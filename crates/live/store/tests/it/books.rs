//! The store on real databases: nothing twice, nothing lost, sums that agree with what they sum.

use std::sync::Arc;

use domain::record::Capture;
use domain::{AttemptEnd, Blame, Cost, Entry, KeyGrant, KeyId, NanoUsd, UnixMs};
use proptest::prelude::*;
use store::rollup::{DAY_MS, MINUTE_MS};
use store::{
    AdminToken, AuditLine, Batch, CallQuery, Dimension, Revision, Scope, Store, StoreError, StoredSession, TrafficScope,
};
use testkit::facts::Sample;

use crate::world::{Kind, World, on_both};

/// A Saturday, 12:00 UTC.
const NOON: UnixMs = UnixMs(1_795_262_400_000);
const MIDNIGHT: UnixMs = UnixMs(1_795_219_200_000);

on_both! {
    what_is_offered_twice_is_taken_once,
    an_intent_stays_open_until_its_record_comes,
    a_call_comes_back_with_its_attempts_and_a_balanced_journal,
    two_processes_may_make_the_same_database_at_the_same_moment,
    calls_are_listed_newest_first_narrowed_and_paged,
    spend_is_found_again_by_scope_and_window_after_records_are_pruned,
    traffic_comes_in_points_with_errors_that_are_not_the_clients,
    unpriced_and_indeterminate_attempts_are_counted_and_an_absurd_usage_stops_nothing,
    a_locked_store_says_so_and_takes_the_same_batch_afterwards,
    a_key_made_by_one_process_is_seen_by_another,
    a_session_ends_with_its_time_and_with_its_token,
    a_revision_is_noted_when_it_changes_and_an_audit_line_always,
}

fn batch(upto_offset: u64, entries: Vec<Entry>) -> Batch {
    Batch { segment: "1.seg".into(), upto_offset, entries, ..Batch::default() }
}

async fn today(store: &Store) -> store::SpendRow {
    let rows = store.spend_by(Dimension::Workflow, MIDNIGHT, MIDNIGHT).await.unwrap();
    rows.get("claims-triage").cloned().unwrap_or_default()
}

async fn what_is_offered_twice_is_taken_once(world: &World) {
    let store = world.open().await;
    let entries = Sample::new(1, NOON).entries();
    let first = store.ingest(batch(300, entries.clone())).await.unwrap();
    assert_eq!((first.fresh.len(), first.repeated), (2, 0));
    // The same place of the same segment, then the same facts in another one, then twice within one batch.
    assert_eq!(store.ingest(batch(300, entries.clone())).await.unwrap().fresh, []);
    let elsewhere = Batch { segment: "2.seg".into(), ..batch(300, entries.clone()) };
    assert_eq!(store.ingest(elsewhere).await.unwrap().repeated, 2);
    let doubled = [Sample::new(2, NOON).entries(), Sample::new(2, NOON).entries()].concat();
    assert_eq!(store.ingest(batch(900, doubled)).await.unwrap().repeated, 2);
    let today = today(&store).await;
    assert_eq!((today.today, today.calls_today), (NanoUsd(4_200_000), 2));
    assert_eq!(store.segments().await.unwrap()[0].upto_offset, 900);
}

async fn an_intent_stays_open_until_its_record_comes(world: &World) {
    let store = world.open().await;
    let sample = Sample::new(1, NOON);
    store.ingest(batch(10, vec![Entry::Intent(sample.intent())])).await.unwrap();
    assert_eq!(store.open_intents().await.unwrap(), [sample.intent()]);
    store.ingest(batch(20, vec![Entry::Record(Box::new(sample.record()))])).await.unwrap();
    assert_eq!(store.open_intents().await.unwrap(), []);
    // Offered again, as after a kill between two batches, it does not open again.
    let again = Batch { segment: "2.seg".into(), ..batch(10, vec![Entry::Intent(sample.intent())]) };
    store.ingest(again).await.unwrap();
    assert_eq!(store.open_intents().await.unwrap(), []);
}

async fn a_call_comes_back_with_its_attempts_and_a_balanced_journal(world: &World) {
    let store = world.open().await;
    let sample = Sample::new(1, NOON);
    let mut end = sample.end();
    end.capture = Some(Capture { request: "secret question".into(), answer: "42".into(), until: NOON + 1_000 });
    let entries = vec![Entry::Record(Box::new(sample.record())), Entry::Call(Box::new(end.clone()))];
    store.ingest(batch(10, entries)).await.unwrap();
    let call = store.call(sample.call(), NOON).await.unwrap().unwrap();
    assert_eq!(call.end, Some(end));
    assert_eq!(call.entries, [Entry::Record(Box::new(sample.record()))]);
    assert!(!call.journal.is_empty());
    assert_eq!(call.journal.iter().map(|(_, amount)| *amount).sum::<NanoUsd>(), NanoUsd::ZERO);
    // When the time of the bodies is up they are not shown, and not there after pruning.
    assert_eq!(store.call(sample.call(), NOON + 1_000).await.unwrap().unwrap().end.unwrap().capture, None);
    assert_eq!(store.prune(UnixMs(0), NOON + 1_000).await.unwrap().captures, 1);
    assert_eq!(store.call(sample.call(), NOON).await.unwrap().unwrap().end.unwrap().capture, None);
    for bytes in world.files() {
        assert!(!bytes.windows(15).any(|window| window == b"secret question"));
    }
    assert_eq!(store.call(Sample::new(2, NOON).call(), NOON).await.unwrap(), None);
}

async fn two_processes_may_make_the_same_database_at_the_same_moment(world: &World) {
    for _ in 0..5 {
        let world = Arc::new(world.another());
        let open = || {
            let world = world.clone();
            tokio::spawn(async move { world.open().await })
        };
        let (one, two) = (open(), open());
        let (one, two) = (one.await.unwrap(), two.await.unwrap());
        one.ingest(batch(10, Sample::new(1, NOON).entries())).await.unwrap();
        assert_eq!(today(&two).await.calls_today, 1);
    }
}

async fn calls_are_listed_newest_first_narrowed_and_paged(world: &World) {
    let store = world.open().await;
    let samples: Vec<Sample> = (0..6)
        .map(|number| Sample {
            workflow: if number % 2 == 0 { "claims-triage" } else { "" },
            failed_by: (number == 4).then_some(Blame::Provider),
            ..Sample::new(number, NOON + number)
        })
        .collect();
    store.ingest(batch(10, samples.iter().flat_map(Sample::entries).collect())).await.unwrap();
    let numbers = |calls: Vec<domain::CallEnd>| calls.iter().map(|call| call.at.0 - NOON.0).collect::<Vec<_>>();
    let all = CallQuery::default();
    assert_eq!(numbers(store.calls(&all, None, 3).await.unwrap()), [5, 4, 3]);
    assert_eq!(numbers(store.calls(&all, Some(samples[3].call()), 9).await.unwrap()), [2, 1, 0]);
    let direct = CallQuery { workflow: Some(String::new()), ..all.clone() };
    assert_eq!(numbers(store.calls(&direct, None, 9).await.unwrap()), [5, 3, 1]);
    let failed = CallQuery { failed: Some(true), workflow: Some("claims-triage".into()), ..all.clone() };
    assert_eq!(numbers(store.calls(&failed, None, 9).await.unwrap()), [4]);
    let odd = CallQuery { key: Some("k1' OR 1=1 --%".into()), ..all.clone() };
    assert_eq!(numbers(store.calls(&odd, None, 9).await.unwrap()), Vec::<i64>::new());
    let after = store.calls_after(4, &all, 9).await.unwrap();
    assert_eq!(after.iter().map(|(cursor, _)| *cursor).collect::<Vec<_>>(), [5, 6]);
    assert_eq!(store.newest_call().await.unwrap(), 6);
}

async fn spend_is_found_again_by_scope_and_window_after_records_are_pruned(world: &World) {
    let store = world.open().await;
    let yesterday = Sample::new(1, MIDNIGHT - 1);
    let morning = Sample::new(2, MIDNIGHT);
    let noon = Sample { key: "k2", cost_nano: 5, ..Sample::new(3, NOON) };
    let entries = [yesterday.entries(), morning.entries(), noon.entries()].concat();
    store.ingest(batch(10, entries)).await.unwrap();
    let workflow = Scope::Workflow("claims-triage".into());
    let key = Scope::Key(KeyId("k2".into()));
    for pruned in [false, true] {
        if pruned {
            let pruned = store.prune(MIDNIGHT + DAY_MS as u64, NOON + 30 * DAY_MS as u64).await.unwrap();
            assert_eq!((pruned.attempts, pruned.calls), (3, 3));
        }
        assert_eq!(store.spent_since(&workflow, UnixMs(0)).await.unwrap(), NanoUsd(4_200_005));
        assert_eq!(store.spent_since(&workflow, MIDNIGHT).await.unwrap(), NanoUsd(2_100_005));
        assert_eq!(store.spent_since(&key, MIDNIGHT).await.unwrap(), NanoUsd(5));
    }
    let world = world.another();
    let store = world.open().await;
    store.ingest(batch(10, noon.entries())).await.unwrap();
    assert_eq!(store.spent_since(&workflow, NOON).await.unwrap(), NanoUsd(5));
}

async fn traffic_comes_in_points_with_errors_that_are_not_the_clients(world: &World) {
    let store = world.open().await;
    let samples = [
        Sample::new(1, NOON),
        Sample { failed_by: Some(Blame::Client), ..Sample::new(2, NOON) },
        Sample { failed_by: Some(Blame::Provider), lane: "own", ..Sample::new(3, NOON) },
        Sample::new(4, NOON + MINUTE_MS as u64),
    ];
    store.ingest(batch(10, samples.iter().flat_map(Sample::entries).collect())).await.unwrap();
    let points = store.traffic(&TrafficScope::All, MINUTE_MS, NOON).await.unwrap();
    assert_eq!(points.iter().map(|point| (point.calls, point.errors)).collect::<Vec<_>>(), [(3, 1), (1, 0)]);
    assert!(points[0].first_token_p50_ms.is_some_and(|ms| ms.abs_diff(40) <= 3));
    let own = store.traffic(&TrafficScope::Lane("own".into()), MINUTE_MS, NOON).await.unwrap();
    assert_eq!((own[0].calls, own[0].errors, own[0].first_token_p95_ms), (1, 1, None));
}

async fn unpriced_and_indeterminate_attempts_are_counted_and_an_absurd_usage_stops_nothing(world: &World) {
    let store = world.open().await;
    let mut unpriced = Sample::new(1, NOON).record();
    unpriced.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![domain::Meter::Input] };
    let mut killed = Sample::new(2, NOON).record();
    (killed.end, killed.cost) = (AttemptEnd::Indeterminate, Cost::AtMost(Some(NanoUsd(7))));
    let mut absurd = Sample { cost_nano: 0, ..Sample::new(3, NOON) }.record();
    absurd.usage = domain::Usage::ZERO.with(domain::Meter::Input, u64::MAX);
    absurd.cost = Cost::Priced { total: NanoUsd::MAX, lines: Vec::new() };
    let boxed = |record: &domain::Record| Entry::Record(Box::new(record.clone()));
    store.ingest(batch(10, vec![boxed(&unpriced), boxed(&killed)])).await.unwrap();
    let row = today(&store).await;
    assert_eq!((row.unpriced_today, row.indeterminate_today, row.today), (1, 1, NanoUsd(7)));
    for number in 0..3u64 {
        absurd.intent.attempt = Sample::new(10 + number, NOON).attempt();
        store.ingest(batch(20 + number, vec![boxed(&absurd)])).await.unwrap();
    }
    assert_eq!(store.records_after(0, UnixMs(0), NOON + 1, 100).await.unwrap().len(), 5);
}

async fn a_locked_store_says_so_and_takes_the_same_batch_afterwards(world: &World) {
    let store = world.open_waiting(20).await;
    let other = world.open().await;
    let entries = Sample::new(1, NOON).entries();
    let held = other.hold_write_lock().await.unwrap();
    assert!(matches!(store.ingest(batch(10, entries.clone())).await, Err(StoreError::Unavailable(_))));
    drop(held);
    other.close().await;
    assert_eq!(store.ingest(batch(10, entries)).await.unwrap().fresh.len(), 2);
}

fn grant(id: &str) -> KeyGrant {
    KeyGrant {
        id: KeyId(id.into()),
        hash: [9; 32],
        label: "billing robot".into(),
        workflows: Some(vec!["claims-triage".into()]),
        direct: true,
        budgets: vec!["5 USD per day".into(), "2M tokens per rolling 24h".into()],
        requests_per_minute: Some(60),
        tokens_per_minute: Some(100_000),
        created_at: NOON,
        expires_at: Some(NOON + 1),
        revoked_at: None,
    }
}

async fn a_key_made_by_one_process_is_seen_by_another(world: &World) {
    let (server, command) = (world.open().await, world.open().await);
    let before = server.keys_revision().await.unwrap();
    command.insert_key(&grant("ab")).await.unwrap();
    assert_ne!(server.keys_revision().await.unwrap(), before);
    assert_eq!(server.keys().await.unwrap(), [grant("ab")]);
    assert!(command.insert_key(&grant("ab")).await.is_err());
    let before = server.keys_revision().await.unwrap();
    assert!(command.revoke_key(&KeyId("ab".into()), NOON).await.unwrap());
    assert!(command.revoke_key(&KeyId("ab".into()), NOON + 9).await.unwrap());
    assert!(!command.revoke_key(&KeyId("zz".into()), NOON).await.unwrap());
    assert_ne!(server.keys_revision().await.unwrap(), before);
    assert_eq!(server.keys().await.unwrap()[0].revoked_at, Some(NOON));
}

async fn a_session_ends_with_its_time_and_with_its_token(world: &World) {
    let store = world.open().await;
    let token =
        AdminToken { id: "t1".into(), hash: [1; 32], label: "first".into(), created_at: NOON, revoked_at: None };
    store.insert_admin_token(&token).await.unwrap();
    assert_eq!(store.admin_token("t1").await.unwrap(), Some(token));
    let session = StoredSession { hash: [2; 32], token: "t1".into(), created_at: NOON, expires_at: NOON + 10 };
    store.insert_session(&session).await.unwrap();
    assert_eq!(store.session(&[2; 32], NOON + 9).await.unwrap(), Some(session));
    assert_eq!(store.session(&[2; 32], NOON + 10).await.unwrap(), None);
    assert!(store.revoke_admin_token("t1", NOON).await.unwrap());
    assert_eq!(store.session(&[2; 32], NOON).await.unwrap(), None);
}

async fn a_revision_is_noted_when_it_changes_and_an_audit_line_always(world: &World) {
    let store = world.open().await;
    for (revision, at) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
        let revision = Revision { revision: revision.into(), taken_at: UnixMs(at), text: format!("# {revision}") };
        store.record_revision(&revision).await.unwrap();
    }
    let revisions = store.revisions(9).await.unwrap();
    assert_eq!(revisions, [("a".into(), UnixMs(4)), ("b".into(), UnixMs(3)), ("a".into(), UnixMs(1))]);
    assert_eq!(store.revision_text("b").await.unwrap().as_deref(), Some("# b"));
    let line = AuditLine { at: NOON, who: "t1".into(), what: "key.create".into(), detail: "ab".into() };
    store.audit(&line).await.unwrap();
    assert_eq!(store.audit_lines(9).await.unwrap(), [line]);
}

#[tokio::test]
async fn a_backup_is_sound_whole_and_never_overwrites() {
    let world = World::new(Kind::Sqlite);
    let (scratch, store) = (testkit::scratch_dir("backup"), world.open().await);
    store.ingest(batch(10, Sample::new(1, NOON).entries())).await.unwrap();
    assert!(store.make_durable().await.unwrap());
    let copy = scratch.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    assert!(matches!(store.backup(&copy).await, Err(StoreError::BackupExists(_))));
    let copy = Store::open(&copy).await.unwrap();
    assert_eq!(copy.integrity().await.unwrap(), Vec::<String>::new());
    assert_eq!(today(&copy).await, today(&store).await);
}

/// However the spool is cut into batches, killed between them and offered again, the sums are the sum of the records.
async fn sums_agree(kind: Kind, costs: &[i64], cut: usize, again: usize) -> Result<(), TestCaseError> {
    let world = World::new(kind);
    let mut store = world.open().await;
    let samples: Vec<Sample> =
        (0u64..).zip(costs).map(|(number, cost)| Sample { cost_nano: *cost, ..Sample::new(number, NOON) }).collect();
    let entries: Vec<Entry> = samples.iter().flat_map(Sample::entries).collect();
    let offered: Vec<Entry> = entries.iter().chain(entries.iter().skip(again)).cloned().collect();
    for (offset, chunk) in offered.chunks(cut).enumerate() {
        store.ingest(batch(offset as u64 + 1, chunk.to_vec())).await.unwrap();
        if offset % 5 == 4 {
            store.close().await;
            store = world.open().await;
        }
    }
    let total = NanoUsd(costs.iter().sum());
    let records = store.records_after(0, UnixMs(0), NOON + 1, 1_000).await.unwrap();
    prop_assert_eq!(records.iter().map(|(_, record)| record.cost.booked()).sum::<NanoUsd>(), total);
    prop_assert_eq!(store.spent_since(&Scope::Workflow("claims-triage".into()), MIDNIGHT).await.unwrap(), total);
    prop_assert_eq!(today(&store).await.calls_today, costs.len() as u64);
    prop_assert!(store.open_intents().await.unwrap().is_empty());
    store.close().await;
    Ok(())
}

fn waited_for<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn sums_agree_with_the_records_however_batches_fall(
        costs in proptest::collection::vec(0i64..1_000_000_000_000, 1..30),
        cut in 1usize..7,
        again in 0usize..30,
    ) {
        waited_for(sums_agree(Kind::Sqlite, &costs, cut, again))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn sums_agree_in_postgresql_too(
        costs in proptest::collection::vec(0i64..1_000_000_000_000, 1..30),
        cut in 1usize..7,
        again in 0usize..30,
    ) {
        waited_for(sums_agree(Kind::Postgres, &costs, cut, again))?;
    }
}
