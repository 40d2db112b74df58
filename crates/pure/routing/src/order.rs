//! How a lane ranks its models for one call.

use std::cmp::Reverse;

use domain::Pick;

use crate::candidate::Candidate;

/// Puts the candidates of one lane into the order in which they are to be tried. What is equal stays as declared.
///
/// - `cheapest`: by what this very call should cost. A model without a price comes after all that have one: what nobody
///   can bound is no bargain.
/// - `fastest`: by the measured time to the first token. A model without a measurement comes last here; the route offers
///   it one exploring call first, see [`Need::Explore`](crate::Need::Explore).
/// - `best`: by quality, highest first; a model without a declared quality last.
pub fn order(candidates: &mut [Candidate], pick: Pick) {
    // Slices this short are sorted in place, without an allocation.
    match pick {
        Pick::Cheapest => candidates.sort_by_key(|one| (one.expected_cost.is_none(), one.expected_cost)),
        Pick::Fastest => candidates.sort_by_key(|one| (one.first_token_ms.is_none(), one.first_token_ms)),
        Pick::Best => candidates.sort_by_key(|one| Reverse(one.quality_milli)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Class, NanoUsd};

    fn candidate(name: &str, cost: Option<i64>, quality: Option<u32>, first_token_ms: Option<u64>) -> Candidate {
        Candidate {
            model: 0,
            name: name.into(),
            lane: 0,
            lane_name: "standard".into(),
            class: Class::B,
            pick: Pick::Best,
            expected_cost: cost.map(NanoUsd),
            quality_milli: quality,
            first_token_ms,
        }
    }

    fn ordered(pick: Pick) -> String {
        let mut candidates = [
            candidate("unknown", None, None, None),
            candidate("dear", Some(30), Some(950), Some(500)),
            candidate("twin", Some(10), Some(800), Some(300)),
            candidate("other-twin", Some(10), Some(800), Some(300)),
        ];
        order(&mut candidates, pick);
        candidates.map(|one| one.name.to_string()).join(" ")
    }

    #[test]
    fn each_pick_ranks_by_its_own_measure_and_ties_stay_as_declared() {
        assert_eq!(ordered(Pick::Cheapest), "twin other-twin dear unknown");
        assert_eq!(ordered(Pick::Fastest), "twin other-twin dear unknown");
        assert_eq!(ordered(Pick::Best), "dear twin other-twin unknown");
    }
}
