//! Gives an answer again: the same bytes, a stream with its pauses. Nothing is asked of a provider and nothing is held; what it
//! would have cost is a memo in the call's end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::Snapshot;
use config::cache::Replay;
use domain::{CacheUse, Likeness, NanoUsd, UnixMs};
use http::header::AGE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use ledger::price::Served;
use tokio::time::{Instant, sleep_until, timeout};

use super::shelf::{Kept, PieceEnd};
use crate::admit::correct_limits;
use crate::clock;
use crate::dataplane::Gateway;
use crate::metrics::{Label, WorkflowLabels};
use crate::protect::Protected;
use crate::relay::Parting;
use crate::reply::{Gone, Leaves, ReplyBody, Streaming, Waiting};
use crate::trail::Trail;

/// What the cache had for a call.
pub const FREEHOLD_CACHE: HeaderName = HeaderName::from_static("freehold-cache");
/// Headers of an answer that say which call it is.
const CALL_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("freehold-call-id"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
];
/// Longest that the pauses of a stream given again come to, milliseconds.
pub const LONGEST_REPLAY_MS: u64 = 10_000;
/// How long a client may take to take a piece before it counts as gone.
const STALLED: Duration = Duration::from_secs(60);

/// An answer given again, but for its last bytes, which wait until the call's end is written down.
pub struct Given {
    /// What the client is still to get.
    pub parting: Parting,
    /// Whether it went away before.
    pub is_gone: bool,
}

/// Answers a call with what another was answered.
pub async fn replay(
    gateway: &Gateway,
    call: &Protected,
    (kept, likeness): (Arc<Kept>, Likeness),
    client: Waiting,
    trail: &mut Trail,
) -> Given {
    let now = clock::now();
    correct_limits(&gateway.budgets, call.call(), 0);
    let age_ms = u64::try_from(now.0 - kept.at.0).unwrap_or(0);
    let saved = cost_now(call.snapshot(), &kept, now);
    trail.lane.clone_from(&kept.lane);
    trail.model = Some(kept.model.clone());
    trail.note(
        "cache",
        format!("answered with what {} was answered {} s ago, which saved {saved} USD", kept.of, age_ms / 1000),
    );
    let head = head(&call.call().call.id.to_string(), &kept, likeness, age_ms);
    let parting = match call.call().head.stream {
        false => whole(&kept, client, head, trail),
        true => stream(call, &kept, client, head, trail).await,
    };
    // A client that left would have had its attempt cancelled; what that had cost nobody knows.
    let Ok(parting) = parting else {
        trail.stream_out = None;
        return Given { parting: Parting::Nobody, is_gone: true };
    };
    trail.cache = Some(Box::new(CacheUse { likeness, of: kept.of, age_ms, saved, agrees: None }));
    let workflow = WorkflowLabels { workflow: Label(kept.workflow.clone()) };
    gateway.metrics.cache_saved_nano_usd.get_or_create(&workflow).inc_by(saved.0.unsigned_abs());
    Given { parting, is_gone: false }
}

/// The head of then, with this call's own id.
fn head(call: &str, kept: &Kept, likeness: Likeness, age_ms: u64) -> http::response::Builder {
    let mut head = Response::builder().status(StatusCode::OK);
    let Some(headers) = head.headers_mut() else { return head };
    for (name, value) in &kept.head {
        let value = match CALL_HEADERS.contains(name) {
            true => HeaderValue::from_str(call).expect("an identifier of ours is letters and digits"),
            false => value.clone(),
        };
        headers.insert(name, value);
    }
    let told = match likeness {
        Likeness::Exact => "hit",
        Likeness::Near { .. } => "near",
    };
    headers.insert(FREEHOLD_CACHE, HeaderValue::from_static(told));
    headers.insert(AGE, HeaderValue::from(age_ms / 1000));
    head
}

/// What the attempt of then would cost now, by the meters of then. An allowance or a step of volume that it would have come under
/// is not looked at, since it may have been used up by others since.
fn cost_now(snapshot: &Snapshot, kept: &Kept, now: UnixMs) -> NanoUsd {
    let model = snapshot.models.iter().find(|model| model.name == kept.model);
    let row = model.and_then(|model| model.price_at(now));
    let served = Served { at: now, tier: kept.tier.as_deref(), region: kept.region.as_deref() };
    ledger::price::price(&kept.usage, row, &served).booked()
}

fn whole(kept: &Kept, client: Waiting, head: http::response::Builder, trail: &mut Trail) -> Result<Parting, Gone> {
    if client.is_gone() {
        return Err(Gone);
    }
    trail.answer(&kept.body);
    trail.first_token_ms = Some(trail.elapsed_ms());
    let response = head.body(ReplyBody::whole(kept.body.clone())).expect("status and headers are ours and valid");
    Ok(Parting::Whole(client, response))
}

async fn stream(
    call: &Protected,
    kept: &Kept,
    client: Waiting,
    head: http::response::Builder,
    trail: &mut Trail,
) -> Result<Parting, Gone> {
    let mut client = client.stream(head)?;
    trail.stream_out = Some(client.last_word());
    trail.first_token_ms = Some(trail.elapsed_ms());
    let rule = call.call().target.workflow().and_then(|workflow| workflow.cache.as_ref());
    let replay = rule.map_or(Replay::AtOnce, |rule| rule.replay);
    let began = Instant::now();
    let mut from = 0;
    let mut last = Bytes::new();
    for (piece, after_ms) in kept.pieces.iter().zip(pace(&kept.pieces, replay)) {
        if after_ms > 0 {
            wait(&mut client, began + Duration::from_millis(after_ms)).await?;
        }
        let end = piece.end as usize;
        let bytes = kept.body.slice(from..end);
        from = end;
        trail.answer(&bytes);
        // The end of a call is in the spool before the client has its last bytes.
        if end == kept.body.len() {
            last = bytes;
        } else {
            timeout(STALLED, client.send(bytes)).await.map_err(|_| Gone)??;
        }
    }
    Ok(Parting::Stream(client, last.into(), Box::new(None)))
}

async fn wait(client: &mut Streaming, due: Instant) -> Result<(), Gone> {
    tokio::select! {
        biased;
        () = client.gone() => Err(Gone),
        () = sleep_until(due) => Ok(()),
    }
}

/// When each piece is due, milliseconds after the first.
pub fn pace(pieces: &[PieceEnd], replay: Replay) -> impl Iterator<Item = u64> + '_ {
    let whole_ms = pieces.last().map_or(0, |last| u64::from(last.after_ms));
    let most_ms = match replay {
        Replay::Shape => whole_ms.min(LONGEST_REPLAY_MS),
        Replay::AtOnce => 0,
    };
    pieces.iter().map(move |piece| u64::from(piece.after_ms) * most_ms / whole_ms.max(1))
}
