//! What each instance may spend of each shared budget: asked for, given back, and settled after a death. The arithmetic is
//! `ledger::lease`; here it is one short transaction, with rows locked in the order of their names.

use domain::UnixMs;
use ledger::lease::{self, Ask, Others, Use};
use ledger::{Amount, BudgetId, Measure, Scope};

use crate::instances::{Incarnation, clock};
use crate::open::{Store, StoreError, from_json, to_json};
use crate::rollup::{DAY_MS, HOUR_MS, start_of};
use crate::sql::{Statement, Transaction, query};

/// What an instance asks for in one budget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// How it uses it now.
    pub used: Use,
    /// As [`Ask::needed`].
    pub needed: Amount,
    /// As [`Ask::desired`].
    pub desired: Amount,
}

/// What it got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewed {
    /// Of which budget.
    pub budget: BudgetId,
    /// Of which of its windows.
    pub window_start: UnixMs,
    /// What it settles and holds at most from now on.
    pub ceiling: Amount,
    /// What the others have booked and hold, and what may have been spent by those whose lease has ended.
    pub elsewhere: Amount,
    /// Whether it needed more than there was.
    pub short: bool,
}

/// An instance's part in a budget.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseRow {
    /// Which budget.
    pub budget: BudgetId,
    /// Which of its windows.
    pub window_start: UnixMs,
    /// Whose part.
    pub instance: String,
    /// What it settles and holds at most.
    pub ceiling: Amount,
    /// What it has booked, as it said last.
    pub settled: Amount,
    /// What it held then.
    pub held: Amount,
    /// What may have been spent beside that by a process whose lease has ended before its spool was read.
    pub indeterminate: Amount,
}

/// Windows are kept so long after their end, for late questions, milliseconds.
const KEPT_AFTER_MS: u64 = 2 * DAY_MS as u64;

impl Store {
    /// Renews the lease of a process and its parts in these budgets. Refused once another process has its name.
    pub async fn renew(
        &self,
        who: &Incarnation,
        lease_ms: u64,
        mut renewals: Vec<Renewal>,
    ) -> Result<Vec<Renewed>, StoreError> {
        renewals.sort_by_cached_key(|renewal| key_of(&renewal.used));
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        let lasts =
            query("UPDATE instances SET lease_ends = $3, ended_at = NULL WHERE instance = $1 AND incarnation = $2")
                .bind(&who.instance)
                .bind(&who.incarnation)
                .bind((now + lease_ms).0)
                .execute(&mut transaction)
                .await?;
        if lasts == 0 {
            return Err(superseded(who));
        }
        let mut renewed = Vec::with_capacity(renewals.len());
        for renewal in &renewals {
            renewed.push(renew_one(&mut transaction, who, renewal, now).await?);
        }
        transaction.commit().await?;
        Ok(renewed)
    }

