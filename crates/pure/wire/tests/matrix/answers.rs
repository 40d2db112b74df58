//! What becomes of answers: the real way back, and what the client got.

use domain::{Fault, Loss};
use serde_json::Value;
use wire::eventstream::{self, Message};
use wire::{Dialect, Maker, StreamRelay, reply_body};

use crate::bodies::{Bodies, framed, plan};
use crate::features::{ANSWERED, Feature};
use crate::requests::judged;
use crate::{Cell, Row};

/// A row for every feature of a whole answer.
pub fn whole() -> Vec<Row> {
    rows("shown", |client, provider, feature| {
        let answer = provider.answer(feature)?;
        let (body, seen) = match reply_body(&plan(client, provider), answer.as_bytes()) {
            Ok(answered) => answered,
            Err(fault) => return Some(Err(fault)),
        };
        Some(match seen.fault {
            Some(fault) => Err(fault),
            None => Ok((vec![value(&body)], seen.losses)),
        })
    })
}

/// A row for every feature of a streamed answer.
pub fn streamed() -> Vec<Row> {
    rows("streamed", |client, provider, feature| {
        let stream = framed(provider.dialect, &provider.stream(feature)?);
        let (mut relay, mut out) = (StreamRelay::new(plan(client, provider)), Vec::new());
        let ended = relay.feed(&stream, &mut out).and_then(|()| relay.end(&mut out));
        let seen = relay.seen().clone();
        Some(match ended.err().or(seen.fault) {
            Some(fault) => Err(fault),
            None => {
                assert!(seen.ended, "{feature} of {}: no end was seen", provider.dialect);
                Ok((events(client.dialect, &out), seen.losses))
            }
        })
    })
}

/// What a client got: its values, and what was reported; or why it got an error. `None`: the provider does not say such a thing.
type Got = Option<Result<(Vec<Value>, Vec<Loss>), Fault>>;

fn rows(place: &str, answered: impl Fn(&Bodies, &Bodies, &str) -> Got) -> Vec<Row> {
    let bodies = Bodies::all();
    let cell = |client: &Bodies, provider: &Bodies, feature: &Feature| match answered(client, provider, feature.name) {
        None => Cell::Unsayable,
        Some(Err(fault)) => Cell::Refused(fault.message),
        Some(Ok((got, losses))) => judged(client.found(feature.name, place), &got, &losses),
    };
    let row = |feature: &'static Feature| {
        let cells = |client: &Bodies| bodies.iter().map(|provider| cell(client, provider, feature)).collect();
        Row { feature, cells: bodies.iter().map(cells).collect() }
    };
    ANSWERED.iter().map(row).collect()
}

/// The events a client of this dialect got, as values.
fn events(dialect: Dialect, stream: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    if dialect == Dialect::BedrockConverse {
        let mut splitter = eventstream::Splitter::default();
        let split = splitter.feed(stream, |raw| {
            let message = Message::read(raw)?;
            let kind = message.kind;
            events.push(serde_json::json!({ kind: value(message.payload) }));
            Ok(())
        });
        assert_eq!(split, Ok(()));
        return events;
    }
    let lines = std::str::from_utf8(stream).unwrap().lines().filter_map(|line| line.strip_prefix("data:"));
    for data in lines.map(str::trim).filter(|data| *data != "[DONE]") {
        events.push(value(data.as_bytes()));
    }
    events
}

/// What a client reads, but for the tags of makers, which it brings back and nobody else sees.
fn value(json: &[u8]) -> Value {
    let tag = String::from_utf8(Maker::of("provider").tag().to_vec()).unwrap();
    let json = std::str::from_utf8(json).unwrap().replace(&tag, "");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}
