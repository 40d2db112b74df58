//! From a configuration and a script to one run: simulated providers in the place of the real ones, what they do when, and who
//! asks what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{AuthScheme, BaseUrl, Model, Provider, Snapshot};
use domain::{PicoUsd, Region, WorkflowName};
use ledger::rows::PriceBook;
use simulator::Script;
use simulator::scenario::{AsAllowed, Fault, Kind, Length, LogNormal, Quota, Range, Spread, Window};
use wire::hosting::Hosting;
use wire::quirks::Quirks;

use crate::scenario::{Bad, Expect, Load, Scenario, Shock, Target, What};
use crate::written::usual_load;

/// One run, ready to be made.
#[derive(Clone)]
pub struct Plan {
    /// The configuration, with simulated providers.
    pub snapshot: Arc<Snapshot>,
    /// What each provider does, by name.
    pub scripts: BTreeMap<String, Script>,
    /// When nobody is there, by provider: from and to, milliseconds.
    pub gone: Vec<(String, u64, u64)>,
    /// Which configuration runs from when on, milliseconds, in order.
    pub changes: Vec<(u64, Arc<Snapshot>)>,
    /// Who asks what.
    pub load: Vec<Asking>,
    /// How long calls come in, milliseconds.
    pub lasts_ms: u64,
    /// Where all chance comes from.
    pub seed: u64,
}

/// Calls for one workflow.
#[derive(Clone)]
pub struct Asking {
    /// Which.
    pub workflow: WorkflowName,
    /// How many, and what.
    pub load: Load,
}

/// A moderately quick provider, where a script says nothing of it.
const FIRST_TOKEN_MS: Spread = Spread::LogNormal(LogNormal { median: 400.0, sigma: 0.35 });
const TOKENS_PER_SECOND: Spread = Spread::Range(Range { from: 60.0, to: 110.0 });

impl Plan {
    /// What a script comes to for a configuration.
    pub fn new(scenario: &Scenario, snapshot: &Snapshot) -> Result<Plan, Bad> {
        let simulated = Arc::new(simulated(snapshot));
        let mut scripts: BTreeMap<String, Script> = simulated
            .providers
            .iter()
            .map(|provider| (provider.name.to_string(), script(scenario, provider.name.as_str())))
            .collect();
        if let Some((name, pace)) = scenario.paces.iter().find(|(name, _)| !scripts.contains_key(*name)) {
            return Err(unknown(pace.line, "provider", name, scripts.keys().map(String::as_str)));
        }
        let mut gone = Vec::new();
        for shock in &scenario.shocks {
            let hit = models(&shock.target, &simulated, shock.line)?;
            apply(shock, &hit, &simulated, &mut scripts, &mut gone);
        }
        let changes = price_changes(&scenario.shocks, &simulated)?;
        let load = load(scenario, &simulated)?;
        Ok(Plan { snapshot: simulated, scripts, gone, changes, load, lasts_ms: scenario.lasts_ms, seed: scenario.seed })
    }

    /// What is expected of each workflow that is asked, by the order of [`Plan::load`].
    pub fn expectations(&self, scenario: &Scenario) -> Result<Vec<Expect>, Bad> {
        let asked = |name: &str| self.load.iter().any(|asking| asking.workflow.as_str() == name);
        let stray = scenario.expect.iter().find(|(name, _)| *name != "*" && !asked(name));
        if let Some((name, expect)) = stray {
            return Err(unknown(
                expect.line,
                "workflow",
                name,
                self.load.iter().map(|asking| asking.workflow.as_str()),
            ));
        }
        let of = |asking: &Asking| {
            let own = scenario.expect.get(asking.workflow.as_str()).or_else(|| scenario.expect.get("*"));
            own.cloned().unwrap_or_else(|| self.promised(asking))
        };
        Ok(self.load.iter().map(of).collect())
    }

    /// What the first lane of a workflow promises.
    fn promised(&self, asking: &Asking) -> Expect {
        let slo = self.slo(asking);
        Expect {
            success_millipercent: slo.success_millipercent,
            first_token_p95_ms: slo.first_token_p95_ms,
            ..Expect::default()
        }
    }

    /// The service level of the lane that a workflow's calls go to first.
    pub fn slo(&self, asking: &Asking) -> config::Slo {
        let workflow = self.snapshot.workflows.get(&asking.workflow);
        let lane = workflow.and_then(|workflow| workflow.lanes.first());
        lane.map(|hops| self.snapshot.lanes[hops.lane].slo).unwrap_or_default()
    }
}

/// The same configuration with simulated providers: nobody's address, nobody's credential.
fn simulated(snapshot: &Snapshot) -> Snapshot {
    let mut copy = snapshot.clone();
    copy.providers = snapshot.providers.iter().map(|provider| Arc::new(stand_in(provider))).collect();
    let by_name = |model: &Model| copy.providers.iter().find(|provider| provider.name == model.provider.name).cloned();
    copy.models = snapshot
        .models
        .iter()
        .map(|model| {
            let provider = by_name(model).unwrap_or_else(|| Arc::new(stand_in(&model.provider)));
            // Counting runs on a thread of its own, in real time; what is cut off is estimated by its bytes instead.
            Arc::new(Model { provider, tokenizer: None, ..Model::clone(model) })
        })
        .collect();
    copy.mcp = Vec::new();
    copy.server.ca_file = None;
    copy.server.upstream_proxy = None;
    copy
}

