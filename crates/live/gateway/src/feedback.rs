//! What applications say of the answers they were given, by `POST /v1/feedback`: which answers may be judged, and by whom.
//! Only lanes that promise a share of good answers remember any, so that nothing else costs a call anything.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::{CallId, KeyId, UnixMs};
use http::Response;
use rustc_hash::FxHashMap;
use serde::Deserialize;

use crate::dataplane::Gateway;
use crate::keys::Key;
use crate::refusal::Refusal;
use crate::reply::ReplyBody;

/// Answers of a lane that are remembered, about 2 MiB of them. A judgement: a lane that gives ten answers a second remembers half an hour.
pub const REMEMBERED: usize = 16_384;
/// How long an answer may be judged, milliseconds: a day.
pub const JUDGED_FOR_MS: u64 = 24 * 3_600_000;

/// An answer that may be judged.
#[derive(Debug)]
pub struct Answer {
    key: KeyId,
    given: UnixMs,
    /// When it was judged first, and whether it is good by the last verdict.
    pub verdict: Option<(UnixMs, bool)>,
}

/// The last answers of a lane.
#[derive(Debug, Default)]
pub struct Answers {
    by_call: FxHashMap<CallId, Answer>,
    oldest_first: VecDeque<CallId>,
}

/// Why an answer cannot be judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unjudgeable {
    /// No lane promises a share of good answers.
    NothingPromised,
    /// Not an answer of this key that is remembered here. Whose else it may be is not told.
    NotKnown,
}

impl Answers {
    /// Remembers an answer, and forgets the oldest where that is one too many.
    pub fn came(&mut self, call: CallId, key: KeyId, now: UnixMs) {
        if self.by_call.insert(call, Answer { key, given: now, verdict: None }).is_none() {
            self.oldest_first.push_back(call);
        }
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_call.remove(&oldest);
        }
    }

    /// The answer to a call of this key, where it may still be judged.
    pub fn of(&mut self, call: CallId, key: &KeyId, now: UnixMs) -> Option<&mut Answer> {
        let answer = self.by_call.get_mut(&call)?;
        (answer.key == *key && now.since(answer.given) <= JUDGED_FOR_MS).then_some(answer)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u128) -> CallId {
        CallId::mint(UnixMs(1_000), number)
    }

    #[test]
    fn an_answer_is_judged_by_the_key_that_asked_for_a_day() {
        let mut answers = Answers::default();
        let (mine, other) = (KeyId("mine".into()), KeyId("other".into()));
        answers.came(call(1), mine.clone(), UnixMs(0));
        assert!(answers.of(call(1), &mine, UnixMs(0) + JUDGED_FOR_MS).is_some());
        assert!(answers.of(call(1), &mine, UnixMs(1) + JUDGED_FOR_MS).is_none(), "a day is over");
        assert!(answers.of(call(1), &other, UnixMs(5)).is_none());
        assert!(answers.of(call(2), &mine, UnixMs(5)).is_none());
    }

    #[test]
    fn of_more_answers_than_are_remembered_the_oldest_is_forgotten() {
        let (mut answers, key) = (Answers::default(), KeyId("mine".into()));
        for number in 0..=REMEMBERED as u128 {
            answers.came(call(number), key.clone(), UnixMs(0));
        }
        assert!(answers.of(call(0), &key, UnixMs(1)).is_none());
        assert!(answers.of(call(1), &key, UnixMs(1)).is_some());
        assert_eq!((answers.by_call.len(), answers.oldest_first.len()), (REMEMBERED, REMEMBERED));
    }
}
