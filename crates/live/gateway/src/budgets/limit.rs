//! A limit as the gateway is told it, and whose limits a call falls under.

use config::{AtLimit, Per, Snapshot};
use domain::{KeyGrant, KeyId, ModelName, NanoUsd, SessionId, UnixMs, WorkflowName};
use ledger::budget::{Amount, Approval, BudgetId, Measure, Scope, Terms};
use ledger::window::Window;

/// A limit that must hold, with what history says was already spent in its window.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Which.
    pub budget: BudgetId,
    /// How much, and what happens near it.
    pub terms: Terms,
    /// What was approved beyond it.
    pub approval: Option<Approval>,
    /// What happens near it beside refusing.
    pub rule: Rule,
    /// Whether each session of the workflow or key has this much for itself.
    pub each_session: bool,
    /// Of a unit: the workflows that belong to it.
    pub members: Vec<WorkflowName>,
    /// Booked so far, and when; only looked at when the account is new.
    pub settled: Vec<(UnixMs, Amount)>,
}

impl Limit {
    /// What a configured budget comes to for a scope, with nothing spent and nothing approved yet.
    pub fn of(scope: Scope, budget: &config::Budget) -> Limit {
        let (window, each_session) = match &budget.per {
            Per::Window(window) => (window.clone(), false),
            Per::Session => (Window::TOTAL, true),
        };
        let notice = |(share_percent, amount, act)| Notice { share_percent, amount, act };
        Limit {
            budget: BudgetId { scope, window, measure: budget.measure },
            terms: budget.terms(),
            approval: None,
            rule: Rule {
                downgrades: budget.at_limit == AtLimit::Downgrade,
                downgrade_at: budget.downgrade_at(),
                notices: budget.notices().into_iter().map(notice).collect(),
            },
            each_session,
            members: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Every limit of a configuration and of the keys that are not revoked, with nothing spent and nothing approved yet.
    pub fn declared(snapshot: &Snapshot, grants: &[KeyGrant]) -> Vec<Limit> {
        let mut limits = Vec::new();
        let mut add = |scope: Scope, budget: &config::Budget| limits.push(Limit::of(scope, budget));
        snapshot.organisation.budgets.iter().for_each(|budget| add(Scope::Organisation, budget));
        for unit in &snapshot.units {
            unit.budgets.iter().for_each(|budget| add(Scope::Unit(unit.name.clone()), budget));
        }
        for workflow in snapshot.workflows.values() {
            workflow.budgets.iter().for_each(|budget| add(Scope::Workflow(workflow.name.clone()), budget));
        }
        for grant in grants.iter().filter(|grant| grant.revoked_at.is_none()) {
            for text in &grant.budgets {
                match text.parse() {
                    Ok(budget) => add(Scope::Key(grant.id.clone()), &budget),
                    // It was read when the key was made, so the row is damaged. Who wrote it meant some limit.
                    Err(error) => {
                        tracing::error!(key = %grant.id, %error, "a key's budget cannot be read and is not kept")
                    }
                }
            }
        }
        limits.extend(snapshot.models.iter().flat_map(|model| Limit::of_model(model)));
        limits.extend(grants.iter().filter(|grant| grant.revoked_at.is_none()).flat_map(Limit::rates_of_key));
        for limit in &mut limits {
            if let Scope::Unit(unit) = &limit.budget.scope {
                let members = snapshot.workflows.values().filter(|workflow| workflow.unit.as_ref() == Some(unit));
                limit.members = members.map(|workflow| workflow.name.clone()).collect();
            }
        }
        limits
    }

    /// What may be sent to a model.
    fn of_model(model: &config::Model) -> impl Iterator<Item = Limit> + use<> {
        let scope = Scope::Model(model.name.clone());
        let limits = model.limits;
        let rate = |limit: Option<u64>, measure| limit.map(|limit| (limit, Window::MINUTE, measure));
        let all = [
            rate(limits.tokens_per_minute, Measure::Tokens),
            rate(limits.requests_per_minute, Measure::Requests),
            limits.calls_at_once.map(|limit| (limit, Window::TOTAL, Measure::Calls)),
        ];
        all.into_iter().flatten().map(move |(limit, window, measure)| {
            Limit::new(BudgetId { scope: scope.clone(), window, measure }, counted(limit))
        })
    }

    /// What a key may ask for in a minute.
    fn rates_of_key(grant: &KeyGrant) -> impl Iterator<Item = Limit> + use<> {
        let scope = Scope::Key(grant.id.clone());
        let all =
            [(grant.tokens_per_minute, Measure::Tokens), (grant.requests_per_minute.map(u64::from), Measure::Requests)];
        all.into_iter().filter_map(move |(limit, measure)| {
            let budget = BudgetId { scope: scope.clone(), window: Window::MINUTE, measure };
            Some(Limit::new(budget, counted(limit?)))
        })
    }

    /// A hard limit on money of which nothing is spent yet.
    pub fn hard(scope: Scope, limit: NanoUsd, window: Window) -> Limit {
        Limit::new(BudgetId { scope, window, measure: Measure::Usd }, limit.into())
    }

    fn new(budget: BudgetId, limit: Amount) -> Limit {
        Limit {
            budget,
            terms: Terms::hard(limit),
            approval: None,
            rule: Rule::default(),
            each_session: false,
            members: Vec::new(),
            settled: Vec::new(),
        }
    }
}

fn counted(limit: u64) -> Amount {
    Amount(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// Whose budgets a call falls under, besides the organisation's and that of its workflow's unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scopes {
    /// Its workflow.
    pub workflow: Option<WorkflowName>,
    /// Its key.
    pub key: KeyId,
    /// Its session, where the client names one.
    pub session: Option<SessionId>,
    /// Where an attempt is sent, if that model has limits of its own.
    pub model: Option<ToModel>,
}

/// An attempt at a model that has limits of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToModel {
    /// Which.
    pub name: ModelName,
    /// Tokens it should need: what nearly all of its like have, not what it may need at most.
    pub tokens: u64,
}

/// What happens near a limit beside refusing, which is the account's own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rule {
    /// A call that does not fit tries something cheaper before it is refused.
    pub downgrades: bool,
    /// From this amount on only the cheapest model of a call is used.
    pub downgrade_at: Option<Amount>,
    /// Shares of the limit whose reaching is told, lowest first.
    pub notices: Vec<Notice>,
}

/// A share of a limit whose reaching is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The share, percent.
    pub share_percent: u16,
    /// How much that is.
    pub amount: Amount,
    /// What happens from there on, as the configuration says it.
    pub act: &'static str,
}
