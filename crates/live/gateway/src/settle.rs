//! What an attempt cost: usage is metered or estimated, priced, booked against the budgets, learned from, and made into
//! the one record the attempt leaves. A step with a value, never a destructor.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{
    AttemptEnd, Cost, Fault, FaultClass, Intent, Loss, LossKind, Meter, NanoUsd, Record, ServedAs, Usage, UsageOrigin,
};
use ledger::budget::Spend;
use ledger::price::Served;
use routing::Candidate;
use tokio::sync::watch;
use tokio::time::Instant;
use wire::usage::Beside;
use wire::{Dialect, Operation, Seen};

use crate::after::After;
use crate::budgets::Budgets;
use crate::clock;
use crate::deployed::{Deployed, Slot};
use crate::kept::deferred::Deferred;
use crate::metrics::Metrics;
use crate::open::Open;
use crate::pricing::{billed_region, priced_beside, tell_difference};
use crate::promises::{Answering, Promised};
use crate::protect::Protected;
use crate::provisioned::Taken;
use crate::spend::{Part, spent};
use crate::tokens::{Counted, Texts, TokenCounter};
use crate::totals::Totals;
use crate::trail::Trail;
use crate::units;
use crate::warm::{PromptPrint, Warm, cached_after};
use crate::watch::Watch;
use crate::watch::found::Ended;

/// By how many percent a guess at a response that was cut off may be wrong: how much of what was said before is cached, and so a
/// tenth of the price, nobody told.
const CUT_RESPONSE_ERROR_PERCENT: u16 = 400;

/// An attempt that was written down and sent.
pub struct Attempt {
    /// As the spool has it.
    pub intent: Intent,
    /// When it was sent.
    pub sent: Instant,
    /// Where it went.
    pub candidate: Candidate,
    /// Whether it probes a half-open breaker.
    pub probe: bool,
    /// Why it went there.
    pub decision: String,
    /// What translating the request gave up.
    pub losses: Vec<Loss>,
    /// Milliseconds to the first content.
    pub first_token_ms: Option<u64>,
    /// The provider's status.
    pub status: Option<u16>,
    /// The cap on its output that we put in, tokens.
    pub our_cap: Option<u64>,
    /// What of its output is held, where that is not all.
    pub part: Option<Part>,
    /// What the call should have cost where it would have begun if nothing were moved.
    pub usual_cost: Option<NanoUsd>,
    /// What is known of the model.
    pub slot: Arc<Slot>,
    /// What it goes on from, where another attempt broke off.
    pub after: Option<Arc<After>>,
    /// Whether another may go on from what it says.
    pub may_be_gone_on_from: bool,
    /// When the call entered the lane.
    pub entered: Instant,
    /// Room in what was bought for its model.
    pub taken: Option<Taken>,
    /// What its prompt is known by, where its cost depends on what a provider has cached.
    pub prompt: Option<(Arc<Warm>, PromptPrint)>,
    /// What the lane promises.
    pub promised: Option<Arc<Promised>>,
}

