//! What the cache gave again and what that saved: sums by the day, kept for ever. Memos: no money of the journal is in them.

use std::collections::BTreeMap;

use domain::{CacheUse, CallEnd, Likeness, NanoUsd, UnixMs};

use crate::open::{Store, StoreError};
use crate::rollup::{DAY_MS, LARGEST_SUMMAND, start_of};
use crate::rows::{Again, Rows, Table};
use crate::sql::{Row, Transaction, query};

const CACHE_DAYS: Table = Table {
    into: "cache_days (start, workflow, likeness, hits, saved_nano, compared, differing)",
    columns: 7,
    key: "start, workflow, likeness",
    again: Again::Update(
        "hits = cache_days.hits + excluded.hits,
         saved_nano = CASE WHEN cache_days.saved_nano > 9000000000000000000 - excluded.saved_nano
             THEN 9000000000000000000 ELSE cache_days.saved_nano + excluded.saved_nano END,
         compared = cache_days.compared + excluded.compared,
         differing = cache_days.differing + excluded.differing",
    ),
};

/// What the cache gave again of one workflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheSum {
    /// Calls that were answered with what was kept.
    pub hits: u64,
    /// What they would have cost.
    pub saved: NanoUsd,
    /// Calls for which something was kept, and a model was asked all the same to compare.
    pub compared: u64,
    /// Those of them whose two answers did not say the same.
    pub differing: u64,
}

/// Sums of a batch: hits, saved, compared, differing.
#[derive(Default)]
pub(crate) struct CacheFacts(BTreeMap<(i64, String, &'static str), [i64; 4]>);

impl CacheFacts {
    pub fn add(&mut self, call: &CallEnd) {
        let Some(CacheUse { likeness, saved, agrees, .. }) = call.cache.as_deref() else { return };
        let likeness = match likeness {
            Likeness::Exact => "exact",
            Likeness::Near { .. } => "near",
        };
        let workflow = call.workflow.as_ref().map(ToString::to_string).unwrap_or_default();
        let sums = self.0.entry((start_of(call.ended_at, DAY_MS), workflow, likeness)).or_default();
        sums[0] += i64::from(agrees.is_none());
        sums[1] = sums[1].saturating_add(saved.0.clamp(0, LARGEST_SUMMAND));
        sums[2] += i64::from(agrees.is_some());
        sums[3] += i64::from(*agrees == Some(false));
    }

    pub async fn insert(&self, transaction: &mut Transaction) -> Result<(), StoreError> {
        let mut rows = Rows::default();
        for ((start, workflow, likeness), sums) in &self.0 {
            rows.whole(*start);
            rows.text(workflow.clone());
            rows.word(likeness);
            sums.iter().for_each(|sum| rows.whole(*sum));
        }
        CACHE_DAYS.insert(transaction, &mut rows).await.map(drop)
    }
}

impl Store {
    /// What the cache gave again in days that began in `from..to`: by workflow, of requests that said the same and of those that
    /// were near.
    pub async fn cache_sums(
        &self,
        from: UnixMs,
        to: UnixMs,
    ) -> Result<BTreeMap<String, (CacheSum, CacheSum)>, StoreError> {
        let sql =
            "SELECT workflow, likeness, CAST(SUM(hits) AS BIGINT) AS hits, CAST(SUM(saved_nano) AS BIGINT) AS saved,
                          CAST(SUM(compared) AS BIGINT) AS compared, CAST(SUM(differing) AS BIGINT) AS differing
                   FROM cache_days WHERE start >= $1 AND start < $2 GROUP BY workflow, likeness";
        let rows = query(sql).bind(from.0).bind(to.0).fetch_all(self.reader()).await?;
        let mut sums: BTreeMap<String, (CacheSum, CacheSum)> = BTreeMap::new();
        for row in &rows {
            let of = sums.entry(row.get("workflow")?).or_default();
            let near = row.get::<String>("likeness")? == "near";
            *(if near { &mut of.1 } else { &mut of.0 }) = sum(row)?;
        }
        Ok(sums)
    }
}

fn sum(row: &Row) -> Result<CacheSum, StoreError> {
    let count = |name| row.get::<i64>(name).map(i64::unsigned_abs);
    Ok(CacheSum {
        hits: count("hits")?,
        saved: NanoUsd(row.get("saved")?),
        compared: count("compared")?,
        differing: count("differing")?,
    })
}
