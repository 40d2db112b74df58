//! Reads the requests of a batch of our own: what each is called, what it asks for, and by which name.

use bytes::Bytes;
use http::Method;
use rustc_hash::{FxHashMap, FxHashSet};
use wire::kept::{Asked, batch_line, strings};
use wire::{Dialect, Operation};

use crate::endpoints::{self, Endpoint};
use crate::refusal::Refusal;
use crate::target::short;

/// Most requests of a batch, as OpenAI has it.
const MOST_LINES: usize = 50_000;
/// Longest name of a request, bytes.
const LONGEST_NAME: usize = 512;

/// One request.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its place, counted from 0.
    pub number: u64,
    /// What its client calls it.
    pub custom_id: String,
    /// The route it is for.
    pub endpoint: &'static Endpoint,
    /// How it is spoken.
    pub dialect: Dialect,
    /// What it asks for.
    pub operation: Operation,
    /// What it names: a workflow, an alias, `lane:NAME` or `model:NAME`.
    pub asked: String,
    /// Its body.
    pub body: Bytes,
}

/// Where a request stands in a file, before it is known whether Freehold runs it.
pub struct Found {
    /// Its place among the lines of the file, counted from 1.
    place: usize,
    asked: Asked,
    line: Bytes,
    /// What it names.
    pub name: Option<String>,
    streams: bool,
    /// Whether it goes on from another answer, or is to be answered in the background.
    goes_on: bool,
}

/// The requests of a file.
pub fn found(text: &Bytes) -> Result<Vec<Found>, Refusal> {
    let mut found = Vec::new();
    let mut from = 0;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = text.slice(from..from + line.len());
        from += line.len() + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = index + 1;
        let asked = batch_line(&line).map_err(|bad| wrong(place, &bad.message, bad.param))?;
        let head = wire::scan(asked.dialect, asked.operation, None, &line.slice(asked.body.clone()))
            .map_err(|bad| wrong(place, &bad.message, bad.param))?;
        let streams = head.stream;
        let goes_on = head.bound.previous.is_some() || head.bound.background;
        found.push(Found { place, asked, line, name: head.model, streams, goes_on });
    }
    match found.is_empty() {
        true => {
            let message = "the file of a batch has no line; write one request a line".to_owned();
            Err(Refusal::Body { message, param: Some("file".into()) })
        }
        false => Ok(found),
    }
}

/// The requests of a batch that Freehold runs, where every one is sound, has a name of its own and is for something that `may_ask`.
pub fn read(found: Vec<Found>, may_ask: impl Fn(&str) -> Result<(), Refusal>) -> Result<Vec<Line>, Refusal> {
    let mut places: FxHashMap<String, usize> = FxHashMap::default();
    let mut known: FxHashSet<String> = FxHashSet::default();
    let mut lines = Vec::with_capacity(found.len());
    for (number, Found { place, asked, line, name, streams, goes_on }) in found.into_iter().enumerate() {
        if number == MOST_LINES {
            return Err(wrong(place, &format!("a batch has at most {MOST_LINES} requests; send several"), None));
        }
        if streams {
            return Err(wrong(place, "`stream` is not taken in batches: the answer stands in a file", Some("stream")));
        }
        if goes_on {
            let what = "what goes on from another answer, or is made in the background, is not taken in batches";
            return Err(wrong(place, what, None));
        }
        let told = strings(&line, ["custom_id", "method"]).map_err(|fault| wrong(place, &fault.message, None))?;
        let [custom_id, method] = told;
        let custom_id = custom_id.filter(|id| (1..=LONGEST_NAME).contains(&id.len()));
        let Some(custom_id) = custom_id else {
            let what =
                format!("`custom_id` is missing, empty or longer than {LONGEST_NAME} bytes; its answer is found by it");
            return Err(wrong(place, &what, Some("custom_id")));
        };
        if method.is_some_and(|method| method != "POST") {
            return Err(wrong(place, "`method` must be POST", Some("method")));
        }
        if let Some(other) = places.insert(custom_id.clone(), place) {
            let what = format!("`custom_id` `{}` stands in line {other} too; give each its own", short(&custom_id));
            return Err(wrong(place, &what, Some("custom_id")));
        }
        let Some(name) = name else {
            return Err(wrong(place, "`model` is missing; name the workflow it is for", Some("model")));
        };
        if !known.contains(&name) {
            may_ask(&name).map_err(|refusal| wrong(place, &refusal.to_string(), Some("model")))?;
            known.insert(name.clone());
        }
        let body = line.slice(asked.body);
        let (dialect, operation) = (asked.dialect, asked.operation);
        let endpoint = route(dialect, operation);
        lines.push(Line { number: number as u64, custom_id, endpoint, dialect, operation, asked: name, body });
    }
    Ok(lines)
}

/// The route that a request of a batch is for.
fn route(dialect: Dialect, operation: Operation) -> &'static Endpoint {
    let path = match (dialect, operation) {
        (Dialect::OpenAiResponses, _) => "/v1/responses",
        (_, Operation::Embeddings) => "/v1/embeddings",
        (_, Operation::Completions) => "/v1/completions",
        _ => "/v1/chat/completions",
    };
    endpoints::find(&Method::POST, path).expect("each of them is a row of the table").endpoint
}

/// What is wrong with a line of a file.
fn wrong(place: usize, what: &str, param: Option<&str>) -> Refusal {
    Refusal::Body { message: format!("line {place}: {what}"), param: param.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Vec<(String, String, &'static str)>, String> {
        let may_ask = |name: &str| match name {
            "w" | "v" => Ok(()),
            other => Err(Refusal::NotAllowed { key: "k".into(), asked: other.into() }),
        };
        let lines = found(&Bytes::copy_from_slice(text.as_bytes())).and_then(|found| read(found, may_ask));
        let lines = lines.map_err(|refusal| refusal.to_string())?;
        Ok(lines.into_iter().map(|line| (line.custom_id, line.asked, line.endpoint.path)).collect())
    }

    fn line(id: &str, url: &str, body: &str) -> String {
        format!("{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"{url}\",\"body\":{body}}}\n")
    }

    const CHAT: &str = "/v1/chat/completions";

    #[test]
    fn each_request_names_its_own_workflow() {
        let say = |name| format!("{{\"model\":\"{name}\",\"messages\":[]}}");
        let text = line("a", CHAT, &say("w")) + "\n" + &line("b", CHAT, &say("v"));
        let of = |id: &str, name: &str| (id.to_owned(), name.to_owned(), CHAT);
        assert_eq!(told(&text), Ok(vec![of("a", "w"), of("b", "v")]));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        let body = "{\"model\":\"w\",\"messages\":[]}";
        let good = line("a", CHAT, body);
        for (text, expected) in [
            (good.clone() + "{oops", "line 2: "),
            (good.clone() + &good, "line 2: `custom_id` `a` stands in line 1 too"),
            (line("", CHAT, body), "line 1: `custom_id` is missing"),
            (line("a", "/v1/images/generations", body), "line 1: `url` must be"),
            (line("a", CHAT, "{\"model\":\"x\",\"messages\":[]}"), "may not use `x`"),
            (line("a", CHAT, "{\"messages\":[]}"), "line 1: `model` is missing"),
            (line("a", CHAT, "{\"model\":\"w\",\"messages\":[],\"stream\":true}"), "line 1: `stream`"),
            (line("a", "/v1/responses", "{\"model\":\"w\",\"input\":\"x\",\"background\":true}"), "in the background"),
            (good.replace("POST", "GET"), "line 1: `method` must be POST"),
            (String::new(), "has no line"),
        ] {
            let error = told(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
