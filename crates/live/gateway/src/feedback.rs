//! What applications say of the answers they were given: `POST /v1/feedback`.

use bytes::Bytes;
use domain::{CallId, UnixMs};
use http::Response;
use serde::Deserialize;

use crate::dataplane::Gateway;
use crate::keys::Key;
use crate::refusal::Refusal;
use crate::reply::ReplyBody;

/// What an application says of one answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    call: String,
    good: bool,
}

/// Counts a verdict, and says by which lane.
pub fn judge(
    gateway: &Gateway,
    id: CallId,
    key: &Key,
    body: &Bytes,
    now: UnixMs,
) -> Result<Response<ReplyBody>, Refusal> {
    let bad = |message: String, param: Option<&str>| Refusal::Body { message, param: param.map(str::to_owned) };
    let verdict: Verdict = serde_json::from_slice(body).map_err(|error| {
        let what =
            "send {\"call\": \"call_…\", \"good\": true}, the call as its answer's header `freehold-call-id` named it";
        bad(format!("the body is no verdict ({error}); {what}"), None)
    })?;
    let call = verdict.call.parse::<CallId>().map_err(|error| bad(error.to_string(), Some("call")))?;
    let deployed = gateway.deployed.load();
    let judged = deployed.promises.judge(call, &key.grant.id, verdict.good, now);
    let lane = judged.map_err(|why| Refusal::NotJudged { call, why })?;
    let lane = &deployed.snapshot.lanes[lane].name;
    let body = serde_json::json!({"call": call.to_string(), "good": verdict.good, "lane": lane.as_str()});
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("freehold-call-id", id.to_string())
        .body(ReplyBody::whole(body.to_string()))
        .expect("status and headers are ours and valid");
    Ok(response)
}
