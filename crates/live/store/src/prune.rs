//! Forgets what is old, a little at a time, so that nothing waits long for the write lock.

use domain::UnixMs;

use crate::open::{Store, StoreError};
use crate::rollup::{DAY_MS, HOUR_MS, MINUTE_MS, start_of};

/// Rows erased in one transaction.
const AT_ONCE: i64 = 2_000;
/// How long sums by the minute are kept; pages look back an hour.
const MINUTES_KEPT_MS: u64 = 2 * DAY_MS as u64;

/// How much was forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// Records with their journal lines.
    pub attempts: u64,
    /// Call ends.
    pub calls: u64,
    /// Captured bodies.
    pub captures: u64,
}

impl Store {
    /// Erases attempts sent and calls ended before `before`, and sums by the hour of that age. Sums by the day stay, so
    /// that budgets and reports keep their history.
    pub async fn prune(&self, before: UnixMs, now: UnixMs) -> Result<Pruned, StoreError> {
        let mut pruned = self.prune_captures(now).await?;
        pruned.attempts = self.prune_attempts(before).await?;
        pruned.calls = self
            .erase("DELETE FROM calls WHERE seq IN (SELECT seq FROM calls WHERE ended_at < ?1 LIMIT ?2)", before.0)
            .await?;
        self.erase(
            "DELETE FROM cost_differences WHERE attempt IN (SELECT attempt FROM cost_differences WHERE at < ?1 LIMIT ?2)",
            before.0,
        )
        .await?;
        for (width, start) in [
            (MINUTE_MS, start_of(now - MINUTES_KEPT_MS, MINUTE_MS)),
            // The hours of the last two days serve charts and hourly budgets, however short records are kept.
            (HOUR_MS, start_of(before.min(now - MINUTES_KEPT_MS), HOUR_MS)),
        ] {
            let mut transaction = self.begin().await?;
            for sql in [
                "DELETE FROM traffic WHERE width_ms = ?1 AND start < ?2",
                "DELETE FROM first_tokens WHERE width_ms = ?1 AND start < ?2",
                "DELETE FROM spend WHERE width_ms = ?1 AND start < ?2",
            ] {
                sqlx::query(sql).bind(width).bind(start).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
        sqlx::query("DELETE FROM sessions WHERE expires_at <= ?1").bind(now.0).execute(self.writer()).await?;
        if pruned != Pruned::default() {
            self.empty_log().await?;
        }
        Ok(pruned)
    }

    /// Erases captured bodies whose time is up.
    pub async fn prune_captures(&self, now: UnixMs) -> Result<Pruned, StoreError> {
        let sql = "DELETE FROM captures WHERE call IN (SELECT call FROM captures WHERE until <= ?1 LIMIT ?2)";
        Ok(Pruned { captures: self.erase(sql, now.0).await?, ..Pruned::default() })
    }

    async fn prune_attempts(&self, before: UnixMs) -> Result<u64, StoreError> {
        let mut erased = 0;
        loop {
            let mut transaction = self.begin().await?;
            sqlx::query(
                "DELETE FROM journal WHERE attempt IN (SELECT attempt FROM attempts WHERE at < ?1 ORDER BY at, seq LIMIT ?2)",
            )
            .bind(before.0)
            .bind(AT_ONCE)
            .execute(&mut *transaction)
            .await?;
            let done = sqlx::query(
                "DELETE FROM attempts WHERE seq IN (SELECT seq FROM attempts WHERE at < ?1 ORDER BY at, seq LIMIT ?2)",
            )
            .bind(before.0)
            .bind(AT_ONCE)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            erased += done.rows_affected();
            if done.rows_affected() < AT_ONCE.unsigned_abs() {
                return Ok(erased);
            }
        }
    }

    async fn erase(&self, sql: &'static str, before: i64) -> Result<u64, StoreError> {
        let mut erased = 0;
        loop {
            let done = sqlx::query(sql).bind(before).bind(AT_ONCE).execute(self.writer()).await?;
            erased += done.rows_affected();
            if done.rows_affected() < AT_ONCE.unsigned_abs() {
                return Ok(erased);
            }
        }
    }
}
