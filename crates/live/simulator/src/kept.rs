//! What a provider keeps: stored responses, files and batches, as OpenAI's and Anthropic's API references have them. A background
//! response and a batch are under way when they are first asked about, and done the second time.

use std::collections::BTreeMap;

use http::request::Parts;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock::now;
use crate::faults::{self, Refusal};
use crate::form;
use crate::frames::Frames;
use crate::provider::{Operation, Plan, Running};
use crate::scenario::Dialect;

/// What one provider keeps. Whoever has its key sees all of it.
#[derive(Default)]
pub struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    made: u64,
    answers: BTreeMap<String, Answer>,
    files: BTreeMap<String, File>,
    batches: BTreeMap<String, Batch>,
}

struct Answer {
    /// As it is when it is done.
    done: Value,
    input: Value,
    background: bool,
    cancelled: bool,
    asked: u32,
}

struct File {
    told: Value,
    content: Vec<u8>,
}

struct Batch {
    told: Value,
    results: Vec<u8>,
    asked: u32,
}

/// What is asked about something that is kept.
pub struct About<'a> {
    dialect: Dialect,
    /// The path's segments behind the version.
    path: Vec<&'a str>,
}

/// Whether a request is about something that is kept.
pub fn about<'a>(method: &Method, route: &'a str, headers: &HeaderMap) -> Option<About<'a>> {
    let path: Vec<&str> = route.strip_prefix("/v1/")?.split('/').collect();
    let anthropic = headers.contains_key("anthropic-version");
    let dialect = match &path[..] {
        // Of a conversation, not of an answer.
        ["responses", "compact" | "input_tokens"] => return None,
        ["responses", _, ..] => Dialect::OpenAiResponses,
        ["files", ..] if anthropic => Dialect::Anthropic,
        ["messages", "batches", ..] => Dialect::Anthropic,
        ["files", ..] | ["batches", ..] => Dialect::OpenAiChat,
        ["containers", ..] if *method == Method::GET => Dialect::OpenAiChat,
        _ => return None,
    };
    Some(About { dialect, path })
}

impl Kept {
    /// Keeps a response that was planned, unless it was asked not to; what is said of one that is made in the background.
    pub fn answer(&self, asked: &Value, plan: &mut Plan) {
        let text = String::from_utf8_lossy(&plan.frames.bytes).into_owned();
        let done: Option<Value> = match plan.stream {
            false => serde_json::from_str(&text).ok(),
            true => events(&text).last().map(|event| event["response"].clone()),
        };
        let Some(mut done) = done.filter(|done| plan.status == 200 && done["id"].is_string()) else { return };
        let background = asked["background"] == true;
        let id = done["id"].as_str().unwrap_or_default().to_owned();
        if background {
            done["background"] = json!(true);
        }
        if !plan.stream {
            let told = if background { pending(&done, "queued") } else { done.clone() };
            plan.frames = Frames::whole(told.to_string().into_bytes());
            plan.length = plan.frames.bytes.len();
            if background {
                plan.usage = None;
            }
        }
        if asked["store"] != false {
            let input = asked["input"].clone();
            let waits = background && !plan.stream;
            self.0.lock().answers.insert(id, Answer { done, input, background: waits, cancelled: false, asked: 0 });
        }
    }

    /// Whether the response that a request goes on from is here.
    pub fn knows(&self, asked: &Value) -> bool {
        let previous = asked["previous_response_id"].as_str();
        previous.is_none_or(|previous| self.0.lock().answers.contains_key(previous))
    }

