//! Who calls, for what, and whether there is room: a call becomes admitted, or is refused before it costs anything.

use std::sync::Arc;

use config::{Lane, Model, Resolved, Snapshot, Workflow};
use domain::UnixMs;
use ledger::TooFast;
use wire::{Dialect, Head, Operation};

use crate::call::Call;
use crate::keys::{Key, KeyRefusal, KeyTable};
use crate::refusal::Refusal;

/// Names listed in a refusal for an unknown model.
const NAMES_IN_HINT: usize = 12;

/// A call whose caller is known and whose target exists.
pub struct Admitted {
    /// As it came in.
    pub call: Call,
    /// How the client speaks.
    pub dialect: Dialect,
    /// What it wants.
    pub operation: Operation,
    /// What the body says, as far as we need to know.
    pub head: Head,
    /// What `model` said.
    pub asked: String,
    /// What that means.
    pub target: Target,
    /// Tokens reserved on the key's limit; corrected when the call is settled.
    pub tokens_reserved: u64,
}

/// What `model` means.
#[derive(Clone)]
pub enum Target {
    /// A workflow, by name or alias.
    Workflow(Arc<Workflow>),
    /// `lane:NAME`.
    Lane(Arc<Lane>),
    /// `model:NAME`.
    Model(Arc<Model>),
}

impl Target {
    /// The workflow, where there is one.
    pub fn workflow(&self) -> Option<&Arc<Workflow>> {
        match self {
            Target::Workflow(workflow) => Some(workflow),
            Target::Lane(_) | Target::Model(_) => None,
        }
    }
}

/// Finds the caller.
pub fn authenticate(keys: &KeyTable, credential: Option<&str>, now: UnixMs) -> Result<Arc<Key>, Refusal> {
    let credential = credential.ok_or(Refusal::Key(KeyRefusal::Missing))?;
    keys.authenticate(credential, now).map_err(Refusal::Key)
}

/// Checks the body, the target, the caller's right to it and its limits.
pub fn admit(
    call: Call,
    dialect: Dialect,
    operation: Operation,
    snapshot: &Snapshot,
) -> Result<Admitted, Box<(Call, Refusal)>> {
    match check(&call, dialect, operation, &call.key, snapshot) {
        Ok((head, asked, target, tokens_reserved)) => {
            Ok(Admitted { call, dialect, operation, head, asked, target, tokens_reserved })
        }
        Err(refusal) => Err(Box::new((call, refusal))),
    }
}

fn check(
    call: &Call,
    dialect: Dialect,
    operation: Operation,
    key: &Key,
    snapshot: &Snapshot,
) -> Result<(Head, String, Target, u64), Refusal> {
    let read = match &call.form {
        Some(boundary) => wire::scan_form(operation, boundary, &call.body),
        None => wire::scan(dialect, operation, call.address.as_ref(), &call.body),
    };
    let head = read.map_err(|bad| Refusal::Body { message: bad.to_string(), param: bad.param.map(str::to_owned) })?;
    let asked = match &head.model {
        Some(model) => model.clone(),
        None => unnamed(call, key, snapshot)?,
    };
    let target = match snapshot.resolve(&asked) {
        Some(Resolved::Workflow(workflow)) => Target::Workflow(workflow),
        Some(Resolved::Lane(lane)) => Target::Lane(lane),
        Some(Resolved::Model(model)) => Target::Model(model),
        None => return Err(Refusal::UnknownModel { hint: hint(key, snapshot), asked: short(&asked) }),
    };
    if !may_use(key, &target) {
        return Err(Refusal::NotAllowed { key: key.grant.id.to_string(), asked: short(&asked) });
    }
    let tokens = take_limits(key, &head, call.at)?;
    Ok((head, asked, target, tokens))
}

