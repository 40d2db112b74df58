//! Calls and attempts one by one: lists, a call with everything known of it, the live tail, the ledger row by row.

use domain::{CallEnd, CallId, Entry, Intent, NanoUsd, Record, UnixMs};

use crate::open::{Store, StoreError, from_json, signed};
use crate::sql::{Row, Statement, query};

/// Which calls. An empty name asks for calls without one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CallQuery {
    /// Only this workflow.
    pub workflow: Option<String>,
    /// Only this lane.
    pub lane: Option<String>,
    /// Only this model.
    pub model: Option<String>,
    /// Only this key.
    pub key: Option<String>,
    /// Only the failed ones, or only the others.
    pub failed: Option<bool>,
}

/// A call with everything kept of it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredCall {
    /// Its end, with the captured bodies while they may be shown; absent while it is in flight.
    pub end: Option<CallEnd>,
    /// Records, and intents that have none yet, in the order of the attempts.
    pub entries: Vec<Entry>,
    /// Account and amount.
    pub journal: Vec<(String, NanoUsd)>,
}

impl Store {
    /// Calls that ended, newest first; with `before`, only those that ended before that one.
    pub async fn calls(
        &self,
        query: &CallQuery,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<CallEnd>, StoreError> {
        let mut sql = crate::sql::query("SELECT call, call_end FROM calls WHERE true");
        narrow(&mut sql, query);
        if let Some(before) = before {
            sql.push(" AND seq < (SELECT seq FROM calls WHERE call = ").push_bind(before.to_string()).push(")");
        }
        sql.push(" ORDER BY seq DESC LIMIT ").push_bind(i64::from(limit));
        let rows = sql.fetch_all(self.reader()).await?;
        rows.iter().map(call_end).collect()
    }

    /// Calls taken over after the one at `cursor`, oldest first, each with its own cursor.
    pub async fn calls_after(
        &self,
        cursor: u64,
        query: &CallQuery,
        limit: u32,
    ) -> Result<Vec<(u64, CallEnd)>, StoreError> {
        let mut sql = crate::sql::query("SELECT seq, call, call_end FROM calls WHERE seq > ");
        sql.push_bind(signed(cursor));
        narrow(&mut sql, query);
        sql.push(" ORDER BY seq LIMIT ").push_bind(i64::from(limit));
        let rows = sql.fetch_all(self.reader()).await?;
        rows.iter().map(|row| Ok((row.get::<i64>("seq")?.unsigned_abs(), call_end(row)?))).collect()
    }

    /// The cursor of the newest call; zero where there is none.
    pub async fn newest_call(&self) -> Result<u64, StoreError> {
        let newest: Option<Option<i64>> = query("SELECT MAX(seq) FROM calls").scalar(self.reader()).await?;
        Ok(newest.flatten().unwrap_or(0).unsigned_abs())
    }

    /// A call with its attempts and journal; absent where nothing is known of it. Bodies whose time is up stay hidden,
    /// whether or not they were erased yet.
    pub async fn call(&self, call: CallId, now: UnixMs) -> Result<Option<StoredCall>, StoreError> {
        let id = call.to_string();
        let end =
            query("SELECT call, call_end FROM calls WHERE call = $1").bind(&id).fetch_optional(self.reader()).await?;
        let mut end = end.as_ref().map(call_end).transpose()?;
        if let Some(end) = &mut end {
            let capture: Option<String> = query("SELECT capture FROM captures WHERE call = $1 AND until > $2")
                .bind(&id)
                .bind(now.0)
                .scalar(self.reader())
                .await?;
            end.capture = capture.map(|text| from_json(&id, &text)).transpose()?;
        }
        // An attempt's text is the call's, a dot and the ordinal; '/' follows '.' in ASCII.
        let (first, last) = (format!("{id}."), format!("{id}/"));
        let records: Vec<String> = query("SELECT record FROM attempts WHERE attempt > $1 AND attempt < $2")
            .bind(&first)
            .bind(&last)
            .column(self.reader())
            .await?;
        let intents: Vec<String> = query("SELECT intent FROM intents WHERE attempt > $1 AND attempt < $2")
            .bind(&first)
            .bind(&last)
            .column(self.reader())
            .await?;
        let mut entries = Vec::with_capacity(records.len() + intents.len());
        for text in &records {
            entries.push(Entry::Record(Box::new(from_json::<Record>(&id, text)?)));
        }
        for text in &intents {
            entries.push(Entry::Intent(from_json::<Intent>(&id, text)?));
        }
        entries.sort_by_key(|entry| match entry {
            Entry::Record(record) => record.intent.attempt.ordinal,
            Entry::Intent(intent) => intent.attempt.ordinal,
            Entry::Call(_) => u16::MAX,
        });
        if end.is_none() && entries.is_empty() {
            return Ok(None);
        }
        let journal = query(
            "SELECT account, amount_nano FROM journal WHERE attempt > $1 AND attempt < $2 ORDER BY attempt, line",
        )
        .bind(&first)
        .bind(&last)
        .fetch_all(self.reader())
        .await?;
        let journal = journal
            .iter()
            .map(|row| Ok((row.get("account")?, NanoUsd(row.get("amount_nano")?))))
            .collect::<Result<_, sqlx::Error>>()?;
        Ok(Some(StoredCall { end, entries, journal }))
    }

    /// Records of attempts sent in `from..to`, in the order they were taken over, after the one at `cursor` (zero for
    /// the beginning), each with its own cursor. Asked again with the last cursor until nothing comes, it gives the
    /// whole ledger without ever holding it.
    pub async fn records_after(
        &self,
        cursor: u64,
        from: UnixMs,
        to: UnixMs,
        limit: u32,
    ) -> Result<Vec<(u64, Record)>, StoreError> {
        let rows = query(
            "SELECT seq, attempt, record FROM attempts WHERE seq > $1 AND at >= $2 AND at < $3 ORDER BY seq LIMIT $4",
        )
        .bind(signed(cursor))
        .bind(from.0)
        .bind(to.0)
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                let record = from_json(&row.get::<String>("attempt")?, &row.get::<String>("record")?)?;
                Ok((row.get::<i64>("seq")?.unsigned_abs(), record))
            })
            .collect()
    }
}

fn narrow(sql: &mut Statement, query: &CallQuery) {
    if let Some(workflow) = &query.workflow {
        sql.push(" AND workflow = ").push_bind(workflow.clone());
    }
    if let Some(lane) = &query.lane {
        sql.push(" AND lane = ").push_bind(lane.clone());
    }
    if let Some(model) = &query.model {
        sql.push(" AND model = ").push_bind(model.clone());
    }
    if let Some(key) = &query.key {
        sql.push(" AND key = ").push_bind(key.clone());
    }
    match query.failed {
        // Written out, because a partial index serves a literal only.
        Some(true) => sql.push(" AND failed = 1"),
        Some(false) => sql.push(" AND failed = 0"),
        None => sql,
    };
}

fn call_end(row: &Row) -> Result<CallEnd, StoreError> {
    from_json(&row.get::<String>("call")?, &row.get::<String>("call_end")?)
}
