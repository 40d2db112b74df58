//! A stream that breaks off after content has reached the client goes on elsewhere, with what was already said: the broken
//! attempt is booked, another model is asked for the rest, and the client's one stream goes on. Where nothing can go on, the
//! stream ends with an error frame.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::Entry;
use wire::{Dialect, Framing};

use crate::after::After;
use crate::answered::{Broken, Resumed};
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::protect::Protected;
use crate::refusal::Refusal;
use crate::relay::{Parting, RelayEnd, Relayed};
use crate::search::Search;
use crate::settle::{Ending, settle};
use crate::trail::Trail;

/// Books the attempt that broke off and finds another to go on with, or ends the stream with an error frame.
pub async fn go_on(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    broken: Broken,
    (id, dialect, framing): (&str, Dialect, Framing),
    trail: &mut Trail,
) -> Result<Resumed, Box<Relayed>> {
    let Broken { attempt, seen, fault, going_on, mut client, mut out } = broken;
    let events = going_on.said.events;
    let (model, name) = (attempt.candidate.model, attempt.intent.model.clone());
    let (said_tokens, _) = attempt.slot.estimate_answer_tokens(going_on.said.text().len() as u64);
    let ending = Ending::Failed { fault: &fault, seen: Some(&seen), after_content: true };
    let record = settle(&gateway.books(), call, attempt, trail, &ending).await;
    trail.tokens_used += record.usage.input_tokens() + record.usage.output_tokens();
    let kept = gateway.spool.keep(&[Entry::Record(Box::new(record))]);
    trail.closed();
    // Two models' answer is nobody's to be given again.
    trail.keeping = None;
    gateway.spool.confirm(kept).await;

    let after = Arc::new(After { going_on, model: name, class: fault.class, said_tokens });
    let search = Search::after(gateway, deployed, call, after, model, trail.attempts);
    let refusal = match search.answer(&mut client, trail).await {
        Ok(answered) => {
            let attempt = &answered.attempt;
            trail.lane = attempt.intent.lane.clone().map(|lane| (lane, attempt.candidate.class));
            trail.model = Some(attempt.intent.model.clone());
            trail.note("attempt", &*attempt.decision);
            return Ok(Resumed { answered, client, out });
        }
        Err(refusal) => refusal,
    };
    if matches!(refusal, Refusal::ClientGone) {
        trail.stream_out = None;
        let parting = Parting::Nobody;
        return Err(Box::new(Relayed { attempt: None, seen, end: RelayEnd::Gone, parting }));
    }
    let refusal = Refusal::Upstream {
        fault: fault.clone(),
        why: format!("after the answer had begun, and no other model could go on with it: {refusal}"),
        retry_after_ms: None,
        billed: true,
    };
    let error = refusal.client_error(id, dialect);
    out.extend_from_slice(&wire::errors::error_frame_after(dialect, framing, &error, events));
    trail.answer(&out);
    let parting = Parting::Stream(client, out, Box::new(None));
    Err(Box::new(Relayed { attempt: None, seen, end: RelayEnd::Failed(fault, refusal), parting }))
}
