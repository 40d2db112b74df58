//! What a name in a request means, who may use it, and where it may be processed.

use std::sync::Arc;

use config::{Lane, Model, Snapshot, Workflow};
use domain::Region;

use crate::keys::Key;
use crate::refusal::Refusal;

/// Names listed in a refusal for an unknown model.
const NAMES_IN_HINT: usize = 12;

/// What `model` means.
#[derive(Clone)]
pub enum Target {
    /// A workflow, by name or alias.
    Workflow(Arc<Workflow>),
    /// `lane:NAME`.
    Lane(Arc<Lane>),
    /// `model:NAME`.
    Model(Arc<Model>),
}

impl Target {
    /// The workflow, where there is one.
    pub fn workflow(&self) -> Option<&Arc<Workflow>> {
        match self {
            Target::Workflow(workflow) => Some(workflow),
            Target::Lane(_) | Target::Model(_) => None,
        }
    }
}

/// The workflow of a request that names no model: its header says, or the key may use only one.
pub fn unnamed(header: Option<&str>, key: &Key, snapshot: &Snapshot) -> Result<String, Refusal> {
    if let Some(name) = header {
        return Ok(name.to_owned());
    }
    let allowed = |name: &&domain::WorkflowName| key.grant.workflows.as_ref().is_none_or(|list| list.contains(*name));
    let mut workflows = snapshot.workflows.keys().filter(allowed);
    match (workflows.next(), workflows.next()) {
        (Some(only), None) => Ok(only.to_string()),
        _ => Err(Refusal::Unnamed(hint(key, snapshot))),
    }
}

/// Whether a key may use what was named.
pub fn may_use(key: &Key, target: &Target) -> bool {
    match target {
        Target::Workflow(workflow) => {
            key.grant.workflows.as_ref().is_none_or(|allowed| allowed.contains(&workflow.name))
        }
        Target::Lane(_) | Target::Model(_) => key.grant.direct,
    }
}

/// The names a key may use, for the list of models and for hints.
pub fn names(key: &Key, snapshot: &Snapshot) -> Vec<String> {
    let allowed = |name: &domain::WorkflowName| key.grant.workflows.as_ref().is_none_or(|list| list.contains(name));
    let workflows = snapshot.workflows.keys().filter(|name| allowed(name)).map(ToString::to_string);
    let aliases = snapshot.aliases.iter().filter(|(_, name)| allowed(name)).map(|(alias, _)| alias.clone());
    let mut names: Vec<String> = workflows.chain(aliases).collect();
    if key.grant.direct {
        names.extend(snapshot.lanes.iter().map(|lane| format!("lane:{}", lane.name)));
        names.extend(snapshot.models.iter().map(|model| format!("model:{}", model.name)));
    }
    names
}

/// What a key may name, as a refusal says it.
pub fn hint(key: &Key, snapshot: &Snapshot) -> String {
    let names = names(key, snapshot);
    if names.is_empty() {
        return "this key may not name anything; give it a workflow".to_owned();
    }
    let more = if names.len() > NAMES_IN_HINT { ", …" } else { "" };
    format!("this key may name {}{more}", names[..names.len().min(NAMES_IN_HINT)].join(", "))
}

/// What a client wrote, short enough to be repeated in an error.
pub fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

/// Whether a region is inside what is allowed; an empty list allows everything.
pub fn within(region: Option<&Region>, residency: &[Region]) -> bool {
    residency.is_empty() || region.is_some_and(|region| residency.iter().any(|allowed| region.within(allowed)))
}
