//! The configuration that runs, with what has been learned of its models: health, bytes per token, answer lengths.
//! Swapped whole; a call keeps the one it started with.

use std::sync::Arc;

use config::{Model, Snapshot};
use domain::{NanoUsd, UnixMs, WorkflowName};
use ledger::learn::{BytesPerToken, OutputLength};
use parking_lot::Mutex;
use routing::{BreakerSettings, ModelHealth, ModelIndex};
use rustc_hash::FxHashMap;

use crate::upstream::{UpstreamError, Upstreams};

/// Tokens an answer is expected to have before any was seen.
const FIRST_GUESS_OUTPUT_TOKENS: u64 = 256;

/// A snapshot at work.
pub struct Deployed {
    /// The policy.
    pub snapshot: Arc<Snapshot>,
    /// When it was taken over.
    pub since: UnixMs,
    /// What is known of each model, by its index in the snapshot.
    pub slots: Vec<Arc<Slot>>,
    /// Connections.
    pub upstreams: Upstreams,
}

/// What is known of one model; outlives the snapshot as long as the model stays the same.
pub struct Slot {
    /// Breaker and first-token times.
    pub health: Mutex<ModelHealth>,
    bytes_per_token: Mutex<BytesPerToken>,
    output: Mutex<FxHashMap<Option<WorkflowName>, OutputLength>>,
}

impl Deployed {
    /// Puts a snapshot to work; what is known of unchanged models is carried over.
    pub fn new(snapshot: Arc<Snapshot>, since: UnixMs, before: Option<&Deployed>) -> Result<Deployed, UpstreamError> {
        let same =
            |a: &Model, b: &Model| a.name == b.name && a.upstream == b.upstream && a.provider.name == b.provider.name;
        let known = |model: &Model| {
            let before = before?;
            let index = before.snapshot.models.iter().position(|other| same(model, other))?;
            Some(before.slots[index].clone())
        };
        let slots = snapshot.models.iter().map(|model| known(model).unwrap_or_else(|| Arc::new(Slot::new()))).collect();
        let upstreams = Upstreams::new(&snapshot.server, &snapshot.providers)?;
        Ok(Deployed { snapshot, since, slots, upstreams })
    }

    /// The model at this index.
    pub fn model(&self, index: ModelIndex) -> &Arc<Model> {
        &self.snapshot.models[index]
    }
}

impl Slot {
    fn new() -> Slot {
        Slot {
            health: Mutex::new(ModelHealth::new(BreakerSettings::default())),
            bytes_per_token: Mutex::default(),
            output: Mutex::default(),
        }
    }

    /// Learns from a usage the provider reported.
    pub fn observe(&self, workflow: Option<&WorkflowName>, prompt_bytes: u64, input_tokens: u64, output_tokens: u64) {
        if prompt_bytes > 0 && input_tokens > 0 {
            self.bytes_per_token.lock().observe(prompt_bytes, input_tokens);
        }
        self.output.lock().entry(workflow.cloned()).or_default().observe(output_tokens);
    }

    /// Tokens of this many bytes, by this model's own measure, and how far off that may be in percent.
    pub fn estimate_tokens(&self, bytes: u64) -> (u64, u16) {
        self.bytes_per_token.lock().estimate(bytes)
    }

    /// What a call of this size should cost here, by what its like have cost.
    pub fn expected_cost(
        &self,
        model: &Model,
        workflow: Option<&WorkflowName>,
        ask: &Size,
        now: UnixMs,
    ) -> Option<NanoUsd> {
        let row = model.prices.as_ref()?.row(now)?;
        let (input, _) = self.estimate_tokens(ask.prompt_bytes);
        let learned = self.output.lock().get(&workflow.cloned()).and_then(OutputLength::mean);
        let output = learned.unwrap_or(FIRST_GUESS_OUTPUT_TOKENS).min(ask.max_output.unwrap_or(u64::MAX));
        Some(ledger::price::expected(row, input, output, now))
    }
}

/// The size of a request, for expecting its cost.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bytes of prompt text.
    pub prompt_bytes: u64,
    /// The client's own cap on output tokens.
    pub max_output: Option<u64>,
}
