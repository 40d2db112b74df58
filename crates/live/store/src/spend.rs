//! What was spent and how it went, from the sums: a page reads days and minutes, never calls.

use std::collections::BTreeMap;

use domain::{KeyId, NanoUsd, UnixMs, WorkflowName};

use crate::open::{Store, StoreError};
use crate::rollup::{DAY_MS, HOUR_MS, percentile_ms, start_of};
use crate::sql::{Statement, query};

/// Whose budget.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// A workflow's.
    Workflow(WorkflowName),
    /// A key's.
    Key(KeyId),
}

/// What spend is split by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dimension {
    /// By workflow; empty for calls that named a lane or model.
    Workflow,
    /// By lane; empty where a model was named, or none was reached.
    Lane,
    /// By model.
    Model,
    /// By key.
    Key,
}

/// Spend and traffic of one workflow, lane, model or key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpendRow {
    /// Booked since the start of the day.
    pub today: NanoUsd,
    /// Booked since the start of the month.
    pub month: NanoUsd,
    /// Calls that ended today.
    pub calls_today: u64,
    /// Of these, how many failed by anybody's fault but the client's.
    pub errors_today: u64,
    /// Attempts today that consumed something nobody could price.
    pub unpriced_today: u64,
    /// Attempts today that were in flight when Freehold was killed.
    pub indeterminate_today: u64,
}

/// Whose traffic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TrafficScope {
    /// Everybody's.
    All,
    /// One workflow's; empty for calls that named a lane or model.
    Workflow(String),
    /// One lane's.
    Lane(String),
}

/// A minute or an hour of traffic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrafficPoint {
    /// When it began.
    pub start: UnixMs,
    /// Calls that ended in it.
    pub calls: u64,
    /// Of these, how many failed by anybody's fault but the client's.
    pub errors: u64,
    /// What their attempts booked.
    pub cost: NanoUsd,
    /// Median time to the first content, within a sixteenth.
    pub first_token_p50_ms: Option<u64>,
    /// 95th percentile, within a sixteenth.
    pub first_token_p95_ms: Option<u64>,
}

impl Store {
    /// What was booked for a scope on attempts sent since `since`, which is the start of an hour or, to be read from
    /// fewer rows, of a day; any other time counts from the start of its hour.
    pub async fn spent_since(&self, scope: &Scope, since: UnixMs) -> Result<NanoUsd, StoreError> {
        let width = if since.0.rem_euclid(DAY_MS) == 0 { DAY_MS } else { HOUR_MS };
        let (sql, name) = match scope {
            Scope::Workflow(name) => (
                "SELECT CAST(SUM(cost_nano) AS BIGINT) FROM spend WHERE width_ms = $1 AND start >= $2 AND workflow = $3",
                name.as_str().to_owned(),
            ),
            Scope::Key(id) => (
                "SELECT CAST(SUM(cost_nano) AS BIGINT) FROM spend WHERE width_ms = $1 AND start >= $2 AND key = $3",
                id.to_string(),
            ),
        };
        let sum: Option<Option<i64>> =
            query(sql).bind(width).bind(start_of(since, width)).bind(name).scalar(self.reader()).await?;
        Ok(NanoUsd(sum.flatten().unwrap_or(0)))
    }

    /// What was booked on attempts sent in `from..to`, both starts of a day.
    pub async fn booked_between(&self, from: UnixMs, to: UnixMs) -> Result<NanoUsd, StoreError> {
        let sql = "SELECT CAST(COALESCE(SUM(cost_nano), 0) AS BIGINT) FROM spend
                   WHERE width_ms = $1 AND start >= $2 AND start < $3";
        let sum: Option<i64> = query(sql).bind(DAY_MS).bind(from.0).bind(to.0).scalar(self.reader()).await?;
        Ok(NanoUsd(sum.unwrap_or(0)))
    }

    /// Spend of the month and traffic of the day, split. Both times are starts of a day.
    pub async fn spend_by(
        &self,
        dimension: Dimension,
        day_start: UnixMs,
        month_start: UnixMs,
    ) -> Result<BTreeMap<String, SpendRow>, StoreError> {
        let (spend, traffic) = split_by(dimension);
        let mut rows: BTreeMap<String, SpendRow> = BTreeMap::new();
        let found = query(spend).bind(DAY_MS).bind(month_start.0).bind(day_start.0).fetch_all(self.reader()).await?;
        for row in &found {
            let of = rows.entry(row.get("name")?).or_default();
            of.month = NanoUsd(row.get("month")?);
            of.today = NanoUsd(row.get("today")?);
            of.unpriced_today = row.count("unpriced")?;
            of.indeterminate_today = row.count("indeterminate")?;
        }
        let found = query(traffic).bind(DAY_MS).bind(day_start.0).fetch_all(self.reader()).await?;
        for row in &found {
            let of = rows.entry(row.get("name")?).or_default();
            of.calls_today = row.count("calls")?;
            of.errors_today = row.count("errors")?;
        }
        Ok(rows)
    }

