//! Which answers of a lane may be judged, and by whom. Only lanes that promise a share of good answers remember any, so that
//! nothing else costs a call anything.

use std::collections::VecDeque;

use domain::{CallId, KeyId, UnixMs};
use rustc_hash::FxHashMap;

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
