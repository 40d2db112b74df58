//! Anomalies: what is out of the ordinary, what was, and the series that are watched with their alarms marked.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use control::anomalies::{AnomalyNow, WatchedSeries};
use domain::UnixMs;
use serde::Deserialize;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, Live, draw};
use crate::pages::error;
use crate::show::{Mark, When, in_query};
use crate::svg::{self, Chart};

/// Series that are drawn at once; the others are links.
const DRAWN: usize = 4;

#[derive(Template)]
#[template(path = "anomalies.html")]
struct AnomaliesPage {
    frame: Frame,
    standing: Vec<Shown>,
    past: Vec<Shown>,
    charts: Vec<Chart>,
    others: Vec<(String, String)>,
}

struct Shown {
    kind: Mark,
    subject: String,
    sentence: String,
    since: When,
    until: Option<When>,
    led: &'static str,
}

/// Which series is drawn first, and whether the page renews itself.
#[derive(Debug, Deserialize)]
pub struct Choice {
    live: Option<u8>,
    of: Option<String>,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Query(choice): Query<Choice>) -> Response {
    match desk.source.anomalies().await {
        Ok(view) => {
            let now = desk.source.now();
            let (standing, past) = view.anomalies.iter().partition::<Vec<_>, _>(|one| one.until.is_none());
            let mut series: Vec<&WatchedSeries> = view.series.iter().collect();
            let is_wanted = |one: &WatchedSeries| choice.of.as_ref().is_some_and(|of| *of == named(one));
            let has_alarm = |one: &WatchedSeries| one.points.iter().any(|point| point.alarm);
            series.sort_by_key(|one| (!is_wanted(one), !has_alarm(one)));
            let others = series.iter().skip(DRAWN).map(|one| {
                let name = named(one);
                (format!("/anomalies?of={}", in_query(&name)), name)
            });
            let charts = series.iter().take(DRAWN).enumerate();
            let live = Live::unless_paused(choice.live, "/anomalies");
            draw(&AnomaliesPage {
                frame: Frame::new(&visitor, "Anomalies", "/anomalies").living(live),
                standing: standing.into_iter().map(|one| shown(one, now)).collect(),
                past: past.into_iter().map(|one| shown(one, now)).collect(),
                charts: charts.map(|(place, one)| svg::watched(&format!("series-{place}"), &named(one), one)).collect(),
                others: others.collect(),
            })
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

/// A series by what it is of and what it counts.
fn named(series: &WatchedSeries) -> String {
    match series.unit {
        "first_token_ms" => format!("First token of {}", series.name),
        _ => format!("Spend of {}", series.name),
    }
}

fn shown(one: &AnomalyNow, now: UnixMs) -> Shown {
    Shown {
        kind: Mark::new(if one.until.is_none() { "bad" } else { "" }, one.kind),
        subject: one.subject.clone(),
        sentence: one.sentence.clone(),
        since: When::near(one.since, now),
        until: one.until.map(|until| When::near(until, now)),
        led: match (one.moves, one.until) {
            (true, None) => "calls go elsewhere",
            (true, Some(_)) => "calls went elsewhere",
            (false, None) => "calls go on",
            (false, Some(_)) => "calls went on",
        },
    }
}