/// A provider that is reached where the simulator has it, and needs no credential.
fn stand_in(provider: &Provider) -> Provider {
    let path = match provider.dialect {
        wire::Dialect::OpenAiChat | wire::Dialect::OpenAiResponses | wire::Dialect::Anthropic => "/v1",
        wire::Dialect::Gemini => "/v1beta",
        wire::Dialect::Cohere => "/v2",
        wire::Dialect::BedrockConverse => "",
    };
    let path = format!("/{}{path}", provider.name);
    let base_url = BaseUrl { https: false, host: "simulated".to_owned(), port: 80, path };
    // Another vendor's host has paths of its own; the simulator has the dialect's.
    let quirks = if provider.quirks.hosting == Hosting::Vendor { provider.quirks } else { &Quirks::GENERIC };
    Provider {
        base_url,
        query: Vec::new(),
        credential: None,
        credential_source: None,
        identity: None,
        auth: AuthScheme::None,
        headers: Vec::new(),
        quirks,
        ..provider.clone()
    }
}

/// What a provider does where nothing goes wrong.
fn script(scenario: &Scenario, provider: &str) -> Script {
    let pace = scenario.paces.get(provider);
    Script {
        first_token_ms: pace.and_then(|pace| pace.first_token_ms).unwrap_or(FIRST_TOKEN_MS),
        tokens_per_second: Some(pace.and_then(|pace| pace.tokens_per_second).unwrap_or(TOKENS_PER_SECOND)),
        // The request says how long an answer is, so that it is as long wherever it is made.
        output_tokens: Length::Word(AsAllowed::Max),
        tokens_per_frame: 4,
        ..Script::default()
    }
}

/// The models that a shock hits, by their places in the snapshot.
fn models(target: &Target, snapshot: &Snapshot, line: usize) -> Result<BTreeSet<usize>, Bad> {
    for name in &target.providers {
        if !snapshot.providers.iter().any(|provider| provider.name.as_str() == name) {
            return Err(unknown(
                line,
                "provider",
                name,
                snapshot.providers.iter().map(|provider| provider.name.as_str()),
            ));
        }
    }
    for name in &target.models {
        if !snapshot.models.iter().any(|model| model.name.as_str() == name) {
            return Err(unknown(line, "model", name, snapshot.models.iter().map(|model| model.name.as_str())));
        }
    }
    for name in &target.lanes {
        if !snapshot.lanes.iter().any(|lane| lane.name.as_str() == name) {
            return Err(unknown(line, "lane", name, snapshot.lanes.iter().map(|lane| lane.name.as_str())));
        }
    }
    let region = target.region.as_deref().map(Region::new);
    let hit = |model: &Model| {
        let among = |names: &[String], own: &str| names.is_empty() || names.iter().any(|name| name == own);
        let in_lane = target.lanes.is_empty()
            || snapshot.lanes.iter().any(|lane| {
                target.lanes.iter().any(|name| name == lane.name.as_str()) && lane.models.contains(&model.index)
            });
        let of_class = target.classes.is_empty()
            || snapshot.lanes.iter().any(|lane| {
                let class = lane.class.to_string();
                target.classes.contains(&class) && lane.models.contains(&model.index)
            });
        let within = |region: &Region| model.region.as_ref().is_some_and(|own| own.within(region));
        among(&target.providers, model.provider.name.as_str())
            && among(&target.models, model.name.as_str())
            && in_lane
            && of_class
            && region.as_ref().is_none_or(within)
    };
    let hit: BTreeSet<usize> =
        snapshot.models.iter().enumerate().filter(|(_, model)| hit(model)).map(|(index, _)| index).collect();
    if hit.is_empty() {
        let reason = format!("no model of this configuration is hit by a shock to {}", target.words());
        return Err(Bad::new(line, reason, "name a provider, model, lane or region that it has"));
    }
    Ok(hit)
}

fn unknown<'a>(line: usize, what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Bad {
    let known = known.collect::<Vec<_>>().join(", ");
    Bad::new(line, format!("the configuration has no {what} `{name}`"), format!("it has {known}"))
}

