//! How one model has been doing, over all calls: its breaker, its rate limit, its speed. One value per model, locked by
//! the caller; every method is short.

use std::fmt;

use domain::{Fault, FaultClass, QuotaClaim, UnixMs};
use serde::{Deserialize, Serialize};

use crate::breaker::{Breaker, BreakerSettings, Gate, State};
use crate::learned::Learned;
use crate::quota::{Amount, LONGEST_RATE_LIMIT_MS, Mark, Quota, QuotaView};

/// How many of the last measurements the percentiles look at.
pub const MEASUREMENTS: usize = 32;
/// A measurement older than this says nothing about now, milliseconds: ten minutes.
pub const MEASUREMENT_FRESH_MS: u64 = 600_000;
/// An unmeasured model gets one exploring call in this time, milliseconds: one a minute.
pub const EXPLORE_EVERY_MS: u64 = 60_000;

/// How long a refusal for the rate that comes alone keeps a model from all calls, milliseconds; the time it tells counts for the
/// call that met it, and for all once another has said so within that time.
pub const STRAY_LIMIT_MS: u64 = 1_000;

/// How many attempts [`ModelHealth::failed_percent`] looks at, at least.
pub const LEAST_SAMPLES: u16 = 10;

/// Health of one model.
#[derive(Clone, Debug)]
pub struct ModelHealth {
    breaker: Breaker,
    limited: Option<Limited>,
    /// What is left of the provider's quota, once it has told.
    quota: Option<Box<Quota>>,
    /// What it was seen to be where the provider does not tell.
    learned: Learned,
    first_token: Measured,
    latency: Measured,
    explored_at: Option<UnixMs>,
    in_flight: u32,
    last_fault: Option<LastFault>,
}

/// For what an attempt is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// The usual: to be sent at once, or after a short backoff.
    Usual,
    /// To measure a model nothing is known of, ahead of others. Granted once in [`EXPLORE_EVERY_MS`], and only while the
    /// breaker is closed: a model that is coming back is probed in its turn, not preferred.
    Explore,
    /// To be sent once the present rate limit is over: the caller waits that long.
    AfterRateLimit,
    /// To run beside an attempt that is slow. Granted only while the breaker is closed.
    Beside,
    /// There is nowhere else to go. Granted once in each open time of the breaker.
    LastResort,
}

/// The answer. `Yes` and `Probe` count the attempt as in flight: it must be reported by [`ModelHealth::succeeded`],
/// [`ModelHealth::failed`] or [`ModelHealth::abandoned`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permit {
    /// Go.
    Yes,
    /// Go, and report with `probe` set: the verdict closes or reopens the breaker.
    Probe,
    /// Do not.
    No {
        /// When asking again may help.
        until: UnixMs,
        /// Since when it has been so.
        since: UnixMs,
        /// What is in the way.
        why: Refused,
    },
}

/// What is in the way of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The breaker is open.
    BreakerOpen,
    /// The breaker is half-open and its probe is under way.
    ProbeUnderWay,
    /// The provider said when to come back.
    RateLimited,
    /// It has been explored a moment ago; ask for the usual.
    Explored,
}

/// A model's health as pages and metrics show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthView {
    /// Where the breaker stands.
    pub state: State,
    /// Since when; the epoch where nothing has happened yet.
    pub since: UnixMs,
    /// Until when it is open.
    pub open_until: Option<UnixMs>,
    /// Share of failures among the samples, percent, rounded down.
    pub failure_share_percent: u8,
    /// How many outcomes that is over.
    pub samples: u16,
    /// Median milliseconds to the first token of the last streamed answers.
    pub first_token_p50_ms: Option<u64>,
    /// Their 95th percentile, milliseconds.
    pub first_token_p95_ms: Option<u64>,
    /// Median milliseconds of the last whole attempts.
    pub latency_p50_ms: Option<u64>,
    /// Attempts under way.
    pub in_flight: u32,
    /// Until when the provider asked us to stay away.
    pub rate_limited_until: Option<UnixMs>,
    /// What the provider says is left of its quota, less what was sent since.
    #[serde(default)]
    pub quota: Vec<QuotaView>,
    /// The last fault that counted.
    pub last_fault: Option<LastFault>,
}

/// A fault without its words: a provider's message may quote a prompt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastFault {
    /// What kind.
    pub class: FaultClass,
    /// HTTP status, when there was one.
    pub status: Option<u16>,
    /// When.
    pub at: UnixMs,
}

