//! Takes over what the spool holds: one transaction per batch, and nothing twice, however often it is offered.
//!
//! Rows go in many to a statement (`rows.rs`); sums are added up in memory first, so that each is one row of a batch.

use std::collections::{BTreeMap, HashSet};

use domain::{AttemptEnd, CallEnd, CallId, Cost, Entry, Intent, Record};
use rustc_hash::FxHashSet;

use crate::cache::CacheFacts;
use crate::chain::{Link, Seal};
use crate::meters::{self, MeterSums};
use crate::money::MoneyFacts;
use crate::open::{Store, StoreError, signed, to_json};
use crate::rollup::{Sums, text};
use crate::rows::{Again, Rows, Table};
use crate::sql::{Dialect, Transaction, query};

/// What was read from one segment since the last time.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// File name of the segment, without its folder.
    pub segment: String,
    /// Up to which byte of it these entries reach.
    pub upto_offset: u64,
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// The JSON of each as its line has it, which is kept as it is; for entries that came from no line, none.
    pub written: Vec<String>,
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
    into: "attempts (attempt, at, workflow, lane, model, provider, key, cause, end_kind, cost_kind, cost_nano, usage, record, instance)",
    columns: 14,
    key: "attempt",
    again: Again::Nothing,
};
const CALLS: Table = Table {
    into: "calls (call, ended_at, workflow, lane, model, key, failed, cost_nano, call_end)",
    columns: 9,
    key: "call",
    again: Again::Nothing,
};
const JOURNAL: Table = Table {
    into: "journal (attempt, line, account, amount_nano)",
    columns: 4,
    key: "attempt, line",
    again: Again::Nothing,
};
const CAPTURES: Table =
    Table { into: "captures (call, until, capture)", columns: 3, key: "call", again: Again::Nothing };
const INTENTS: Table =
    Table { into: "intents (attempt, at, intent, instance)", columns: 4, key: "attempt", again: Again::Nothing };
// A sum stays at 9e18 instead of overflowing into a float, or into an error that would stop everything behind it.
const SPEND: Table = Table {
    into: "spend (width_ms, start, workflow, lane, model, key,
                  attempts, cost_nano, input_tokens, output_tokens, unpriced, indeterminate)",
    columns: 12,
    key: "width_ms, start, workflow, lane, model, key",
    again: Again::Update(
        "attempts = spend.attempts + excluded.attempts,
         cost_nano = CASE WHEN spend.cost_nano > 9000000000000000000 - excluded.cost_nano
             THEN 9000000000000000000 ELSE spend.cost_nano + excluded.cost_nano END,
         input_tokens = CASE WHEN spend.input_tokens > 9000000000000000000 - excluded.input_tokens
             THEN 9000000000000000000 ELSE spend.input_tokens + excluded.input_tokens END,
         output_tokens = CASE WHEN spend.output_tokens > 9000000000000000000 - excluded.output_tokens
             THEN 9000000000000000000 ELSE spend.output_tokens + excluded.output_tokens END,
         unpriced = spend.unpriced + excluded.unpriced,
         indeterminate = spend.indeterminate + excluded.indeterminate",
    ),
};
const INSTANCE_SPEND: Table = Table {
    into: "instance_spend (width_ms, start, instance, workflow, key, cost_nano, tokens)",
    columns: 7,
    key: "width_ms, start, instance, workflow, key",
    again: Again::Update(
        "cost_nano = CASE WHEN instance_spend.cost_nano > 9000000000000000000 - excluded.cost_nano
             THEN 9000000000000000000 ELSE instance_spend.cost_nano + excluded.cost_nano END,
         tokens = CASE WHEN instance_spend.tokens > 9000000000000000000 - excluded.tokens
             THEN 9000000000000000000 ELSE instance_spend.tokens + excluded.tokens END",
    ),
};
const TRAFFIC: Table = Table {
    into: "traffic (width_ms, start, workflow, lane, model, key, calls, errors, cost_nano)",
    columns: 9,
    key: "width_ms, start, workflow, lane, model, key",
    again: Again::Update(
        "calls = traffic.calls + excluded.calls,
         errors = traffic.errors + excluded.errors,
         cost_nano = CASE WHEN traffic.cost_nano > 9000000000000000000 - excluded.cost_nano
             THEN 9000000000000000000 ELSE traffic.cost_nano + excluded.cost_nano END",
    ),
};
const FIRST_TOKENS: Table = Table {
    into: "first_tokens (width_ms, start, workflow, lane, model, bucket, calls)",
    columns: 7,
    key: "width_ms, start, workflow, lane, model, bucket",
    again: Again::Update("calls = first_tokens.calls + excluded.calls"),
};
const KEY_USE: Table = Table {
    into: "key_use (key, last_used_at)",
    columns: 2,
    key: "key",
    again: Again::Update(
        "last_used_at = CASE WHEN key_use.last_used_at > excluded.last_used_at
             THEN key_use.last_used_at ELSE excluded.last_used_at END",
    ),
};
const SEGMENTS: &str =
    "SELECT name, upto_offset, corrupt_lines, corrupt_offset FROM segments WHERE instance = $1 ORDER BY name";
