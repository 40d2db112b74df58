//! Budgets: how each stands, which have reached a share of their limit, and a button where one waits for an approval.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use control::budgets::NewApproval;
use control::views::{BudgetNow, BudgetReached};

use crate::budget::BudgetShown;
use crate::desk::{Desk, Visitor};
use crate::door::Posted;
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{Mark, When};

#[derive(Template)]
#[template(path = "budgets.html")]
struct BudgetsPage {
    frame: Frame,
    rows: Vec<Row>,
    reached: Vec<ReachedShown>,
}

struct Row {
    scope: String,
    budget: BudgetShown,
    kind: Mark,
    approval: Option<ApprovalShown>,
}

struct ApprovalShown {
    per: String,
    measure: &'static str,
    sentence: String,
}

struct ReachedShown {
    at: When,
    sentence: String,
}

/// The list.
pub async fn show(visitor: Visitor, State(desk): State<Desk>) -> Response {
    match desk.source.budgets().await {
        Ok(view) => draw(&BudgetsPage {
            frame: Frame::new(&visitor, "Budgets", "/budgets"),
            rows: view.budgets.iter().map(row).collect(),
            reached: view.reached.iter().map(reached).collect(),
        }),
        Err(trouble) => error::trouble(&trouble),
    }
}

/// Approves.
pub async fn approve(State(desk): State<Desk>, posted: Posted) -> Response {
    let text = |name: &str| Some(posted.fields.text(name).to_owned()).filter(|text| !text.is_empty());
    let wish = NewApproval {
        scope: posted.fields.text("scope").to_owned(),
        per: text("per"),
        measure: text("measure"),
        amount: text("amount"),
    };
    match desk.source.approve_budget(wish, &posted.visitor.session.who).await {
        Ok(_) => Redirect::to("/budgets").into_response(),
        Err(trouble) => error::trouble(&trouble),
    }
}

fn row(budget: &BudgetNow) -> Row {
    let approval = budget.approval_at.map(|at| ApprovalShown {
        per: budget.per.clone(),
        measure: budget.measure.as_str(),
        sentence: match budget.approval {
            None => format!("Calls beyond {} need an approval.", budget.measure.shown(at)),
            Some(given) => match given.more {
                Some(more) => format!("{} more is approved.", budget.measure.shown(more)),
                None => "All that is left is approved.".to_owned(),
            },
        },
    });
    Row {
        scope: budget.scope.clone(),
        budget: BudgetShown::new(budget),
        kind: if budget.hard { Mark::new("", "hard") } else { Mark::new("", "soft") },
        approval,
    }
}

fn reached(reached: &BudgetReached) -> ReachedShown {
    let BudgetReached { scope, per, limit, share_percent, act, .. } = reached;
    let then = match act.as_str() {
        "downgrade" => "calls go to the cheapest model",
        "require_approval" => "calls need an approval",
        "refuse" => "calls are refused",
        _ => "calls go on",
    };
    ReachedShown {
        at: When::at(reached.at),
        sentence: format!("{scope} has reached {share_percent} % of {limit} per {per}; from there on {then}."),
    }
}
