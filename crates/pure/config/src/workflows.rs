//! `[workflows.*]`: the business tasks applications ask for, with their criticality, budget and residency.

use std::sync::Arc;

use domain::{NanoUsd, Region, UnitName, UnixMs, WorkflowName};
use ledger::Zone;
use routing::{CriticalityIndex, LaneIndex, ModelIndex, RetryPolicy};

use crate::anomalies::{self, OnAnomaly};
use crate::batches::{self, BATCH_CALLS_AT_ONCE_KEY, BATCH_KEY, Batches};
use crate::budgets::{self, AtLimit, BUDGETS_KEY, Budget, Organisation, Sessions, Unit};
use crate::cache::{self, CacheRule};
use crate::criticality::Criticality;
use crate::defaults::{self, Defaults, RETRY_KEY, TIMEOUTS_KEY, TimeoutOverrides};
use crate::hedge::{self, WORKFLOW_CONTINUATION_KEY, WORKFLOW_HEDGE_KEY};
use crate::key::{Key, Section};
use crate::lanes::Lane;
use crate::models::Model;
use crate::names::{Declared, find};
use crate::problem::Place;
use crate::raw::{Named, Table};

/// A business task, as calls are decided by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workflow {
    /// What applications write into `model`.
    pub name: WorkflowName,
    /// The policy class it declares.
    pub criticality: String,
    /// Its place among all, the most critical first.
    pub criticality_index: CriticalityIndex,
    /// The lanes to try in order, each with the models that residency leaves; at least one lane, each with at least
    /// one model.
    pub lanes: Vec<LaneHops>,
    /// The models residency keeps out.
    pub excluded: Vec<Excluded>,
    /// The part of the organisation it belongs to.
    pub unit: Option<UnitName>,
    /// What it may spend.
    pub budgets: Vec<Budget>,
    /// Where its data may be processed; empty means anywhere.
    pub residency: Vec<Region>,
    /// Whether and how long bodies are kept.
    pub capture: Option<CaptureRule>,
    /// Whether an answer given once may be given again.
    pub cache: Option<CacheRule>,
    /// How persistent its calls are.
    pub retry: RetryPolicy,
    /// Deadlines that replace the provider's.
    pub deadlines: TimeoutOverrides,
    /// Cap on the output of a call that names none itself, tokens.
    pub max_output_tokens: Option<u64>,
    /// What becomes of a call that a model can only be told in part.
    pub on_loss: OnLoss,
    /// Whether its calls may be hedged where their lane hedges.
    pub hedges: bool,
    /// Whether its answers that break off go on elsewhere.
    pub continues: bool,
    /// How its batches are run.
    pub batches: Batches,
    /// What spending more than usual leads to.
    pub on_spend: OnAnomaly,
}

/// A lane of a workflow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneHops {
    /// Which lane.
    pub lane: LaneIndex,
    /// Its models that residency leaves, in declared order.
    pub models: Vec<ModelIndex>,
}

/// A model that a workflow may not use, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excluded {
    /// In which lane it stands.
    pub lane: LaneIndex,
    /// Which model.
    pub model: ModelIndex,
    /// Such as `its region us is outside`.
    pub why: String,
}

/// What becomes of a call that a translation would have to change for a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnLoss {
    /// It is sent, and the answer lists what was lost.
    Report,
    /// That model is passed over, and the call refused where every model is.
    Refuse,
}

impl OnLoss {
    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            OnLoss::Report => "report",
            OnLoss::Refuse => "refuse",
        }
    }
}

/// Keep bodies of calls, for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureRule {
    /// How long, days.
    pub retention_days: u32,
    /// How much of each body at most.
    pub max_bytes: usize,
}