    /// Traffic from `from` on in points of `width_ms` (a minute, an hour, a day), oldest first, without the empty ones.
    pub async fn traffic(
        &self,
        scope: &TrafficScope,
        width_ms: i64,
        from: UnixMs,
    ) -> Result<Vec<TrafficPoint>, StoreError> {
        let mut sums = query(
            "SELECT '' AS name, start, CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(errors) AS BIGINT) AS errors, CAST(SUM(cost_nano) AS BIGINT) AS cost FROM traffic",
        );
        narrow(&mut sums, scope, width_ms, from);
        sums.push(" GROUP BY start");
        let mut buckets =
            query("SELECT '' AS name, start, bucket, CAST(SUM(calls) AS BIGINT) AS calls FROM first_tokens");
        narrow(&mut buckets, scope, width_ms, from);
        buckets.push(" GROUP BY start, bucket ORDER BY start, bucket");
        Ok(self.points(sums, buckets).await?.remove("").unwrap_or_default())
    }

    /// The same for every workflow at once.
    pub async fn traffic_by_workflow(
        &self,
        width_ms: i64,
        from: UnixMs,
    ) -> Result<BTreeMap<String, Vec<TrafficPoint>>, StoreError> {
        let mut sums = query(
            "SELECT workflow AS name, start, CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(errors) AS BIGINT) AS errors, CAST(SUM(cost_nano) AS BIGINT) AS cost FROM traffic",
        );
        narrow(&mut sums, &TrafficScope::All, width_ms, from);
        sums.push(" GROUP BY workflow, start");
        let mut buckets =
            query("SELECT workflow AS name, start, bucket, CAST(SUM(calls) AS BIGINT) AS calls FROM first_tokens");
        narrow(&mut buckets, &TrafficScope::All, width_ms, from);
        buckets.push(" GROUP BY workflow, start, bucket ORDER BY workflow, start, bucket");
        self.points(sums, buckets).await
    }

    async fn points(
        &self,
        sums: Statement,
        buckets: Statement,
    ) -> Result<BTreeMap<String, Vec<TrafficPoint>>, StoreError> {
        let mut points: BTreeMap<(String, i64), TrafficPoint> = BTreeMap::new();
        for row in &sums.fetch_all(self.reader()).await? {
            let start = row.get("start")?;
            let point = points.entry((row.get("name")?, start)).or_default();
            point.start = UnixMs(start);
            point.calls = row.count("calls")?;
            point.errors = row.count("errors")?;
            point.cost = NanoUsd(row.get("cost")?);
        }
        let mut counted: BTreeMap<(String, i64), Vec<(u32, u64)>> = BTreeMap::new();
        for row in &buckets.fetch_all(self.reader()).await? {
            let key = (row.get("name")?, row.get("start")?);
            counted.entry(key).or_default().push((row.count("bucket")? as u32, row.count("calls")?));
        }
        let mut by_name: BTreeMap<String, Vec<TrafficPoint>> = BTreeMap::new();
        for (key, mut point) in points {
            if let Some(counts) = counted.get(&key) {
                point.first_token_p50_ms = percentile_ms(counts, 50);
                point.first_token_p95_ms = percentile_ms(counts, 95);
            }
            by_name.entry(key.0).or_default().push(point);
        }
        Ok(by_name)
    }
}

/// The two statements for one split: a column cannot be a parameter, so each is written out.
fn split_by(dimension: Dimension) -> (&'static str, &'static str) {
    macro_rules! statements {
        ($column:literal) => {
            (
                concat!(
                    "SELECT ",
                    $column,
                    " AS name, CAST(SUM(cost_nano) AS BIGINT) AS month, ",
                    "CAST(SUM(CASE WHEN start >= $3 THEN cost_nano ELSE 0 END) AS BIGINT) AS today, ",
                    "CAST(SUM(CASE WHEN start >= $3 THEN unpriced ELSE 0 END) AS BIGINT) AS unpriced, ",
                    "CAST(SUM(CASE WHEN start >= $3 THEN indeterminate ELSE 0 END) AS BIGINT) AS indeterminate ",
                    "FROM spend WHERE width_ms = $1 AND start >= $2 GROUP BY ",
                    $column
                ),
                concat!(
                    "SELECT ",
                    $column,
                    " AS name, CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(errors) AS BIGINT) AS errors ",
                    "FROM traffic WHERE width_ms = $1 AND start >= $2 GROUP BY ",
                    $column
                ),
            )
        };
    }
    match dimension {
        Dimension::Workflow => statements!("workflow"),
        Dimension::Lane => statements!("lane"),
        Dimension::Model => statements!("model"),
        Dimension::Key => statements!("key"),
    }
}

fn narrow(sql: &mut Statement, scope: &TrafficScope, width_ms: i64, from: UnixMs) {
    sql.push(" WHERE width_ms = ").push_bind(width_ms).push(" AND start >= ").push_bind(start_of(from, width_ms));
    match scope {
        TrafficScope::All => {}
        TrafficScope::Workflow(name) => {
            sql.push(" AND workflow = ").push_bind(name.clone());
        }
        TrafficScope::Lane(name) => {
            sql.push(" AND lane = ").push_bind(name.clone());
        }
    }
}
