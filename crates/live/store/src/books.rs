//! The books as they lie in the tables, column by column and unparsed, for whoever proves that they are right; and the sums of
//! what was booked before there were sums.

use std::collections::{BTreeMap, HashMap};

use domain::{Record, UnixMs};

use crate::chain::{Digest, missing};
use crate::meters::{self, MeterSums, Numbered};
use crate::open::{Store, StoreError, from_json};
use crate::rollup::Sums;
use crate::sql::{Row, Statement, query};

/// Attempts summed in one transaction.
const SUMMED_AT_ONCE: i64 = 1_000;
/// Names in one statement.
const NAMED_AT_ONCE: usize = 500;

/// Where the books stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Books {
    /// The number of the newest batch.
    pub seq: i64,
    /// Its hash.
    pub chain: Vec<u8>,
    /// Attempts up to this number belong to no batch.
    pub attempts_before: i64,
    /// Calls up to this number belong to no batch.
    pub calls_before: i64,
    /// The highest attempt in a batch.
    pub attempts_upto: i64,
    /// The highest call in a batch.
    pub calls_upto: i64,
    /// Batches up to this number are erased with all they took.
    pub folded_seq: i64,
    /// The hash of the last of them.
    pub folded_chain: Vec<u8>,
    /// What retention had erased of them; absent where that was not noted from the beginning.
    pub folded_digest: Option<Digest>,
    /// Records from before this time are erased.
    pub pruned_before: UnixMs,
    /// Sums by the minute from before this time are erased.
    pub minutes_before: UnixMs,
}

/// A row of `attempts`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawAttempt {
    /// Its number.
    pub seq: i64,
    /// Its name.
    pub attempt: String,
    /// When it was sent.
    pub at: i64,
    /// Workflow, lane, model, provider, key, cause, end, kind of cost: as [`RawAttempt::WORDS`] names them.
    pub words: [String; 8],
    /// What it booked.
    pub cost_nano: i64,
    /// Counts by meter, JSON.
    pub usage: String,
    /// The record, JSON.
    pub record: String,
}

impl RawAttempt {
    /// The columns of `words`.
    pub const WORDS: [&'static str; 8] =
        ["workflow", "lane", "model", "provider", "key", "cause", "end_kind", "cost_kind"];
}

/// A row of `calls`, with what its attempts come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawCall {
    /// Its number.
    pub seq: i64,
    /// Its name.
    pub call: String,
    /// When it ended.
    pub ended_at: i64,
    /// Workflow, lane, model, key: as [`RawCall::WORDS`] names them.
    pub words: [String; 4],
    /// Whether it failed.
    pub failed: i64,
    /// What it cost.
    pub cost_nano: i64,
    /// The call's end, JSON.
    pub call_end: String,
    /// How many attempts there are of it, without what settles one.
    pub attempts: i64,
    /// What these booked; wide, so that amounts somebody made too large for a sum are found and do not stop it.
    pub attempts_nano: i128,
    /// The highest ordinal among them.
    pub last_ordinal: i64,
}

impl RawCall {
    /// The columns of `words`.
    pub const WORDS: [&'static str; 4] = ["workflow", "lane", "model", "key"];
}

/// A table of sums.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SumTable {
    /// Money by workflow, lane, model, key.
    Spend,
    /// Calls by workflow, lane, model, key.
    Traffic,
    /// Times to the first content.
    FirstTokens,
    /// Units and money by cell.
    Meters,
}

