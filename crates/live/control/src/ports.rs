//! What control needs to know of the running gateway, named here and answered by the binary: control never imports it.

use std::sync::Arc;

use config::Snapshot;
use domain::{LaneName, ModelName, UnixMs, WorkflowName};
use routing::HealthView;
use routing::slo::LaneStanding;
use store::LaneEvents;

use crate::anomalies::AnomaliesView;
use crate::views::{BudgetNow, BudgetReached, CacheNow, MoveView};

/// The running gateway, as the pages and the admin API see it.
pub trait Running: Send + Sync {
    /// The snapshot calls are decided by, and since when.
    fn snapshot(&self) -> (Arc<Snapshot>, UnixMs);
    /// Health of a model; absent when it is not in the snapshot.
    fn health(&self, model: &ModelName) -> Option<HealthView>;
    /// Providers that could not be given a token when last tried: the provider, since when, and the sentence why.
    fn without_token(&self) -> Vec<(String, UnixMs, String)> {
        Vec::new()
    }
    /// What a lane promises and how it stands; absent where it promises nothing.
    fn lane_standing(&self, _lane: &LaneName) -> Option<LaneStanding> {
        None
    }
    /// What lanes kept of their promises, in buckets that may have changed since `from`.
    fn lane_events(&self, _from: UnixMs) -> Vec<LaneEvents> {
        Vec::new()
    }
    /// Which calls begin elsewhere than their lanes say, and why.
    fn moves(&self) -> Vec<MoveView> {
        Vec::new()
    }
    /// Every budget as it stands.
    fn budgets(&self) -> Vec<BudgetNow>;
    /// Budgets that have reached a share of their limit, newest first.
    fn budgets_reached(&self) -> Vec<BudgetReached> {
        Vec::new()
    }
    /// What the cache of this instance keeps.
    fn cache(&self) -> CacheNow {
        CacheNow::default()
    }
    /// Throws away what this instance keeps for a workflow, or everything; how many answers that were.
    fn purge_cache(&self, _workflow: Option<&WorkflowName>) -> u64 {
        0
    }
    /// What is out of the ordinary.
    fn anomalies(&self) -> AnomaliesView {
        AnomaliesView::default()
    }
    /// Calls being answered.
    fn in_flight(&self) -> u64;
    /// Why the configuration on disk was not taken over; empty when it was.
    fn rejected(&self) -> Vec<String>;
    /// Bytes the spool holds that the store has not taken yet, and the age of the oldest, milliseconds.
    fn spool_behind(&self) -> (u64, u64);
    /// Prometheus text of the gateway.
    fn metrics(&self) -> String;
    /// Asks for the configuration to be read again now.
    fn reload(&self);
}
