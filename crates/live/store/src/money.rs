//! What reports on prices ask for: corrections, costs that providers tell otherwise, and totals that prices depend on.

use std::collections::BTreeMap;

use domain::{AttemptId, Counted, ModelName, NanoUsd, Record, UnixMs};
use ledger::provider_cost::Difference;
use sqlx::{Row, SqliteConnection};

use crate::open::{Store, StoreError, from_json, signed, to_json};
use crate::rollup::{HOUR_MS, start_of};

const INSERT_DIFFERENCES: &str = "
    INSERT INTO cost_differences (attempt, at, model, ours_nano, theirs_nano)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) WHERE true
    ON CONFLICT DO NOTHING";
// A sum stays at 9e18 instead of overflowing into a float, which a strict table would refuse.
const ADD_COUNTED: &str = "
    INSERT INTO counted (name, start, amount) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
    ON CONFLICT (name, start) DO UPDATE SET amount = MIN(amount + excluded.amount, 9000000000000000000)";

/// What a batch of records says of money beside its booked cost; mostly nothing.
#[derive(Default)]
pub(crate) struct MoneyFacts {
    differences: Vec<(String, i64, String, i64, i64)>,
    counted: BTreeMap<(String, i64), i64>,
}

/// A cost that a provider tells otherwise than it was booked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CostDifference {
    /// The attempt.
    pub attempt: String,
    /// When it was sent.
    pub at: UnixMs,
    /// The model.
    pub model: String,
    /// What we booked, and what its provider says.
    pub costs: Difference,
}

/// The costs of one model that providers tell otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DifferenceSum {
    /// How many attempts.
    pub attempts: u64,
    /// What was booked for them.
    pub ours: NanoUsd,
    /// What their provider says.
    pub theirs: NanoUsd,
}

impl MoneyFacts {
    pub fn add(&mut self, record: &Record) {
        if let Some(difference) = Difference::of(record) {
            let intent = &record.intent;
            self.differences.push((
                intent.attempt.to_string(),
                intent.at.0,
                intent.model.to_string(),
                difference.ours.0,
                difference.theirs.0,
            ));
        }
        for Counted { name, amount } in &record.counted {
            let sum = self.counted.entry((name.clone(), start_of(record.intent.at, HOUR_MS))).or_default();
            *sum = sum.saturating_add(signed(*amount)).min(crate::rollup::LARGEST_SUMMAND);
        }
    }

    pub async fn insert(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        if !self.differences.is_empty() {
            sqlx::query(INSERT_DIFFERENCES).bind(to_json(&self.differences)).execute(&mut *connection).await?;
        }
        if !self.counted.is_empty() {
            let rows: Vec<_> = self.counted.iter().map(|((name, start), amount)| (name, start, amount)).collect();
            sqlx::query(ADD_COUNTED).bind(to_json(&rows)).execute(connection).await?;
        }
        Ok(())
    }
}

impl Store {
    /// What was booked to correct attempts sent in `from..to`, in the order in which it was booked.
    pub async fn corrections(&self, from: UnixMs, to: UnixMs) -> Result<Vec<Record>, StoreError> {
        let sql =
            "SELECT attempt, record FROM attempts WHERE cause = 'correction' AND at >= ?1 AND at < ?2 ORDER BY seq";
        let rows = sqlx::query(sql).bind(from.0).bind(to.0).fetch_all(self.reader()).await?;
        rows.iter().map(|row| from_json(row.try_get("attempt")?, row.try_get("record")?)).collect()
    }

