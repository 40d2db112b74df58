//! One attempt engine for every endpoint: choose, hold, write down, send, and go elsewhere while nothing of an answer
//! has reached the client. What may follow which fault is `routing`'s truth table.

use std::time::{Duration, Instant};

use bytes::Bytes;
use config::OnLoss;
use domain::{AttemptId, Cause, Entry, Fault, Intent, NanoUsd, ProviderName};
use http::header::HeaderValue;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use ledger::budget::Spend;
use routing::{Next, Route};
use wire::{Operation, Outgoing, Seen, StreamRelay};

use crate::bound::Bound;
use crate::budgets::Pick;
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::exchange::{Exchanged, Failure, exchange};
use crate::open::Open;
use crate::prepare::{candidates, hold, lane_name, longest_ms, timeouts, translate};
use crate::protect::Protected;
use crate::refusal::{Lossy, Refusal};
use crate::reply::Waiting;
use crate::settle::{Attempt, Ending, settle};
use crate::skipped::Skipped;
use crate::trail::Trail;

/// A call with an answer under way.
pub struct Answered {
    /// The attempt that answers, not yet settled.
    pub attempt: Attempt,
    /// The answer.
    pub answer: Answer,
    /// When the answer must have ended.
    pub deadline: Instant,
    /// Longest silence between frames.
    pub frame_ms: u64,
    /// What the provider calls it, where it is neither JSON nor events.
    pub content_type: Option<HeaderValue>,
    /// The connection, where it has become a socket; the answer is empty then.
    pub socket: Option<Upgraded>,
}

/// An answer under way.
pub enum Answer {
    /// All of it.
    Whole {
        /// What the client gets.
        body: Bytes,
        /// What was seen in it.
        seen: Box<Seen>,
    },
    /// A stream whose first content has come.
    Stream {
        /// The rest.
        incoming: Incoming,
        /// What turns it into what the client gets.
        relay: Box<StreamRelay>,
        /// What the client gets first.
        first: Vec<u8>,
    },
}

