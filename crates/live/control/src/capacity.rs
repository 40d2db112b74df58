//! What was bought and not used: of a capacity, booked once an hour is over; of a commitment, some days after its contract's end. So
//! the books say what the provider bills.

use std::sync::Arc;
use std::time::Duration;

use config::{BoughtCapacity, Contract, Model, Snapshot};
use domain::{
    AttemptEnd, AttemptId, CallId, Cause, Cost, CostLine, Entry, Intent, KeyId, Meter, NanoUsd, PicoUsd, Record,
    ServedAs, UnixMs, Usage, UsageOrigin,
};
use ledger::focus::SHORTFALL;
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
/// How long after its contract's end what is short of a commitment is booked: batches of the last day have told what they cost by
/// then, milliseconds. What is told later is not reckoned with.
const SHORT_AFTER_MS: u64 = 3 * 24 * HOUR_MS as u64;
/// Records read at once.
const AT_ONCE: u32 = 500;
/// Whose key stands in the record: nobody's. No key has such an id.
const NOBODY: &str = "(capacity)";

/// Books the unused part of every hour that is over and was not booked, and of every commitment, once. How many entries that made.
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
    for contract in &snapshot.contracts {
        booked += u64::from(shortfall(store, contract, snapshot, now).await?);
    }
    Ok(booked)
}

/// Books what of a commitment was not spent, once, when its contract has been over for some days. It is due all the same.
async fn shortfall(store: &Store, contract: &Contract, snapshot: &Snapshot, now: UnixMs) -> Result<bool, StoreError> {
    let (Some(commitment), Some(until)) = (contract.commitment, contract.until) else { return Ok(false) };
    let is_due = until + SHORT_AFTER_MS <= now && now < until + SHORT_AFTER_MS + BACK_MS;
    let model = snapshot.models.iter().find(|model| model.provider.name == contract.provider);
    let (true, Some(model)) = (is_due, model) else { return Ok(false) };
    if !is_seen_whole(store, contract).await? {
        return Ok(false);
    }
    let last = UnixMs(until.0 - 1);
    let attempt = AttemptId { call: name("commitment", &contract.name, last), ordinal: 1 };
    if store.knows(attempt).await? {
        return Ok(false);
    }
    let drawn = store.counted_since(&contract.drawn(), contract.from).await?;
    let short = commitment - NanoUsd(i64::try_from(drawn).unwrap_or(i64::MAX));
    if short <= NanoUsd::ZERO {
        return Ok(false);
    }
    let line = CostLine {
        meter: Meter::CapacityMinutes,
        units: 1,
        price: PicoUsd(short.0.saturating_mul(1_000)),
        amount: short,
        price_row: format!("{SHORTFALL}{}", contract.name),
    };
    let drawn = commitment - short;
    let decision = format!("contract `{}` promised {commitment} USD, of which {drawn} USD were spent", contract.name);
    let cost = Cost::Priced { total: short, lines: vec![line] };
    let record = not_used(model, attempt, last, cost, decision, now);
    Ok(!store.record(vec![Entry::Record(Box::new(record))]).await?.fresh.is_empty())
}

/// Whether this installation served since the contract began: else what was spent before stands in no book of ours, and what
/// seems short may have been spent.
pub(crate) async fn is_seen_whole(store: &Store, contract: &Contract) -> Result<bool, StoreError> {
    let oldest = store.revisions(u32::MAX).await?.last().map(|(_, taken_at)| *taken_at);
    Ok(oldest.is_some_and(|oldest| oldest <= contract.from))
}

/// Books an hour, unless that was done.
async fn one(
    store: &Store,
    bought: &BoughtCapacity,
    model: &Model,
    hour: UnixMs,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let attempt = AttemptId { call: name("capacity", &bought.capacity.name, hour), ordinal: 1 };
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
    let capacity = &bought.capacity;
    let decision = format!(
        "{} units of capacity `{}` at {} USD an hour (term {}), less what attempts of this hour were booked at",
        capacity.units, capacity.name, capacity.unit_hour, capacity.term
    );
    let record = not_used(model, attempt, hour, cost, decision, now);
    Ok(!store.record(vec![Entry::Record(Box::new(record))]).await?.fresh.is_empty())
}

/// The same for the same thing and moment, whoever books it.
fn name(kind: &str, of: &str, at: UnixMs) -> CallId {
    let hash = blake3::hash(format!("{kind} {of} {}", at.0).as_bytes());
    let chance = hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    CallId::mint(at, u128::from_be_bytes(chance))
}

fn not_used(model: &Model, attempt: AttemptId, at: UnixMs, cost: Cost, decision: String, now: UnixMs) -> Record {
    Record {
        intent: Intent {
            attempt,
            at,
            key: KeyId(NOBODY.into()),
            workflow: None,
            lane: None,
            model: model.name.clone(),
            provider: model.provider.name.clone(),
            cause: Cause::Capacity,
            hold: None,
            hold_tokens: None,
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
            Ok(entries) => tracing::info!(entries, "what was bought and not used is booked"),
            Err(error) => {
                tracing::error!(%error, "what was bought and not used could not be booked; next try in ten minutes")
            }
        }
    }
}
