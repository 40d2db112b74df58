//! When a model is left alone because it keeps failing, and how it comes back.

use domain::UnixMs;
use serde::{Deserialize, Serialize};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerSettings {
    /// How many of the last outcomes are looked at.
    pub window: u16,
    /// Share of failures among them that opens the breaker, percent.
    pub open_at_failure_percent: u8,
    /// Below this many outcomes the share says nothing.
    pub min_samples: u16,
    /// Failures in a row that open it whatever the share.
    pub consecutive: u16,
    /// How long it stays open at first, milliseconds; doubled each time a probe fails.
    pub open_ms: u64,
    /// The longest it stays open, milliseconds.
    pub max_open_ms: u64,
    /// How many probes may be under way while half-open, and how many must succeed to close it.
    pub probes: u8,
}

impl Default for BreakerSettings {
    /// Half of the last 20 failed, of at least 5, or 5 in a row; open 5 s at first and 60 s at most; one probe.
    /// Held by scenarios/flapping_model.toml; a judgement, not a measurement.
    fn default() -> Self {
        BreakerSettings {
            window: 20,
            open_at_failure_percent: 50,
            min_samples: 5,
            consecutive: 5,
            open_ms: 5_000,
            max_open_ms: 60_000,
            probes: 1,
        }
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls go through.
    Closed,
    /// No calls until a time.
    Open,
    /// A few probes find out whether it is over.
    HalfOpen,
}

/// The breaker of one model. It is told outcomes that count (never a client's fault) and asked before each attempt.
#[derive(Clone, Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// When `state` was entered.
    since: UnixMs,
    /// End of the open time; meaningful while open.
    until: UnixMs,
    /// Length of the present or last open time, milliseconds.
    open_ms: u64,
    /// Whether the one attempt of last resort in this open time has been given away.
    last_resort_spent: bool,
    probes_out: u8,
    /// When the latest probe was let out.
    probe_at: UnixMs,
    probes_succeeded: u8,
    outcomes: Outcomes,
}

/// The last outcomes, as a ring of failed-or-not.
#[derive(Clone, Debug, Default)]
struct Outcomes {
    ring: Vec<bool>,
    next: usize,
    failures: u16,
    in_a_row: u16,
}

/// What a breaker says to an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// Go.
    Open,
    /// Go, and tell how it went: the probe decides.
    Probe,
    /// Not before `until`.
    Shut {
        /// When asking again may help.
        until: UnixMs,
    },
}

impl Breaker {
    /// A closed breaker without a past.
    pub fn new(settings: BreakerSettings) -> Breaker {
        Breaker {
            settings,
            state: State::Closed,
            since: UnixMs(0),
            until: UnixMs(0),
            open_ms: 0,
            last_resort_spent: false,
            probes_out: 0,
            probe_at: UnixMs(0),
            probes_succeeded: 0,
            outcomes: Outcomes::default(),
        }
    }

    /// Asks for one attempt now.
    pub fn gate(&mut self, now: UnixMs) -> Gate {
        self.turn(now);
        match self.state {
            State::Closed => Gate::Open,
            State::Open => Gate::Shut { until: self.until },
            State::HalfOpen if self.probes_out < self.settings.probes.max(1) => {
                self.probes_out += 1;
                self.probe_at = now;
                Gate::Probe
            }
            // Nobody knows how long the probe takes; half a second is when asking again is no waste.
            State::HalfOpen => Gate::Shut { until: now + 500 },
        }
    }

    /// Asks for the one attempt that each open time grants to callers who have nowhere else to go. Whether it is given
    /// decides here and at once, so that of a thousand such callers one goes.
    pub fn last_resort(&mut self, now: UnixMs) -> Gate {
        let gate = self.gate(now);
        if self.state == State::Open && !self.last_resort_spent {
            self.last_resort_spent = true;
            return Gate::Probe;
        }
        gate
    }

    /// An attempt went well.
    pub fn succeeded(&mut self, now: UnixMs, probe: bool) {
        self.turn(now);
        match self.state {
            State::Closed => self.outcomes.push(false, self.settings.window),
            // An attempt from before the breaker opened proves nothing about now.
            State::Open | State::HalfOpen if !probe => {}
            State::Open | State::HalfOpen => {
                self.probes_out = self.probes_out.saturating_sub(1);
                self.probes_succeeded = self.probes_succeeded.saturating_add(1);
                if self.probes_succeeded >= self.settings.probes.max(1) {
                    self.enter(State::Closed, now);
                    self.outcomes = Outcomes::default();
                } else if self.state == State::Open {
                    self.enter(State::HalfOpen, now);
                }
            }
        }
    }

