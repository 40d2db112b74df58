//! Books that are right are proven; each kind of damage planted in a copy of them is found by its name.

use std::path::Path;

use control::ingest::Ingest;
use control::verify::{Against, Report, verify};
use domain::{Blame, Cause, Cost, CostLine, Entry, Meter, NanoUsd, UnixMs};
use sqlx::Connection;
use store::Store;
use testkit::facts::Sample;

use crate::support::{House, NOON};

const HOUR: u64 = 3_600_000;

/// Calls of two hours and two workflows: served, failed over, bounded and settled, unpriced, and one under way. The first segment
/// is taken over and gone, the second is read and still there, a record of recovery comes from none.
async fn books() -> House {
    let house = House::new().await;
    let calls = (0..12u64).flat_map(|number| {
        let workflow = if number % 3 == 0 { "support-reply" } else { "claims-triage" };
        Sample { workflow, ..Sample::new(number, NOON + number * HOUR / 6) }.entries()
    });
    house.append("0001.seg", &calls.collect::<Vec<_>>());

    let over = Sample::new(100, NOON);
    let mut failed = Sample { failed_by: Some(Blame::Provider), ..over.clone() }.record();
    failed.cost = Cost::NOTHING;
    failed.usage = domain::Usage::ZERO;
    let mut second = over.record();
    second.intent.attempt.ordinal = 2;
    (second.intent.cause, second.intent.model) = (Cause::Failover, "haiku".into());
    let mut end = over.end();
    end.attempts = 2;
    let mut entries =
        vec![Entry::Record(Box::new(failed)), Entry::Record(Box::new(second)), Entry::Call(Box::new(end))];

    let later = Sample { cost_nano: 9_000_000, ..Sample::new(200, NOON) };
    let mut bound = later.record();
    (bound.cost, bound.usage) = (Cost::AtMost(Some(NanoUsd(9_000_000))), domain::Usage::ZERO);
    let mut settled = Sample::new(200, NOON).record();
    settled.intent.attempt = settled.intent.attempt.settlement();
    let Cost::Priced { total, lines } = &mut settled.cost else { unreachable!("samples are priced") };
    lines.push(CostLine::taking_back(NanoUsd(9_000_000), bound.intent.attempt));
    *total -= NanoUsd(9_000_000);
    entries.extend([bound, settled].map(|record| Entry::Record(Box::new(record))));
    entries.push(Entry::Call(Box::new(later.end())));

    let unpriced = Sample { cost_nano: 0, ..Sample::new(300, NOON) };
    let mut record = unpriced.record();
    record.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] };
    entries.extend([Entry::Record(Box::new(record)), Entry::Call(Box::new(unpriced.end()))]);
    entries.push(Entry::Intent(Sample::new(400, NOON + HOUR).intent()));
    house.append("0002.seg", &entries);

    Ingest::new(house.store.clone(), &house.data.spool(), None).pass(false, NOON).await.unwrap();
    house.store.record(Sample::new(500, NOON).entries()).await.unwrap();
    house
}

async fn look(store: &Store, spool: &Path, anchor: Option<&str>) -> Report {
    let anchor = anchor.map(|anchor| anchor.parse().unwrap());
    verify(store, Against { spool: Some(spool), anchor: anchor.as_ref(), archive: None }, NOON + HOUR + 60_000)
        .await
        .unwrap()
}

#[tokio::test]
async fn books_that_are_right_are_proven_and_their_head_is_found_again() {
    let house = books().await;
    let report = look(&house.store, &house.data.spool(), None).await;
    assert!(report.proven, "{}", report.table());
    assert_eq!(report.findings, []);
    assert_eq!((report.read.attempts, report.read.calls, report.read.in_flight), (18, 16, 1));
    assert!(report.table().contains("cannot be excluded"), "without an anchor it says what it cannot know");
    assert!(report.table().ends_with(&format!("as --anchor:\n{}\n", report.anchor)));
    house.store.record(Sample::new(600, NOON).entries()).await.unwrap();
    assert!(look(&house.store, &house.data.spool(), Some(&report.anchor)).await.proven);
    let other = look(&house.store, &house.data.spool(), Some(&"1".repeat(64))).await;
    assert_eq!(other.findings[0].code, "head_not_found");
}

#[tokio::test]
async fn books_are_proven_also_when_part_of_them_is_erased_by_retention() {
    let house = books().await;
    house.store.prune(NOON + HOUR / 2, NOON + 3 * 24 * HOUR).await.unwrap();
    let spool = house.data.spool();
    let against = Against { spool: Some(&spool), ..Against::default() };
    let report = verify(&house.store, against, NOON + 3 * 24 * HOUR).await.unwrap();
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    // What the second segment still says of them is rightly gone; who was under way should have ended by now.
    assert_eq!(codes, ["intent_open"], "{}", report.table());
    assert_eq!(verify(&house.store, against, NOON + 3 * 24 * HOUR).await.unwrap(), report, "looking changes nothing");
}