    /// What a request about something that is kept gets.
    pub fn respond(&self, about: &About<'_>, running: &Running, head: &Parts, body: &[u8]) -> Plan {
        if !running.admits(&head.headers) {
            let refusal =
                faults::refusal(about.dialect, crate::scenario::Kind::Unauthorized, "").expect("401 is a refusal");
            return refused(about.dialect, &refusal);
        }
        let query = head.uri.query().unwrap_or_default();
        let told = match &about.path[..] {
            ["responses", id, rest @ ..] => self.response(&head.method, id, rest, query),
            ["files", rest @ ..] => self.file(about.dialect, head, rest, query, body),
            ["batches", rest @ ..] | ["messages", "batches", rest @ ..] => {
                self.batch(about.dialect, running, head, rest, query, body)
            }
            ["containers", ..] => Some(whole("application/json", json!({"object": "list", "data": []}).to_string())),
            _ => None,
        };
        told.unwrap_or_else(|| {
            let path = format!("/v1/{}", about.path.join("/"));
            refused(about.dialect, &Refusal::no_route(about.dialect, head.method.as_str(), &path))
        })
    }

    fn response(&self, method: &Method, id: &str, rest: &[&str], query: &str) -> Option<Plan> {
        let mut state = self.0.lock();
        let answer = state.answers.get_mut(id)?;
        let told = match (method, rest) {
            (&Method::GET, []) if query.split('&').any(|pair| pair == "stream=true") => {
                let after = query.split('&').find_map(|pair| pair.strip_prefix("starting_after=")?.parse::<u64>().ok());
                return Some(whole("text/event-stream; charset=utf-8", replayed(&answer.done, after)));
            }
            (&Method::GET, []) => {
                answer.asked += 1;
                match (answer.cancelled, answer.background && answer.asked < 2) {
                    (true, _) => pending(&answer.done, "cancelled"),
                    (false, true) => pending(&answer.done, "in_progress"),
                    (false, false) => answer.done.clone(),
                }
            }
            (&Method::DELETE, []) => {
                state.answers.remove(id);
                json!({"id": id, "object": "response", "deleted": true})
            }
            (&Method::POST, ["cancel"]) => {
                answer.cancelled = true;
                pending(&answer.done, "cancelled")
            }
            (&Method::GET, ["input_items"]) => {
                let items = match &answer.input {
                    Value::String(text) => {
                        let content = json!([{"type": "input_text", "text": text}]);
                        vec![
                            json!({"id": "msg_in", "type": "message", "role": "user", "status": "completed", "content": content}),
                        ]
                    }
                    items => items.as_array().cloned().unwrap_or_default(),
                };
                list(&items, false)
            }
            _ => return None,
        };
        Some(whole("application/json", told.to_string()))
    }

    fn file(&self, dialect: Dialect, head: &Parts, rest: &[&str], query: &str, body: &[u8]) -> Option<Plan> {
        let anthropic = dialect == Dialect::Anthropic;
        let mut state = self.0.lock();
        let told = match (&head.method, rest) {
            (&Method::POST, []) => {
                let content_type = head.headers.get("content-type")?.to_str().ok()?;
                let fields = form::read(form::boundary(content_type)?, body).ok()?;
                let content = form::file(&fields["file"])?;
                let id = state.id(if anthropic { "file_" } else { "file-" });
                let (name, size) = (&fields["file"]["filename"], content.len());
                let told = match anthropic {
                    true => {
                        json!({"id": id, "type": "file", "filename": name, "mime_type": "text/plain", "size_bytes": size,
                        "created_at": "2026-11-30T00:00:00Z", "downloadable": true})
                    }
                    false => json!({"id": id, "object": "file", "bytes": size, "created_at": now().0 / 1000,
                        "filename": name, "purpose": fields["purpose"], "status": "processed"}),
                };
                state.files.insert(id, File { told: told.clone(), content });
                told
            }
            (&Method::GET, []) => paged(state.files.iter().map(|(id, file)| (id, &file.told)), query, anthropic),
            (&Method::GET, [id]) => state.files.get(*id)?.told.clone(),
            (&Method::GET, [id, "content"]) => {
                let file = state.files.get(*id)?;
                return Some(whole("application/octet-stream", file.content.clone()));
            }
            (&Method::DELETE, [id]) => {
                state.files.remove(*id)?;
                match anthropic {
                    true => json!({"id": id, "type": "file_deleted"}),
                    false => json!({"id": id, "object": "file", "deleted": true}),
                }
            }
            _ => return None,
        };
        Some(whole("application/json", told.to_string()))
    }

