//! The configuration that runs, with what has been learned of its models: health, bytes per token, answer lengths.
//! Swapped whole; a call keeps the one it started with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use config::{Lane, Model, Provider, Snapshot};
use domain::{Meter, NanoUsd, UnixMs, Usage, WorkflowName};
use http::HeaderMap;
use ledger::learn::{BytesPerToken, OutputLength};
use parking_lot::Mutex;
use routing::{Amount, BreakerSettings, Hedging, Mark, ModelHealth, ModelIndex, Need, Permit};
use rustc_hash::FxHashMap;
use wire::Maker;

use crate::clock;
use crate::concentration::Traffic;
use crate::promises::Promises;
use crate::provisioned::Provisioned;
use crate::steering::Steering;
use crate::upstream::{UpstreamError, Upstreams};
use crate::warm::{Warm, cached_after};
use crate::watch::model::ModelWatch;

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
    /// What is known for second attempts, by the lane's index; absent where the lane makes none.
    pub hedging: Vec<Option<Arc<Mutex<Hedging>>>>,
    /// Which calls begin elsewhere.
    pub steering: Steering,
    /// What lanes promise.
    pub promises: Promises,
    /// How much of their traffic one vendor has.
    pub traffic: Traffic,
    /// How much room there is in what was bought by the hour.
    pub provisioned: Provisioned,
    /// Which prompts are cached where.
    pub warm: Arc<Warm>,
}

/// What is known of one model; outlives the snapshot as long as the model stays the same.
pub struct Slot {
    /// Its provider, as the tag of what it signs.
    pub maker: Maker,
    /// Breaker and first-token times.
    pub health: Mutex<ModelHealth>,
    /// How it bills, serves and answers, and since when that is out of the ordinary.
    pub watch: Mutex<ModelWatch>,
    bytes_per_token: Mutex<BytesPerToken>,
    /// The same of answers, whose text is of another kind than prompts.
    answer_bytes_per_token: Mutex<BytesPerToken>,
    output: Mutex<FxHashMap<Option<WorkflowName>, OutputLength>>,
    reasons_unseen: AtomicBool,
    /// Whether it was seen to read from a cache what it never said it wrote.
    caches_by_itself: AtomicBool,
}

impl Deployed {
    /// Puts a snapshot to work; what is known of unchanged models is carried over. Where the provider's address or
    /// credential changed, failures of before say nothing: health starts afresh, and sizes stay known.
    pub fn new(snapshot: Arc<Snapshot>, since: UnixMs, before: Option<&Deployed>) -> Result<Deployed, UpstreamError> {
        let same =
            |a: &Model, b: &Model| a.name == b.name && a.upstream == b.upstream && a.provider.name == b.provider.name;
        let known = |model: &Model| {
            let before = before?;
            let index = before.snapshot.models.iter().position(|other| same(model, other))?;
            let (slot, provider) = (&before.slots[index], &before.snapshot.models[index].provider);
            Some(if asked_alike(provider, &model.provider) { slot.clone() } else { Arc::new(slot.renewed()) })
        };
        let slots = snapshot
            .models
            .iter()
            .map(|model| known(model).unwrap_or_else(|| Arc::new(Slot::new(&model.provider))))
            .collect();
        let upstreams = Upstreams::new(&snapshot.server, &snapshot.providers, before.map(|before| &before.upstreams))?;
        let upstreams = upstreams.with_tools(&snapshot.mcp, before.map(|before| &before.upstreams));
        let hedging = hedging(&snapshot, before);
        let carried = |before: &Deployed| Steering::carried(&before.steering, &before.snapshot, &snapshot);
        let steering = before.map(carried).unwrap_or_default();
        let traffic = Traffic::new(&snapshot);
        let provisioned = Provisioned::new(&snapshot, before.map(|before| &before.provisioned), since);
        let promises = Promises::new(&snapshot, before.map(|before| (&before.promises, &*before.snapshot)));
        Ok(Deployed {
            snapshot,
            since,
            slots,
            upstreams,
            hedging,
            steering,
            promises,
            traffic,
            provisioned,
            warm: Arc::default(),
        })
    }