/// What is done to the books, and as which kinds it may be found; the first is how it must be.
const DAMAGES: &[(&str, &str, &str)] = &[
    ("a record is deleted", "DELETE FROM attempts WHERE seq = 3", "batch_rows"),
    (
        "a record is deleted with its journal, its call and everything that sums it",
        "DELETE FROM journal WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 3);
         DELETE FROM calls WHERE call = (SELECT substr(attempt, 1, 31) FROM attempts WHERE seq = 3);
         DELETE FROM attempts WHERE seq = 3; DELETE FROM spend; DELETE FROM traffic; DELETE FROM meters",
        "batch_rows",
    ),
    ("an amount is changed", "UPDATE attempts SET cost_nano = cost_nano - 1 WHERE seq = 4", "record_unlike_columns"),
    (
        "an amount is changed in record and column",
        "UPDATE attempts SET cost_nano = 2000000, record = replace(record, '2100000', '2000000') WHERE seq = 4",
        "batch_digest",
    ),
    (
        "a line's amount is changed and not its total",
        "UPDATE attempts SET record = replace(record, '\"amount\":2100000', '\"amount\":2100001') WHERE seq = 4",
        "record_total",
    ),
    (
        "a price row is exchanged",
        "UPDATE attempts SET record = replace(record, 'provider/sonnet@2026-01-01', 'provider/haiku@2026-01-01') WHERE seq = 4",
        "batch_digest",
    ),
    (
        "a usage is changed without its cost",
        "UPDATE attempts SET record = replace(record, '\"input\":700', '\"input\":7'),
                             usage = replace(usage, '\"input\":700', '\"input\":7') WHERE seq = 4",
        "line_unlike_usage",
    ),
    (
        "the units of a line are changed",
        "UPDATE attempts SET record = replace(record, '\"units\":700', '\"units\":7') WHERE seq = 4",
        "line_unlike_price",
    ),
    ("the usage column is changed", "UPDATE attempts SET usage = '{\"input\":1}' WHERE seq = 4", "record_unlike_columns"),
    ("a record is no JSON", "UPDATE attempts SET record = substr(record, 1, 40) WHERE seq = 4", "record_unreadable"),
    ("an attempt moves to another hour", "UPDATE attempts SET at = at - 3600000 WHERE seq = 9", "record_unlike_columns"),
    (
        "an attempt moves to another hour, in its record too",
        "UPDATE attempts SET record = replace(record, '\"at\":' || at, '\"at\":' || (at - 3600000)), at = at - 3600000
         WHERE seq = 9",
        "record_times",
    ),
    ("an attempt moves to another workflow", "UPDATE attempts SET workflow = 'support-reply' WHERE seq = 2", "record_unlike_columns"),
    (
        "an attempt moves to another workflow, in its record too",
        "UPDATE attempts SET workflow = 'support-reply', record = replace(record, 'claims-triage', 'support-reply') WHERE seq = 2",
        "sum_wrong",
    ),
    ("an attempt gets another cause", "UPDATE attempts SET cause = 'judge' WHERE seq = 2", "record_unlike_columns"),
    ("an attempt gets another provider", "UPDATE attempts SET provider = 'other' WHERE seq = 2", "record_unlike_columns"),
    (
        "a record is there twice under another name",
        "INSERT INTO attempts (attempt, at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage, record)
         SELECT substr(attempt, 1, 32) || '7', at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage,
                record FROM attempts WHERE seq = 2",
        "row_outside_batches",
    ),
    ("a journal line is deleted", "DELETE FROM journal WHERE rowid_of = 1", "journal_unbalanced"),
    (
        "a journal line is booked twice",
        "INSERT INTO journal SELECT attempt, 9, account, amount_nano FROM journal
         WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 2) AND line = 0",
        "journal_unbalanced",
    ),
    (
        "both journal lines of an attempt are gone",
        "DELETE FROM journal WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 2)",
        "journal_unlike_record",
    ),
    (
        "a journal line is booked to another workflow",
        "UPDATE journal SET account = 'spend/support-reply/serve' WHERE account = 'spend/claims-triage/serve'",
        "journal_unlike_record",
    ),
    (
        "the amounts of an attempt's journal lines are halved",
        "UPDATE journal SET amount_nano = amount_nano / 2 WHERE attempt = (SELECT attempt FROM attempts WHERE seq = 2)",
        "journal_unlike_record",
    ),
    (
        "journal lines of no attempt",
        "INSERT INTO journal VALUES ('call_00000000000000000000000000.1', 0, 'spend/x/serve', 5)",
        "journal_orphan",
    ),
    ("a call's cost is changed", "UPDATE calls SET cost_nano = 1 WHERE seq = 2", "call_unlike_columns"),
    (
        "a call's cost is changed in its end too",
        "UPDATE calls SET cost_nano = 1, call_end = replace(call_end, '\"cost\":2100000', '\"cost\":1') WHERE seq = 2",
        "call_cost",
    ),
    (
        "a call says it made fewer attempts",
        "UPDATE calls SET call_end = replace(call_end, '\"attempts\":2', '\"attempts\":1')",
        "call_attempts",
    ),
    ("a call is deleted", "DELETE FROM calls WHERE seq = 2", "batch_rows"),
    ("a call moves to another day", "UPDATE calls SET ended_at = ended_at - 86400000 WHERE seq = 2", "call_unlike_columns"),
    ("a sum of money is lowered", "UPDATE spend SET cost_nano = cost_nano - 1 WHERE width_ms = 3600000", "sum_wrong"),
    ("a day's sum is lowered", "UPDATE spend SET cost_nano = cost_nano - 1 WHERE width_ms = 86400000", "day_unlike_day"),
    ("a sum is deleted", "DELETE FROM spend WHERE width_ms = 3600000 AND workflow = 'support-reply'", "sum_wrong"),
    ("a key's spend goes to another key", "UPDATE spend SET key = 'k2' WHERE width_ms = 86400000", "sum_wrong"),
    ("a sum of what never was", "INSERT INTO spend VALUES (86400000, 1795219200000, 'w', 'l', 'm', 'k', 1, 5, 0, 0, 0, 0)", "sum_wrong"),
    ("a sum of calls is changed", "UPDATE traffic SET calls = calls + 1 WHERE width_ms = 60000", "sum_wrong"),
    ("a count of first tokens is changed", "UPDATE first_tokens SET calls = 0 WHERE width_ms = 3600000", "sum_wrong"),
    ("a sum by meter is changed", "UPDATE meters SET amount_nano = amount_nano + 1 WHERE width_ms = 3600000", "day_unlike_hours"),
    ("sums by meter change their workflow", "UPDATE cells SET workflow = 'other' WHERE workflow = 'support-reply'", "sum_wrong"),
    ("a settlement is deleted", "DELETE FROM attempts WHERE attempt LIKE '%.32769'", "batch_rows"),
    (
        "a bound is changed after it was settled",
        "UPDATE attempts SET cost_nano = 8000000, record = replace(record, '{\"at_most\":9000000}', '{\"at_most\":8000000}')
         WHERE cost_kind = 'at_most'",
        "settlement_wrong",
    ),
    (
        "an intent of an attempt that ended",
        "INSERT INTO intents (attempt, at, intent) SELECT attempt, at, (SELECT intent FROM intents) FROM attempts WHERE seq = 2",
        "intent_twice",
    ),
    (
        "an intent that nobody concluded",
        "UPDATE intents SET intent = replace(intent, '\"at\":' || at, '\"at\":' || (at - 7200000)), at = at - 7200000",
        "intent_open",
    ),
    ("a segment counts as read further", "UPDATE segments SET upto_offset = upto_offset + 10", "segment_offset"),
    ("a segment counts as read less far", "UPDATE segments SET upto_offset = upto_offset - 10", "segment_offset"),
    ("a segment counts as unread", "DELETE FROM segments", "segment_offset"),
    ("a batch is deleted", "DELETE FROM batches WHERE seq = 2", "batch_missing"),
    ("the newest batch is deleted", "DELETE FROM batches WHERE seq = (SELECT MAX(seq) FROM batches)", "chain_head"),
    (
        "the newest batch is deleted with all it took",
        "DELETE FROM calls WHERE seq > (SELECT calls_after FROM batches ORDER BY seq DESC LIMIT 1);
         DELETE FROM attempts WHERE seq > (SELECT attempts_after FROM batches ORDER BY seq DESC LIMIT 1);
         DELETE FROM batches WHERE seq = (SELECT MAX(seq) FROM batches)",
        "chain_head",
    ),
    ("a batch says it wrote less", "UPDATE batches SET attempts = attempts - 1 WHERE seq = 1", "chain_broken"),
    ("a batch is said to be erased in part", "UPDATE batches SET pruned = 1 WHERE seq = 1", "batch_rows"),
    ("a batch has another digest", "UPDATE batches SET digest = zeroblob(16) WHERE seq = 1", "chain_broken"),
    ("two records exchange their rows", "UPDATE attempts SET record = (SELECT record FROM attempts AS other WHERE other.seq = 5 - attempts.seq)
        WHERE seq IN (2, 3)", "record_unlike_columns"),
    ("bodies of no call", "INSERT INTO captures VALUES ('call_00000000000000000000000000', 1, '{}')", "body_orphan"),
];