impl SumTable {
    /// Every one.
    pub const ALL: [SumTable; 4] = [SumTable::Spend, SumTable::Traffic, SumTable::FirstTokens, SumTable::Meters];

    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            SumTable::Spend => "spend",
            SumTable::Traffic => "traffic",
            SumTable::FirstTokens => "first_tokens",
            SumTable::Meters => "meters",
        }
    }

    pub(crate) fn select(self) -> Statement {
        query(match self {
            SumTable::Spend => "SELECT * FROM spend",
            SumTable::Traffic => "SELECT * FROM traffic",
            SumTable::FirstTokens => "SELECT * FROM first_tokens",
            SumTable::Meters => "SELECT meters.*, cells.* FROM meters JOIN cells ON cells.cell = meters.cell",
        })
    }

    /// What a sum is of.
    const fn of(self) -> &'static [&'static str] {
        match self {
            SumTable::Spend | SumTable::Traffic => &["workflow", "lane", "model", "key"],
            SumTable::FirstTokens => &["workflow", "lane", "model", "bucket"],
            SumTable::Meters => &[
                "workflow",
                "model",
                "upstream_model",
                "provider",
                "region",
                "cause",
                "end_kind",
                "meter",
                "price_row",
                "price_pico",
                "basis",
            ],
        }
    }

    /// What is summed.
    pub const fn figures(self) -> &'static [&'static str] {
        match self {
            SumTable::Spend => &["attempts", "cost_nano", "input_tokens", "output_tokens", "unpriced", "indeterminate"],
            SumTable::Traffic => &["calls", "errors", "cost_nano"],
            SumTable::FirstTokens => &["calls"],
            SumTable::Meters => &["attempts", "units", "amount_nano"],
        }
    }

    pub(crate) fn rows(self, rows: Vec<Row>) -> Result<Vec<SumRow>, StoreError> {
        rows.iter()
            .map(|row| {
                let mut named = Vec::with_capacity(self.of().len());
                for column in self.of() {
                    named.push(match *column {
                        "bucket" | "price_pico" => row.get::<i64>(column)?.to_string(),
                        column => row.get(column)?,
                    });
                }
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                let figures =
                    self.figures().iter().map(|column| row.get(column)).collect::<Result<_, sqlx::Error>>()?;
                Ok(((self, row.get("width_ms")?, row.get("start")?, words(&named)), figures))
            })
            .collect()
    }
}

/// A sum: its table, width, start and what it is of, in words; and its figures.
pub type SumRow = ((SumTable, i64, i64, String), Vec<i64>);

/// Adds up facts as a store that takes them over would.
#[derive(Default)]
pub struct Expected {
    sums: Sums,
    meters: MeterSums,
}

impl Expected {
    /// With one record more.
    pub fn add_record(&mut self, record: &Record) {
        self.sums.add_record(record);
        self.meters.add_record(record);
    }

    /// With one call more.
    pub fn add_call(&mut self, call: &domain::CallEnd) {
        self.sums.add_call(call);
    }

    /// What the tables should hold.
    pub fn rows(&self) -> BTreeMap<(SumTable, i64, i64, String), Vec<i64>> {
        let mut rows = BTreeMap::new();
        for ((width, start, workflow, lane, model, key), sum) in self.sums.spend() {
            let of = words(&[&workflow, &lane, &model, &key]);
            let figures =
                [sum.attempts, sum.cost_nano, sum.input_tokens, sum.output_tokens, sum.unpriced, sum.indeterminate];
            rows.insert((SumTable::Spend, width, start, of), figures.to_vec());
        }
        for ((width, start, workflow, lane, model, key), sum) in self.sums.traffic() {
            let of = words(&[&workflow, &lane, &model, &key]);
            rows.insert((SumTable::Traffic, width, start, of), vec![sum.calls, sum.errors, sum.cost_nano]);
        }
        for ((width, start, workflow, lane, model, bucket), calls) in self.sums.first_tokens() {
            let of = words(&[&workflow, &lane, &model, &bucket.to_string()]);
            rows.insert((SumTable::FirstTokens, width, start, of), vec![calls]);
        }
        for (width, start, cell, (attempts, units, amount)) in self.meters.wide() {
            let of = cell_words(cell);
            let row = rows.entry((SumTable::Meters, width, start, of)).or_insert_with(|| vec![0; 3]);
            row[0] += attempts;
            row[1] = row[1].saturating_add(units);
            row[2] = row[2].saturating_add(amount);
        }
        rows
    }
}

fn words(words: &[&str]) -> String {
    words.join(" | ")
}

fn cell_words(cell: &ledger::cells::Cell) -> String {
    words(&[
        &crate::rollup::text(cell.workflow.as_ref()),
        cell.model.as_str(),
        &cell.upstream_model,
        cell.provider.as_str(),
        &cell.region,
        cell.cause.as_str(),
        cell.end,
        cell.meter.map_or("", domain::Meter::as_str),
        &cell.price_row,
        &cell.price.0.to_string(),
        cell.basis.as_str(),
    ])
}

