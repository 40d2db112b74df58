//! Who calls, for what, and whether there is room: a call becomes admitted, or is refused before it costs anything.

use std::sync::Arc;

use bytes::Bytes;
use config::{Resolved, Snapshot};
use domain::{ProviderName, UnixMs};
use ledger::TooFast;
use wire::kept::{Kind, Unsealed};
use wire::{Dialect, Head, Operation};

use crate::call::Call;
use crate::kept::allow::{OpenedBody, opened_body};
use crate::kept::seal::Seals;
use crate::keys::{Key, KeyRefusal, KeyTable};
use crate::refusal::Refusal;
use crate::target::{Target, hint, may_use, short, unnamed};

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
    /// The provider that keeps something the request names; no other may be sent it.
    pub bound_to: Option<BoundTo>,
    /// What it names by the provider's own id; it goes only where such things are everybody's.
    pub unsealed: Option<Unsealed>,
    /// Tokens reserved on the key's limit; corrected when the call is settled.
    pub tokens_reserved: u64,
}

/// The provider that keeps something a request names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundTo {
    /// Which.
    pub provider: ProviderName,
    /// What it keeps.
    pub what: Kind,
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
    seals: &Seals,
) -> Result<Admitted, Box<(Call, Refusal)>> {
    match check(&call, dialect, operation, snapshot, seals) {
        Ok(Checked { head, asked, target, tokens_reserved, unsealed, opened }) => {
            let (bound_to, call) = match opened {
                None => (None, call),
                Some((bound_to, body)) => (Some(bound_to), Call { body, ..call }),
            };
            Ok(Admitted { call, dialect, operation, head, asked, target, bound_to, unsealed, tokens_reserved })
        }
        Err(refusal) => Err(Box::new((call, refusal))),
    }
}

/// What is found out of a call.
struct Checked {
    head: Head,
    asked: String,
    target: Target,
    tokens_reserved: u64,
    unsealed: Option<Unsealed>,
    /// Who keeps what it names, and its body with that provider's own ids.
    opened: Option<(BoundTo, Bytes)>,
}

fn check(
    call: &Call,
    dialect: Dialect,
    operation: Operation,
    snapshot: &Snapshot,
    seals: &Seals,
) -> Result<Checked, Refusal> {
    let key = &call.key;
    let read = |body: &Bytes| {
        let read = match &call.form {
            Some(boundary) => wire::scan_form(operation, boundary, body),
            None => wire::scan(dialect, operation, call.address.as_ref(), body),
        };
        read.map_err(|bad| Refusal::Body { message: bad.to_string(), param: bad.param.map(str::to_owned) })
    };
    let mut head = read(&call.body)?;
    let opened = match &call.form {
        Some(_) => None,
        None => opened_body(snapshot, seals, key, &call.body, dialect).map_err(not_kept)?,
    };
    let unsealed = match &call.form {
        Some(_) => None,
        None => wire::kept::unsealed(dialect, &call.body),
    };
    let opened = opened.map(|OpenedBody { holder, kind, body, .. }| {
        (BoundTo { provider: holder.model().provider.name.clone(), what: kind }, body)
    });
    if let Some(previous) = head.bound.previous.as_ref().filter(|id| !id.contains(wire::kept::MARK)) {
        // Whose that answer is nobody can tell: it may be another tenant's.
        return Err(not_kept(Refusal::NotKept { kind: Kind::Answer, id: short(previous) }));
    }
    if let Some((_, body)) = &opened {
        head = read(body)?;
    }
    let asked = match &head.model {
        Some(model) => model.clone(),
        None => unnamed(call.workflow.as_deref(), key, snapshot)?,
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
    let tokens_reserved = take_limits(key, &head, call.at)?;
    Ok(Checked { head, asked, target, tokens_reserved, unsealed, opened })
}

/// What a body names and this key does not have is a fault of the body.
fn not_kept(refusal: Refusal) -> Refusal {
    match &refusal {
        Refusal::NotKept { kind, .. } => {
            let param = if *kind == Kind::Answer { "previous_response_id" } else { "file_id" };
            Refusal::Body { message: format!("`{param}`: {refusal}"), param: Some(param.to_owned()) }
        }
        _ => refusal,
    }
}

/// Takes one request from a key's limits.
pub fn take_request(key: &Key, now: UnixMs) -> Result<(), Refusal> {
    let mut meters = key.meters.lock();
    let Some(requests) = &mut meters.requests else { return Ok(()) };
    requests.take(1, now).map_err(|fast| {
        let (key, wait_ms) = (key.grant.id.to_string(), fast.wait_ms.unwrap_or(60_000));
        Refusal::Limit { key, limit: fast.per_minute, unit: "requests", wait_ms }
    })
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
