//! Spans for whoever collects them: one per call with one below it per attempt, as OTLP over HTTP in JSON, with the
//! attribute names of OpenTelemetry's conventions for generative AI (gen_ai.*, status: development) and our own
//! (freehold.*) for what those do not name.
//!
//! Spans are for looking, the ledger is for money: a collector that is slow or away costs spans, which are counted,
//! never records. Plain HTTP only: a collector stands beside the server; it is the one to speak TLS to the outside.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use domain::{AttemptEnd, CallEnd, CallId, Entry, Record, UnixMs};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::secrets::{short_hash, trace_of};

/// Facts that wait to become spans; what comes on top is dropped and counted by [`crate::ingest::Progress`].
pub const QUEUE_ENTRIES: usize = 8_192;
/// Spans sent at once.
const BATCH_SPANS: usize = 512;
/// Longest time a span waits for others, milliseconds.
const BATCH_WAIT_MS: u64 = 1_000;
/// Longest a collector may take, milliseconds.
const POST_MS: u64 = 10_000;
/// Calls whose end has not come yet; beyond, the oldest one's attempts go out alone.
const OPEN_CALLS: usize = 4_096;
/// Longest answer of a collector that is read.
const ANSWER_BYTES: usize = 64 << 10;
/// OTLP's numbers for a span's kind and status.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;

/// What came of the spans.
#[derive(Debug, Default)]
pub struct Exported {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Exported {
    /// Spans a collector took.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Spans no collector took.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The job that sends spans.
pub struct Exporter {
    endpoint: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    facts: mpsc::Receiver<Entry>,
    spans: Spans,
    exported: Arc<Exported>,
    failing: bool,
}

impl Exporter {
    /// A job for a collector such as `http://127.0.0.1:4318`, and where [`crate::Ingest`] puts what it took.
    pub fn new(endpoint: &str) -> Result<(Exporter, mpsc::Sender<Entry>), String> {
        let endpoint = traces_address(endpoint)?;
        let (tap, facts) = mpsc::channel(QUEUE_ENTRIES);
        let client = Client::builder(TokioExecutor::new()).build_http();
        let exporter =
            Exporter { endpoint, client, facts, spans: Spans::default(), exported: Arc::default(), failing: false };
        Ok((exporter, tap))
    }

    /// What came of the spans so far.
    pub fn exported(&self) -> Arc<Exported> {
        self.exported.clone()
    }

    /// Sends until `stop` says so, then what is left, once.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ready = Vec::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(BATCH_WAIT_MS));
        loop {
            tokio::select! {
                fact = self.facts.recv() => match fact {
                    Some(fact) => {
                        self.spans.add(fact, &mut ready);
                        if ready.len() < BATCH_SPANS {
                            continue;
                        }
                    }
                    None => {
                        self.spans.flush(&mut ready);
                        self.send(&mut ready).await;
                        return;
                    }
                },
                _ = ticks.tick() => {}
                () = stopped(&mut stop) => {
                    while let Ok(fact) = self.facts.try_recv() {
                        self.spans.add(fact, &mut ready);
                    }
                    self.spans.flush(&mut ready);
                    self.send(&mut ready).await;
                    return;
                }
            }
            self.send(&mut ready).await;
        }
    }

    async fn send(&mut self, ready: &mut Vec<Value>) {
        if ready.is_empty() {
            return;
        }
        let spans = std::mem::take(ready);
        let count = spans.len() as u64;
        let posted = tokio::time::timeout(Duration::from_millis(POST_MS), self.post(&envelope(spans))).await;
        match posted.unwrap_or_else(|_| Err(format!("no answer within {POST_MS} ms"))) {
            Ok(()) => {
                self.exported.sent.fetch_add(count, Ordering::Relaxed);
                if std::mem::take(&mut self.failing) {
                    tracing::info!(endpoint = %self.endpoint, "the collector takes spans again");
                }
            }
            Err(reason) => {
                self.exported.dropped.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(endpoint = %self.endpoint, reason, "the collector takes no spans; they are dropped and counted");
                }
            }
        }
    }

    async fn post(&self, body: &Value) -> Result<(), String> {
        let request = Request::post(self.endpoint.clone())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        // Read to its end, so that the connection can be used again.
        let _ = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }
}

/// Where spans go: the address as the standard's `OTEL_EXPORTER_OTLP_ENDPOINT` has it, with `/v1/traces` behind.
fn traces_address(endpoint: &str) -> Result<Uri, String> {
    let trimmed = endpoint.trim_end_matches('/');
    let full = if trimmed.ends_with("/v1/traces") { trimmed.to_owned() } else { format!("{trimmed}/v1/traces") };
    let uri: Uri = full.parse().map_err(|_| format!("`{endpoint}` is no address; write http://HOST:4318"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(_)) => Ok(uri),
        (Some("https"), _) => {
            Err("spans go over plain http only; run a collector beside Freehold and name its http address".to_owned())
        }
        _ => Err(format!("`{endpoint}` is no address; write http://HOST:4318")),
    }
}