    fn batch(
        &self,
        dialect: Dialect,
        running: &Running,
        head: &Parts,
        rest: &[&str],
        query: &str,
        body: &[u8],
    ) -> Option<Plan> {
        let mut state = self.0.lock();
        let told = match (&head.method, rest) {
            (&Method::POST, []) => {
                let asked: Value = serde_json::from_slice(body).ok()?;
                state.begin(dialect, running, &head.headers, &asked)?
            }
            (&Method::GET, []) => paged(state.batches.iter().map(|(id, batch)| (id, &batch.told)), query, false),
            (&Method::GET, [id]) => {
                state.advance(dialect, id)?;
                state.batches.get(*id)?.told.clone()
            }
            (&Method::POST, [id, "cancel"]) => {
                let batch = state.batches.get_mut(*id)?;
                match dialect {
                    Dialect::Anthropic => batch.told["processing_status"] = json!("canceling"),
                    _ => batch.told["status"] = json!("cancelled"),
                }
                batch.told.clone()
            }
            (&Method::DELETE, [id]) => {
                state.batches.remove(*id)?;
                json!({"id": id, "type": "message_batch_deleted"})
            }
            (&Method::GET, [id, "results"]) => {
                return Some(whole("application/x-jsonl", state.batches.get(*id)?.results.clone()));
            }
            _ => return None,
        };
        Some(whole("application/json", told.to_string()))
    }
}

impl State {
    fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:024x}", self.made)
    }

    /// Takes a batch down, and works it out at once; it is told to be done later.
    fn begin(&mut self, dialect: Dialect, running: &Running, headers: &HeaderMap, asked: &Value) -> Option<Value> {
        let mut results = Vec::new();
        let mut answer = |custom: &Value, dialect: Dialect, operation: Operation, body: &Value| {
            let plan = running.answer(dialect, operation, headers, Ok(body));
            let said: Value = serde_json::from_slice(&plan.frames.bytes).unwrap_or_default();
            let line = match (dialect, plan.status) {
                (Dialect::Anthropic, 200) => {
                    json!({"custom_id": custom, "result": {"type": "succeeded", "message": said}})
                }
                (Dialect::Anthropic, _) => json!({"custom_id": custom, "result": {"type": "errored", "error": said}}),
                (_, status) => {
                    let response = json!({"status_code": status, "request_id": "r", "body": said});
                    json!({"id": "batch_req_1", "custom_id": custom, "response": response, "error": null})
                }
            };
            results.extend_from_slice(line.to_string().as_bytes());
            results.push(b'\n');
        };
        if dialect == Dialect::Anthropic {
            let requests = asked["requests"].as_array()?.clone();
            for request in &requests {
                answer(&request["custom_id"], dialect, Operation::Chat, &request["params"]);
            }
            let id = self.id("msgbatch_");
            let counts =
                json!({"processing": requests.len(), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0});
            let told = json!({
                "id": id, "type": "message_batch", "processing_status": "in_progress", "request_counts": counts,
                "created_at": "2026-11-30T00:00:00Z", "expires_at": "2026-12-01T00:00:00Z", "ended_at": null,
                "archived_at": null, "cancel_initiated_at": null, "results_url": null
            });
            self.batches.insert(id, Batch { told: told.clone(), results, asked: 0 });
            return Some(told);
        }
        let file = self.files.get(asked["input_file_id"].as_str()?)?;
        for line in file.content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).ok()?;
            let (dialect, operation) = match line["url"].as_str()? {
                "/v1/responses" => (Dialect::OpenAiResponses, Operation::Chat),
                "/v1/embeddings" => (Dialect::OpenAiChat, Operation::Embeddings),
                _ => (Dialect::OpenAiChat, Operation::Chat),
            };
            answer(&line["custom_id"], dialect, operation, &line["body"]);
        }
        let id = self.id("batch_");
        let told = json!({
            "id": id, "object": "batch", "endpoint": asked["endpoint"], "errors": null,
            "input_file_id": asked["input_file_id"], "completion_window": asked["completion_window"],
            "status": "validating", "output_file_id": null, "error_file_id": null, "created_at": now().0 / 1000,
            "metadata": asked["metadata"], "request_counts": {"total": 0, "completed": 0, "failed": 0}
        });
        self.batches.insert(id, Batch { told: told.clone(), results, asked: 0 });
        Some(told)
    }

    /// A batch is under way when it is first asked about, and done the second time.
    fn advance(&mut self, dialect: Dialect, id: &str) -> Option<()> {
        let batch = self.batches.get_mut(id)?;
        batch.asked += 1;
        let (done, results) = (batch.asked >= 2, batch.results.clone());
        match dialect {
            Dialect::Anthropic if done => {
                batch.told["processing_status"] = json!("ended");
                batch.told["ended_at"] = json!("2026-11-30T01:00:00Z");
                batch.told["results_url"] =
                    json!(format!("https://api.anthropic.com/v1/messages/batches/{id}/results"));
            }
            Dialect::Anthropic => {}
            _ if batch.told["status"] == "cancelled" || batch.told["status"] == "completed" => {}
            _ if done => {
                batch.told["status"] = json!("completed");
                let told = json!({"object": "file", "bytes": results.len(), "created_at": now().0 / 1000,
                    "filename": "output.jsonl", "purpose": "batch_output", "status": "processed"});
                let file = self.id("file-");
                let mut told = told;
                told["id"] = json!(file);
                self.files.insert(file.clone(), File { told, content: results });
                self.batches.get_mut(id)?.told["output_file_id"] = json!(file);
            }
            _ => batch.told["status"] = json!("in_progress"),
        }
        Some(())
    }
}

