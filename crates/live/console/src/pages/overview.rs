//! The first page: what is spent, how calls fare, and what needs somebody's eye.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use control::views::{Alarm, Overview, Point, Spend};
use domain::{NanoUsd, UnixMs};
use serde::Deserialize;

use crate::budget::BudgetShown;
use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, Live, draw};
use crate::pages::error;
use crate::show::{self, Column, Money};
use crate::svg::{self, Bar, Chart};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    alarms: Vec<Alarm>,
    spent_today: (String, String),
    spent_month: (String, String),
    rate: String,
    error_share: String,
    error_counts: String,
    first_token_p50: String,
    first_token_p95: String,
    in_flight: String,
    idle: bool,
    gateway: String,
    charts: Vec<Chart>,
    tables: Vec<SpendTable>,
}

struct SpendTable {
    id: &'static str,
    heading: &'static str,
    hint: &'static str,
    empty: &'static str,
    column: &'static str,
    bar_column: &'static str,
    rows: Vec<SpendRow>,
}

struct SpendRow {
    name: String,
    href: Option<String>,
    budget: Option<BudgetShown>,
    bar: Option<Bar>,
    note: String,
    today: Money,
    month: Money,
    calls: String,
    errors: String,
}

/// Whether the page renews itself.
#[derive(Debug, Deserialize)]
pub struct Choice {
    live: Option<u8>,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Query(choice): Query<Choice>) -> Response {
    match desk.source.overview().await {
        Ok(overview) => {
            let frame = Frame::new(&visitor, "Overview", "/").living(Live::unless_paused(choice.live, "/"));
            draw(&page(frame, &overview, desk.source.gateway_address()))
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

fn page(frame: Frame, overview: &Overview, gateway: String) -> OverviewPage {
    let full = full_minutes(&overview.last_hour, overview.now);
    let (calls, errors) = full.iter().fold((0, 0), |(calls, errors), p| (calls + p.calls, errors + p.errors));
    let last_served = full.iter().rev().find(|point| point.first_token_p50_ms.is_some());
    OverviewPage {
        frame,
        alarms: overview.alarms.clone(),
        spent_today: show::split(overview.spent_today),
        spent_month: show::split(overview.spent_month),
        rate: show::milli(full.last().map_or(0, |point| point.calls * 1000 / 60)),
        error_share: show::count_share(errors, calls),
        error_counts: format!("{} of {}", show::count(errors), show::count(calls)),
        first_token_p50: show::duration_or_dash(last_served.and_then(|point| point.first_token_p50_ms)),
        first_token_p95: show::duration_or_dash(last_served.and_then(|point| point.first_token_p95_ms)),
        in_flight: show::count(overview.in_flight),
        idle: overview.last_hour.iter().all(|point| point.calls == 0),
        gateway,
        charts: vec![svg::calls_per_second("calls", full), svg::first_token("first-token", full)],
        tables: vec![by_workflow(&overview.workflows), by_lane(&overview.lanes)],
    }
}

/// The minute that is still running would always look like a fall; it is left out of charts and rates.
fn full_minutes(points: &[Point], now: UnixMs) -> &[Point] {
    match points.split_last() {
        Some((last, earlier)) if last.at + 60_000 > now => earlier,
        _ => points,
    }
}

fn by_workflow(spends: &[Spend]) -> SpendTable {
    let row = |spend: &Spend| {
        let named = !spend.name.starts_with('(');
        let href = named.then(|| format!("/workflows/{}", show::in_query(&spend.name)));
        (href, spend.budget.as_ref().map(BudgetShown::new), None, "no budget".to_owned())
    };
    SpendTable {
        id: "by-workflow",
        heading: "Spend by workflow",
        hint: "Booked amounts, exact to the nano-dollar. A hard budget holds money before a call is sent and settles it after.",
        empty: "No workflows yet. Declare one under [workflows.NAME] in freehold.toml.",
        column: "Workflow",
        bar_column: "Budget",
        rows: rows(spends, row),
    }
}

fn by_lane(spends: &[Spend]) -> SpendTable {
    let total = spends.iter().map(|spend| spend.month).sum::<NanoUsd>();
    let row = |spend: &Spend| {
        let share = show::share(spend.month.0, total.0);
        let bar = svg::share_bar(format!("{share} of the month's spend"), spend.month.0, total.0);
        let href = (!spend.name.starts_with('(')).then(|| format!("/lanes#{}", show::anchor("lane", &spend.name)));
        (href, None, Some(bar), share)
    };
    SpendTable {
        id: "by-lane",
        heading: "Spend by lane",
        hint: "Where the calls of all workflows were answered.",
        empty: "No lanes yet. Declare one under [lanes.NAME] in freehold.toml.",
        column: "Lane",
        bar_column: "Share of the month",
        rows: rows(spends, row),
    }
}

type Particulars = (Option<String>, Option<BudgetShown>, Option<Bar>, String);

fn rows(spends: &[Spend], particulars: impl Fn(&Spend) -> Particulars) -> Vec<SpendRow> {
    let (today, month) = (Column::of(spends.iter().map(|s| s.today)), Column::of(spends.iter().map(|s| s.month)));
    let row = |spend: &Spend| {
        let (href, budget, bar, note) = particulars(spend);
        SpendRow {
            name: spend.name.clone(),
            href,
            budget,
            bar,
            note,
            today: today.money(spend.today),
            month: month.money(spend.month),
            calls: show::count(spend.calls_today),
            errors: errors(spend),
        }
    };
    spends.iter().map(row).collect()
}

/// `3 (1.2 %)`, or `0`.
pub(super) fn errors(spend: &Spend) -> String {
    match spend.errors_today {
        0 => "0".to_owned(),
        errors => format!("{} ({})", show::count(errors), show::count_share(errors, spend.calls_today)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_minute_is_left_out() {
        let at = |minute: i64| Point {
            at: UnixMs(minute * 60_000),
            calls: 1,
            errors: 0,
            cost: NanoUsd(0),
            first_token_p50_ms: None,
            first_token_p95_ms: None,
        };
        let points = [at(1), at(2)];
        assert_eq!(full_minutes(&points, UnixMs(179_999)).len(), 1);
        assert_eq!(full_minutes(&points, UnixMs(180_000)).len(), 2);
        assert!(full_minutes(&[], UnixMs(0)).is_empty());
    }
}
