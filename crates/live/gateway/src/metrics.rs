//! What Prometheus sees of the data plane. Label values come from the configuration only, never from a client, so the
//! number of series is bounded.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI64, AtomicU64};

use domain::{AttemptEnd, Cost, ModelName, Record, WorkflowName};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the latency buckets, seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A name as the value of a label: counted by every call, so its letters are not copied.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Label<T>(pub T);

impl<T: fmt::Display> EncodeLabelValue for Label<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

/// Labels of a call.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct CallLabels {
    /// The workflow; `(direct)` or `(none)` where there is none.
    pub workflow: Label<WorkflowName>,
    /// Client-facing route.
    pub endpoint: &'static str,
    /// HTTP status the client got.
    pub status: u16,
}

/// Labels of an attempt.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct AttemptLabels {
    /// Our model name.
    pub model: Label<ModelName>,
    /// Why it was spent.
    pub cause: &'static str,
    /// `served`, `cancelled` or the fault's code.
    pub end: &'static str,
}

/// Labels of tokens.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct MeterLabels {
    /// Our model name.
    pub model: Label<ModelName>,
    /// The meter.
    pub meter: &'static str,
}

/// One model.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct ModelLabels {
    /// Our model name.
    pub model: Label<ModelName>,
}

/// One workflow.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct WorkflowLabels {
    /// Its name.
    pub workflow: Label<WorkflowName>,
}

/// What the cache had for a call.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct CacheLabels {
    /// The workflow.
    pub workflow: Label<WorkflowName>,
    /// `hit`, `near`, `compared`, `miss` or `pass`.
    pub outcome: &'static str,
}

/// Why an answer is not kept any more.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct DroppedLabels {
    /// `room`, `size` or `age`.
    pub why: &'static str,
}

/// One kind of anomaly.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct AnomalyLabels {
    /// `price`, `tier`, `latency` or `spend`.
    pub kind: &'static str,
}

/// What came of a request of a batch.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct BatchLabels {
    /// `answered`, `failed`, `again` or `expired`.
    pub came: &'static str,
}

/// Who moved a call.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct MoverLabels {
    /// `burn`, `anomaly` or `concentration`.
    pub by: String,
}

/// One configuration revision.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct RevisionLabels {
    /// The revision that runs.
    pub revision: String,
}