/// Writes a shock into the scripts of those it hits.
fn apply(
    shock: &Shock,
    hit: &BTreeSet<usize>,
    snapshot: &Snapshot,
    scripts: &mut BTreeMap<String, Script>,
    gone: &mut Vec<(String, u64, u64)>,
) {
    for provider in &snapshot.providers {
        let own: Vec<&Arc<Model>> =
            snapshot.models.iter().filter(|model| model.provider.name == provider.name).collect();
        let hit_here: Vec<&Arc<Model>> = own.iter().copied().filter(|model| hit.contains(&model.index)).collect();
        if hit_here.is_empty() {
            continue;
        }
        let whole = hit_here.len() == own.len();
        let script = scripts.get_mut(provider.name.as_str()).expect("every provider was given a script");
        // Vendors' ids repeat where one model stands under two names.
        let ids: BTreeSet<&str> = hit_here.iter().map(|model| model.upstream.as_str()).collect();
        let only: Vec<Option<String>> =
            if whole { vec![None] } else { ids.into_iter().map(|id| Some(id.to_owned())).collect() };
        for (from, to) in windows(shock) {
            if whole && shock.what == What::Gone {
                gone.push((provider.name.to_string(), from, to));
            }
            let time_ms = Some(Window { from, to: Some(to.saturating_sub(1)) });
            if let What::Quota { requests_per_minute } = shock.what {
                let (requests, refusal) = (requests_per_minute, Kind::RateLimited);
                script.quota = Some(Quota { requests, window_ms: 60_000, time_ms, refusal, tells: false });
                continue;
            }
            for model in &only {
                script.faults.extend(fault(shock, time_ms, model.clone()));
            }
        }
    }
}

/// What a shock is in a simulated provider's script, for one time and perhaps one model.
fn fault(shock: &Shock, time_ms: Option<Window>, model: Option<String>) -> Option<Fault> {
    let (kind, delay_ms, after_frames, retry_after_ms, stream) = match shock.what {
        // Connections that were made before are no way to it either.
        What::Gone => (Kind::ResetBeforeHeaders, None, 0, None, None),
        What::Fault { kind, delay_ms, after_frames, retry_after_ms, stream } => {
            (kind, delay_ms, after_frames, retry_after_ms, stream)
        }
        What::Quota { .. } | What::Price { .. } => return None,
    };
    Some(Fault {
        kind,
        percent: shock.percent,
        calls: None,
        time_ms,
        model,
        stream,
        retry_after_ms,
        after_frames,
        delay_ms,
    })
}

/// When a shock is on, milliseconds.
fn windows(shock: &Shock) -> Vec<(u64, u64)> {
    let end = shock.at_ms + shock.lasts_ms;
    match shock.bursts {
        None => vec![(shock.at_ms, end)],
        Some((every, length)) => {
            let step = usize::try_from(every).unwrap_or(usize::MAX);
            (shock.at_ms..end).step_by(step).map(|from| (from, (from + length).min(end))).collect()
        }
    }
}

/// The configurations that run one after the other where prices change.
fn price_changes(shocks: &[Shock], snapshot: &Arc<Snapshot>) -> Result<Vec<(u64, Arc<Snapshot>)>, Bad> {
    let mut moments = BTreeSet::new();
    let mut changes = Vec::new();
    for shock in shocks {
        if let What::Price { percent } = shock.what {
            let end = shock.at_ms + shock.lasts_ms;
            moments.extend([shock.at_ms, end]);
            changes.push((shock.at_ms, end, percent, models(&shock.target, snapshot, shock.line)?));
        }
    }
    let at = |moment: u64| {
        let mut copy = Snapshot::clone(snapshot);
        for (_, _, percent, hit) in changes.iter().filter(|(from, to, ..)| (*from..*to).contains(&moment)) {
            for index in hit {
                let model = &copy.models[*index];
                let prices = model.prices.as_ref().map(|book| multiplied(book, *percent));
                copy.models[*index] = Arc::new(Model { prices, ..Model::clone(model) });
            }
        }
        (moment, Arc::new(copy))
    };
    Ok(moments.into_iter().map(at).collect())
}

/// A price list with every price at so many percent.
fn multiplied(book: &PriceBook, percent: u64) -> PriceBook {
    let percent = i64::try_from(percent).unwrap_or(i64::MAX);
    let rows = book.rows().iter().map(|row| {
        let mut row = row.clone().map_prices(&|price| PicoUsd(price.0.saturating_mul(percent) / 100));
        row.id = format!("{} at {percent} %", row.id);
        row
    });
    PriceBook::new(rows.collect()).expect("rows that made a book still do when their prices are multiplied")
}

/// Who asks what.
fn load(scenario: &Scenario, snapshot: &Snapshot) -> Result<Vec<Asking>, Bad> {
    let names = || snapshot.workflows.keys().map(WorkflowName::as_str);
    let stray =
        scenario.load.iter().find(|load| load.workflow.as_deref().is_some_and(|name| names().all(|own| own != name)));
    if let Some(load) = stray {
        return Err(unknown(load.line, "workflow", load.workflow.as_deref().unwrap_or_default(), names()));
    }
    let usual = match scenario.load.is_empty() {
        true => Some(usual_load()),
        false => scenario.load.iter().find(|load| load.workflow.is_none()).cloned(),
    };
    let asking = |workflow: &WorkflowName| {
        let own = scenario.load.iter().find(|load| load.workflow.as_deref() == Some(workflow.as_str()));
        let load = own.cloned().or_else(|| usual.clone())?;
        Some(Asking { workflow: workflow.clone(), load })
    };
    let asked: Vec<Asking> = snapshot.workflows.keys().filter_map(asking).collect();
    if asked.is_empty() {
        return Err(Bad::new(1, "the configuration has no workflow", "write one: a drill asks workflows"));
    }
    Ok(asked)
}