    /// An attempt failed by the provider's or our own fault. `decisive` means that no further sample is needed: what
    /// failed will fail again, as with a spent quota.
    pub fn failed(&mut self, now: UnixMs, probe: bool, decisive: bool) {
        self.turn(now);
        match self.state {
            State::Closed => {
                self.outcomes.push(true, self.settings.window);
                if decisive || self.outcomes.too_many(&self.settings) {
                    self.open(now);
                }
            }
            State::HalfOpen if probe => self.open(now),
            // A failed last resort leaves the open time as it is.
            State::HalfOpen | State::Open => {}
        }
    }

    /// A probe ended without a verdict: its place is free again.
    pub fn abandoned(&mut self, probe: bool) {
        if probe {
            self.probes_out = self.probes_out.saturating_sub(1);
            self.last_resort_spent = false;
        }
    }

    /// Where it stands, since when, and until when it is open.
    pub fn state(&mut self, now: UnixMs) -> (State, UnixMs, Option<UnixMs>) {
        self.turn(now);
        (self.state, self.since, (self.state == State::Open).then_some(self.until))
    }

    /// Outcomes looked at, and the failures among them.
    pub fn samples(&self) -> (u16, u16) {
        (u16::try_from(self.outcomes.ring.len()).unwrap_or(u16::MAX), self.outcomes.failures)
    }

    fn open(&mut self, now: UnixMs) {
        // A model that closes only to open again is not a new trouble but the old one.
        let again = self.state == State::HalfOpen || self.closed_lately(now);
        let cap = self.settings.max_open_ms.max(self.settings.open_ms);
        self.open_ms = if again { self.open_ms.saturating_mul(2).min(cap) } else { self.settings.open_ms };
        self.enter(State::Open, now);
        self.until = now + self.open_ms;
    }

    fn closed_lately(&self, now: UnixMs) -> bool {
        self.state == State::Closed && self.open_ms > 0 && now.since(self.since) < self.open_ms.saturating_mul(2)
    }

    fn enter(&mut self, state: State, now: UnixMs) {
        self.state = state;
        self.since = now;
        self.last_resort_spent = false;
        self.probes_out = 0;
        if state != State::HalfOpen {
            self.probes_succeeded = 0;
        }
    }

    /// Lets time do its part. A clock that stepped back must not keep the breaker open longer than one open time, nor a
    /// probe that nobody reported hold its place for ever.
    fn turn(&mut self, now: UnixMs) {
        self.since = self.since.min(now);
        self.until = self.until.min(now + self.open_ms);
        self.probe_at = self.probe_at.min(now);
        match self.state {
            State::Open if now >= self.until => self.enter(State::HalfOpen, now),
            State::HalfOpen if self.probes_out > 0 && now.since(self.probe_at) >= self.lost_after_ms() => {
                self.probes_out = 0;
            }
            _ => {}
        }
    }

    /// After this long a probe counts as lost, milliseconds: no answer takes longer than the longest open time without
    /// another probe being worth its price.
    fn lost_after_ms(&self) -> u64 {
        self.settings.max_open_ms.max(self.settings.open_ms)
    }
}

impl Outcomes {
    fn push(&mut self, failed: bool, window: u16) {
        let window = usize::from(window.max(1));
        if self.ring.len() < window {
            self.ring.push(failed);
        } else {
            let oldest = std::mem::replace(&mut self.ring[self.next], failed);
            self.failures -= u16::from(oldest);
            self.next = (self.next + 1) % window;
        }
        self.failures += u16::from(failed);
        self.in_a_row = if failed { self.in_a_row.saturating_add(1) } else { 0 };
    }

    fn too_many(&self, settings: &BreakerSettings) -> bool {
        let samples = self.ring.len() as u64;
        let share_reached = u64::from(self.failures) * 100 >= u64::from(settings.open_at_failure_percent) * samples;
        let enough = samples >= u64::from(settings.min_samples);
        (enough && share_reached) || self.in_a_row >= settings.consecutive.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> UnixMs {
        UnixMs(second * 1000)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for _ in 0..5 {
            breaker.failed(at(0), false, false);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        assert_eq!(opened().gate(at(4)), Gate::Shut { until: at(5) });
    }

    #[test]
    fn half_of_the_window_failing_opens_it() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for _ in 0..3 {
            breaker.succeeded(at(0), false);
            assert_eq!(breaker.gate(at(0)), Gate::Open);
            breaker.failed(at(0), false, false);
        }
        assert_eq!(breaker.state(at(0)).0, State::Open);
    }

    #[test]
    fn a_spent_quota_opens_it_at_once() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        breaker.failed(at(0), false, true);
        assert_eq!(breaker.state(at(0)), (State::Open, at(0), Some(at(5))));
    }

