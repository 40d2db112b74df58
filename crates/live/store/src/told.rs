//! What providers say they counted and billed, by day: read from their reports, to be compared with the books.

use domain::{NanoUsd, UnixMs};

use crate::open::{Store, StoreError, signed};
use crate::rollup::DAY_MS;
use crate::sql::query;

/// What a provider told of one day and model.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// When the day begins.
    pub start: UnixMs,
    /// Which model, in the provider's word; empty where the report does not split.
    pub model: String,
    /// Requests; absent where it does not say.
    pub requests: Option<u64>,
    /// Tokens sent, cached ones included.
    pub input_tokens: Option<u64>,
    /// Tokens received.
    pub output_tokens: Option<u64>,
    /// What it billed.
    pub cost: Option<NanoUsd>,
}

impl Store {
    /// Keeps what a provider told. A figure told anew takes the place of the old one; one not told stays.
    pub async fn keep_told(&self, provider: &str, told: &[Told]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for day in told {
            query(
                "INSERT INTO told (provider, start, model, requests, input_tokens, output_tokens, cost_nano)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (provider, start, model) DO UPDATE SET
                     requests = COALESCE(excluded.requests, told.requests),
                     input_tokens = COALESCE(excluded.input_tokens, told.input_tokens),
                     output_tokens = COALESCE(excluded.output_tokens, told.output_tokens),
                     cost_nano = COALESCE(excluded.cost_nano, told.cost_nano)",
            )
            .bind(provider)
            .bind(day.start.0)
            .bind(&day.model)
            .bind(day.requests.map(signed))
            .bind(day.input_tokens.map(signed))
            .bind(day.output_tokens.map(signed))
            .bind(day.cost.map(|cost| cost.0))
            .execute(&mut transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// What a provider told of days from `from` on.
    pub async fn told(&self, provider: &str, from: UnixMs) -> Result<Vec<Told>, StoreError> {
        let sql = "SELECT * FROM told WHERE provider = $1 AND start >= $2 ORDER BY start, model";
        let rows = query(sql).bind(provider).bind(from.0).fetch_all(self.reader()).await?;
        rows.iter()
            .map(|row| {
                let count = |column: &str| Ok::<_, sqlx::Error>(row.get::<Option<i64>>(column)?.map(i64::unsigned_abs));
                Ok(Told {
                    start: UnixMs(row.get("start")?),
                    model: row.get("model")?,
                    requests: count("requests")?,
                    input_tokens: count("input_tokens")?,
                    output_tokens: count("output_tokens")?,
                    cost: row.get::<Option<i64>>("cost_nano")?.map(NanoUsd),
                })
            })
            .collect()
    }

    /// Providers that told something of days from `from` on.
    pub async fn tellers(&self, from: UnixMs) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT provider FROM told WHERE start >= $1 ORDER BY provider";
        Ok(query(sql).bind(from.0).column(self.reader()).await?)
    }

    /// What the books have of a provider, by day and meter: start, meter (empty for what no meter counted), units, nano-dollars.
    pub async fn days_of_provider(
        &self,
        provider: &str,
        from: UnixMs,
    ) -> Result<Vec<(UnixMs, String, i64, i64)>, StoreError> {
        let rows = query(
            "SELECT start, meter, CAST(SUM(units) AS BIGINT) AS units, CAST(SUM(amount_nano) AS BIGINT) AS amount
             FROM meters JOIN cells ON cells.cell = meters.cell
             WHERE width_ms = $1 AND start >= $2 AND provider = $3 GROUP BY start, meter ORDER BY start, meter",
        )
        .bind(DAY_MS)
        .bind(from.0)
        .bind(provider)
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| Ok((UnixMs(row.get("start")?), row.get("meter")?, row.get("units")?, row.get("amount")?)))
            .collect()
    }
}
