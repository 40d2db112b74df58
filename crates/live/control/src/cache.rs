//! What the cache keeps on this instance, and what answers given again would have cost. A memo: nothing of it is booked, and no
//! charge is made of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::{NanoUsd, UnixMs, WorkflowName};
use routing::share::interval;
use serde::Serialize;
use store::rollup::{DAY_MS, start_of};
use store::{AuditLine, CacheSum, Store, StoreError};

use crate::control::Control;
use crate::failure::ControlError;
use crate::views::{CacheNow, ThresholdNow};

/// What the cache keeps now, and what it gave again in a stretch of days.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CacheView {
    /// From this day on.
    pub from: UnixMs,
    /// What this instance keeps.
    pub now: CacheNow,
    /// By workflow: those that have a cache, and those that had one in that time.
    pub workflows: Vec<CachedWorkflow>,
}

/// What the cache gave again of one workflow, on all instances.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CachedWorkflow {
    /// Which.
    pub workflow: String,
    /// Its rule in words; absent where it has none now.
    pub rule: Option<String>,
    /// Answers this instance keeps for it.
    pub entries: u64,
    /// To requests that said the same.
    pub exact: Given,
    /// To requests that were near.
    pub near: Given,
    /// Whether it answers what is near, and how near that must be on this instance.
    pub threshold: Option<ThresholdNow>,
}

/// What was given again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Given {
    /// Calls answered so.
    pub hits: u64,
    /// What they would have cost.
    #[serde(rename = "saved_nano_usd")]
    pub saved: NanoUsd,
    /// Calls for which a model was asked all the same.
    pub compared: u64,
    /// Those of them whose two answers did not say the same.
    pub differing: u64,
}

impl From<CacheSum> for Given {
    fn from(sum: CacheSum) -> Given {
        let CacheSum { hits, saved, compared, differing } = sum;
        Given { hits, saved, compared, differing }
    }
}

impl Given {
    /// The share of compared hits whose answers differed, with the interval of 95 percent it lies in, thousandths of a percent: the
    /// lower end, the share, the upper end. Absent where nothing was compared.
    pub fn differing_millipercent(&self) -> Option<[u32; 3]> {
        let share = |share: f64| (share * 100_000.0).round() as u32;
        let (lower, upper) = interval(self.differing, self.compared);
        let middle = self.differing.saturating_mul(100_000).checked_div(self.compared)?;
        Some([share(lower), u32::try_from(middle).ok()?, share(upper)])
    }
}

impl CachedWorkflow {
    /// A row for each likeness that anything was given by.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &'static str, &Given)> {
        let rows = [("exact", &self.exact), ("near", &self.near)].into_iter();
        rows.filter(|(_, given)| **given != Given::default())
            .map(|(likeness, given)| (self.workflow.as_str(), likeness, given))
    }

    /// What all of it would have cost.
    pub fn saved(&self) -> NanoUsd {
        self.exact.saved + self.near.saved
    }
}

/// What the cache gave again in days that began in `from..to`, by workflow.
pub async fn given(store: &Store, from: UnixMs, to: UnixMs) -> Result<Vec<CachedWorkflow>, StoreError> {
    let sums = store.cache_sums(from, to).await?.into_iter();
    let workflow = |(workflow, (exact, near)): (String, (CacheSum, CacheSum))| CachedWorkflow {
        workflow,
        exact: exact.into(),
        near: near.into(),
        ..CachedWorkflow::default()
    };
    Ok(sums.map(workflow).collect())
}

/// The report as a table.
pub fn table(workflows: &[CachedWorkflow]) -> String {
    let mut text = String::new();
    let mut line = |columns: [&str; 6]| {
        let [workflow, likeness, hits, saved, compared, differing] = columns;
        writeln!(text, "{workflow:<24} {likeness:<8} {hits:>10} {saved:>16} {compared:>9} {differing:>9}")
            .expect("writing to a string cannot fail");
    };
    line(["workflow", "likeness", "hits", "saved, USD", "compared", "differing"]);
    for (workflow, likeness, given) in workflows.iter().flat_map(CachedWorkflow::rows) {
        let counts = [given.hits, given.compared, given.differing].map(|count| count.to_string());
        line([workflow, likeness, &counts[0], &given.saved.to_string(), &counts[1], &counts[2]]);
    }
    text
}

impl Control {
    /// What the cache keeps, and what it gave again in the last days, of which today is the last.
    pub async fn cache(&self, days: u32) -> Result<CacheView, ControlError> {
        let today = start_of(self.now(), DAY_MS);
        let from = UnixMs(today - (i64::from(days.max(1)) - 1) * DAY_MS);
        let now = self.running().cache();
        let (snapshot, _) = self.running().snapshot();
        let mut workflows: BTreeMap<String, CachedWorkflow> = given(self.store(), from, UnixMs(today + DAY_MS))
            .await?
            .into_iter()
            .map(|workflow| (workflow.workflow.clone(), workflow))
            .collect();
        for workflow in snapshot.workflows.values() {
            let Some(rule) = &workflow.cache else { continue };
            let name = workflow.name.to_string();
            let of = workflows
                .entry(name.clone())
                .or_insert_with(|| CachedWorkflow { workflow: name, ..Default::default() });
            of.rule = Some(rule.text());
            of.entries = now.entries.get(&workflow.name).copied().unwrap_or(0);
            of.threshold = rule.near.map(|near| {
                now.thresholds.get(&workflow.name).cloned().unwrap_or(ThresholdNow {
                    milli: near.threshold_milli,
                    declared_milli: near.threshold_milli,
                    ..ThresholdNow::default()
                })
            });
        }
        Ok(CacheView { from, now, workflows: workflows.into_values().collect() })
    }

    /// Throws away, for `by`, what this instance keeps for a workflow, or everything; how many answers that were.
    pub async fn purge_cache(&self, workflow: Option<&str>, by: &str) -> Result<u64, ControlError> {
        let name = workflow.map(WorkflowName::from);
        let purged = self.running().purge_cache(name.as_ref());
        let of = workflow.map_or_else(|| "everything".to_owned(), |workflow| format!("workflow {workflow}"));
        let detail = format!("{of}: {purged} answers");
        self.store()
            .audit(&AuditLine { at: self.now(), who: by.to_owned(), what: "cache.purge".into(), detail })
            .await?;
        Ok(purged)
    }
}
