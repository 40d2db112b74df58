//! How lanes kept what they promise: good and bad events as an instance counted them, so that its budgets of errors outlive it.

use domain::UnixMs;

use crate::open::{Store, StoreError, signed};
use crate::sql::query;

/// The events of one bucket of one promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneEvents {
    /// Whose promise.
    pub lane: String,
    /// What is counted.
    pub indicator: String,
    /// What was good, milliseconds; 0 where nothing is measured.
    pub within_ms: u64,
    /// How wide the bucket is, milliseconds.
    pub width_ms: u64,
    /// When it begins.
    pub start: UnixMs,
    /// As promised.
    pub good: u64,
    /// Not.
    pub bad: u64,
}

impl Store {
    /// Keeps buckets of this instance; one that is kept already is replaced.
    pub async fn keep_lane_events(&self, events: &[LaneEvents]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for one in events {
            query(
                "INSERT INTO lane_events (instance, lane, indicator, within_ms, width_ms, start, good, bad)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (instance, lane, indicator, within_ms, width_ms, start) DO UPDATE SET
                     good = excluded.good, bad = excluded.bad",
            )
            .bind(self.instance())
            .bind(&one.lane)
            .bind(&one.indicator)
            .bind(signed(one.within_ms))
            .bind(signed(one.width_ms))
            .bind(one.start.0)
            .bind(signed(one.good))
            .bind(signed(one.bad))
            .execute(&mut transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The buckets of this instance of one width that begin at `from` or later, oldest first.
    pub async fn lane_events(&self, width_ms: u64, from: UnixMs) -> Result<Vec<LaneEvents>, StoreError> {
        let sql = "SELECT lane, indicator, within_ms, start, good, bad FROM lane_events
                   WHERE instance = $1 AND width_ms = $2 AND start >= $3 ORDER BY start";
        let rows = query(sql).bind(self.instance()).bind(signed(width_ms)).bind(from.0);
        let rows = rows.fetch_all(self.reader()).await?;
        rows.iter()
            .map(|row| {
                Ok(LaneEvents {
                    lane: row.get("lane")?,
                    indicator: row.get("indicator")?,
                    within_ms: row.count("within_ms")?,
                    width_ms,
                    start: UnixMs(row.get("start")?),
                    good: row.count("good")?,
                    bad: row.count("bad")?,
                })
            })
            .collect()
    }

    /// Forgets buckets of one width that began before, of every instance.
    pub async fn forget_lane_events(&self, width_ms: u64, before: UnixMs) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let forgotten = query("DELETE FROM lane_events WHERE width_ms = $1 AND start < $2")
            .bind(signed(width_ms))
            .bind(before.0)
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(forgotten)
    }
}
