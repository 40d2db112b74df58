//! After a death, before the gateway serves: everything the spool holds is taken over, attempts that were in flight
//! become indeterminate with their hold as upper bound, once, and what was spent is read back for the budgets.

use std::collections::BTreeMap;

use domain::record::{BodyPrint, CallFailure, StageNote};
use domain::{
    AttemptEnd, Blame, CallEnd, CallId, Cost, Entry, Intent, KeyId, NanoUsd, Record, UnixMs, Usage, UsageOrigin,
    WorkflowName,
};
use store::{Scope, Store, StoreError};

use crate::data::{DataDirectory, DataLock};
use crate::failure::ControlError;
use crate::ingest::{Ingest, IngestError, Pass};

/// Code of a call that ended with the process that was answering it.
pub const KILLED: &str = "freehold_killed";

/// What recovery found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// What the spool still held.
    pub pass: Pass,
    /// Attempts that had been in flight.
    pub indeterminate: u64,
}

/// What is booked in the running window of each budget.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Balances {
    /// By workflow.
    pub workflows: Vec<(WorkflowName, NanoUsd)>,
    /// By key.
    pub keys: Vec<(KeyId, NanoUsd)>,
}

/// Puts the books in order. The lock shows that no other process writes to the spool: its segments are all finished.
pub async fn recover(
    store: &Store,
    data: &DataDirectory,
    _lock: &DataLock,
    now: UnixMs,
) -> Result<Recovered, ControlError> {
    let pass = Ingest::new(store.clone(), &data.spool(), None).pass(true, now).await.map_err(|error| match error {
        IngestError::Store(error) => ControlError::Store(error),
        IngestError::Spool { path, error } => ControlError::Data { path, error },
    })?;
    let open = store.open_intents().await?;
    let indeterminate = open.len() as u64;
    let mut by_call: BTreeMap<CallId, Vec<Intent>> = BTreeMap::new();
    for intent in open {
        by_call.entry(intent.attempt.call).or_default().push(intent);
    }
    let mut entries = Vec::new();
    for (call, intents) in by_call {
        entries.extend(conclude(store, call, intents, now).await?);
    }
    if !entries.is_empty() {
        // One transaction: killed before it, all of them are still open; after it, none.
        store.record(entries).await?;
        tracing::warn!(
            attempts = indeterminate,
            "attempts were in flight when Freehold was killed; each is booked with its hold, the most it can have cost"
        );
    }
    Ok(Recovered { pass, indeterminate })
}

/// What was booked since the start of each window.
pub async fn balances(store: &Store, wanted: &[(Scope, UnixMs)]) -> Result<Balances, StoreError> {
    let mut balances = Balances::default();
    for (scope, since) in wanted {
        let spent = store.spent_since(scope, *since).await?;
        match scope {
            Scope::Workflow(name) => balances.workflows.push((name.clone(), spent)),
            Scope::Key(id) => balances.keys.push((id.clone(), spent)),
        }
    }
    Ok(balances)
}

/// The records of a call's open attempts, and the call's end where it has none.
async fn conclude(store: &Store, call: CallId, intents: Vec<Intent>, now: UnixMs) -> Result<Vec<Entry>, ControlError> {
    let known = store.call(call, now).await?;
    let mut booked = NanoUsd::ZERO;
    let mut attempts = intents.len();
    for entry in known.iter().flat_map(|known| &known.entries) {
        if let Entry::Record(record) = entry {
            booked = booked.saturating_add(record.cost.booked());
            attempts += 1;
        }
    }
    let last = intents.last().cloned();
    let records: Vec<Record> = intents.into_iter().map(indeterminate).collect();
    booked = records.iter().fold(booked, |sum, record| sum.saturating_add(record.cost.booked()));
    let mut entries: Vec<Entry> = records.into_iter().map(|record| Entry::Record(Box::new(record))).collect();
    if let Some(last) = last.filter(|_| known.is_none_or(|known| known.end.is_none())) {
        entries.push(Entry::Call(Box::new(killed(last, attempts, booked))));
    }
    Ok(entries)
}

fn indeterminate(intent: Intent) -> Record {
    Record {
        ended_at: intent.at,
        end: AttemptEnd::Indeterminate,
        status: None,
        upstream_model: String::new(),
        region: None,
        usage: Usage::ZERO,
        usage_origin: UsageOrigin::None,
        cost: Cost::AtMost(intent.hold),
        usage_residue: 0,
        provider_cost: None,
        latency_ms: 0,
        first_token_ms: None,
        decision: "in flight when Freehold was killed; its hold is the most it can have cost".to_owned(),
        losses: Vec::new(),
        provider_request_id: None,
        served: domain::ServedAs::default(),
        corrects: None,
        counted: Vec::new(),
        intent,
    }
}

/// The end of a call nobody could write down: what its last attempt tells, and nothing made up.
fn killed(last: Intent, attempts: usize, cost: NanoUsd) -> CallEnd {
    CallEnd {
        call: last.attempt.call,
        at: last.attempt.call.minted_at(),
        ended_at: last.at,
        key: Some(last.key),
        asked: last.workflow.as_ref().map(ToString::to_string).unwrap_or_default(),
        workflow: last.workflow,
        lane: last.lane,
        class: None,
        model: Some(last.model),
        endpoint: String::new(),
        stream: false,
        status: 0,
        failure: Some(CallFailure {
            code: KILLED.to_owned(),
            blame: Blame::Us,
            message: "Freehold was killed while it answered this call; what the client got is not known".to_owned(),
        }),
        attempts: u16::try_from(attempts).unwrap_or(u16::MAX),
        first_token_ms: None,
        cost,
        cache: None,
        stages: vec![StageNote {
            stage: "recover".into(),
            note: "reconstructed from the spool after a restart".to_owned(),
        }],
        request: BodyPrint::default(),
        answer: BodyPrint::default(),
        capture: None,
        revision: String::new(),
    }
}
