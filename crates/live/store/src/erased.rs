//! What retention has erased, day by day: counted, digested and sealed with the sums that stay, so that these cannot be changed
//! later because nothing is left to compare them with.

use std::collections::BTreeMap;

use domain::{CallEnd, Record, UnixMs};

use crate::books::{Expected, SumRow, SumTable};
use crate::chain::{Digest, Link, Seal};
use crate::open::{Store, StoreError, from_json};
use crate::rollup::{DAY_MS, HOUR_MS, start_of};
use crate::sql::{Row, Transaction, query};

/// Names a batch that took nothing over: what retention did.
pub const RETENTION: &str = "(retention)";

/// What was erased of a day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasedDay {
    /// When it begins.
    pub start: UnixMs,
    /// Attempts sent on it.
    pub attempts: i64,
    /// Calls that ended on it.
    pub calls: i64,
    /// Their digest.
    pub digest: Digest,
    /// The seal over what its sums hold of them; absent while part of the day may still be kept.
    pub sums: Option<Vec<u8>>,
}

/// What chains a table of them.
pub fn digest_of(days: &[ErasedDay]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for day in days {
        for number in [day.start.0, day.attempts, day.calls] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&day.digest.0.to_le_bytes()).update(&[u8::from(day.sums.is_some())]);
        hasher.update(day.sums.as_deref().unwrap_or_default());
    }
    Digest::of_bytes(hasher.finalize().as_bytes())
}

/// Sums that are kept for ever, of one day, less what is known to be in them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastingSums(BTreeMap<(SumTable, i64, i64, String), Vec<i64>>);

impl LastingSums {
    /// The sums there are.
    pub fn of(rows: impl IntoIterator<Item = SumRow>) -> LastingSums {
        LastingSums(rows.into_iter().collect())
    }

    /// Whether a sum is kept for ever: days, and the hours of the meters, which exports are made of.
    pub fn lasts(table: SumTable, width: i64) -> bool {
        width == DAY_MS || (width == HOUR_MS && table == SumTable::Meters)
    }

    /// What is left when these are taken out.
    pub fn without<'a>(
        mut self,
        rows: impl Iterator<Item = (&'a (SumTable, i64, i64, String), &'a Vec<i64>)>,
    ) -> LastingSums {
        for (key, figures) in rows.filter(|((table, width, _, _), _)| LastingSums::lasts(*table, *width)) {
            let held = self.0.entry(key.clone()).or_insert_with(|| vec![0; figures.len()]);
            held.iter_mut().zip(figures).for_each(|(held, figure)| *held = held.wrapping_sub(*figure));
        }
        self
    }

    /// The sums.
    pub fn rows(&self) -> impl Iterator<Item = (&(SumTable, i64, i64, String), &Vec<i64>)> {
        self.0.iter().filter(|(_, figures)| figures.iter().any(|figure| *figure != 0))
    }

    /// Adds them to a hash; sums of nothing count as none.
    pub fn add_to(&self, hasher: &mut blake3::Hasher) {
        for ((table, width, start, of), figures) in self.rows() {
            hasher.update(table.as_str().as_bytes()).update(&width.to_le_bytes()).update(&start.to_le_bytes());
            hasher.update(&(of.len() as u64).to_le_bytes()).update(of.as_bytes());
            for figure in figures {
                hasher.update(&figure.to_le_bytes());
            }
        }
    }

    /// The seal over them.
    pub fn seal(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        self.add_to(&mut hasher);
        hasher.finalize().as_bytes().to_vec()
    }
}

impl Store {
    /// Every day of which something was erased, in order.
    pub async fn erased_days(&self) -> Result<Vec<ErasedDay>, StoreError> {
        let rows = query("SELECT * FROM erased ORDER BY start").fetch_all(self.reader()).await?;
        rows.iter().map(erased_day).collect()
    }

    /// The starts of all days that have sums, in order.
    pub async fn days_with_sums(&self) -> Result<Vec<UnixMs>, StoreError> {
        let sql = "SELECT start FROM spend WHERE width_ms = 86400000 UNION SELECT start FROM traffic WHERE width_ms = 86400000
                   UNION SELECT start FROM first_tokens WHERE width_ms = 86400000
                   UNION SELECT start - start % 86400000 FROM meters ORDER BY start";
        let starts: Vec<i64> = query(sql).column(self.reader()).await?;
        Ok(starts.into_iter().map(UnixMs).collect())
    }

    /// The sums of a day that are kept for ever.
    pub async fn lasting_sums(&self, day: UnixMs) -> Result<LastingSums, StoreError> {
        let mut rows = Vec::new();
        for table in SumTable::ALL {
            let mut sql = table.select();
            sql.push(" WHERE width_ms IN (3600000, 86400000) AND start >= $1 AND start < $2");
            rows.extend(table.rows(sql.bind(day.0).bind(day.0 + DAY_MS).fetch_all(self.reader()).await?)?);
        }
        rows.retain(|((table, width, _, _), _): &SumRow| LastingSums::lasts(*table, *width));
        Ok(LastingSums::of(rows))
    }