impl Store {
    /// Where the books stand.
    pub async fn books(&self) -> Result<Books, StoreError> {
        let row =
            query("SELECT * FROM books WHERE one = 1").fetch_optional(self.reader()).await?.ok_or_else(missing)?;
        Ok(Books {
            seq: row.get("seq")?,
            chain: row.get("chain")?,
            attempts_before: row.get("attempts_before")?,
            calls_before: row.get("calls_before")?,
            attempts_upto: row.get("attempts_upto")?,
            calls_upto: row.get("calls_upto")?,
            folded_seq: row.get("folded_seq")?,
            folded_chain: row.get("folded_chain")?,
            folded_digest: row.get::<Option<Vec<u8>>>("folded_digest")?.as_deref().map(Digest::of_bytes),
            pruned_before: UnixMs(row.get("pruned_before")?),
            minutes_before: UnixMs(row.get("minutes_before")?),
        })
    }

    /// Attempts after the one of this number, in order, as they lie there.
    pub async fn raw_attempts_after(&self, seq: i64, limit: u32) -> Result<Vec<RawAttempt>, StoreError> {
        let sql = "SELECT * FROM attempts WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = query(sql).bind(seq).bind(i64::from(limit)).fetch_all(self.reader()).await?;
        rows.iter().map(raw_attempt).collect()
    }

    /// Attempts sent before `before` and taken over up to number `upto`, oldest first, after the one sent at `cursor` with its number.
    pub async fn old_attempts_after(
        &self,
        cursor: (i64, i64),
        before: UnixMs,
        upto: i64,
        limit: u32,
    ) -> Result<Vec<RawAttempt>, StoreError> {
        let sql = "SELECT * FROM attempts WHERE at >= $1 AND (at > $1 OR seq > $2) AND at < $3 AND seq <= $4
                   ORDER BY at, seq LIMIT $5";
        let rows = query(sql).bind(cursor.0).bind(cursor.1).bind(before.0).bind(upto).bind(i64::from(limit));
        rows.fetch_all(self.reader()).await?.iter().map(raw_attempt).collect()
    }

    /// As [`Store::old_attempts_after`], calls that ended before; what their attempts come to is left out.
    pub async fn old_calls_after(
        &self,
        cursor: (i64, i64),
        before: UnixMs,
        upto: i64,
        limit: u32,
    ) -> Result<Vec<RawCall>, StoreError> {
        let sql = "SELECT *, CAST(0 AS BIGINT) AS attempts, CAST(0 AS BIGINT) AS attempts_high, CAST(0 AS BIGINT) AS attempts_low, CAST(0 AS BIGINT) AS last_ordinal
                   FROM calls WHERE ended_at >= $1 AND (ended_at > $1 OR seq > $2) AND ended_at < $3 AND seq <= $4
                   ORDER BY ended_at, seq LIMIT $5";
        let rows = query(sql).bind(cursor.0).bind(cursor.1).bind(before.0).bind(upto).bind(i64::from(limit));
        rows.fetch_all(self.reader()).await?.iter().map(raw_call).collect()
    }

    /// Journal lines of these attempts, in order: number of the line, account, nano-dollars.
    pub async fn journal_of(&self, attempts: &[&str]) -> Result<BTreeMap<String, Vec<(i64, String, i64)>>, StoreError> {
        let mut lines: BTreeMap<String, Vec<(i64, String, i64)>> = BTreeMap::new();
        for some in attempts.chunks(NAMED_AT_ONCE) {
            let mut sql = query("SELECT attempt, line, account, amount_nano FROM journal WHERE attempt");
            sql.push_among(self.dialect(), some.iter().map(|name| (*name).to_owned()).collect());
            sql.push(" ORDER BY attempt, line");
            for row in &sql.fetch_all(self.reader()).await? {
                let line = (row.get("line")?, row.get("account")?, row.get("amount_nano")?);
                lines.entry(row.get("attempt")?).or_default().push(line);
            }
        }
        Ok(lines)
    }