/// An answer that is not done.
fn pending(done: &Value, status: &str) -> Value {
    let mut told = done.clone();
    told["status"] = json!(status);
    told["output"] = json!([]);
    told["usage"] = Value::Null;
    told
}

/// The data of a stream's events.
fn events(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

/// A stored response as events, those after `after` only.
fn replayed(done: &Value, after: Option<u64>) -> String {
    let begun = json!({"type": "response.created", "sequence_number": 0, "response": pending(done, "in_progress")});
    let ended = json!({"type": "response.completed", "sequence_number": 1, "response": done});
    let events = [begun, ended].into_iter().enumerate();
    let wanted = events.filter(|(number, _)| after.is_none_or(|after| *number as u64 > after));
    wanted
        .map(|(_, event)| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
        .collect()
}

fn list(items: &[Value], more: bool) -> Value {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    json!({"object": "list", "data": items, "first_id": id(items.first()), "last_id": id(items.last()), "has_more": more})
}

/// A page of a list, newest first; by tokens, as Anthropic's files are, or by ids.
fn paged<'a>(all: impl DoubleEndedIterator<Item = (&'a String, &'a Value)>, query: &str, by_token: bool) -> Value {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let limit = value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
    let after = match by_token {
        true => value("page").and_then(|token| token.strip_prefix("page_")),
        false => value("after").or(value("after_id")),
    };
    let is_wanted = |id: &String| after.is_none_or(|after| id.as_str() < after);
    let mut rest: Vec<Value> = all.rev().filter(|(id, _)| is_wanted(id)).map(|(_, told)| told.clone()).collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    if !by_token {
        return list(&rest, more);
    }
    let last = rest.last().and_then(|last| last["id"].as_str()).filter(|_| more);
    json!({"data": rest, "next_page": last.map(|last| format!("page_{last}"))})
}

fn whole(content_type: &str, body: impl Into<Vec<u8>>) -> Plan {
    let mut headers = HeaderMap::new();
    faults::put(&mut headers, "content-type", content_type);
    Plan::plain(200, headers, body.into())
}

fn refused(dialect: Dialect, refusal: &Refusal) -> Plan {
    let mut headers = HeaderMap::new();
    faults::put(&mut headers, "content-type", "application/json");
    Plan::plain(refusal.status, headers, refusal.body(dialect, "req_kept"))
}
