//! A stream that breaks off after content has reached the client goes on elsewhere, with what was already said: the broken
//! attempt is booked, another model is asked for the rest, and the client's one stream goes on. Where nothing can go on, the
//! stream ends with an error frame.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::{Entry, Fault, FaultClass, Loss, ModelName};
use wire::{Dialect, Framing, GoingOn, Seen, Way};

use crate::attempt::{Answered, Search};
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::protect::Protected;
use crate::refusal::Refusal;
use crate::relay::{Parting, RelayEnd, Relayed};
use crate::reply::Streaming;
use crate::settle::{Attempt, Ending, settle};
use crate::trail::Trail;

/// A stream that broke off and may go on.
pub struct Broken {
    /// The attempt, to be settled now.
    pub attempt: Attempt,
    /// What was seen of it.
    pub seen: Seen,
    /// How it broke.
    pub fault: Fault,
    /// What it said.
    pub going_on: GoingOn,
    /// Where the stream goes.
    pub client: Streaming,
    /// What the client is still to get of it.
    pub out: Vec<u8>,
}

/// What an attempt goes on from.
pub struct After {
    /// What was said.
    pub going_on: GoingOn,
    /// By whom.
    pub model: ModelName,
    /// How it broke off.
    pub class: FaultClass,
    /// About how many tokens it was.
    pub said_tokens: u64,
}

impl After {
    /// The same in a line for whoever reads the stream itself.
    pub fn line(&self) -> String {
        format!("the answer of {} broke off here ({}) and goes on elsewhere", self.model, self.class)
    }

    /// What the record says is not as it was asked.
    pub fn loss(&self, way: Way) -> Loss {
        self.going_on.loss(way, self.model.as_str(), self.class)
    }
}

/// A stream that goes on.
pub struct Resumed {
    /// With this attempt.
    pub answered: Answered,
    /// To this client.
    pub client: Streaming,
    /// What the client is still to get of what broke off.
    pub out: Vec<u8>,
}

/// Books the attempt that broke off and finds another to go on with, or ends the stream with an error frame.
pub async fn go_on(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    broken: Broken,
    (id, dialect, framing): (&str, Dialect, Framing),
    trail: &mut Trail,
) -> Result<Resumed, Relayed> {
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
        return Err(Relayed { attempt: None, seen, end: RelayEnd::Gone, parting: Parting::Nobody });
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
    Err(Relayed { attempt: None, seen, end: RelayEnd::Failed(fault, refusal), parting })
}