    #[test]
    fn one_probe_at_a_time_and_its_success_closes() {
        let mut breaker = opened();
        assert_eq!(breaker.gate(at(5)), Gate::Probe);
        assert!(matches!(breaker.gate(at(5)), Gate::Shut { .. }));
        breaker.succeeded(at(6), true);
        assert_eq!(breaker.gate(at(6)), Gate::Open);
        assert_eq!(breaker.samples(), (0, 0));
    }

    #[test]
    fn a_failed_probe_doubles_the_open_time_up_to_its_cap() {
        let mut breaker = opened();
        let mut now = at(5);
        for expected_s in [10, 20, 40, 60, 60] {
            assert_eq!(breaker.gate(now), Gate::Probe);
            breaker.failed(now, true, false);
            let (_, since, until) = breaker.state(now);
            assert_eq!((since, until), (now, Some(now + expected_s * 1000)));
            now = until.unwrap();
        }
    }

    #[test]
    fn results_of_attempts_sent_before_it_opened_change_nothing() {
        let mut breaker = opened();
        breaker.succeeded(at(1), false);
        breaker.failed(at(1), false, false);
        assert_eq!(breaker.state(at(1)), (State::Open, at(0), Some(at(5))));
    }

    #[test]
    fn an_abandoned_or_lost_probe_frees_its_place() {
        let mut breaker = opened();
        assert_eq!(breaker.gate(at(5)), Gate::Probe);
        breaker.abandoned(true);
        assert_eq!(breaker.gate(at(6)), Gate::Probe);
        assert!(matches!(breaker.gate(at(7)), Gate::Shut { .. }));
        assert_eq!(breaker.gate(at(6 + 60)), Gate::Probe);
    }

    #[test]
    fn one_last_resort_each_open_time() {
        let mut breaker = opened();
        assert_eq!(breaker.last_resort(at(1)), Gate::Probe);
        assert_eq!(breaker.last_resort(at(1)), Gate::Shut { until: at(5) });
        breaker.failed(at(2), true, false);
        assert_eq!(breaker.state(at(2)), (State::Open, at(0), Some(at(5))));
        assert_eq!(breaker.last_resort(at(3)), Gate::Shut { until: at(5) });
        assert_eq!(breaker.gate(at(5)), Gate::Probe);
        breaker.failed(at(5), true, false);
        assert_eq!(breaker.last_resort(at(6)), Gate::Probe);
        breaker.succeeded(at(7), true);
        assert_eq!(breaker.state(at(7)).0, State::Closed);
    }

    #[test]
    fn a_clock_that_steps_back_keeps_it_open_one_open_time_at_most() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        for _ in 0..5 {
            breaker.failed(at(1_000_000), false, false);
        }
        assert_eq!(breaker.gate(at(10)), Gate::Shut { until: at(15) });
        assert_eq!(breaker.gate(at(15)), Gate::Probe);
    }

    proptest! {
        #[test]
        fn whatever_happens_it_never_stays_shut(events in prop::collection::vec((0u8..6, -100_000i64..100_000), 0..200)) {
            let mut breaker = Breaker::new(BreakerSettings::default());
            let mut now = UnixMs(1_000_000);
            for (event, step) in events {
                now = UnixMs(now.0 + step);
                match event {
                    0 => { breaker.gate(now); }
                    1 => breaker.succeeded(now, false),
                    2 => breaker.failed(now, false, false),
                    3 => breaker.failed(now, true, false),
                    4 => breaker.abandoned(true),
                    _ => breaker.succeeded(now, true),
                }
            }
            // Told nothing more, it lets an attempt through after at most the longest open time (and the longest a lost
            // probe counts), whatever the clock did before.
            let asked = breaker.gate(now);
            let later = breaker.gate(now + 60_000);
            let shut = |gate| matches!(gate, Gate::Shut { .. });
            prop_assert!(!(shut(asked) && shut(later)));
        }
    }
}
