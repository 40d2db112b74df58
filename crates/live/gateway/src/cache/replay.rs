//! Gives an answer again: the same bytes, a stream with its pauses. Nothing is asked of a provider and nothing is held; what it
//! would have cost is a memo in the call's end.

use std::sync::Arc;
use std::time::Duration;

use config::Snapshot;
use config::cache::Replay;
use domain::{CacheUse, Likeness, NanoUsd, UnixMs};
use http::header::AGE;
use http::{HeaderValue, StatusCode};
use ledger::price::Served;
use tokio::time::{Instant, sleep_until, timeout};
use wire::Dialect;

use super::keeping::FREEHOLD_CACHE;
use super::shelf::{Kept, PieceEnd};
use crate::admit::correct_limits;
use crate::clock;
use crate::dataplane::Gateway;
use crate::life::{CALL_HEADERS, finish, head};
use crate::metrics::WorkflowLabels;
use crate::protect::Protected;
use crate::refusal::Refusal;
use crate::reply::{Gone, ReplyBody, Waiting};
use crate::trail::Trail;

/// Longest that the pauses of a stream given again come to, milliseconds.
pub const LONGEST_REPLAY_MS: u64 = 10_000;
/// How long a client may take to take a piece before it counts as gone.
const STALLED: Duration = Duration::from_secs(60);

/// Answers a call with what another was answered.
pub async fn replay(
    gateway: &Gateway,
    call: &Protected,
    kept: Arc<Kept>,
    client: Waiting,
    errors: Dialect,
    trail: &mut Trail,
) {
    let now = clock::now();
    correct_limits(call.call(), 0, now);
    let age_ms = u64::try_from(now.0 - kept.at.0).unwrap_or(0);
    let saved = cost_now(call.snapshot(), &kept, now);
    trail.lane.clone_from(&kept.lane);
    trail.model = Some(kept.model.clone());
    trail.note(
        "cache",
        format!("answered with what {} was answered {} s ago, which saved {saved} USD", kept.of, age_ms / 1000),
    );
    let found = CacheUse { likeness: Likeness::Exact, of: kept.of, age_ms, saved, agrees: None };
    let id = call.call().call.id.to_string();
    let mut head = head(&id, StatusCode::OK, "application/json");
    if let Some(headers) = head.headers_mut() {
        for (name, value) in &kept.head {
            match CALL_HEADERS.contains(name) {
                false => headers.insert(name, value.clone()),
                true => headers.insert(name, HeaderValue::from_str(&id).expect("an identifier is letters and digits")),
            };
        }
        headers.insert(FREEHOLD_CACHE, HeaderValue::from_static("hit"));
        headers.insert(AGE, HeaderValue::from(age_ms / 1000));
    }
    let given = match call.call().head.stream {
        false => whole(gateway, &kept, found, client, head, trail).await,
        true => stream(gateway, call, &kept, found, client, head, trail).await,
    };
    match given {
        Ok(()) => {
            let workflow = WorkflowLabels { workflow: kept.workflow.to_string() };
            gateway.metrics.cache_saved_nano_usd.get_or_create(&workflow).inc_by(saved.0.unsigned_abs());
        }
        // A client that left would have had its attempt cancelled; what that had cost nobody knows.
        Err(Gone) => finish(gateway, trail, Vec::new(), 499, Some(Refusal::ClientGone.client_error(&id, errors))).await,
    }
}

/// What the attempt of then would cost now, by the meters of then. An allowance or a step of volume that it would have come under
/// is not looked at, since it may have been used up by others since.
fn cost_now(snapshot: &Snapshot, kept: &Kept, now: UnixMs) -> NanoUsd {
    let model = snapshot.models.iter().find(|model| model.name == kept.model);
    let row = model.and_then(|model| model.price_at(now));
    let served = Served { at: now, tier: kept.tier.as_deref(), region: kept.region.as_deref() };
    ledger::price::price(&kept.usage, row, &served).booked()
}

async fn whole(
    gateway: &Gateway,
    kept: &Kept,
    found: CacheUse,
    client: Waiting,
    head: http::response::Builder,
    trail: &mut Trail,
) -> Result<(), Gone> {
    if client.is_gone() {
        return Err(Gone);
    }
    trail.answer(&kept.body);
    trail.first_token_ms = Some(trail.elapsed_ms());
    trail.cache = Some(Box::new(found));
    finish(gateway, trail, Vec::new(), 200, None).await;
    let response = head.body(ReplyBody::whole(kept.body.clone())).expect("status and headers are ours and valid");
    let _ = client.send(response);
    Ok(())
}

async fn stream(
    gateway: &Gateway,
    call: &Protected,
    kept: &Kept,
    found: CacheUse,
    client: Waiting,
    head: http::response::Builder,
    trail: &mut Trail,
) -> Result<(), Gone> {
    let mut client = client.stream(head)?;
    trail.stream_out = Some(client.last_word());
    trail.first_token_ms = Some(trail.elapsed_ms());
    let rule = call.call().target.workflow().and_then(|workflow| workflow.cache.as_ref());
    let replay = rule.map_or(Replay::AtOnce, |rule| rule.replay);
    let began = Instant::now();
    let mut found = Some(Box::new(found));
    let mut from = 0;
    for (piece, after_ms) in kept.pieces.iter().zip(pace(&kept.pieces, replay)) {
        let due = began + Duration::from_millis(after_ms);
        if after_ms > 0 {
            tokio::select! {
                biased;
                () = client.gone() => return gone(trail),
                () = sleep_until(due) => {}
            }
        }
        let end = piece.end as usize;
        let bytes = kept.body.slice(from..end);
        from = end;
        trail.answer(&bytes);
        if end == kept.body.len() {
            // The end of a call is in the spool before the client has its last bytes.
            trail.cache = found.take();
            finish(gateway, trail, Vec::new(), 200, None).await;
        }
        match timeout(STALLED, client.send(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(Gone)) | Err(_) if trail.is_written() => return Ok(()),
            Ok(Err(Gone)) | Err(_) => return gone(trail),
        }
    }
    client.end().await;
    Ok(())
}

fn gone(trail: &mut Trail) -> Result<(), Gone> {
    trail.stream_out = None;
    Err(Gone)
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
