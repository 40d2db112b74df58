//! What a batch asks for, made ready for its provider: each request names the provider's model, every one is read as a call is, and
//! the most all of them can cost at the price of batches is added up.

use bytes::Bytes;
use domain::NanoUsd;
use ledger::price::{PriceRow, Served, upper_bound_for};
use wire::kept::{Asked, batch_line, batch_requests, with_bodies};
use wire::{Ask, BadBody, Head, Operation};

use super::allow::Holder;
use super::asking::Asking;
use super::seal::Most;
use crate::bound::caps;
use crate::prepare::OUTPUT_CAP_WHERE_ONE_IS_DEMANDED;
use crate::refusal::Refusal;
use crate::trail::Trail;

/// How price lists call the tier of batches.
pub const TIER: &str = "batch";

/// A batch ready to be sent.
pub struct Rewritten {
    /// Who may have it sent, and to whom.
    pub holder: Holder,
    /// What is sent.
    pub text: Bytes,
    /// The most it can take; of money nothing where the model has no price of batches.
    pub bound: Most,
}

/// The input file of a batch, within the form it is uploaded in.
pub fn lines(
    asking: &Asking<'_>,
    form: &Bytes,
    file: std::ops::Range<usize>,
    trail: &mut Trail,
) -> Result<Rewritten, Refusal> {
    let mut asked = Vec::new();
    let mut from = file.start;
    for (number, line) in form[file].split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            let Asked { dialect, operation, body } = batch_line(line).map_err(|bad| refusal(number + 1, &bad))?;
            asked.push(Asked { dialect, operation, body: from + body.start..from + body.end });
        }
        from += line.len() + 1;
    }
    if asked.is_empty() {
        let message = "the file of a batch has no line; write one request a line".to_owned();
        return Err(Refusal::Body { message, param: Some("file".into()) });
    }
    rewritten(asking, form, &asked, trail)
}

/// The requests of an Anthropic batch.
pub fn requests(asking: &Asking<'_>, body: &Bytes, trail: &mut Trail) -> Result<Rewritten, Refusal> {
    let asked = batch_requests(body)
        .map_err(|bad| Refusal::Body { message: bad.to_string(), param: bad.param.map(str::to_owned) })?;
    rewritten(asking, body, &asked, trail)
}

fn rewritten(asking: &Asking<'_>, text: &Bytes, asked: &[Asked], trail: &mut Trail) -> Result<Rewritten, Refusal> {
    let mut read: Vec<(Head, Bytes, Option<String>)> = Vec::with_capacity(asked.len());
    for (number, Asked { dialect, operation, body }) in asked.iter().enumerate() {
        let mut body = text.slice(body.clone());
        let mut provider = None;
        if let Some(opened) = asking.opened_body(&body)? {
            provider = Some(opened.holder.model().provider.name.to_string());
            body = opened.body;
        }
        let head = wire::scan(*dialect, *operation, None, &body).map_err(|bad| refusal(number + 1, &bad))?;
        if head.bound.previous.is_some() || head.bound.background {
            let message = format!(
                "request {}: what goes on from another answer, or is made in the background, is not taken in batches",
                number + 1
            );
            return Err(Refusal::Body { message, param: None });
        }
        read.push((head, body, provider));
    }
    let name = read.first().and_then(|(head, ..)| head.model.clone());
    if let Some(number) = read.iter().position(|(head, ..)| head.model != name) {
        let (first, other) = (name.unwrap_or_default(), read[number].0.model.clone().unwrap_or_default());
        let message = format!(
            "request {} names `{other}` and the first one `{first}`: a batch is of one workflow, which its budget and its \
             provider belong to; send one batch for each, or write `batch = \"own\"` for all of them and Freehold runs it",
            number + 1
        );
        return Err(Refusal::Body { message, param: Some("model".into()) });
    }
    let holder = asking.place(name.as_deref(), trail)?;
    let model = holder.model();
    let foreign =
        |provider: &Option<String>| provider.as_ref().is_some_and(|name| *name != *model.provider.name.as_str());
    if read.iter().any(|(.., provider)| foreign(provider)) {
        return Err(Refusal::Scattered);
    }
    for Asked { dialect, body, .. } in asked {
        asking.sealed(&holder, *dialect, &text[body.clone()])?;
    }
    let budgeted = asking.gateway.budgets.under(&holder.scopes()).hard;
    let workflow = holder.target().workflow();
    let row = model.price_at(asking.arrival.at).filter(|row| row.tiers.iter().any(|tier| tier.tier == TIER));
    let mut bound = row.map(|_| NanoUsd::ZERO);
    let mut tokens: u64 = 0;
    let mut bodies = Vec::with_capacity(read.len());
    for (number, (Asked { dialect, operation, .. }, (head, body, _))) in asked.iter().zip(&read).enumerate() {
        let (insert_max_output, cap) = caps(*operation, head, workflow.map(|workflow| &**workflow), model, budgeted);
        let ask = Ask {
            upstream_model: &model.upstream,
            quirks: model.provider.quirks,
            insert_max_output,
            default_max_output: insert_max_output
                .or(model.max_output_tokens.map(|most| most.min(OUTPUT_CAP_WHERE_ONE_IS_DEMANDED)))
                .unwrap_or(OUTPUT_CAP_WHERE_ONE_IS_DEMANDED),
            foreign: false,
            maker: wire::Maker::of(model.provider.name.as_str()),
        };
        let outgoing = wire::outgoing(*dialect, *operation, body, head, *dialect, &ask).map_err(|fault| {
            Refusal::Body { message: format!("request {}: {}", number + 1, fault.message), param: None }
        })?;
        bodies.push(outgoing.body);
        let one = row.map(|row| most(row, *operation, head, cap, asking.arrival.at));
        let output = if operation.is_capped() { cap.saturating_mul(u64::from(head.n.max(1))) } else { 0 };
        tokens = tokens.saturating_add(head.input_upper_tokens).saturating_add(output);
        bound = bound.zip(one).map(|(sum, one)| sum.saturating_add(one));
    }
    let places: Vec<_> = asked.iter().map(|asked| asked.body.clone()).collect();
    Ok(Rewritten {
        text: with_bodies(text, &places, &bodies).into(),
        holder,
        bound: Most { usd: bound, tokens: Some(tokens) },
    })
}

/// The most one request can cost at the price of batches.
fn most(row: &PriceRow, operation: Operation, head: &Head, cap: u64, at: domain::UnixMs) -> NanoUsd {
    let served = Served { at, tier: Some(TIER), region: None };
    let cap = if operation.is_capped() { cap } else { 0 };
    upper_bound_for(row, head.input_upper_tokens, cap, head.n, &served)
}

fn refusal(number: usize, bad: &BadBody) -> Refusal {
    Refusal::Body { message: format!("request {number}: {}", bad.message), param: bad.param.map(str::to_owned) }
}
