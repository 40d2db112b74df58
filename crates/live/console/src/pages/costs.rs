//! Costs: what answers cost beyond their list price, by workflow and cause.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use control::hidden_costs::{Costs, Part};
use serde::Deserialize;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{self, Mark};

#[derive(Template)]
#[template(path = "costs.html")]
struct CostsPage {
    frame: Frame,
    periods: Vec<PeriodShown>,
    since: String,
    workflows: Vec<CostsShown>,
}

struct PeriodShown {
    name: &'static str,
    href: String,
    chosen: bool,
}

struct CostsShown {
    anchor: String,
    name: String,
    multiplier: String,
    booked: String,
    list: String,
    hidden: String,
    sentence: String,
    parts: Vec<PartShown>,
}

struct PartShown {
    cause: String,
    end: String,
    answers: Mark,
    attempts: String,
    booked: String,
}

/// Days looked back on, with their names; the first is shown unless another is asked for.
const PERIODS: [(u32, &str); 4] = [(30, "30 days"), (1, "Today"), (7, "7 days"), (365, "A year")];

/// Which stretch of time.
#[derive(Debug, Deserialize)]
pub struct Choice {
    days: Option<u32>,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Query(choice): Query<Choice>) -> Response {
    let known = PERIODS.iter().find(|(days, _)| Some(*days) == choice.days);
    let days = known.map_or(PERIODS[0].0, |(days, _)| *days);
    match desk.source.hidden_costs(days).await {
        Ok(costs) => {
            let total = (!costs.workflows.is_empty()).then_some(&costs.total);
            let periods = PERIODS.iter().map(|(number, name)| PeriodShown {
                name,
                href: format!("/costs?days={number}"),
                chosen: *number == days,
            });
            draw(&CostsPage {
                frame: Frame::new(&visitor, "Costs", "/costs"),
                periods: periods.collect(),
                since: costs.from.to_string()[..10].to_owned(),
                workflows: total.into_iter().chain(&costs.workflows).map(shown).collect(),
            })
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

fn shown(costs: &Costs) -> CostsShown {
    let unpriced = match costs.unpriced {
        0 => String::new(),
        some => format!(" {} used something without a price, which is missing here.", show::counted(some, "attempt")),
    };
    let unread = match costs.unread_tokens {
        0 => String::new(),
        some => format!(
            " At least {} tokens were written to providers' caches for {} USD and never read.",
            show::count(some),
            costs.unread
        ),
    };
    CostsShown {
        anchor: show::anchor("costs", &costs.workflow),
        name: costs.workflow.clone(),
        multiplier: costs.multiplier(),
        booked: costs.booked.to_string(),
        list: costs.list.to_string(),
        hidden: costs.hidden.to_string(),
        sentence: format!(
            "{} for {}.{unpriced}{unread}",
            show::counted(costs.attempts, "attempt"),
            show::counted(costs.answers, "answer")
        ),
        parts: costs.parts.iter().map(part_shown).collect(),
    }
}

fn part_shown(part: &Part) -> PartShown {
    PartShown {
        cause: part.cause.clone(),
        end: part.end.clone(),
        answers: if part.answers { Mark::new("good", "answer") } else { Mark::new("warn", "hidden") },
        attempts: show::count(part.attempts),
        booked: part.booked.to_string(),
    }
}
