//! Drills: the reports that were kept, and how to make one.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use control::drills::KeptDrill;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{self, Mark};

#[derive(Template)]
#[template(path = "drills.html")]
struct DrillsPage {
    frame: Frame,
    drills: Vec<DrillShown>,
}

struct DrillShown {
    anchor: String,
    title: String,
    held: Mark,
    sentence: String,
    report: String,
    href: String,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>) -> Response {
    match desk.source.drills().await {
        Ok(drills) => draw(&DrillsPage {
            frame: Frame::new(&visitor, "Drills", "/drills"),
            drills: drills.into_iter().map(shown).collect(),
        }),
        Err(trouble) => error::trouble(&trouble),
    }
}

/// The HTML file of a report, to be kept and opened apart: the console's own pages take no style from elsewhere.
pub async fn page(_visitor: Visitor, State(desk): State<Desk>, Path(id): Path<i64>) -> Response {
    match desk.source.drill_page(id).await {
        Ok(Some(page)) => {
            let name = format!("attachment; filename=\"drill-{id}.html\"");
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)], page)
                .into_response()
        }
        Ok(None) => error::missing("That report is not kept any more.", ("/drills", "All drills")),
        Err(trouble) => error::trouble(&trouble),
    }
}

fn shown(drill: KeptDrill) -> DrillShown {
    let KeptDrill { id, ran_at, title, revision, seed, held, report } = drill;
    DrillShown {
        anchor: show::anchor("drill", &id.to_string()),
        title,
        held: if held { Mark::new("good", "held") } else { Mark::new("bad", "broken") },
        sentence: format!("Run at {ran_at} on configuration {revision}, seed {seed}."),
        report,
        href: format!("/drills/{id}"),
    }
}
