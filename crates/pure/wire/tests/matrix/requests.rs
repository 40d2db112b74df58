//! What becomes of requests: the real way out, and what the provider got.

use bytes::Bytes;
use domain::{FaultClass, Loss, LossKind};
use serde_json::Value;
use wire::{Address, Operation, outgoing, scan};

use crate::bodies::Bodies;
use crate::features::ASKED;
use crate::{Cell, Row, pattern};

/// A row for every feature a client may ask for.
pub fn rows() -> Vec<Row> {
    let bodies = Bodies::all();
    let row = |feature: &'static crate::features::Feature| {
        let cells = |client: &Bodies| bodies.iter().map(|provider| cell(client, provider, feature.name)).collect();
        Row { feature, cells: bodies.iter().map(cells).collect() }
    };
    ASKED.iter().map(row).collect()
}

fn cell(client: &Bodies, provider: &Bodies, feature: &str) -> Cell {
    let Some((said, streams)) = client.request(feature) else { return Cell::Unsayable };
    let body = Bytes::from(serde_json::to_vec(&said).unwrap());
    let address = Address { model: "north".into(), stream: streams };
    let head = scan(client.dialect, Operation::Chat, Some(&address), &body)
        .unwrap_or_else(|bad| panic!("{feature} of {}: {bad}", client.dialect));
    let ask = provider.ask();
    let sent = match outgoing(client.dialect, Operation::Chat, &body, &head, provider.dialect, &ask) {
        Ok(sent) => sent,
        Err(fault) => {
            assert_eq!(fault.class, FaultClass::Untranslatable, "{feature} of {}: {fault:?}", client.dialect);
            return Cell::Refused(fault.message);
        }
    };
    if client.dialect == provider.dialect {
        let got: Value = serde_json::from_slice(&sent.body).unwrap();
        let edited: Vec<_> = sent.edits.iter().map(|edit| edit.name).collect();
        assert!(edited.iter().all(|name| ["model", "stream_options"].contains(name)), "{feature}: {edited:?}");
        assert!(head.stream || got.get("model").is_none() || without_model(got.clone()) == without_model(said.clone()));
    }
    // Where the address says that an answer is to be streamed, that is where it is told.
    if feature == "stream" {
        assert!(sent.stream, "{} at {}", client.dialect, provider.dialect);
    }
    let got: Value = serde_json::from_slice(&sent.body).unwrap();
    judged(provider.told(feature), &[got], &sent.losses)
}

fn without_model(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("model");
    body
}

/// What a cell says of what was to be found in `got`, given what was reported.
pub fn judged(wanted: Option<Vec<&str>>, got: &[Value], losses: &[Loss]) -> Cell {
    let missing = wanted.as_ref().and_then(|wanted| wanted.iter().find(|one| !pattern::is_in(one, got)));
    let is_there = wanted.as_ref().is_some_and(|wanted| !wanted.is_empty()) && missing.is_none();
    let dropped = losses.iter().any(|loss| loss.kind == LossKind::Dropped);
    // A reason is given once, however many fields it goes for.
    let mut reasons: Vec<String> = Vec::new();
    for loss in losses {
        if !reasons.contains(&loss.reason) {
            reasons.push(loss.reason.clone());
        }
    }
    match (is_there, missing, losses.is_empty()) {
        (true, _, true) => Cell::Exact,
        (true, _, false) => Cell::Approximated(reasons),
        // Nothing to look for: what the dialect has no place for has to be named.
        (false, None, true) if wanted.is_some() => Cell::Exact,
        (false, _, false) if dropped => Cell::LeftOut(reasons),
        (false, _, false) => Cell::Approximated(reasons),
        (false, missing, true) => {
            let shown: Vec<String> = got.iter().map(ToString::to_string).collect();
            let shown: String = shown.join("\n    ").chars().take(1_500).collect();
            Cell::Silent(format!("{}\n    {shown}", missing.map_or("has no place", |missing| missing)))
        }
    }
}
