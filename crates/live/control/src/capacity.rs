//! What was bought by the hour and not used: booked once an hour is over, so that the books say what the provider bills.

use std::sync::Arc;
use std::time::Duration;

use config::{BoughtCapacity, Model, Snapshot};
use domain::{
    AttemptEnd, AttemptId, CallId, Cause, Cost, Entry, Intent, KeyId, NanoUsd, Record, ServedAs, UnixMs, Usage,
    UsageOrigin,
};
use store::rollup::{HOUR_MS, start_of};
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::control::Control;

/// How often it is looked whether an hour is over, milliseconds.
const EVERY_MS: u64 = 600_000;
/// How long after its end an hour is booked: calls that were sent in it have ended and are in the store by then, milliseconds.
const SETTLED_AFTER_MS: u64 = 2 * HOUR_MS as u64;
/// How far back hours are booked that nobody booked: a server that was away for longer than its records are kept knows nothing of
/// what was used.
const BACK_MS: u64 = 31 * 24 * HOUR_MS as u64;
/// Records read at once.
const AT_ONCE: u32 = 500;
/// Whose key stands in the record: nobody's. No key has such an id.
const NOBODY: &str = "(capacity)";

/// Books the unused part of every hour that is over and was not booked, once. How many hours were booked.
pub async fn book(store: &Store, snapshot: &Snapshot, now: UnixMs) -> Result<u64, StoreError> {
    let mut booked = 0;
    for bought in &snapshot.capacities {
        let serves = |model: &&Arc<Model>| bought.models.contains(&model.name);
        let Some(model) = snapshot.models.iter().find(serves) else { continue };
        let first = bought.capacity.from.max(now - BACK_MS);
        let mut hour = start_of(first, HOUR_MS);
        while UnixMs(hour + HOUR_MS) + SETTLED_AFTER_MS <= now {
            booked += u64::from(one(store, bought, model, UnixMs(hour), now).await?);
            hour += HOUR_MS;
        }
    }
    Ok(booked)
}

/// Books an hour, unless that was done.
async fn one(
    store: &Store,
    bought: &BoughtCapacity,
    model: &Model,
    hour: UnixMs,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let attempt = AttemptId { call: name(&bought.capacity.name, hour), ordinal: 1 };
    if store.knows(attempt).await? {
        return Ok(false);
    }
    let mut used = NanoUsd::ZERO;
    let mut cursor = 0;
    loop {
        let to = UnixMs(hour.0 + HOUR_MS);
        let page = store.records_of_models(cursor, hour, to, &bought.models, AT_ONCE).await?;
        for (seq, record) in &page {
            cursor = *seq;
            let (Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. }) = &record.cost else { continue };
            used += lines.iter().map(|line| bought.capacity.served(line)).sum::<NanoUsd>();
        }
        if page.len() < AT_ONCE as usize {
            break;
        }
    }
    let Some(cost) = bought.capacity.unused(hour, used) else { return Ok(false) };
    let record = unused(bought, model, attempt, hour, cost, now);
    Ok(!store.record(vec![Entry::Record(Box::new(record))]).await?.fresh.is_empty())
}

/// The same for the same hour, whoever books it.
fn name(capacity: &str, hour: UnixMs) -> CallId {
    let hash = blake3::hash(format!("capacity {capacity} {}", hour.0).as_bytes());
    let chance = hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    CallId::mint(hour, u128::from_be_bytes(chance))
}

fn unused(bought: &BoughtCapacity, model: &Model, attempt: AttemptId, hour: UnixMs, cost: Cost, now: UnixMs) -> Record {
    let capacity = &bought.capacity;
    let decision = format!(
        "{} units of capacity `{}` at {} USD an hour (term {}), less what attempts of this hour were booked at",
        capacity.units, capacity.name, capacity.unit_hour, capacity.term
    );
    Record {
        intent: Intent {
            attempt,
            at: hour,
            key: KeyId(NOBODY.into()),
            workflow: None,
            lane: None,
            model: model.name.clone(),
            provider: model.provider.name.clone(),
            cause: Cause::Capacity,
            hold: None,
        },
        ended_at: now,
        end: AttemptEnd::Served { finish: Some("capacity".into()) },
        status: None,
        upstream_model: model.upstream.clone(),
        region: model.region.as_ref().map(ToString::to_string),
        usage: Usage::ZERO,
        usage_residue: 0,
        usage_origin: UsageOrigin::None,
        cost,
        provider_cost: None,
        latency_ms: 0,
        first_token_ms: None,
        decision,
        losses: Vec::new(),
        provider_request_id: None,
        served: ServedAs::default(),
        corrects: None,
        counted: Vec::new(),
    }
}

/// Does so at once and then every ten minutes until `stop` says so.
pub async fn run(control: Control, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(EVERY_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let (snapshot, _) = control.running().snapshot();
        match book(control.store(), &snapshot, control.now()).await {
            Ok(0) => {}
            Ok(hours) => tracing::info!(hours, "what of the bought capacity was not used is booked"),
            Err(error) => {
                tracing::error!(%error, "what of the bought capacity was not used could not be booked; next try in ten minutes")
            }
        }
    }
}
