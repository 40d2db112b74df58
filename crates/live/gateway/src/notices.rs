//! Tells a webhook what budgets have reached and what is out of the ordinary: signed as Standard Webhooks has it, tried again for a while, in order, and never on the
//! path of a call. What does not fit the queue, or is refused for good, is dropped and counted; the page and the log have it all the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use config::Notify;
use hmac::{Hmac, KeyInit, Mac};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::json;
use sha2::Sha256;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::budgets::Reached;
use crate::clock;
use crate::dataplane::Gateway;
use crate::pool::Pool;
use crate::watch::told::Anomaly;

/// Notices that wait.
pub const WAITING_AT_MOST: usize = 256;
/// How often a notice is posted until somebody takes it.
const TRIES: u32 = 8;
/// How long is waited after the first try, milliseconds; twice as long after each further one, so two minutes in all.
const FIRST_PAUSE_MS: u64 = 1_000;
/// Longest an answer may take, milliseconds.
const ANSWER_MS: u64 = 10_000;
/// Within which a connection must be made, milliseconds.
const CONNECT_MS: u64 = 5_000;
/// Longest answer read, so that the connection can be used again, bytes.
const ANSWER_BYTES: usize = 64 << 10;
/// How long what still waits may take when the process ends, milliseconds.
const LAST_MS: u64 = 2_000;

/// What is told.
enum Notice {
    /// A budget has reached a share of its limit.
    Reached(Reached),
    /// Something is out of the ordinary, or no longer is.
    Anomaly(Anomaly),
}

/// Why a notice was not taken.
enum Trouble {
    /// It may be taken the next time.
    Passing(String),
    /// Whoever is told does not want it.
    Refused(StatusCode),
}

