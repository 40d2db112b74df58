//! The most an attempt can cost: the length of its prompt, a cap on its answer, and the prices of both.

use config::{Model, Workflow};
use domain::{Meter, NanoUsd, UnixMs};
use ledger::budget::Spend;
use wire::{Dialect, Head, Operation};

use crate::budgets::{Scopes, ToModel, Under};
use crate::dataplane::Gateway;
use crate::deployed::Slot;
use crate::protect::Protected;
use crate::spend::{LEAST_OUTPUT_HELD, Part};
use crate::units;

/// What a model may answer when neither the client, the workflow nor the catalog sets a bound, tokens. Only used to know
/// the most a call can cost, and sent along as the cap, so that it is also the most it does cost.
pub const OUTPUT_CAP_WHERE_NONE_IS_KNOWN: u64 = 4_096;

/// What a completion is capped at by OpenAI where its request names no cap (API reference, `max_tokens`), tokens.
const OUTPUT_CAP_OF_COMPLETIONS: u64 = 16;

/// The most that is answered by a model at Bedrock to a request that names no cap, tokens: the largest default among the vendors'
/// request parameters (Amazon Bedrock user guide; Mistral's models, 8 192).
const OUTPUT_CAP_OF_INVOCATIONS: u64 = 8_192;

/// The most a conversation is compacted to by a model whose longest output is not known, tokens: the longest of nearly all of
/// OpenAI's models (catalog/models.toml).
const OUTPUT_CAP_OF_COMPACTIONS: u64 = 128_000;

/// What a realtime conversation may grow to where the model's context is not known, tokens: the largest of OpenAI's models.
const CONTEXT_OF_REALTIME: u64 = 128_000;

/// What is held of a streamed answer's output before enough answers were seen to know their length, tokens.
pub const OUTPUT_HELD_UNLEARNED: u64 = 1_024;

/// The most an attempt can cost, and the cap on its output that makes this true.
pub struct Bound {
    /// Absent where the model has no price.
    pub cost: Option<NanoUsd>,
    /// The most tokens it can send and receive.
    pub tokens: u64,
    /// The tokens it should need, where its model limits those: what nearly all of its like had.
    pub likely_tokens: u64,
    /// A cap to send along, where the client named none and a budget must hold.
    pub insert_max_output: Option<u64>,
    /// The part of the output that is held at first; absent where all of it is.
    pub part: Option<Part>,
    /// Under what kinds of budgets it falls.
    pub under: Under,
}

impl Bound {
    /// The bound of one attempt, whose prompt is at most so many tokens longer than the client's.
    pub fn of(
        call: &Protected,
        model: &Model,
        slot: &Slot,
        workflow: Option<&Workflow>,
        gateway: &Gateway,
        longer: u64,
    ) -> Bound {
        let admitted = call.call();
        let under = gateway.budgets.under(&scopes_at(call, model, 0));
        let (insert_max_output, output_cap) = caps(admitted.operation, &admitted.head, workflow, model, under.hard);
        let row = model.prices.as_ref().and_then(|book| book.row(admitted.call.at));
        // Of a prompt that the provider keeps we see nothing; no prompt is longer than the model's context.
        let context = model.context_tokens.filter(|_| admitted.head.bound.hidden_prompt).unwrap_or(u64::MAX);
        let input = admitted.head.input_upper_tokens.saturating_add(longer).min(context);
        let cost = match admitted.operation {
            Operation::CountTokens => Some(NanoUsd::ZERO),
            Operation::Chat | Operation::Embeddings => {
                row.map(|row| ledger::price::upper_bound(row, input, output_cap, admitted.head.n, admitted.call.at))
            }
            Operation::Completions => {
                row.map(|row| ledger::price::upper_bound(row, input, output_cap, admitted.head.n, admitted.call.at))
            }
            Operation::Compact => {
                // It takes no cap: what came of the conversation is no longer than the model can say.
                let cap = model.max_output_tokens.or(model.context_tokens).unwrap_or(OUTPUT_CAP_OF_COMPACTIONS);
                row.map(|row| ledger::price::upper_bound(row, input, cap, 1, admitted.call.at))
            }
            Operation::Realtime => {
                // One response of a conversation as long as can be; the hold is taken anew for each.
                let context = model.context_tokens.unwrap_or(CONTEXT_OF_REALTIME);
                let cap = model.max_output_tokens.unwrap_or(OUTPUT_CAP_WHERE_NONE_IS_KNOWN);
                row.map(|row| ledger::price::upper_bound(row, context, cap, 1, admitted.call.at))
            }
            Operation::Invoke => {
                // No cap can be put into a grammar that is not read: where the client named none, the model's own holds.
                let own = model.max_output_tokens.or(model.context_tokens);
                let cap = admitted.head.max_output.or(own).unwrap_or(OUTPUT_CAP_OF_INVOCATIONS);
                row.map(|row| ledger::price::upper_bound(row, input, cap, 1, admitted.call.at))
            }
            Operation::Moderations
            | Operation::ImageGeneration
            | Operation::ImageEdit
            | Operation::Speech
            | Operation::Transcription
            | Operation::AudioTranslation => {
                row.and_then(|row| units::upper_bound(&admitted.head, row, model, input, admitted.call.at))
            }
            Operation::Rerank => {
                // Cohere bills searches, whatever its tokens cost.
                let by_search = model.provider.dialect_for(admitted.dialect) == Dialect::Cohere;
                let row = row.filter(|row| !by_search || row.prices.get(Meter::SearchUnits).is_some());
                row.and_then(|row| ledger::price::upper_bound_of_ranking(row, input, admitted.head.search_units_upper))
            }
        };
        let tokens = match admitted.operation {
            Operation::CountTokens => 0,
            Operation::Realtime => {
                let context = model.context_tokens.unwrap_or(CONTEXT_OF_REALTIME);
                context.saturating_add(model.max_output_tokens.unwrap_or(OUTPUT_CAP_WHERE_NONE_IS_KNOWN))
            }
            _ => input.saturating_add(output_cap.saturating_mul(u64::from(admitted.head.n.max(1)))),
        };
        let cap = output_cap.saturating_mul(u64::from(admitted.head.n.max(1)));
        let part = part(call, workflow, slot, input, cap).filter(|_| under.any);
        let likely_tokens = match under.model_tokens {
            false => 0,
            true => {
                let learned = slot.output_q99(workflow.map(|workflow| &workflow.name)).unwrap_or(OUTPUT_HELD_UNLEARNED);
                let output = learned.saturating_mul(u64::from(admitted.head.n.max(1)));
                tokens.min(slot.estimate_tokens(admitted.head.prompt_bytes).0.saturating_add(output)).max(1)
            }
        };
        Bound { cost, tokens, likely_tokens, insert_max_output, part, under }
    }

