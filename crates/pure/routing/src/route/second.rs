//! A second attempt beside the one under way, and a call that goes on after content.

use domain::{Cause, Fault, FaultClass, UnixMs};

use super::{Next, Permits, Route};
use crate::candidate::{LaneIndex, ModelIndex};
use crate::health::Need;
use crate::hop::{Hop, Standing};

impl Route {
    /// The first candidate not tried yet, for a second attempt beside the one that is out. It counts as an attempt.
    ///
    /// Its outcome is told by [`Route::lost`]; where the caller cannot use it, by [`Route::not_seconded`].
    pub fn second(&mut self, permits: &mut Permits<'_>, now: UnixMs, waited_ms: u64) -> Option<Next> {
        if self.attempts_made >= self.policy.max_attempts || now >= self.deadline || self.second.is_some() {
            return None;
        }
        let out = self.out?;
        for index in 0..self.hops.len() {
            if self.hops[index].standing != Standing::Fresh || index == out {
                continue;
            }
            match self.ask(index, Need::Beside, permits) {
                Some(probe) => {
                    let candidate = self.hops[index].candidate.clone();
                    let decision = format!(
                        "{}: beside {}, which had said nothing after {waited_ms} ms",
                        candidate.lane_name, self.hops[out].candidate.name
                    );
                    self.attempts_made += 1;
                    self.hops[index].attempts += 1;
                    self.second = Some(index);
                    return Some(Next::Try { candidate, wait_ms: 0, cause: Cause::Hedge, probe, decision });
                }
                None => self.hops[index].refused = None,
            }
        }
        None
    }

    /// The second attempt was not made after all: the candidate may still be tried in its turn.
    pub fn not_seconded(&mut self) {
        if let Some(index) = self.second.take() {
            self.attempts_made = self.attempts_made.saturating_sub(1);
            self.hops[index].attempts = self.hops[index].attempts.saturating_sub(1);
        }
    }

    /// One of two attempts came to nothing while the other goes on; the other's outcome is then the one that
    /// [`Route::next`] is told.
    pub fn lost(&mut self, model: ModelIndex, fault: &Fault, now: UnixMs) {
        let Some(index) = self.hops.iter().position(|hop| hop.candidate.model == model) else { return };
        // What follows is up to the other one.
        let _ = self.reported(index, Some(fault), now);
        let second = self.second.take();
        if self.out == Some(index) {
            self.out = second;
        }
    }

    /// Says that a model was tried before by this call, and failed: what a route is told that goes on where another ended.
    pub fn already_failed(&mut self, model: ModelIndex, class: FaultClass) {
        if let Some(hop) = self.hops.iter_mut().find(|hop| hop.candidate.model == model) {
            hop.attempts += 1;
            hop.standing = Standing::Failed(class);
        }
    }

    /// Takes the candidates of a lane out of this call.
    pub fn skip_lane(&mut self, lane: LaneIndex, why: &str) {
        for hop in self.hops.iter_mut().filter(|hop| hop.candidate.lane == lane && hop.standing == Standing::Fresh) {
            hop.standing = Standing::Skipped(why.to_owned());
        }
    }

    /// Says how many attempts the call has made already.
    pub fn go_on_after(&mut self, attempts_made: u16) {
        self.attempts_made = attempts_made;
    }

    /// The models that are left for this call and were not tried, where it has attempts left for one.
    pub fn others(&self) -> impl Iterator<Item = ModelIndex> {
        let left = self.attempts_made < self.policy.max_attempts;
        let untried = move |hop: &&Hop| left && hop.standing == Standing::Fresh && hop.attempts == 0;
        self.hops.iter().filter(untried).map(|hop| hop.candidate.model)
    }

    /// Whether another model is left that was not tried.
    pub fn has_another(&self) -> bool {
        self.others().next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use domain::{Class, Pick};

    use super::*;
    use crate::backoff::RetryPolicy;
    use crate::candidate::Candidate;
    use crate::health::Permit;

    fn candidate(model: usize) -> Candidate {
        Candidate {
            model,
            name: format!("model-{model}").as_str().into(),
            lane: 0,
            lane_name: "lane".into(),
            class: Class::B,
            pick: Pick::Best,
            expected_cost: None,
            quality_milli: None,
            first_token_ms: None,
            in_flight: 0,
            failed_percent: 0,
            cached_tokens: 0,
            bought: crate::Bought::Nothing,
        }
    }

    fn route() -> Route {
        Route::new((0..3).map(candidate).collect(), RetryPolicy::default(), 0, UnixMs(60_000))
    }

    fn model(next: Next) -> (usize, Cause) {
        match next {
            Next::Try { candidate, cause, .. } => (candidate.model, cause),
            Next::GiveUp { why, .. } => panic!("{why}"),
        }
    }

    const NOW: UnixMs = UnixMs(0);

    fn yes(_: ModelIndex, _: Need) -> Permit {
        Permit::Yes
    }

    #[test]
    fn the_second_is_the_next_candidate_and_the_call_goes_on_with_whichever_fails_last() {
        let reset = Fault::new(FaultClass::FirstTokenTimeout, "");
        for first_lost in [0, 1] {
            let mut route = route();
            assert_eq!(model(route.next(None, &mut yes, NOW)), (0, Cause::Serve));
            assert_eq!(model(route.second(&mut yes, NOW, 900).unwrap()), (1, Cause::Hedge));
            assert_eq!(route.second(&mut yes, NOW, 900), None, "one beside, not two");
            route.lost(first_lost, &reset, NOW);
            assert_eq!(model(route.next(Some(&reset), &mut yes, NOW)), (2, Cause::Failover));
            assert_eq!(route.attempts_made(), 3);
        }
    }

    #[test]
    fn a_second_that_was_not_made_counts_for_nothing() {
        let mut route = route();
        let _ = route.next(None, &mut yes, NOW);
        let _ = route.second(&mut yes, NOW, 900);
        route.not_seconded();
        assert_eq!(route.attempts_made(), 1);
        let slow = Fault::new(FaultClass::FirstTokenTimeout, "");
        assert_eq!(model(route.next(Some(&slow), &mut yes, NOW)), (1, Cause::Failover));
    }

    #[test]
    fn a_model_that_is_held_back_is_no_second() {
        let mut route = route();
        let _ = route.next(None, &mut yes, NOW);
        let mut permits = |model: usize, _: Need| match model {
            1 => Permit::No { until: NOW, since: NOW, why: crate::health::Refused::BreakerOpen },
            _ => Permit::Yes,
        };
        assert_eq!(model(route.second(&mut permits, NOW, 900).unwrap()).0, 2);
    }
}
