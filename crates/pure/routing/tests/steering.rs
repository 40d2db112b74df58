//! Calls that begin elsewhere: where they go, what still takes them, and the sentence.

use std::sync::Arc;

use domain::{Class, Fault, FaultClass, Pick, UnixMs};
use routing::{Bought, Candidate, Kept, Move, Mover, Need, Next, Permille, Permit, Place, Refused, RetryPolicy, Route};

/// Two models in lane `premium`, one in lane `own`.
fn candidates() -> Vec<Candidate> {
    let one = |(model, (name, lane)): (usize, (&str, usize))| Candidate {
        model,
        name: name.into(),
        lane,
        lane_name: ["premium", "own"][lane].into(),
        class: Class::A,
        pick: Pick::Best,
        expected_cost: None,
        quality_milli: None,
        first_token_ms: None,
        in_flight: 0,
        failed_percent: 0,
        cached_tokens: 0,
        bought: Bought::Nothing,
    };
    [("sonnet", 0), ("opus", 0), ("qwen", 1)].into_iter().enumerate().map(one).collect()
}

fn away_from(from: Place) -> Arc<Move> {
    let reason = "success burns 16.2× its budget over 1 h and 5 m".into();
    Arc::new(Move { by: Mover::Burn, from, kept: Kept::OfAll(Permille::NONE), reason, since: UnixMs(0) })
}

fn steered(moves: &[Arc<Move>]) -> Route {
    let mut route = Route::new(candidates(), RetryPolicy::default(), 7, UnixMs(60_000));
    route.steer(moves, None, 7);
    route
}

fn tried(next: Next) -> (String, String) {
    match next {
        Next::Try { candidate, decision, .. } => (candidate.name.to_string(), decision),
        Next::GiveUp { why, .. } => panic!("{why}"),
    }
}

#[test]
fn a_lane_that_is_moved_away_from_comes_last_and_the_decision_says_why() {
    let mut route = steered(&[away_from(Place::Lane(0))]);
    let yes = &mut |_: usize, _: Need| Permit::Yes;
    let (first, decision) = tried(route.next(None, yes, UnixMs(0)));
    assert_eq!(first, "qwen");
    assert_eq!(
        decision,
        "own: moved away from premium (success burns 16.2× its budget over 1 h and 5 m); first of 1 as declared"
    );
    let slow = Fault::new(FaultClass::FirstTokenTimeout, "");
    let (then, decision) = tried(route.next(Some(&slow), yes, UnixMs(0)));
    assert_eq!(then, "sonnet", "what is moved away from still serves where all else failed");
    assert!(decision.starts_with("premium: own/qwen failed (upstream_first_token_timeout)"), "{decision}");
}

#[test]
fn a_model_that_is_moved_away_from_leaves_its_lane_to_the_others() {
    let (first, decision) =
        tried(steered(&[away_from(Place::Model(0))]).next(None, &mut |_, _| Permit::Yes, UnixMs(0)));
    assert_eq!(first, "opus");
    assert!(decision.starts_with("premium: moved away from sonnet (success burns"), "{decision}");
}

#[test]
fn where_nothing_else_may_serve_nothing_is_moved_and_the_decision_says_so() {
    let (lane, model) = (away_from(Place::Lane(0)), away_from(Place::Model(2)));
    let (first, decision) = tried(steered(&[lane, model]).next(None, &mut |_, _| Permit::Yes, UnixMs(0)));
    assert_eq!(first, "sonnet");
    let reason =
        "not moved away although success burns 16.2× its budget over 1 h and 5 m, since nothing else may serve it";
    assert!(decision.ends_with(reason), "{decision}");
}

#[test]
fn a_call_is_not_lost_when_what_it_is_moved_to_is_held_back() {
    let shut = Permit::No { until: UnixMs(30_000), since: UnixMs(0), why: Refused::BreakerOpen };
    let permits = &mut |model: usize, _: Need| if model == 2 { shut } else { Permit::Yes };
    let (first, decision) = tried(steered(&[away_from(Place::Lane(0))]).next(None, permits, UnixMs(0)));
    assert_eq!(first, "sonnet");
    assert!(decision.contains("own/qwen breaker open since"), "{decision}");
}

#[test]
fn a_price_leads_only_to_what_is_cheaper_than_what_is_billed() {
    let told = |times_milli: u64, share: u16, costs: [i64; 3]| {
        let kept = Kept::UnlessDearer { share: Permille::new(share), times_milli };
        let reason = "realised price 2.0 × the catalogue's".into();
        let from = Place::ModelOf(0, 0);
        let moved = Arc::new(Move { by: Mover::Anomaly, from, kept, reason, since: UnixMs(43_260_000) });
        let mut priced = candidates();
        for (candidate, cost) in priced.iter_mut().zip(costs) {
            candidate.expected_cost = Some(domain::NanoUsd(cost));
        }
        let mut route = Route::new(priced, RetryPolicy::default(), 7, UnixMs(50_000_000));
        assert_eq!(route.usual_cost(), Some(domain::NanoUsd(costs[0])));
        route.steer(&[moved], None, 7);
        tried(route.next(None, &mut |_, _| Permit::Yes, UnixMs(43_270_000)))
    };
    let (model, decision) = told(2_000, 0, [100, 300, 150]);
    assert_eq!(model, "qwen", "the next of its lane would cost even more than what is billed");
    assert_eq!(
        decision,
        "own: premium: sonnet left alone since 12:01:00, realised price 2.0 × the catalogue's; first of 1 as declared"
    );
    assert_eq!(told(2_000, 0, [100, 300, 250]).0, "sonnet", "at twice its price it is still the cheapest");
    let (model, decision) = told(2_000, 1_000, [100, 300, 150]);
    assert_eq!(model, "sonnet");
    assert!(decision.ends_with("finds out whether it is over: realised price 2.0 × the catalogue's"), "{decision}");
}