#[derive(Clone, Copy, Debug)]
struct Limited {
    since: UnixMs,
    until: UnixMs,
    /// Until when the provider said; later than `until` where one answer alone has said so.
    told: UnixMs,
}

impl ModelHealth {
    /// A model nothing is known of.
    pub fn new(settings: BreakerSettings) -> ModelHealth {
        ModelHealth {
            breaker: Breaker::new(settings),
            limited: None,
            quota: None,
            learned: Learned::default(),
            first_token: Measured::default(),
            latency: Measured::default(),
            explored_at: None,
            in_flight: 0,
            last_fault: None,
        }
    }

    /// Asks for one attempt, whatever it uses of a quota of tokens.
    pub fn permit(&mut self, now: UnixMs, need: Need) -> Permit {
        self.permit_for(now, need, Amount::default)
    }

    /// Asks for one attempt that uses this much of the provider's quota; `amount` is asked only where a quota is known.
    pub fn permit_for(&mut self, now: UnixMs, need: Need, amount: impl FnOnce() -> Amount) -> Permit {
        let amount = (self.quota.is_some() || self.learned.is_known()).then(amount);
        let full = amount.and_then(|amount| self.quota.as_mut()?.full(&amount, now));
        if let (Some(amount), Some((since, until))) = (&amount, full.filter(|_| need == Need::AfterRateLimit))
            && !self.quota.as_mut().is_some_and(|quota| quota.may_wait(amount, now))
        {
            return Permit::No { until, since, why: Refused::RateLimited };
        }
        if let Some((since, until)) = amount.and_then(|amount| self.learned.full(amount.leaves_percent, now)) {
            return Permit::No { until, since, why: Refused::RateLimited };
        }
        let permit = self.judge(now, need, full.map(|(since, until)| Limited { since, until, told: until }));
        if !matches!(permit, Permit::No { .. }) {
            self.in_flight = self.in_flight.saturating_add(1);
            self.learned.sent(now);
            if let (Some(quota), Some(amount)) = (&mut self.quota, amount) {
                match full {
                    Some(_) => _ = quota.grant_later(&amount, now),
                    None => quota.grant(&amount, now),
                }
            }
        }
        permit
    }

    /// How far the count of what was sent is: an attempt takes it along, and hands it back with what its answer told.
    pub fn mark(&self) -> Mark {
        self.quota.as_ref().map_or_else(Mark::default, |quota| quota.mark())
    }

    /// Takes over what an answer told of the provider's quota.
    pub fn told(&mut self, claims: &[QuotaClaim], unread: u32, mark: Mark, now: UnixMs) {
        if self.quota.is_some() || !claims.is_empty() || unread > 0 {
            self.quota.get_or_insert_default().told(claims, unread, mark, now);
        }
    }

    /// Headers of answers that looked like limits and could not be read.
    pub fn unread_limits(&self) -> u64 {
        self.quota.as_ref().map_or(0, |quota| quota.unread())
    }

    fn judge(&mut self, now: UnixMs, need: Need, full: Option<Limited>) -> Permit {
        let (state, since, _) = self.breaker.state(now);
        let limited = match (self.limited(now), full) {
            (Some(one), Some(other)) => Some(Limited {
                since: one.since.min(other.since),
                until: one.until.max(other.until),
                told: one.told.max(other.told),
            }),
            (one, other) => one.or(other),
        };
        let limited = limited.filter(|_| need != Need::AfterRateLimit);
        // Asked for before the breaker is, so that a rate limit does not use up a probe.
        if let Some(limited) = limited.filter(|_| state != State::Open || need == Need::LastResort) {
            return Permit::No { until: limited.until, since: limited.since, why: Refused::RateLimited };
        }
        if need == Need::Beside && state != State::Closed {
            return Permit::No { until: now, since, why: Refused::ProbeUnderWay };
        }
        if need == Need::Explore {
            if state != State::Closed || !self.unexplored(now) {
                return Permit::No { until: now, since, why: Refused::Explored };
            }
            self.explored_at = Some(now);
        }
        let gate = if need == Need::LastResort { self.breaker.last_resort(now) } else { self.breaker.gate(now) };
        match gate {
            Gate::Open => Permit::Yes,
            Gate::Probe => Permit::Probe,
            Gate::Shut { until } if state == State::Open => {
                let until = limited.map_or(until, |limited| limited.until.max(until));
                Permit::No { until, since, why: Refused::BreakerOpen }
            }
            Gate::Shut { until } => Permit::No { until, since, why: Refused::ProbeUnderWay },
        }
    }

