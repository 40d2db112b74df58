//! What is out of the ordinary: prices, tiers and first tokens of models, and what workflows spend. Each attempt that ends is looked
//! at at once, without a database; what is found moves the next call already, where its lane says so.
//!
//! [`found`] is what is looked at and what is found, [`model`] what is known of one model, [`spend`] what workflows spend, [`told`] what was found and how it is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use config::{OnAnomaly, Workflow};
use domain::UnixMs;
use parking_lot::Mutex;
use routing::anomaly::Kind;
use routing::{Kept, ModelIndex, Move, Mover, Permille, Place};
use tokio::sync::mpsc;

use crate::clock;
use crate::deployed::{Deployed, Slot};
use crate::metrics::Metrics;

pub mod found;
pub mod model;
pub mod saved;
pub mod spend;
pub mod told;
#[cfg(test)]
mod tests;

use found::{Ended, Found};
use spend::{Spending, Spends};
use told::{Anomaly, Told};

/// What watches every attempt.
#[derive(Default)]
pub struct Watch {
    spends: Mutex<Spends>,
    /// The workflows that spend more than usual, for calls to read without a lock.
    spending: ArcSwap<Vec<Spending>>,
    told: Mutex<Told>,
    /// Who tells others of it.
    teller: OnceLock<mpsc::Sender<Anomaly>>,
    /// What there was no room for to tell.
    pub untold: AtomicU64,
    /// One at a time lays the moves, so that the last one to have looked is the last one to lay.
    laying: Mutex<()>,
}

impl Watch {
    /// Looks at an attempt that ended. What it changes holds when this returns.
    pub fn look(&self, slot: &Slot, ended: &Ended<'_>, deployed: &ArcSwap<Deployed>, metrics: &Metrics) {
        let mut found = Vec::new();
        slot.watch.lock().look(ended, &mut found);
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
        let mut known = self.spends.lock().subjects();
        for (model, slot) in deployed.snapshot.models.iter().zip(&deployed.slots) {
            known.extend(slot.watch.lock().standing().map(|(kind, ..)| (kind, told::of_model(&model.name))));
        }
        self.told.lock().end_others(&known, deployed.since);
    }

    /// Whoever tells others hears of every beginning and end. The channel is bounded; what does not fit is counted. Set once.
    pub fn tell_others(&self, teller: mpsc::Sender<Anomaly>) {
        let _ = self.teller.set(teller);
    }

    fn tell(&self, found: Vec<Found>, now: UnixMs, deployed: &Deployed, metrics: &Metrics) {
        for one in found {
            let moves = leads_elsewhere(deployed, &one);
            let told = self.told.lock().note(one, now, moves, metrics);
            if let (Some(told), Some(teller)) = (told, self.teller.get())
                && teller.try_send(told).is_err()
            {
                self.untold.fetch_add(1, Ordering::Relaxed);
            }
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

    /// What moves the calls of a workflow that spends more than usual and says `change_lane`: they leave every model but its
    /// cheapest.
    pub fn moves_of(&self, workflow: Option<&Workflow>, models: impl Iterator<Item = ModelIndex>) -> Vec<Arc<Move>> {
        let Some(workflow) = workflow.filter(|one| one.on_spend == OnAnomaly::ChangeLane) else { return Vec::new() };
        let spending = self.spending.load();
        let Some(own) = spending.iter().find(|one| one.workflow == workflow.name) else { return Vec::new() };
        let away = |model: ModelIndex| {
            let kept = Kept::UnlessDearer { share: Permille::NONE, times_milli: 1_000 };
            let (from, reason) = (Place::Model(model), own.reason.clone());
            Arc::new(Move { by: Mover::Anomaly, from, kept, reason, since: own.since })
        };
        models.map(away).collect()
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

/// Whether a lane of the model that something was found of, or the workflow, leads calls elsewhere.
fn leads_elsewhere(deployed: &Deployed, found: &Found) -> bool {
    let snapshot = &deployed.snapshot;
    if found.kind == Kind::Spend {
        let mut workflows = snapshot.workflows.values().filter(|workflow| workflow.on_spend == OnAnomaly::ChangeLane);
        return workflows.any(|workflow| told::of_workflow(&workflow.name) == found.subject);
    }
    let of_model = |index: &ModelIndex| told::of_model(&snapshot.models[*index].name) == found.subject;
    let mut lanes = snapshot.lanes.iter().filter(|lane| lane.models.iter().any(of_model));
    lanes.any(|lane| lane.on_anomaly.of(found.kind) == OnAnomaly::ChangeLane)
}