    /// Asks a model for one attempt of a call of this size.
    pub fn permit(&self, index: ModelIndex, now: UnixMs, need: Need, size: &Size) -> Permit {
        let slot = &self.slots[index];
        let leaves_percent = if self.model(index).provider.quota_steering { size.leaves_percent } else { 0 };
        slot.health.lock().permit_for(now, need, || Amount {
            input_tokens: slot.estimate_tokens(size.prompt_bytes).0,
            output_tokens: size.max_output.unwrap_or(FIRST_GUESS_OUTPUT_TOKENS),
            leaves_percent,
        })
    }

    /// The model at this index.
    pub fn model(&self, index: ModelIndex) -> &Arc<Model> {
        &self.snapshot.models[index]
    }
}

/// What is known for second attempts; what was measured of a lane outlives a change of its terms.
fn hedging(snapshot: &Snapshot, before: Option<&Deployed>) -> Vec<Option<Arc<Mutex<Hedging>>>> {
    let of = |lane: &Arc<Lane>| {
        let terms = lane.hedge?;
        let known = before.and_then(|before| {
            let index = before.snapshot.lanes.iter().position(|other| other.name == lane.name)?;
            before.hedging[index].as_ref()
        });
        let same = known.filter(|known| known.lock().terms() == terms);
        Some(same.cloned().unwrap_or_else(|| {
            let changed = known.map(|known| known.lock().under(terms));
            Arc::new(Mutex::new(changed.unwrap_or_else(|| Hedging::new(terms))))
        }))
    };
    snapshot.lanes.iter().map(of).collect()
}

/// Whether what one of them answered tells what the other will: same place, same credential sent the same way. Headers
/// count, since some providers take the credential, or the account, in one of their own.
fn asked_alike(a: &Provider, b: &Provider) -> bool {
    let same_way = a.base_url == b.base_url && a.query == b.query && a.headers == b.headers;
    same_way && a.credential == b.credential && a.identity == b.identity && a.auth == b.auth
}

impl Slot {
    fn new(provider: &Provider) -> Slot {
        Slot::made_by(Maker::of(provider.name.as_str()))
    }

    fn made_by(maker: Maker) -> Slot {
        Slot {
            maker,
            health: Mutex::new(ModelHealth::new(BreakerSettings::default())),
            watch: Mutex::default(),
            bytes_per_token: Mutex::default(),
            answer_bytes_per_token: Mutex::default(),
            output: Mutex::default(),
            reasons_unseen: AtomicBool::new(false),
            caches_by_itself: AtomicBool::new(false),
        }
    }

    /// The same model asked in another way: its sizes are as known, its health is not.
    fn renewed(&self) -> Slot {
        Slot {
            bytes_per_token: Mutex::new(self.bytes_per_token.lock().clone()),
            answer_bytes_per_token: Mutex::new(self.answer_bytes_per_token.lock().clone()),
            output: Mutex::new(self.output.lock().clone()),
            reasons_unseen: AtomicBool::new(self.reasons_unseen()),
            caches_by_itself: AtomicBool::new(self.caches_by_itself()),
            ..Slot::made_by(self.maker)
        }
    }

