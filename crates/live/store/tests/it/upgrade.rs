//! Databases that earlier revisions wrote are brought up to date with all that is in them.
//!
//! `tests/written` holds them as SQL text with the migrations they had; the number is that of their last one. Before a
//! migration is added, the database as it was is written there: `examples/written.rs` makes it.

use domain::{KeyId, NanoUsd, UnixMs};
use ledger::Amount;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use store::{Batch, CallQuery, Dimension, Store};
use testkit::facts::Sample;
use testkit::postgres::Postgres;

use crate::world::{Kind, World};

/// A Saturday, 12:00 UTC.
const NOON: UnixMs = UnixMs(1_795_262_400_000);
const MIDNIGHT: UnixMs = UnixMs(1_795_219_200_000);

/// The number of the last migration, and what was written then.
const SQLITE: &[(u32, &str)] =
    &[(3, include_str!("../written/0003.sqlite.sql")), (60, include_str!("../written/0060.sqlite.sql"))];
const POSTGRES: &[(u32, &str)] =
    &[(2, include_str!("../written/0002.postgres.sql")), (60, include_str!("../written/0060.postgres.sql"))];

#[tokio::test]
async fn a_sqlite_database_of_an_earlier_revision_opens_with_all_that_is_in_it() {
    for (last, written) in SQLITE {
        let scratch = testkit::scratch_dir("written");
        let file = scratch.path().join("freehold.db");
        let mut connection =
            SqliteConnectOptions::new().filename(&file).create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(*written)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        has_everything(&Store::open(&file).await.unwrap(), *last).await;
    }
}

#[tokio::test]
async fn a_postgresql_database_of_an_earlier_revision_opens_with_all_that_is_in_it() {
    for (last, written) in POSTGRES {
        let World::Postgres(address) = World::new(Kind::Postgres) else { unreachable!("asked for PostgreSQL") };
        Postgres::shared().run(&address, written);
        has_everything(&Store::connect(&address).await.unwrap(), *last).await;
    }
}

async fn has_everything(store: &Store, last: u32) {
    // An embedded database belongs to the one instance that began on it.
    let store = &if last >= 60 && !store.is_shared() { store.of_instance("i_one") } else { store.clone() };
    if last >= 60 {
        has_what_came_with_60(store).await;
    }
    let calls = store.calls(&CallQuery::default(), None, 9).await.unwrap();
    assert_eq!(calls.len(), 3);
    let first = store.call(Sample::new(1, NOON + 1).call(), NOON).await.unwrap().unwrap();
    assert_eq!(first.end.unwrap().capture.unwrap().answer, "42");
    assert_eq!(first.journal.iter().map(|(_, amount)| *amount).sum::<NanoUsd>(), NanoUsd::ZERO);
    assert_eq!(store.open_intents().await.unwrap(), [Sample::new(9, NOON).intent()]);
    assert_eq!(store.keys().await.unwrap()[0].id, KeyId("ab".into()));
    // An approval counts as well.
    assert_eq!(store.keys_revision().await.unwrap(), if last >= 60 { 3 } else { 2 });
    assert!(store.session(&[2; 32], NOON).await.unwrap().is_some());
    assert_eq!(store.revision_text("a").await.unwrap().as_deref(), Some("# a"));
    assert_eq!(store.audit_lines(9).await.unwrap().len(), 1);
    assert_eq!(store.segments().await.unwrap()[0].upto_offset, 300);
    // It goes on where it stood: the same facts once more, and a new one.
    let entries = [Sample::new(1, NOON + 1).entries(), Sample::new(4, NOON).entries()].concat();
    let batch = Batch { segment: "2.seg".into(), upto_offset: 10, entries, ..Batch::default() };
    let ingested = store.ingest(batch).await.unwrap();
    assert_eq!((ingested.fresh.len(), ingested.repeated), (2, 2));
    let today = store.spend_by(Dimension::Workflow, MIDNIGHT, MIDNIGHT).await.unwrap();
    assert_eq!((today["claims-triage"].calls_today, today["claims-triage"].today), (4, NanoUsd(8_400_000)));
}

/// Budgets of keys, approvals, instances and their slices, the chain of batches, an erased day, sums by meter, what providers say.
async fn has_what_came_with_60(store: &Store) {
    assert_eq!(store.keys().await.unwrap()[0].budgets, ["5 USD per day"]);
    assert_eq!(store.approvals(NOON).await.unwrap()[0].more, Some(5_000_000_000));
    assert_eq!(store.instances().await.unwrap()[0].instance, "i_one");
    let leases = store.leases().await.unwrap();
    // What nobody's instance had booked before counts, and the slice of the one that asked.
    let parts: Vec<_> = leases.iter().map(|lease| (lease.instance.as_str(), lease.ceiling)).collect();
    assert_eq!(parts, [("", Amount(8_400_000)), ("i_one", Amount(10_400_000))]);
    let books = store.books().await.unwrap();
    let batches = store.batches_after(0, 9).await.unwrap();
    assert_eq!(batches.last().map(|batch| &batch.chain), Some(&books.chain));
    let mut before = books.folded_chain.clone();
    for batch in &batches {
        assert_eq!(batch.chain, batch.hash(&before), "the chain holds");
        before.clone_from(&batch.chain);
    }
    let erased = store.erased_days().await.unwrap();
    assert_eq!((erased.len(), erased[0].attempts, erased[0].sums.is_some()), (1, 1, true));
    let sums = store.meter_totals(UnixMs(0), UnixMs(i64::MAX)).await.unwrap();
    assert_eq!(sums.iter().map(|sum| sum.amount).sum::<NanoUsd>(), NanoUsd(8_400_000));
    assert_eq!(store.counted_since("deal-commitment", MIDNIGHT).await.unwrap(), 2_100_000);
    assert_eq!(store.cost_differences_by_model(UnixMs(0)).await.unwrap().len(), 1);
    assert_eq!(store.told("provider", MIDNIGHT).await.unwrap()[0].cost, Some(NanoUsd(6_300_000)));
}