/// How an attempt ended.
pub enum Ending<'a> {
    /// The whole answer came.
    Served(&'a Seen),
    /// It failed.
    Failed {
        /// How.
        fault: &'a Fault,
        /// What had been seen of the answer; absent where the provider had not begun one, and so bills nothing.
        seen: Option<&'a Seen>,
        /// Whether content had reached the client.
        after_content: bool,
    },
    /// The client went away.
    Cancelled(Option<&'a Seen>),
    /// We ended it, because a budget had no more.
    Spent(&'a Seen),
}

/// What the record of an answer says that we ended because a budget had no more.
pub const FINISH_SPENT: &str = "freehold_budget";

/// The providers' words for an answer that was cut at its cap.
const CUT_AT_CAP: [&str; 4] = ["length", "max_tokens", "MAX_TOKENS", "max_output_tokens"];

impl Attempt {
    /// Bytes of prompt that it was sent, of which a client's own are so many.
    fn prompt_bytes(&self, of_the_client: u64) -> u64 {
        of_the_client + self.after.as_ref().map_or(0, |after| after.going_on.prompt_bytes())
    }

    /// Says that an answer was cut at a cap of ours, not of the client's.
    pub fn cut_by_us(&self, seen: &Seen) -> Option<Loss> {
        let cap = self.our_cap?;
        let finish = seen.finish.as_deref().filter(|finish| CUT_AT_CAP.contains(finish))?;
        let reason = format!(
            "the answer was cut ({finish}) at {cap} output tokens: a cap that Freehold set, because the request named none"
        );
        Some(Loss { pointer: "/max_tokens".into(), kind: LossKind::Dropped, reason })
    }
}

/// The books an attempt is settled in.
pub struct Books<'a> {
    /// Holds and limits.
    pub budgets: &'a Budgets,
    /// Counters.
    pub metrics: &'a Metrics,
    /// What counts tokens that were not reported.
    pub tokens: &'a TokenCounter,
    /// What providers do later.
    pub deferred: &'a Deferred,
    /// What many calls consumed together, where prices depend on it.
    pub totals: &'a Totals,
    /// What is out of the ordinary.
    pub watch: &'a Watch,
    /// The configuration that runs, whose calls are moved by what is found.
    pub deployed: &'a ArcSwap<Deployed>,
    /// True when calls must end now.
    pub cut: &'a watch::Sender<bool>,
}

/// Settles the attempt that is open in `trail`. The record is returned for the spool; everything else is done.
pub async fn settle(
    books: &Books<'_>,
    call: &Protected,
    mut attempt: Box<Attempt>,
    trail: &mut Trail,
    ending: &Ending<'_>,
) -> Record {
    let now = clock::now();
    let latency_ms = u64::try_from(attempt.sent.elapsed().as_millis()).unwrap_or(u64::MAX);
    let admitted = call.call();
    let model = &call.snapshot().models[attempt.candidate.model];
    let seen = ending.seen();

    let later = ending.is_answered_later(admitted.head.bound.background);
    let counted = counted(books, call, &attempt, ending).await.filter(|_| !later);
    let prompt_bytes = attempt.prompt_bytes(admitted.head.prompt_bytes);
    let (usage, usage_origin) = match admitted.operation {
        // What it costs is told when it is fetched.
        _ if later => (Usage::ZERO, UsageOrigin::None),
        // Counting is free at every provider that offers it.
        Operation::CountTokens => (Usage::ZERO, UsageOrigin::None),
        Operation::Realtime => of_a_session(seen, ending),
        Operation::Chat
        | Operation::Compact
        | Operation::Embeddings
        | Operation::Rerank
        | Operation::Completions
        | Operation::Invoke => consumed(&attempt, prompt_bytes, ending, counted),
        Operation::Moderations
        | Operation::ImageGeneration
        | Operation::ImageEdit
        | Operation::Speech
        | Operation::Transcription
        | Operation::AudioTranslation => {
            let (usage, origin) = consumed(&attempt, admitted.head.prompt_bytes, ending, counted);
            let row = model.prices.as_ref().and_then(|book| book.row(attempt.intent.at));
            units::metered(admitted.operation, &admitted.head, row, seen, (usage, origin))
        }
    };
    let row = model.prices.as_ref().and_then(|book| book.row(attempt.intent.at));
    let usage = match (usage_origin, row) {
        (UsageOrigin::Estimated { .. }, Some(row)) if admitted.operation == Operation::Rerank => {
            // A ranking that is billed by the unit is estimated by the unit; no token price stands for it.
            let by_unit = row.prices.get(Meter::SearchUnits).is_some();
            if by_unit { Usage::ZERO.with(Meter::SearchUnits, admitted.head.search_units_upper) } else { usage }
        }
        _ => usage,
    };
    let served = Served {
        at: attempt.intent.at,
        tier: seen.and_then(|seen| seen.service_tier.as_deref()),
        region: seen.and_then(|seen| seen.geography.as_deref()).or(billed_region(model)),
    };
    if let Some(taken) = attempt.taken.take() {
        taken.used(&usage, served.tier, now);
    }
    let beside = seen.map_or(&[][..], |seen| &seen.beside);
    let cost = match beside.is_empty() {
        _ if later => Cost::AtMost(attempt.intent.hold),
        true if usage == Usage::ZERO => Cost::NOTHING,
        true => ledger::price::price(&usage, row, &served),
        false => {
            let own = ledger::price::price(&usage, row, &served);
            let beside = beside.iter().map(|one| priced_beside(one, &call.snapshot().models, model, row, &served));
            ledger::price::together(std::iter::once(own).chain(beside))
        }
    };
    let (cost, totals) = books.totals.priced(cost, row, attempt.intent.at);
    let actual = spent(&cost, &with_beside(usage, beside));
    if attempt.part.is_some()
        && let Some(held) = trail.open.as_mut().and_then(Open::hold)
    {
        // What came with the last piece was not looked at yet. Where a budget has room for it, nothing is overrun.
        let more = actual.beyond(held.spend());
        if more != Spend::ZERO {
            let _ = books.budgets.top_up(held, more);
        }
    }
    // Of what is told later nobody can count the tokens meanwhile: all that was held of them stays taken.
    let tokens_meanwhile = if later { trail.open.as_ref().map_or(0, |open| open.held().tokens) } else { 0 };
    let actual = Spend { tokens: actual.tokens.max(tokens_meanwhile), ..actual };
    let overrun = trail.settle(books.budgets, actual);
    if overrun > NanoUsd::ZERO {
        tracing::warn!(attempt = %attempt.intent.attempt, usd = %overrun, "more was billed than could be held for it; booked as overrun");
        books.metrics.overrun_nano_usd.inc_by(overrun.0.unsigned_abs());
    }
    if usage_origin == UsageOrigin::Reported {
        let workflow = attempt.intent.workflow.as_ref();
        attempt.slot.observe(workflow, prompt_bytes, usage.input_tokens(), usage.output_tokens());
        attempt.slot.observe_cache(&usage);
        if let Some((warm, print)) = &attempt.prompt {
            let cached = cached_after(&usage, attempt.slot.caches_by_itself());
            warm.sent(*print, attempt.candidate.model, cached, now);
        }
        attempt.slot.observe_reasoning(&usage, seen.map_or(0, |seen| seen.output_bytes));
        attempt.slot.observe_answer(&usage, seen.map_or(0, |seen| seen.output_bytes));
    }
    judge(&attempt.slot, attempt.probe, attempt.first_token_ms, latency_ms, ending, admitted.operation);

    if let Some(promised) = attempt.promised.as_deref().filter(|_| !later) {
        keep_account(promised, &attempt, trail, ending, &usage, admitted.head.stream);
    }

    let cut = seen.and_then(|seen| attempt.cut_by_us(seen));
    let mut losses = attempt.losses;
    losses.extend(cut);
    losses.extend(seen.iter().flat_map(|seen| seen.losses.iter().cloned()));
    let record = Record {
        ended_at: now,
        end: ending.as_end(trail),
        status: attempt.status,
        upstream_model: model.upstream.clone(),
        region: model.region.as_ref().map(ToString::to_string),
        usage: with_beside(usage, beside),
        usage_origin,
        cost,
        usage_residue: seen.map_or(0, |seen| seen.usage_residue),
        provider_cost: seen.and_then(|seen| seen.provider_cost),
        latency_ms,
        first_token_ms: attempt.first_token_ms,
        decision: attempt.decision,
        losses,
        provider_request_id: seen.and_then(|seen| seen.provider_request_id.clone()),
        served: ServedAs { tier: served.tier.map(str::to_owned), region: served.region.map(str::to_owned) },
        corrects: None,
        counted: totals,
        intent: attempt.intent,
    };
    books.metrics.attempt(&record);
    tell_difference(&record, books.metrics);
    let same_dialect = model.provider.dialects.contains(&admitted.dialect);
    let says_tier = matches!(admitted.dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Anthropic);
    let ended = Ended {
        record: &record,
        row,
        asked: (same_dialect && says_tier).then_some(admitted.head.features.tier),
        streamed: admitted.head.stream,
        expected_cost: attempt.candidate.expected_cost,
        usual_cost: attempt.usual_cost,
    };
    books.watch.look(&attempt.slot, &ended, books.deployed, books.metrics);
    if later {
        books.deferred.wait_for(&record, tokens_meanwhile);
    }
    record
}

fn with_beside(mut usage: Usage, beside: &[Beside]) -> Usage {
    beside.iter().flat_map(|one| one.usage.counts()).for_each(|(meter, count)| usage.add(meter, count));
    usage
}

impl Ending<'_> {
    fn seen(&self) -> Option<&Seen> {
        match self {
            Ending::Served(seen) | Ending::Spent(seen) => Some(seen),
            Ending::Failed { seen, .. } | Ending::Cancelled(seen) => *seen,
        }
    }

    /// Whether the provider may have done work that it bills.
    fn may_have_worked(&self) -> bool {
        match self {
            Ending::Served(_) | Ending::Cancelled(_) | Ending::Spent(_) => true,
            // A provider that we left because it was slow may have done the work all the same.
            Ending::Failed { fault, seen, .. } => {
                seen.is_some() || matches!(fault.class, FaultClass::FirstTokenTimeout | FaultClass::TotalTimeout)
            }
        }
    }

    /// Whether the provider goes on by itself, and tells later what it cost: a background answer that was only taken down, or
    /// whose stream did not reach its end.
    fn is_answered_later(&self, background: bool) -> bool {
        let Some(seen) = self.seen().filter(|_| background) else { return false };
        let is_over = seen.ended && !seen.deferred;
        seen.provider_request_id.is_some() && !is_over && seen.fault.is_none()
    }

    fn as_end(&self, trail: &Trail) -> AttemptEnd {
        match self {
            Ending::Served(seen) => AttemptEnd::Served { finish: seen.finish.clone() },
            Ending::Failed { fault, after_content, .. } => AttemptEnd::Failed {
                class: fault.class,
                message: trail.kept_words(&fault.message).chars().take(500).collect(),
                after_content: *after_content,
            },
            Ending::Cancelled(_) => AttemptEnd::Cancelled,
            Ending::Spent(_) => AttemptEnd::Served { finish: Some(FINISH_SPENT.to_owned()) },
        }
    }
}

