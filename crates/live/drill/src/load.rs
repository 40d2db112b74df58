//! Who asks: calls at random moments, over connections as any client has them, and what each of them heard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use parking_lot::Mutex;
use simulator::chance::{Chance, fingerprint};
use simulator::scenario::{Length, Spread};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::plan::Asking;

/// A caller without a deadline of its own would wait for ever; this one waits as long as the official SDKs do by themselves, a little
/// more than a call may take here.
const PATIENCE: Duration = Duration::from_secs(660);
/// How an OpenAI stream ends that came to its end.
const LAST_EVENT: &[u8] = b"data: [DONE]\n\n";

/// What one call heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// For which workflow, by its place in the plan.
    pub workflow: usize,
    /// When it was asked, milliseconds from the beginning.
    pub at_ms: u64,
    /// Until the first bytes of a streamed answer, milliseconds; absent where none came. A whole answer has no first token to wait
    /// for, here as in the gateway's own measurements.
    pub first_ms: Option<u64>,
    /// Until the end, milliseconds.
    pub total_ms: u64,
    /// How it ended.
    pub end: End,
}

/// How a call ended for whoever asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// All of it came.
    Answered,
    /// An error came instead, with this code.
    Refused(String),
    /// An answer began and did not come to its end.
    BrokenOff,
    /// Nothing came that could be understood.
    Lost(String),
}

/// How calls reach the gateway.
pub type Way<C> = Client<C, Full<Bytes>>;

/// Where calls go: a way there, and the address and key to write on them.
pub struct Caller<C> {
    /// The way.
    pub way: Way<C>,
    /// Such as `http://gateway/v1/chat/completions`.
    pub address: String,
    /// The value of `authorization`.
    pub authorization: String,
}

impl<C> Caller<C>
where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    /// Asks one call and hears it out.
    async fn ask(&self, body: String) -> (Option<u64>, u64, End) {
        let began = Instant::now();
        let since = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let request = Request::post(&self.address)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("the address and the key are ours and valid");
        let mut first_ms = None;
        let heard = async {
            let response = match self.way.request(request).await {
                Ok(response) => response,
                Err(error) => return End::Lost(error.to_string()),
            };
            let (head, body) = response.into_parts();
            if head.status != StatusCode::OK {
                let code =
                    head.headers.get("freehold-error").and_then(|code| code.to_str().ok()).unwrap_or("?").to_owned();
                let _ = body.collect().await;
                return End::Refused(code);
            }
            let streamed =
                head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
            hear(body, streamed, || first_ms = first_ms.or(Some(since()))).await
        };
        let end = tokio::time::timeout(PATIENCE, heard).await.unwrap_or_else(|_| End::Lost("no end".into()));
        (first_ms, since(), end)
    }
}

/// Reads a body to its end.
async fn hear(mut body: Incoming, streamed: bool, mut first: impl FnMut()) -> End {
    let mut tail: Vec<u8> = Vec::with_capacity(2 * LAST_EVENT.len());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return End::BrokenOff };
        let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) else { continue };
        if streamed {
            first();
        }
        let from = data.len().saturating_sub(LAST_EVENT.len());
        tail.extend_from_slice(&data[from..]);
        let surplus = tail.len().saturating_sub(LAST_EVENT.len());
        tail.drain(..surplus);
    }
    match streamed && tail != LAST_EVENT {
        true => End::BrokenOff,
        false => End::Answered,
    }
}

/// Asks for one workflow until the time is over, and hears everything out. At most `most` calls, where that is given.
pub async fn ask_all<C>(
    caller: Arc<Caller<C>>,
    (place, asking): (usize, Asking),
    (seed, lasts_ms, most): (u64, u64, Option<u64>),
    told: Arc<Mutex<dyn FnMut(Heard) + Send>>,
) where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let began = Instant::now();
    let mut chance = Chance::new(&[seed, fingerprint(asking.workflow.as_str().as_bytes())]);
    let mut at_ms = 0.0;
    let mut number = 0;
    let mut calls = JoinSet::new();
    loop {
        // Arrivals that know nothing of each other: exponential distances.
        at_ms += -(1.0 - chance.unit()).ln() * 60_000.0 / asking.load.per_minute;
        let due_ms = at_ms as u64;
        if due_ms >= lasts_ms || most.is_some_and(|most| number >= most) {
            break;
        }
        number += 1;
        let body = body(&asking, number, &mut chance);
        tokio::time::sleep_until(began + Duration::from_millis(due_ms)).await;
        while calls.try_join_next().is_some() {}
        let (caller, told) = (caller.clone(), told.clone());
        calls.spawn(async move {
            let (first_ms, total_ms, end) = caller.ask(body).await;
            (told.lock())(Heard { workflow: place, at_ms: due_ms, first_ms, total_ms, end });
        });
    }
    while calls.join_next().await.is_some() {}
}

/// A request in OpenAI's dialect, of the length that is drawn for it.
fn body(asking: &Asking, number: u64, chance: &mut Chance) -> String {
    let prompt_tokens = drawn(asking.load.prompt_tokens, chance);
    let output_tokens = drawn(asking.load.output_tokens, chance);
    let stream = chance.unit() * 100.0 < asking.load.streamed_percent;
    let mut prompt = format!("Call {number}. ");
    let bytes = usize::try_from(prompt_tokens * 4).unwrap_or(usize::MAX);
    while prompt.len() < bytes {
        prompt.push_str("say more of it, ");
    }
    let workflow = asking.workflow.as_str();
    format!(
        "{{\"model\":\"{workflow}\",\"max_tokens\":{output_tokens},\"stream\":{stream},\
         \"messages\":[{{\"role\":\"user\",\"content\":\"{prompt}\"}}]}}"
    )
}

fn drawn(length: Length, chance: &mut Chance) -> u64 {
    match length {
        Length::Fixed(tokens) => tokens,
        Length::Range(range) => chance.spread(Spread::Range(range)) as u64,
        Length::Word(_) => 1,
    }
}
