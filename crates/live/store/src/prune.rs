//! Forgets what is old, a little at a time, so that nothing waits long for the write lock.

use domain::UnixMs;

use crate::chain::{Digest, batch_row};
use crate::erased;
use crate::open::{Store, StoreError};
use crate::rollup::{DAY_MS, HOUR_MS, MINUTE_MS, start_of};
use crate::sql::{Dialect, Row, Statement, Transaction, Value, query};

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

/// Rows taken over up to here; those after it stay, however old they say they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upto {
    /// Attempts up to this number.
    pub attempts: i64,
    /// Calls up to this number.
    pub calls: i64,
}

impl Upto {
    /// All of them.
    pub const EVERYTHING: Upto = Upto { attempts: i64::MAX, calls: i64::MAX };
}

impl Store {
    /// As [`Store::prune_upto`], everything that is old enough.
    pub async fn prune(&self, before: UnixMs, now: UnixMs) -> Result<Pruned, StoreError> {
        self.prune_upto(before, now, Upto::EVERYTHING).await
    }

    /// Erases attempts sent and calls ended before `before`, and sums by the hour of that age. Sums by the day stay, so
    /// that budgets and reports keep their history, and sums by meter. PostgreSQL forgets whole days at once, by dropping their
    /// partitions.
    pub async fn prune_upto(&self, before: UnixMs, now: UnixMs, upto: Upto) -> Result<Pruned, StoreError> {
        let mut pruned = self.prune_captures(now).await?;
        // What is compared with records is compared from here on only; said first, so that a kill in between leaves nothing amiss.
        query(
            "UPDATE books SET pruned_before = CASE WHEN pruned_before < $1 THEN $1 ELSE pruned_before END,
                              minutes_before = CASE WHEN minutes_before < $2 THEN $2 ELSE minutes_before END",
        )
        .bind(before.0)
        .bind((now - MINUTES_KEPT_MS).0)
        .execute(self.writer())
        .await?;
        (pruned.attempts, pruned.calls) = match self.dialect() {
            Dialect::Sqlite => {
                (self.prune_attempts(before, upto.attempts).await?, self.prune_calls(before, upto.calls).await?)
            }
            Dialect::Postgres => self.drop_days(before, upto).await?,
        };
        self.seal_days(before).await?;
        let sql = "DELETE FROM cost_differences WHERE attempt IN
                       (SELECT attempt FROM cost_differences WHERE at < $1 LIMIT $2)";
        self.erase(sql, before.0).await?;
        self.fold_batches().await?;
        for (width, start) in [
            (MINUTE_MS, start_of(now - MINUTES_KEPT_MS, MINUTE_MS)),
            // The hours of the last two days serve charts and hourly budgets, however short records are kept.
            (HOUR_MS, start_of(before.min(now - MINUTES_KEPT_MS), HOUR_MS)),
        ] {
            let mut transaction = self.begin().await?;
            for sql in [
                "DELETE FROM traffic WHERE width_ms = $1 AND start < $2",
                "DELETE FROM first_tokens WHERE width_ms = $1 AND start < $2",
                "DELETE FROM spend WHERE width_ms = $1 AND start < $2",
                "DELETE FROM instance_spend WHERE width_ms = $1 AND start < $2",
            ] {
                query(sql).bind(width).bind(start).execute(&mut transaction).await?;
            }
            transaction.commit().await?;
        }
        query("DELETE FROM sessions WHERE expires_at <= $1").bind(now.0).execute(self.writer()).await?;
        if pruned != Pruned::default() {
            self.empty_log().await?;
        }
        Ok(pruned)
    }

    /// Erases captured bodies whose time is up.
    pub async fn prune_captures(&self, now: UnixMs) -> Result<Pruned, StoreError> {
        let sql = "DELETE FROM captures WHERE call IN (SELECT call FROM captures WHERE until <= $1 LIMIT $2)";
        Ok(Pruned { captures: self.erase(sql, now.0).await?, ..Pruned::default() })
    }