#[tokio::test]
async fn each_kind_of_planted_damage_is_found_by_its_name() {
    let house = books().await;
    let mut missed = Vec::new();
    for (number, (what, sql, code)) in DAMAGES.iter().enumerate() {
        let copy = house.data.root().join(format!("{number}.db"));
        house.store.backup(&copy).await.unwrap();
        let sql = sql.replace("rowid_of = 1", "attempt = (SELECT attempt FROM attempts WHERE seq = 2) AND line = 1");
        let address = format!("sqlite://{}", copy.display());
        let mut hand = sqlx::SqliteConnection::connect(&address).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut hand).await.unwrap();
        hand.close().await.unwrap();
        let damaged = Store::open(&copy).await.unwrap();
        let report = look(&damaged, &house.data.spool(), None).await;
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        if report.proven || !codes.contains(code) {
            missed.push(format!("{what}: {code} is not among {codes:?}"));
        }
        damaged.close().await;
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test]
async fn what_is_done_to_the_spool_is_found_too() {
    let house = books().await;
    let path = house.data.spool().join("0002.seg");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let report = look(&house.store, &house.data.spool(), None).await;
    assert!(report.findings.iter().any(|finding| finding.code == "spool_cut"), "{}", report.table());
    // A line that the store lost, although it counts as taken over.
    std::fs::write(&path, &bytes).unwrap();
    let mut line = Vec::new();
    ledger::segment::encode(&Entry::Record(Box::new(Sample::new(900, NOON).record())), &mut line);
    let mut other = line.clone();
    other.extend(&bytes[line.len()..]);
    std::fs::write(&path, &other).unwrap();
    let report = look(&house.store, &house.data.spool(), None).await;
    assert!(report.findings.iter().any(|finding| finding.code == "spool_line_lost"), "{}", report.table());
}