    /// Settles what a dead process of this instance had leased, once its spool has been read: in these budgets it spent what
    /// the ledger says; of others nobody knows any more, and what it might have spent there counts.
    pub async fn settle_leases(&self, who: &Incarnation, spent: &[Use]) -> Result<(), StoreError> {
        let mut spent: Vec<_> = spent.iter().map(|used| (key_of(used), used)).collect();
        spent.sort_by(|one, other| one.0.cmp(&other.0));
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        // The row of the instance is the first that is locked, here as in renewing.
        let own = query("UPDATE instances SET ended_at = ended_at WHERE instance = $1 AND incarnation = $2");
        if own.bind(&who.instance).bind(&who.incarnation).execute(&mut transaction).await? == 0 {
            return Err(superseded(who));
        }
        for (_, used) in &spent {
            lock(&mut transaction, used).await?;
            put(&mut transaction, &who.instance, used, used.settled).await?;
        }
        let mut others = query("SELECT budget, window_start, ceiling FROM leases WHERE instance = ");
        others.push_bind(who.instance.as_str());
        if !spent.is_empty() {
            let known = spent.iter().map(|((budget, start), _)| format!("{start} {budget}")).collect();
            let dialect = transaction.dialect();
            others.push(" AND NOT (CAST(window_start AS TEXT) || ' ' || budget").push_among(dialect, known).push(")");
        }
        for row in others.fetch_all(&mut transaction).await? {
            let key = (row.get("budget")?, row.get("window_start")?);
            let all = Amount(row.get("ceiling")?);
            write(&mut transaction, &who.instance, key, Part { ceiling: all, settled: all, held: Amount::ZERO })
                .await?;
        }
        // Windows that ended are of no use to anybody.
        for sql in [
            "DELETE FROM leases WHERE EXISTS (SELECT 1 FROM lease_windows WHERE lease_windows.budget = leases.budget
                 AND lease_windows.window_start = leases.window_start AND lease_windows.window_end < $1)",
            "DELETE FROM lease_windows WHERE window_end < $1",
        ] {
            query(sql).bind((now - KEPT_AFTER_MS).0).execute(&mut transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Every instance's part in every budget, by budget, window and instance.
    pub async fn leases(&self) -> Result<Vec<LeaseRow>, StoreError> {
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        let rows = query(
            "SELECT leases.*, CASE WHEN instances.ended_at IS NULL AND instances.lease_ends <= $1
                 THEN leases.ceiling - leases.settled ELSE 0 END AS indeterminate
             FROM leases LEFT JOIN instances ON instances.instance = leases.instance
             ORDER BY leases.budget, leases.window_start, leases.instance",
        )
        .bind(now.0)
        .fetch_all(&mut transaction)
        .await?;
        rows.iter()
            .map(|row| {
                let budget: String = row.get("budget")?;
                Ok(LeaseRow {
                    budget: from_json(&budget, &budget)?,
                    window_start: UnixMs(row.get("window_start")?),
                    instance: row.get("instance")?,
                    ceiling: Amount(row.get("ceiling")?),
                    settled: Amount(row.get("settled")?),
                    held: Amount(row.get("held")?),
                    indeterminate: Amount(row.get::<i64>("indeterminate")?.max(0)),
                })
            })
            .collect()
    }

    /// Tells the other instances that more of these budgets is needed than is left.
    pub async fn ask_others(&self, short: &[&Renewed]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let counter = query("UPDATE meta SET value = value + 1 WHERE name = 'leases_asked' RETURNING value");
        let counter: Option<i64> = counter.scalar(&mut transaction).await?;
        let mut keys: Vec<_> = short.iter().map(|one| key(&one.budget, one.window_start)).collect();
        keys.sort();
        for (budget, start) in keys {
            query("UPDATE lease_windows SET asked = $3 WHERE budget = $1 AND window_start = $2")
                .bind(budget)
                .bind(start)
                .bind(counter.unwrap_or_default())
                .execute(&mut transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Which budgets were asked for since `counter`, and where the counter is now.
    pub async fn asked_for(&self, counter: i64) -> Result<(i64, Vec<BudgetId>), StoreError> {
        let sql = "SELECT value FROM meta WHERE name = 'leases_asked'";
        let now: i64 = query(sql).scalar(self.reader()).await?.unwrap_or_default();
        if now == counter {
            return Ok((now, Vec::new()));
        }
        let asked = query("SELECT budget FROM lease_windows WHERE asked > $1 ORDER BY budget").bind(counter);
        let asked: Vec<String> = asked.column(self.reader()).await?;
        let budgets = asked.iter().map(|budget| from_json(budget, budget)).collect::<Result<_, _>>()?;
        Ok((now, budgets))
    }
}

async fn renew_one(
    transaction: &mut Transaction,
    who: &Incarnation,
    renewal: &Renewal,
    now: UnixMs,
) -> Result<Renewed, StoreError> {
    let used = &renewal.used;
    if lock(transaction, used).await? {
        note_others(transaction, who, used).await?;
    }
    let others = query(
        "SELECT CAST(SUM(leases.ceiling) AS BIGINT) AS ceilings,
                CAST(SUM(CASE WHEN instances.ended_at IS NULL AND instances.lease_ends <= $4
                         THEN leases.ceiling ELSE leases.settled + leases.held END) AS BIGINT) AS used
         FROM leases LEFT JOIN instances ON instances.instance = leases.instance
         WHERE leases.budget = $1 AND leases.window_start = $2 AND leases.instance <> $3
           AND (instances.instance IS NULL OR COALESCE(instances.ended_at, instances.lease_ends) > $5)",
    );
    let (budget, start) = key_of(used);
    let others = others.bind(budget).bind(start).bind(&who.instance).bind(now.0).bind(out_of_window(&used.budget, now));
    let others = others.fetch_all(&mut *transaction).await?;
    let other = |column: &str| match others.first() {
        Some(row) => Ok::<_, StoreError>(Amount(row.get::<Option<i64>>(column)?.unwrap_or(0))),
        None => Ok(Amount::ZERO),
    };
    let (ceilings, elsewhere) = (other("ceilings")?, other("used")?);
    let live = query("SELECT COUNT(*) FROM instances WHERE ended_at IS NULL AND lease_ends > $1").bind(now.0);
    let live: Option<i64> = live.scalar(&mut *transaction).await?;
    let ask = Ask { ceiling: used.ceiling, used: used.used(), needed: renewal.needed, desired: renewal.desired };
    let instances = live.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    let ceiling = lease::ceiling(used.most, ask, Others { ceilings, instances });
    put(transaction, &who.instance, used, ceiling).await?;
    let short = renewal.needed > Amount::ZERO && ceiling.minus(used.ceiling) < renewal.needed;
    Ok(Renewed { budget: used.budget.clone(), window_start: used.window_start, ceiling, elsewhere, short })
}

/// An instance that has ended by then took nothing that still counts in a window that goes with the clock.
fn out_of_window(budget: &BudgetId, now: UnixMs) -> i64 {
    let period = budget.window.period();
    match period.rolling_ms().zip(period.resolution_ms()) {
        // A stretch for what began with it, one for clocks that differ.
        Some((span_ms, resolution_ms)) => (now - span_ms - 2 * resolution_ms).0,
        None => i64::MIN,
    }
}

/// Locks a window of a budget. Whether nobody had before.
async fn lock(transaction: &mut Transaction, used: &Use) -> Result<bool, StoreError> {
    let (budget, start) = key_of(used);
    let made = query(
        "INSERT INTO lease_windows (budget, window_start, window_end) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    );
    let made = made.bind(&budget).bind(start).bind(used.window_end.map(|end| end.0)).execute(&mut *transaction).await?;
    let sql = transaction.dialect().pick(
        "SELECT window_start FROM lease_windows WHERE budget = $1 AND window_start = $2",
        "SELECT window_start FROM lease_windows WHERE budget = $1 AND window_start = $2 FOR UPDATE",
    );
    query(sql).bind(budget).bind(start).fetch_all(transaction).await?;
    Ok(made > 0)
}

/// A budget that is new to everybody: what other instances booked in its window already counts, whether or not they are
/// there to say so. Those that are will say what they use when they renew.
async fn note_others(transaction: &mut Transaction, who: &Incarnation, used: &Use) -> Result<(), StoreError> {
    if used.budget.is_rate() {
        return Ok(());
    }
    let mut found = sum_by_instance(used.budget.measure, used.window_start);
    narrow(&mut found, &used.budget.scope);
    found.push(" AND instance <> ").push_bind(who.instance.as_str()).push(" GROUP BY instance");
    for row in found.fetch_all(&mut *transaction).await? {
        let spent = Amount(row.get("spent")?);
        let other = Use { settled: spent, held: Amount::ZERO, ..used.clone() };
        put(transaction, &row.get::<String>("instance")?, &other, spent).await?;
    }
    Ok(())
}

async fn put(transaction: &mut Transaction, instance: &str, used: &Use, ceiling: Amount) -> Result<(), StoreError> {
    let part = Part { ceiling, settled: used.settled, held: used.held };
    write(transaction, instance, key_of(used), part).await
}

/// An instance's part in a window, as its row has it.
#[derive(Clone, Copy)]
struct Part {
    ceiling: Amount,
    settled: Amount,
    held: Amount,
}

impl Part {
    /// What the row is compared with later. As a batch's, no secret goes in: it tells what was changed by hand.
    fn digest(self, instance: &str, budget: &str, window_start: i64) -> String {
        let mut hasher = blake3::Hasher::new();
        for text in [instance, budget] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        for number in [window_start, self.ceiling.0, self.settled.0, self.held.0] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl Store {
    /// Rows that say something else than when they were written, a few: whose part in which budget.
    pub async fn leases_changed(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let rows = query("SELECT * FROM leases WHERE digest <> '' ORDER BY budget, window_start, instance");
        let mut changed = Vec::new();
        for row in rows.fetch_all(self.reader()).await? {
            let (instance, budget): (String, String) = (row.get("instance")?, row.get("budget")?);
            let amount = |column: &str| Ok::<_, StoreError>(Amount(row.get(column)?));
            let part = Part { ceiling: amount("ceiling")?, settled: amount("settled")?, held: amount("held")? };
            if part.digest(&instance, &budget, row.get("window_start")?) != row.get::<String>("digest")? {
                changed.push(format!("{instance}, {budget}: its ceiling is {}", part.ceiling.0));
            }
        }
        changed.truncate(limit);
        Ok(changed)
    }
}

async fn write(
    transaction: &mut Transaction,
    instance: &str,
    (budget, start): (String, i64),
    part: Part,
) -> Result<(), StoreError> {
    let digest = part.digest(instance, &budget, start);
    query(
        "INSERT INTO leases (budget, window_start, instance, ceiling, settled, held, digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (budget, window_start, instance) DO UPDATE SET
             ceiling = excluded.ceiling, settled = excluded.settled, held = excluded.held, digest = excluded.digest",
    )
    .bind(budget)
    .bind(start)
    .bind(instance)
    .bind(part.ceiling.0)
    .bind(part.settled.0)
    .bind(part.held.0)
    .bind(digest)
    .execute(transaction)
    .await?;
    Ok(())
}

fn key_of(used: &Use) -> (String, i64) {
    key(&used.budget, used.window_start)
}

/// Under which name a window of a budget is kept. A window that goes with the clock has one for ever.
fn key(budget: &BudgetId, window_start: UnixMs) -> (String, i64) {
    let start = if budget.window.bounds(window_start).1.is_none() { 0 } else { window_start.0 };
    (to_json(budget), start)
}

fn sum_by_instance(measure: Measure, since: UnixMs) -> Statement {
    let mut sum = query(match measure {
        Measure::Usd => "SELECT instance, CAST(SUM(cost_nano) AS BIGINT) AS spent FROM instance_spend",
        Measure::Tokens => "SELECT instance, CAST(SUM(tokens) AS BIGINT) AS spent FROM instance_spend",
        Measure::Requests => "SELECT instance, COUNT(*) AS spent FROM attempts",
        // What is under way is in no book.
        Measure::Calls => "SELECT instance, 0 AS spent FROM instance_spend WHERE 1 = 0 AND start >= ",
    });
    match measure {
        Measure::Usd | Measure::Tokens => from(&mut sum, since),
        Measure::Requests => {
            sum.push(crate::budgets::REQUESTS).push(" AND at >= ").push_bind(since.0);
        }
        Measure::Calls => {
            sum.push_bind(since.0);
        }
    }
    sum
}

/// Days are fewer rows than hours, where the window begins with one.
fn from(sum: &mut Statement, since: UnixMs) {
    let width = if since.0.rem_euclid(DAY_MS) == 0 { DAY_MS } else { HOUR_MS };
    sum.push(" WHERE width_ms = ").push_bind(width).push(" AND start >= ").push_bind(start_of(since, width));
}

fn narrow(sum: &mut Statement, scope: &Scope) {
    match scope {
        Scope::Organisation => {}
        Scope::Workflow(name) => {
            sum.push(" AND workflow = ").push_bind(name.as_str());
        }
        Scope::Key(id) => {
            sum.push(" AND key = ").push_bind(id.to_string());
        }
        // What belongs to them is not in the sums; their instances say what they use themselves.
        Scope::Unit(_) | Scope::Session { .. } | Scope::Model(_) => {
            sum.push(" AND 1 = 0");
        }
    }
}

fn superseded(who: &Incarnation) -> StoreError {
    StoreError::Elsewhere(format!(
        "another process has taken over as instance {}; this one spends nothing more of budgets that refuse",
        who.instance
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rows_digest_is_of_all_that_it_says() {
        let part =
            |ceiling, settled, held| Part { ceiling: Amount(ceiling), settled: Amount(settled), held: Amount(held) };
        let digest = part(9, 7, 2).digest("i", "b", 0);
        // It stands in databases, so it stays.
        assert_eq!(digest, "dfa4f273051df77d820e5855816e1960b130b583b164af04a9c8be91f388e1d1");
        for other in [
            part(10, 7, 2).digest("i", "b", 0),
            part(9, 6, 2).digest("i", "b", 0),
            part(9, 7, 1).digest("i", "b", 0),
            part(9, 7, 2).digest("j", "b", 0),
            part(9, 7, 2).digest("i", "c", 0),
            part(9, 7, 2).digest("i", "b", 1),
        ] {
            assert_ne!(digest, other);
        }
    }
}
