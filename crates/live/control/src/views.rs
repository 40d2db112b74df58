//! What the pages and the admin API show: plain values, read from the store and from what is running. No HTML here.

use std::collections::BTreeMap;

use domain::{CallEnd, Class, Entry, KeyGrant, NanoUsd, UnixMs, WorkflowName};
use ledger::{Amount, Approval, Measure};
use routing::HealthView;
use routing::slo::LaneStanding;
use serde::{Deserialize, Serialize};

/// One point of a chart.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Point {
    /// Start of the bucket.
    pub at: UnixMs,
    /// Calls ended in it.
    pub calls: u64,
    /// Of these, how many failed by anybody's fault but the client's.
    pub errors: u64,
    /// What their attempts booked.
    pub cost: NanoUsd,
    /// Median time to the first content, milliseconds; absent where nothing was served.
    pub first_token_p50_ms: Option<u64>,
    /// 95th percentile of the same.
    pub first_token_p95_ms: Option<u64>,
}

/// Spend and traffic of one workflow or lane.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Spend {
    /// Workflow or lane name; `(direct)` for calls that named a lane or model.
    pub name: String,
    /// Spent since midnight UTC.
    pub today: NanoUsd,
    /// Spent since the first of the month UTC.
    pub month: NanoUsd,
    /// Calls today.
    pub calls_today: u64,
    /// Errors today (not the client's).
    pub errors_today: u64,
    /// The budget now, where there is one.
    pub budget: Option<BudgetNow>,
}

/// A budget as it stands in the running gateway.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BudgetNow {
    /// `organisation`, `workflow claims-triage`, `key ab12cd` and so on.
    pub scope: String,
    /// `month` and so on.
    pub per: String,
    /// What amounts are: nano-dollars or tokens.
    pub measure: Measure,
    /// The limit.
    pub limit: Amount,
    /// Whether anything is ever refused.
    pub hard: bool,
    /// Booked in this window.
    pub settled: Amount,
    /// Reserved for calls in flight.
    pub held: Amount,
    /// Booked beyond the limit because a provider billed above its own cap.
    pub overrun: Amount,
    /// What may still be held.
    pub left: Amount,
    /// From which amount on somebody must approve.
    pub approval_at: Option<Amount>,
    /// What was approved beyond it.
    pub approval: Option<Approval>,
    /// When the window turns; absent for `total` and for rolling windows.
    pub resets_at: Option<UnixMs>,
}

/// A budget that has reached a share of its limit.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BudgetReached {
    /// When.
    pub at: UnixMs,
    /// Whose.
    pub scope: String,
    /// `month` and so on.
    pub per: String,
    /// The limit, with its unit.
    pub limit: String,
    /// The share, percent.
    pub share_percent: u16,
    /// What happens from there on: `notify`, `downgrade`, `require_approval` or `refuse`.
    pub act: String,
}

/// The first page.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Overview {
    /// When it was made.
    pub now: UnixMs,
    /// Spend today over all.
    pub spent_today: NanoUsd,
    /// Spend this month over all.
    pub spent_month: NanoUsd,
    /// By workflow, dearest month first.
    pub workflows: Vec<Spend>,
    /// By lane.
    pub lanes: Vec<Spend>,
    /// One point a minute over the last hour, oldest first, gaps filled with zeros.
    pub last_hour: Vec<Point>,
    /// Calls being answered right now.
    pub in_flight: u64,
    /// What needs somebody's eye: unpriced models, open breakers, configuration problems, spool behind.
    pub alarms: Vec<Alarm>,
}

/// Something that needs somebody's eye.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Alarm {
    /// Stable code such as `anomaly`, `unpriced`, `breaker_open`, `no_token`, `configuration_rejected`, `spool_behind`, `indeterminate`, `overrun`.
    pub code: String,
    /// The sentence, with what to do next.
    pub message: String,
}

/// One workflow with what it resolves to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WorkflowView {
    /// Spend and budget.
    pub spend: Spend,
    /// Its criticality.
    pub criticality: String,
    /// Aliases that mean it.
    pub aliases: Vec<String>,
    /// Allowed regions; empty means anywhere.
    pub residency: Vec<String>,
    /// `report` or `refuse`: what becomes of a call that a model can only be told in part.
    pub on_loss: &'static str,
    /// Lane name, then its models in declared order after residency.
    pub lanes: Vec<(String, Vec<String>)>,
    /// The last 24 hours, one point an hour.
    pub last_day: Vec<Point>,
}

/// One lane with its models.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LaneView {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: Class,
    /// `best`, `fastest`, `cheapest` or `balanced`.
    pub pick: String,
    /// Declared service levels, as text.
    pub slo: Vec<(String, String)>,
    /// How what it promises stands on this instance; absent where it promises nothing that is counted.
    pub standing: Option<LaneStanding>,
    /// Which calls are moved away from it or from one of its models.
    pub moves: Vec<MoveView>,
    /// Its models.
    pub models: Vec<ModelView>,
    /// Spend and traffic.
    pub spend: Spend,
}