/// Every metric of the gateway.
pub struct Metrics {
    registry: Registry,
    /// Calls ended.
    pub calls: Family<CallLabels, Counter>,
    /// From the first byte in to the last byte out.
    pub call_seconds: Histogram,
    /// From the first byte in to the first content out.
    pub first_token_seconds: Histogram,
    /// Calls being answered.
    pub in_flight: Gauge<i64, AtomicI64>,
    /// Attempts ended.
    pub attempts: Family<AttemptLabels, Counter>,
    /// Tokens and pieces by meter.
    pub tokens: Family<MeterLabels, Counter>,
    /// Nano-dollars booked.
    pub cost_nano_usd: Family<ModelLabels, Counter>,
    /// Attempts with a meter that has no price.
    pub unpriced: Family<ModelLabels, Counter>,
    /// Tokens of a usage that its own details do not explain, by model.
    pub usage_residue: Family<ModelLabels, Counter>,
    /// Attempts whose provider says another cost than was booked.
    pub cost_differences: Family<ModelLabels, Counter>,
    /// Anomalies found, by kind.
    pub anomalies: Family<AnomalyLabels, Counter>,
    /// Attempts whose usage had to be estimated.
    pub estimated: Family<ModelLabels, Counter>,
    /// Nano-dollars billed above what had been held.
    pub overrun_nano_usd: Counter,
    /// Calls refused because a budget was spent.
    pub budget_refusals: Counter,
    /// Second attempts beside slow ones that no budget had room for.
    pub hedges_without_money: Counter,
    /// Calls that waited because nobody could be asked.
    pub waited_out: Counter,
    /// Calls that a model's own limits had no room for.
    pub model_limited: Family<ModelLabels, Counter>,
    /// Calls that began elsewhere than their lanes say.
    pub calls_moved: Family<MoverLabels, Counter>,
    /// Calls of workflows with a cache, by what it had for them.
    pub cache_lookups: Family<CacheLabels, Counter>,
    /// Nano-dollars that answers given again would have cost.
    pub cache_saved_nano_usd: Family<WorkflowLabels, Counter>,
    /// Bytes that kept answers take.
    pub cache_bytes: Gauge<u64, AtomicU64>,
    /// Answers kept, by workflow.
    pub cache_entries: Family<WorkflowLabels, Gauge<u64, AtomicU64>>,
    /// Answers that went to make room, that were too large or whose time was up.
    pub cache_dropped: Family<DroppedLabels, Gauge<u64, AtomicU64>>,
    /// Requests of batches that Freehold runs itself, by what came of them.
    pub batch_requests: Family<BatchLabels, Counter>,
    /// Those that wait for their turn in batches this instance runs.
    pub batch_requests_waiting: Gauge<i64, AtomicI64>,
    /// Messages of servers of tools that nobody took.
    pub mcp_dropped: Counter,
    /// Calls whose task panicked.
    pub panics: Counter,
    /// 1 while the file on disk is not the configuration that runs.
    pub configuration_rejected: Gauge<i64, AtomicI64>,
    /// 1 for the revision that runs.
    pub configuration_revision: Family<RevisionLabels, Gauge<i64, AtomicI64>>,
    /// Times the configuration was taken over.
    pub configuration_loads: Counter,
    /// Bytes of facts that found neither disk nor memory.
    pub spool_dropped_bytes: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("freehold"),
            calls: Family::default(),
            call_seconds: Histogram::new(SECONDS),
            first_token_seconds: Histogram::new(SECONDS),
            in_flight: Gauge::default(),
            attempts: Family::default(),
            tokens: Family::default(),
            cost_nano_usd: Family::default(),
            unpriced: Family::default(),
            usage_residue: Family::default(),
            cost_differences: Family::default(),
            anomalies: Family::default(),
            estimated: Family::default(),
            overrun_nano_usd: Counter::default(),
            budget_refusals: Counter::default(),
            hedges_without_money: Counter::default(),
            waited_out: Counter::default(),
            model_limited: Family::default(),
            calls_moved: Family::default(),
            cache_lookups: Family::default(),
            cache_saved_nano_usd: Family::default(),
            cache_bytes: Gauge::default(),
            cache_entries: Family::default(),
            cache_dropped: Family::default(),
            mcp_dropped: Counter::default(),
            batch_requests: Family::default(),
            batch_requests_waiting: Gauge::default(),
            panics: Counter::default(),
            configuration_rejected: Gauge::default(),
            configuration_revision: Family::default(),
            configuration_loads: Counter::default(),
            spool_dropped_bytes: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("calls", "Calls ended", metrics.calls.clone());
        registry.register("call_seconds", "First byte in to last byte out", metrics.call_seconds.clone());
        registry.register(
            "first_token_seconds",
            "First byte in to first content out",
            metrics.first_token_seconds.clone(),
        );
        registry.register("calls_in_flight", "Calls being answered", metrics.in_flight.clone());
        registry.register(
            "own_batch_requests",
            "Requests of batches that Freehold runs itself, by what came of them",
            metrics.batch_requests.clone(),
        );
        registry.register(
            "own_batch_requests_waiting",
            "Requests that wait for their turn in batches this instance runs",
            metrics.batch_requests_waiting.clone(),
        );
        registry.register("attempts", "Attempts ended", metrics.attempts.clone());
        registry.register("tokens", "Tokens and pieces by meter", metrics.tokens.clone());
        registry.register("cost_nano_usd", "Nano-dollars booked", metrics.cost_nano_usd.clone());
        registry.register("unpriced_attempts", "Attempts with an unpriced meter: an alarm", metrics.unpriced.clone());
        registry.register(
            "usage_residue_tokens",
            "Tokens booked on the base meter because the provider's details did not explain them",
            metrics.usage_residue.clone(),
        );
        registry.register(
            "provider_cost_differences",
            "Attempts whose provider says another cost than was booked, by more than 0.5 percent: an alarm",
            metrics.cost_differences.clone(),
        );
        registry.register("anomalies", "Anomalies found, by kind: an alarm", metrics.anomalies.clone());
        registry.register("estimated_attempts", "Attempts whose usage was estimated", metrics.estimated.clone());
        registry.register("overrun_nano_usd", "Nano-dollars billed above the hold", metrics.overrun_nano_usd.clone());
        registry.register("budget_refusals", "Calls refused by a spent budget", metrics.budget_refusals.clone());
        metrics.register_cache();
        let registry = &mut metrics.registry;
        registry.register(
            "calls_moved",
            "Calls that began elsewhere than their lanes say",
            metrics.calls_moved.clone(),
        );
        registry.register(
            "hedges_without_money",
            "Second attempts beside slow ones that no budget had room for",
            metrics.hedges_without_money.clone(),
        );
        registry.register(
            "waited_out",
            "Calls that waited because every model was behind a breaker or a limit",
            metrics.waited_out.clone(),
        );
        registry.register(
            "model_limited",
            "Calls that a model's own limits had no room for, and that went elsewhere or were refused",
            metrics.model_limited.clone(),
        );
        registry.register(
            "mcp_dropped_messages",
            "Messages of servers of tools that nobody took",
            metrics.mcp_dropped.clone(),
        );
        registry.register("panics", "Calls ended by a defect in Freehold: an alarm", metrics.panics.clone());
        registry.register(
            "configuration_rejected",
            "1 while the file on disk is not the configuration that runs",
            metrics.configuration_rejected.clone(),
        );
        registry.register(
            "configuration_revision",
            "1 for the revision that runs",
            metrics.configuration_revision.clone(),
        );
        registry.register("configuration_loads", "Configurations taken over", metrics.configuration_loads.clone());
        registry.register(
            "spool_dropped_bytes",
            "Bytes of facts that found neither disk nor memory: an alarm",
            metrics.spool_dropped_bytes.clone(),
        );
        metrics
    }

    fn register_cache(&mut self) {
        let registry = &mut self.registry;
        let lookups = "Calls of workflows with a cache, by what it had for them";
        registry.register("cache_lookups", lookups, self.cache_lookups.clone());
        let saved = "Nano-dollars that answers given again would have cost";
        registry.register("cache_saved_nano_usd", saved, self.cache_saved_nano_usd.clone());
        registry.register("cache_bytes", "Memory that kept answers take", self.cache_bytes.clone());
        registry.register("cache_entries", "Answers kept", self.cache_entries.clone());
        let dropped = "Answers that went to make room, that were too large or whose time was up, since the start";
        registry.register("cache_dropped", dropped, self.cache_dropped.clone());
    }

    /// Takes over what the cache counts itself.
    pub fn cache(&self, totals: &crate::cache::shelf::Totals) {
        self.cache_bytes.set(totals.bytes);
        self.cache_entries.clear();
        for (workflow, count) in &totals.entries {
            self.cache_entries.get_or_create(&WorkflowLabels { workflow: Label(workflow.clone()) }).set(*count);
        }
        for (why, count) in [("room", totals.evicted), ("size", totals.too_large), ("age", totals.expired)] {
            self.cache_dropped.get_or_create(&DroppedLabels { why }).set(count);
        }
    }

    /// Counts an attempt that ended.
    pub fn attempt(&self, record: &Record) {
        let model = || Label(record.intent.model.clone());
        let end = match &record.end {
            AttemptEnd::Served { .. } => "served",
            AttemptEnd::Failed { class, .. } => class.as_str(),
            AttemptEnd::Cancelled => "cancelled",
            AttemptEnd::Indeterminate => "indeterminate",
        };
        let labels = AttemptLabels { model: model(), cause: record.intent.cause.as_str(), end };
        self.attempts.get_or_create(&labels).inc();
        for (meter, count) in record.usage.counts() {
            self.tokens.get_or_create(&MeterLabels { model: model(), meter: meter.as_str() }).inc_by(count);
        }
        if record.usage_residue > 0 {
            self.usage_residue.get_or_create(&ModelLabels { model: model() }).inc_by(record.usage_residue);
        }
        let booked = match &record.cost {
            // What is told later is counted then: a counter cannot take back.
            Cost::AtMost(_) if record.end != AttemptEnd::Indeterminate => 0,
            Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. } => {
                lines.iter().map(|line| u64::try_from(line.amount.0).unwrap_or(0)).sum()
            }
            Cost::AtMost(bound) => bound.map_or(0, |bound| u64::try_from(bound.0).unwrap_or(0)),
        };
        if booked > 0 {
            self.cost_nano_usd.get_or_create(&ModelLabels { model: model() }).inc_by(booked);
        }
        if matches!(record.cost, Cost::Unpriced { .. }) {
            self.unpriced.get_or_create(&ModelLabels { model: model() }).inc();
        }
        if matches!(record.usage_origin, domain::UsageOrigin::Estimated { .. }) {
            self.estimated.get_or_create(&ModelLabels { model: model() }).inc();
        }
    }

    /// Counts a call that a model's own limits had no room for.
    pub fn limited(&self, model: &ModelName) {
        self.model_limited.get_or_create(&ModelLabels { model: Label(model.clone()) }).inc();
    }

    /// Counts a call that begins elsewhere.
    pub fn moved(&self, by: routing::Mover) {
        self.calls_moved.get_or_create(&MoverLabels { by: by.to_string() }).inc();
    }

    /// Counts an attempt whose provider says another cost than was booked; which of its model it is.
    pub fn cost_difference(&self, model: &ModelName) -> u64 {
        self.cost_differences.get_or_create(&ModelLabels { model: Label(model.clone()) }).inc() + 1
    }

    /// Counts an anomaly.
    pub fn anomaly(&self, kind: &'static str) {
        self.anomalies.get_or_create(&AnomalyLabels { kind }).inc();
    }

    /// The Prometheus text format (OpenMetrics).
    pub fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}