/// Keys of `[workflows.NAME]`.
pub const SECTION: Section = Section {
    path: "workflows.NAME",
    about: "The business tasks applications ask for: NAME is what they write into `model`.",
    keys: &[
        Key {
            name: "criticality",
            takes: "text, name of a `[criticality.*]` entry",
            default: "required",
            meaning: "Its policy class, which says through which lanes it goes.",
            example: "\"high\"",
        },
        Key {
            name: "budget",
            takes: "table",
            default: "none",
            meaning: "A limit on what it spends: money is held before a call is sent.",
            example: "{ limit = \"500 USD\", per = \"month\", at_limit = \"downgrade\" }",
        },
        BUDGETS_KEY,
        Key {
            name: "unit",
            takes: "text, name of a `[units.*]` entry",
            default: "none",
            meaning: "The part of the organisation whose budgets its calls count in.",
            example: "\"claims\"",
        },
        Key {
            name: "residency",
            takes: "list of regions",
            default: "anywhere",
            meaning: "Its calls go only to models whose region is one of these or a part of one: `eu-de` lies within `eu`. An unknown region is outside.",
            example: "[\"eu\"]",
        },
        Key {
            name: "capture",
            takes: "table",
            default: "none: only sizes and hashes are kept",
            meaning: "Keep the bodies of its calls for a while, to look at them.",
            example: "{ retention_days = 7 }",
        },
        Key {
            name: "cache",
            takes: "table",
            default: "none: every call goes to a model",
            meaning: "Answer a request that says the same as one before with the answer of then.",
            example: "{ ttl_s = 3600 }",
        },
        RETRY_KEY,
        TIMEOUTS_KEY,
        Key {
            name: "max_output_tokens",
            takes: "tokens, 1 to 1000000000",
            default: "the model's",
            meaning: "Cap on the output of a call that names none itself; bounds what is held for it.",
            example: "4_096",
        },
        Key {
            name: "on_loss",
            takes: "`report` or `refuse`",
            default: "`report`",
            meaning: "What becomes of a call that a model can be told only with something dropped or approximated: it is sent and the `freehold-loss` header lists it, or that model is passed over and the call refused where all are. A cap on the output that a dialect demands counts where neither the client nor `max_output_tokens` nor a budget sets one. What shows only in the answer is reported in either case.",
            example: "\"refuse\"",
        },
        WORKFLOW_HEDGE_KEY,
        WORKFLOW_CONTINUATION_KEY,
        BATCH_KEY,
        BATCH_CALLS_AT_ONCE_KEY,
        anomalies::WORKFLOW_KEY,
        Key {
            name: "redact",
            takes: "`none`",
            default: "`none`",
            meaning: "Redaction is not built in this version; anything else is an error, never ignored.",
            example: "\"none\"",
        },
        Key {
            name: "prompt",
            takes: "nothing yet",
            default: "none",
            meaning: "Prompt releases are not built in this version; the key is an error, never ignored.",
            example: "",
        },
    ],
    meters: false,
};

/// Keys of `capture = { … }`.
pub const CAPTURE: Section = Section {
    path: "workflows.NAME.capture",
    about: "Keep the bodies of calls. They may hold personal data: choose the shortest time that serves.",
    keys: &[
        Key {
            name: "retention_days",
            takes: "days, 1 to 3650",
            default: "required",
            meaning: "How long bodies are kept.",
            example: "7",
        },
        Key {
            name: "max_bytes",
            takes: "bytes, 1 to 1048576",
            default: "65536 (64 KiB)",
            meaning: "How much of each body is kept at most.",
            example: "65_536",
        },
    ],
    meters: false,
};

/// What workflows are built from.
pub(crate) struct Parts<'p, 'd> {
    pub defaults: Defaults,
    pub models: &'p [Declared<'d, Arc<Model>>],
    pub lanes: &'p [Declared<'d, Arc<Lane>>],
    pub criticality: &'p [Declared<'d, Arc<Criticality>>],
    pub units: &'p [Declared<'d, Arc<Unit>>],
    pub organisation: &'p Organisation,
    pub zone: Zone,
    /// Whether the server has something to make vectors with.
    pub has_embedder: bool,
    pub now: UnixMs,
}

/// Reads `[workflows.*]`.
pub(crate) fn read<'d>(root: &Table<'d>, parts: &Parts) -> Vec<Declared<'d, Arc<Workflow>>> {
    let named = root.named("workflows", &SECTION);
    if named.is_empty() && !root.is_spoiled() && !root.has("workflows") {
        let reason = "there is no `[workflows.*]` entry, so only keys that may name lanes and models can call";
        root.problems().warn(&root.place, reason, "add `[workflows.NAME]` with a `criticality`");
    }
    named
        .iter()
        .map(|named| Declared {
            name: named.name,
            place: named.table.place.clone(),
            value: one(named, parts).map(Arc::new),
        })
        .collect()
}

