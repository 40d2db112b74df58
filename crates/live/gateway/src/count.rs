//! How many tokens has this prompt? Answered by ourselves where no provider of the call counts.

use std::sync::Arc;

use config::Model;
use domain::FaultClass;
use wire::Operation;

use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::protect::Protected;
use crate::refusal::Refusal;
use crate::tokens::Texts;

/// A count that no provider gave.
pub struct Estimate {
    /// What the client gets.
    pub body: String,
    /// By how many percent it may be off.
    pub error_percent: u16,
    /// How it was made, in one sentence.
    pub note: String,
}

/// Counts for the first model of the call: with its public tokenizer where it has one, else by the bytes per token of its
/// reported usage. Nothing where another kind of call was refused, or for another reason.
pub async fn counted_by_us(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    refusal: &Refusal,
) -> Option<Estimate> {
    // No dialect for it, or a server that speaks the dialect and has no such route.
    let none_counts = matches!(
        refusal,
        Refusal::Upstream { fault, .. } if matches!(fault.class, FaultClass::Untranslatable | FaultClass::ModelMissing)
    );
    // Nobody but its provider can count a prompt that it keeps.
    let hidden = call.call().head.bound.hidden_prompt;
    if call.call().operation != Operation::CountTokens || !none_counts || hidden {
        return None;
    }
    let (_, models) = call.lanes().first()?;
    let index = *models.first()?;
    let model = deployed.model(index);
    let ((tokens, error_percent), way) = match with_tokenizer(gateway, model, call).await {
        Some((count, tokenizer)) => (count, format!("tokenizer {tokenizer}")),
        None => (deployed.slots[index].estimate_tokens(call.call().head.prompt_bytes), "bytes per token".to_owned()),
    };
    let note = format!(
        "no model counts tokens; the count is Freehold's estimate for {} by {way}, off by at most {error_percent} %",
        model.name
    );
    Some(Estimate { body: wire::models::count_body(call.call().dialect, tokens), error_percent, note })
}

/// Tokens, by how many percent they may be off, and what counted them.
async fn with_tokenizer(gateway: &Gateway, model: &Arc<Model>, call: &Protected) -> Option<((u64, u16), &'static str)> {
    let tokenizer = model.tokenizer?;
    let head = &call.call().head;
    let features = &head.features;
    let texts = Texts {
        tokenizer,
        chat: true,
        body: call.call().call.body.clone(),
        dialect: call.call().dialect,
        prompt_bytes: head.prompt_bytes,
        beyond_text: features.images || features.documents || features.audio || head.bound.is_tied(),
        answer: String::new(),
        answer_bytes: 0,
        answers: 0,
        may_call: false,
        reasons_unseen: false,
    };
    let mut cut = gateway.cut.subscribe();
    let counted = tokio::select! {
        biased;
        _ = cut.wait_for(|cut| *cut) => None,
        counted = gateway.tokens.count(texts) => counted,
    }?;
    Some(((counted.input.tokens, counted.input.error_percent()), tokenizer.name))
}
