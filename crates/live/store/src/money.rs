//! What reports on prices ask for: corrections, costs that providers tell otherwise, and totals that prices depend on.

use std::collections::BTreeMap;

use domain::{AttemptId, Counted, ModelName, NanoUsd, Record, UnixMs};
use ledger::provider_cost::Difference;

use crate::open::{Store, StoreError, from_json, signed};
use crate::rollup::{HOUR_MS, start_of};
use crate::rows::{Again, Rows, Table};
use crate::sql::{Dialect, Row, Transaction, query};

const DIFFERENCES: Table = Table {
    into: "cost_differences (attempt, at, model, ours_nano, theirs_nano)",
    columns: 5,
    key: "attempt",
    again: Again::Nothing,
};
// A sum stays at 9e18 instead of overflowing into a float, or into an error that would stop everything behind it.
const COUNTED: Table = Table {
    into: "counted (name, start, amount)",
    columns: 3,
    key: "name, start",
    again: Again::Update(
        "amount = CASE WHEN counted.amount > 9000000000000000000 - excluded.amount
             THEN 9000000000000000000 ELSE counted.amount + excluded.amount END",
    ),
};

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

    pub async fn insert(&self, transaction: &mut Transaction) -> Result<(), StoreError> {
        let mut differences = Rows::default();
        for (attempt, at, model, ours, theirs) in &self.differences {
            differences.text(attempt.clone());
            differences.whole(*at);
            differences.text(model.clone());
            differences.whole(*ours);
            differences.whole(*theirs);
        }
        DIFFERENCES.insert(transaction, &mut differences).await?;
        let mut counted = Rows::default();
        for ((name, start), amount) in &self.counted {
            counted.text(name.clone());
            counted.whole(*start);
            counted.whole(*amount);
        }
        COUNTED.insert(transaction, &mut counted).await.map(drop)
    }
}

impl Store {
    /// What was booked to correct attempts sent in `from..to`, in the order in which it was booked.
    pub async fn corrections(&self, from: UnixMs, to: UnixMs) -> Result<Vec<Record>, StoreError> {
        let sql =
            "SELECT attempt, record FROM attempts WHERE cause = 'correction' AND at >= $1 AND at < $2 ORDER BY seq";
        let rows = query(sql).bind(from.0).bind(to.0).fetch_all(self.reader()).await?;
        rows.iter().map(|row| from_json(&row.get::<String>("attempt")?, &row.get::<String>("record")?)).collect()
    }

    /// Costs that providers tell otherwise, of attempts sent in `from..to`, oldest first; the first `limit`.
    pub async fn cost_differences(
        &self,
        from: UnixMs,
        to: UnixMs,
        limit: u32,
    ) -> Result<Vec<CostDifference>, StoreError> {
        let sql = "SELECT attempt, at, model, ours_nano, theirs_nano FROM cost_differences
                   WHERE at >= $1 AND at < $2 ORDER BY at, attempt LIMIT $3";
        let rows = query(sql).bind(from.0).bind(to.0).bind(i64::from(limit)).fetch_all(self.reader()).await?;
        let read = |row: &Row| {
            let costs = Difference { ours: NanoUsd(row.get("ours_nano")?), theirs: NanoUsd(row.get("theirs_nano")?) };
            Ok(CostDifference {
                attempt: row.get("attempt")?,
                at: UnixMs(row.get("at")?),
                model: row.get("model")?,
                costs,
            })
        };
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
    }

    /// The same since `from`, put together by model.
    pub async fn cost_differences_by_model(&self, from: UnixMs) -> Result<BTreeMap<String, DifferenceSum>, StoreError> {
        let sql = "SELECT model, COUNT(*) AS attempts, CAST(SUM(ours_nano) AS BIGINT) AS ours,
                          CAST(SUM(theirs_nano) AS BIGINT) AS theirs
                   FROM cost_differences WHERE at >= $1 GROUP BY model";
        let mut sums = BTreeMap::new();
        for row in &query(sql).bind(from.0).fetch_all(self.reader()).await? {
            let sum = DifferenceSum {
                attempts: row.get::<i64>("attempts")?.unsigned_abs(),
                ours: NanoUsd(row.get("ours")?),
                theirs: NanoUsd(row.get("theirs")?),
            };
            sums.insert(row.get("model")?, sum);
        }
        Ok(sums)
    }

    /// Whether an attempt is booked.
    pub async fn knows(&self, attempt: AttemptId) -> Result<bool, StoreError> {
        let sql = "SELECT seq FROM attempts WHERE attempt = $1";
        let known: Option<i64> = query(sql).bind(attempt.to_string()).scalar(self.reader()).await?;
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
        let mut statement = query("SELECT seq, attempt, record FROM attempts");
        // By its time: an hour is a small part of all attempts.
        if self.dialect() == Dialect::Sqlite {
            statement.push(" INDEXED BY attempts_by_time");
        }
        statement.push(" WHERE at >= ").push_bind(from.0).push(" AND at < ").push_bind(to.0);
        statement.push(" AND seq > ").push_bind(signed(cursor)).push(" AND model");
        let names = models.iter().map(ModelName::to_string).collect();
        statement.push_among(self.dialect(), names).push(" ORDER BY seq LIMIT ").push_bind(i64::from(limit));
        let rows = statement.fetch_all(self.reader()).await?;
        let read = |row: &Row| {
            let record = from_json(&row.get::<String>("attempt")?, &row.get::<String>("record")?)?;
            Ok((row.get::<i64>("seq")?.unsigned_abs(), record))
        };
        rows.iter().map(read).collect()
    }

    /// What was booked of unused capacity in hours of `from..to`.
    pub async fn capacity_records(&self, from: UnixMs, to: UnixMs) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT attempt, record FROM attempts WHERE cause = 'capacity' AND at >= $1 AND at < $2 ORDER BY seq";
        let rows = query(sql).bind(from.0).bind(to.0).fetch_all(self.reader()).await?;
        rows.iter().map(|row| from_json(&row.get::<String>("attempt")?, &row.get::<String>("record")?)).collect()
    }

    /// What was counted under a name by attempts sent since the hour of `since`.
    pub async fn counted_since(&self, name: &str, since: UnixMs) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM counted WHERE name = $1 AND start >= $2";
        let sum: Option<i64> = query(sql).bind(name).bind(start_of(since, HOUR_MS)).scalar(self.reader()).await?;
        Ok(sum.unwrap_or(0).unsigned_abs())
    }
}
