//! Every budget of a configuration and the keys, with what history has booked and what somebody approved.

use config::Snapshot;
use domain::{KeyGrant, UnixMs};
use gateway::budgets::Limit;
use gateway::clock;
use gateway::dataplane::Gateway;
use ledger::budget::{Amount, Approval, BudgetId, Measure, Scope};
use store::{Counted, Store, StoredApproval, Whose};

/// Every budget of this configuration and these keys. What is booked already is read for accounts `known` has not.
pub async fn limits(
    store: &Store,
    snapshot: &Snapshot,
    grants: &[KeyGrant],
    known: Option<&Gateway>,
) -> anyhow::Result<Vec<Limit>> {
    let now = clock::now();
    let approvals = store.approvals(now).await?;
    let mut limits = Limit::declared(snapshot, grants);
    let leased = if known.is_none() { store.leases().await? } else { Vec::new() };
    for limit in &mut limits {
        limit.approval = approval(&approvals, &limit.budget);
        let is_known = known.is_some_and(|gateway| gateway.budgets.has(&limit.budget));
        if limit.budget.is_rate() {
            // Of the process before, if it ended within the minute, all that it may have taken counts: when it was nobody knows.
            let own = leased.iter().filter(|lease| lease.instance == store.instance() && lease.budget == limit.budget);
            limit.settled = own.map(|lease| (now, lease.ceiling)).collect();
        } else if !is_known && !limit.each_session {
            limit.settled = booked(store, limit, now).await?;
        }
    }
    Ok(limits)
}

/// What history has booked in the window that is open now.
async fn booked(store: &Store, limit: &Limit, now: UnixMs) -> anyhow::Result<Vec<(UnixMs, Amount)>> {
    let whose = match &limit.budget.scope {
        Scope::Organisation => Whose::Everybodys,
        Scope::Unit(_) if limit.members.is_empty() => return Ok(Vec::new()),
        Scope::Unit(_) => Whose::Workflows(limit.members.clone()),
        Scope::Workflow(name) => Whose::Workflows(vec![name.clone()]),
        Scope::Key(id) => Whose::Key(id.clone()),
        // Of models only calls under way are limited otherwise than by rates.
        Scope::Session { .. } | Scope::Model(_) => return Ok(Vec::new()),
    };
    let counted = match limit.budget.measure {
        Measure::Usd => Counted::Cost,
        Measure::Tokens => Counted::Tokens,
        Measure::Requests => Counted::Requests,
        Measure::Calls => return Ok(Vec::new()),
    };
    let since = limit.budget.window.bounds(now).0;
    let booked = store.booked_since(&whose, counted, since).await?;
    Ok(booked.into_iter().map(|(at, amount)| (at.min(now), Amount(amount))).collect())
}

/// All that was approved for a budget.
fn approval(approvals: &[StoredApproval], budget: &BudgetId) -> Option<Approval> {
    let (scope, per) = (budget.scope.plain(), budget.window.to_string());
    let same = |one: &&StoredApproval| one.scope == scope && one.per == per && one.measure == budget.measure.as_str();
    approvals.iter().filter(same).fold(None, |sum: Option<Approval>, one| {
        let more = match (sum.map(|sum| sum.more), one.more) {
            (Some(None), _) | (_, None) => None,
            (Some(Some(before)), Some(more)) => Some(before.plus(Amount(more))),
            (None, Some(more)) => Some(Amount(more)),
        };
        // The end of the window they were all given in.
        let until = match sum {
            Some(sum) => sum.until.min(one.until).or(one.until),
            None => one.until,
        };
        Some(Approval { more, until })
    })
}