/// Tries until something answers, or nothing more can be tried.
pub async fn attempt(
    gateway: &Gateway,
    deployed: &Deployed,
    call: &Protected,
    client: &mut Waiting,
    trail: &mut Trail,
) -> Result<Answered, Refusal> {
    let admitted = call.call();
    let workflow = admitted.target.workflow().cloned();
    let policy = workflow.as_ref().map_or(deployed.snapshot.defaults.retry, |workflow| workflow.retry);
    let total_ms = longest_ms(deployed, call);
    let deadline = admitted.call.arrived + Duration::from_millis(total_ms);
    // 64 of the 128 bits are enough for jitter.
    let seed = gateway.chance.draw() as u64;
    let candidates = candidates(deployed, call, workflow.as_deref());
    let cheapest = candidates.iter().filter_map(|candidate| candidate.expected_cost).min();
    let mut route = Route::new(candidates, policy, seed, admitted.call.at + total_ms);
    let mut last: Option<Fault> = None;
    // Who is taken for the maker of what the request carries that only its maker can read.
    let mut maker: Option<ProviderName> = None;
    let mut skipped = Skipped::default();
    let refuses_losses = workflow.as_ref().is_some_and(|workflow| workflow.on_loss == OnLoss::Refuse);
    loop {
        let now = clock::now();
        let next =
            route.next(last.as_ref(), &mut |index, need| deployed.slots[index].health.lock().permit(now, need), now);
        let (candidate, wait_ms, cause, probe, decision) = match next {
            Next::Try { candidate, wait_ms, cause, probe, decision } => (candidate, wait_ms, cause, probe, decision),
            Next::GiveUp { why, retry_after_ms, all_open } => {
                trail.note("attempt", &*why);
                return Err(skipped.give_up(last, why, retry_after_ms, all_open, trail.cost > NanoUsd::ZERO));
            }
        };
        let decision = match &admitted.bound_to {
            None => decision,
            Some(bound) => format!("{decision}; provider {} alone has the {} it names", bound.provider, bound.what),
        };
        let slot = &deployed.slots[candidate.model];
        if wait_ms > 0 {
            let waited = tokio::select! {
                biased;
                () = client.gone() => false,
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => true,
            };
            if !waited {
                slot.health.lock().abandoned(probe);
                return Err(Refusal::ClientGone);
            }
        }
        let model = deployed.model(candidate.model).clone();
        let bound = Bound::of(call, &model, slot, workflow.as_deref(), gateway);
        let foreign = maker.as_ref().is_some_and(|maker| *maker != model.provider.name);
        let outgoing = match translate(call, &model, &bound, slot.maker, foreign) {
            Ok(outgoing) if outgoing.losses.is_empty() || !refuses_losses => outgoing,
            Ok(Outgoing { losses, .. }) => {
                slot.health.lock().abandoned(probe);
                let what = format!("{} of what the client said would be lost (`on_loss`)", losses.len());
                trail.note("attempt", format!("{}: {what}", model.name));
                route.skip(candidate.model, &what);
                skipped.lossy(Lossy { model: model.name.clone(), client: admitted.dialect, losses });
                continue;
            }
            Err(fault) => {
                slot.health.lock().abandoned(probe);
                trail.note("attempt", format!("{}: {}", model.name, fault.message));
                route.skip(candidate.model, &fault.message);
                skipped.unsaid = Some(fault);
                continue;
            }
        };
        let pick = match (candidate.expected_cost, cheapest) {
            (Some(cost), Some(cheapest)) if cost > cheapest => Pick::Dearer,
            _ => Pick::Cheapest,
        };
        let held = tokio::select! {
            biased;
            held = hold(gateway, call, &bound, &model, pick) => held,
            () = client.gone() => Err(Refusal::ClientGone),
        };
        let held = match held {
            Ok(held) => held,
            Err(refusal) => {
                slot.health.lock().abandoned(probe);
                match refusal {
                    Refusal::Budget(spent) if spent.downgrades => {
                        trail.note("hold", format!("{}: {}", model.name, Refusal::Budget(spent.clone())));
                        route.skip(candidate.model, "its budget does not cover it");
                        skipped.money = Some(spent);
                        continue;
                    }
                    Refusal::Unpriced { .. } => {
                        trail.note("hold", refusal.to_string());
                        route.skip(candidate.model, "it has no price and a budget applies");
                        skipped.unpriced = Some(refusal);
                        continue;
                    }
                    refusal => return Err(refusal),
                }
            }
        };
        if client.is_gone() {
            slot.health.lock().abandoned(probe);
            gateway.budgets.release(held);
            return Err(Refusal::ClientGone);
        }
        trail.attempts += 1;
        maker.get_or_insert_with(|| model.provider.name.clone());
        let intent = Intent {
            attempt: AttemptId { call: admitted.call.id, ordinal: trail.attempts },
            at: clock::now(),
            key: admitted.call.key.grant.id.clone(),
            workflow: workflow.as_ref().map(|workflow| workflow.name.clone()),
            lane: lane_name(&candidate),
            model: model.name.clone(),
            provider: model.provider.name.clone(),
            cause: if admitted.operation == Operation::Embeddings && cause == Cause::Serve {
                Cause::Embed
            } else {
                cause
            },
            hold: bound.cost,
        };
        // From here on whatever becomes of this task finds the attempt in the trail.
        let open = trail.open.insert(Open::new(intent.clone(), held, probe));
        if let Err(error) = gateway.spool.intent(&Entry::Intent(intent.clone())).await {
            slot.health.lock().abandoned(probe);
            open.settle(&gateway.budgets, Spend::ZERO);
            trail.open = None;
            return Err(Refusal::Spool(error.to_string()));
        }
        let mut attempt = Attempt {
            intent,
            sent: Instant::now(),
            candidate,
            probe,
            decision,
            losses: outgoing.losses.clone(),
            first_token_ms: None,
            status: None,
            our_cap: bound.insert_max_output,
            part: bound.part,
            slot: slot.clone(),
        };
        let timeouts = timeouts(&model, workflow.as_deref());
        match exchange(gateway, deployed, call, &model, outgoing, &timeouts, deadline, client, &mut attempt).await {
            Ok(Exchanged { answer, content_type, socket }) => {
                // Between two pictures a model may be silent for as long as it takes to make one.
                let patient = admitted.operation.makes_pictures();
                let frame_ms = if patient { timeouts.total_ms } else { timeouts.frame_ms };
                return Ok(Answered { attempt, answer, deadline, frame_ms, content_type, socket });
            }
            Err(failure) => {
                let (ending, fault) = match &failure {
                    Failure::Fault(fault, seen) => {
                        (Ending::Failed { fault, seen: seen.as_deref(), after_content: false }, Some(fault.clone()))
                    }
                    Failure::Gone(seen) => (Ending::Cancelled(seen.as_deref()), None),
                };
                let record = settle(&gateway.books(), call, attempt, trail, &ending).await;
                trail.tokens_used += record.usage.input_tokens() + record.usage.output_tokens();
                let kept = gateway.spool.keep(&[Entry::Record(Box::new(record))]);
                trail.open = None;
                gateway.spool.confirm(kept).await;
                match fault {
                    Some(fault) => last = Some(fault),
                    None => return Err(Refusal::ClientGone),
                }
            }
        }
    }
}
