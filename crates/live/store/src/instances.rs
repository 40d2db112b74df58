//! Which processes serve from this database: an instance is a data folder, an incarnation of it is one process.

use domain::UnixMs;

use crate::open::{Store, StoreError};
use crate::sql::{Dialect, Row, Transaction, query};

/// So long after the end of its process what an instance took of rates may still count, milliseconds: their minute and a second.
const RATES_COUNT_MS: u64 = 61_000;

/// An instance, as far as the database knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceRow {
    /// Its name, which its data folder keeps.
    pub instance: String,
    /// Its latest process.
    pub incarnation: String,
    /// The folder of that process: host, device and inode, which a copy does not share.
    pub place: String,
    /// When that process began.
    pub started_at: UnixMs,
    /// Until when it may spend of what it leased, by the database's clock.
    pub lease_ends: UnixMs,
    /// When it ended in order.
    pub ended_at: Option<UnixMs>,
    /// The database's clock now.
    pub now: UnixMs,
}

/// What one process is called here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incarnation {
    /// The instance.
    pub instance: String,
    /// The process.
    pub incarnation: String,
}

impl InstanceRow {
    /// Whether its process may still be spending.
    pub fn is_live(&self) -> bool {
        self.ended_at.is_none() && self.now < self.lease_ends
    }
}

impl Store {
    /// Begins a process of an instance; the one before is told so when it asks for anything again. Refused while a process
    /// in another place has the name and its lease lasts: its data folder was copied.
    pub async fn begin_instance(&self, who: &Incarnation, place: &str, lease_ms: u64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        let sql = transaction.dialect().pick(
            "SELECT * FROM instances WHERE instance = $1",
            "SELECT * FROM instances WHERE instance = $1 FOR UPDATE",
        );
        let known = query(sql).bind(&who.instance).fetch_optional(&mut transaction).await?;
        if let Some(known) = known.map(|row| instance_row(&row, now)).transpose()?
            && self.is_shared()
            && known.place != place
            && known.is_live()
        {
            let left_s = known.lease_ends.since(now).div_ceil(1_000);
            return Err(StoreError::Elsewhere(format!(
                "instance {} is served from another data folder ({}); if this one is a copy of it, delete the file \
                 `instance` here; if that one is gone, its lease ends in {left_s} s",
                who.instance, known.place
            )));
        }
        // What the process before had of rates, if it ended over a minute ago.
        query(
            "DELETE FROM leases WHERE instance = $1 AND budget LIKE '%\"window\":\"minute\"%' AND EXISTS (
                 SELECT 1 FROM instances WHERE instances.instance = $1 AND COALESCE(ended_at, lease_ends) < $2)",
        )
        .bind(&who.instance)
        .bind((now - RATES_COUNT_MS).0)
        .execute(&mut transaction)
        .await?;
        query(
            "INSERT INTO instances (instance, incarnation, place, started_at, lease_ends) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (instance) DO UPDATE SET incarnation = excluded.incarnation, place = excluded.place,
                 started_at = excluded.started_at, lease_ends = excluded.lease_ends, ended_at = NULL",
        )
        .bind(&who.instance)
        .bind(&who.incarnation)
        .bind(place)
        .bind(now.0)
        .bind((now + lease_ms).0)
        .execute(&mut transaction)
        .await?;
        if transaction.dialect() == Dialect::Sqlite {
            // Whatever was taken over under another name, or before there were names, is this one's: there is no other.
            for sql in [
                "UPDATE intents SET instance = $1 WHERE instance <> $1",
                "UPDATE segments SET instance = $1 WHERE instance <> $1",
                "UPDATE attempts SET instance = $1 WHERE instance <> $1 AND cost_kind = 'at_most'",
            ] {
                query(sql).bind(&who.instance).execute(&mut transaction).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Notes that a process ended in order. What it leased has been given back before.
    pub async fn end_instance(&self, who: &Incarnation) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        query("UPDATE instances SET ended_at = $3, lease_ends = $3 WHERE instance = $1 AND incarnation = $2")
            .bind(&who.instance)
            .bind(&who.incarnation)
            .bind(now.0)
            .execute(&mut transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Every instance that ever served, by name.
    pub async fn instances(&self) -> Result<Vec<InstanceRow>, StoreError> {
        let mut transaction = self.begin().await?;
        let now = clock(&mut transaction).await?;
        let rows = query("SELECT * FROM instances ORDER BY instance").fetch_all(&mut transaction).await?;
        rows.iter().map(|row| instance_row(row, now)).collect()
    }
}

/// The database's clock, the one that leases end by.
pub(crate) async fn clock(transaction: &mut Transaction) -> Result<UnixMs, StoreError> {
    let sql = transaction.dialect().pick(
        "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    );
    let now = query(sql).scalar(transaction).await?;
    Ok(UnixMs(now.unwrap_or_default()))
}

fn instance_row(row: &Row, now: UnixMs) -> Result<InstanceRow, StoreError> {
    Ok(InstanceRow {
        instance: row.get("instance")?,
        incarnation: row.get("incarnation")?,
        place: row.get("place")?,
        started_at: UnixMs(row.get("started_at")?),
        lease_ends: UnixMs(row.get("lease_ends")?),
        ended_at: row.get::<Option<i64>>("ended_at")?.map(UnixMs),
        now,
    })
}