fn one(named: &Named, parts: &Parts) -> Option<Workflow> {
    let table = &named.table;
    not_built(table);
    let criticality = table.text("criticality");
    if !table.has("criticality") && !table.is_spoiled() {
        table.missing("criticality", "name a `[criticality.*]` entry");
    }
    let budgets = budgets(table, &parts.zone);
    let unit = table.text("unit").map(|unit| find("unit", &unit, parts.units, table.problems()));
    let residency = residency(table);
    let capture = capture(table);
    let cache = cache::read(table);
    if cache.as_ref().is_some_and(|cache| cache.near.is_some()) && !parts.has_embedder {
        let remedy = "name the folder of a model in `[server] embedder` (docs/cache.md), or leave `near` out";
        table.problems().warn(&table.place_of("cache"), "`near` is off: there is nothing to make vectors with", remedy);
    }
    let retry = defaults::retry(table, parts.defaults.retry);
    let deadlines = defaults::timeouts(table);
    let max_output_tokens = table.count("max_output_tokens", 1..=1_000_000_000);
    let on_loss =
        table.choice("on_loss", &[("report", OnLoss::Report), ("refuse", OnLoss::Refuse)]).unwrap_or(OnLoss::Report);
    let hedges = hedge::is_on(table, "hedge");
    let continues = hedge::is_on(table, "continuation");
    let batches = batches::read(table);

    let criticality = criticality?;
    let class = find("criticality", &criticality, parts.criticality, table.problems())?;
    let class = parts.criticality[class].value.as_deref()?;
    let (lanes, excluded) = hops(table, &class.lanes, &residency, parts)?;
    let unit = match unit {
        Some(unit) => Some(parts.units[unit?].value.as_deref()?),
        None => None,
    };
    let above = parts.organisation.budgets.iter().chain(unit.into_iter().flat_map(|unit| &unit.budgets));
    if budgets.iter().chain(above).any(Budget::is_hard_money) {
        unpriced(table, &lanes, parts);
    }
    if budgets.iter().any(|budget| budget.at_limit == AtLimit::Downgrade || budget.downgrade_at().is_some()) {
        nothing_cheaper(table, &lanes, parts);
    }
    Some(Workflow {
        name: WorkflowName::from(named.name),
        criticality: criticality.value.to_owned(),
        criticality_index: class.index,
        lanes,
        excluded,
        unit: unit.map(|unit| unit.name.clone()),
        budgets,
        residency,
        capture,
        cache,
        retry,
        deadlines,
        max_output_tokens,
        on_loss,
        hedges,
        continues,
        batches,
        on_spend: anomalies::of_workflow(table),
    })
}

/// A setting whose stage is not built is an error: a file that asks for redaction must not run without it.
fn not_built(table: &Table) {
    let problems = table.problems();
    if let Some(redact) = table.text("redact").filter(|redact| redact.value != "none") {
        problems.error(
            &redact.place,
            format!("redaction (`{}`) is not built yet in this version", redact.value),
            "write `redact = \"none\"` if prompts may leave as they are, else keep this workflow away from outside providers",
        );
    }
    if table.has("prompt") {
        let remedy = "leave the key out and let the application send its own messages";
        problems.error(&table.place_of("prompt"), "prompt releases are not built yet in this version", remedy);
    }
}

/// The budgets of `budget` and `budgets`.
fn budgets(table: &Table, zone: &Zone) -> Vec<Budget> {
    let mut budgets = budgets::list(table, zone, Sessions::Allowed);
    if let Some(one) = table.table("budget", &budgets::BUDGET)
        && let Some(budget) = budgets::read(&one, zone, Sessions::Allowed)
    {
        budgets::add(budget, &mut budgets, &one);
    }
    budgets
}

fn residency(table: &Table) -> Vec<Region> {
    let Some(regions) = table.regions("residency") else { return Vec::new() };
    if regions.value.is_empty() {
        let remedy = "name at least one region, or leave the key out to allow every place";
        table.problems().error(&regions.place, "is empty", remedy);
    }
    regions.value
}

fn capture(table: &Table) -> Option<CaptureRule> {
    let table = table.table("capture", &CAPTURE)?;
    if !table.has("retention_days") && !table.is_spoiled() {
        table.missing("retention_days", "say for how many days bodies are kept");
    }
    let max_bytes = table.count("max_bytes", 1..=1 << 20).and_then(|bytes| usize::try_from(bytes).ok());
    let retention_days = table.count("retention_days", 1..=3650).and_then(|days| u32::try_from(days).ok())?;
    Some(CaptureRule { retention_days, max_bytes: max_bytes.unwrap_or(64 << 10) })
}