/// What was consumed. What the provider reports counts, zero included; where it reports nothing although it had the
/// prompt, we estimate. A provider that answered with an error bills nothing.
fn consumed(
    attempt: &Attempt,
    prompt_bytes: u64,
    ending: &Ending<'_>,
    counted: Option<Counted>,
) -> (Usage, UsageOrigin) {
    if !ending.may_have_worked() {
        return (Usage::ZERO, UsageOrigin::None);
    }
    let seen = ending.seen();
    // A stream that was cut may have reported the input and only a part of the output: the larger one counts.
    let output_bytes = seen.map_or(0, |seen| seen.output_bytes);
    let (output_estimate, error_percent) = match &counted {
        Some(counted) => (counted.output.tokens, counted.output.error_percent()),
        // Bytes tell little of a short answer; that a frame holds at least a token is certain.
        None => {
            let (tokens, error_percent) = attempt.slot.estimate_answer_tokens(output_bytes);
            (tokens.max(seen.map_or(0, |seen| seen.output_frames)), error_percent)
        }
    };
    match seen.and_then(|seen| seen.usage) {
        Some(usage) if matches!(ending, Ending::Served(_)) => (usage, UsageOrigin::Reported),
        Some(mut usage) if usage.output_tokens() < output_estimate => {
            usage.add(Meter::Output, output_estimate - usage.output_tokens());
            (usage, UsageOrigin::Estimated { error_percent })
        }
        Some(usage) => (usage, UsageOrigin::Reported),
        None => {
            let (input, error_percent) = match &counted {
                Some(counted) => (counted.input.tokens, counted.error_percent()),
                None => (attempt.slot.estimate_tokens(prompt_bytes).0, error_percent),
            };
            let usage = Usage::ZERO.with(Meter::Input, input).with(Meter::Output, output_estimate);
            (usage, UsageOrigin::Estimated { error_percent })
        }
    }
}

