//! One request of a batch: a call as any other, whose answer is kept before its end is written down.

use std::sync::Arc;

use bytes::Bytes;
use domain::{SessionId, UnixMs};
use http::{HeaderMap, StatusCode};
use tokio::time::{Duration, Instant};

use super::keeper::Keeper;
use super::lines::Line;
use super::pace::{Came, came};
use super::told;
use crate::call::Call;
use crate::clock;
use crate::dataplane::Gateway;
use crate::edge;
use crate::endpoints;
use crate::refusal::Refusal;
use crate::reply;

/// How long it is waited before a store that was away is asked again, milliseconds.
const STORE_AGAIN_MS: u64 = 500;

/// What came of a request.
pub struct Outcome {
    /// What it came to.
    pub came: Came,
    /// How long the answer asks to wait, milliseconds.
    pub wait_ms: Option<u64>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// Runs a request of a batch, which was run so many times with this one, for the key of this public half.
pub async fn run(gateway: Arc<Gateway>, batch: (Arc<str>, domain::KeyId), line: Arc<Line>, runs: u32) -> Outcome {
    let (arrived, at) = (Instant::now(), clock::now());
    let outcome = |came, wait_ms| Outcome { came, wait_ms, took_ms: arrived.elapsed().as_millis() as u64 };
    let (batch, key) = batch;
    let Ok(keeper) = gateway.own_batches.keeper().cloned() else { return outcome(Came::NotNow, None) };
    let id = gateway.chance.call_id(at);
    let key = match gateway.keys.load().claimed(&key.0, at) {
        Ok(key) => key,
        Err(refusal) => {
            let error = Refusal::Key(refusal).client_error(&id.to_string(), line.dialect);
            let told = told::unasked(&batch, &line, &error.code, &error.message);
            keep(&gateway, &*keeper, &batch, told).await;
            return outcome(Came::Failed, None);
        }
    };
    let call = call(id, at, arrived, key, &batch, &line);
    let (waiting, answer) = reply::pair(gateway.cut.subscribe());
    let waiting = waiting.shown_to({
        let (gateway, keeper, batch, line) = (gateway.clone(), keeper.clone(), batch.clone(), line.clone());
        Box::new(move |status: StatusCode, headers: HeaderMap, body: Bytes| {
            Box::pin(async move {
                let came = came(status, helps(&headers), runs);
                if matches!(came, Came::Answered | Came::Failed) {
                    let failed = came == Came::Failed;
                    let told = told::answered(&batch, &line, &id.to_string(), status, &body, failed);
                    keep(&gateway, &*keeper, &batch, told).await;
                }
            })
        })
    });
    let untold = Box::pin(edge::run(gateway.clone(), call, line.dialect, line.operation, waiting)).await;
    match answer.await {
        Ok(response) => outcome(came(response.status(), helps(response.headers()), runs), wait_ms(response.headers())),
        // Its task panicked, or was cut off with the process.
        Err(_) => {
            let Some(error) = untold else { return outcome(Came::Cut, None) };
            let told = told::unasked(&batch, &line, &error.code, &error.message);
            keep(&gateway, &*keeper, &batch, told).await;
            outcome(Came::Failed, None)
        }
    }
}

fn call(
    id: domain::CallId,
    at: UnixMs,
    arrived: Instant,
    key: Arc<crate::keys::Key>,
    batch: &str,
    line: &Line,
) -> Call {
    Call {
        id,
        endpoint: line.endpoint,
        address: None,
        at,
        arrived,
        key,
        carried: Vec::new(),
        form: None,
        // All requests of a batch are one run.
        session: Some(SessionId::new(batch)),
        workflow: Some(line.asked.clone()),
        framing: endpoints::framing(line.endpoint, None),
        query: String::new(),
        no_store: false,
        body: line.body.clone(),
    }
}

/// Keeps what came of a request, however long the store is away, unless the process ends meanwhile.
async fn keep(gateway: &Gateway, keeper: &dyn Keeper, batch: &str, line: domain::BatchLine) {
    let mut cut = gateway.cut.subscribe();
    loop {
        match keeper.keep_line(batch.to_owned(), line.clone()).await {
            Ok(()) => return,
            Err(why) => {
                tracing::warn!(batch, why, "what came of a request of a batch cannot be kept yet; trying again")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(STORE_AGAIN_MS)) => {}
            // Nobody else has it: the next process runs the request again.
            _ = cut.wait_for(|cut| *cut) => return,
        }
    }
}

/// Whether an error says that trying again helps.
fn helps(headers: &HeaderMap) -> bool {
    headers.get("x-should-retry").is_some_and(|value| value == "true")
}

fn wait_ms(headers: &HeaderMap) -> Option<u64> {
    headers.get("retry-after-ms")?.to_str().ok()?.parse().ok()
}