/// The lanes of a workflow with the models residency leaves. `None` where a lane or model had problems of its own, so
/// that what is missing here may only be a consequence.
fn hops(
    table: &Table,
    lanes: &[LaneIndex],
    residency: &[Region],
    parts: &Parts,
) -> Option<(Vec<LaneHops>, Vec<Excluded>)> {
    let (mut hops, mut excluded) = (Vec::new(), Vec::new());
    let mut emptied = Vec::new();
    for index in lanes {
        let lane = parts.lanes[*index].value.as_deref()?;
        let mut left = Vec::new();
        for model in &lane.models {
            match outside(parts.models[*model].value.as_deref()?, residency) {
                None => left.push(*model),
                Some(why) => excluded.push(Excluded { lane: *index, model: *model, why }),
            }
        }
        match left.is_empty() {
            true => emptied.push(format!("`{}`", lane.name)),
            false => hops.push(LaneHops { lane: *index, models: left }),
        }
    }
    let place = table.place_of("residency");
    let why = excluded.iter().map(|one| format!("`{}`: {}", parts.models[one.model].name, one.why)).collect::<Vec<_>>();
    let remedy = "give the models their `region`, add a model that runs there, or widen `residency`";
    if hops.is_empty() && !emptied.is_empty() {
        let reason = format!("leaves no model in any lane ({})", why.join(", "));
        table.problems().error(&place, reason, remedy);
        return None;
    }
    if !emptied.is_empty() {
        let reason = format!("leaves no model in lane {} ({})", emptied.join(", "), why.join(", "));
        table.problems().warn(&place, reason, remedy);
    }
    Some((hops, excluded))
}

/// Why a model lies outside a residency, if it does.
fn outside(model: &Model, residency: &[Region]) -> Option<String> {
    match &model.region {
        _ if residency.is_empty() => None,
        None => Some("its region is unknown".to_owned()),
        Some(region) if residency.iter().any(|allowed| region.within(allowed)) => None,
        Some(region) => Some(format!("its region is {region}")),
    }
}

/// Under a budget nothing may be sent whose cost nobody can bound.
fn unpriced(table: &Table, lanes: &[LaneHops], parts: &Parts) {
    for model in models(lanes, parts).filter(|model| model.price_at(parts.now).is_none()) {
        let reason = format!("model `{}` has no price, so the budget would refuse every call to it", model.name);
        let remedy = format!(
            "give `[models.{}]` a `price`, take it out of the lanes of this workflow, or remove the budget",
            model.name
        );
        table.problems().error(&place_of_budget(table), reason, remedy);
    }
}

/// `downgrade` needs something cheaper to go to.
fn nothing_cheaper(table: &Table, lanes: &[LaneHops], parts: &Parts) {
    // What a thousand tokens in and as many out cost: only the order of models matters here.
    let cost = |model: &Model| model.price_at(parts.now).map(|row| ledger::price::expected(row, 1000, 1000, parts.now));
    let costs: Vec<NanoUsd> = models(lanes, parts).filter_map(cost).collect();
    let cheaper = costs.iter().enumerate().any(|(at, cost)| costs[at..].iter().any(|later| later < cost));
    // Within one lane the order is the pick rule's, so any difference there is something to go to.
    let lane_costs = |hops: &LaneHops| {
        hops.models.iter().filter_map(|model| cost(parts.models[*model].value.as_deref()?)).collect::<Vec<_>>()
    };
    let differs = lanes.iter().map(lane_costs).any(|costs| costs.iter().any(|cost| *cost != costs[0]));
    if !cheaper && !differs {
        let reason = "a budget says `downgrade`, but no lane of this workflow has a cheaper model to go to";
        let remedy = "add a cheaper lane to its criticality, or write `at_limit = \"refuse\"`";
        table.problems().warn(&place_of_budget(table), reason, remedy);
    }
}

fn place_of_budget(table: &Table) -> Place {
    table.place_of(if table.has("budget") { "budget" } else { "budgets" })
}

fn models<'p>(lanes: &'p [LaneHops], parts: &'p Parts) -> impl Iterator<Item = &'p Model> {
    lanes.iter().flat_map(|hops| &hops.models).filter_map(|model| parts.models[*model].value.as_deref())
}