const MOVE_SEGMENT: &str = "
    INSERT INTO segments (name, upto_offset, corrupt_lines, corrupt_offset, instance) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (instance, name) DO UPDATE SET
        upto_offset = excluded.upto_offset,
        corrupt_lines = segments.corrupt_lines + excluded.corrupt_lines,
        corrupt_offset = COALESCE(segments.corrupt_offset, excluded.corrupt_offset)";

impl Store {
    /// Takes over a batch: all of it, or, on an error, nothing. A batch that reaches no further into its segment than
    /// the store has read already changes nothing; neither does an attempt or call that is known.
    pub async fn ingest(&self, batch: Batch) -> Result<Ingested, StoreError> {
        let Batch { segment, upto_offset, entries, written, corrupt_lines, corrupt_offset } = batch;
        let segment = SegmentState { name: segment, upto_offset, corrupt_lines, corrupt_offset };
        self.take_over(entries, written, Some(&segment)).await
    }

    /// Takes over facts that come from no segment, such as what recovery concludes.
    pub async fn record(&self, entries: Vec<Entry>) -> Result<Ingested, StoreError> {
        self.take_over(entries, Vec::new(), None).await
    }

    /// Books what is new, and moves `segment`, in one transaction.
    async fn take_over(
        &self,
        entries: Vec<Entry>,
        written: Vec<String>,
        segment: Option<&SegmentState>,
    ) -> Result<Ingested, StoreError> {
        // Writing a thousand entries as JSON takes milliseconds that no call should wait for.
        let instance = self.instance().to_owned();
        let (mut entries, mut facts) = tokio::task::spawn_blocking(move || {
            let facts = Facts::of(&entries, written, instance);
            (entries, facts)
        })
        .await
        .expect("turning plain data into JSON does not panic");
        let mut repeated = 0;
        loop {
            let meters = self.numbered(&facts.meters).await?;
            let mut transaction = self.begin_taking_over().await?;
            let mut link = Link::begin(&mut transaction).await?;
            if let Some(segment) = segment {
                let reached = reached(&mut transaction, self.instance(), segment).await?;
                if reached.is_some_and(|reached| reached >= signed(segment.upto_offset)) {
                    repeated += entries.iter().filter(|entry| is_fact(entry)).count() as u64;
                    return Ok(Ingested { fresh: Vec::new(), repeated });
                }
                link.of(&self.name_in_books(&segment.name), reached.unwrap_or(0), signed(segment.upto_offset));
            }
            if self.dialect() == Dialect::Postgres {
                crate::postgres::make_days(&mut transaction, entries.iter().filter_map(call_of)).await?;
            }
            let attempts = ATTEMPTS.insert(&mut transaction, &mut facts.attempts).await?;
            let calls = CALLS.insert(&mut transaction, &mut facts.calls).await?;
            if attempts && calls {
                finish(&mut transaction, &mut facts, segment).await?;
                meters::add(&mut transaction, &meters).await?;
                link.close(&mut transaction, &facts.seal).await?;
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
            facts = Facts::of(&entries, Vec::new(), self.instance().to_owned());
        }
    }

    /// Which of these attempts and calls the store has.
    async fn known(&self, entries: &[Entry]) -> Result<HashSet<String>, StoreError> {
        let names: Vec<String> = entries.iter().filter_map(fact_name).collect();
        let mut statement = query("SELECT attempt FROM attempts WHERE attempt");
        statement.push_among(self.dialect(), names.clone());
        statement.push(" UNION ALL SELECT call FROM calls WHERE call").push_among(self.dialect(), names);
        let known: Vec<String> = statement.column(self.writer()).await?;
        Ok(known.into_iter().collect())
    }

    /// Attempts of this instance that were about to be sent and left no record, oldest first.
    pub async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        let sql = "SELECT attempt, intent FROM intents WHERE instance = $1 ORDER BY attempt";
        let rows = query(sql).bind(self.instance()).fetch_all(self.reader()).await?;
        rows.iter()
            .map(|row| crate::open::from_json(&row.get::<String>("attempt")?, &row.get::<String>("intent")?))
            .collect()
    }