/// Calls that begin elsewhere than their lanes say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MoveView {
    /// `burn`, `anomaly` or `concentration`.
    pub by: String,
    /// The lane they are moved away from; absent where it is a model in whatever lane.
    pub lane: Option<String>,
    /// The model they are moved away from; absent where it is a whole lane.
    pub model: Option<String>,
    /// Share that still begins there by criticality, the most critical first, thousandths; calls without one last, as `(direct)`.
    pub kept_permille: Vec<(String, u16)>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: UnixMs,
}

/// One server of tools.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ToolServerView {
    /// Its address, or the program that is started.
    pub reach: String,
    /// Whether it is a process of ours.
    pub is_process: bool,
    /// Where it processes, as far as it is known.
    pub region: Option<String>,
    /// Whether no list says which tools there are.
    pub allows_all: bool,
    /// The tools a key may use, by its public half.
    pub by_key: Vec<(String, Vec<String>)>,
    /// The tools that calls for a workflow may use.
    pub by_workflow: Vec<(String, Vec<String>)>,
    /// What a call of a tool costs that has no price of its own, USD.
    pub price_of_others: Option<NanoUsd>,
    /// Its tools: those the configuration names, and those that were called this month.
    pub tools: Vec<ToolView>,
    /// Spend and traffic of all of them, under the server's name.
    pub spend: Spend,
}

/// One tool of a server.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ToolView {
    /// Whether anybody may call it.
    pub allowed: bool,
    /// What a call costs, USD; absent where it has no price.
    pub price: Option<NanoUsd>,
    /// Spend and traffic, under the tool's name.
    pub spend: Spend,
}

/// One model with its health and price.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModelView {
    /// Our name.
    pub name: String,
    /// The provider's name.
    pub provider: String,
    /// The vendor's model id.
    pub upstream: String,
    /// Where it runs.
    pub region: Option<String>,
    /// Breaker, failure share, first-token times.
    pub health: Option<HealthView>,
    /// Meter and USD per million, as text; empty when unpriced.
    pub prices: Vec<(String, String)>,
    /// The price row's id, source and date.
    pub price_source: Option<String>,
    /// Declared quality, `0.93`.
    pub quality: Option<String>,
    /// Its own limits, as far as they are used.
    pub limits: Vec<BudgetNow>,
}

/// Which calls to list.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallFilter {
    /// Only this workflow.
    pub workflow: Option<String>,
    /// Only this lane.
    pub lane: Option<String>,
    /// Only this model.
    pub model: Option<String>,
    /// Only this key.
    pub key: Option<String>,
    /// `served`, `failed`; anything else means all.
    pub outcome: Option<String>,
    /// Only calls that ended before this one (paging backwards).
    pub before: Option<String>,
    /// At most this many; 50 where absent, 500 at most.
    pub limit: Option<u32>,
}

/// A call with everything known of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CallView {
    /// The end of the call; absent while it is in flight.
    pub end: Option<CallEnd>,
    /// Its intents and records, in order of time.
    pub entries: Vec<Entry>,
    /// Journal lines: account and amount, always balanced.
    pub journal: Vec<(String, NanoUsd)>,
}

/// The configuration that runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConfigurationView {
    /// Revision of the running snapshot.
    pub revision: String,
    /// When it was taken over.
    pub since: UnixMs,
    /// The file's text as written; secrets are never in it, only where to find them.
    pub text: String,
    /// What each workflow resolves to, as `freehold check` prints it.
    pub explained: String,
    /// Warnings of the running snapshot.
    pub warnings: Vec<String>,
    /// Why the file on disk is not the one that runs; empty when it is.
    pub rejected: Vec<String>,
    /// Earlier revisions with the time each was taken over.
    pub history: Vec<(String, UnixMs)>,
}

/// One key as the list shows it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct KeyView {
    /// What it may do; the hash is blanked.
    pub grant: KeyGrant,
    /// Its budget now.
    pub budget: Option<BudgetNow>,
    /// What it may ask for in a minute, as far as it is used.
    pub rates: Vec<BudgetNow>,
    /// Spent this month.
    pub month: NanoUsd,
    /// When it was last used.
    pub last_used: Option<UnixMs>,
}

/// What the cache of this instance keeps.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CacheNow {
    /// Memory taken, bytes.
    pub bytes: u64,
    /// Memory that may be taken, bytes.
    pub most_bytes: u64,
    /// Answers, by workflow.
    pub entries: BTreeMap<WorkflowName, u64>,
    /// Answers that went to make room since the start.
    pub evicted: u64,
    /// Answers whose time was up.
    pub expired: u64,
    /// Answers too large to be kept.
    pub too_large: u64,
    /// Why nothing near is found, where there is nothing to make vectors with.
    pub near_is_off: Option<String>,
    /// How near requests must be, by workflow.
    pub thresholds: BTreeMap<WorkflowName, ThresholdNow>,
}

/// How near a request must be to be answered, on this instance.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ThresholdNow {
    /// Cosine, thousandths.
    pub milli: u16,
    /// As declared.
    pub declared_milli: u16,
    /// Hits compared since it moved last.
    pub compared: u32,
    /// Those of them whose answers differed.
    pub differing: u32,
    /// When it moved, and to what; the last ones, oldest first.
    pub moves: Vec<(UnixMs, u16)>,
}
