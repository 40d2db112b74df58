//! From text to snapshot: every section in the order in which they build on each other, and no stop at the first problem.

use std::sync::Arc;

use domain::UnixMs;

use crate::budgets::Budget;
use crate::catalog::Catalog;
use crate::criticality::Criticality;
use crate::key::{Key, Section};
use crate::models::{Agreed, Model};
use crate::names::Declared;
use crate::problem::{Problem, Problems};
use crate::raw::{self, Table};
use crate::secret::Vault;
use crate::snapshot::Snapshot;
use crate::workflows::{Parts, Workflow};
use crate::{
    aliases, budgets, capacity, concentration, contracts, criticality, defaults, lanes, mcp, models, notify, providers,
    server, workflows,
};

/// Everything a check depends on.
pub struct Input<'a> {
    /// How problems call the file.
    pub file_name: &'a str,
    /// The file.
    pub text: &'a str,
    /// What is known of providers, models and prices.
    pub catalog: &'a Catalog,
    /// The value of an environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The content of a secret file, or why it cannot be read.
    pub read_secret_file: &'a dyn Fn(&str) -> Result<String, String>,
    /// What time it is: terms expire, prices change.
    pub now: UnixMs,
}

/// The sections of the file.
pub const ROOT: Section = Section {
    path: "",
    about: "",
    keys: &[
        section("server"),
        section("defaults"),
        section("providers"),
        section("models"),
        section("contracts"),
        section("capacity"),
        section("lanes"),
        section("criticality"),
        section("concentration"),
        section("organisation"),
        section("units"),
        section("workflows"),
        section("aliases"),
        section("mcp"),
        section("notify"),
    ],
    meters: false,
};

const fn section(name: &'static str) -> Key {
    Key { name, takes: "table", default: "", meaning: "", example: "" }
}

/// Checks a configuration. Without an error: the snapshot, its warnings inside. Else every problem, in the order of
/// the file, warnings included.
pub fn check(input: &Input) -> Result<Snapshot, Vec<Problem>> {
    read(input, Vault::Open { environment: input.environment, read_file: input.read_secret_file })
}

/// Checks a text as if every secret and file it names were there: for comparing with a configuration that runs on another
/// machine. The snapshot can be explained and compared, not served with.
pub fn check_elsewhere(file_name: &str, text: &str, catalog: &Catalog, now: UnixMs) -> Result<Snapshot, Vec<Problem>> {
    let nothing = |_: &str| None;
    let no_file = |_: &str| Err("not read".to_owned());
    let input = Input { file_name, text, catalog, environment: &nothing, read_secret_file: &no_file, now };
    read(&input, Vault::Assumed)
}

fn read(input: &Input, vault: Vault) -> Result<Snapshot, Vec<Problem>> {
    let problems = Problems::new(input.file_name, input.text);
    let snapshot = raw::parse(input.text, &problems)
        .and_then(|document| sections(input, vault, &Table::root(&document, &ROOT, &problems)));
    let has_errors = problems.has_errors();
    let found = problems.into_sorted();
    match snapshot {
        Some(snapshot) if !has_errors => Ok(Snapshot { warnings: found, ..snapshot }),
        _ => Err(found),
    }
}

fn sections(input: &Input, vault: Vault, root: &Table) -> Option<Snapshot> {
    let server = server::read(root, vault);
    let defaults = defaults::read(root);
    let providers = providers::read(root, input.catalog, defaults.timeouts, vault, input.now);
    let contracts = contracts::read(root, &providers);
    let capacities = capacity::read(root);
    let agreed = Agreed { contracts: &contracts, capacities: &capacities };
    let models = models::read(root, input.catalog, &providers, &agreed, input.now);
    let capacities = capacity::known(root, capacities, &models);
    let lanes = lanes::read(root, &models);
    let criticality = criticality::read(root, &lanes);
    let concentration =
        concentration::read(root, &concentration::Around { criticality: &criticality, lanes: &lanes, models: &models });
    let (organisation, zone) = budgets::organisation(root);
    let units = budgets::units(root, &zone);
    let parts = Parts {
        defaults,
        models: &models,
        lanes: &lanes,
        criticality: &criticality,
        units: &units,
        organisation: &organisation,
        zone,
        has_embedder: server.embedder.is_some(),
        now: input.now,
    };
    let workflows = workflows::read(root, &parts);
    let aliases = aliases::read(root, &workflows);
    let mcp = mcp::read(root, &workflows, defaults.timeouts, vault);
    let notify = notify::read(root, vault);
    unpriced(root.problems(), &models, &workflows, input.now);
    Some(Snapshot {
        revision: revision(input),
        text: input.text.into(),
        checked_at: input.now,
        server,
        defaults,
        providers: values(providers)?,
        models: values(models)?,
        lanes: values(lanes)?,
        criticality: ranked(values(criticality)?),
        concentration,
        units: values(units)?,
        organisation,
        workflows: values(workflows)?.into_iter().map(|workflow| (workflow.name.clone(), workflow)).collect(),
        aliases,
        mcp: values(mcp)?,
        contracts,
        capacities,
        notify,
        warnings: Vec::new(),
    })
}

/// The most critical first.
fn ranked(mut classes: Vec<Arc<Criticality>>) -> Vec<Arc<Criticality>> {
    classes.sort_by_key(|class| class.index);
    classes
}

/// All or none: whatever has no value has left an error.
fn values<T>(declared: Vec<Declared<T>>) -> Option<Vec<T>> {
    declared.into_iter().map(|one| one.value).collect()
}

/// Warns about models without a price, unless a budget has already made that an error.
fn unpriced(problems: &Problems, models: &[Declared<Arc<Model>>], workflows: &[Declared<Arc<Workflow>>], now: UnixMs) {
    let budgeted = |index: usize| {
        let mut with_budget = workflows
            .iter()
            .filter_map(|one| one.value.as_deref())
            .filter(|one| one.budgets.iter().any(Budget::is_hard_money));
        with_budget.any(|workflow| workflow.lanes.iter().any(|hops| hops.models.contains(&index)))
    };
    for declared in models {
        let Some(model) = declared.value.as_deref() else { continue };
        if model.price_at(now).is_some() || budgeted(model.index) {
            continue;
        }
        let valid = if model.prices.is_none() { "" } else { " that is valid now" };
        let reason = format!("has no price{valid}: calls to it are booked as unpriced and raise an alarm");
        let remedy = "give it `price = { input = \"…\", output = \"…\" }` in USD per million tokens";
        problems.warn(&declared.place, reason, remedy);
    }
}

/// 12 hex digits over everything but secrets and time: the same file and catalog are the same revision everywhere.
fn revision(input: &Input) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(input.catalog.digest()).update(input.text.as_bytes());
    hasher.finalize().to_hex().chars().take(12).collect()
}