    /// What is held for it before it is sent.
    pub fn spend(&self, model: &Model, at: UnixMs) -> Spend {
        match &self.part {
            None => Spend { usd: self.cost.unwrap_or(NanoUsd::ZERO), tokens: self.tokens },
            Some(part) => part.spend(model, at),
        }
    }
}

/// The part of a streamed answer that is held first. Nothing where all of it must be: an answer that comes as a whole is as
/// long as it is once it is seen, and of reasoning that a model does not show nobody sees how long it is.
fn part(call: &Protected, workflow: Option<&Workflow>, slot: &Slot, input: u64, cap: u64) -> Option<Part> {
    let admitted = call.call();
    let seen_as_it_comes = admitted.head.stream
        && matches!(admitted.operation, Operation::Chat | Operation::Completions)
        && !admitted.head.bound.background
        && !admitted.head.features.reasoning
        && !slot.reasons_unseen();
    if !seen_as_it_comes {
        return None;
    }
    let n = u64::from(admitted.head.n.max(1));
    let learned = slot.output_q99(workflow.map(|workflow| &workflow.name)).unwrap_or(OUTPUT_HELD_UNLEARNED);
    let output = learned.max(LEAST_OUTPUT_HELD).saturating_mul(n);
    (output < cap).then_some(Part { input, output, cap })
}

/// A cap on the output to send along, where the client named none, and the cap that holds then.
///
/// The client's own goes through as it is; where it has none, the workflow's is put in, and under a budget at least some cap,
/// because what has no end has no price.
pub fn caps(
    operation: Operation,
    head: &Head,
    workflow: Option<&Workflow>,
    model: &Model,
    budgeted: bool,
) -> (Option<u64>, u64) {
    if !operation.is_capped() {
        return (None, 0);
    }
    let configured = workflow.and_then(|workflow| workflow.max_output_tokens);
    let insert = match (head.max_output, configured) {
        (Some(_), _) => None,
        (None, Some(cap)) => Some(cap),
        (None, None) if budgeted && model.max_output_tokens.is_none() => Some(match operation {
            Operation::Completions => OUTPUT_CAP_OF_COMPLETIONS,
            _ => OUTPUT_CAP_WHERE_NONE_IS_KNOWN,
        }),
        (None, None) => None,
    };
    let known = head.max_output.or(insert).or(model.max_output_tokens);
    (insert, known.unwrap_or(OUTPUT_CAP_WHERE_NONE_IS_KNOWN))
}

/// The budgets that may apply to a call.
pub fn scopes(call: &Protected) -> Scopes {
    let workflow = call.call().target.workflow().map(|workflow| workflow.name.clone());
    Scopes {
        workflow,
        key: call.call().call.key.grant.id.clone(),
        session: call.call().call.session.clone(),
        model: None,
    }
}

/// The same of an attempt at this model, with the model's own limits.
pub fn scopes_at(call: &Protected, model: &Model, tokens: u64) -> Scopes {
    let model = model.limits.any().then(|| ToModel { name: model.name.clone(), tokens });
    Scopes { model, ..scopes(call) }
}
