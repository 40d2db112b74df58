//! What a starting gateway has to know of what went before it: what providers do later and have not told the cost of, and whose
//! files and batches are.

use std::collections::HashSet;

use domain::{Record, UnixMs};
use sqlx::Row;

use crate::open::{Store, StoreError, from_json, to_json};

impl Store {
    /// Attempts sent since `since` that were answered later than their calls, and are not settled; the newest `limit`, oldest first.
    pub async fn owed(&self, since: UnixMs, limit: u32) -> Result<Vec<Record>, StoreError> {
        let booked = self
            .records(
                "SELECT attempt, record FROM attempts
                 WHERE cost_kind = 'at_most' AND end_kind != 'indeterminate' AND at >= ?1 ORDER BY at DESC LIMIT ?2",
                since,
                limit,
            )
            .await?;
        let settlements: Vec<String> =
            booked.iter().map(|record| record.intent.attempt.settlement().to_string()).collect();
        let settled: Vec<String> = sqlx::query_scalar(
            "SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM attempts WHERE attempt = value)",
        )
        .bind(to_json(&settlements))
        .fetch_all(self.reader())
        .await?;
        let settled: HashSet<String> = settled.into_iter().collect();
        let is_owed = |record: &Record| !settled.contains(&record.intent.attempt.settlement().to_string());
        Ok(booked.into_iter().filter(is_owed).collect())
    }

    /// Files and batches put at providers since `since`; the newest `limit`, oldest first.
    pub async fn kept(&self, since: UnixMs, limit: u32) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT attempt, record FROM attempts
                   WHERE cause IN ('keep', 'batch') AND at >= ?1 ORDER BY at DESC LIMIT ?2";
        self.records(sql, since, limit).await
    }

    async fn records(&self, sql: &'static str, since: UnixMs, limit: u32) -> Result<Vec<Record>, StoreError> {
        let rows = sqlx::query(sql).bind(since.0).bind(i64::from(limit)).fetch_all(self.reader()).await?;
        rows.iter().rev().map(|row| from_json(row.try_get("attempt")?, row.try_get("record")?)).collect()
    }
}
