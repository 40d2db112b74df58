//! The checked configuration: one immutable value that everything is decided by, swapped whole.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use domain::{UnixMs, WorkflowName};

use crate::budgets::{Organisation, Unit};
use crate::capacity::BoughtCapacity;
use crate::concentration::ConcentrationRule;
use crate::contracts::Contract;
use crate::criticality::Criticality;
use crate::defaults::Defaults;
use crate::lanes::Lane;
use crate::mcp::McpServer;
use crate::models::Model;
use crate::notify::Notify;
use crate::problem::Problem;
use crate::providers::Provider;
use crate::server::Server;
use crate::workflows::Workflow;

/// A configuration without errors.
#[derive(Clone)]
pub struct Snapshot {
    /// 12 hex digits of a hash over the text and the catalog.
    pub revision: String,
    /// The file as written; no secret can be in it, only where secrets are found.
    pub text: Arc<str>,
    /// When it was checked.
    pub checked_at: UnixMs,
    /// How the process itself behaves.
    pub server: Server,
    /// What holds for calls that name a lane or model directly.
    pub defaults: Defaults,
    /// Who can be called, in declared order.
    pub providers: Vec<Arc<Provider>>,
    /// Which models, in declared order; a `routing::ModelIndex` counts here.
    pub models: Vec<Arc<Model>>,
    /// Pools of models, in declared order; a `routing::LaneIndex` counts here.
    pub lanes: Vec<Arc<Lane>>,
    /// Policy classes, the most critical first; a `routing::CriticalityIndex` counts here.
    pub criticality: Vec<Arc<Criticality>>,
    /// What one vendor may have of their traffic, in declared order.
    pub concentration: Vec<ConcentrationRule>,
    /// Everything it serves together.
    pub organisation: Organisation,
    /// Parts of the organisation, in declared order.
    pub units: Vec<Arc<Unit>>,
    /// What applications ask for.
    pub workflows: BTreeMap<WorkflowName, Arc<Workflow>>,
    /// Other names for it.
    pub aliases: BTreeMap<String, WorkflowName>,
    /// Servers of tools, in declared order.
    pub mcp: Vec<Arc<McpServer>>,
    /// What was agreed with providers, in declared order.
    pub contracts: Vec<Contract>,
    /// What was bought by the hour, in declared order.
    pub capacities: Vec<BoughtCapacity>,
    /// Whom it tells what budgets have reached.
    pub notify: Option<Notify>,
    /// What probably does something else than its author expects.
    pub warnings: Vec<Problem>,
}

/// What the `model` of a request means.
#[derive(Clone, PartialEq, Debug)]
pub enum Resolved {
    /// A workflow, named itself or by an alias.
    Workflow(Arc<Workflow>),
    /// `lane:NAME`.
    Lane(Arc<Lane>),
    /// `model:NAME`.
    Model(Arc<Model>),
}

impl Snapshot {
    /// What `asked` means: a workflow, an alias, `lane:NAME` or `model:NAME`.
    pub fn resolve(&self, asked: &str) -> Option<Resolved> {
        if let Some(name) = asked.strip_prefix("lane:") {
            return self.lanes.iter().find(|lane| lane.name.as_str() == name).cloned().map(Resolved::Lane);
        }
        if let Some(name) = asked.strip_prefix("model:") {
            return self.models.iter().find(|model| model.name.as_str() == name).cloned().map(Resolved::Model);
        }
        let name = self.aliases.get(asked).map_or(asked, WorkflowName::as_str);
        self.workflows.get(name).cloned().map(Resolved::Workflow)
    }

    /// The aliases of a workflow, by name.
    pub fn aliases_of<'s>(&'s self, workflow: &'s WorkflowName) -> impl Iterator<Item = &'s str> {
        self.aliases.iter().filter(move |(_, name)| *name == workflow).map(|(alias, _)| alias.as_str())
    }
}

impl fmt::Debug for Snapshot {
    /// Its revision and sizes: what a log line has room for, and nothing from the file's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.revision)
            .field("providers", &self.providers.len())
            .field("models", &self.models.len())
            .field("lanes", &self.lanes.len())
            .field("workflows", &self.workflows.len())
            .field("warnings", &self.warnings.len())
            .finish_non_exhaustive()
    }
}
