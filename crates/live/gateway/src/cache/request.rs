//! Which requests are the same: a name made of everything that an answer depends on, and of whom it may be given to.

use config::cache::Share;
use config::{CacheRule, NearRule};
use wire::{Framing, Operation, Said};

use super::agree::numbers;
use super::name::{Name, Parts};
use crate::protect::Protected;

/// Longest request that is looked up, bytes. A longer one is seldom sent twice, and reading it costs more than it saves.
const LONGEST_REQUEST_BYTES: usize = 1 << 20;

/// Why the cache is not asked for a request of a workflow that has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// What it asks for is not kept: only conversations, completions, vectors and rankings are.
    Operation,
    /// It is longer than 1 MiB.
    Long,
    /// It can be read in two ways.
    Ambiguous,
    /// It offers tools: what a model does with them depends on more than the request.
    Tools,
    /// It has a temperature above zero.
    Sampled,
    /// It asks for several answers.
    Several,
    /// It asks the provider to keep the answer, or goes on from something kept.
    Kept,
    /// It asks for sound.
    Audio,
    /// Its client said `Cache-Control: no-store`.
    Unwanted,
}

impl Passed {
    /// In words, for the call's page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Passed::Operation => "what it asks for is not kept",
            Passed::Long => "the request is longer than 1 MiB",
            Passed::Ambiguous => "the request may be read in two ways",
            Passed::Tools => "it offers tools",
            Passed::Sampled => "its temperature is above zero (`sampled`)",
            Passed::Several => "it asks for several answers",
            Passed::Kept => "it asks the provider to keep the answer, or goes on from one kept",
            Passed::Audio => "it asks for sound",
            Passed::Unwanted => "the client asked for no cache",
        }
    }
}

/// The rule of what is near, where the call's workflow has one.
pub fn near_rule(call: &Protected) -> Option<NearRule> {
    call.call().target.workflow()?.cache.as_ref()?.near
}

/// The name of a call's request, or why the cache is not for it.
pub fn name(call: &Protected, rule: &CacheRule, pepper: &[u8; 32]) -> Result<Name, Passed> {
    let said = said(call, rule)?;
    let mut name = Parts::new(pepper);
    circumstances(call, rule, &mut name);
    name.text("body", &said.canonical());
    Ok(name.name())
}

/// The last words of a call's user with the name of all that was said beside them: their context, in which texts are compared. The
/// numbers among the words belong to it too, since a vector hardly moves when one of them does.
pub fn words(call: &Protected, rule: &CacheRule, pepper: &[u8; 32]) -> Option<(Name, String)> {
    if call.call().operation != Operation::Chat {
        return None;
    }
    let mut said = said(call, rule).ok()?;
    let words = said.take_last_words(call.call().dialect).filter(|words| !words.trim().is_empty())?;
    let mut name = Parts::new(pepper);
    name.text("context", "");
    circumstances(call, rule, &mut name);
    name.text("body", &said.canonical());
    numbers(&words).into_iter().for_each(|number| name.text("number", number));
    Some((name.name(), words))
}

/// What a request says, if the cache is for it.
fn said(call: &Protected, rule: &CacheRule) -> Result<Said, Passed> {
    let admitted = call.call();
    let (head, body) = (&admitted.head, &admitted.call.body);
    let refused = [
        (admitted.call.no_store, Passed::Unwanted),
        (admitted.call.form.is_some() || !is_keepable(admitted.operation), Passed::Operation),
        (body.len() > LONGEST_REQUEST_BYTES, Passed::Long),
        (head.features.tools, Passed::Tools),
        (head.features.audio, Passed::Audio),
        (head.n > 1, Passed::Several),
        (
            head.bound.is_tied() || head.bound.background || admitted.bound_to.is_some() || admitted.unsealed.is_some(),
            Passed::Kept,
        ),
    ];
    if let Some((_, passed)) = refused.into_iter().find(|(refused, _)| *refused) {
        return Err(passed);
    }
    let said = wire::said(body).ok_or(Passed::Ambiguous)?;
    if said.asks_to_be_kept() {
        return Err(Passed::Kept);
    }
    if !rule.sampled && said.asks_for_variety(admitted.dialect) {
        return Err(Passed::Sampled);
    }
    Ok(said)
}

fn is_keepable(operation: Operation) -> bool {
    matches!(operation, Operation::Chat | Operation::Completions | Operation::Embeddings | Operation::Rerank)
}

/// What an answer depends on beside the body, and whom it may be given to. Whatever else comes to decide an answer belongs here.
fn circumstances(call: &Protected, rule: &CacheRule, name: &mut Parts) {
    let admitted = call.call();
    let snapshot = call.snapshot();
    let one_key = match rule.share {
        // The id of an answer of this dialect is sealed for its key, which alone can go on from it.
        _ if admitted.dialect.answers_are_gone_on_from() => true,
        Share::Key => true,
        Share::Workflow => false,
    };
    name.text("key", if one_key { &admitted.call.key.grant.id.0 } else { "" });
    if let Some(workflow) = admitted.target.workflow() {
        name.text("workflow", workflow.name.as_str());
        workflow.residency.iter().for_each(|region| name.text("residency", region.as_str()));
        // Both come with their pillars; until then every call has the same.
        name.text("prompt revision", "");
        name.text("redaction", "");
        name.text("on loss", workflow.on_loss.as_str());
        name.number("cap", workflow.max_output_tokens.unwrap_or(0));
    }
    for (lane, models) in call.lanes() {
        if let Some(lane) = lane.map(|index| &snapshot.lanes[index]) {
            name.text("lane", lane.name.as_str());
            name.text("pick", &lane.pick.to_string());
        }
        for model in models.iter().map(|index| &snapshot.models[*index]) {
            name.text("model", model.name.as_str());
            name.text("id", &model.upstream);
            name.text("provider", model.provider.name.as_str());
            name.text("address", &model.provider.base_url.to_string());
            name.text("region", model.region.as_ref().map_or("", |region| region.as_str()));
        }
    }
    name.text("dialect", admitted.dialect.as_str());
    name.text("operation", admitted.operation.as_str());
    name.text("endpoint", admitted.call.endpoint.name);
    name.text("framing", framing(admitted.call.framing));
    let head = &admitted.head;
    let wants = [head.stream, head.include_usage, head.continuous_usage].map(u8::from);
    name.bytes("wants", &wants);
    name.text("asked", &admitted.asked);
    for (header, value) in &admitted.call.carried {
        name.text("header", header.as_str());
        name.bytes("value", value.as_bytes());
    }
    name.text("query", &admitted.call.query);
}

const fn framing(framing: Framing) -> &'static str {
    match framing {
        Framing::ServerSentEvents => "events",
        Framing::JsonArray => "array",
        Framing::Messages => "messages",
        Framing::Chunks => "chunks",
    }
}
