//! Instances: who serves from this database, and what each may spend of the budgets they share.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use control::instances::{InstanceState, InstanceView, LeaseView};
use serde::Deserialize;

use crate::desk::{Desk, Visitor};
use crate::frame::{Frame, Live, draw};
use crate::pages::error;
use crate::show::{self, Mark};

#[derive(Template)]
#[template(path = "instances.html")]
struct InstancesPage {
    frame: Frame,
    instances: Vec<InstanceShown>,
}

struct InstanceShown {
    anchor: String,
    name: String,
    state: Mark,
    sentence: String,
    leases: Vec<LeaseView>,
}

/// Whether the page renews itself.
#[derive(Debug, Deserialize)]
pub struct Choice {
    live: Option<u8>,
}

/// The page.
pub async fn show(visitor: Visitor, State(desk): State<Desk>, Query(choice): Query<Choice>) -> Response {
    match desk.source.instances().await {
        Ok(instances) => {
            let live = Live::unless_paused(choice.live, "/instances");
            let frame = Frame::new(&visitor, "Instances", "/instances").living(live);
            draw(&InstancesPage { frame, instances: instances.into_iter().map(shown).collect() })
        }
        Err(trouble) => error::trouble(&trouble),
    }
}

fn shown(instance: InstanceView) -> InstanceShown {
    let (tone, told) = match instance.state {
        InstanceState::Serving => {
            ("good", format!("It serves since {} and may spend until {}.", instance.started_at, instance.lease_ends))
        }
        InstanceState::Ended => ("", format!("It ended at {} and gave back what it had leased.", instance.lease_ends)),
        InstanceState::Gone => (
            "warn",
            format!(
                "Its lease ended at {} without a word from it. What it leased counts as spent until it starts again or \
                 `freehold instance recover` reads its spool.",
                instance.lease_ends
            ),
        ),
    };
    InstanceShown {
        anchor: show::anchor("instance", &instance.instance),
        name: instance.instance,
        state: Mark::new(tone, instance.state.as_str()),
        sentence: format!("{told} It lies at {}.", instance.place),
        leases: instance.leases,
    }
}
