//! The life of one tool call: admitted, held, written down, sent, relayed, settled, as an attempt at a model is.

use std::sync::Arc;

use bytes::Bytes;
use domain::record::CallFailure;
use domain::{AttemptId, Blame, Cause, Entry, Intent, ModelName, NanoUsd, ProviderName};
use http::HeaderMap;
use ledger::budget::Spend;
use tokio::time::Instant;
use wire::mcp::said::Outcome;
use wire::mcp::{Id, Message};

use super::allow::{Caller, Passed};
use super::booking;
use super::exchange::{End, Exchanged, Parting, Request, exchange};
use super::refusal::Refusal;
use crate::budgets::{Held, Pick};
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::life::write_end;
use crate::open::Open;
use crate::refusal::Refusal as CallRefusal;
use crate::reply::{Leaves, ReplyBody, Waiting};
use crate::target::short;
use crate::trail::Trail;

/// A tool call as it came in.
pub struct ToolCall {
    /// Which call.
    pub id: domain::CallId,
    /// Who calls.
    pub caller: Caller,
    /// The body, and what it says.
    pub body: Bytes,
    /// What the body says.
    pub message: Message,
    /// Its identifier in the session.
    pub rpc: Id,
    /// Which tool.
    pub tool: String,
    /// The headers it came with.
    pub headers: HeaderMap,
}

/// What the client is told of a call that ended without an answer of the server's.
const CANCELLED_STATUS: u16 = 499;

/// Lives it to its booking. Runs to its end whatever the client does.
pub async fn live(gateway: Arc<Gateway>, deployed: Arc<Deployed>, call: ToolCall, client: Waiting, trail: &mut Trail) {
    let ToolCall { id, caller, body, message, rpc, tool, headers } = call;
    let server = caller.server().clone();
    let model = shown(&gateway, &caller, &tool);
    trail.key = Some(caller.key().grant.id.clone());
    trail.asked = short(&format!("mcp:{}/{tool}", server.name));
    trail.workflow = caller.workflow().map(|workflow| workflow.name.clone());
    trail.request(&body, caller.workflow().and_then(|workflow| workflow.capture.as_ref()));

    let taken = caller.take_request(&gateway.budgets).await;
    let passed = taken.and_then(|()| caller.clone().message(body, message, &headers));
    let passed = match passed {
        Ok(passed) => passed,
        Err(refusal) => {
            trail.note("admit", "refused");
            return refuse(&gateway, trail, client, id, &rpc, refusal).await;
        }
    };
    let whose = caller.workflow().map_or_else(String::new, |workflow| format!(", for workflow `{}`", workflow.name));
    trail.note("admit", format!("a tool of server `{}`{whose}, by key `{}`", server.name, caller.key().grant.id));
    let price = server.price_of(&tool);
    let held = match hold(&gateway, &caller, &tool, price).await {
        Ok(held) => held,
        Err(refusal) => {
            trail.note("hold", refusal.to_string());
            return refuse(&gateway, trail, client, id, &rpc, refusal).await;
        }
    };
    if client.is_gone() {
        gateway.budgets.release(held);
        return refuse(&gateway, trail, client, id, &rpc, CallRefusal::ClientGone.into()).await;
    }
    trail.attempts = 1;
    let attempt = AttemptId { call: id, ordinal: 1 };
    let intent = Intent {
        attempt,
        at: clock::now(),
        key: caller.key().grant.id.clone(),
        workflow: trail.workflow.clone(),
        lane: None,
        model: model.clone(),
        provider: ProviderName::new(format!("mcp:{}", server.name)),
        cause: Cause::Tool,
        hold: price,
        hold_tokens: None,
    };
    // From here on whatever becomes of this task finds the attempt in the trail.
    let open = trail.open.insert(Open::new(intent.clone(), held, false));
    if let Err(error) = gateway.spool.intent(&Entry::Intent(intent.clone())).await {
        open.settle(&gateway.budgets, Spend::ZERO);
        trail.open = None;
        return refuse(&gateway, trail, client, id, &rpc, CallRefusal::Spool(error.to_string()).into()).await;
    }
    let sent = Instant::now();
    let exchanged = send(&gateway, &deployed, &passed, (id, attempt, &rpc), client, trail).await;
    let latency_ms = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);

    let record = booking::record(intent, &server, &tool, &exchanged, latency_ms, clock::now());
    trail.settle(&gateway.budgets, Spend::usd(record.cost.booked()));
    gateway.metrics.attempt(&record);
    trail.model = Some(model);
    trail.stream = exchanged.streamed;
    trail.first_token_ms =
        exchanged.first_ms.map(|_| trail.elapsed_ms().saturating_sub(latency_ms) + exchanged.first_ms.unwrap_or(0));
    trail.note("attempt", &*record.decision);
    let (status, failure) = told(id, &exchanged);
    let kept = write_end(&gateway, trail, vec![Entry::Record(Box::new(record))], status, failure);
    gateway.spool.confirm(kept).await;
    exchanged.parting.deliver().await;
}

