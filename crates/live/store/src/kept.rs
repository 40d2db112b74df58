//! What a starting gateway has to know of what went before it: what providers do later and have not told the cost of, and whose
//! files and batches are.

use std::collections::HashSet;

use domain::{Record, UnixMs};

use crate::open::{Store, StoreError, from_json};
use crate::sql::{Statement, query};

impl Store {
    /// This instance's attempts sent since `since` that were answered later than their calls, and are not settled; the newest `limit`, oldest first.
    pub async fn owed(&self, since: UnixMs, limit: u32) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT attempt, record FROM attempts
                   WHERE cost_kind = 'at_most' AND end_kind != 'indeterminate' AND at >= $1 AND instance = $3
                   ORDER BY at DESC LIMIT $2";
        let owed = query(sql).bind(since.0).bind(i64::from(limit)).bind(self.instance());
        let booked = self.records(owed).await?;
        let settlements: Vec<String> =
            booked.iter().map(|record| record.intent.attempt.settlement().to_string()).collect();
        let mut settled = query("SELECT attempt FROM attempts WHERE attempt");
        settled.push_among(self.dialect(), settlements);
        let settled: Vec<String> = settled.column(self.reader()).await?;
        let settled: HashSet<String> = settled.into_iter().collect();
        let is_owed = |record: &Record| !settled.contains(&record.intent.attempt.settlement().to_string());
        Ok(booked.into_iter().filter(is_owed).collect())
    }

    /// Files and batches put at providers since `since`; the newest `limit`, oldest first.
    pub async fn kept(&self, since: UnixMs, limit: u32) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT attempt, record FROM attempts
                   WHERE cause IN ('keep', 'batch') AND at >= $1 ORDER BY at DESC LIMIT $2";
        self.records(query(sql).bind(since.0).bind(i64::from(limit))).await
    }

    async fn records(&self, found: Statement) -> Result<Vec<Record>, StoreError> {
        let rows = found.fetch_all(self.reader()).await?;
        rows.iter().rev().map(|row| from_json(&row.get::<String>("attempt")?, &row.get::<String>("record")?)).collect()
    }
}