/// The workflow of a request that names no model: its header says, or the key may use only one.
fn unnamed(call: &Call, key: &Key, snapshot: &Snapshot) -> Result<String, Refusal> {
    if let Some(name) = &call.workflow {
        return Ok(name.clone());
    }
    let allowed = |name: &&domain::WorkflowName| key.grant.workflows.as_ref().is_none_or(|list| list.contains(*name));
    let mut workflows = snapshot.workflows.keys().filter(allowed);
    match (workflows.next(), workflows.next()) {
        (Some(only), None) => Ok(only.to_string()),
        _ => Err(Refusal::Unnamed(hint(key, snapshot))),
    }
}

/// What a client wrote, short enough to be repeated in an error.
pub fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

fn may_use(key: &Key, target: &Target) -> bool {
    match target {
        Target::Workflow(workflow) => {
            key.grant.workflows.as_ref().is_none_or(|allowed| allowed.contains(&workflow.name))
        }
        Target::Lane(_) | Target::Model(_) => key.grant.direct,
    }
}

/// The names a key may use, for the list of models and for hints.
pub fn names(key: &Key, snapshot: &Snapshot) -> Vec<String> {
    let allowed = |name: &domain::WorkflowName| key.grant.workflows.as_ref().is_none_or(|list| list.contains(name));
    let workflows = snapshot.workflows.keys().filter(|name| allowed(name)).map(ToString::to_string);
    let aliases = snapshot.aliases.iter().filter(|(_, name)| allowed(name)).map(|(alias, _)| alias.clone());
    let mut names: Vec<String> = workflows.chain(aliases).collect();
    if key.grant.direct {
        names.extend(snapshot.lanes.iter().map(|lane| format!("lane:{}", lane.name)));
        names.extend(snapshot.models.iter().map(|model| format!("model:{}", model.name)));
    }
    names
}

fn hint(key: &Key, snapshot: &Snapshot) -> String {
    let names = names(key, snapshot);
    if names.is_empty() {
        return "this key may not name anything; give it a workflow".to_owned();
    }
    let more = if names.len() > NAMES_IN_HINT { ", …" } else { "" };
    format!("this key may name {}{more}", names[..names.len().min(NAMES_IN_HINT)].join(", "))
}

/// Takes one request and the tokens this call may use from the key's limits; all or nothing.
fn take_limits(key: &Key, head: &Head, now: UnixMs) -> Result<u64, Refusal> {
    let refuse = |unit: &'static str, fast: TooFast| Refusal::Limit {
        key: key.grant.id.to_string(),
        limit: fast.per_minute,
        unit,
        wait_ms: fast.wait_ms.unwrap_or(60_000),
    };
    let mut meters = key.meters.lock();
    if let Some(requests) = &mut meters.requests {
        requests.take(1, now).map_err(|fast| refuse("requests", fast))?;
    }
    let Some(limit) = key.grant.tokens_per_minute else { return Ok(0) };
    // Four bytes a token is the common rule of thumb for text; the true counts replace it when the call is settled. A call
    // larger than a whole minute's worth waits for a full bucket and owes the rest, or it could never be sent.
    let tokens = (head.prompt_bytes / 4 + head.max_output.unwrap_or(0)).clamp(1, limit.max(1));
    let taken = meters.tokens.as_mut().map_or(Ok(()), |bucket| bucket.take(tokens, now));
    if let Err(fast) = taken {
        if let Some(requests) = &mut meters.requests {
            requests.give_back(1);
        }
        return Err(refuse("tokens", fast));
    }
    Ok(tokens)
}

/// Corrects the key's token meter, once a call has ended, from what was reserved to what was used.
pub fn correct_limits(admitted: &Admitted, tokens_used: u64, now: UnixMs) {
    let reserved = admitted.tokens_reserved;
    if let Some(bucket) = admitted.call.key.meters.lock().tokens.as_mut().filter(|_| reserved > 0) {
        if tokens_used > reserved {
            bucket.charge(tokens_used - reserved, now);
        } else {
            bucket.give_back(reserved - tokens_used);
        }
    }
}