    /// Calls after the one of this number, in order, each with what its attempts come to.
    pub async fn raw_calls_after(&self, seq: i64, limit: u32) -> Result<Vec<RawCall>, StoreError> {
        // An attempt's text is the call's, a dot and the ordinal; '/' follows '.' in ASCII. Ordinals from 16384 on are those
        // of corrections and settlements.
        let rows = query(
            "SELECT c.*, COUNT(a.attempt) AS attempts, CAST(COALESCE(SUM(a.cost_nano / 4294967296), 0) AS BIGINT) AS attempts_high,
                    CAST(COALESCE(SUM(a.cost_nano % 4294967296), 0) AS BIGINT) AS attempts_low,
                    CAST(COALESCE(MAX(CAST(SUBSTR(a.attempt, 33) AS INTEGER)), 0) AS BIGINT) AS last_ordinal
             FROM (SELECT * FROM calls WHERE seq > $1 ORDER BY seq LIMIT $2) AS c
             LEFT JOIN attempts AS a ON a.attempt > c.call || '.' AND a.attempt < c.call || '/'
                   AND CAST(SUBSTR(a.attempt, 33) AS INTEGER) < 16384
             GROUP BY c.seq, c.call, c.ended_at, c.workflow, c.lane, c.model, c.key, c.failed, c.cost_nano, c.call_end
             ORDER BY c.seq",
        )
        .bind(seq)
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(raw_call).collect()
    }

    /// What a table of sums holds from `hours` on (`minutes` for the width of a minute), sums of nothing left out.
    pub async fn sum_rows(&self, table: SumTable, hours: UnixMs, minutes: UnixMs) -> Result<Vec<SumRow>, StoreError> {
        let mut sql = table.select();
        sql.push(" WHERE start >= CASE WHEN width_ms = 60000 THEN $2 ELSE $1 END");
        table.rows(sql.bind(hours.0).bind(minutes.0).fetch_all(self.reader()).await?)
    }

    /// Names that refer to nothing: what is wrong, and of whom; a few of each.
    pub async fn orphans(&self, limit: u32) -> Result<Vec<(&'static str, String)>, StoreError> {
        const OF: [(&str, &str); 7] = [
            (
                "journal_orphan",
                "SELECT DISTINCT attempt FROM journal
                 WHERE NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.attempt = journal.attempt) LIMIT $1",
            ),
            (
                "intent_twice",
                "SELECT attempt FROM intents
                 WHERE EXISTS (SELECT 1 FROM attempts WHERE attempts.attempt = intents.attempt) LIMIT $1",
            ),
            (
                "body_orphan",
                "SELECT call FROM captures WHERE NOT EXISTS (SELECT 1 FROM calls WHERE calls.call = captures.call) LIMIT $1",
            ),
            (
                "attempt_unlike_call",
                "SELECT attempts.attempt FROM attempts JOIN calls ON calls.call = SUBSTR(attempts.attempt, 1, 31)
                 WHERE (attempts.key <> calls.key AND calls.key <> '')
                    OR (attempts.workflow <> calls.workflow AND calls.workflow <> '') LIMIT $1",
            ),
            (
                "sum_orphan",
                "SELECT CAST(cell AS TEXT) FROM meters
                 WHERE NOT EXISTS (SELECT 1 FROM cells WHERE cells.cell = meters.cell) LIMIT $1",
            ),
            // What all instances booked is what was booked, which is proven against the facts.
            (
                "instance_sums",
                "SELECT CASE width_ms WHEN 86400000 THEN 'day' ELSE 'hour' END || ' ' || CAST(start AS TEXT) || ', workflow [' || workflow
                     || '], key [' || key || ']: all of it less the instances'' is ' || CAST(SUM(cost) AS TEXT) || ' nano-dollars, '
                     || CAST(SUM(tokens) AS TEXT) || ' tokens'
                 FROM (SELECT width_ms, start, workflow, key, cost_nano AS cost, input_tokens + output_tokens AS tokens FROM spend
                       UNION ALL
                       SELECT width_ms, start, workflow, key, -cost_nano, -tokens FROM instance_spend) AS both_tables
                 GROUP BY width_ms, start, workflow, key HAVING SUM(cost) <> 0 OR SUM(tokens) <> 0
                 ORDER BY width_ms, start LIMIT $1",
            ),
            (
                "lease_wrong",
                "SELECT instance || ', ' || budget FROM leases
                 WHERE held < 0 OR ceiling < settled + held
                    OR NOT EXISTS (SELECT 1 FROM lease_windows WHERE lease_windows.budget = leases.budget
                                       AND lease_windows.window_start = leases.window_start)
                 ORDER BY budget, instance LIMIT $1",
            ),
        ];
        let mut found = Vec::new();
        for (what, sql) in OF {
            let names: Vec<String> = query(sql).bind(i64::from(limit)).column(self.reader()).await?;
            found.extend(names.into_iter().map(|name| (what, name)));
        }
        Ok(found)
    }

    /// Attempts sent before `before` whose call has no end, a few.
    pub async fn attempts_without_call(&self, before: UnixMs, limit: u32) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT attempt FROM attempts WHERE at < $1
                   AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.call = SUBSTR(attempts.attempt, 1, 31)) LIMIT $2";
        Ok(query(sql).bind(before.0).bind(i64::from(limit)).column(self.reader()).await?)
    }

    /// The records of those of these attempts that are there.
    pub async fn records_of(&self, attempts: &[String]) -> Result<HashMap<String, String>, StoreError> {
        self.facts_of("SELECT attempt AS name, record AS fact FROM attempts WHERE attempt", attempts).await
    }

    /// The ends of those of these calls that are there.
    pub async fn ends_of(&self, calls: &[String]) -> Result<HashMap<String, String>, StoreError> {
        self.facts_of("SELECT call AS name, call_end AS fact FROM calls WHERE call", calls).await
    }

    /// How many attempts there are of this call, what settles or corrects one left out.
    pub async fn attempts_of(&self, call: &str) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM attempts WHERE attempt > $1 || '.' AND attempt < $1 || '/'
                   AND CAST(SUBSTR(attempt, 33) AS INTEGER) < 16384";
        Ok(query(sql).bind(call.to_owned()).scalar(self.reader()).await?.unwrap_or_default())
    }

    async fn facts_of(&self, sql: &'static str, names: &[String]) -> Result<HashMap<String, String>, StoreError> {
        let mut there = HashMap::new();
        for some in names.chunks(NAMED_AT_ONCE) {
            let mut sql = query(sql);
            sql.push_among(self.dialect(), some.to_vec());
            for row in &sql.fetch_all(self.reader()).await? {
                there.insert(row.get("name")?, row.get("fact")?);
            }
        }
        Ok(there)
    }

    /// Sums what was booked before there were sums by meter; done once, when the tables are new.
    pub(crate) async fn sum_what_came_before(&self) -> Result<(), StoreError> {
        loop {
            let sql = "SELECT books.summed_upto, books.attempts_before, attempts.seq, attempt, record FROM books
                       JOIN attempts ON attempts.seq > books.summed_upto AND attempts.seq <= books.attempts_before
                       WHERE books.summed_upto < books.attempts_before ORDER BY attempts.seq LIMIT $1";
            let rows = query(sql).bind(SUMMED_AT_ONCE).fetch_all(self.writer()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            let (from, upto): (i64, i64) = (last.get("summed_upto")?, last.get("seq")?);
            let mut sums = MeterSums::default();
            for row in &rows {
                sums.add_record(&from_json::<Record>(&row.get::<String>("attempt")?, &row.get::<String>("record")?)?);
            }
            let numbered: Vec<Numbered> = self.numbered(&sums).await?;
            let mut transaction = self.begin().await?;
            let moved = query("UPDATE books SET summed_upto = $1 WHERE summed_upto = $2")
                .bind(upto)
                .bind(from)
                .execute(&mut transaction)
                .await?;
            if moved == 1 {
                meters::add(&mut transaction, &numbered).await?;
            }
            transaction.commit().await?;
        }
    }
}