    /// How far each known segment of this instance was taken over, in the order of their names.
    pub async fn segments(&self) -> Result<Vec<SegmentState>, StoreError> {
        let rows = query(SEGMENTS).bind(self.instance()).fetch_all(self.reader()).await?;
        rows.iter()
            .map(|row| {
                Ok(SegmentState {
                    name: row.get("name")?,
                    upto_offset: row.get::<i64>("upto_offset")?.unsigned_abs(),
                    corrupt_lines: row.get::<i64>("corrupt_lines")?.unsigned_abs(),
                    corrupt_offset: row.get::<Option<i64>>("corrupt_offset")?.map(i64::unsigned_abs),
                })
            })
            .collect()
    }

    /// Forgets a segment whose file is gone.
    pub async fn forget_segment(&self, name: &str) -> Result<(), StoreError> {
        query("DELETE FROM segments WHERE instance = $1 AND name = $2")
            .bind(self.instance())
            .bind(name)
            .execute(self.writer())
            .await?;
        Ok(())
    }
}

/// What a batch comes to: rows, and sums. Built before the transaction, so that the write lock is held no longer than
/// needed.
#[derive(Default)]
struct Facts {
    instance: String,
    attempts: Rows,
    calls: Rows,
    journal: Rows,
    captures: Rows,
    intents: Rows,
    /// The attempts of these.
    begun: Vec<String>,
    /// Attempts that ended, whose intents are open no more.
    ended: Vec<String>,
    sums: Sums,
    meters: MeterSums,
    seal: Seal,
    money: MoneyFacts,
    cache: CacheFacts,
}

impl Facts {
    fn of(entries: &[Entry], written: Vec<String>, instance: String) -> Facts {
        let ended: FxHashSet<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Record(record) => Some(record.intent.attempt),
                Entry::Intent(_) | Entry::Call(_) => None,
            })
            .collect();
        let mut facts = Facts { instance, ..Facts::default() };
        let written = written.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        for (entry, written) in entries.iter().zip(written) {
            match entry {
                // Most intents meet their record in the same batch and never touch the disk.
                Entry::Intent(intent) if ended.contains(&intent.attempt) => {}
                Entry::Intent(intent) => {
                    let attempt = intent.attempt.to_string();
                    facts.intents.text(attempt.clone());
                    facts.intents.whole(intent.at.0);
                    facts.intents.text(to_json(intent));
                    facts.intents.text(facts.instance.clone());
                    facts.begun.push(attempt);
                }
                Entry::Record(record) => facts.push_record(record, written),
                Entry::Call(call) => facts.push_call(call, written),
            }
        }
        facts
    }

    fn push_record(&mut self, record: &Record, written: Option<String>) {
        let attempt = record.intent.attempt.to_string();
        let text = written.unwrap_or_else(|| to_json(record));
        self.seal.attempt(&text);
        push_attempt(&mut self.attempts, &attempt, record, text);
        self.attempts.text(self.instance.clone());
        for (line, entry) in ledger::journal::entries(record).into_iter().enumerate() {
            self.journal.text(attempt.clone());
            self.journal.whole(line as i64);
            self.journal.text(entry.account);
            self.journal.whole(entry.amount.0);
        }
        self.sums.add_record(record);
        self.meters.add_record(record);
        self.money.add(record);
        self.ended.push(attempt);
    }

    fn push_call(&mut self, call: &CallEnd, written: Option<String>) {
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
        let end = match &call.capture {
            None => written.unwrap_or_else(|| to_json(call)),
            Some(_) => to_json(&CallEnd { capture: None, ..call.clone() }),
        };
        self.seal.call(&end);
        rows.text(end);
        self.sums.add_call(call);
        self.cache.add(call);
    }
}

