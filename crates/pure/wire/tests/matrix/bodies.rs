//! The bodies of fixtures/matrix: what clients of a dialect say, what its providers answer, and where both are looked for.

use std::path::Path;

use serde_json::Value;
use toml::Table;
use wire::eventstream::Message;
use wire::{Ask, Dialect, Maker, Operation, Quirks, ReplyPlan};

/// The fixtures of one dialect.
pub struct Bodies {
    pub dialect: Dialect,
    requests: Table,
    answers: Table,
}

impl Bodies {
    /// Those of every dialect, in the order of the page.
    pub fn all() -> Vec<Bodies> {
        Dialect::ALL
            .iter()
            .map(|dialect| Bodies {
                dialect: *dialect,
                requests: read(&format!("{dialect}.toml")),
                answers: read(&format!("{dialect}.answers.toml")),
            })
            .collect()
    }

    /// The model a provider of this dialect is asked for.
    pub fn model(&self) -> &str {
        self.requests["model"].as_str().unwrap()
    }

    pub fn quirks(&self) -> &'static Quirks {
        Quirks::named(self.requests["quirks"].as_str().unwrap()).unwrap()
    }

    /// What is asked of a provider of this dialect.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            upstream_model: self.model(),
            quirks: self.quirks(),
            insert_max_output: None,
            default_max_output: 4096,
            maker: Maker::of("provider"),
            foreign: false,
        }
    }

    /// What a client says, if it can; and whether the address asks for a stream.
    pub fn request(&self, feature: &str) -> Option<(Value, bool)> {
        let section = section(&self.requests, feature, self.dialect);
        let said = json(section.get("request")?);
        let mut body = json(&self.requests["base"]);
        merge(&mut body, said);
        Some((body, section.get("streams").is_some()))
    }

    /// Where a provider is told it. `None`: the dialect has no place for it.
    pub fn told(&self, feature: &str) -> Option<Vec<&str>> {
        patterns(section(&self.requests, feature, self.dialect), "told")
    }

    /// What a provider answers, if it can.
    pub fn answer(&self, feature: &str) -> Option<&str> {
        section(&self.answers, feature, self.dialect).get("answer").map(|answer| answer.as_str().unwrap())
    }

    /// The events of a provider's stream, if there is one.
    pub fn stream(&self, feature: &str) -> Option<Vec<&str>> {
        let stream = section(&self.answers, feature, self.dialect).get("stream")?.as_str().unwrap();
        let begin = self.answers["begin"].as_str().unwrap();
        Some(begin.lines().chain(stream.lines()).filter(|line| !line.is_empty()).collect())
    }

    /// Where a client finds it in a whole answer (`shown`) or a stream (`streamed`).
    pub fn found(&self, feature: &str, place: &str) -> Option<Vec<&str>> {
        patterns(section(&self.answers, feature, self.dialect), place)
    }
}

/// What a client's answer from a provider is to look like.
pub fn plan(client: &Bodies, provider: &Bodies) -> ReplyPlan {
    ReplyPlan {
        client: client.dialect,
        upstream: provider.dialect,
        operation: Operation::Chat,
        asked_model: "north".into(),
        include_usage: true,
        continuous_usage: false,
        quirks: provider.quirks(),
        maker: Maker::of("provider"),
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

fn read(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/matrix").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn section<'t>(table: &'t Table, feature: &str, dialect: Dialect) -> &'t Table {
    let section = table.get(feature).and_then(|section| section.as_table());
    section.unwrap_or_else(|| {
        panic!("the fixtures of {dialect} have no section [{feature}]; an empty one says it cannot be said")
    })
}

fn patterns<'t>(section: &'t Table, name: &str) -> Option<Vec<&'t str>> {
    Some(section.get(name)?.as_array().unwrap().iter().map(|pattern| pattern.as_str().unwrap()).collect())
}

fn json(text: &toml::Value) -> Value {
    let text = text.as_str().unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Puts the members of one object over those of another, objects within too.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
