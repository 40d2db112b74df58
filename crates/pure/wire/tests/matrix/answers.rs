//! What becomes of answers: the real way back, and what the client got.

use domain::{Fault, Loss};
use serde_json::Value;
use wire::eventstream::{self, Message};
use wire::{Dialect, Operation, ReplyPlan, StreamRelay, reply_body};

use crate::bodies::Bodies;
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
            None => Ok((vec![serde_json::from_slice(&body).unwrap()], seen.losses)),
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

pub fn plan(client: &Bodies, provider: &Bodies) -> ReplyPlan {
    ReplyPlan {
        client: client.dialect,
        upstream: provider.dialect,
        operation: Operation::Chat,
        asked_model: "north".into(),
        include_usage: true,
        continuous_usage: false,
        quirks: provider.quirks(),
        answer_id: "answer_1".into(),
        created_unix_s: 1_795_000_000,
        keep_bytes: 0,
        framing: client.dialect.framing(),
        raw: false,
        request: bytes::Bytes::new(),
        ids: wire::Ids::default(),
    }
}

/// Events as a provider of this dialect sends them.
pub fn framed(dialect: Dialect, events: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let value: Value = serde_json::from_str(event).unwrap_or(Value::Null);
        match dialect {
            Dialect::BedrockConverse => {
                let (kind, payload) = value.as_object().unwrap().iter().next().unwrap();
                let payload = serde_json::to_vec(payload).unwrap();
                Message { kind, is_exception: false, payload: &payload }.write(&mut out);
            }
            Dialect::OpenAiChat | Dialect::Gemini => out.extend_from_slice(format!("data: {event}\n\n").as_bytes()),
            Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Cohere => {
                let kind = value["type"].as_str().unwrap();
                out.extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
            }
        }
    }
    out
}

/// The events a client of this dialect got, as values.
fn events(dialect: Dialect, stream: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    if dialect == Dialect::BedrockConverse {
        let mut splitter = eventstream::Splitter::default();
        let split = splitter.feed(stream, |raw| {
            let message = Message::read(raw)?;
            let kind = message.kind;
            events.push(serde_json::json!({ kind: serde_json::from_slice::<Value>(message.payload).unwrap() }));
            Ok(())
        });
        assert_eq!(split, Ok(()));
        return events;
    }
    let lines = std::str::from_utf8(stream).unwrap().lines().filter_map(|line| line.strip_prefix("data:"));
    for data in lines.map(str::trim).filter(|data| *data != "[DONE]") {
        events.push(serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")));
    }
    events
}
