//! Concentration: how much depends on whom, and what would become of each workflow without them.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use control::concentration::{Concentration, Gone, Risk, Share};

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, draw};
use crate::pages::error;
use crate::show::{self, Mark};

/// Days looked back on.
const DAYS: u32 = 30;

#[derive(Template)]
#[template(path = "concentration.html")]
struct ConcentrationPage {
    frame: Frame,
    since: String,
    kinds: Vec<KindShown>,
    gone: Vec<GoneShown>,
}

struct KindShown {
    anchor: &'static str,
    name: &'static str,
    shares: Vec<ShareShown>,
}

struct ShareShown {
    name: String,
    answers: String,
    answers_share: String,
    booked: String,
    booked_share: String,
}

struct GoneShown {
    what: String,
    workflow: String,
    share: String,
    added: String,
    risk: Mark,
    sentence: String,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>) -> Response {
    match desk.source.concentration(DAYS).await {
        Ok(found) => draw(&page(Frame::new(&visitor, "Concentration", "/concentration"), &found)),
        Err(trouble) => error::trouble(&trouble),
    }
}

fn page(frame: Frame, found: &Concentration) -> ConcentrationPage {
    let kind = |anchor, name, shares: &[Share]| KindShown { anchor, name, shares: shares.iter().map(share).collect() };
    ConcentrationPage {
        frame,
        since: found.from.to_string()[..10].to_owned(),
        kinds: vec![
            kind("providers", "Providers", &found.providers),
            kind("regions", "Regions", &found.regions),
            kind("families", "Model families", &found.families),
        ],
        gone: found.gone.iter().map(gone).collect(),
    }
}

fn share(share: &Share) -> ShareShown {
    ShareShown {
        name: share.name.clone(),
        answers: show::count(share.answers),
        answers_share: share.answers_percent(),
        booked: share.booked.to_string(),
        booked_share: share.booked_percent(),
    }
}

fn gone(row: &Gone) -> GoneShown {
    GoneShown {
        what: row.what.clone(),
        workflow: row.workflow.clone(),
        share: row.answers_percent(),
        added: row.added_text(),
        risk: match row.risk {
            Risk::Kept => Mark::new("good", "kept"),
            Risk::OtherLane => Mark::new("warn", "other lane"),
            Risk::Fails => Mark::new("bad", "fails"),
        },
        sentence: row.sentence.clone(),
    }
}
