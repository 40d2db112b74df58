//! Takes over what the spool holds: one transaction per batch, and nothing twice, however often it is offered.
//!
//! Tables with a row for each fact take many rows in one statement (`rows.rs`); those with a few rows for a whole batch
//! take them as a JSON array that SQLite unpacks.

use std::collections::HashSet;

use domain::{AttemptEnd, CallEnd, Cost, Entry, Intent, Record};
use serde::Serialize;
use sqlx::{Row, SqliteConnection};

use crate::money::MoneyFacts;
use crate::open::{Store, StoreError, signed, to_json};
use crate::rollup::{Sums, text};
use crate::rows::{Rows, Table};

/// What was read from one segment since the last time.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// File name of the segment, without its folder.
    pub segment: String,
    /// Up to which byte of it these entries reach.
    pub upto_offset: u64,
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// Lines that were no entries.
    pub corrupt_lines: u64,
    /// Where the first of them begins.
    pub corrupt_offset: Option<u64>,
}

/// What came of a batch.
#[derive(Clone, Debug, Default)]
pub struct Ingested {
    /// The records and calls the store did not have yet, in order.
    pub fresh: Vec<Entry>,
    /// How many records and calls it had already.
    pub repeated: u64,
}

/// How far a segment was taken over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SegmentState {
    /// File name.
    pub name: String,
    /// Bytes taken over.
    pub upto_offset: u64,
    /// Lines of it that were no entries.
    pub corrupt_lines: u64,
    /// Where the first of them begins.
    pub corrupt_offset: Option<u64>,
}

const ATTEMPTS: Table = Table {
    into: "attempts (attempt, at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage, record)",
    columns: 13,
    key: "attempt",
};
const CALLS: Table = Table {
    into: "calls (call, ended_at, workflow, lane, model, key, failed, cost_nano, call_end)",
    columns: 9,
    key: "call",
};
const JOURNAL: Table =
    Table { into: "journal (attempt, line, account, amount_nano)", columns: 4, key: "attempt, line" };
const CAPTURES: Table = Table { into: "captures (call, until, capture)", columns: 3, key: "call" };
const INSERT_INTENTS: &str = "
    INSERT INTO intents (attempt, at, intent)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)
    WHERE NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.attempt = value ->> 0)
    ON CONFLICT DO NOTHING";
const DELETE_INTENTS: &str = "DELETE FROM intents WHERE attempt IN (SELECT value FROM json_each(?1))";
// A sum stays at 9e18 instead of overflowing into a float, which a strict table would refuse.
const ADD_SPEND: &str = "
    INSERT INTO spend (width_ms, start, workflow, lane, model, key,
                       attempts, cost_nano, input_tokens, output_tokens, unpriced, indeterminate)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
           value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
    FROM json_each(?1) WHERE true
    ON CONFLICT (width_ms, start, workflow, lane, model, key) DO UPDATE SET
        attempts = attempts + excluded.attempts,
        cost_nano = MIN(cost_nano + excluded.cost_nano, 9000000000000000000),
        input_tokens = MIN(input_tokens + excluded.input_tokens, 9000000000000000000),
        output_tokens = MIN(output_tokens + excluded.output_tokens, 9000000000000000000),
        unpriced = unpriced + excluded.unpriced,
        indeterminate = indeterminate + excluded.indeterminate";
const ADD_TRAFFIC: &str = "
    INSERT INTO traffic (width_ms, start, workflow, lane, model, key, calls, errors, cost_nano)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8
    FROM json_each(?1) WHERE true
    ON CONFLICT (width_ms, start, workflow, lane, model, key) DO UPDATE SET
        calls = calls + excluded.calls,
        errors = errors + excluded.errors,
        cost_nano = MIN(cost_nano + excluded.cost_nano, 9000000000000000000)";
const ADD_FIRST_TOKENS: &str = "
    INSERT INTO first_tokens (width_ms, start, workflow, lane, model, bucket, calls)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
    FROM json_each(?1) WHERE true
    ON CONFLICT (width_ms, start, workflow, lane, model, bucket) DO UPDATE SET calls = calls + excluded.calls";
