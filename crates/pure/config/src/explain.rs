//! What does each workflow resolve to? As text for people: lanes, models in order, price, budget, residency.

use domain::{Meter, Region};
use ledger::PriceRow;
use routing::anomaly::Kind;

use crate::anomalies::OnAnomaly;
use crate::batches::BatchRunner;
use crate::budgets::{AtLimit, Budget, Per};
use crate::hedge;
use crate::lanes::Lane;
use crate::mcp;
use crate::models::Model;
use crate::numbers::milli_text;
use crate::providers::Provider;
use crate::snapshot::Snapshot;
use crate::workflows::{OnLoss, Workflow};

/// What the configuration comes to: a paragraph per workflow, then the lanes no workflow uses, and the providers.
pub fn explain(snapshot: &Snapshot) -> String {
    let mut text = format!("revision {}\n", snapshot.revision);
    for workflow in snapshot.workflows.values() {
        text.push('\n');
        text.push_str(&paragraph(snapshot, workflow));
    }
    text.push_str(&moving(snapshot));
    for rule in &snapshot.concentration {
        let (class, limit) = (&snapshot.criticality[rule.criticality], rule.limit);
        text.push_str(&format!(
            "\ncriticality {}: no vendor more than {} of the last {} attempts, where another may serve\n",
            class.name, limit.share, limit.attempts
        ));
    }
    let idle = idle_lanes(snapshot);
    if !idle.is_empty() {
        text.push_str(&format!("\nlanes no workflow uses: {}\n", idle.join(", ")));
    }
    if !snapshot.providers.is_empty() {
        text.push_str("\nproviders\n");
    }
    for provider in &snapshot.providers {
        text.push_str(&format!("  {}\n", provider_line(provider)));
    }
    if !snapshot.mcp.is_empty() {
        text.push_str("\nservers of tools\n");
    }
    for server in &snapshot.mcp {
        text.push_str(&format!("  {}\n", mcp::line(server)));
    }
    text
}

fn paragraph(snapshot: &Snapshot, workflow: &Workflow) -> String {
    let mut text = format!("workflow {}, criticality {}\n", workflow.name, workflow.criticality);
    let aliases: Vec<&str> = snapshot.aliases_of(&workflow.name).collect();
    if !aliases.is_empty() {
        text.push_str(&format!("  aliases: {}\n", aliases.join(", ")));
    }
    if let Some(unit) = &workflow.unit {
        text.push_str(&format!("  unit: {unit}\n"));
    }
    text.push_str(&format!("  budget: {}\n", budgets_text(&workflow.budgets)));
    if !workflow.residency.is_empty() {
        text.push_str(&format!("  residency: {}\n", regions(&workflow.residency)));
        for excluded in &workflow.excluded {
            let (model, lane) = (&snapshot.models[excluded.model], &snapshot.lanes[excluded.lane]);
            text.push_str(&format!("    left out {} of lane {}: {}\n", model.name, lane.name, excluded.why));
        }
    }
    if let Some(cap) = workflow.max_output_tokens {
        text.push_str(&format!("  output of a call that names no cap: at most {cap} tokens\n"));
    }
    if workflow.on_loss == OnLoss::Refuse {
        text.push_str("  losses of a translation: refused, where no model can be told all\n");
    }
    if !workflow.continues {
        text.push_str("  answers that break off: not continued\n");
    }
    if workflow.batches.runner == Some(BatchRunner::Own) {
        let at_once = workflow.batches.at_once;
        text.push_str(&format!("  batches: run by Freehold, up to {at_once} calls at once on its models\n"));
    }
    if !workflow.hedges {
        text.push_str("  slow calls: not hedged\n");
    }
    if workflow.on_spend == OnAnomaly::ChangeLane {
        text.push_str("  spend above what is usual: its cheapest model comes first meanwhile\n");
    }
    if let Some(capture) = &workflow.capture {
        let (days, bytes) = (capture.retention_days, capture.max_bytes);
        text.push_str(&format!("  bodies are kept for {days} days, at most {bytes} bytes each\n"));
    }
    if let Some(cache) = &workflow.cache {
        text.push_str(&format!("  answers are given again {}\n", cache.text()));
    }
    for (number, hops) in (1..).zip(&workflow.lanes) {
        text.push_str(&format!("  {number}. {}\n", lane_line(&snapshot.lanes[hops.lane])));
        for model in &hops.models {
            text.push_str(&format!("     {}\n", model_line(snapshot, &snapshot.models[*model])));
        }
    }
    text
}

/// Who is moved away from a lane last when it does not keep what it promises; nothing where no lane promises anything.
fn moving(snapshot: &Snapshot) -> String {
    let promising: Vec<&str> =
        snapshot.lanes.iter().filter(|lane| !lane.slo.targets().is_empty()).map(|lane| lane.name.as_str()).collect();
    let classes: Vec<&str> = snapshot.criticality.iter().rev().map(|class| class.name.as_str()).collect();
    match (promising.is_empty(), classes.as_slice()) {
        (true, _) | (_, []) => String::new(),
        (_, [one]) => format!(
            "\nlanes that promise ({}): calls are moved while a budget of errors burns; there is one criticality, {one}\n",
            promising.join(", ")
        ),
        (_, several) => format!(
            "\nlanes that promise ({}): while a budget of errors burns, calls are moved in this order: {}\n",
            promising.join(", "),
            several.join(", then ")
        ),
    }
}