    async fn prune_attempts(&self, before: UnixMs, upto: i64) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let mut transaction = self.begin().await?;
            let old =
                query("SELECT seq, at, attempt, record AS fact FROM attempts WHERE at < $1 AND seq <= $3 ORDER BY at, seq LIMIT $2")
                    .bind(before.0)
                    .bind(AT_ONCE).bind(upto)
                    .fetch_all(&mut transaction)
                    .await?;
            if old.is_empty() {
                return Ok(gone);
            }
            let link = erased::begin(&mut transaction).await?;
            note_pruned(&mut transaction, Kind::Attempts, &old).await?;
            let names: Vec<String> = old.iter().map(|row| row.get("attempt")).collect::<Result<_, sqlx::Error>>()?;
            for sql in ["DELETE FROM journal WHERE attempt", "DELETE FROM attempts WHERE attempt"] {
                let mut erase = query(sql);
                erase.push_among(Dialect::Sqlite, names.clone());
                erase.execute(&mut transaction).await?;
            }
            erased::close(transaction, link).await?;
            gone += old.len() as u64;
            if old.len() < AT_ONCE as usize {
                return Ok(gone);
            }
        }
    }

    async fn prune_calls(&self, before: UnixMs, upto: i64) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let mut transaction = self.begin().await?;
            let old = query(
                "SELECT seq, ended_at AS at, call, call_end AS fact FROM calls WHERE ended_at < $1 AND seq <= $3 ORDER BY ended_at, seq LIMIT $2",
            )
            .bind(before.0)
            .bind(AT_ONCE).bind(upto)
            .fetch_all(&mut transaction)
            .await?;
            if old.is_empty() {
                return Ok(gone);
            }
            let link = erased::begin(&mut transaction).await?;
            note_pruned(&mut transaction, Kind::Calls, &old).await?;
            let names: Vec<String> = old.iter().map(|row| row.get("call")).collect::<Result<_, sqlx::Error>>()?;
            let mut erase = query("DELETE FROM calls WHERE call");
            erase.push_among(Dialect::Sqlite, names);
            erase.execute(&mut transaction).await?;
            erased::close(transaction, link).await?;
            gone += old.len() as u64;
            if old.len() < AT_ONCE as usize {
                return Ok(gone);
            }
        }
    }

    /// Erases the oldest batches of which nothing is left; the chain goes on from where they ended.
    async fn fold_batches(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        query(
            "UPDATE books SET (folded_seq, folded_chain) = (SELECT seq, chain FROM batches
                 WHERE seq < COALESCE((SELECT MIN(seq) FROM batches WHERE pruned < attempts + calls
                     OR seq = (SELECT MAX(seq) FROM batches WHERE segment = '(retention)')), books.seq + 1)
                 ORDER BY seq DESC LIMIT 1)
             WHERE EXISTS (SELECT 1 FROM batches
                 WHERE seq < COALESCE((SELECT MIN(seq) FROM batches WHERE pruned < attempts + calls
                     OR seq = (SELECT MAX(seq) FROM batches WHERE segment = '(retention)')), books.seq + 1))",
        )
        .execute(&mut transaction)
        .await?;
        const FOLDED: &str = "SELECT folded_digest AS digest FROM books WHERE folded_digest IS NOT NULL
                              UNION ALL SELECT pruned_digest FROM batches, books WHERE batches.seq <= books.folded_seq";
        let mut digest = Digest::default();
        for part in query(FOLDED).column::<Vec<u8>>(&mut transaction).await? {
            digest.join(Digest::of_bytes(&part));
        }
        query("UPDATE books SET folded_digest = $1 WHERE folded_digest IS NOT NULL")
            .bind(digest.bytes())
            .execute(&mut transaction)
            .await?;
        query("DELETE FROM batches WHERE seq <= (SELECT folded_seq FROM books)").execute(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn erase(&self, sql: &'static str, before: i64) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let done = query(sql).bind(before).bind(AT_ONCE).execute(self.writer()).await?;
            gone += done;
            if done < AT_ONCE.unsigned_abs() {
                return Ok(gone);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Attempts,
    Calls,
}

impl Kind {
    fn digest(self, fact: &str) -> Digest {
        let mut digest = Digest::default();
        match self {
            Kind::Attempts => digest.add_attempt(fact),
            Kind::Calls => digest.add_call(fact),
        }
        digest
    }
}

/// Takes rows that are about to be erased out of their batches, so that what is left of them can still be proven.
async fn note_pruned(transaction: &mut Transaction, kind: Kind, rows: &[Row]) -> Result<(), StoreError> {
    let find = match kind {
        Kind::Attempts => "SELECT * FROM batches WHERE attempts_after < $1 AND attempts_upto >= $1 LIMIT 1",
        Kind::Calls => "SELECT * FROM batches WHERE calls_after < $1 AND calls_upto >= $1 LIMIT 1",
    };
    let mut by_day = Vec::with_capacity(rows.len());
    let mut rows: Vec<(i64, String)> = rows
        .iter()
        .map(|row| {
            let fact: String = row.get("fact")?;
            by_day.push((row.get("at")?, kind.digest(&fact), matches!(kind, Kind::Calls)));
            Ok((row.get("seq")?, fact))
        })
        .collect::<Result<_, sqlx::Error>>()?;
    erased::note(transaction, by_day.into_iter()).await?;
    rows.sort_unstable_by_key(|(seq, _)| *seq);
    let mut rows = rows.into_iter().peekable();
    while let Some((seq, fact)) = rows.next() {
        // What was there before there were batches belongs to none.
        let Some(row) = query(find).bind(seq).fetch_optional(&mut *transaction).await? else { continue };
        let batch = batch_row(&row)?;
        let upto = match kind {
            Kind::Attempts => batch.attempts_upto,
            Kind::Calls => batch.calls_upto,
        };
        let (mut digest, mut pruned) = (batch.pruned_digest, batch.pruned);
        let mut take = |fact: &str| {
            pruned += 1;
            digest.join(kind.digest(fact));
        };
        take(&fact);
        while let Some((_, fact)) = rows.next_if(|(seq, _)| *seq <= upto) {
            take(&fact);
        }
        query("UPDATE batches SET pruned = $1, pruned_digest = $2 WHERE seq = $3")
            .bind(pruned)
            .bind(digest.bytes())
            .bind(batch.seq)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

/// As [`note_pruned`], for a day of PostgreSQL that is about to be dropped.
pub(crate) async fn note_dropped(transaction: &mut Transaction, day: &str) -> Result<(), StoreError> {
    for (kind, table, columns) in
        [(Kind::Attempts, "attempts", "at, record"), (Kind::Calls, "calls", "ended_at AS at, call_end")]
    {
        let mut after = i64::MIN;
        loop {
            let sql = format!("SELECT seq, {columns} AS fact FROM {table}_{day} WHERE seq > $1 ORDER BY seq LIMIT $2");
            let values: Vec<Value> = vec![after.into(), AT_ONCE.into()];
            let rows = Statement::made(sql, values).fetch_all(&mut *transaction).await?;
            let Some(last) = rows.last() else { break };
            after = last.get("seq")?;
            note_pruned(transaction, kind, &rows).await?;
        }
    }
    Ok(())
}
