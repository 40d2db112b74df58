//! What holds on every way a call can take, whatever fails and whatever is refused.

use std::sync::Arc;

use domain::{Class, Fault, FaultClass, NanoUsd, Pick, UnixMs};
use proptest::prelude::*;
use routing::{Bought, Candidate, Kept, Move, Mover, Need, Next, Permille, Permit, Place, Refused, RetryPolicy, Route};

#[derive(Clone, Debug)]
struct Step {
    /// What each model answers when asked; index modulo length.
    permits: Vec<u8>,
    fault: Option<(FaultClass, Option<u64>)>,
    skip: bool,
    /// Between the answer and the next question, milliseconds; clocks step back too.
    passes_ms: i64,
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0usize..6, prop::option::of(0i64..100), prop::option::of(0u32..1000), prop::option::of(0u64..900));
    (prop::collection::vec(one, 0..7), 0usize..4).prop_map(|(models, pick)| {
        let pick = [Pick::Best, Pick::Fastest, Pick::Cheapest, Pick::Balanced][pick];
        let candidate = |(place, (model, cost, quality_milli, first_token_ms)): (usize, (usize, _, _, _))| Candidate {
            model,
            name: format!("model-{model}").as_str().into(),
            lane: place / 3,
            lane_name: format!("lane-{}", place / 3).as_str().into(),
            class: Class::B,
            pick,
            expected_cost: Option::map(cost, NanoUsd),
            quality_milli,
            first_token_ms,
            in_flight: 0,
            failed_percent: 0,
            cached_tokens: 0,
            bought: Bought::Nothing,
        };
        models.into_iter().enumerate().map(candidate).collect()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let class = (0..FaultClass::ALL.len()).prop_map(|index| FaultClass::ALL[index]);
    let wait = prop::option::of(prop_oneof![0u64..3_000, Just(u64::MAX)]);
    let step = (
        prop::collection::vec(0u8..8, 6),
        prop::option::weighted(0.9, (class, wait)),
        prop::bool::weighted(0.1),
        -500i64..2_000,
    );
    prop::collection::vec(step, 20).prop_map(|steps| {
        let step = |(permits, fault, skip, passes_ms)| Step { permits, fault, skip, passes_ms };
        steps.into_iter().map(step).collect()
    })
}

fn moves() -> impl Strategy<Value = Vec<Arc<Move>>> {
    let one = (0usize..6, prop::bool::ANY, 0u16..=1000).prop_map(|(index, lane, kept)| {
        let from = if lane { Place::Lane(index / 2) } else { Place::Model(index) };
        let kept = Kept::OfAll(Permille::new(kept));
        Arc::new(Move { by: Mover::Anomaly, from, kept, reason: "a test says so".into(), since: UnixMs(0) })
    });
    prop::collection::vec(one, 0..3)
}

fn answer(kind: u8, need: Need, now: UnixMs) -> Permit {
    let no = |why, ms| Permit::No { until: now + ms, since: now, why };
    match (kind, need) {
        (0, _) => no(Refused::BreakerOpen, 4_000),
        (1, Need::LastResort) => Permit::Probe,
        (1, _) => no(Refused::BreakerOpen, 900),
        (2, Need::AfterRateLimit) => Permit::Yes,
        (2, _) => no(Refused::RateLimited, 700),
        (3, _) => no(Refused::RateLimited, 60_000),
        (4, _) => Permit::Probe,
        (5, Need::Explore) => no(Refused::Explored, 0),
        _ => Permit::Yes,
    }
}

proptest! {
    #[test]
    fn bounds_hold_and_no_hop_is_without_its_permit(
        candidates in candidates(),
        steps in steps(),
        moves in moves(),
        seed: u64,
        max_attempts in 0u16..6,
        retries_same in 0u16..3,
        patience_ms in 0u64..10_000,
    ) {
        let policy = RetryPolicy { max_attempts, retries_same, base_ms: 200, ..RetryPolicy::default() };
        let start = UnixMs(1_700_000_000_000);
        let deadline = start + patience_ms;
        let known: Vec<usize> = candidates.iter().map(|one| one.model).collect();
        let mut route = Route::new(candidates, policy, seed, deadline);
        route.steer(&moves, None, seed);
        let (mut now, mut last) = (start, None);
        let mut made: Vec<usize> = Vec::new();
        let mut skipped: Vec<usize> = Vec::new();
        for step in steps {
            let mut given: Vec<(usize, Permit, Need)> = Vec::new();
            let next = route.next(last.as_ref(), &mut |model, need| {
                let permit = answer(step.permits[model], need, now);
                given.push((model, permit, need));
                permit
            }, now);
            let granted: Vec<_> = given.iter().filter(|(_, permit, _)| !matches!(permit, Permit::No { .. })).collect();
            let Next::Try { candidate, wait_ms, probe, decision, .. } = next else {
                // A permit that was given but not used would never be reported.
                prop_assert!(granted.is_empty());
                break;
            };
            prop_assert_eq!(granted.len(), 1);
            prop_assert_eq!(granted[0].0, candidate.model);
            prop_assert_eq!(granted[0].1 == Permit::Probe, probe);
            prop_assert!(known.contains(&candidate.model) && !skipped.contains(&candidate.model));
            prop_assert!(wait_ms <= policy.max_wait_ms);
            prop_assert!(now + wait_ms < deadline);
            prop_assert!(decision.starts_with(candidate.lane_name.as_str()) && decision.len() < 400, "{}", decision);
            if step.skip {
                route.skip(candidate.model, "its price does not fit");
                skipped.push(candidate.model);
            } else {
                made.push(candidate.model);
            }
            prop_assert!(made.len() <= usize::from(max_attempts));
            prop_assert!(made.iter().filter(|model| **model == candidate.model).count() <= usize::from(retries_same) + 1);
            now = UnixMs(now.0 + step.passes_ms);
            last = step.fault.map(|(class, retry_after_ms)| Fault { retry_after_ms, ..Fault::new(class, "") });
        }
    }

    #[test]
    fn a_move_changes_the_order_and_nothing_else(candidates in candidates(), moves in moves(), seed: u64) {
        let way = |moves: &[Arc<Move>]| {
            let policy = RetryPolicy { max_attempts: 20, retries_same: 0, ..RetryPolicy::default() };
            let mut route = Route::new(candidates.clone(), policy, seed, UnixMs(60_000));
            route.steer(moves, None, seed);
            let fault = Fault::new(FaultClass::FirstTokenTimeout, "");
            let mut way = Vec::new();
            while let Next::Try { candidate, .. } = route.next(Some(&fault), &mut |_, _| Permit::Yes, UnixMs(0)) {
                way.push(candidate.model);
            }
            way
        };
        let (mut straight, mut moved) = (way(&[]), way(&moves));
        let away = |model: &usize| {
            let candidate = candidates.iter().find(|one| one.model == *model).unwrap();
            moves.iter().any(|one| one.concerns(candidate) && one.meets(None, seed))
        };
        if !straight.iter().all(away) && !candidates.iter().any(|one| one.pick == Pick::Fastest) {
            prop_assert!(moved.is_sorted_by_key(away), "{:?}", moved);
        }
        straight.sort_unstable();
        moved.sort_unstable();
        prop_assert_eq!(straight, moved);
    }

    #[test]
    fn the_same_seed_takes_the_same_way(candidates in candidates(), steps in steps(), seed: u64) {
        let walk = || {
            let mut route = Route::new(candidates.clone(), RetryPolicy::default(), seed, UnixMs(60_000));
            let mut last = None;
            let mut way = Vec::new();
            for step in &steps {
                way.push(route.next(last.as_ref(), &mut |model, need| answer(step.permits[model], need, UnixMs(0)), UnixMs(0)));
                last = step.fault.map(|(class, retry_after_ms)| Fault { retry_after_ms, ..Fault::new(class, "") });
            }
            way
        };
        prop_assert_eq!(walk(), walk());
    }
}
