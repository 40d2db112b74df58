//! Cache: what is kept, what was given again, and what that saved.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use control::cache::{CachedWorkflow, Given};
use control::views::{CacheNow, ThresholdNow};
use serde::Deserialize;

use crate::desk::{Desk, Visitor};
use crate::door::Posted;
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{self, When};

#[derive(Template)]
#[template(path = "cache.html")]
struct CachePage {
    frame: Frame,
    periods: Vec<PeriodShown>,
    since: String,
    kept: String,
    workflows: Vec<WorkflowShown>,
}

struct PeriodShown {
    name: &'static str,
    href: String,
    chosen: bool,
}

struct WorkflowShown {
    anchor: String,
    name: String,
    saved: String,
    rule: String,
    entries: Option<String>,
    rows: Vec<RowShown>,
    threshold: Option<String>,
    moves: Vec<MoveShown>,
}

struct MoveShown {
    at: When,
    cosine: String,
}

struct RowShown {
    likeness: &'static str,
    hits: String,
    saved: String,
    compared: String,
    differing: String,
    interval: String,
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
    match desk.source.cache(days).await {
        Ok(view) => draw(&CachePage {
            frame: Frame::new(&visitor, "Cache", "/cache"),
            periods: PERIODS
                .iter()
                .map(|(number, name)| PeriodShown {
                    name,
                    href: format!("/cache?days={number}"),
                    chosen: *number == days,
                })
                .collect(),
            since: view.from.to_string()[..10].to_owned(),
            kept: kept(&view.now),
            workflows: view.workflows.iter().map(|workflow| shown(workflow, view.now.near_is_off.as_deref())).collect(),
        }),
        Err(trouble) => error::trouble(&trouble),
    }
}

/// Throws away what is kept for a workflow.
pub async fn purge(State(desk): State<Desk>, posted: Posted) -> Response {
    match desk.source.purge_cache(posted.fields.text("workflow"), &posted.visitor.session.who).await {
        Ok(_) => Redirect::to("/cache").into_response(),
        Err(trouble) => error::trouble(&trouble),
    }
}

fn kept(now: &CacheNow) -> String {
    let entries: u64 = now.entries.values().sum();
    let gone = match now.evicted + now.too_large {
        0 => String::new(),
        _ => format!(
            " Since its start {} went to make room, and {} were too large to be kept.",
            show::counted(now.evicted, "answer"),
            show::count(now.too_large)
        ),
    };
    format!(
        "This instance keeps {} in {} of {} KiB.{gone}",
        show::counted(entries, "answer"),
        show::count(now.bytes.div_ceil(1024)),
        show::count(now.most_bytes / 1024)
    )
}

fn shown(workflow: &CachedWorkflow, near_is_off: Option<&str>) -> WorkflowShown {
    let rule = workflow.rule.as_ref();
    WorkflowShown {
        anchor: show::anchor("cache", &workflow.workflow),
        name: workflow.workflow.clone(),
        saved: workflow.saved().to_string(),
        rule: rule
            .map_or_else(|| "It has no cache any more.".to_owned(), |rule| format!("Answers are given again {rule}.")),
        entries: rule.map(|_| show::counted(workflow.entries, "answer")),
        rows: workflow.rows().map(|(_, likeness, given)| row(likeness, given)).collect(),
        threshold: workflow.threshold.as_ref().map(|threshold| match near_is_off {
            Some(why) => format!("What is near is not found: {why}."),
            None => near_text(threshold),
        }),
        moves: workflow
            .threshold
            .iter()
            .filter(|threshold| threshold.moves.len() > 1)
            .flat_map(|threshold| threshold.moves.iter().rev())
            .map(|(at, milli)| MoveShown { at: When::at(*at), cosine: show::milli((*milli).into()) })
            .collect(),
    }
}

fn near_text(threshold: &ThresholdNow) -> String {
    let milli = |milli: u16| show::milli(milli.into());
    let compared = match threshold.compared {
        0 => String::new(),
        some => format!(
            " Since it moved last {} compared here, and {} differed.",
            show::counted(some.into(), "hit"),
            show::count(threshold.differing.into())
        ),
    };
    format!(
        "Near is a cosine of {} on this instance; {} is declared.{compared}",
        milli(threshold.milli),
        milli(threshold.declared_milli)
    )
}

fn row(likeness: &'static str, given: &Given) -> RowShown {
    RowShown {
        likeness: if likeness == "exact" { "says the same" } else { "is near" },
        hits: show::count(given.hits),
        saved: given.saved.to_string(),
        compared: show::count(given.compared),
        differing: show::count(given.differing),
        interval: given.differing_millipercent().map_or_else(
            || "–".to_owned(),
            |shares| {
                let [lower, share, upper] = shares.map(|share| show::milli(share.into()));
                format!("{share} % ({lower} to {upper} %)")
            },
        ),
    }
}
