//! Every workflow in one table.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use control::views::WorkflowView;

use crate::budget::BudgetShown;
use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{self, Column, Money};

#[derive(Template)]
#[template(path = "workflows.html")]
struct WorkflowsPage {
    frame: Frame,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    href: String,
    aliases: Option<String>,
    criticality: String,
    lanes: Vec<String>,
    budget: Option<BudgetShown>,
    residency: String,
    month: Money,
    calls: String,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>) -> Response {
    match desk.source.workflows().await {
        Ok(views) => {
            let month = Column::of(views.iter().map(|view| view.spend.month));
            let rows = views.iter().map(|view| row(view, month)).collect();
            draw(&WorkflowsPage { frame: Frame::new(&visitor, "Workflows", "/workflows"), rows })
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

fn row(view: &WorkflowView, month: Column) -> Row {
    Row {
        name: view.spend.name.clone(),
        href: format!("/workflows/{}", show::in_query(&view.spend.name)),
        aliases: (!view.aliases.is_empty()).then(|| view.aliases.join(", ")),
        criticality: view.criticality.clone(),
        lanes: view.lanes.iter().map(|(name, _)| name.clone()).collect(),
        budget: view.spend.budget.as_ref().map(BudgetShown::new),
        residency: show::list(&view.residency, "anywhere"),
        month: month.money(view.spend.month),
        calls: show::count(view.spend.calls_today),
    }
}