#[tokio::test]
async fn books_of_the_version_before_are_summed_and_proven() {
    let house = books().await;
    // As the version before left them: neither batches nor sums by meter.
    let address = format!("sqlite://{}", house.data.database().display());
    let mut hand = sqlx::SqliteConnection::connect(&address).await.unwrap();
    let undo =
        "DROP TABLE meters; DROP TABLE cells; DROP TABLE batches; DROP TABLE books; DROP TABLE told; DROP TABLE erased;
                DELETE FROM _sqlx_migrations WHERE version IN (40, 60)";
    sqlx::raw_sql(undo).execute(&mut hand).await.unwrap();
    hand.close().await.unwrap();
    let upgraded = Store::open(&house.data.database()).await.unwrap();
    let report = look(&upgraded, &house.data.spool(), None).await;
    assert!(report.proven, "{}", report.table());
    upgraded.record(Sample::new(700, NOON).entries()).await.unwrap();
    let report = look(&upgraded, &house.data.spool(), None).await;
    assert!(report.proven, "{}", report.table());
    assert_eq!(report.read.batches, 1);
    let money = upgraded
        .meter_totals(UnixMs(0), UnixMs(i64::MAX))
        .await
        .unwrap()
        .iter()
        .map(|sum| i128::from(sum.amount.0))
        .sum::<i128>();
    assert_eq!(money, report.read.booked);
}

#[tokio::test]
async fn books_in_postgres_are_proven_and_damage_to_them_is_found_too() {
    let address = testkit::postgres::Postgres::shared().database();
    let store = Store::connect(&address).await.unwrap();
    let spool = testkit::scratch_dir("no-spool");
    for number in 0..6 {
        store.record(Sample::new(number, NOON + number * HOUR / 3).entries()).await.unwrap();
    }
    let report = look(&store, spool.path(), None).await;
    assert!(report.proven, "{}", report.table());
    assert_eq!((report.read.attempts, report.read.batches), (6, 6));
    let mut hand = sqlx::PgConnection::connect(&address).await.unwrap();
    for (sql, code) in [
        ("UPDATE attempts SET cost_nano = cost_nano + 1 WHERE seq = 2", "record_unlike_columns"),
        ("UPDATE meters SET units = units + 1 WHERE width_ms = 86400000", "day_unlike_hours"),
        ("DELETE FROM journal WHERE line = 1", "journal_unbalanced"),
        ("DELETE FROM calls WHERE seq = 3", "batch_rows"),
        ("DELETE FROM batches WHERE seq = 4", "batch_missing"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut hand).await.unwrap();
        let codes: Vec<_> = look(&store, spool.path(), None).await.findings.iter().map(|it| it.code).collect();
        assert!(codes.contains(&code), "{sql}: {codes:?}");
    }
}
