//! What a server says by itself, relayed event by event for as long as the client listens, its key holds and Freehold runs.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::CallId;
use http::{Response, StatusCode};
use tokio::time::{Instant, timeout};
use wire::mcp::{said_in_frame, with_data};

use super::allow::{Caller, Passed};
use super::events::{Body, Events, Reply};
use super::exchange::kept;
use super::reach;
use super::refusal::{Refusal, head};
use crate::clock;
use crate::dataplane::Gateway;
use crate::deployed::Deployed;
use crate::reply::{self, ReplyBody, Streaming};

/// How often it is looked whether it may go on, milliseconds.
const LOOK_MS: u64 = 500;

/// Opens the stream and relays it. Whatever `counted` counts is counted until its end.
pub async fn listen(
    gateway: Arc<Gateway>,
    deployed: Arc<Deployed>,
    passed: Passed,
    call: CallId,
    counted: impl Send + 'static,
) -> Response<ReplyBody> {
    let within = Duration::from_millis(passed.caller().server().timeouts.first_token_ms);
    let reply = match timeout(within, reach::send(&gateway, &deployed, &passed, None)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(refusal)) => return refusal.response(call, None),
        Err(_) => return late(passed.caller()).response(call, None),
    };
    let Reply { status, body, .. } = reply;
    let Body::Events(events) = body else {
        return answer(call, status, body);
    };
    let (waiting, response) = reply::pair(gateway.cut.subscribe());
    let head = head(call, StatusCode::OK)
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-cache")
        .header("x-accel-buffering", "no");
    if let Ok(client) = waiting.stream(head) {
        let caller = passed.caller().clone();
        tokio::spawn(async move {
            relay(&gateway, &caller, events, client).await;
            drop(counted);
        });
    }
    response.await.unwrap_or_else(|_| Refusal::NoSession.response(call, None))
}

/// The answer of a server that has no stream, or has ended a session.
pub fn answer(call: CallId, status: StatusCode, body: Body) -> Response<ReplyBody> {
    if status == StatusCode::NOT_FOUND {
        return Refusal::NoSession.response(call, None);
    }
    let (bytes, is_json) = match body {
        Body::Whole(bytes, true) => (bytes, true),
        _ => (bytes::Bytes::new(), false),
    };
    let mut head = head(call, status);
    if is_json {
        head = head.header("content-type", "application/json");
    }
    head.body(ReplyBody::whole(bytes)).expect("status and headers are ours and valid")
}

/// A server that did not answer in time.
pub fn late(caller: &Caller) -> Refusal {
    let fault = domain::Fault::new(domain::FaultClass::FirstTokenTimeout, "it did not answer in time");
    Refusal::Server { server: caller.server().name.to_string(), fault, billed: false }
}

async fn relay(gateway: &Gateway, caller: &Caller, mut events: Events, mut client: Streaming) {
    if pump(gateway, caller, &mut events, &mut client).await {
        client.end().await;
    }
}

/// Moves events for as long as may be; whether somebody is still there to be told that it is over.
async fn pump(gateway: &Gateway, caller: &Caller, events: &mut Events, client: &mut Streaming) -> bool {
    let (pieces, gone) = client.apart();
    let mut gone = pin!(gone);
    let total = Duration::from_millis(caller.server().timeouts.total_ms);
    let mut look = tokio::time::interval_at(Instant::now(), Duration::from_millis(LOOK_MS));
    loop {
        let event = tokio::select! {
            biased;
            () = &mut gone => return false,
            event = events.next() => event,
            _ = look.tick() => {
                let keys = gateway.keys.load();
                let now = clock::now();
                let holds = keys.get(&caller.key().grant.id).is_some_and(|key| {
                    key.grant.revoked_at.is_none() && key.grant.expires_at.is_none_or(|at| at > now)
                });
                if gateway.is_draining() || !holds {
                    return true;
                }
                continue;
            }
        };
        let Some(Ok(event)) = event else { return true };
        let (_, data, _) = said_in_frame(&event);
        let event = match data.and_then(|data| kept(gateway, caller, &data)) {
            Some(data) => with_data(&event, &data).into(),
            None => event,
        };
        if !matches!(timeout(total, pieces.send(event)).await, Ok(Ok(()))) {
            return false;
        }
    }
}
