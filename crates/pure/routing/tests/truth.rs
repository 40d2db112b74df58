//! The route and the health do what the published table says.

use domain::{Class, Fault, FaultClass, Pick, UnixMs};
use routing::truth::{Action, Counted, Phase, after, counted};
use routing::{Bought, BreakerSettings, Candidate, ModelHealth, Need, Next, Permit, RetryPolicy, Route, State};

fn candidate(model: usize) -> Candidate {
    Candidate {
        model,
        name: format!("model-{model}").as_str().into(),
        lane: 0,
        lane_name: "standard".into(),
        class: Class::B,
        pick: Pick::Best,
        expected_cost: None,
        quality_milli: None,
        first_token_ms: None,
        in_flight: 0,
        failed_percent: 0,
        cached_tokens: 0,
        bought: Bought::Nothing,
    }
}

#[test]
fn the_route_does_before_content_what_the_table_says() {
    for class in FaultClass::ALL {
        let fault = Fault::new(*class, "");
        let yes = &mut |_: usize, _: Need| Permit::Yes;
        let mut hops = |count: usize| {
            let mut route = Route::new((0..count).map(candidate).collect(), RetryPolicy::default(), 1, UnixMs(60_000));
            let _first = route.next(None, yes, UnixMs(0));
            match route.next(Some(&fault), yes, UnixMs(0)) {
                Next::Try { candidate, .. } => Some(candidate.model),
                Next::GiveUp { .. } => None,
            }
        };
        let (alone, among_two) = (hops(1), hops(2));
        match after(*class, Phase::BeforeContent) {
            Action::RetryThenNext => assert!(alone == Some(0) && among_two.is_some(), "{class}"),
            Action::Next => assert!(alone.is_none() && among_two == Some(1), "{class}"),
            Action::Surface | Action::Stop => assert!(alone.is_none() && among_two.is_none(), "{class}"),
            Action::GoOn | Action::EndStream => panic!("{class}: nothing to go on with before content"),
        }
    }
}

#[test]
fn the_health_counts_what_the_table_says() {
    let state_after = |class: FaultClass, retry_after_ms: Option<u64>, times: u32| {
        let mut health = ModelHealth::new(BreakerSettings::default());
        let fault = Fault { retry_after_ms, ..Fault::new(class, "") };
        (0..times).for_each(|_| health.failed(UnixMs(0), &fault, false));
        let view = health.view(UnixMs(0));
        (view.state, view.rate_limited_until.is_some())
    };
    for class in FaultClass::ALL {
        let (once, often) = (state_after(*class, None, 1).0, state_after(*class, None, 5).0);
        let told = state_after(*class, Some(1_000), 5);
        let expected = match counted(*class) {
            Counted::No => (State::Closed, State::Closed, (State::Closed, false)),
            Counted::Failure => (State::Closed, State::Open, (State::Open, false)),
            Counted::RateLimit => (State::Closed, State::Open, (State::Closed, true)),
            Counted::FailureAndRateLimit => (State::Closed, State::Open, (State::Open, true)),
            Counted::OpensAtOnce => (State::Open, State::Open, (State::Open, false)),
        };
        assert_eq!((once, often, told), expected, "{class}");
    }
}
