//! Who calls, for what, and whether there is room: a call becomes admitted, or is refused before it costs anything.

use std::sync::Arc;

use bytes::Bytes;
use config::{Resolved, Snapshot};
use domain::{KeyGrant, ProviderName, UnixMs};
use ledger::{Gate, Measure};
use wire::kept::{Kind, Unsealed};
use wire::{Dialect, Head, Operation};

use crate::budgets::{Budgets, Spent};
use crate::call::Call;
use crate::clock;
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
    /// What it took of its key's tokens a minute; corrected when the call is settled.
    pub minute: MinuteTaken,
}

/// Tokens a call took of its key's minute.
#[derive(Clone, Copy, Default)]
pub struct MinuteTaken {
    tokens: u64,
    at: UnixMs,
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

/// Checks the body, the target and the caller's right to it.
pub fn admit(
    call: Call,
    dialect: Dialect,
    operation: Operation,
    snapshot: &Snapshot,
    seals: &Seals,
) -> Result<Box<Admitted>, Box<(Call, Refusal)>> {
    match check(&call, dialect, operation, snapshot, seals) {
        Ok(Checked { head, asked, target, unsealed, opened }) => {
            let (bound_to, call) = match opened {
                None => (None, call),
                Some((bound_to, body)) => (Some(bound_to), Call { body, ..call }),
            };
            let minute = MinuteTaken::default();
            Ok(Box::new(Admitted { call, dialect, operation, head, asked, target, bound_to, unsealed, minute }))
        }
        Err(refusal) => Err(Box::new((call, refusal))),
    }
}

/// What is found out of a call.
struct Checked {
    head: Head,
    asked: String,
    target: Target,
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
    Ok(Checked { head, asked, target, unsealed, opened })
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

/// Takes one request from what a key may do in a minute.
pub async fn take_request(budgets: &Budgets, key: &Key) -> Result<(), Refusal> {
    take(budgets, key, 0).await
}

/// Takes one request and the tokens this call may use from what its key may do in a minute; all or nothing.
pub async fn take_limits(budgets: &Budgets, admitted: &mut Admitted) -> Result<(), Refusal> {
    let key = &admitted.call.key;
    let tokens = match key.grant.tokens_per_minute {
        None => 0,
        // Four bytes a token is the common rule of thumb for text; the true counts replace it when the call is settled. A call
        // larger than a whole minute's worth waits for a minute of its own and owes the rest, or it could never be sent.
        Some(limit) => {
            let head = &admitted.head;
            (head.prompt_bytes / 4 + head.max_output.unwrap_or(0)).clamp(1, limit.max(1))
        }
    };
    take(budgets, key, tokens).await?;
    admitted.minute = MinuteTaken { tokens, at: clock::now() };
    Ok(())
}

/// Most keys have no such limit, and nearly all others have room in this instance's slice of it.
async fn take(budgets: &Budgets, key: &Key, tokens: u64) -> Result<(), Refusal> {
    let KeyGrant { id, requests_per_minute, tokens_per_minute, .. } = &key.grant;
    if requests_per_minute.is_some() || tokens_per_minute.is_some() {
        return match budgets.try_take_of_minute(id, tokens, clock::now()) {
            Ok(()) => Ok(()),
            Err(spent) if !spent.may_pass_soon() => Err(over(&spent)),
            // Boxed: few calls wait, and all of them would carry the room for it.
            Err(_) => Box::pin(budgets.take_of_minute(id, tokens)).await.map_err(|spent| over(&spent)),
        };
    }
    Ok(())
}

fn over(spent: &Spent) -> Refusal {
    let Spent { budget, short, .. } = spent;
    let key = match &budget.scope {
        ledger::Scope::Key(id) => id.to_string(),
        scope => scope.plain(),
    };
    let unit = if short.measure == Measure::Tokens { "tokens" } else { "requests" };
    let wait_ms = match (short.gate, short.resets_at) {
        (Gate::Slice, _) | (_, None) => 1_000,
        (_, Some(at)) => at.since(clock::now()).max(1),
    };
    let amount = |amount: ledger::Amount| amount.0.unsigned_abs();
    Refusal::Limit { key, limit: amount(short.limit), unit, used: amount(short.settled), wait_ms }
}

/// Corrects what a call took of its key's tokens a minute, once it has ended, to what was used.
pub fn correct_limits(budgets: &Budgets, admitted: &Admitted, tokens_used: u64) {
    let MinuteTaken { tokens, at } = admitted.minute;
    if tokens > 0 {
        budgets.correct_minute(&admitted.call.key.grant.id, tokens, tokens_used, at);
    }
}
