//! Plants a kind of damage in a copy of the books, and looks whether it is found.

use std::path::{Path, PathBuf};

use control::verify::{Against, verify};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use store::Store;

use super::books::{NOW, Segments, copied, facts, filled, look};
use super::kinds::KINDS;
use crate::support::House;

/// How it is planted.
pub enum How {
    /// By this SQL.
    Sql(&'static str),
    /// By a forger who knows the program: every fact and every sum is what it would have written had the facts been so; the chain
    /// of batches is left as it is.
    Forged(fn(&mut Segments)),
    /// By this SQL, with such a forged database at hand as `forged`.
    Beside(fn(&mut Segments), &'static str),
    /// As beside, and the chain goes on as if retention had done it.
    Linked(fn(&mut Segments), &'static str),
    /// As forged, and the chain and everything else with it: the database is another's.
    Resealed(fn(&mut Segments)),
    /// To the files of the spool.
    Spool(fn(&Path)),
    /// To the bytes of the database.
    Bytes(fn(&Path)),
}

/// A kind of damage.
pub struct Plant {
    /// Its number in the list, and which form of it.
    pub kind: &'static str,
    /// What is done.
    pub what: &'static str,
    pub how: How,
    /// As which kind it is found.
    pub found_as: &'static str,
    /// Whether only somebody who kept an anchor finds it.
    pub anchored: bool,
}

/// Every table with facts, and those with their sums.
pub const TAKEN_FROM_FORGED: &str = "
    DELETE FROM meters; DELETE FROM cells; INSERT INTO cells SELECT * FROM forged.cells;
    INSERT INTO meters SELECT * FROM forged.meters;
    DELETE FROM spend; INSERT INTO spend SELECT * FROM forged.spend;
    DELETE FROM instance_spend; INSERT INTO instance_spend SELECT * FROM forged.instance_spend;
    DELETE FROM traffic; INSERT INTO traffic SELECT * FROM forged.traffic;
    DELETE FROM first_tokens; INSERT INTO first_tokens SELECT * FROM forged.first_tokens;";
const FACTS_FROM_FORGED: &str = "
    DELETE FROM attempts; INSERT INTO attempts SELECT * FROM forged.attempts;
    DELETE FROM journal; INSERT INTO journal SELECT * FROM forged.journal;
    DELETE FROM calls; INSERT INTO calls SELECT * FROM forged.calls;
    DELETE FROM intents; INSERT INTO intents SELECT * FROM forged.intents;";

async fn run(path: &Path, forged: Option<&Path>, sql: &str) {
    let mut hand = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let attach = forged.map(|forged| format!("ATTACH '{}' AS forged;", forged.display())).unwrap_or_default();
    let sql = format!("PRAGMA foreign_keys = OFF; {attach} {}", sql.replace("SUMS FROM FORGED;", TAKEN_FROM_FORGED));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut hand).await.unwrap();
    hand.close().await.unwrap();
}

async fn forged(change: fn(&mut Segments), to: PathBuf) -> PathBuf {
    let mut facts = facts();
    change(&mut facts);
    let house = filled(&facts).await;
    house.store.backup(&to).await.unwrap();
    house.store.close().await;
    to
}

/// Adds a batch of retention to the chain, over what counts as erased.
async fn link(copy: &Path) {
    let store = Store::open(copy).await.unwrap();
    let (books, days) = (store.books().await.unwrap(), store.erased_days().await.unwrap());
    store.close().await;
    let digest = store::erased::digest_of(&days);
    let (seq, attempts, calls) = (books.seq + 1, books.attempts_upto, books.calls_upto);
    let row = store::BatchRow {
        seq,
        segment: store::erased::RETENTION.into(),
        attempts_after: attempts,
        attempts_upto: attempts,
        calls_after: calls,
        calls_upto: calls,
        digest,
        ..store::BatchRow::default()
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (chain, digest) = (hex(&row.hash(&books.chain)), hex(&digest.0.to_le_bytes()));
    let sql = format!(
        "INSERT INTO batches (seq, segment, from_offset, upto_offset, attempts_after, attempts_upto, attempts, calls_after, calls_upto,
             calls, digest, chain)
         VALUES ({seq}, '(retention)', 0, 0, {attempts}, {attempts}, 0, {calls}, {calls}, 0, x'{digest}', x'{chain}');
         UPDATE books SET seq = {seq}, chain = x'{chain}'"
    );
    run(copy, None, &sql).await;
}

/// Plants one in a copy of the house's books: the copy, and its spool.
async fn plant(house: &House, number: usize, how: &How) -> (PathBuf, PathBuf) {
    let place = house.data.root().join(number.to_string());
    let spool = copied(&house.data.spool(), place.join("spool"));
    let copy = place.join("books.db");
    house.store.backup(&copy).await.unwrap();
    match how {
        How::Sql(sql) => run(&copy, None, sql).await,
        How::Forged(change) => {
            let other = forged(*change, place.join("forged.db")).await;
            run(&copy, Some(&other), &format!("{FACTS_FROM_FORGED}{TAKEN_FROM_FORGED}")).await;
        }
        How::Beside(change, sql) => {
            let other = forged(*change, place.join("forged.db")).await;
            run(&copy, Some(&other), sql).await;
        }
        How::Linked(change, sql) => {
            let other = forged(*change, place.join("forged.db")).await;
            run(&copy, Some(&other), sql).await;
            link(&copy).await;
        }
        How::Resealed(change) => {
            std::fs::remove_file(&copy).unwrap();
            forged(*change, copy.clone()).await;
            // Whoever writes the past anew leaves no segment that says otherwise.
            std::fs::remove_dir_all(&spool).unwrap();
        }
        How::Spool(change) => change(&spool),
        How::Bytes(change) => change(&copy),
    }
    (copy, spool)
}

#[tokio::test]
async fn every_kind_of_damage_is_found_by_its_name() {
    let house = filled(&facts()).await;
    let clean = look(&house.store, &house.data.spool(), None).await;
    assert!(clean.proven && clean.findings.is_empty(), "{}", clean.table());
    let mut missed = Vec::new();
    for (number, Plant { kind, what, how, found_as, anchored }) in KINDS.iter().enumerate() {
        let (copy, spool) = plant(&house, number, how).await;
        let anchor = anchored.then(|| clean.anchor.parse().unwrap());
        let (proven, codes) = match Store::open(&copy).await {
            Ok(damaged) => {
                let report =
                    verify(&damaged, Against { spool: Some(&spool), anchor: anchor.as_ref(), archive: None }, NOW)
                        .await;
                damaged.close().await;
                match report {
                    Ok(report) => (report.proven, report.findings.iter().map(|finding| finding.code).collect()),
                    Err(_) => (false, vec!["(stopped)"]),
                }
            }
            Err(_) => (false, vec!["(does not open)"]),
        };
        let found = !proven && codes.contains(found_as);
        println!("{} {kind:5} {what}: {found_as} in {codes:?}", if found { "found " } else { "MISSED" });
        if !found {
            missed.push(format!("{kind} {what}: {found_as} is not among {codes:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