/// Attempts that wait for the end of their call, which says what kind of operation they were.
#[derive(Default)]
struct Spans {
    open: HashMap<CallId, Vec<Record>>,
    order: VecDeque<CallId>,
}

impl Spans {
    fn add(&mut self, fact: Entry, ready: &mut Vec<Value>) {
        match fact {
            Entry::Intent(_) => {}
            Entry::Record(record) => {
                let call = record.intent.attempt.call;
                let waiting = self.open.entry(call).or_insert_with(|| {
                    self.order.push_back(call);
                    Vec::new()
                });
                waiting.push(*record);
                while self.open.len() > OPEN_CALLS {
                    self.close_oldest(ready);
                }
                // Calls that ended leave their place in the order behind; it is tidied when it has grown.
                if self.order.len() > 2 * OPEN_CALLS {
                    self.order.retain(|call| self.open.contains_key(call));
                }
            }
            Entry::Call(call) => {
                let operation = operation(&call.endpoint);
                for record in self.open.remove(&call.call).unwrap_or_default() {
                    ready.push(attempt_span(&record, operation));
                }
                ready.push(call_span(&call, operation));
            }
        }
    }

    fn flush(&mut self, ready: &mut Vec<Value>) {
        while !self.open.is_empty() {
            self.close_oldest(ready);
        }
    }

    fn close_oldest(&mut self, ready: &mut Vec<Value>) {
        let Some(call) = self.order.pop_front() else { return };
        for record in self.open.remove(&call).unwrap_or_default() {
            ready.push(attempt_span(&record, None));
        }
    }
}

/// The conventions' word for what an endpoint does.
fn operation(endpoint: &str) -> Option<&'static str> {
    if endpoint.ends_with("/embeddings") {
        Some("embeddings")
    } else if endpoint.ends_with("/chat/completions") || endpoint.ends_with("/messages") {
        Some("chat")
    } else {
        None
    }
}

fn envelope(spans: Vec<Value>) -> Value {
    let mut service = Attributes::default();
    service.text("service.name", "freehold");
    service.text("service.version", env!("CARGO_PKG_VERSION"));
    json!({ "resourceSpans": [{
        "resource": { "attributes": service.0 },
        "scopeSpans": [{ "scope": { "name": "freehold", "version": env!("CARGO_PKG_VERSION") }, "spans": spans }],
    }] })
}

fn call_span(call: &CallEnd, operation: Option<&str>) -> Value {
    let mut attributes = Attributes::default();
    attributes.maybe("gen_ai.operation.name", operation);
    attributes.text("gen_ai.request.model", &call.asked);
    attributes.maybe("gen_ai.response.model", call.model.as_ref());
    attributes.maybe("freehold.workflow", call.workflow.as_ref());
    attributes.maybe("freehold.lane", call.lane.as_ref());
    attributes.maybe("freehold.lane.class", call.class.as_ref());
    attributes.maybe("freehold.key", call.key.as_ref());
    attributes.text("freehold.call", &call.call);
    attributes.text("freehold.cost_usd", &call.cost);
    attributes.text("freehold.revision", &call.revision);
    attributes.number("freehold.attempts", u64::from(call.attempts));
    attributes.number("http.response.status_code", u64::from(call.status));
    if let Some(ms) = call.first_token_ms {
        attributes.number("freehold.first_token_ms", ms);
    }
    let failure = call.failure.as_ref();
    attributes.maybe("error.type", failure.map(|failure| &failure.code));
    let name = match operation {
        Some(operation) => format!("{operation} {}", call.asked),
        None => call.endpoint.clone(),
    };
    let error = failure.map(|failure| failure.code.clone());
    span(call.call, &call.call.to_string(), None, &name, SERVER, (call.at, call.ended_at), attributes, error)
}

fn attempt_span(record: &Record, operation: Option<&str>) -> Value {
    let intent = &record.intent;
    let mut attributes = Attributes::default();
    attributes.maybe("gen_ai.operation.name", operation);
    attributes.text("gen_ai.provider.name", &intent.provider);
    attributes.text("gen_ai.request.model", &record.upstream_model);
    attributes.number("gen_ai.usage.input_tokens", record.usage.input_tokens());
    attributes.number("gen_ai.usage.output_tokens", record.usage.output_tokens());
    attributes.maybe("gen_ai.response.id", record.provider_request_id.as_ref());
    attributes.maybe("freehold.workflow", intent.workflow.as_ref());
    attributes.maybe("freehold.lane", intent.lane.as_ref());
    attributes.text("freehold.model", &intent.model);
    attributes.text("freehold.cause", &intent.cause);
    attributes.text("freehold.attempt", &intent.attempt);
    attributes.text("freehold.cost_usd", &record.cost.booked());
    attributes.text("freehold.decision", &record.decision);
    attributes.maybe("freehold.region", record.region.as_ref());
    if let Some(status) = record.status {
        attributes.number("http.response.status_code", u64::from(status));
    }
    if let Some(ms) = record.first_token_ms {
        attributes.number("freehold.first_token_ms", ms);
    }
    // A provider's words may quote a prompt; only the class goes out.
    let error = match &record.end {
        AttemptEnd::Served { finish } => {
            if let Some(finish) = finish {
                attributes.list("gen_ai.response.finish_reasons", &[finish]);
            }
            None
        }
        AttemptEnd::Failed { class, .. } => Some(class.as_str()),
        AttemptEnd::Cancelled => Some("cancelled"),
        AttemptEnd::Indeterminate => Some("indeterminate"),
    };
    attributes.maybe("error.type", error);
    let name = format!("{} {}", operation.unwrap_or("attempt"), record.upstream_model);
    let (call, id) = (intent.attempt.call, intent.attempt.to_string());
    let times = (intent.at, record.ended_at);
    span(call, &id, Some(&call.to_string()), &name, CLIENT, times, attributes, error.map(str::to_owned))
}