/// Each budget in words; `none` where there is none.
pub(crate) fn budgets_text(budgets: &[Budget]) -> String {
    let texts: Vec<String> = budgets.iter().map(budget_text).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join("; ") }
}

/// `500.00 USD per month, then something cheaper, else refused`.
fn budget_text(budget: &Budget) -> String {
    let then = match budget.at_limit {
        AtLimit::Downgrade => "then something cheaper, else refused",
        AtLimit::Refuse => "then refused",
        AtLimit::RequireApproval => "then refused until approved",
        AtLimit::Notify => "then told",
    };
    let limit = budget.measure.shown(budget.limit);
    let mut text = match &budget.per {
        Per::Window(window) if window.period() == ledger::Period::Total => format!("{limit} in total, {then}"),
        per => format!("{limit} per {per}, {then}"),
    };
    for threshold in &budget.at {
        text.push_str(&format!(", from {} % on {}", threshold.share_percent, threshold.act.as_str()));
    }
    text
}

fn lane_line(lane: &Lane) -> String {
    let mut line = format!("lane {}, class {}, pick {}", lane.name, lane.class, lane.pick);
    if let Some(terms) = &lane.hedge {
        line.push_str(&format!(", hedged: {}", hedge::text(terms)));
    }
    if let Some(ms) = lane.slo.first_token_p95_ms {
        line.push_str(&format!(", p95 of first token {ms} ms"));
    }
    if let Some(ms) = lane.slo.inter_token_p95_ms {
        line.push_str(&format!(", p95 per token {ms} ms"));
    }
    if let Some(ms) = lane.slo.total_p95_ms {
        line.push_str(&format!(", p95 of all {ms} ms"));
    }
    if let Some(success) = lane.slo.success_millipercent {
        line.push_str(&format!(", success {}%", milli_text(success)));
    }
    if let Some(share) = lane.slo.judged_good_millipercent {
        line.push_str(&format!(", judged good {}%", milli_text(share)));
    }
    if let Some(quality) = lane.slo.quality_milli {
        line.push_str(&format!(", quality {}", milli_text(quality)));
    }
    let leaves = Kind::ALL.into_iter().filter(|kind| lane.on_anomaly.of(*kind) == OnAnomaly::ChangeLane);
    let leaves: Vec<&str> = leaves.map(Kind::as_str).collect();
    if !leaves.is_empty() {
        line.push_str(&format!(", left while {} is out of the ordinary", leaves.join(" or ")));
    }
    line
}

fn model_line(snapshot: &Snapshot, model: &Model) -> String {
    let mut line = format!("{}: {} at {}", model.name, model.upstream, model.provider.name);
    match &model.region {
        Some(region) => line.push_str(&format!(", region {region}")),
        None => line.push_str(", region unknown"),
    }
    line.push_str(", ");
    line.push_str(&price_text(model.price_at(snapshot.checked_at)));
    if let Some(quality) = model.quality_milli {
        line.push_str(&format!(", quality {}", milli_text(quality)));
    }
    line
}

/// `3 USD in, 15 USD out per million tokens [openai/gpt-5.4@2026-11-12]`.
pub(crate) fn price_text(row: Option<&PriceRow>) -> String {
    let Some(row) = row else { return "no price".to_owned() };
    let side = |meter, word| row.prices.get(meter).map(|price| format!("{} USD {word}", price.as_usd_per_million()));
    let sides: Vec<String> = [side(Meter::Input, "in"), side(Meter::Output, "out")].into_iter().flatten().collect();
    let disputed = if row.disputed.is_some() { ", disputed" } else { "" };
    match sides.is_empty() {
        true => format!("priced by other meters [{}{disputed}]", row.id),
        false => format!("{} per million tokens [{}{disputed}]", sides.join(", "), row.id),
    }
}

fn provider_line(provider: &Provider) -> String {
    let mut line = format!("{}: {} at {}", provider.name, provider.dialects_text(), provider.base_url);
    match (&provider.credential_source, &provider.identity) {
        (_, Some(identity)) => line.push_str(&format!(", identity {identity}")),
        (Some(source), None) => line.push_str(&format!(", credential from {source}")),
        (None, None) => line.push_str(", no credential"),
    }
    if let Some(region) = &provider.region {
        line.push_str(&format!(", region {region}"));
    }
    line
}

fn idle_lanes(snapshot: &Snapshot) -> Vec<&str> {
    let used = |lane: &Lane| {
        let of = |workflow: &Workflow| {
            workflow.lanes.iter().any(|hops| hops.lane == lane.index)
                || workflow.excluded.iter().any(|excluded| excluded.lane == lane.index)
        };
        snapshot.workflows.values().any(|workflow| of(workflow))
    };
    snapshot.lanes.iter().filter(|lane| !used(lane)).map(|lane| lane.name.as_str()).collect()
}

/// `eu, us-east`.
pub(crate) fn regions(regions: &[Region]) -> String {
    regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ")
}