const MOVE_LAST_USED: &str = "
    INSERT INTO key_use (key, last_used_at) SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true
    ON CONFLICT (key) DO UPDATE SET last_used_at = MAX(last_used_at, excluded.last_used_at)";
const MOVE_SEGMENT: &str = "
    INSERT INTO segments (name, upto_offset, corrupt_lines, corrupt_offset) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (name) DO UPDATE SET
        upto_offset = excluded.upto_offset,
        corrupt_lines = corrupt_lines + excluded.corrupt_lines,
        corrupt_offset = COALESCE(corrupt_offset, excluded.corrupt_offset)";

impl Store {
    /// Takes over a batch: all of it, or, on an error, nothing. A batch that reaches no further into its segment than
    /// the store has read already changes nothing; neither does an attempt or call that is known.
    pub async fn ingest(&self, batch: Batch) -> Result<Ingested, StoreError> {
        let Batch { segment, upto_offset, entries, corrupt_lines, corrupt_offset } = batch;
        let segment = SegmentState { name: segment, upto_offset, corrupt_lines, corrupt_offset };
        self.take_over(entries, Some(&segment)).await
    }

    /// Takes over facts that come from no segment, such as what recovery concludes.
    pub async fn record(&self, entries: Vec<Entry>) -> Result<Ingested, StoreError> {
        self.take_over(entries, None).await
    }

    /// Books what is new, and moves `segment`, in one transaction.
    async fn take_over(&self, entries: Vec<Entry>, segment: Option<&SegmentState>) -> Result<Ingested, StoreError> {
        // Writing a thousand entries as JSON takes milliseconds that no call should wait for.
        let (mut entries, mut facts) = tokio::task::spawn_blocking(move || {
            let facts = Facts::of(&entries);
            (entries, facts)
        })
        .await
        .expect("turning plain data into JSON does not panic");
        let mut repeated = 0;
        loop {
            let mut transaction = self.begin().await?;
            if let Some(segment) = segment
                && has_reached(&mut transaction, segment).await?
            {
                repeated += entries.iter().filter(|entry| is_fact(entry)).count() as u64;
                return Ok(Ingested { fresh: Vec::new(), repeated });
            }
            let attempts = ATTEMPTS.insert(&mut transaction, &mut facts.attempts).await?;
            let calls = CALLS.insert(&mut transaction, &mut facts.calls).await?;
            if attempts && calls {
                finish(&mut transaction, &mut facts, segment).await?;
                transaction.commit().await?;
                return Ok(Ingested { fresh: entries.into_iter().filter(is_fact).collect(), repeated });
            }
            // Something was known already: rare (a batch that another process offered, a restored backup), so only then
            // is it asked what.
            transaction.rollback().await?;
            let offered = entries.iter().filter(|entry| is_fact(entry)).count() as u64;
            let known = self.known(&entries).await?;
            entries = new_ones(entries, &known);
            repeated += offered - entries.iter().filter(|entry| is_fact(entry)).count() as u64;
            facts = Facts::of(&entries);
        }
    }

    /// Which of these attempts and calls the store has.
    async fn known(&self, entries: &[Entry]) -> Result<HashSet<String>, StoreError> {
        let names: Vec<String> = entries.iter().filter_map(fact_name).collect();
        let known: Vec<String> = sqlx::query_scalar(
            "SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM attempts WHERE attempt = value)
                                                OR EXISTS (SELECT 1 FROM calls WHERE call = value)",
        )
        .bind(to_json(&names))
        .fetch_all(self.writer())
        .await?;
        Ok(known.into_iter().collect())
    }