    /// Costs that providers tell otherwise, of attempts sent in `from..to`, oldest first; the first `limit`.
    pub async fn cost_differences(
        &self,
        from: UnixMs,
        to: UnixMs,
        limit: u32,
    ) -> Result<Vec<CostDifference>, StoreError> {
        let sql = "SELECT attempt, at, model, ours_nano, theirs_nano FROM cost_differences
                   WHERE at >= ?1 AND at < ?2 ORDER BY at, attempt LIMIT ?3";
        let rows = sqlx::query(sql).bind(from.0).bind(to.0).bind(i64::from(limit)).fetch_all(self.reader()).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let costs =
                Difference { ours: NanoUsd(row.try_get("ours_nano")?), theirs: NanoUsd(row.try_get("theirs_nano")?) };
            Ok(CostDifference {
                attempt: row.try_get("attempt")?,
                at: UnixMs(row.try_get("at")?),
                model: row.try_get("model")?,
                costs,
            })
        };
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
    }

    /// The same since `from`, put together by model.
    pub async fn cost_differences_by_model(&self, from: UnixMs) -> Result<BTreeMap<String, DifferenceSum>, StoreError> {
        let sql = "SELECT model, COUNT(*) AS attempts, SUM(ours_nano) AS ours, SUM(theirs_nano) AS theirs
                   FROM cost_differences WHERE at >= ?1 GROUP BY model";
        let mut sums = BTreeMap::new();
        for row in &sqlx::query(sql).bind(from.0).fetch_all(self.reader()).await? {
            let sum = DifferenceSum {
                attempts: row.try_get::<i64, _>("attempts")?.unsigned_abs(),
                ours: NanoUsd(row.try_get("ours")?),
                theirs: NanoUsd(row.try_get("theirs")?),
            };
            sums.insert(row.try_get("model")?, sum);
        }
        Ok(sums)
    }

    /// Whether an attempt is booked.
    pub async fn knows(&self, attempt: AttemptId) -> Result<bool, StoreError> {
        let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM attempts WHERE attempt = ?1")
            .bind(attempt.to_string())
            .fetch_optional(self.reader())
            .await?;
        Ok(known.is_some())
    }

    /// Records of attempts of these models sent in `from..to`, in the order they were taken over, after the one at `cursor`, each
    /// with its own cursor.
    pub async fn records_of_models(
        &self,
        cursor: u64,
        from: UnixMs,
        to: UnixMs,
        models: &[ModelName],
        limit: u32,
    ) -> Result<Vec<(u64, Record)>, StoreError> {
        // By its time: an hour is a small part of all attempts.
        let sql = "SELECT seq, attempt, record FROM attempts INDEXED BY attempts_by_time
                   WHERE at >= ?1 AND at < ?2 AND seq > ?3 AND model IN (SELECT value FROM json_each(?4))
                   ORDER BY seq LIMIT ?5";
        let names: Vec<&str> = models.iter().map(ModelName::as_str).collect();
        let rows = sqlx::query(sql)
            .bind(from.0)
            .bind(to.0)
            .bind(signed(cursor))
            .bind(to_json(&names))
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let record = from_json(row.try_get("attempt")?, row.try_get("record")?)?;
            Ok((row.try_get::<i64, _>("seq")?.unsigned_abs(), record))
        };
        rows.iter().map(read).collect()
    }

    /// What was booked of unused capacity in hours of `from..to`.
    pub async fn capacity_records(&self, from: UnixMs, to: UnixMs) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT attempt, record FROM attempts WHERE cause = 'capacity' AND at >= ?1 AND at < ?2 ORDER BY seq";
        let rows = sqlx::query(sql).bind(from.0).bind(to.0).fetch_all(self.reader()).await?;
        rows.iter().map(|row| from_json(row.try_get("attempt")?, row.try_get("record")?)).collect()
    }

    /// What was counted under a name by attempts sent since the hour of `since`.
    pub async fn counted_since(&self, name: &str, since: UnixMs) -> Result<u64, StoreError> {
        let sum: Option<i64> = sqlx::query_scalar("SELECT SUM(amount) FROM counted WHERE name = ?1 AND start >= ?2")
            .bind(name)
            .bind(start_of(since, HOUR_MS))
            .fetch_one(self.reader())
            .await?;
        Ok(sum.unwrap_or(0).unsigned_abs())
    }
}