async fn send(
    gateway: &Arc<Gateway>,
    deployed: &Deployed,
    passed: &Passed,
    (call, attempt, rpc): (domain::CallId, AttemptId, &Id),
    client: Waiting,
    trail: &mut Trail,
) -> Exchanged {
    let running = gateway.mcp.running(passed.caller().whose(), rpc.clone());
    let request = Request { call, attempt: Some(attempt), passed, id: rpc, cancellable: Some(&running) };
    let mut exchanged = exchange(gateway, deployed, request, client, &mut |bytes| trail.answer(bytes)).await;
    if let End::Failed(refusal) = &mut exchanged.end {
        let worked = booking::may_have_worked(refusal);
        if let Refusal::Server { billed, .. } = refusal {
            *billed = worked;
        }
        // Told again, now that it is known whether it is booked.
        if let (true, Parting::Whole(_, response)) = (worked, &mut exchanged.parting) {
            *response = refusal.response(call, Some(rpc));
        }
    }
    exchanged
}

/// How records and metrics call a tool: by its name where that is known, so that no client can make up ever new ones.
fn shown(gateway: &Gateway, caller: &Caller, tool: &str) -> ModelName {
    let server = caller.server();
    match server.names(tool) || gateway.mcp.has_seen(&server.name, tool) {
        true => ModelName::new(format!("mcp:{}/{tool}", server.name)),
        false => ModelName::new(format!("mcp:{}", server.name)),
    }
}

/// Reserves the price on every budget that applies.
async fn hold(gateway: &Gateway, caller: &Caller, tool: &str, price: Option<NanoUsd>) -> Result<Held, Refusal> {
    let scopes = caller.scopes();
    if !gateway.budgets.under(&scopes).any {
        return Ok(gateway.budgets.note(scopes));
    }
    if let (None, Some(limited)) = (price, gateway.budgets.hard_money(&scopes)) {
        let (tool, server) = (short(tool), caller.server().name.to_string());
        return Err(Refusal::Unpriced { tool, server, scope: limited.to_string() });
    }
    gateway.budgets.hold(scopes, Spend::usd(price.unwrap_or(NanoUsd::ZERO)), Pick::Cheapest).await.map_err(|spent| {
        gateway.metrics.budget_refusals.inc();
        CallRefusal::Budget(spent).into()
    })
}

/// The status the client got, and why the call failed where it did.
fn told(call: domain::CallId, exchanged: &Exchanged) -> (u16, Option<CallFailure>) {
    match &exchanged.end {
        End::Answered(Outcome::Result { .. }) | End::Deferred => (200, None),
        End::Answered(Outcome::Error { code }) => {
            let message = format!("the server answered with the JSON-RPC error {code}");
            (200, Some(CallFailure { code: "tool_refused_by_server".into(), blame: Blame::Client, message }))
        }
        End::Failed(refusal) => (200, Some(refusal.failure(call))),
        End::Cancelled => (CANCELLED_STATUS, Some(Refusal::Cancelled.failure(call))),
        End::Gone => (CANCELLED_STATUS, Some(Refusal::Call(CallRefusal::ClientGone).failure(call))),
    }
}

/// Refuses a call: written down, then told.
async fn refuse(gateway: &Gateway, trail: &mut Trail, client: Waiting, id: domain::CallId, rpc: &Id, refusal: Refusal) {
    let response = refusal.response(id, Some(rpc));
    if let ReplyBody::Whole(Some(body)) = response.body() {
        trail.answer(body);
    }
    let status = response.status().as_u16();
    let kept = write_end(gateway, trail, Vec::new(), status, Some(refusal.failure(id)));
    gateway.spool.confirm(kept).await;
    let _ = client.send(response);
}