fn raw_attempt(row: &Row) -> Result<RawAttempt, StoreError> {
    let mut words = <[String; 8]>::default();
    for (word, column) in words.iter_mut().zip(RawAttempt::WORDS) {
        *word = row.get(column)?;
    }
    Ok(RawAttempt {
        seq: row.get("seq")?,
        attempt: row.get("attempt")?,
        at: row.get("at")?,
        words,
        cost_nano: row.get("cost_nano")?,
        usage: row.get("usage")?,
        record: row.get("record")?,
    })
}

fn raw_call(row: &Row) -> Result<RawCall, StoreError> {
    let mut words = <[String; 4]>::default();
    for (word, column) in words.iter_mut().zip(RawCall::WORDS) {
        *word = row.get(column)?;
    }
    Ok(RawCall {
        seq: row.get("seq")?,
        call: row.get("call")?,
        ended_at: row.get("ended_at")?,
        words,
        failed: row.get("failed")?,
        cost_nano: row.get("cost_nano")?,
        call_end: row.get("call_end")?,
        attempts: row.get("attempts")?,
        attempts_nano: (i128::from(row.get::<i64>("attempts_high")?) << 32)
            + i128::from(row.get::<i64>("attempts_low")?),
        last_ordinal: row.get("last_ordinal")?,
    })
}
