//! What is out of the ordinary: prices, tiers and first tokens of models, and what workflows spend. Each attempt that ends is looked
//! at once, without a database and in a few hundred nanoseconds; what is found moves the next call already, where its lane says so.
//!
//! [`model`] is what is known of one model, [`spend`] what workflows spend, [`told`] what was found and how it is told.

use std::sync::Arc;

use arc_swap::ArcSwap;
use config::{OnAnomaly, Workflow};
use domain::{NanoUsd, Record, UnixMs, WorkflowName};
use ledger::PriceRow;
use parking_lot::Mutex;
use routing::anomaly::{Kind, Turn};
use routing::{Kept, ModelIndex, Move, Mover, Permille, Place};
use wire::AskedTier;

use crate::clock;
use crate::deployed::{Deployed, Slot};
use crate::metrics::Metrics;

pub mod model;
pub mod saved;
pub mod spend;
pub mod told;
#[cfg(test)]
mod tests;

use spend::Spends;
use told::{Anomaly, Told};

/// What watches every attempt.
#[derive(Default)]
pub struct Watch {
    spends: Mutex<Spends>,
    /// The workflows that spend more than usual, for calls to read without a lock.
    spending: ArcSwap<Vec<Spending>>,
    told: Mutex<Told>,
    /// One at a time lays the moves, so that the last one to have looked is the last one to lay.
    laying: Mutex<()>,
}

/// A workflow that spends more than usual.
#[derive(Clone)]
struct Spending {
    workflow: WorkflowName,
    since: UnixMs,
    reason: Arc<str>,
}

/// An attempt that ended, with what its record does not say.
pub struct Ended<'a> {
    /// Its record.
    pub record: &'a Record,
    /// What is known of its model.
    pub slot: &'a Slot,
    /// The price it was booked by.
    pub row: Option<&'a PriceRow>,
    /// The tier the client asked for; absent where that cannot be told.
    pub asked: Option<AskedTier>,
    /// Whether it was streamed: the first token of a whole answer is its last.
    pub streamed: bool,
    /// What the call should have cost here.
    pub expected_cost: Option<NanoUsd>,
    /// What it should have cost where it would have begun if nothing were moved.
    pub usual_cost: Option<NanoUsd>,
}

/// Something begins, changes or ends.
struct Found {
    kind: Kind,
    subject: String,
    turn: Turn,
    factor_milli: u64,
    reason: String,
}

impl Watch {
    /// Looks at an attempt that ended. What it changes holds when this returns.
    pub fn look(&self, ended: &Ended<'_>, deployed: &ArcSwap<Deployed>, metrics: &Metrics) {
        let mut found = Vec::new();
        ended.slot.watch.lock().look(ended, &mut found);
        let spends = self.spending.load();
        let moved =
            ended.record.intent.workflow.as_ref().is_some_and(|name| spends.iter().any(|one| one.workflow == *name));
        self.spends.lock().book(ended, moved, &mut found);
        if !found.is_empty() {
            self.tell(found, ended.record.ended_at, &deployed.load(), metrics);
        }
    }

    /// Closes what is over where nothing happens; once a minute is enough.
    pub fn tick(&self, deployed: &Deployed, metrics: &Metrics) {
        let (now, mut found) = (clock::now(), Vec::new());
        for (model, slot) in deployed.snapshot.models.iter().zip(&deployed.slots) {
            slot.watch.lock().tick(&model.name, now, &mut found);
        }
        self.spends.lock().tick(now, &mut found);
        if !found.is_empty() {
            self.tell(found, now, deployed, metrics);
        }
    }

    /// Takes over a configuration: a price that was put right begins anew, and lanes may lead elsewhere now.
    pub fn redeployed(&self, deployed: &Deployed, metrics: &Metrics) {
        let mut found = Vec::new();
        for (model, slot) in deployed.snapshot.models.iter().zip(&deployed.slots) {
            let row = model.price_at(deployed.since);
            slot.watch.lock().priced(&model.name, row, deployed.since, &mut found);
        }
        self.spends.lock().keep(|name| deployed.snapshot.workflows.contains_key(name));
        self.tell(found, deployed.since, deployed, metrics);
    }

    fn tell(&self, found: Vec<Found>, now: UnixMs, deployed: &Deployed, metrics: &Metrics) {
        for one in found {
            let moves = one.kind == Kind::Spend || leads_elsewhere(deployed, &one);
            self.told.lock().note(one, now, moves, metrics);
        }
        let spending = self.spends.lock().standing();
        self.spending.store(Arc::new(spending));
        self.lay(deployed);
    }

    /// Lays the moves that follow from what stands.
    fn lay(&self, deployed: &Deployed) {
        let _one_at_a_time = self.laying.lock();
        let mut moves = Vec::new();
        for lane in &deployed.snapshot.lanes {
            for index in &lane.models {
                let watch = deployed.slots[*index].watch.lock();
                for (kind, kept, reason, since) in watch.standing() {
                    if lane.on_anomaly.of(kind) == OnAnomaly::ChangeLane {
                        let from = Place::ModelOf(lane.index, *index);
                        moves.push(Move { by: Mover::Anomaly, from, kept, reason: reason.into(), since });
                    }
                }
            }
        }
        deployed.steering.set(Mover::Anomaly, moves);
    }

    /// What holds for the calls of a workflow that spends more than usual and says `change_lane`: the moves of all, and that it
    /// leaves every model but its cheapest. `None` where the moves of all are what holds.
    pub fn moves_of<'m>(
        &self,
        workflow: Option<&Workflow>,
        moves: &[Arc<Move>],
        models: impl Iterator<Item = &'m ModelIndex>,
    ) -> Option<Vec<Arc<Move>>> {
        let workflow = workflow.filter(|workflow| workflow.on_spend == OnAnomaly::ChangeLane)?;
        let spending = self.spending.load();
        let Spending { since, reason, .. } = spending.iter().find(|one| one.workflow == workflow.name)?;
        let away = |model: &ModelIndex| {
            let kept = Kept::UnlessDearer { share: Permille::NONE, times_milli: 1_000 };
            let from = Place::Model(*model);
            Arc::new(Move { by: Mover::Anomaly, from, kept, reason: reason.clone(), since: *since })
        };
        Some(moves.iter().cloned().chain(models.map(away)).collect())
    }

    /// What stands and what is over, the newest first.
    pub fn anomalies(&self) -> Vec<Anomaly> {
        self.told.lock().newest_first()
    }

    /// Every series that is watched, as it is drawn.
    pub fn series(&self, deployed: &Deployed) -> Vec<told::Drawing> {
        let mut drawings = self.spends.lock().drawings();
        for (model, slot) in deployed.snapshot.models.iter().zip(&deployed.slots) {
            drawings.extend(slot.watch.lock().drawing(&model.name));
        }
        drawings
    }
}

/// Whether a lane of the model that something was found of leads its calls elsewhere.
fn leads_elsewhere(deployed: &Deployed, found: &Found) -> bool {
    let snapshot = &deployed.snapshot;
    let of_model = |index: &ModelIndex| told::of_model(&snapshot.models[*index].name) == found.subject;
    let mut lanes = snapshot.lanes.iter().filter(|lane| lane.models.iter().any(of_model));
    lanes.any(|lane| lane.on_anomaly.of(found.kind) == OnAnomaly::ChangeLane)
}