/// Posts what budgets have reached and what is found until `stop` says so, then what is left, once.
pub async fn run(
    gateway: Arc<Gateway>,
    mut waiting: mpsc::Receiver<Reached>,
    mut found: mpsc::Receiver<Anomaly>,
    mut stop: watch::Receiver<bool>,
) {
    let mut failing = false;
    loop {
        let notice = tokio::select! {
            reached = waiting.recv() => reached.map(Notice::Reached),
            anomaly = found.recv() => anomaly.map(Notice::Anomaly),
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some(notice) = notice else { return };
        tell(&gateway, &notice, &mut failing, &mut stop).await;
    }
    let until = Instant::now() + Duration::from_millis(LAST_MS);
    loop {
        let reached = waiting.try_recv().map(Notice::Reached);
        let Ok(notice) = reached.or_else(|_| found.try_recv().map(Notice::Anomaly)) else { break };
        let told = tokio::time::timeout_at(until, once(&gateway, &notice)).await;
        if !matches!(told, Ok(Ok(()))) {
            gateway.budgets.untold.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Posts one until it is taken, refused or given up.
async fn tell(gateway: &Gateway, notice: &Notice, failing: &mut bool, stop: &mut watch::Receiver<bool>) {
    let mut pause_ms = FIRST_PAUSE_MS;
    for try_number in 1..=TRIES {
        let why = match once(gateway, notice).await {
            Ok(()) => {
                if std::mem::take(failing) {
                    tracing::info!("the webhook takes notices again");
                }
                return;
            }
            Err(Trouble::Refused(status)) => {
                tracing::error!(%status, of = subject(notice), "the webhook refuses a notice; it is dropped");
                break;
            }
            Err(Trouble::Passing(why)) => why,
        };
        if !std::mem::replace(failing, true) {
            tracing::warn!(
                why,
                "the webhook takes no notices; they are tried again for a while, then dropped and counted"
            );
        }
        if try_number == TRIES {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        pause_ms *= 2;
    }
    gateway.budgets.untold.fetch_add(1, Ordering::Relaxed);
}

/// Posts one, as the configuration says now. Nobody to be told is no trouble.
async fn once(gateway: &Gateway, notice: &Notice) -> Result<(), Trouble> {
    let deployed = gateway.deployed.load_full();
    let Some(notify) = &deployed.snapshot.notify else { return Ok(()) };
    let pool = deployed.upstreams.pool_of_its_own(CONNECT_MS);
    let request = request(notify, notice, clock::now().0 / 1_000);
    let posted = tokio::time::timeout(Duration::from_millis(ANSWER_MS), post(&pool, request)).await;
    posted.unwrap_or_else(|_| Err(Trouble::Passing(format!("no answer within {ANSWER_MS} ms"))))
}

async fn post(pool: &Pool, request: Request<Full<Bytes>>) -> Result<(), Trouble> {
    let answer = pool.send(request).await.map_err(|fault| Trouble::Passing(fault.message))?;
    let status = answer.status();
    // Read to its end, so that whoever is told sees an orderly end.
    let _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
    let passes = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    match status {
        _ if status.is_success() => Ok(()),
        _ if status.is_client_error() && !passes => Err(Trouble::Refused(status)),
        _ => Err(Trouble::Passing(format!("it answered {status}"))),
    }
}

/// The notice, with its name, its time and their signature.
fn request(notify: &Notify, notice: &Notice, now_s: i64) -> Request<Full<Bytes>> {
    let (body, id) = (body(notice), id_of(notice));
    let signature = signature(notify.secret.expose(), &id, now_s, &body);
    let url = match notify.url.path.is_empty() {
        true => format!("{}/", notify.url),
        false => notify.url.to_string(),
    };
    Request::post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("user-agent", concat!("freehold/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", now_s)
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(body)))
        .expect("the address was checked with the configuration, and the headers are ASCII")
}

/// Of what a notice is.
fn subject(notice: &Notice) -> String {
    match notice {
        Notice::Reached(reached) => reached.budget.scope.plain(),
        Notice::Anomaly(anomaly) => anomaly.subject.clone(),
    }
}

fn body(notice: &Notice) -> String {
    match notice {
        Notice::Reached(Reached { at, budget, notice, limit }) => json!({
            "type": "budget.reached",
            "timestamp": at.to_string(),
            "data": {
                "scope": budget.scope.plain(),
                "per": budget.window.to_string(),
                "measure": budget.measure.as_str(),
                "limit": budget.measure.shown(*limit),
                "share_percent": notice.share_percent,
                "does": notice.act,
            },
        }),
        Notice::Anomaly(anomaly) => json!({
            "type": if anomaly.until.is_none() { "anomaly.began" } else { "anomaly.ended" },
            "timestamp": anomaly.until.unwrap_or(anomaly.since).to_string(),
            "data": {
                "kind": anomaly.kind.as_str(),
                "subject": anomaly.subject,
                "sentence": anomaly.sentence,
                "factor_milli": anomaly.factor_milli,
                "since": anomaly.since.to_string(),
                "moves": anomaly.moves,
            },
        }),
    }
    .to_string()
}

/// The same however often it is posted, so that whoever is told can tell a repetition.
fn id_of(notice: &Notice) -> String {
    let whole = match notice {
        Notice::Reached(Reached { at, budget, notice, .. }) => {
            let (scope, per) = (budget.scope.plain(), budget.window.to_string());
            format!("{scope} {per} {} {} {}", budget.measure.as_str(), notice.share_percent, at.0)
        }
        Notice::Anomaly(Anomaly { kind, subject, since, until, .. }) => {
            format!("anomaly {kind} {subject} {} {}", since.0, until.map_or(0, |until| until.0))
        }
    };
    format!("msg_{}", blake3::hash(whole.as_bytes()).to_hex().chars().take(32).collect::<String>())
}

/// Standard Webhooks' signature, version 1.
fn signature(secret: &str, id: &str, now_s: i64, body: &str) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|rest| STANDARD.decode(rest).ok());
    let key = decoded.as_deref().unwrap_or(secret.as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{now_s}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn a_notice_is_signed_as_standard_webhooks_has_it() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let plain = signature("secret", "a", 1, "b");
        assert_ne!(plain, signature("another", "a", 1, "b"));
    }
}
