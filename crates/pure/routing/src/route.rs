//! One call's way from model to model: the next hop, given what the last attempt came to.
//!
//! The order of hops:
//! 1. What the provider's fault suggests is over in a moment (a reset, a 500, a cut) is tried again on the same model,
//!    after a short random wait, `retries_same` times.
//! 2. A provider that says it is full (429, 503, 529, or any Retry-After) is left at once for the first candidate that
//!    is free now: going elsewhere costs the caller nothing, waiting does.
//! 3. Candidates not tried yet come first, in lane order and inside a lane as its pick ranks them; then those that were
//!    tried and may be tried again.
//!    The last attempt that a call has goes to a lane that was not tried, where one is free.
//! 4. Where all that is left is under a rate limit, the one that is over soonest is waited for, if that is within
//!    `max_wait_ms`.
//! 5. Where breakers hold back all there is and nothing has been tried, one call in each open time goes out all the same, to
//!    the model that would be probed soonest; the others are refused with the time at which asking again may help.
//!
//! No wait passes the call's deadline, and no model is sent to without its permit.

mod second;

use std::sync::Arc;

use domain::{Cause, Fault, FaultClass, NanoUsd, UnixMs};

use crate::backoff::{Chance, RetryPolicy};
use crate::candidate::{Candidate, LaneIndex, ModelIndex};
use crate::health::{Need, Permit, Refused};
use crate::hop::{Hop, Obstacle, Standing};
use crate::order::order;
use crate::sentence;
use crate::steer::{CriticalityIndex, Move, Mover};

/// The way of one call.
#[derive(Debug)]
pub struct Route {
    hops: Vec<Hop>,
    policy: RetryPolicy,
    chance: Chance,
    deadline: UnixMs,
    attempts_made: u16,
    /// Attempts beyond the policy's, for moments that were waited out.
    more_attempts: u16,
    /// Whether a moment was waited out since the last attempt.
    just_waited: bool,
    /// What moved the call away from where it would have begun.
    displaced: Option<Arc<Move>>,
    /// What would have moved the call, had there been anywhere to move it to.
    stuck: Option<Arc<Move>>,
    /// Of a move that keeps a share of the calls in order to find out whether it is over: that this call is one of them.
    finds_out: Option<Arc<Move>>,
    /// What the call should cost where it would begin if nothing were moved.
    usual_cost: Option<NanoUsd>,
    /// The hop that was handed out and not reported yet.
    out: Option<usize>,
    /// The hop of a second attempt beside it.
    second: Option<usize>,
}

/// Attempts that a call may make beyond its policy's for each moment that it waited out: at one model, and at another where that
/// one still fails.
const ATTEMPTS_AFTER_A_WAIT: u16 = 2;

/// What to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Send to this model.
    Try {
        /// Where to.
        candidate: Candidate,
        /// Wait this long first, milliseconds.
        wait_ms: u64,
        /// Why the attempt is spent: the first, the same model again, or another one.
        cause: Cause,
        /// Whether the attempt probes a breaker; to be reported along with its outcome.
        probe: bool,
        /// Why there, in one sentence for the record.
        decision: String,
    },
    /// Nothing more can be tried.
    GiveUp {
        /// Why, in one sentence.
        why: String,
        /// When trying again may help, milliseconds from now; absent where it will not.
        retry_after_ms: Option<u64>,
        /// Whether not one attempt could be made because breakers and rate limits hold back every model.
        all_open: bool,
        /// Whether time may help whose end is known: a model is held back by its breaker or a limit, or failed by a fault that passes
        /// and said when to come back. [`Route::waited_out`] lets the call go on after a wait.
        passes: bool,
    },
}

/// What is asked, for each model, before it is handed out: usually `health[model].permit(now, need)`.
pub type Permits<'a> = dyn FnMut(ModelIndex, Need) -> Permit + 'a;

