//! What was booked in sessions that have a budget: kept for a day after a session was last seen.

use domain::UnixMs;
use ledger::sessions::SessionSpent;
use ledger::{Amount, Measure};

use crate::instances::clock;
use crate::open::{Store, StoreError, from_json, to_json};
use crate::sql::query;

/// A transaction that began earlier may end later than one that was read: so far back it is looked again, milliseconds.
const AGAIN_MS: u64 = 10_000;

impl Store {
    /// Keeps what this instance booked in these sessions.
    pub async fn keep_sessions(&self, spent: &[SessionSpent]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        for one in spent {
            query(
                "INSERT INTO session_spend (scope, measure, instance, amount, seen_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (scope, measure, instance) DO UPDATE SET
                     amount = excluded.amount, seen_at = excluded.seen_at, changed_at = excluded.changed_at",
            )
            .bind(to_json(&one.scope))
            .bind(one.measure.as_str())
            .bind(self.instance())
            .bind(one.amount.0)
            .bind(one.seen_at.0)
            .bind(now.0)
            .execute(&mut transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// What any instance booked in sessions and told since the time `since` of the database, the latest first; and what time it is there.
    pub async fn sessions_since(&self, since: UnixMs, limit: u32) -> Result<(UnixMs, Vec<SessionSpent>), StoreError> {
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        let sql = "SELECT scope, measure, instance, amount, seen_at FROM session_spend WHERE changed_at >= $1
                   ORDER BY changed_at DESC LIMIT $2";
        let rows = query(sql).bind(since.0).bind(i64::from(limit)).fetch_all(&mut transaction).await?;
        let spent = rows.iter().map(|row| {
            let scope: String = row.get("scope")?;
            let measure: String = row.get("measure")?;
            Ok(SessionSpent {
                scope: from_json(&scope, &scope)?,
                measure: Measure::from_name(&measure).unwrap_or(Measure::Usd),
                amount: Amount(row.get("amount")?),
                seen_at: UnixMs(row.get("seen_at")?),
                instance: row.get("instance")?,
            })
        });
        let spent = spent.collect::<Result<Vec<_>, StoreError>>()?;
        Ok((now - AGAIN_MS, spent))
    }

    /// Forgets sessions that were last seen before this.
    pub async fn forget_sessions(&self, before: UnixMs) -> Result<(), StoreError> {
        query("DELETE FROM session_spend WHERE seen_at < $1").bind(before.0).execute(self.writer()).await?;
        Ok(())
    }
}
