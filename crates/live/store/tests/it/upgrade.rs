//! Databases that earlier revisions wrote are brought up to date with all that is in them.
//!
//! `tests/written` holds them as SQL text with the migrations they had; the number is that of their last one. Before a
//! migration is added, the database as it was is written there.

use domain::{KeyId, NanoUsd, UnixMs};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use store::{Batch, CallQuery, Dimension, Store};
use testkit::facts::Sample;
use testkit::postgres::Postgres;

use crate::world::{Kind, World};

/// A Saturday, 12:00 UTC.
const NOON: UnixMs = UnixMs(1_795_262_400_000);
const MIDNIGHT: UnixMs = UnixMs(1_795_219_200_000);

const SQLITE: &[&str] = &[include_str!("../written/0003.sqlite.sql")];
const POSTGRES: &[&str] = &[include_str!("../written/0002.postgres.sql")];

#[tokio::test]
async fn a_sqlite_database_of_an_earlier_revision_opens_with_all_that_is_in_it() {
    for written in SQLITE {
        let scratch = testkit::scratch_dir("written");
        let file = scratch.path().join("freehold.db");
        let mut connection =
            SqliteConnectOptions::new().filename(&file).create_if_missing(true).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(*written)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        has_everything(&Store::open(&file).await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_postgresql_database_of_an_earlier_revision_opens_with_all_that_is_in_it() {
    for written in POSTGRES {
        let World::Postgres(address) = World::new(Kind::Postgres) else { unreachable!("asked for PostgreSQL") };
        Postgres::shared().run(&address, written);
        has_everything(&Store::connect(&address).await.unwrap()).await;
    }
}

async fn has_everything(store: &Store) {
    let calls = store.calls(&CallQuery::default(), None, 9).await.unwrap();
    assert_eq!(calls.len(), 3);
    let first = store.call(Sample::new(1, NOON + 1).call(), NOON).await.unwrap().unwrap();
    assert_eq!(first.end.unwrap().capture.unwrap().answer, "42");
    assert_eq!(first.journal.iter().map(|(_, amount)| *amount).sum::<NanoUsd>(), NanoUsd::ZERO);
    assert_eq!(store.open_intents().await.unwrap(), [Sample::new(9, NOON).intent()]);
    assert_eq!(store.keys().await.unwrap()[0].id, KeyId("ab".into()));
    assert_eq!(store.keys_revision().await.unwrap(), 2);
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
