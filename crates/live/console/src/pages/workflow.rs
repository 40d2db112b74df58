//! One workflow: its policy, its spend and its last day.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use control::views::WorkflowView;

use crate::budget::BudgetShown;
use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, draw};
use crate::pages::{error, overview};
use crate::show;
use crate::svg::{self, Chart};

#[derive(Template)]
#[template(path = "workflow.html")]
struct WorkflowPage {
    frame: Frame,
    name: String,
    today: (String, String),
    month: (String, String),
    calls: String,
    errors: String,
    criticality: String,
    aliases: String,
    residency: String,
    on_loss: &'static str,
    budget: Option<BudgetShown>,
    lanes: Vec<LaneRow>,
    charts: Vec<Chart>,
    calls_href: String,
}

struct LaneRow {
    name: String,
    anchor: String,
    models: String,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    match desk.source.workflow(&name).await {
        Ok(Some(view)) => draw(&page(Frame::new(&visitor, &view.spend.name, "/workflows"), &view)),
        Ok(None) => error::missing(
            "The running configuration declares no workflow of this name.",
            ("/workflows", "All workflows"),
        ),
        Err(trouble) => error::trouble(&trouble),
    }
}

fn page(frame: Frame, view: &WorkflowView) -> WorkflowPage {
    let lane = |(name, models): &(String, Vec<String>)| LaneRow {
        name: name.clone(),
        anchor: show::anchor("lane", name),
        models: show::list(models, "none: residency leaves nothing of this lane"),
    };
    WorkflowPage {
        frame,
        name: view.spend.name.clone(),
        today: show::split(view.spend.today),
        month: show::split(view.spend.month),
        calls: show::count(view.spend.calls_today),
        errors: overview::errors(&view.spend),
        criticality: view.criticality.clone(),
        aliases: show::list(&view.aliases, "none"),
        residency: show::list(&view.residency, "anywhere"),
        on_loss: match view.on_loss {
            "refuse" => "refused; a call goes only where it can be told whole",
            _ => "reported with the answer",
        },
        budget: view.spend.budget.as_ref().map(BudgetShown::new),
        lanes: view.lanes.iter().map(lane).collect(),
        charts: vec![svg::calls_per_hour("calls", &view.last_day), svg::spend("spend", &view.last_day, "hour")],
        calls_href: format!("/calls?workflow={}", show::in_query(&view.spend.name)),
    }
}
