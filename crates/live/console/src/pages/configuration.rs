//! The configuration that decides calls now, what it means, and why a newer file is not taken over.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use control::views::ConfigurationView;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{Mark, When};

#[derive(Template)]
#[template(path = "configuration.html")]
struct ConfigurationPage {
    frame: Frame,
    revision: String,
    since: When,
    state: Mark,
    rejected: Vec<String>,
    warnings: Vec<String>,
    explained: String,
    lines: Vec<String>,
    history: Vec<Revision>,
}

struct Revision {
    revision: String,
    since: When,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>) -> Response {
    match desk.source.configuration().await {
        Ok(view) => draw(&page(Frame::new(&visitor, "Configuration", "/configuration"), view)),
        Err(trouble) => error::trouble(&trouble),
    }
}

fn page(frame: Frame, view: ConfigurationView) -> ConfigurationPage {
    let state = if view.rejected.is_empty() { Mark::new("good", "is what runs") } else { Mark::new("bad", "rejected") };
    ConfigurationPage {
        frame,
        revision: view.revision,
        since: When::at(view.since),
        state,
        rejected: view.rejected,
        warnings: view.warnings,
        explained: view.explained,
        lines: view.text.lines().map(str::to_owned).collect(),
        history: view
            .history
            .into_iter()
            .map(|(revision, since)| Revision { revision, since: When::at(since) })
            .collect(),
    }
}