    /// Attempts that were about to be sent and left no record, oldest first.
    pub async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        let rows = sqlx::query("SELECT attempt, intent FROM intents ORDER BY attempt").fetch_all(self.reader()).await?;
        rows.iter().map(|row| crate::open::from_json(row.try_get("attempt")?, row.try_get("intent")?)).collect()
    }

    /// How far each known segment was taken over, in the order of their names.
    pub async fn segments(&self) -> Result<Vec<SegmentState>, StoreError> {
        let rows = sqlx::query("SELECT name, upto_offset, corrupt_lines, corrupt_offset FROM segments ORDER BY name")
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(SegmentState {
                    name: row.try_get("name")?,
                    upto_offset: row.try_get::<i64, _>("upto_offset")?.unsigned_abs(),
                    corrupt_lines: row.try_get::<i64, _>("corrupt_lines")?.unsigned_abs(),
                    corrupt_offset: row.try_get::<Option<i64>, _>("corrupt_offset")?.map(i64::unsigned_abs),
                })
            })
            .collect()
    }

    /// Forgets a segment whose file is gone.
    pub async fn forget_segment(&self, name: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM segments WHERE name = ?1").bind(name).execute(self.writer()).await?;
        Ok(())
    }
}

/// What a batch comes to: rows, and sums. Built before the transaction, so that the write lock is held no longer than
/// needed.
#[derive(Default)]
struct Facts {
    attempts: Rows,
    calls: Rows,
    journal: Rows,
    captures: Rows,
    intents: Vec<(String, i64, String)>,
    /// Attempts that ended, whose intents are open no more.
    ended: Vec<String>,
    sums: Sums,
    money: MoneyFacts,
}

impl Facts {
    fn of(entries: &[Entry]) -> Facts {
        let ended: HashSet<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Record(record) => Some(record.intent.attempt),
                Entry::Intent(_) | Entry::Call(_) => None,
            })
            .collect();
        let mut facts = Facts::default();
        for entry in entries {
            match entry {
                // Most intents meet their record in the same batch and never touch the disk.
                Entry::Intent(intent) if ended.contains(&intent.attempt) => {}
                Entry::Intent(intent) => {
                    facts.intents.push((intent.attempt.to_string(), intent.at.0, to_json(intent)));
                }
                Entry::Record(record) => facts.push_record(record),
                Entry::Call(call) => facts.push_call(call),
            }
        }
        facts
    }

    fn push_record(&mut self, record: &Record) {
        let attempt = record.intent.attempt.to_string();
        push_attempt(&mut self.attempts, &attempt, record);
        for (line, entry) in ledger::journal::entries(record).into_iter().enumerate() {
            self.journal.text(attempt.clone());
            self.journal.whole(line as i64);
            self.journal.text(entry.account);
            self.journal.whole(entry.amount.0);
        }
        self.sums.add_record(record);
        self.money.add(record);
        self.ended.push(attempt);
    }

    fn push_call(&mut self, call: &CallEnd) {
        let name = call.call.to_string();
        if let Some(capture) = &call.capture {
            self.captures.text(name.clone());
            self.captures.whole(capture.until.0);
            self.captures.text(to_json(capture));
        }
        let rows = &mut self.calls;
        rows.text(name);
        rows.whole(call.ended_at.0);
        rows.text(text(call.workflow.as_ref()));
        rows.text(text(call.lane.as_ref()));
        rows.text(text(call.model.as_ref()));
        rows.text(text(call.key.as_ref()));
        rows.whole(i64::from(call.failure.is_some()));
        rows.whole(call.cost.0);
        rows.text(match &call.capture {
            None => to_json(call),
            Some(_) => to_json(&CallEnd { capture: None, ..call.clone() }),
        });
        self.sums.add_call(call);
    }
}

fn push_attempt(rows: &mut Rows, attempt: &str, record: &Record) {
    let intent = &record.intent;
    let end = match &record.end {
        AttemptEnd::Served { .. } => "served",
        AttemptEnd::Failed { .. } => "failed",
        AttemptEnd::Cancelled => "cancelled",
        AttemptEnd::Indeterminate => "indeterminate",
    };
    let cost = match &record.cost {
        Cost::Priced { .. } => "priced",
        Cost::Unpriced { .. } => "unpriced",
        Cost::AtMost(_) => "at_most",
    };
    rows.text(attempt.to_owned());
    rows.whole(intent.at.0);
    rows.text(text(intent.workflow.as_ref()));
    rows.text(text(intent.lane.as_ref()));
    rows.text(intent.model.to_string());
    rows.text(intent.provider.to_string());
    rows.text(intent.key.to_string());
    rows.word(intent.cause.as_str());
    rows.word(end);
    rows.word(cost);
    rows.whole(record.cost.booked().0);
    rows.text(to_json(&record.usage));
    rows.text(to_json(record));
}