fn push_attempt(rows: &mut Rows, attempt: &str, record: &Record, text_of_record: String) {
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
    rows.text(text_of_record);
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

/// The call an entry belongs to, where it becomes a row of a day.
fn call_of(entry: &Entry) -> Option<CallId> {
    match entry {
        Entry::Intent(_) => None,
        Entry::Record(record) => Some(record.intent.attempt.call),
        Entry::Call(call) => Some(call.call),
    }
}

/// The entries without facts that are known, and without the repetitions among them.
fn new_ones(entries: Vec<Entry>, known: &HashSet<String>) -> Vec<Entry> {
    let mut met = HashSet::new();
    // Intents stay: `open_intents` looks for their records.
    let mut is_new = |entry: &Entry| fact_name(entry).is_none_or(|name| !known.contains(&name) && met.insert(name));
    entries.into_iter().filter(|entry| is_new(entry)).collect()
}

/// How far the store has read this segment of an instance.
async fn reached(
    transaction: &mut Transaction,
    instance: &str,
    segment: &SegmentState,
) -> Result<Option<i64>, StoreError> {
    let reached =
        query("SELECT upto_offset FROM segments WHERE instance = $1 AND name = $2").bind(instance).bind(&segment.name);
    Ok(reached.scalar(transaction).await?)
}

async fn finish(
    transaction: &mut Transaction,
    facts: &mut Facts,
    segment: Option<&SegmentState>,
) -> Result<(), StoreError> {
    JOURNAL.insert(transaction, &mut facts.journal).await?;
    CAPTURES.insert(transaction, &mut facts.captures).await?;
    open_intents(transaction, facts).await?;
    add_sums(transaction, &facts.sums, &facts.instance).await?;
    facts.money.insert(transaction).await?;
    facts.cache.insert(transaction).await?;
    if let Some(segment) = segment {
        query(MOVE_SEGMENT)
            .bind(&segment.name)
            .bind(signed(segment.upto_offset))
            .bind(signed(segment.corrupt_lines))
            .bind(segment.corrupt_offset.map(signed))
            .bind(&facts.instance)
            .execute(transaction)
            .await?;
    }
    Ok(())
}

/// Remembers the intents whose records have not come, and forgets those whose have.
async fn open_intents(transaction: &mut Transaction, facts: &mut Facts) -> Result<(), StoreError> {
    let dialect = transaction.dialect();
    if !facts.begun.is_empty() {
        INTENTS.insert(transaction, &mut facts.intents).await?;
        // Offered again after a kill, one may have its record already.
        let mut known = query("DELETE FROM intents WHERE attempt");
        known.push_among(dialect, std::mem::take(&mut facts.begun));
        known.push(" AND EXISTS (SELECT 1 FROM attempts WHERE attempts.attempt = intents.attempt)");
        known.execute(&mut *transaction).await?;
    }
    if !facts.ended.is_empty() {
        let mut ended = query("DELETE FROM intents WHERE attempt");
        ended.push_among(dialect, std::mem::take(&mut facts.ended));
        ended.execute(transaction).await?;
    }
    Ok(())
}

async fn add_sums(transaction: &mut Transaction, sums: &Sums, instance: &str) -> Result<(), StoreError> {
    let mut rows = Rows::default();
    let mut own: BTreeMap<(i64, i64, String, String), (i64, i64)> = BTreeMap::new();
    for ((width, start, workflow, lane, model, key), sum) in sums.spend() {
        let (cost, tokens) = own.entry((width, start, workflow.clone(), key.clone())).or_default();
        *cost = cost.saturating_add(sum.cost_nano);
        *tokens = tokens.saturating_add(sum.input_tokens).saturating_add(sum.output_tokens);

        rows.whole(width);
        rows.whole(start);
        [workflow, lane, model, key].into_iter().for_each(|name| rows.text(name));
        let counts =
            [sum.attempts, sum.cost_nano, sum.input_tokens, sum.output_tokens, sum.unpriced, sum.indeterminate];
        counts.into_iter().for_each(|count| rows.whole(count));
    }
    SPEND.insert(transaction, &mut rows).await?;
    for ((width, start, workflow, key), (cost, tokens)) in own {
        rows.whole(width);
        rows.whole(start);
        [instance.to_owned(), workflow, key].into_iter().for_each(|name| rows.text(name));
        rows.whole(cost);
        rows.whole(tokens);
    }
    INSTANCE_SPEND.insert(transaction, &mut rows).await?;
    for ((width, start, workflow, lane, model, key), sum) in sums.traffic() {
        rows.whole(width);
        rows.whole(start);
        [workflow, lane, model, key].into_iter().for_each(|name| rows.text(name));
        [sum.calls, sum.errors, sum.cost_nano].into_iter().for_each(|count| rows.whole(count));
    }
    TRAFFIC.insert(transaction, &mut rows).await?;
    for ((width, start, workflow, lane, model, bucket), calls) in sums.first_tokens() {
        rows.whole(width);
        rows.whole(start);
        [workflow, lane, model].into_iter().for_each(|name| rows.text(name));
        rows.whole(i64::from(bucket));
        rows.whole(calls);
    }
    FIRST_TOKENS.insert(transaction, &mut rows).await?;
    for (key, at) in sums.last_used() {
        rows.text(key);
        rows.whole(at);
    }
    KEY_USE.insert(transaction, &mut rows).await?;
    Ok(())
}
