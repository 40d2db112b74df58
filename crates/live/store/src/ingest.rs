//! Takes over what the spool holds: one transaction per batch, and nothing twice, however often it is offered.
//!
//! Each table takes its rows of a batch in one statement, as a JSON array that SQLite unpacks: ten statements for a
//! thousand entries, because each statement costs a round trip to the connection's thread.

use std::collections::HashSet;

use domain::{AttemptEnd, CallEnd, Cost, Entry, Intent, Record};
use serde::Serialize;
use sqlx::{Row, SqliteConnection};

use crate::open::{Store, StoreError, signed, to_json};
use crate::rollup::{Sums, text};

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

const INSERT_ATTEMPTS: &str = "
    INSERT INTO attempts (attempt, at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage, record)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
    FROM json_each(?1) WHERE true
    ON CONFLICT (attempt) DO NOTHING RETURNING attempt";
const INSERT_CALLS: &str = "
    INSERT INTO calls (call, ended_at, workflow, lane, model, key, failed, cost_nano, call_end)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8
    FROM json_each(?1) WHERE true
    ON CONFLICT (call) DO NOTHING RETURNING call";
const INSERT_JOURNAL: &str = "
    INSERT INTO journal (attempt, line, account, amount_nano)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1) WHERE true
    ON CONFLICT DO NOTHING";
const INSERT_CAPTURES: &str = "
    INSERT INTO captures (call, until, capture)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
    ON CONFLICT DO NOTHING";
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
        // Writing a thousand entries as JSON takes milliseconds that no call should wait for.
        let (batch, rows) = tokio::task::spawn_blocking(move || {
            let rows = Rows::of(&batch.entries);
            (batch, rows)
        })
        .await
        .expect("turning plain data into JSON does not panic");

        let mut transaction = self.begin().await?;
        let reached: Option<i64> = sqlx::query_scalar("SELECT upto_offset FROM segments WHERE name = ?1")
            .bind(&batch.segment)
            .fetch_optional(&mut *transaction)
            .await?;
        if reached.is_some_and(|reached| reached >= signed(batch.upto_offset)) {
            return Ok(Ingested { repeated: (rows.attempts.len() + rows.calls.len()) as u64, fresh: Vec::new() });
        }
        let ingested = take_over(&mut transaction, &rows, batch.entries).await?;
        sqlx::query(MOVE_SEGMENT)
            .bind(&batch.segment)
            .bind(signed(batch.upto_offset))
            .bind(signed(batch.corrupt_lines))
            .bind(batch.corrupt_offset.map(signed))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(ingested)
    }

    /// Takes over facts that come from no segment, such as what recovery concludes.
    pub async fn record(&self, entries: Vec<Entry>) -> Result<Ingested, StoreError> {
        let rows = Rows::of(&entries);
        let mut transaction = self.begin().await?;
        let ingested = take_over(&mut transaction, &rows, entries).await?;
        transaction.commit().await?;
        Ok(ingested)
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

type AttemptRow = (
    String,
    i64,
    String,
    String,
    String,
    String,
    String,
    &'static str,
    &'static str,
    &'static str,
    i64,
    String,
    String,
);
type CallRow = (String, i64, String, String, String, String, u8, i64, String);

/// A batch as rows; built before the transaction so that the write lock is held no longer than needed.
#[derive(Default)]
struct Rows {
    attempts: Vec<AttemptRow>,
    calls: Vec<CallRow>,
    captures: Vec<(String, i64, String)>,
    intents: Vec<(String, i64, String)>,
}

impl Rows {
    fn of(entries: &[Entry]) -> Rows {
        let ended: HashSet<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Record(record) => Some(record.intent.attempt),
                Entry::Intent(_) | Entry::Call(_) => None,
            })
            .collect();
        let mut rows = Rows::default();
        for entry in entries {
            match entry {
                // Most intents meet their record in the same batch and never touch the disk.
                Entry::Intent(intent) if ended.contains(&intent.attempt) => {}
                Entry::Intent(intent) => {
                    rows.intents.push((intent.attempt.to_string(), intent.at.0, to_json(intent)));
                }
                Entry::Record(record) => rows.attempts.push(attempt_row(record)),
                Entry::Call(call) => rows.push_call(call),
            }
        }
        rows
    }

    fn push_call(&mut self, call: &CallEnd) {
        let call_end = match &call.capture {
            None => to_json(call),
            Some(_) => to_json(&CallEnd { capture: None, ..call.clone() }),
        };
        self.calls.push((
            call.call.to_string(),
            call.ended_at.0,
            text(call.workflow.as_ref()),
            text(call.lane.as_ref()),
            text(call.model.as_ref()),
            text(call.key.as_ref()),
            u8::from(call.failure.is_some()),
            call.cost.0,
            call_end,
        ));
        if let Some(capture) = &call.capture {
            self.captures.push((call.call.to_string(), capture.until.0, to_json(capture)));
        }
    }
}

