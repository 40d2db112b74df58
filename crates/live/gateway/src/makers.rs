//! Which provider made an answer that a client may go on from by its id (`previous_response_id`): no other provider has it.
//! Kept in memory for the latest answers only; of older ones, and after a restart, the provider tried first is asked.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use domain::ProviderName;
use parking_lot::Mutex;

/// How many answers are remembered.
const MAX_ANSWERS: usize = 65_536;

/// The makers of the latest answers.
#[derive(Default)]
pub struct Makers {
    /// Ids are the providers' words and have any length, so hashes of them are kept.
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    makers: HashMap<u64, ProviderName>,
    /// Oldest first.
    order: VecDeque<u64>,
}

impl Makers {
    /// Who made the answer of this id, if that is remembered.
    pub fn of(&self, answer: Option<&str>) -> Option<ProviderName> {
        self.known.lock().makers.get(&self.hasher.hash_one(answer?)).cloned()
    }

    /// Remembers who made an answer.
    pub fn remember(&self, answer: &str, maker: &ProviderName) {
        let answer = self.hasher.hash_one(answer);
        let mut known = self.known.lock();
        if known.makers.insert(answer, maker.clone()).is_none() {
            known.order.push_back(answer);
        }
        if known.order.len() > MAX_ANSWERS
            && let Some(oldest) = known.order.pop_front()
        {
            known.makers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_answers_are_remembered_and_older_ones_are_not() {
        let makers = Makers::default();
        let (first, second) = (ProviderName::from("first"), ProviderName::from("second"));
        makers.remember("resp_0", &first);
        for number in 1..=MAX_ANSWERS {
            makers.remember(&format!("resp_{number}"), &second);
        }
        assert_eq!(makers.of(Some("resp_0")), None);
        assert_eq!(makers.of(Some("resp_1")), Some(second));
        assert_eq!(makers.of(None), None);
        assert_eq!(makers.known.lock().makers.len(), MAX_ANSWERS);
    }
}
