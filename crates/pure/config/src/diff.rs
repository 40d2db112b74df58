//! What would change if this configuration replaced the one that runs? Sentences, never secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Meter, NanoUsd, PicoUsd};
use ledger::PriceRow;
use ledger::capacity::Capacity;

use crate::budgets::Unit;
use crate::capacity::BoughtCapacity;
use crate::contracts::Contract;
use crate::criticality::Criticality;
use crate::defaults::Timeouts;
use crate::explain::{budgets_text, price_text, regions};
use crate::hedge;
use crate::lanes::Lane;
use crate::mcp::{self, McpServer, listed};
use crate::models::Model;
use crate::numbers::{day_text, milli_text};
use crate::providers::{Provider, Terms};
use crate::secret::CredentialSource;
use crate::snapshot::Snapshot;
use crate::workflows::Workflow;

/// What would change, one sentence each, in the order of the file's sections; empty where nothing would.
pub fn diff(running: &Snapshot, new: &Snapshot) -> Vec<String> {
    let mut sentences = Vec::new();
    server(running, new, &mut sentences);
    compare("provider", facts(&running.providers, provider), facts(&new.providers, provider), &mut sentences);
    let model_facts = |snapshot: &Snapshot| facts(&snapshot.models, |one: &Arc<Model>| model(snapshot, one));
    compare("model", model_facts(running), model_facts(new), &mut sentences);
    compare("contract", facts(&running.contracts, contract), facts(&new.contracts, contract), &mut sentences);
    compare("capacity", facts(&running.capacities, capacity), facts(&new.capacities, capacity), &mut sentences);
    let lane_facts = |snapshot: &Snapshot| facts(&snapshot.lanes, |one: &Arc<Lane>| lane(snapshot, one));
    compare("lane", lane_facts(running), lane_facts(new), &mut sentences);
    let criticality = |snapshot: &Snapshot| facts(&snapshot.criticality, |one: &Arc<Criticality>| class(snapshot, one));
    compare("criticality", criticality(running), criticality(new), &mut sentences);
    let organisation = |snapshot: &Snapshot| {
        let facts = vec![("budgets", budgets_text(&snapshot.organisation.budgets))];
        BTreeMap::from([("organisation".to_owned(), facts)])
    };
    compare("the", organisation(running), organisation(new), &mut sentences);
    let unit_facts = |snapshot: &Snapshot| {
        facts(&snapshot.units, |unit: &Arc<Unit>| {
            (unit.name.to_string(), vec![("budgets", budgets_text(&unit.budgets))])
        })
    };
    compare("unit", unit_facts(running), unit_facts(new), &mut sentences);
    let workflow_facts =
        |snapshot: &Snapshot| facts(snapshot.workflows.values(), |one: &Arc<Workflow>| workflow(snapshot, one));
    compare("workflow", workflow_facts(running), workflow_facts(new), &mut sentences);
    let alias_facts = |snapshot: &Snapshot| {
        let fact =
            |(alias, name): (&String, &domain::WorkflowName)| (alias.clone(), vec![("workflow", name.to_string())]);
        snapshot.aliases.iter().map(fact).collect()
    };
    compare("alias", alias_facts(running), alias_facts(new), &mut sentences);
    compare("server of tools", facts(&running.mcp, tool_server), facts(&new.mcp, tool_server), &mut sentences);
    let notify = |snapshot: &Snapshot| BTreeMap::from([("notices".to_owned(), notices(snapshot))]);
    compare("the", notify(running), notify(new), &mut sentences);
    sentences
}

/// Marks what a running process keeps until it is started again.
const AT_NEXT_START: &str = "(at the next start)";

/// What of a change a running process does not follow, one sentence each.
pub fn waits_for_start(running: &Snapshot, new: &Snapshot) -> Vec<String> {
    let mut sentences = Vec::new();
    server(running, new, &mut sentences);
    sentences.retain(|sentence| sentence.contains(AT_NEXT_START));
    sentences
}