    /// Takes over what an answer's headers tell of the provider's quota; `mark` is of when its attempt was sent.
    pub fn told(&self, headers: &HeaderMap, mark: Mark) {
        if !headers.keys().any(|name| wire::limits::may_tell(name.as_str())) {
            return;
        }
        let now = clock::now();
        let told = wire::limits::limits(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())), now);
        self.health.lock().told(&told.claims, told.unread, mark, now);
    }

    /// Learns from a usage the provider reported.
    pub fn observe(&self, workflow: Option<&WorkflowName>, prompt_bytes: u64, input_tokens: u64, output_tokens: u64) {
        if prompt_bytes > 0 && input_tokens > 0 {
            self.bytes_per_token.lock().observe(prompt_bytes, input_tokens);
        }
        self.output.lock().entry(workflow.cloned()).or_default().observe(output_tokens);
    }

    /// Learns from a usage how many bytes of an answer its tokens are; nothing of an answer that was not all text.
    pub fn observe_answer(&self, usage: &Usage, output_bytes: u64) {
        let shown = usage.get(Meter::Output);
        if usage.get(Meter::Reasoning) == 0 && output_bytes > 0 {
            self.answer_bytes_per_token.lock().observe(output_bytes, shown);
        }
    }

    /// Learns from a usage whether the model bills reasoning that it does not show: the text that came is then nearer to
    /// what its other tokens make than to what all of them would.
    pub fn observe_reasoning(&self, usage: &Usage, output_bytes: u64) {
        let (reasoning, output) = (usage.get(Meter::Reasoning), usage.output_tokens());
        // Half of the reasoning is where "nearer to the one than to the other" turns. A provider may report anything.
        let middle = output.saturating_sub(reasoning / 2);
        let bytes = BytesPerToken::UNLEARNED_MILLI_BYTES.saturating_mul(middle) / 1000;
        if reasoning > 0 && bytes > output_bytes {
            self.reasons_unseen.store(true, Ordering::Relaxed);
        }
    }

    /// Learns from a usage whether the model caches prompts without being asked: it reads, and says of no write.
    pub fn observe_cache(&self, usage: &Usage) {
        if usage.get(Meter::CacheRead) > 0 && cached_after(usage, false) == usage.get(Meter::CacheRead) {
            self.caches_by_itself.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was seen to.
    pub fn caches_by_itself(&self) -> bool {
        self.caches_by_itself.load(Ordering::Relaxed)
    }

    /// Whether it was seen to.
    pub fn reasons_unseen(&self) -> bool {
        self.reasons_unseen.load(Ordering::Relaxed)
    }

    /// Tokens of this many bytes, by this model's own measure, and how far off that may be in percent.
    pub fn estimate_tokens(&self, bytes: u64) -> (u64, u16) {
        self.bytes_per_token.lock().estimate(bytes)
    }

    /// Tokens of this many bytes of an answer, by what answers were seen to be, or else prompts.
    pub fn estimate_answer_tokens(&self, bytes: u64) -> (u64, u16) {
        let answers = self.answer_bytes_per_token.lock();
        if answers.is_learned() {
            return answers.estimate(bytes);
        }
        drop(answers);
        self.estimate_tokens(bytes)
    }

    /// The most tokens that so many bytes of a stream are taken for.
    pub fn upper_tokens(&self, bytes: u64) -> u64 {
        self.answer_bytes_per_token.lock().upper(bytes)
    }

    /// The bytes of output that may be so many tokens.
    pub fn bytes_of_tokens(&self, tokens: u64) -> u64 {
        self.answer_bytes_per_token.lock().bytes_of(tokens)
    }

    /// A length that at most one answer in a hundred for this workflow exceeds, tokens; `None` before enough were seen.
    pub fn output_q99(&self, workflow: Option<&WorkflowName>) -> Option<u64> {
        self.output.lock().get(&workflow.cloned()).and_then(OutputLength::q99)
    }

    /// How long answers for this workflow have been, tokens; `None` before any.
    pub fn output_mean(&self, workflow: Option<&WorkflowName>) -> Option<u64> {
        self.output.lock().get(&workflow.cloned()).and_then(OutputLength::mean)
    }

    /// How many tokens a call of this size should have here, sent and received.
    pub fn expected_tokens(&self, workflow: Option<&WorkflowName>, ask: &Size) -> (u64, u64) {
        let (input, _) = self.estimate_tokens(ask.prompt_bytes);
        let learned = self.output_mean(workflow).or(ask.typical_output);
        let output = learned.unwrap_or(FIRST_GUESS_OUTPUT_TOKENS).min(ask.max_output.unwrap_or(u64::MAX));
        (input, output)
    }

    /// What a call of this size should cost here, by what its like have cost, where so many tokens of its prompt are cached.
    pub fn expected_cost(
        &self,
        model: &Model,
        workflow: Option<&WorkflowName>,
        ask: &Size,
        cached_tokens: u64,
        now: UnixMs,
    ) -> Option<NanoUsd> {
        let row = model.prices.as_ref()?.row(now)?;
        let (input, output) = self.expected_tokens(workflow, ask);
        let units = ledger::price::expected_of_units(row, &ask.units.likely());
        let saved = ledger::price::saved_by_cache(row, input, cached_tokens, now);
        let cost = ledger::price::expected(row, input, output, now).saturating_add(units);
        Some(NanoUsd(cost.0.saturating_sub(saved.0)))
    }
}

/// The size of a request, for expecting its cost.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bytes of prompt text.
    pub prompt_bytes: u64,
    /// The client's own cap on output tokens.
    pub max_output: Option<u64>,
    /// What answers of other models to the same workflow have been like, tokens: else one that has not answered yet would be
    /// compared by a guess with one that has.
    pub typical_output: Option<u64>,
    /// What some models are billed by instead of tokens.
    pub units: wire::Units,
    /// Share of a provider's quota that it leaves to calls that matter more, percent.
    pub leaves_percent: u8,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use config::Input;
    use domain::{Fault, FaultClass};
    use routing::State;

    const NOW: UnixMs = UnixMs(1_767_225_600_000);

    #[test]
    fn absurd_counts_of_reasoning_are_no_defect_of_ours() {
        let slot = Slot::made_by(Maker::of("p"));
        slot.observe_reasoning(&Usage::ZERO.with(Meter::Output, u64::MAX), 1);
        assert!(!slot.reasons_unseen());
        slot.observe_reasoning(&Usage::ZERO.with(Meter::Output, 10).with(Meter::Reasoning, 10), 1_000);
        assert!(!slot.reasons_unseen(), "what came is more than all of it would make");
        slot.observe_reasoning(&Usage::ZERO.with(Meter::Output, u64::MAX).with(Meter::Reasoning, u64::MAX), 1_000);
        assert!(slot.reasons_unseen());
    }

    /// One provider `p` with these lines, and its model `m`.
    pub(crate) fn snapshot(provider: &str) -> Snapshot {
        let text = format!(
            "[providers.p]\ndialect = \"openai-chat\"\n{provider}\n\n[models.m]\nprovider = \"p\"\nmodel = \"v\"\n\
             price = {{ input = \"1\", output = \"1\" }}\n"
        );
        let input = Input {
            file_name: "freehold.toml",
            text: &text,
            catalog: &config::Catalog::default(),
            environment: &|name| Some(format!("value-of-{name}")),
            read_secret_file: &|_| Err("there is none".into()),
            now: NOW,
        };
        config::check(&input).unwrap()
    }

    fn deployed(provider: &str, before: Option<&Deployed>) -> Deployed {
        Deployed::new(Arc::new(snapshot(provider)), NOW, before).unwrap()
    }

    #[test]
    fn a_mended_credential_or_address_closes_the_breaker_and_keeps_what_was_learned_of_sizes() {
        let broken = "base_url = \"http://127.0.0.1:1\"\napi_key = { env = \"OLD\" }";
        let first = deployed(broken, None);
        first.slots[0].observe(None, 8_000, 1_000, 10);
        let learned = first.slots[0].estimate_tokens(8_000);
        assert_ne!(learned, Slot::made_by(Maker::of("p")).estimate_tokens(8_000));
        first.slots[0].health.lock().failed(NOW, &Fault::new(FaultClass::QuotaExhausted, "spent"), false);
        let state = |deployed: &Deployed| deployed.slots[0].health.lock().view(NOW).state;
        assert_eq!(state(&first), State::Open);

        let untouched = deployed(broken, Some(&first));
        assert_eq!(state(&untouched), State::Open);

        for mended in [broken.replace("OLD", "NEW"), broken.replace(":1\"", ":2\"")] {
            let after = deployed(&mended, Some(&first));
            assert_eq!(state(&after), State::Closed, "{mended}");
            assert_eq!(after.slots[0].estimate_tokens(8_000), learned, "{mended}");
        }
    }
}
