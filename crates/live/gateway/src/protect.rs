//! What may leave, and to whom: the only place that makes a [`Protected`] call, and so the only door to `upstream`.
//! Residency is enforced here; redaction comes with the guard and is until then an error of `freehold check`.

use std::sync::Arc;

use config::{Model, Provider, Snapshot};
use domain::Region;
use routing::{LaneIndex, ModelIndex};
use wire::kept::Thing;

use crate::admit::Admitted;
use crate::refusal::Refusal;
use crate::target::{Target, short, within};

/// A call that may be sent to the models it lists, and to no other. Its fields are private: nothing else makes one.
pub struct Protected {
    admitted: Box<Admitted>,
    snapshot: Arc<Snapshot>,
    lanes: Vec<(Option<LaneIndex>, Vec<ModelIndex>)>,
    note: Option<String>,
}

impl Protected {
    /// The admitted call.
    pub fn call(&self) -> &Admitted {
        &self.admitted
    }

    /// The snapshot it is decided by, from here to its end.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The lanes in order, each with the models that may take the call.
    pub fn lanes(&self) -> &[(Option<LaneIndex>, Vec<ModelIndex>)] {
        &self.lanes
    }

    /// What protection changed, where it changed anything.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

/// Whether any key may name things of this provider's account by their own ids: where its entry says so, and, but for files, where
/// requests that Freehold does not know are passed on, by which alone such things are made.
pub fn is_everybodys(thing: Thing, provider: &Provider) -> bool {
    provider.shared_files || (provider.passthrough && thing != Thing::File)
}

/// Leaves only models inside the workflow's residency. A model whose region nobody declared is outside.
pub fn protect(admitted: Box<Admitted>, snapshot: Arc<Snapshot>) -> Result<Protected, (Box<Admitted>, Refusal)> {
    let residency: &[Region] = admitted.target.workflow().map_or(&[], |workflow| &workflow.residency);
    let is_bound = |model: &Model| admitted.bound_to.as_ref().is_none_or(|bound| bound.provider == model.provider.name);
    let is_shared =
        |model: &Model| admitted.unsealed.as_ref().is_none_or(|named| is_everybodys(named.thing, &model.provider));
    let allowed = |model: &Model| within(model.region.as_ref(), residency);
    let mut excluded = Vec::new();
    let mut keep = |models: &[ModelIndex]| -> Vec<ModelIndex> {
        let (kept, left): (Vec<_>, Vec<_>) = models.iter().partition(|index| allowed(&snapshot.models[**index]));
        excluded.extend(left.into_iter().map(|index: ModelIndex| snapshot.models[index].name.to_string()));
        kept
    };
    let mut lanes: Vec<(Option<LaneIndex>, Vec<ModelIndex>)> = match &admitted.target {
        Target::Workflow(workflow) => workflow.lanes.iter().map(|hops| (Some(hops.lane), keep(&hops.models))).collect(),
        Target::Lane(lane) => vec![(Some(lane.index), keep(&lane.models))],
        Target::Model(model) => vec![(None, keep(&[model.index]))],
    };
    lanes.iter_mut().for_each(|(_, models)| models.retain(|index| is_bound(&snapshot.models[*index])));
    lanes.retain(|(_, models)| !models.is_empty());
    if let Some(bound) = admitted.bound_to.clone().filter(|_| lanes.is_empty()) {
        let (provider, kind, asked) = (bound.provider.to_string(), bound.what, short(&admitted.asked));
        return Err((admitted, Refusal::KeptElsewhere { kind, provider, asked }));
    }
    let within_residency = !lanes.is_empty();
    lanes.iter_mut().for_each(|(_, models)| models.retain(|index| is_shared(&snapshot.models[*index])));
    lanes.retain(|(_, models)| !models.is_empty());
    if let Some(named) = admitted.unsealed.as_ref().filter(|_| within_residency && lanes.is_empty()) {
        let refusal = Refusal::Unsealed { thing: named.thing, id: short(&named.id) };
        return Err((admitted, refusal));
    }
    if lanes.is_empty() {
        let regions = residency.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        let why = format!("residency allows {regions} only, and no model of its lanes is there");
        return Err((admitted, Refusal::NoCandidate { why }));
    }
    let note = (!residency.is_empty()).then(|| {
        let regions = residency.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        match excluded.is_empty() {
            true => format!("residency {regions}: every model of its lanes is inside"),
            false => format!("residency {regions}: left out {}", excluded.join(", ")),
        }
    });
    Ok(Protected { admitted, snapshot, lanes, note })
}
