//! What is no damage: late words on erased days, retention in several steps, segments offered twice, bodies whose time is up, a
//! restored backup, an upgrade.

use control::ingest::Ingest;
use control::verify::{Against, Report, verify};
use domain::record::Capture;
use domain::{Entry, UnixMs};
use sqlx::Connection;
use store::Store;

use super::books::{DAY, HOUR, NOW, PRUNED, call, end_of, facts, filled, look, parts};
use crate::support::{House, MIDNIGHT, NOON};

fn clean(report: &Report) {
    assert!(report.proven && report.findings.is_empty(), "{}", report.table());
}

fn codes(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[tokio::test]
async fn late_words_on_an_erased_day_are_right_and_so_is_erasing_them() {
    let house = filled(&facts()).await;
    let anchor = look(&house.store, &house.data.spool(), None).await.anchor;
    let late = call(70, MIDNIGHT - 4 * DAY + 3 * HOUR, "claims-triage", "sonnet");
    house.store.record(late).await.unwrap();
    clean(&look(&house.store, &house.data.spool(), Some(&anchor)).await);
    house.store.prune(PRUNED, NOON).await.unwrap();
    clean(&look(&house.store, &house.data.spool(), None).await);
    // Of what came after the anchor something is erased: the chain still goes through it.
    let anchored = look(&house.store, &house.data.spool(), Some(&anchor)).await;
    assert!(anchored.proven, "{}", anchored.table());
    assert_eq!(codes(&anchored), ["anchor_part"]);
}

#[tokio::test]
async fn retention_may_stand_in_the_middle_of_a_day_and_go_on() {
    let house = filled(&facts()).await;
    let first = look(&house.store, &house.data.spool(), None).await;
    for hours in [5, 7, 24, 30, 72] {
        house.store.prune(PRUNED + hours * HOUR, NOON).await.unwrap();
        clean(&look(&house.store, &house.data.spool(), None).await);
    }
    // All that it was taken of is erased by now, but the sums and the chain are those.
    let anchored = look(&house.store, &house.data.spool(), Some(&first.anchor)).await;
    assert!(!anchored.findings.iter().any(|finding| finding.weight == "damage"), "{}", anchored.table());
}

#[tokio::test]
async fn a_segment_that_is_offered_again_under_another_name_books_nothing_twice() {
    let house = filled(&facts()).await;
    let before = look(&house.store, &house.data.spool(), None).await;
    let bytes = std::fs::read(house.data.spool().join("0005.seg")).unwrap();
    house.append_bytes("0009.seg", &bytes);
    Ingest::new(house.store.clone(), &house.data.spool(), None).pass(false, NOON).await.unwrap();
    let after = look(&house.store, &house.data.spool(), Some(&before.anchor)).await;
    clean(&after);
    // The call that waited was taken over too.
    assert_eq!(after.read.attempts, before.read.attempts + 1);
}

#[tokio::test]
async fn bodies_whose_time_is_up_are_no_damage() {
    let mut facts = facts();
    let mut entries = parts(80, NOON, "search", "sonnet");
    end_of(&mut entries[2]).capture =
        Some(Capture { request: "a question".into(), answer: "an answer".into(), until: NOON + HOUR });
    facts[4].1.extend(entries);
    let house = filled(&facts).await;
    clean(&look(&house.store, &house.data.spool(), None).await);
    assert_eq!(house.store.prune_captures(NOON + HOUR).await.unwrap().captures, 1);
    clean(&look(&house.store, &house.data.spool(), None).await);
}

#[tokio::test]
async fn a_restored_backup_is_right_and_its_anchor_says_which_it_is() {
    let house = filled(&facts()).await;
    let copy = house.data.root().join("backup.db");
    house.store.backup(&copy).await.unwrap();
    let anchor = look(&house.store, &house.data.spool(), None).await.anchor;
    house.store.record(call(90, NOON, "search", "sonnet")).await.unwrap();
    let newer = look(&house.store, &house.data.spool(), None).await.anchor;
    let restored = Store::open(&copy).await.unwrap();
    clean(&look(&restored, &house.data.spool(), Some(&anchor)).await);
    assert_eq!(codes(&look(&restored, &house.data.spool(), Some(&newer)).await), ["head_not_found"]);
}

#[tokio::test]
async fn books_that_forgot_before_there_were_seals_are_sealed_at_the_next_turn() {
    let house = filled(&facts()).await;
    let mut hand =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}", house.data.database().display())).await.unwrap();
    let undo = "DROP TABLE erased; ALTER TABLE books DROP COLUMN folded_digest;
                DELETE FROM batches WHERE segment = '(retention)'; DELETE FROM _sqlx_migrations WHERE version = 60;
                UPDATE books SET (seq, chain) = (SELECT seq, chain FROM batches ORDER BY seq DESC LIMIT 1)";
    // As the version before left them: without what retention wrote since.
    let House { data, store, _scratch } = house;
    store.close().await;
    sqlx::raw_sql(undo).execute(&mut hand).await.unwrap();
    hand.close().await.unwrap();
    let upgraded = Store::open(&data.database()).await.unwrap();
    let report = verify(&upgraded, Against::default(), NOW).await.unwrap();
    let found = codes(&report);
    assert_eq!(found, ["erased_unsealed"], "{}", report.table());
    upgraded.prune(PRUNED, NOON).await.unwrap();
    clean(&verify(&upgraded, Against::default(), NOW).await.unwrap());
}

#[tokio::test]
async fn calls_under_way_and_a_line_that_is_being_written_are_no_damage() {
    let house = filled(&facts()).await;
    let [intent, record, _] = parts(95, NOON + HOUR, "search", "sonnet");
    house.append("0007.seg", std::slice::from_ref(&intent));
    let mut line = Vec::new();
    ledger::segment::encode(&record, &mut line);
    house.append_bytes("0007.seg", &line[..line.len() / 2]);
    clean(&look(&house.store, &house.data.spool(), None).await);
    // Its writer was killed there, and a later one goes on in a segment of its own.
    house.append("0008.seg", &call(96, NOON + HOUR, "search", "sonnet"));
    let report = look(&house.store, &house.data.spool(), None).await;
    assert!(report.proven && codes(&report) == ["spool_torn"], "{}", report.table());
    assert!(matches!(intent, Entry::Intent(intent) if intent.at == UnixMs(NOON.0 + 3_600_000)));
}

#[tokio::test]
async fn retention_seals_nothing_that_somebody_changed() {
    let house = filled(&facts()).await;
    let mut hand =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}", house.data.database().display())).await.unwrap();
    sqlx::raw_sql("UPDATE erased SET sums = NULL").execute(&mut hand).await.unwrap();
    let refused = house.store.prune(PRUNED + DAY, NOON).await.unwrap_err();
    assert!(refused.to_string().contains("nothing is erased until it is restored"), "{refused}");
    let report = look(&house.store, &house.data.spool(), None).await;
    assert!(codes(&report).contains(&"erased_seal"), "{}", report.table());
}