impl Route {
    /// A way through `candidates`, which come in lane order; inside each lane they are ranked here by the lane's pick. A
    /// model that several lanes name counts where it first appears. The seed decides the random part of waits, and who
    /// is drawn under `balanced`.
    pub fn new(mut candidates: Vec<Candidate>, policy: RetryPolicy, seed: u64, deadline: UnixMs) -> Route {
        for lane in candidates.chunk_by_mut(|one, next| one.lane == next.lane) {
            let pick = lane[0].pick;
            order(lane, pick, seed);
        }
        let mut hops: Vec<Hop> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if !hops.iter().any(|hop| hop.candidate.model == candidate.model) {
                hops.push(Hop {
                    candidate,
                    attempts: 0,
                    standing: Standing::Fresh,
                    refused: None,
                    back_at: None,
                    moved: None,
                });
            }
        }
        let usual_cost = hops.first().and_then(|hop| hop.candidate.expected_cost);
        Route {
            hops,
            policy,
            chance: Chance::new(seed),
            deadline,
            attempts_made: 0,
            more_attempts: 0,
            just_waited: false,
            displaced: None,
            stuck: None,
            finds_out: None,
            usual_cost,
            out: None,
            second: None,
        }
    }

    /// Moves this call away from where moves say so; to be asked once, before the first hop. What it is moved away from
    /// comes after all else, in the order it had; where its price is why, after all that costs less. Where every candidate would be moved, none is. The seed decides which
    /// calls a move that keeps a share meets.
    pub fn steer(&mut self, moves: &[Arc<Move>], criticality: Option<CriticalityIndex>, seed: u64) {
        if moves.is_empty() {
            return;
        }
        for index in 0..self.hops.len() {
            let candidate = &self.hops[index].candidate;
            let leads = |one: &Move| one.kept.times_milli().is_none_or(|times| self.is_undercut(index, times));
            let meets = |one: &&Arc<Move>| one.concerns(candidate) && one.meets(criticality, seed) && leads(one);
            // What moves a call whatever it costs goes before what does where that is dearer.
            let weakest = |one: &&Arc<Move>| one.kept.times_milli().is_some();
            self.hops[index].moved = moves.iter().filter(meets).min_by_key(weakest).cloned();
        }
        let stays = |one: &&Arc<Move>| {
            let is_first = self.hops.first().is_some_and(|hop| hop.moved.is_none() && one.concerns(&hop.candidate));
            one.by == Mover::Anomaly && is_first && !one.meets(criticality, seed)
        };
        self.finds_out = moves.iter().find(stays).cloned();
        if self.hops.iter().all(|hop| hop.moved.is_some()) {
            self.stuck = self.hops.iter_mut().filter_map(|hop| hop.moved.take()).next();
        }
        let first = self.hops.first().map(|hop| (hop.candidate.model, hop.moved.clone()));
        let price = |hop: &Hop| hop.moved.as_ref().and_then(|one| one.kept.times_milli());
        self.hops.sort_by_key(|hop| hop.moved.is_some() && price(hop).is_none());
        for index in 0..self.hops.len() {
            if let Some(times_milli) = price(&self.hops[index]) {
                self.behind_cheaper(index, times_milli);
            }
        }
        let begins = self.hops.first().map(|hop| hop.candidate.model);
        self.displaced = first.filter(|(model, _)| Some(*model) != begins).and_then(|(_, moved)| moved);
    }

    /// Puts a hop behind those after it that are expected to cost less than it does now, and before the others: what is dearer
    /// still is no way out.
    fn behind_cheaper(&mut self, index: usize, times_milli: u64) {
        let Some(now) = self.cost_now(index, times_milli) else { return };
        let hop = self.hops.remove(index);
        let is_cheaper = |hop: &Hop| hop.candidate.expected_cost.is_some_and(|cost| i128::from(cost.0) < now);
        self.hops[index..].sort_by_key(|hop| !is_cheaper(hop));
        let cheaper = self.hops[index..].iter().take_while(|hop| is_cheaper(hop)).count();
        self.hops.insert(index + cheaper, hop);
    }

    /// What a hop costs at so many times what is expected of it, nano-dollars.
    fn cost_now(&self, index: usize, times_milli: u64) -> Option<i128> {
        let expected = self.hops[index].candidate.expected_cost?;
        Some(i128::from(expected.0) * i128::from(times_milli) / 1000)
    }

    /// Whether a later candidate is expected to cost less than this one at so many times what is expected of it.
    fn is_undercut(&self, index: usize, times_milli: u64) -> bool {
        let Some(now) = self.cost_now(index, times_milli) else { return false };
        let mut later = self.hops[index + 1..].iter().filter_map(|hop| hop.candidate.expected_cost);
        later.any(|cost| i128::from(cost.0) < now)
    }

    /// The next hop. `last` is the fault of the attempt handed out before; it is not looked at when there was none, or
    /// when the caller has skipped it, so a caller may keep handing in the last fault it knows.
    ///
    /// A candidate handed out has its model's permit, which the caller owes a report.
    pub fn next(&mut self, last: Option<&Fault>, permits: &mut Permits<'_>, now: UnixMs) -> Next {
        let mut again = None;
        if let Some(index) = self.out.take() {
            match self.reported(index, last, now) {
                Verdict::Surface(class) => return self.surface(class),
                Verdict::Again => again = Some(index),
                Verdict::Elsewhere => {}
            }
        }
        let most = self.policy.max_attempts.saturating_add(self.more_attempts);
        if self.attempts_made >= most {
            return self.give_up(format_args!("{} of {most} attempts made", self.attempts_made), now);
        }
        if now >= self.deadline {
            return self.give_up(format_args!("the call's time is up"), now);
        }
        self.hops.iter_mut().for_each(|hop| hop.refused = None);

        self.last_chance(permits, now)
            .or_else(|| again.and_then(|index| self.after_backoff(index, permits, now)))
            .or_else(|| self.fresh(permits, now))
            .or_else(|| self.once_more(permits, now))
            .or_else(|| self.after_rate_limit(permits, now))
            .or_else(|| self.last_resort(permits, now))
            .unwrap_or_else(|| self.give_up(format_args!("no model can be tried now"), now))
    }

    /// Says that the caller waited because nothing but time stood in the way. A few attempts more may be made for it, also at models
    /// that failed by a fault that passes.
    pub fn waited_out(&mut self) {
        self.more_attempts =
            self.more_attempts.saturating_add(u16::from(self.attempts_made > 0) * ATTEMPTS_AFTER_A_WAIT);
        self.just_waited = true;
        for hop in &mut self.hops {
            if let Standing::Failed(class) = hop.standing
                && passes(class)
            {
                hop.standing = Standing::Again(class);
            }
        }
    }

    /// Takes a model out of this call because the caller cannot use it: it cannot say the request, its price does not
    /// fit. When it was the one just handed out, that attempt counts as not made; its permit is the caller's to give back.
    pub fn skip(&mut self, model: ModelIndex, why: &str) {
        let Some(index) = self.hops.iter().position(|hop| hop.candidate.model == model) else { return };
        if self.out == Some(index) {
            self.out = None;
            self.attempts_made = self.attempts_made.saturating_sub(1);
            self.hops[index].attempts = self.hops[index].attempts.saturating_sub(1);
        }
        self.hops[index].standing = Standing::Skipped(why.to_owned());
    }

    /// Takes out every model that is not expected to cost less than `expected`, those without a price included: what a
    /// caller does whose budget has just refused a model expected to cost that much and says `at_limit = "downgrade"`.
    ///
    /// The hold of each candidate that is left still decides, because a hold is made on the upper bound, which the route
    /// does not know: refused again, call this again (or [`Route::skip`]), and ask for the next.
    pub fn only_cheaper_than(&mut self, expected: NanoUsd, why: &str) {
        for index in 0..self.hops.len() {
            let candidate = &self.hops[index].candidate;
            if candidate.expected_cost.is_none_or(|cost| cost >= expected) {
                let model = candidate.model;
                if !matches!(self.hops[index].standing, Standing::Failed(_) | Standing::Skipped(_)) {
                    self.skip(model, why);
                }
            }
        }
    }

    /// What the call should cost where it would begin if nothing were moved.
    pub fn usual_cost(&self) -> Option<NanoUsd> {
        self.usual_cost
    }

    /// The lanes that were to answer this call and did not, all but the one that does: a model of theirs failed by no fault
    /// of the client, or was held back by its breaker or a rate limit. To be asked when no further hop is.
    pub fn missed(&self, answers: Option<LaneIndex>) -> impl Iterator<Item = LaneIndex> {
        let missed = |hop: &&Hop| match &hop.standing {
            Standing::Failed(class) | Standing::Again(class) => class.trips_breaker(),
            Standing::Fresh => hop.refused.is_some(),
            Standing::Skipped(_) => false,
        };
        let mut lanes: Vec<LaneIndex> = Vec::new();
        for lane in self.hops.iter().filter(missed).map(|hop| hop.candidate.lane) {
            if Some(lane) != answers && !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        lanes.into_iter()
    }

    /// What moves this call away from the model that would have been its first, if anything does.
    pub fn moved(&self) -> Option<&Move> {
        self.displaced.as_deref()
    }

    /// How many attempts have been handed out and not skipped.
    pub fn attempts_made(&self) -> u16 {
        self.attempts_made
    }

    /// What a fault means for the model it came from, and for the rest.
    fn reported(&mut self, index: usize, fault: Option<&Fault>, now: UnixMs) -> Verdict {
        let hop = &mut self.hops[index];
        let Some(fault) = fault else {
            // No verdict: whatever became of it, this call has had its turn there.
            hop.standing = Standing::Failed(FaultClass::Internal);
            return Verdict::Elsewhere;
        };
        hop.back_at = fault.retry_after_ms.map(|wait_ms| now + wait_ms);
        let long_wait = fault.retry_after_ms.is_some_and(|wait_ms| wait_ms > self.policy.max_wait_ms);
        let again = fault.class.retry_same() && hop.attempts <= self.policy.retries_same && !long_wait;
        hop.standing = if again { Standing::Again(fault.class) } else { Standing::Failed(fault.class) };
        let full = matches!(fault.class, FaultClass::RateLimited | FaultClass::Overloaded);
        if !again && !fault.class.try_next() {
            Verdict::Surface(fault.class)
        } else if again && !full && fault.retry_after_ms.is_none() {
            Verdict::Again
        } else {
            Verdict::Elsewhere
        }
    }

    /// For the last attempt, the first free candidate of a lane that was not tried yet. What fails a whole lane, such as the outage
    /// of the one vendor in it, would otherwise use up all that a call has.
    fn last_chance(&mut self, permits: &mut Permits<'_>, now: UnixMs) -> Option<Next> {
        if self.attempts_made == 0 || self.attempts_made + 1 != self.policy.max_attempts {
            return None;
        }
        let tried = |lane: LaneIndex| self.hops.iter().any(|hop| hop.attempts > 0 && hop.candidate.lane == lane);
        let untried: Vec<usize> = (0..self.hops.len())
            .filter(|index| self.hops[*index].standing == Standing::Fresh && !tried(self.hops[*index].candidate.lane))
            .collect();
        untried.into_iter().find_map(|index| {
            let probe = self.ask(index, Need::Usual, permits)?;
            Some(self.hand_out(index, 0, probe, Need::Usual, now))
        })
    }

    /// The first candidate not tried yet whose model is free.
    fn fresh(&mut self, permits: &mut Permits<'_>, now: UnixMs) -> Option<Next> {
        let mut explored_lane = None;
        for index in 0..self.hops.len() {
            if self.hops[index].standing != Standing::Fresh {
                continue;
            }
            let lane = self.hops[index].candidate.lane;
            if explored_lane != Some(lane) {
                explored_lane = Some(lane);
                if let Some(next) = self.explore(lane, permits, now) {
                    return Some(next);
                }
            }
            if let Some(probe) = self.ask(index, Need::Usual, permits) {
                return Some(self.hand_out(index, 0, probe, Need::Usual, now));
            }
        }
        None
    }

    /// Under `fastest`, a model of the lane that nothing is known of goes first, once in a while.
    fn explore(&mut self, lane: usize, permits: &mut Permits<'_>, now: UnixMs) -> Option<Next> {
        for index in 0..self.hops.len() {
            let hop = &self.hops[index];
            let unmeasured = hop.candidate.pick == domain::Pick::Fastest
                && hop.candidate.first_token_ms.is_none()
                && hop.moved.is_none();
            if unmeasured && hop.candidate.lane == lane && hop.standing == Standing::Fresh {
                let probe = self.ask(index, Need::Explore, permits);
                // A refusal to be explored is none to be used.
                self.hops[index].refused = None;
                if let Some(probe) = probe {
                    return Some(self.hand_out(index, 0, probe, Need::Explore, now));
                }
            }
        }
        None
    }

    /// The first candidate that was tried before and may be tried again.
    fn once_more(&mut self, permits: &mut Permits<'_>, now: UnixMs) -> Option<Next> {
        let retryable = |hop: &Hop| matches!(hop.standing, Standing::Again(_)) && hop.refused.is_none();
        (0..self.hops.len())
            .find_map(|index| if retryable(&self.hops[index]) { self.after_backoff(index, permits, now) } else { None })
    }

    fn after_backoff(&mut self, index: usize, permits: &mut Permits<'_>, now: UnixMs) -> Option<Next> {
        let backoff_ms = self.policy.wait_ms(self.attempts_made.saturating_sub(1), &mut self.chance);
        let wait_ms = if self.just_waited { 0 } else { backoff_ms };
        if now + wait_ms >= self.deadline {
            return None;
        }
        let probe = self.ask(index, Need::Usual, permits)?;
        Some(self.hand_out(index, wait_ms, probe, Need::Usual, now))
    }

    /// Waits for the rate limit that is over soonest.
    fn after_rate_limit(&mut self, permits: &mut Permits<'_>, now: UnixMs) -> Option<Next> {
        let (until, index) = self.soonest(Refused::RateLimited)?;
        // Those who were told the same time should not all come at the same moment.
        let spread_ms = self.chance.below(self.policy.base_ms.min(100));
        let wait_ms = until.since(now);
        if wait_ms > self.policy.max_wait_ms {
            return None;
        }
        let wait_ms = (wait_ms + spread_ms).min(self.policy.max_wait_ms);
        if now + wait_ms >= self.deadline {
            return None;
        }
        let probe = self.ask(index, Need::AfterRateLimit, permits)?;
        Some(self.hand_out(index, wait_ms, probe, Need::AfterRateLimit, now))
    }

    fn last_resort(&mut self, permits: &mut Permits<'_>, now: UnixMs) -> Option<Next> {
        if self.attempts_made > 0 {
            return None;
        }
        let (_, index) = self.soonest(Refused::BreakerOpen)?;
        let probe = self.ask(index, Need::LastResort, permits)?;
        Some(self.hand_out(index, 0, probe, Need::LastResort, now))
    }

    /// Of the candidates refused for this reason, the one that is free again first.
    fn soonest(&self, why: Refused) -> Option<(UnixMs, usize)> {
        let refused = self.hops.iter().enumerate().filter_map(|(index, hop)| match hop.refused {
            // What this call was told itself holds for it, also where it does not for the others.
            Some(obstacle) if obstacle.why == why => Some((obstacle.until.max(hop.back_at.unwrap_or_default()), index)),
            _ => None,
        });
        refused.min()
    }

    /// Asks a model's permit: whether it may be tried, and then whether as a probe.
    fn ask(&mut self, index: usize, need: Need, permits: &mut Permits<'_>) -> Option<bool> {
        let hop = &mut self.hops[index];
        match permits(hop.candidate.model, need) {
            Permit::Yes => Some(false),
            Permit::Probe => Some(true),
            Permit::No { until, since, why } => {
                hop.refused = Some(Obstacle { why, since, until });
                None
            }
        }
    }

    fn hand_out(&mut self, index: usize, wait_ms: u64, probe: bool, need: Need, now: UnixMs) -> Next {
        let cause = match (self.attempts_made, self.hops[index].attempts) {
            (0, _) => Cause::Serve,
            (_, 0) => Cause::Failover,
            _ => Cause::Retry,
        };
        let mut decision = sentence::decision(&self.hops, index, wait_ms, probe, need, now);
        if let Some(stuck) = &self.stuck {
            sentence::stuck(&mut decision, stuck);
        }
        let here = |one: &&Arc<Move>| one.concerns(&self.hops[index].candidate);
        if let Some(one) = self.finds_out.as_ref().filter(here) {
            sentence::finds_out(&mut decision, one);
        }
        self.attempts_made += 1;
        self.just_waited = false;
        self.hops[index].attempts += 1;
        self.out = Some(index);
        Next::Try { candidate: self.hops[index].candidate.clone(), wait_ms, cause, probe, decision }
    }

    /// Gives up because the fault is one that no other model would mend.
    fn surface(&self, class: FaultClass) -> Next {
        let why = match class {
            FaultClass::ClientGone => "the client went away".to_owned(),
            class => format!("{class}: no other attempt would change that"),
        };
        Next::GiveUp { why, retry_after_ms: None, all_open: false, passes: false }
    }

    fn give_up(&self, what: std::fmt::Arguments<'_>, now: UnixMs) -> Next {
        let in_play = |hop: &&Hop| !matches!(hop.standing, Standing::Skipped(_));
        let back_at = |hop: &Hop| hop.refused.map(|obstacle| obstacle.until).or(hop.back_at);
        let soonest = self.hops.iter().filter(in_play).filter_map(back_at).map(|until| until.since(now)).min();
        let all_open = self.attempts_made == 0
            && self.hops.iter().any(|hop| hop.refused.is_some())
            && self.hops.iter().filter(in_play).all(|hop| hop.refused.is_some());
        let passes = self.hops.iter().filter(in_play).any(|hop| match hop.standing {
            Standing::Again(class) | Standing::Failed(class) => passes(class) && hop.back_at.is_some_and(|at| at > now),
            _ => hop.refused.is_some(),
        });
        Next::GiveUp { why: sentence::give_up(&self.hops, what, now), retry_after_ms: soonest, all_open, passes }
    }
}

