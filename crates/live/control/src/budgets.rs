//! Budgets as people see and lift them: how each stands, which have reached a share of their limit, and approvals to go on.

use config::Budget;
use domain::UnixMs;
use ledger::{Period, Window};
use serde::{Deserialize, Serialize};
use store::{AuditLine, StoredApproval};

use crate::control::Control;
use crate::failure::ControlError;
use crate::views::{BudgetNow, BudgetReached};

/// Every budget, and what was told of them since the start.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BudgetsView {
    /// Each as it stands, from the widest scope to the narrowest.
    pub budgets: Vec<BudgetNow>,
    /// Those that have reached a share of their limit, newest first.
    pub reached: Vec<BudgetReached>,
}

/// What somebody wants to approve.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// Whose budget: `workflow claims-triage`, as the list names it.
    pub scope: String,
    /// Over which window: `month`, as the list names it; may be left out where the scope has one that needs approvals.
    #[serde(default)]
    pub per: Option<String>,
    /// `USD` or `tokens`; the same.
    #[serde(default)]
    pub measure: Option<String>,
    /// How much more, such as `50 USD`; left out, all that is left below the limit until the window ends.
    #[serde(default)]
    pub amount: Option<String>,
}

impl Control {
    /// How every budget stands.
    pub fn budgets(&self) -> BudgetsView {
        BudgetsView { budgets: self.running().budgets(), reached: self.running().budgets_reached() }
    }

    /// Lets a budget that needs an approval go on: by an amount, or until its window ends. The sentence says what was approved.
    pub async fn approve_budget(&self, wish: &NewApproval, by: &str) -> Result<String, ControlError> {
        let now = self.now();
        let budget = wanted(&self.running().budgets(), wish)?;
        let more = match &wish.amount {
            None => None,
            Some(amount) => Some(more_of(amount, &budget)?),
        };
        let until = ends(&budget, now);
        let approval = StoredApproval {
            scope: budget.scope.clone(),
            per: budget.per.clone(),
            measure: budget.measure.as_str().to_owned(),
            more,
            until,
            at: now,
            who: by.to_owned(),
        };
        self.store().insert_approval(&approval).await?;
        let what = match more {
            Some(more) => format!("{} more", budget.measure.shown(ledger::Amount(more))),
            None => "whatever is left below the limit".to_owned(),
        };
        let time = until.map_or_else(|| "with no end".to_owned(), |until| format!("until {until}"));
        let detail = format!("{what} for {} per {}, {time}", budget.scope, budget.per);
        let line = AuditLine { at: now, who: by.to_owned(), what: "budget.approve".into(), detail: detail.clone() };
        self.store().audit(&line).await?;
        Ok(format!("approved {detail}"))
    }
}

/// The one budget that is meant.
fn wanted(budgets: &[BudgetNow], wish: &NewApproval) -> Result<BudgetNow, ControlError> {
    let short: String = wish.scope.chars().take(100).collect();
    let of_scope: Vec<&BudgetNow> = budgets.iter().filter(|budget| budget.scope == wish.scope).collect();
    if of_scope.is_empty() {
        return Err(ControlError::NotFound(format!(
            "there is no budget of `{short}`; `freehold budget list` shows every budget"
        )));
    }
    let meant = |budget: &&&BudgetNow| {
        wish.per.as_ref().is_none_or(|per| *per == budget.per)
            && wish.measure.as_ref().is_none_or(|measure| measure == budget.measure.as_str())
            && budget.approval_at.is_some()
            && !budget.scope.starts_with("session ")
    };
    match of_scope.iter().filter(meant).collect::<Vec<_>>()[..] {
        [one] => Ok((*one).clone()),
        [] => Err(ControlError::Refused(format!(
            "no such budget of `{short}` waits for approvals; one with `require_approval` in the configuration does"
        ))),
        _ => Err(ControlError::Refused(format!("`{short}` has several such budgets; say which window and measure"))),
    }
}

/// Reads `50 USD` in the measure of the budget.
fn more_of(amount: &str, budget: &BudgetNow) -> Result<i64, ControlError> {
    let read: Result<Budget, _> = format!("{amount} per total").parse();
    let read = read.ok().filter(|read| read.measure == budget.measure);
    let measure = budget.measure.as_str();
    read.map(|read| read.limit.0).ok_or_else(|| {
        let short: String = amount.chars().take(40).collect();
        ControlError::Refused(format!("`{short}` is no amount in {measure}; write it like `50 {measure}`"))
    })
}

/// When what is approved for a budget now ends: with its window; a rolling one, a whole window from now.
fn ends(budget: &BudgetNow, now: UnixMs) -> Option<UnixMs> {
    let rolling = budget.per.parse().ok().and_then(|window: Window| match window.period() {
        Period::Rolling(span_ms) => Some(now + span_ms),
        _ => None,
    });
    budget.resets_at.or(rolling)
}