/// Whether an entry is booked: an intent is only remembered while it is open.
fn is_fact(entry: &Entry) -> bool {
    !matches!(entry, Entry::Intent(_))
}

/// Under which name a fact is booked once.
fn fact_name(entry: &Entry) -> Option<String> {
    match entry {
        Entry::Intent(_) => None,
        Entry::Record(record) => Some(record.intent.attempt.to_string()),
        Entry::Call(call) => Some(call.call.to_string()),
    }
}

/// The entries without facts that are known, and without the repetitions among them.
fn new_ones(entries: Vec<Entry>, known: &HashSet<String>) -> Vec<Entry> {
    let mut met = HashSet::new();
    // Intents stay: `INSERT_INTENTS` looks for their records.
    let mut is_new = |entry: &Entry| fact_name(entry).is_none_or(|name| !known.contains(&name) && met.insert(name));
    entries.into_iter().filter(|entry| is_new(entry)).collect()
}

/// Whether the store has read this far already.
async fn has_reached(connection: &mut SqliteConnection, segment: &SegmentState) -> Result<bool, StoreError> {
    let reached: Option<i64> = sqlx::query_scalar("SELECT upto_offset FROM segments WHERE name = ?1")
        .bind(&segment.name)
        .fetch_optional(connection)
        .await?;
    Ok(reached.is_some_and(|reached| reached >= signed(segment.upto_offset)))
}

async fn finish(
    connection: &mut SqliteConnection,
    facts: &mut Facts,
    segment: Option<&SegmentState>,
) -> Result<(), StoreError> {
    JOURNAL.insert(connection, &mut facts.journal).await?;
    CAPTURES.insert(connection, &mut facts.captures).await?;
    insert(connection, INSERT_INTENTS, &facts.intents).await?;
    insert(connection, DELETE_INTENTS, &facts.ended).await?;
    add_sums(connection, &facts.sums).await?;
    facts.money.insert(connection).await?;
    if let Some(segment) = segment {
        sqlx::query(MOVE_SEGMENT)
            .bind(&segment.name)
            .bind(signed(segment.upto_offset))
            .bind(signed(segment.corrupt_lines))
            .bind(segment.corrupt_offset.map(signed))
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn add_sums(connection: &mut SqliteConnection, sums: &Sums) -> Result<(), StoreError> {
    let spend = sums.spend();
    let spend: Vec<_> = spend
        .iter()
        .map(|((width, start, workflow, lane, model, key), sum)| {
            let counts =
                (sum.attempts, sum.cost_nano, sum.input_tokens, sum.output_tokens, sum.unpriced, sum.indeterminate);
            (width, start, workflow, lane, model, key, counts.0, counts.1, counts.2, counts.3, counts.4, counts.5)
        })
        .collect();
    let traffic = sums.traffic();
    let traffic: Vec<_> = traffic
        .iter()
        .map(|((width, start, workflow, lane, model, key), sum)| {
            (width, start, workflow, lane, model, key, sum.calls, sum.errors, sum.cost_nano)
        })
        .collect();
    let first_tokens = sums.first_tokens();
    let first_tokens: Vec<_> = first_tokens
        .iter()
        .map(|((width, start, workflow, lane, model, bucket), calls)| {
            (width, start, workflow, lane, model, bucket, calls)
        })
        .collect();
    insert(connection, ADD_SPEND, &spend).await?;
    insert(connection, ADD_TRAFFIC, &traffic).await?;
    insert(connection, ADD_FIRST_TOKENS, &first_tokens).await?;
    insert(connection, MOVE_LAST_USED, &sums.last_used()).await
}

async fn insert<T: Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &[T],
) -> Result<(), StoreError> {
    if !rows.is_empty() {
        sqlx::query(sql).bind(to_json(rows)).execute(connection).await?;
    }
    Ok(())
}