/// What is worth saying of one thing: a word and its value, always the same words in the same order.
type Facts = Vec<(&'static str, String)>;

fn facts<'s, T: 's>(
    list: impl IntoIterator<Item = &'s T>,
    of: impl Fn(&T) -> (String, Facts),
) -> BTreeMap<String, Facts> {
    list.into_iter().map(of).collect()
}

fn compare(kind: &str, mut running: BTreeMap<String, Facts>, new: BTreeMap<String, Facts>, out: &mut Vec<String>) {
    for (name, new) in new {
        let Some(old) = running.remove(&name) else {
            let said: Vec<String> =
                new.iter().filter(|(_, value)| value != NONE).map(|(word, value)| format!("{word} {value}")).collect();
            out.push(format!("{kind} `{name}` is added: {}", said.join("; ")));
            continue;
        };
        for ((word, old), (_, new)) in old.iter().zip(&new).filter(|((_, old), (_, new))| old != new) {
            out.push(format!("{kind} `{name}`: {word} changes from {old} to {new}"));
        }
    }
    out.extend(running.into_keys().map(|name| format!("{kind} `{name}` is removed")));
}

const NONE: &str = "none";

fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

fn server(running: &Snapshot, new: &Snapshot, out: &mut Vec<String>) {
    let facts = |snapshot: &Snapshot| {
        let (server, defaults) = (&snapshot.server, &snapshot.defaults);
        [
            ("listen (at the next start)", server.listen.to_string()),
            ("console_listen (at the next start)", server.console_listen.to_string()),
            ("spool (at the next start)", format!("{:?}", server.spool).to_lowercase()),
            ("max_body_bytes", server.max_body_bytes.to_string()),
            ("max_header_bytes", server.max_header_bytes.to_string()),
            ("max_calls_in_flight", server.max_calls_in_flight.to_string()),
            ("cache_max_bytes", server.cache_max_bytes.to_string()),
            ("embedder (at the next start)", or_none(server.embedder.as_ref())),
            ("drain_ms", server.drain_ms.to_string()),
            ("upstream_proxy", or_none(server.upstream_proxy.as_ref())),
            ("ca_file", or_none(server.ca_file.as_ref())),
            ("otlp_endpoint (at the next start)", or_none(server.otlp_endpoint.as_ref())),
            ("record_retention_days", server.record_retention_days.to_string()),
            ("record_archive", or_none(server.record_archive.as_ref())),
            ("retry by default", retry(&defaults.retry)),
            ("timeouts by default", timeouts(&defaults.timeouts)),
        ]
    };
    for ((word, old), (_, new)) in facts(running).iter().zip(&facts(new)).filter(|((_, old), (_, new))| old != new) {
        out.push(format!("server: {word} changes from {old} to {new}"));
    }
}

fn provider(provider: &Arc<Provider>) -> (String, Facts) {
    let query: Vec<String> = provider.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers: Vec<&str> = provider.headers.iter().map(|(name, _)| name.as_str()).collect();
    let facts = vec![
        ("address", provider.base_url.to_string()),
        ("dialects", provider.dialects_text()),
        // Where it is found, not what it is: the value stays where it belongs.
        ("credential", or_none(provider.credential_source.as_ref().map(CredentialSource::to_string))),
        ("identity", or_none(provider.identity.as_ref())),
        ("auth", provider.auth.to_string()),
        ("query", if query.is_empty() { NONE.to_owned() } else { query.join("&") }),
        ("region", or_none(provider.region.as_ref())),
        ("quirks", provider.quirks.name.to_owned()),
        ("timeouts", timeouts(&provider.timeouts)),
        ("headers", if headers.is_empty() { NONE.to_owned() } else { headers.join(", ") }),
        ("terms", or_none(provider.terms.as_ref().map(terms))),
    ];
    (provider.name.to_string(), facts)
}

fn model(snapshot: &Snapshot, model: &Arc<Model>) -> (String, Facts) {
    let facts = vec![
        ("id", format!("{} at {}", model.upstream, model.provider.name)),
        ("price", price_text(model.price_at(snapshot.checked_at))),
        ("other prices", or_none(model.price_at(snapshot.checked_at).and_then(other_prices))),
        ("region", or_none(model.region.as_ref())),
        ("quality", or_none(model.quality_milli.map(milli_text))),
        ("context_tokens", or_none(model.context_tokens)),
        ("max_output_tokens", or_none(model.max_output_tokens)),
        ("requests_per_minute", or_none(model.limits.requests_per_minute)),
        ("tokens_per_minute", or_none(model.limits.tokens_per_minute)),
        ("calls_at_once", or_none(model.limits.calls_at_once)),
        ("tokenizer", or_none(model.tokenizer.map(|tokenizer| tokenizer.name))),
    ];
    (model.name.to_string(), facts)
}

fn contract(contract: &Contract) -> (String, Facts) {
    let volume = contract.volume.iter().map(|step| {
        let above = NanoUsd(i64::try_from(step.above).unwrap_or(i64::MAX));
        format!("{} % off above {above} USD", percent_off(step.left_millionths))
    });
    let volume: Vec<String> = volume.collect();
    let dollars = |amount: Option<NanoUsd>| or_none(amount.map(|amount| format!("{amount} USD")));
    let facts = vec![
        ("provider", contract.provider.to_string()),
        ("from", day_text(contract.from)),
        ("until", or_none(contract.until.map(day_text))),
        ("discount", or_none(contract.left_millionths.map(|left| format!("{} %", percent_off(left))))),
        ("volume", if volume.is_empty() { NONE.to_owned() } else { volume.join(", ") }),
        ("period of the volume", if volume.is_empty() { NONE.to_owned() } else { contract.per.to_string() }),
        ("credit", dollars(contract.credit)),
        ("commitment", dollars(contract.commitment)),
    ];
    (contract.name.clone(), facts)
}

/// What a discount takes off, percent.
fn percent_off(left_millionths: u32) -> String {
    PicoUsd(i64::from(1_000_000_u32.saturating_sub(left_millionths)) * 100).as_usd_per_million()
}

fn capacity(bought: &BoughtCapacity) -> (String, Facts) {
    let Capacity { name, units, unit_hour, from, until, tokens_per_minute, term } = &bought.capacity;
    let models: Vec<String> = bought.models.iter().map(ToString::to_string).collect();
    let facts = vec![
        ("models", models.join(", ")),
        ("units", units.to_string()),
        ("price", format!("{unit_hour} USD a unit and hour (term {term})")),
        ("from", day_text(*from)),
        ("until", or_none(until.map(day_text))),
        ("tokens a unit and minute", tokens_per_minute.to_string()),
        ("tier", or_none(bought.tier.as_ref())),
        ("weight of a token received", bought.output_weight.to_string()),
    ];
    (name.clone(), facts)
}

/// Whom it tells; of the secret where it is found, not what it is.
fn notices(snapshot: &Snapshot) -> Facts {
    vec![
        ("address", or_none(snapshot.notify.as_ref().map(|notify| notify.url.to_string()))),
        ("secret", or_none(snapshot.notify.as_ref().map(|notify| notify.secret_source.to_string()))),
    ]
}

/// Prices of meters beside fresh input and output, and how many context bands, tiers and regions change them.
fn other_prices(row: &PriceRow) -> Option<String> {
    let others = row.prices.iter().filter(|(meter, _)| !matches!(meter, Meter::Input | Meter::Output));
    let mut said: Vec<String> =
        others.map(|(meter, price)| format!("{meter} {}", price.as_usd_per_million())).collect();
    for band in &row.bands {
        let prices = band.prices.iter().map(|(meter, price)| format!("{meter} {}", price.as_usd_per_million()));
        let prices = prices.collect::<Vec<_>>().join(" and ");
        said.push(format!("above {} input tokens {prices}", band.above_input_tokens));
    }
    said.extend(row.tiers.iter().map(|tier| format!("tier {}", tier.tier)));
    (!said.is_empty()).then(|| said.join(", "))
}

fn terms(terms: &Terms) -> String {
    let said = [
        terms
            .trains_on_data
            .map(|trains| if trains { "trains on data".to_owned() } else { "does not train on data".to_owned() }),
        terms.retention_days.map(|days| format!("keeps data {days} days")),
        terms.evidence.as_ref().map(|evidence| format!("evidence {evidence}")),
        terms.expires.map(|expires| format!("until {}", day_text(expires))),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn lane(snapshot: &Snapshot, lane: &Arc<Lane>) -> (String, Facts) {
    let models: Vec<String> = lane.models.iter().map(|index| snapshot.models[*index].name.to_string()).collect();
    let slo = &lane.slo;
    let facts = vec![
        ("class", lane.class.to_string()),
        ("pick", lane.pick.to_string()),
        ("models", models.join(", ")),
        ("first_token_p95_ms", or_none(slo.first_token_p95_ms)),
        ("inter_token_p95_ms", or_none(slo.inter_token_p95_ms)),
        ("total_p95_ms", or_none(slo.total_p95_ms)),
        ("success", or_none(slo.success_millipercent.map(|success| format!("{}%", milli_text(success))))),
        ("judged good", or_none(slo.judged_good_millipercent.map(|share| format!("{}%", milli_text(share))))),
        ("quality level", or_none(slo.quality_milli.map(milli_text))),
        ("hedge", or_none(lane.hedge.as_ref().map(hedge::text))),
        ("continuation", if lane.continues { "on" } else { "off" }.to_owned()),
    ];
    (lane.name.to_string(), facts)
}

fn class(snapshot: &Snapshot, class: &Arc<Criticality>) -> (String, Facts) {
    let rule = snapshot.concentration.iter().find(|rule| rule.criticality == class.index);
    let share = rule.map(|rule| format!("{} of {} attempts", rule.limit.share, rule.limit.attempts));
    let before = class.index.checked_sub(1).map(|index| snapshot.criticality[index].name.clone());
    let facts = vec![("moved before", or_none(before)), ("most of one vendor", or_none(share))];
    (class.name.clone(), facts)
}

fn workflow(snapshot: &Snapshot, workflow: &Arc<Workflow>) -> (String, Facts) {
    let hops = workflow.lanes.iter().map(|hops| {
        let models: Vec<&str> = hops.models.iter().map(|index| snapshot.models[*index].name.as_str()).collect();
        format!("{} ({})", snapshot.lanes[hops.lane].name, models.join(", "))
    });
    let deadlines = workflow.deadlines;
    let deadlines = [
        ("connect", deadlines.connect_ms),
        ("first token", deadlines.first_token_ms),
        ("frame", deadlines.frame_ms),
        ("total", deadlines.total_ms),
    ];
    let deadlines: Vec<String> =
        deadlines.iter().filter_map(|(word, ms)| ms.map(|ms| format!("{word} {ms} ms"))).collect();
    let capture =
        workflow.capture.as_ref().map(|rule| format!("{} days, {} bytes", rule.retention_days, rule.max_bytes));
    let facts = vec![
        ("criticality", workflow.criticality.clone()),
        ("lanes", hops.collect::<Vec<_>>().join(", then ")),
        ("unit", or_none(workflow.unit.as_ref())),
        ("budget", budgets_text(&workflow.budgets)),
        ("residency", if workflow.residency.is_empty() { NONE.to_owned() } else { regions(&workflow.residency) }),
        ("capture", or_none(capture)),
        ("cache", or_none(workflow.cache.as_ref().map(crate::CacheRule::text))),
        ("retry", retry(&workflow.retry)),
        ("deadlines", if deadlines.is_empty() { NONE.to_owned() } else { deadlines.join(", ") }),
        ("max_output_tokens", or_none(workflow.max_output_tokens)),
        ("on_loss", workflow.on_loss.as_str().to_owned()),
        ("continuation", if workflow.continues { "on" } else { "off" }.to_owned()),
        ("batches", workflow.batches.text()),
        ("hedge", if workflow.hedges { "as its lanes say" } else { "off" }.to_owned()),
    ];
    (workflow.name.to_string(), facts)
}

fn tool_server(server: &Arc<McpServer>) -> (String, Facts) {
    let lists = server.tools_by_key.iter().map(|(key, tools)| (key.as_str(), tools));
    let lists = lists.chain(server.tools_by_workflow.iter().map(|(workflow, tools)| (workflow.as_str(), tools)));
    let narrower: Vec<String> = lists.map(|(whose, tools)| format!("{whose} ({})", listed(tools))).collect();
    let facts = vec![
        ("place", server.reach.to_string()),
        ("credential", or_none(server.credential_source.as_ref().map(CredentialSource::to_string))),
        ("region", or_none(server.region.as_ref())),
        ("tools", server.tools.as_ref().map_or_else(|| "all".to_owned(), listed)),
        ("tools by key and workflow", if narrower.is_empty() { NONE.to_owned() } else { narrower.join(", ") }),
        ("price", mcp::price_text(server)),
        ("origins", if server.origins.is_empty() { NONE.to_owned() } else { server.origins.join(", ") }),
        ("processes at most", server.max_sessions.to_string()),
        ("timeouts", timeouts(&server.timeouts)),
    ];
    (server.name.to_string(), facts)
}

fn retry(retry: &routing::RetryPolicy) -> String {
    let (attempts, same) = (retry.max_attempts, retry.retries_same);
    let (from, to, out) = (retry.base_ms, retry.max_wait_ms, retry.wait_out_ms);
    format!(
        "{attempts} attempts, {same} on the same model, waits from {from} to {to} ms, {out} ms where nobody can be asked"
    )
}

fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { connect_ms, first_token_ms, frame_ms, total_ms } = timeouts;
    format!("connect {connect_ms} ms, first token {first_token_ms} ms, frame {frame_ms} ms, total {total_ms} ms")
}