/// Whether the model that failed so may answer the same request a moment later.
fn passes(class: FaultClass) -> bool {
    class.retry_same() || matches!(class, FaultClass::RateLimited | FaultClass::Overloaded)
}

enum Verdict {
    /// The same model may be tried again right away.
    Again,
    /// Another one first.
    Elsewhere,
    /// Nothing else would help.
    Surface(FaultClass),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::Bought;
    use domain::{Class, Pick};

    fn candidate(model: usize, cost: Option<i64>) -> Candidate {
        Candidate {
            model,
            name: format!("model-{model}").as_str().into(),
            lane: model,
            lane_name: format!("lane-{model}").as_str().into(),
            class: Class::B,
            pick: Pick::Best,
            expected_cost: cost.map(NanoUsd),
            quality_milli: None,
            first_token_ms: None,
            in_flight: 0,
            failed_percent: 0,
            cached_tokens: 0,
            bought: Bought::Nothing,
        }
    }

    fn tried(next: Next) -> (usize, Cause) {
        match next {
            Next::Try { candidate, cause, .. } => (candidate.model, cause),
            Next::GiveUp { why, .. } => panic!("{why}"),
        }
    }

    #[test]
    fn a_downgrade_leaves_only_what_is_expected_to_cost_less() {
        let candidates =
            vec![candidate(0, Some(50)), candidate(1, Some(70)), candidate(2, None), candidate(3, Some(9))];
        let mut route = Route::new(candidates, RetryPolicy::default(), 0, UnixMs(1_000));
        let mut yes = |_: ModelIndex, _: Need| Permit::Yes;
        assert_eq!(tried(route.next(None, &mut yes, UnixMs(0))), (0, Cause::Serve));
        route.only_cheaper_than(NanoUsd(50), "the budget does not cover it");
        assert_eq!(route.attempts_made(), 0);
        assert_eq!(tried(route.next(None, &mut yes, UnixMs(0))), (3, Cause::Serve));
    }