    /// The whole answer came.
    pub fn succeeded(&mut self, now: UnixMs, first_token_ms: Option<u64>, latency_ms: u64, probe: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.breaker.succeeded(now, probe);
        if let Some(first_token_ms) = first_token_ms {
            self.first_token.push(first_token_ms, now);
        }
        self.latency.push(latency_ms, now);
    }

    /// The attempt failed. A client's fault says nothing about the model and frees a probe's place without a verdict.
    /// So does a rate limit that says when to come back: the model stays out until then, or for [`STRAY_LIMIT_MS`] where it is
    /// the only one to say so, and its breaker is untouched.
    /// A spent quota opens the breaker at once.
    pub fn failed(&mut self, now: UnixMs, fault: &Fault, probe: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if !fault.class.trips_breaker() {
            self.breaker.abandoned(probe);
            return;
        }
        self.last_fault = Some(LastFault { class: fault.class, status: fault.status, at: now });
        let full = matches!(fault.class, FaultClass::RateLimited | FaultClass::Overloaded);
        if let Some(retry_after_ms) = fault.retry_after_ms.filter(|_| full) {
            let wait_ms = retry_after_ms.min(LONGEST_RATE_LIMIT_MS);
            let standing = self.limited(now);
            let is_stray = fault.class == FaultClass::RateLimited && self.limited.is_none();
            let until = now + if is_stray { wait_ms.min(STRAY_LIMIT_MS) } else { wait_ms };
            let since = standing.map_or(now, |limited| limited.since);
            let told = self.limited.map_or(now, |limited| limited.told).max(now + wait_ms);
            self.limited =
                Some(Limited { since, until: standing.map_or(until, |limited| limited.until.max(until)), told });
            if fault.class == FaultClass::RateLimited {
                if self.quota.as_ref().is_none_or(|quota| !quota.tells_requests()) {
                    self.learned.refused(wait_ms, !is_stray, now);
                }
                self.breaker.abandoned(probe);
                return;
            }
        }
        self.breaker.failed(now, probe, fault.class == FaultClass::QuotaExhausted);
    }

    /// The attempt ended without a verdict: never sent, or the client went away.
    pub fn abandoned(&mut self, probe: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.breaker.abandoned(probe);
    }

    /// Milliseconds to the first token: the median of the last [`MEASUREMENTS`] streamed answers. Where none was
    /// streamed lately, the median time of whole answers stands in; it is never the smaller of the two. Absent where
    /// nothing was measured within [`MEASUREMENT_FRESH_MS`], so that a model once slow gets another chance.
    pub fn first_token_ms(&self, now: UnixMs) -> Option<u64> {
        self.first_token.fresh_p50(now).or_else(|| self.latency.fresh_p50(now))
    }

    /// The longest that one of the last [`MEASUREMENTS`] whole answers took, milliseconds; absent where none came within
    /// [`MEASUREMENT_FRESH_MS`].
    pub fn slowest_ms(&self, now: UnixMs) -> Option<u64> {
        self.latency.ring.iter().copied().max().filter(|_| now.since(self.latency.last_at) < MEASUREMENT_FRESH_MS)
    }