#[expect(clippy::too_many_arguments, reason = "the fields of a span, each once")]
fn span(
    call: CallId,
    id: &str,
    parent: Option<&str>,
    name: &str,
    kind: u8,
    (start, end): (UnixMs, UnixMs),
    attributes: Attributes,
    error: Option<String>,
) -> Value {
    let nanoseconds = |at: UnixMs| (i128::from(at.0) * 1_000_000).to_string();
    let mut span = json!({
        "traceId": trace_of(call),
        "spanId": span_id(id),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(start),
        "endTimeUnixNano": nanoseconds(end),
        "attributes": attributes.0,
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = json!(span_id(parent));
    }
    if let Some(error) = error {
        span["status"] = json!({ "code": STATUS_ERROR, "message": error });
    }
    span
}

fn span_id(text: &str) -> String {
    format!("{:016x}", u64::from_be_bytes(short_hash(text)))
}

#[derive(Default)]
struct Attributes(Vec<Value>);

impl Attributes {
    fn text(&mut self, key: &str, value: &(impl ToString + ?Sized)) {
        self.0.push(json!({ "key": key, "value": { "stringValue": value.to_string() } }));
    }

    fn maybe(&mut self, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.text(key, &value);
        }
    }

    /// OTLP's JSON writes 64-bit integers as text.
    fn number(&mut self, key: &str, value: u64) {
        self.0.push(json!({ "key": key, "value": { "intValue": value.to_string() } }));
    }

    fn list(&mut self, key: &str, values: &[&String]) {
        let values: Vec<Value> = values.iter().map(|value| json!({ "stringValue": value })).collect();
        self.0.push(json!({ "key": key, "value": { "arrayValue": { "values": values } } }));
    }
}

/// Resolves when told to stop. The value is not kept: it would hold a lock across whatever comes next.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use domain::Blame;
    use testkit::facts::Sample;

    use super::*;

    #[test]
    fn a_call_is_the_parent_of_its_attempts_in_one_trace() {
        let sample = Sample { failed_by: Some(Blame::Provider), ..Sample::new(7, UnixMs(1_000)) };
        let (mut spans, mut ready) = (Spans::default(), Vec::new());
        for entry in sample.entries() {
            spans.add(entry, &mut ready);
        }
        let [attempt, call] = &ready[..] else { panic!("{ready:?}") };
        assert_eq!(attempt["traceId"], call["traceId"]);
        assert_eq!(call["traceId"].as_str().unwrap().len(), 32);
        assert_eq!(attempt["parentSpanId"], call["spanId"]);
        assert_eq!(call.get("parentSpanId"), None);
        assert_eq!(call["startTimeUnixNano"], "1000000000");
        assert_eq!(call["name"], "chat claims-triage");
        assert_eq!(attempt["status"]["message"], "upstream_overloaded");
        let has = |span: &Value, key: &str, value: Value| {
            span["attributes"].as_array().unwrap().iter().any(|found| found["key"] == key && found["value"] == value)
        };
        assert!(has(attempt, "gen_ai.usage.input_tokens", json!({ "intValue": "700" })));
        assert!(has(attempt, "gen_ai.operation.name", json!({ "stringValue": "chat" })));
        assert!(has(call, "freehold.cost_usd", json!({ "stringValue": "0.0021" })));
    }

    #[test]
    fn calls_that_never_end_take_bounded_memory() {
        let (mut spans, mut ready) = (Spans::default(), Vec::new());
        for number in 0..3 * OPEN_CALLS as u64 {
            let sample = Sample::new(number, UnixMs(number as i64));
            spans.add(Entry::Record(Box::new(sample.record())), &mut ready);
        }
        assert_eq!((spans.open.len(), ready.len()), (OPEN_CALLS, 2 * OPEN_CALLS));
        assert!(spans.order.len() <= 2 * OPEN_CALLS);
    }

    #[test]
    fn addresses_are_completed_and_https_is_refused_with_what_to_do() {
        let address = |text: &str| traces_address(text).map(|uri| uri.to_string());
        assert_eq!(address("http://127.0.0.1:4318"), Ok("http://127.0.0.1:4318/v1/traces".into()));
        assert_eq!(address("http://c:4318/otlp/v1/traces"), Ok("http://c:4318/otlp/v1/traces".into()));
        assert!(address("https://c:4318").unwrap_err().contains("collector"));
        assert!(address("c:4318").is_err());
    }
}