    #[test]
    fn a_fault_handed_in_again_after_a_skip_is_not_counted_twice() {
        let mut route = Route::new(
            vec![candidate(0, None), candidate(1, None), candidate(2, None)],
            RetryPolicy::default(),
            0,
            UnixMs(1_000),
        );
        let mut yes = |_: ModelIndex, _: Need| Permit::Yes;
        let slow = Fault::new(FaultClass::FirstTokenTimeout, "");
        assert_eq!(tried(route.next(None, &mut yes, UnixMs(0))).0, 0);
        assert_eq!(tried(route.next(Some(&slow), &mut yes, UnixMs(0))), (1, Cause::Failover));
        route.skip(1, "its price does not fit");
        assert_eq!(tried(route.next(Some(&slow), &mut yes, UnixMs(0))), (2, Cause::Failover));
        assert_eq!(route.attempts_made(), 2);
    }

    #[test]
    fn the_last_attempt_goes_to_a_lane_that_was_not_tried() {
        let candidates = vec![candidate(0, None), Candidate { lane: 0, ..candidate(1, None) }, candidate(2, None)];
        let mut route = Route::new(candidates, RetryPolicy::default(), 0, UnixMs(90_000));
        let mut yes = |_: ModelIndex, _: Need| Permit::Yes;
        let refused = Fault::new(FaultClass::Connect, "");
        let models: Vec<usize> =
            (0..4).map(|made| tried(route.next((made > 0).then_some(&refused), &mut yes, UnixMs(0))).0).collect();
        assert_eq!(models, [0, 0, 1, 2], "not the second try of the second model of a lane whose vendor is away");
    }

    #[test]
    fn a_call_without_candidates_is_given_up_in_words() {
        let mut route = Route::new(Vec::new(), RetryPolicy::default(), 0, UnixMs(1_000));
        let next = route.next(None, &mut |_, _| Permit::Yes, UnixMs(0));
        let why = "no model can be tried now: there is no candidate".to_owned();
        assert_eq!(next, Next::GiveUp { why, retry_after_ms: None, all_open: false, passes: false });
    }
}