    /// Whether neither its breaker nor a rate limit keeps the model out now. Grants nothing.
    pub fn is_free(&mut self, now: UnixMs) -> bool {
        self.limited(now).is_none() && self.breaker.state(now).0 == State::Closed
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Share of failures among the last attempts that count, percent, rounded down. Fewer than [`LEAST_SAMPLES`] count as if
    /// those missing had succeeded, so that one early failure does not condemn a model.
    pub fn failed_percent(&self) -> u8 {
        let (samples, failures) = self.breaker.samples();
        let share = u32::from(failures) * 100 / u32::from(samples.max(LEAST_SAMPLES));
        u8::try_from(share).unwrap_or(100)
    }

    /// What pages and metrics show.
    pub fn view(&mut self, now: UnixMs) -> HealthView {
        let (state, since, open_until) = self.breaker.state(now);
        let (samples, failures) = self.breaker.samples();
        let share = u32::from(failures) * 100 / u32::from(samples.max(1));
        HealthView {
            state,
            since,
            open_until,
            failure_share_percent: u8::try_from(share).unwrap_or(100),
            samples,
            first_token_p50_ms: self.first_token.p50(),
            first_token_p95_ms: self.first_token.percentile(95),
            latency_p50_ms: self.latency.p50(),
            in_flight: self.in_flight,
            rate_limited_until: self.limited(now).map(|limited| limited.until),
            quota: self.quota_view(now),
            last_fault: self.last_fault.clone(),
        }
    }

    fn quota_view(&mut self, now: UnixMs) -> Vec<QuotaView> {
        let told = self.quota.as_mut().map(|quota| quota.view(now)).unwrap_or_default();
        told.into_iter().chain(self.learned.view(now)).collect()
    }

    /// The rate limit in force. A clock that stepped back shortens it to the longest there is.
    fn limited(&mut self, now: UnixMs) -> Option<Limited> {
        let limited = self.limited.as_mut()?;
        limited.since = limited.since.min(now);
        limited.until = limited.until.min(now + LONGEST_RATE_LIMIT_MS);
        limited.told = limited.told.min(now + LONGEST_RATE_LIMIT_MS);
        if now >= limited.told {
            self.limited = None;
        }
        self.limited.filter(|limited| now < limited.until)
    }

    fn unexplored(&self, now: UnixMs) -> bool {
        self.explored_at.is_none_or(|at| now < at || now.since(at) >= EXPLORE_EVERY_MS)
    }
}

/// The last measurements of one thing, with their median kept ready: it is read far more often than it changes.
#[derive(Clone, Debug, Default)]
struct Measured {
    ring: Vec<u64>,
    next: usize,
    p50: Option<u64>,
    last_at: UnixMs,
}

impl Measured {
    fn push(&mut self, value_ms: u64, now: UnixMs) {
        if self.ring.len() < MEASUREMENTS {
            self.ring.push(value_ms);
        } else {
            self.ring[self.next] = value_ms;
            self.next = (self.next + 1) % MEASUREMENTS;
        }
        self.last_at = now;
        self.p50 = self.percentile(50);
    }

    fn p50(&self) -> Option<u64> {
        self.p50
    }

    fn fresh_p50(&self, now: UnixMs) -> Option<u64> {
        self.p50.filter(|_| now.since(self.last_at) < MEASUREMENT_FRESH_MS)
    }