    /// Seals every day that is older than `before` as a whole and has no seal.
    pub(crate) async fn seal_days(&self, before: UnixMs) -> Result<(), StoreError> {
        let days: Vec<i64> = query("SELECT start FROM erased WHERE sums IS NULL AND start <= $1 ORDER BY start")
            .bind(before.0 - DAY_MS)
            .column(self.reader())
            .await?;
        for day in days.into_iter().map(UnixMs) {
            // Nobody takes facts over meanwhile, so what is read outside of the transaction stays as it is.
            let mut transaction = self.begin_taking_over().await?;
            let link = begin(&mut transaction).await?;
            let seal = self.erased_sums(day).await?.seal();
            query("UPDATE erased SET sums = $1 WHERE start = $2")
                .bind(seal)
                .bind(day.0)
                .execute(&mut transaction)
                .await?;
            close(transaction, link).await?;
        }
        Ok(())
    }

    /// What the sums of a day hold that no fact is left of.
    async fn erased_sums(&self, day: UnixMs) -> Result<LastingSums, StoreError> {
        let mut left = Expected::default();
        let (from, to) = (day.0, day.0 + DAY_MS);
        let rows = query("SELECT attempt, record AS fact FROM attempts WHERE at >= $1 AND at < $2").bind(from).bind(to);
        for row in rows.fetch_all(self.reader()).await? {
            left.add_record(&from_json::<Record>(&row.get::<String>("attempt")?, &row.get::<String>("fact")?)?);
        }
        let rows = query("SELECT call, call_end AS fact FROM calls WHERE ended_at >= $1 AND ended_at < $2")
            .bind(from)
            .bind(to);
        for row in rows.fetch_all(self.reader()).await? {
            left.add_call(&from_json::<CallEnd>(&row.get::<String>("call")?, &row.get::<String>("fact")?)?);
        }
        Ok(self.lasting_sums(day).await?.without(left.rows().iter()))
    }
}

/// Begins a transaction of retention. Where the notes of what is erased are not those that the chain holds, nothing is erased and
/// nothing sealed: that would make right what somebody changed.
pub(crate) async fn begin(transaction: &mut Transaction) -> Result<Link, StoreError> {
    let link = Link::begin(transaction).await?;
    let last = query("SELECT digest FROM batches WHERE segment = $1 ORDER BY seq DESC LIMIT 1").bind(RETENTION);
    if let Some(chained) = last.scalar::<Vec<u8>>(&mut *transaction).await?
        && Digest::of_bytes(&chained) != digest_of(&noted(transaction).await?)
    {
        let what = "what retention has noted of erased days".to_owned();
        let reason = "it is not what the chain holds; `freehold ledger verify` says more, and nothing is erased until it is restored";
        return Err(StoreError::Unreadable { what, reason: reason.to_owned() });
    }
    Ok(link)
}

async fn noted(transaction: &mut Transaction) -> Result<Vec<ErasedDay>, StoreError> {
    let rows = query("SELECT * FROM erased ORDER BY start").fetch_all(transaction).await?;
    rows.iter().map(erased_day).collect()
}

/// Counts facts that are about to be erased, by the day of `at`.
pub(crate) async fn note(
    transaction: &mut Transaction,
    facts: impl Iterator<Item = (i64, Digest, bool)>,
) -> Result<(), StoreError> {
    let mut days: BTreeMap<i64, (i64, i64, Digest)> = BTreeMap::new();
    for (at, digest, is_call) in facts {
        let day = days.entry(start_of(UnixMs(at), DAY_MS)).or_default();
        day.0 += i64::from(!is_call);
        day.1 += i64::from(is_call);
        day.2.join(digest);
    }
    for (start, (attempts, calls, mut digest)) in days {
        let known = query("SELECT digest FROM erased WHERE start = $1").bind(start);
        if let Some(known) = known.scalar::<Vec<u8>>(&mut *transaction).await? {
            digest.join(Digest::of_bytes(&known));
        }
        query(
            "INSERT INTO erased (start, attempts, calls, digest) VALUES ($1, $2, $3, $4)
             ON CONFLICT (start) DO UPDATE SET attempts = erased.attempts + excluded.attempts,
                 calls = erased.calls + excluded.calls, digest = excluded.digest, sums = NULL",
        )
        .bind(start)
        .bind(attempts)
        .bind(calls)
        .bind(digest.bytes())
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// Ends a transaction of retention: the chain goes on over what is erased by now.
pub(crate) async fn close(mut transaction: Transaction, mut link: Link) -> Result<(), StoreError> {
    link.of(RETENTION, 0, 0);
    let days = noted(&mut transaction).await?;
    link.close(&mut transaction, &Seal::over(digest_of(&days))).await?;
    Ok(transaction.commit().await?)
}

fn erased_day(row: &Row) -> Result<ErasedDay, StoreError> {
    Ok(ErasedDay {
        start: UnixMs(row.get("start")?),
        attempts: row.get("attempts")?,
        calls: row.get("calls")?,
        digest: Digest::of_bytes(&row.get::<Vec<u8>>("digest")?),
        sums: row.get("sums")?,
    })
}