/// What a response of a realtime session consumed: as told, or what was guessed of one that was cut off.
fn of_a_session(seen: Option<&Seen>, ending: &Ending<'_>) -> (Usage, UsageOrigin) {
    match seen.and_then(|seen| seen.usage) {
        None => (Usage::ZERO, UsageOrigin::None),
        Some(Usage::ZERO) => (Usage::ZERO, UsageOrigin::None),
        Some(usage) if matches!(ending, Ending::Served(_)) => (usage, UsageOrigin::Reported),
        Some(usage) => (usage, UsageOrigin::Estimated { error_percent: CUT_RESPONSE_ERROR_PERCENT }),
    }
}

/// What a public tokenizer counts where the provider did not report all. Nothing where the model has none, or where calls
/// must end now: what is cut off at the end of a drain is not kept waiting.
async fn counted(books: &Books<'_>, call: &Protected, attempt: &Attempt, ending: &Ending<'_>) -> Option<Counted> {
    let admitted = call.call();
    let tokenizer = call.snapshot().models[attempt.candidate.model].tokenizer?;
    let seen = ending.seen();
    let reported = seen.is_some_and(|seen| seen.usage.is_some());
    if admitted.operation == Operation::CountTokens
        || admitted.operation.is_media()
        // What was compacted is encrypted: it has no text to count.
        || matches!(admitted.operation, Operation::Invoke | Operation::Realtime | Operation::Compact)
        || !ending.may_have_worked()
        // The client's body is not all that it was sent.
        || attempt.after.is_some()
        || (reported && matches!(ending, Ending::Served(_)))
    {
        return None;
    }
    let (head, chat) = (&admitted.head, admitted.operation == Operation::Chat);
    let features = &head.features;
    let texts = Texts {
        tokenizer,
        chat,
        body: admitted.call.body.clone(),
        dialect: admitted.dialect,
        prompt_bytes: head.prompt_bytes,
        beyond_text: features.images || features.documents || features.audio || head.bound.is_tied(),
        answer: seen.map_or_else(String::new, |seen| seen.kept.text().to_owned()),
        answer_bytes: seen.map_or(0, |seen| seen.output_bytes),
        answers: u64::from(head.n),
        may_call: features.tools,
        reasons_unseen: chat && (features.reasoning || attempt.slot.reasons_unseen()),
    };
    let mut cut = books.cut.subscribe();
    tokio::select! {
        biased;
        _ = cut.wait_for(|cut| *cut) => None,
        counted = books.tokens.count(texts) => counted,
    }
}