fn attempt_row(record: &Record) -> AttemptRow {
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
    (
        intent.attempt.to_string(),
        intent.at.0,
        text(intent.workflow.as_ref()),
        text(intent.lane.as_ref()),
        intent.model.to_string(),
        intent.provider.to_string(),
        intent.key.to_string(),
        intent.cause.as_str(),
        end,
        cost,
        record.cost.booked().0,
        to_json(&record.usage),
        to_json(record),
    )
}

async fn take_over(
    connection: &mut SqliteConnection,
    rows: &Rows,
    entries: Vec<Entry>,
) -> Result<Ingested, StoreError> {
    let mut new_attempts = insert_new(connection, INSERT_ATTEMPTS, &rows.attempts).await?;
    let mut new_calls = insert_new(connection, INSERT_CALLS, &rows.calls).await?;
    let captures: Vec<_> = rows.captures.iter().filter(|row| new_calls.contains(&row.0)).collect();
    let (mut sums, mut journal, mut ingested) = (Sums::default(), Vec::new(), Ingested::default());
    for entry in entries {
        let is_new = match &entry {
            Entry::Intent(_) => continue,
            // Taken out of the set, so that a repetition within the batch is a repetition too.
            Entry::Record(record) => new_attempts.remove(&record.intent.attempt.to_string()),
            Entry::Call(call) => new_calls.remove(&call.call.to_string()),
        };
        if !is_new {
            ingested.repeated += 1;
            continue;
        }
        match &entry {
            Entry::Record(record) => {
                sums.add_record(record);
                journal.extend(journal_rows(record));
            }
            Entry::Call(call) => sums.add_call(call),
            Entry::Intent(_) => {}
        }
        ingested.fresh.push(entry);
    }
    insert(connection, INSERT_JOURNAL, &journal).await?;
    insert(connection, INSERT_CAPTURES, &captures).await?;
    insert(connection, INSERT_INTENTS, &rows.intents).await?;
    insert(connection, DELETE_INTENTS, &rows.attempts.iter().map(|row| &row.0).collect::<Vec<_>>()).await?;
    add_sums(connection, &sums).await?;
    Ok(ingested)
}

fn journal_rows(record: &Record) -> Vec<(String, usize, String, i64)> {
    let attempt = record.intent.attempt.to_string();
    let lines = ledger::journal::entries(record).into_iter().enumerate();
    lines.map(|(line, entry)| (attempt.clone(), line, entry.account.to_string(), entry.amount.0)).collect()
}

async fn add_sums(connection: &mut SqliteConnection, sums: &Sums) -> Result<(), StoreError> {
    let spend: Vec<_> = sums
        .spend
        .iter()
        .map(|((width, start, workflow, lane, model, key), sum)| {
            let counts =
                (sum.attempts, sum.cost_nano, sum.input_tokens, sum.output_tokens, sum.unpriced, sum.indeterminate);
            (width, start, workflow, lane, model, key, counts.0, counts.1, counts.2, counts.3, counts.4, counts.5)
        })
        .collect();
    let traffic: Vec<_> = sums
        .traffic
        .iter()
        .map(|((width, start, workflow, lane, model, key), sum)| {
            (width, start, workflow, lane, model, key, sum.calls, sum.errors, sum.cost_nano)
        })
        .collect();
    let first_tokens: Vec<_> = sums
        .first_tokens
        .iter()
        .map(|((width, start, workflow, lane, model, bucket), calls)| {
            (width, start, workflow, lane, model, bucket, calls)
        })
        .collect();
    insert(connection, ADD_SPEND, &spend).await?;
    insert(connection, ADD_TRAFFIC, &traffic).await?;
    insert(connection, ADD_FIRST_TOKENS, &first_tokens).await?;
    insert(connection, MOVE_LAST_USED, &sums.last_used.iter().collect::<Vec<_>>()).await
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

async fn insert_new<T: Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &[T],
) -> Result<HashSet<String>, StoreError> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let new: Vec<String> = sqlx::query_scalar(sql).bind(to_json(rows)).fetch_all(connection).await?;
    Ok(new.into_iter().collect())
}
