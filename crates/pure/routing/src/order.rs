//! How a lane ranks its models for one call.

use std::cmp::Reverse;

use domain::Pick;

use crate::backoff::Chance;
use crate::candidate::{Bought, Candidate};

/// Puts the candidates of one lane into the order in which they are to be tried. What is equal stays as declared.
///
/// - `cheapest`: by what this very call should cost. A model without a price comes after all that have one: what nobody
///   can bound is no bargain.
/// - `fastest`: by the measured time to the first token. A model without a measurement comes last here; the route offers
///   it one exploring call first, see [`Need::Explore`](crate::Need::Explore).
/// - `best`: by quality, highest first; a model without a declared quality last.
/// - `balanced`: the better of two drawn by the seed comes first, the others follow as they rank: by what it takes to have
///   one more good answer from each.
///
/// Under every one of them a model whose bought capacity has room comes first, and one whose capacity is full last.
pub fn order(candidates: &mut [Candidate], pick: Pick, seed: u64) {
    // Slices this short are sorted in place, without an allocation.
    match pick {
        Pick::Cheapest => candidates.sort_by_key(|one| (one.expected_cost.is_none(), one.expected_cost)),
        Pick::Fastest => candidates.sort_by_key(|one| (one.first_token_ms.is_none(), one.first_token_ms)),
        Pick::Best => candidates.sort_by_key(|one| Reverse(one.quality_milli)),
        Pick::Balanced => balance(candidates, seed),
    }
    // What is paid for already comes before all that is not, and what is full after it.
    candidates.sort_by_key(|one| match one.bought {
        Bought::Room => 0,
        Bought::Nothing => 1,
        Bought::Full => 2,
    });
}

/// A model that costs less than this part of the dearest of its lane counts as if it cost that part, so that one which is
/// almost free is not sent everything however much is under way there.
pub const CHEAPEST_PART: u128 = 20;

/// What it takes to have one more good answer from a model: its expected cost, times the attempts under way with this
/// one, over the share of its last attempts that did not fail. Less is better. So a model of half the price has twice as many
/// attempts under way before the other is as good. A model without a price counts as the dearest of its lane.
fn burden(candidate: &Candidate, dearest: u128) -> u128 {
    let cost = candidate.expected_cost.map_or(dearest, |cost| u128::from(cost.0.max(0).unsigned_abs()));
    let cost = cost.max(dearest / CHEAPEST_PART).max(1);
    let whole = 100 - u128::from(candidate.failed_percent.min(99));
    cost * (u128::from(candidate.in_flight) + 1) * 100 / whole
}

/// Power of two choices (Mitzenmacher, 2001): of two drawn the better one. What is equal is drawn too.
fn balance(candidates: &mut [Candidate], seed: u64) {
    let dearest = candidates.iter().filter_map(|one| one.expected_cost).max().map_or(1, |cost| cost.0.max(1));
    let dearest = u128::from(dearest.unsigned_abs());
    let tie = |one: &Candidate| Chance::new(seed ^ one.model as u64).draw();
    candidates.sort_by_cached_key(|one| (burden(one, dearest), tie(one)));
    let mut chance = Chance::new(seed ^ 0xba1a_0ced);
    let count = candidates.len() as u64;
    if count > 2 {
        let first = chance.below(count);
        let second = (first + 1 + chance.below(count - 1)) % count;
        let better = usize::try_from(first.min(second)).expect("a place in this list");
        candidates[..=better].rotate_right(1);
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
            in_flight: 0,
            failed_percent: 0,
            cached_tokens: 0,
            bought: Bought::Nothing,
        }
    }

    fn ordered(pick: Pick) -> String {
        let mut candidates = [
            candidate("unknown", None, None, None),
            candidate("dear", Some(30), Some(950), Some(500)),
            candidate("twin", Some(10), Some(800), Some(300)),
            candidate("other-twin", Some(10), Some(800), Some(300)),
        ];
        order(&mut candidates, pick, 0);
        candidates.map(|one| one.name.to_string()).join(" ")
    }

    #[test]
    fn each_pick_ranks_by_its_own_measure_and_ties_stay_as_declared() {
        assert_eq!(ordered(Pick::Cheapest), "twin other-twin dear unknown");
        assert_eq!(ordered(Pick::Fastest), "twin other-twin dear unknown");
        assert_eq!(ordered(Pick::Best), "dear twin other-twin unknown");
    }

    #[test]
    fn bought_capacity_comes_first_while_it_has_room_and_last_when_it_is_full() {
        let mut candidates = [
            candidate("dear", Some(30), None, None),
            candidate("bought", Some(20), None, None),
            candidate("twin", Some(10), None, None),
        ];
        let mut names = |bought| {
            candidates.iter_mut().filter(|one| one.name.as_str() == "bought").for_each(|one| one.bought = bought);
            order(&mut candidates, Pick::Cheapest, 0);
            candidates.iter().map(|one| one.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Bought::Room), "bought twin dear");
        assert_eq!(names(Bought::Full), "twin dear bought");
        assert_eq!(names(Bought::Nothing), "twin bought dear");
    }

    /// How often each of the candidates comes first over a thousand calls.
    fn firsts(candidates: &[Candidate]) -> Vec<usize> {
        let first = |seed: u64| {
            let mut drawn = candidates.to_vec();
            order(&mut drawn, Pick::Balanced, seed);
            drawn[0].model
        };
        let drawn: Vec<usize> = (0..1_000).map(first).collect();
        (0..candidates.len()).map(|model| drawn.iter().filter(|one| **one == model).count()).collect()
    }

    fn numbered(costs: &[Option<i64>]) -> Vec<Candidate> {
        let one = |(model, cost): (usize, &Option<i64>)| Candidate { model, ..candidate("one", *cost, None, None) };
        costs.iter().enumerate().map(one).collect()
    }

    #[test]
    fn of_two_the_one_with_less_burden_comes_first() {
        let mut two = numbered(&[Some(100), Some(100)]);
        two[0].in_flight = 1;
        assert_eq!(firsts(&two), [0, 1_000]);
        two[1].failed_percent = 60;
        assert_eq!(firsts(&two), [1_000, 0], "twice the load weighs less than six failures of ten");
        let mut two = numbered(&[Some(100), Some(50)]);
        two[1].in_flight = 1;
        let both = firsts(&two);
        assert!(
            both[0].abs_diff(500) < 60,
            "half the price and twice the load are equal, and equals are drawn: {both:?}"
        );
    }

    #[test]
    fn of_many_the_best_is_most_often_first_and_the_worst_never() {
        let many = numbered(&[Some(40), Some(10), Some(30), Some(20)]);
        let firsts = firsts(&many);
        // The best is one of the two drawn in 3 of 6 pairs, the next is the better one in 2, the third in 1.
        for (model, of_a_thousand) in [(1, 500), (3, 333), (2, 167)] {
            assert!(firsts[model].abs_diff(of_a_thousand) < 50, "{firsts:?}");
        }
        assert_eq!(firsts[0], 0);
    }

    #[test]
    fn what_costs_nothing_is_not_sent_everything_and_what_has_no_price_counts_as_the_dearest() {
        let mut two = numbered(&[Some(0), Some(1_000)]);
        two[0].in_flight = 25;
        assert_eq!(firsts(&two), [0, 1_000]);
        let mut three = numbered(&[None, Some(1_000), Some(10)]);
        three[1].in_flight = 1;
        assert_eq!(firsts(&three)[1], 0, "the dearest with the most under way is last");
    }
}
