//! What a tool call cost: its price where the server worked or may have worked, nothing where it did not.

use config::McpServer;
use domain::{
    AttemptEnd, Cost, CostLine, FaultClass, Intent, Meter, NanoUsd, PicoUsd, Record, UnixMs, Usage, UsageOrigin,
};
use wire::mcp::said::Outcome;

use super::exchange::{End, Exchanged};
use super::refusal::Refusal;

/// How far off a count of one is that nobody reported, percent.
const UNCERTAIN_PERCENT: u16 = 100;

/// The record of a tool call.
pub fn record(
    intent: Intent,
    server: &McpServer,
    tool: &str,
    exchanged: &Exchanged,
    latency_ms: u64,
    now: UnixMs,
) -> Record {
    let (usage_origin, worked) = match &exchanged.end {
        End::Answered(Outcome::Result { .. }) | End::Deferred => (UsageOrigin::Reported, true),
        // What the protocol calls an error was not begun.
        End::Answered(Outcome::Error { .. }) => (UsageOrigin::None, false),
        End::Cancelled | End::Gone => (UsageOrigin::Estimated { error_percent: UNCERTAIN_PERCENT }, true),
        End::Failed(refusal) if may_have_worked(refusal) => {
            (UsageOrigin::Estimated { error_percent: UNCERTAIN_PERCENT }, true)
        }
        End::Failed(_) => (UsageOrigin::None, false),
    };
    let (usage, cost) = match worked {
        true => (Usage::ZERO.with(Meter::Requests, 1), cost(server, tool)),
        false => (Usage::ZERO, Cost::NOTHING),
    };
    Record {
        ended_at: now,
        end: end(exchanged),
        status: exchanged.status,
        upstream_model: tool.chars().take(200).collect(),
        region: server.region.as_ref().map(ToString::to_string),
        usage,
        usage_origin,
        cost,
        usage_residue: 0,
        provider_cost: None,
        latency_ms,
        first_token_ms: exchanged.first_ms,
        decision: format!("the only server of the name `{}`", server.name),
        losses: Vec::new(),
        provider_request_id: None,
        served: domain::ServedAs::default(),
        corrects: None,
        counted: Vec::new(),
        intent,
    }
}

/// Whether a failed call is booked all the same.
pub fn may_have_worked(refusal: &Refusal) -> bool {
    let Refusal::Server { fault, .. } = refusal else { return false };
    matches!(
        fault.class,
        FaultClass::FirstTokenTimeout
            | FaultClass::FrameTimeout
            | FaultClass::TotalTimeout
            | FaultClass::Reset
            | FaultClass::Cut
            | FaultClass::Malformed
    )
}

fn cost(server: &McpServer, tool: &str) -> Cost {
    let Some(price) = server.price_of(tool) else {
        return Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Requests] };
    };
    let NanoUsd(nano) = price;
    let own = if server.prices.contains_key(tool) { tool } else { "*" };
    let line = CostLine {
        meter: Meter::Requests,
        units: 1,
        price: PicoUsd(nano.saturating_mul(1_000)),
        amount: price,
        price_row: format!("freehold.toml/mcp.{}.{own}", server.name),
    };
    Cost::Priced { total: price, lines: vec![line] }
}

fn end(exchanged: &Exchanged) -> AttemptEnd {
    let served = |finish: &str| AttemptEnd::Served { finish: Some(finish.to_owned()) };
    let failed = |class, message| AttemptEnd::Failed { class, message, after_content: exchanged.streamed };
    match &exchanged.end {
        End::Answered(Outcome::Result { is_error: false }) => served("result"),
        End::Answered(Outcome::Result { is_error: true }) => served("is_error"),
        End::Deferred => served("deferred"),
        // Its words may repeat an argument.
        End::Answered(Outcome::Error { code }) => {
            failed(FaultClass::BadRequest, format!("the server answered with the JSON-RPC error {code}"))
        }
        End::Failed(Refusal::Server { fault, .. }) => failed(fault.class, fault.message.chars().take(500).collect()),
        End::Failed(refusal) => failed(FaultClass::BadRequest, refusal.to_string().chars().take(500).collect()),
        End::Cancelled | End::Gone => AttemptEnd::Cancelled,
    }
}
