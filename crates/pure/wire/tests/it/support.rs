//! Reads fixtures and relays streams, for every test of this folder.

use std::path::{Path, PathBuf};

use domain::Fault;
use wire::{Dialect, Framing, Operation, Quirks, ReplyPlan, Seen, StreamRelay};

/// The fixtures of this crate.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The files under `folder` whose name ends in `ending`, in order: path and bytes.
#[allow(clippy::disallowed_methods, reason = "a test reads its fixtures")]
pub fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![fixtures().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push((path.to_string_lossy().into_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no *{ending} under {folder}");
    found
}

/// The dialect of a fixture, by the folder or file it lies in.
pub fn dialect_of(path: &str) -> Dialect {
    let path = path.rsplit("fixtures/").next().unwrap_or(path);
    match () {
        () if path.contains("responses") => Dialect::OpenAiResponses,
        () if path.contains("anthropic") => Dialect::Anthropic,
        () if path.contains("google") || path.contains("gemini") => Dialect::Gemini,
        () if path.contains("boto3") || path.contains("bedrock") => Dialect::BedrockConverse,
        () if path.contains("cohere") => Dialect::Cohere,
        () => Dialect::OpenAiChat,
    }
}

/// A plan for one dialect on both sides, asking for `up-model` so that nothing has to change.
pub fn plan(dialect: Dialect) -> ReplyPlan {
    ReplyPlan {
        client: dialect,
        upstream: dialect,
        operation: Operation::Chat,
        asked_model: "up-model".into(),
        include_usage: true,
        continuous_usage: true,
        quirks: &Quirks::GENERIC,
        answer_id: "msg_ours".into(),
        created_unix_s: 1,
        keep_bytes: 32 << 10,
        framing: Framing::ServerSentEvents,
        raw: false,
        request: bytes::Bytes::new(),
        ids: wire::Ids::default(),
    }
}

/// A relayed stream.
#[derive(Debug, PartialEq)]
pub struct Relayed {
    /// What the client got.
    pub out: String,
    /// What was seen.
    pub seen: Seen,
    /// How it ended.
    pub end: Result<(), Fault>,
}

/// Relays `chunks`. After a fault nothing more is fed, as the gateway does.
pub fn relay<'a>(plan: &ReplyPlan, chunks: impl IntoIterator<Item = &'a [u8]>) -> Relayed {
    let (mut relay, mut out) = (StreamRelay::new(plan.clone()), Vec::new());
    let mut fed = Ok(());
    for chunk in chunks {
        fed = relay.feed(chunk, &mut out);
        if fed.is_err() {
            break;
        }
    }
    let end = fed.and_then(|()| relay.end(&mut out));
    Relayed { out: String::from_utf8(out).unwrap(), seen: relay.seen().clone(), end }
}
