//! What makes sense there, planted in a PostgreSQL too.

use control::verify::{Against, verify};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use store::Store;

use super::books::{DAY, NOW, PRUNED, facts};
use crate::support::NOON;

/// Each on what the ones before have left, and undone by its second statement.
const KINDS: &[(&str, &str, &str, &str)] = &[
    (
        "1",
        "UPDATE attempts SET record = replace(record, '\"region\":\"eu\"', '\"region\":\"us\"') WHERE seq = 9",
        "UPDATE attempts SET record = replace(record, '\"region\":\"us\"', '\"region\":\"eu\"') WHERE seq = 9",
        "batch_digest",
    ),
    (
        "17a",
        "UPDATE journal SET amount_nano = amount_nano + 1 WHERE line = 0 AND attempt = (SELECT attempt FROM attempts WHERE seq = 9)",
        "UPDATE journal SET amount_nano = amount_nano - 1 WHERE line = 0 AND attempt = (SELECT attempt FROM attempts WHERE seq = 9)",
        "journal_unbalanced",
    ),
    (
        "28a",
        "UPDATE spend SET cost_nano = cost_nano - 1000 WHERE workflow = 'search' AND width_ms = 86400000",
        "UPDATE spend SET cost_nano = cost_nano + 1000 WHERE workflow = 'search' AND width_ms = 86400000",
        "sum_wrong",
    ),
    (
        "29a",
        "UPDATE instance_spend SET tokens = tokens - 1 WHERE width_ms = 86400000 AND workflow = 'search'",
        "UPDATE instance_spend SET tokens = tokens + 1 WHERE width_ms = 86400000 AND workflow = 'search'",
        "instance_sums",
    ),
    (
        "29b",
        "INSERT INTO lease_windows (budget, window_start) VALUES ('b', 0);
         INSERT INTO leases (budget, window_start, instance, ceiling, settled, held) VALUES ('b', 0, 'i', 9, 7, 3)",
        "DELETE FROM leases; DELETE FROM lease_windows",
        "lease_wrong",
    ),
    (
        "29e",
        "INSERT INTO lease_windows (budget, window_start) VALUES ('b', 0);
         INSERT INTO leases (budget, window_start, instance, ceiling, settled, held, digest)
             VALUES ('b', 0, 'i', 9, 7, 2, 'dfa4f273051df77d820e5855816e1960b130b583b164af04a9c8be91f388e1d1');
         UPDATE leases SET ceiling = 900",
        "DELETE FROM leases; DELETE FROM lease_windows",
        "lease_changed",
    ),
    ("31f", "UPDATE meters SET units = units + 7", "UPDATE meters SET units = units - 7", "sum_wrong"),
    (
        "35a",
        "UPDATE batches SET digest = decode(repeat('00', 16), 'hex') WHERE seq = -1; UPDATE books SET seq = seq + 1",
        "UPDATE books SET seq = seq - 1",
        "chain_head",
    ),
    (
        "36a",
        "ALTER TABLE spend DROP CONSTRAINT spend_pkey",
        "ALTER TABLE spend ADD CONSTRAINT spend_pkey PRIMARY KEY (width_ms, start, workflow, lane, model, key)",
        "schema",
    ),
    ("36b", "DROP TRIGGER keys_changed ON keys", "", "schema"),
    ("38b", "UPDATE attempts SET cost_nano = 9223372036854775807 WHERE seq > 6", "", "record_unlike_columns"),
    ("2", "DELETE FROM calls WHERE seq = 12", "", "batch_rows"),
    (
        "20a",
        "DELETE FROM journal WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 10)",
        "",
        "journal_unlike_record",
    ),
    ("42d", "ALTER TABLE attempts DETACH PARTITION attempts_20261118", "", "batch_rows"),
];

#[tokio::test]
async fn damage_to_books_in_postgres_is_found_by_its_name() {
    let address = testkit::postgres::Postgres::shared().database();
    let store = Store::connect(&address).await.unwrap();
    for (_, entries) in facts() {
        store.record(entries).await.unwrap();
    }
    store.prune(PRUNED, NOON + DAY).await.unwrap();
    let clean = verify(&store, Against::default(), NOW).await.unwrap();
    assert!(clean.proven && clean.findings.is_empty(), "{}", clean.table());
    let mut hand = PgConnection::connect(&address).await.unwrap();
    let mut missed = Vec::new();
    for (kind, sql, undo, found_as) in KINDS {
        sqlx::raw_sql(AssertSqlSafe((*sql).to_owned())).execute(&mut hand).await.unwrap();
        let codes: Vec<_> = match verify(&store, Against::default(), NOW).await {
            Ok(report) => report.findings.iter().map(|finding| finding.code).collect(),
            Err(error) => {
                println!("{kind}: {error}");
                vec!["(not read)"]
            }
        };
        println!(
            "{} {kind:5} {sql}: {found_as} in {codes:?}",
            if codes.contains(found_as) { "found " } else { "MISSED" }
        );
        if !codes.contains(found_as) {
            missed.push(format!("{kind}: {found_as} is not among {codes:?}"));
        }
        sqlx::raw_sql(AssertSqlSafe((*undo).to_owned())).execute(&mut hand).await.unwrap();
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