    /// Nearest rank: the smallest value that at least `percent` of all do not exceed.
    fn percentile(&self, percent: usize) -> Option<u64> {
        let mut sorted = [0; MEASUREMENTS];
        let sorted = &mut sorted[..self.ring.len()];
        sorted.copy_from_slice(&self.ring);
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Need = Need::Usual;

    fn at(second: i64) -> UnixMs {
        UnixMs(second * 1000)
    }

    fn health() -> ModelHealth {
        ModelHealth::new(BreakerSettings::default())
    }

    fn fault(class: FaultClass, retry_after_ms: Option<u64>) -> Fault {
        Fault { retry_after_ms, ..Fault::new(class, "") }
    }

    #[test]
    fn a_clients_faults_never_count() {
        let mut health = health();
        for class in FaultClass::ALL.iter().filter(|class| !class.trips_breaker()) {
            for _ in 0..50 {
                health.failed(at(0), &fault(*class, None), false);
            }
        }
        let view = health.view(at(0));
        assert_eq!((view.state, view.samples, view.last_fault), (State::Closed, 0, None));
    }

    #[test]
    fn a_rate_limit_keeps_the_model_out_without_opening_its_breaker() {
        let mut health = health();
        for _ in 0..10 {
            health.failed(at(0), &fault(FaultClass::RateLimited, Some(3_000)), false);
        }
        let no = Permit::No { until: at(3), since: at(0), why: Refused::RateLimited };
        assert_eq!(health.permit(at(1), USUAL), no);
        assert_eq!(health.view(at(1)).state, State::Closed);
        assert_eq!(health.permit(at(1), Need::AfterRateLimit), Permit::Yes);
        assert_eq!(health.permit(at(3), USUAL), Permit::Yes);
    }

    #[test]
    fn a_rate_limit_that_one_answer_tells_alone_keeps_a_model_out_for_a_second() {
        let limited = |seconds: u64| fault(FaultClass::RateLimited, Some(seconds * 1_000));
        let mut health = health();
        health.failed(at(0), &limited(30), false);
        assert_eq!(health.permit(at(0), USUAL), Permit::No { until: at(1), since: at(0), why: Refused::RateLimited });
        assert_eq!(health.permit(at(1), USUAL), Permit::Yes);
        health.failed(at(2), &limited(28), false);
        assert_eq!(health.permit(at(29), USUAL), Permit::No { until: at(30), since: at(2), why: Refused::RateLimited });
        assert_eq!(health.permit(at(30), USUAL), Permit::Yes);
        health.failed(at(31), &limited(30), false);
        assert_eq!(health.permit(at(32), USUAL), Permit::Yes, "the one before is long over");
    }

    #[test]
    fn a_rate_limit_without_a_time_counts_like_any_failure() {
        let mut health = health();
        for _ in 0..5 {
            health.failed(at(0), &fault(FaultClass::RateLimited, None), false);
        }
        assert_eq!(health.view(at(0)).state, State::Open);
    }

    #[test]
    fn a_probe_answered_by_a_rate_limit_or_a_clients_fault_frees_its_place() {
        for class in [FaultClass::RateLimited, FaultClass::BadRequest] {
            let mut health = health();
            health.failed(at(0), &fault(FaultClass::QuotaExhausted, None), false);
            assert_eq!(health.permit(at(5), USUAL), Permit::Probe);
            assert!(matches!(health.permit(at(5), USUAL), Permit::No { why: Refused::ProbeUnderWay, .. }));
            health.failed(at(6), &fault(class, Some(1_000)), true);
            assert_eq!(health.permit(at(7), USUAL), Permit::Probe, "{class}");
        }
    }

    #[test]
    fn an_unmeasured_model_is_explored_once_a_minute_and_never_while_it_is_coming_back() {
        let mut health = health();
        assert_eq!(health.permit(at(0), Need::Explore), Permit::Yes);
        assert!(matches!(health.permit(at(1), Need::Explore), Permit::No { why: Refused::Explored, .. }));
        assert_eq!(health.permit(at(1), USUAL), Permit::Yes);
        assert_eq!(health.permit(at(60), Need::Explore), Permit::Yes);
        health.failed(at(100), &fault(FaultClass::QuotaExhausted, None), false);
        assert!(matches!(health.permit(at(200), Need::Explore), Permit::No { .. }));
        assert_eq!(health.permit(at(200), USUAL), Permit::Probe);
    }

    #[test]
    fn speed_is_the_median_of_what_was_measured_lately() {
        let mut health = health();
        assert_eq!(health.first_token_ms(at(0)), None);
        health.succeeded(at(0), None, 900, false);
        assert_eq!(health.first_token_ms(at(0)), Some(900));
        for first_token_ms in [100, 300, 200] {
            health.succeeded(at(0), Some(first_token_ms), 1_000, false);
        }
        assert_eq!(health.first_token_ms(at(1)), Some(200));
        assert_eq!(health.view(at(1)).first_token_p95_ms, Some(300));
        for _ in 0..MEASUREMENTS {
            health.succeeded(at(2), Some(50), 60, false);
        }
        assert_eq!(health.first_token_ms(at(3)), Some(50));
        assert_eq!(health.first_token_ms(at(700)), None);
    }

    #[test]
    fn every_permit_is_counted_until_it_is_reported() {
        let mut health = health();
        assert_eq!(health.permit(at(0), USUAL), Permit::Yes);
        assert_eq!(health.permit(at(0), USUAL), Permit::Yes);
        assert_eq!(health.permit(at(0), USUAL), Permit::Yes);
        assert_eq!(health.view(at(0)).in_flight, 3);
        health.succeeded(at(0), None, 1, false);
        health.failed(at(0), &fault(FaultClass::Reset, None), false);
        health.abandoned(false);
        assert_eq!(health.view(at(0)).in_flight, 0);
    }

    #[test]
    fn a_clock_that_steps_back_does_not_keep_a_rate_limit_for_ever() {
        let mut health = health();
        health.failed(at(1_000_000), &fault(FaultClass::RateLimited, Some(u64::MAX)), false);
        assert!(matches!(health.permit(at(5), USUAL), Permit::No { until, .. } if until == at(605)));
        assert_eq!(health.permit(at(605), USUAL), Permit::Yes);
    }
}