/// Tells the lane's budgets of errors how it went. A lane that did not begin to answer is told of where the route ends, since
/// another of its models may have.
fn keep_account(
    promised: &Promised,
    attempt: &Attempt,
    trail: &Trail,
    ending: &Ending<'_>,
    usage: &Usage,
    streamed: bool,
) {
    let now = clock::now();
    match ending {
        Ending::Served(_) => {
            let first = attempt.first_token_ms.filter(|_| streamed);
            let first_content = first.map(|ms| attempt.sent + Duration::from_millis(ms));
            let how = Answering { entered: attempt.entered, first_content, held_up: trail.held_up };
            let whose = (attempt.intent.attempt.call, &attempt.intent.key);
            promised.answered(&how, usage, whose, now);
        }
        Ending::Failed { after_content: true, fault, .. } if fault.class.trips_breaker() => promised.broke_off(now),
        Ending::Failed { .. } | Ending::Cancelled(_) | Ending::Spent(_) => {}
    }
}

/// Tells the model's health how it went.
fn judge(
    slot: &Slot,
    probe: bool,
    first_token_ms: Option<u64>,
    latency_ms: u64,
    ending: &Ending<'_>,
    operation: Operation,
) {
    let now = clock::now();
    let mut health = slot.health.lock();
    match ending {
        // A server that answers conversations may have no route for this; its conversations are not kept from it for that.
        Ending::Failed { fault, .. }
            if fault.class == FaultClass::ModelMissing && operation.is_beside_a_conversation() =>
        {
            health.abandoned(probe);
        }
        Ending::Served(_) | Ending::Spent(_) => health.succeeded(now, first_token_ms, latency_ms, probe),
        Ending::Failed { fault, .. } => health.failed(now, fault, probe),
        Ending::Cancelled(_) => health.abandoned(probe),
    }
}
