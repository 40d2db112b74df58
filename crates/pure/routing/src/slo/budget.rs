//! One budget of errors: good and bad events in buckets of a minute and of an hour, and how fast the bad ones come. Bounded:
//! 360 minutes and 720 hours of two counts each, nine kilobytes however many events there are.

use domain::UnixMs;
use serde::Serialize;

use super::{ALERTS, Alert, BUDGET_MS, HOUR_MS, MINUTE_MS};

/// Minutes kept: the longest window that is measured in minutes is six hours, and the present minute is not whole.
const MINUTES: usize = 361;
/// Hours kept: thirty days, and the present one.
const HOURS: usize = 721;

/// Fewer events than these say nothing, however many of them are bad: an alert needs as many in its long window.
pub const LEAST_EVENTS: u64 = 30;

/// Bad events that the short window of an alert needs. Without, a single one wakes somebody hours after an outage of a quiet
/// lane, because the long window still remembers that: seen in scenarios/slo/outage_of_a_quiet_lane.toml.
pub const LEAST_BAD: u64 = 3;

/// The square of the 90th percentile of the normal distribution (1.28155), ten-thousandths: how sure an alert is.
const Z_SQUARED_E4: u128 = 16_424;

/// Share of events that may be bad, millionths; above 0 and at most a million.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Allowed(u32);

impl Allowed {
    /// What a 95th percentile allows: 5 of 100.
    pub const P95: Allowed = Allowed(50_000);

    /// So many millionths; none where that is no share, or nothing.
    pub const fn millionths(millionths: u32) -> Option<Allowed> {
        if millionths == 0 || millionths > 1_000_000 { None } else { Some(Allowed(millionths)) }
    }

    /// What a share of successes in thousandths of a percent allows to fail: 99 900 allows 1000 of a million.
    pub const fn beside_success(success_millipercent: u32) -> Option<Allowed> {
        match 100_000_u32.checked_sub(success_millipercent) {
            Some(rest) => Allowed::millionths(rest * 10),
            None => None,
        }
    }

    /// The millionths.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// How many events were good and how many bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Events {
    /// As promised.
    pub good: u64,
    /// Not.
    pub bad: u64,
}

impl Events {
    /// All of them.
    pub fn all(self) -> u64 {
        self.good + self.bad
    }

    /// How many times the even use of the budget the bad ones are, thousandths; 0 where there are none.
    pub fn burn_milli(self, allowed: Allowed) -> u64 {
        let even = u128::from(self.all()) * u128::from(allowed.0);
        let burn = u128::from(self.bad) * 1_000_000_000 / even.max(1);
        u64::try_from(burn).unwrap_or(u64::MAX)
    }

    /// Whether they burn faster than so many thousandths now, by more than one or two that may be by chance.
    fn burn_above(self, burn_milli: u32, allowed: Allowed) -> bool {
        self.bad >= LEAST_BAD && self.burn_milli(allowed) > u64::from(burn_milli)
    }

    /// Whether they surely do: there are at least [`LEAST_EVENTS`], and the lower end of Wilson's one-sided 90 % interval
    /// lies above that share. Wilson's interval holds the shares that the score test does not reject, so the lower end of `b`
    /// bad of `n` lies above `p` just where `(b/n - p)² > z²·p(1-p)/n`, which needs no root and no float (Wilson, 1927).
    fn surely_burn_above(self, burn_milli: u32, allowed: Allowed) -> bool {
        let share_e6 = u128::from(burn_milli) * u128::from(allowed.0) / 1000;
        let count = u128::from(self.all());
        let over = (u128::from(self.bad) * 1_000_000).checked_sub(count * share_e6);
        match over {
            Some(over) if share_e6 < 1_000_000 && self.all() >= LEAST_EVENTS => {
                over * over * 10_000 > Z_SQUARED_E4 * share_e6 * (1_000_000 - share_e6) * count
            }
            _ => false,
        }
    }
}

/// Buckets of one width, the last so many of them.
#[derive(Clone, Debug)]
struct Ring {
    width_ms: u64,
    /// Number of the bucket that is filled now, since the epoch.
    at: i64,
    buckets: Box<[(u32, u32)]>,
}

impl Ring {
    fn new(width_ms: u64, count: usize) -> Ring {
        Ring { width_ms, at: 0, buckets: vec![(0, 0); count].into() }
    }

    fn number(&self, at: UnixMs) -> i64 {
        at.0.div_euclid(i64::try_from(self.width_ms).unwrap_or(i64::MAX))
    }

    fn place(&self, number: i64) -> usize {
        let count = i64::try_from(self.buckets.len()).expect("a few hundred buckets");
        usize::try_from(number.rem_euclid(count)).expect("a remainder is not below zero")
    }

    /// Makes `now` the present bucket. A clock that stepped back goes on in the one it was in.
    fn turn(&mut self, now: UnixMs) {
        let number = self.number(now);
        let missed = number.saturating_sub(self.at).clamp(0, i64::try_from(self.buckets.len()).unwrap_or(i64::MAX));
        for back in 0..missed {
            let place = self.place(number - back);
            self.buckets[place] = (0, 0);
        }
        self.at = self.at.max(number);
    }

    /// Adds to the bucket of a time that is not ahead of the present one; what is older than all buckets is left out.
    fn add(&mut self, at: UnixMs, events: Events) {
        let number = self.number(at).min(self.at);
        if self.at - number < i64::try_from(self.buckets.len()).unwrap_or(i64::MAX) {
            let place = self.place(number);
            let (good, bad) = &mut self.buckets[place];
            *good = good.saturating_add(u32::try_from(events.good).unwrap_or(u32::MAX));
            *bad = bad.saturating_add(u32::try_from(events.bad).unwrap_or(u32::MAX));
        }
    }

    /// Makes one event of the bucket of a time another one: it was counted as `good`, and is not. Whether the bucket is still kept.
    fn turn_over(&mut self, at: UnixMs, good: bool) -> bool {
        let number = self.number(at).min(self.at);
        if self.at - number >= i64::try_from(self.buckets.len()).unwrap_or(i64::MAX) {
            return false;
        }
        let place = self.place(number);
        let (goods, bads) = &mut self.buckets[place];
        let (from, to) = if good { (goods, bads) } else { (bads, goods) };
        if *from == 0 {
            return false;
        }
        *from -= 1;
        *to = to.saturating_add(1);
        true
    }

    /// The buckets with events from the one on in which `from` lies, newest first, each with its start.
    fn from(&self, from: UnixMs) -> impl Iterator<Item = (UnixMs, Events)> {
        let oldest = (self.at - i64::try_from(self.buckets.len()).unwrap_or(i64::MAX) + 1).max(self.number(from));
        let width = i64::try_from(self.width_ms).unwrap_or(i64::MAX);
        let bucket = move |number: i64| {
            let (good, bad) = self.buckets[self.place(number)];
            (UnixMs(number * width), Events { good: good.into(), bad: bad.into() })
        };
        (oldest..=self.at).rev().map(bucket).filter(|(_, events)| events.all() > 0)
    }

    /// The events of the last `window_ms`, the present bucket and as many whole ones as the window has.
    fn last(&self, window_ms: u64) -> Events {
        let count = i64::try_from(window_ms / self.width_ms).unwrap_or(i64::MAX);
        let mut events = Events::default();
        for back in 0..=count.min(i64::try_from(self.buckets.len()).unwrap_or(i64::MAX) - 1) {
            let (good, bad) = self.buckets[self.place(self.at - back)];
            events.good += u64::from(good);
            events.bad += u64::from(bad);
        }
        events
    }
}

/// One indicator's budget of errors.
#[derive(Clone, Debug)]
pub struct ErrorBudget {
    allowed: Allowed,
    minutes: Ring,
    hours: Ring,
    /// When the first of the kept events was counted.
    begun: Option<UnixMs>,
}

/// How one budget stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reading {
    /// Share of events that may be bad, millionths.
    pub allowed: Allowed,
    /// The events of the last thirty days.
    pub events: Events,
    /// What is left of the budget of thirty days, thousandths; below 0 where more was used than there is. While fewer than
    /// thirty days were seen, as many events are expected of them as the days seen had.
    pub left_permille: i64,
    /// The burn by each of [`ALERTS`].
    pub burns: [Burn; 4],
}

/// How fast a budget burns in two windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Burn {
    /// Over the long window, thousandths of an even use.
    pub long_milli: u64,
    /// Over the short one.
    pub short_milli: u64,
    /// Whether the alert holds.
    pub fires: bool,
}

impl ErrorBudget {
    /// Nothing counted yet.
    pub fn new(allowed: Allowed) -> ErrorBudget {
        let (minutes, hours) = (Ring::new(MINUTE_MS, MINUTES), Ring::new(HOUR_MS, HOURS));
        ErrorBudget { allowed, minutes, hours, begun: None }
    }

    /// The same events by another promise: which of them are bad does not depend on how many may be.
    pub fn allowing(mut self, allowed: Allowed) -> ErrorBudget {
        self.allowed = allowed;
        self
    }

    /// Counts one event.
    pub fn count(&mut self, good: bool, now: UnixMs) {
        self.turn(now);
        let one = Events { good: u64::from(good), bad: u64::from(!good) };
        self.minutes.add(now, one);
        self.hours.add(now, one);
        self.begun = Some(self.begun.map_or(now, |begun| begun.min(now)));
    }

    /// What was counted at `at` as `good` turned out to be the other. It stays in its time, so nothing is counted twice.
    pub fn turn_over(&mut self, at: UnixMs, good: bool, now: UnixMs) {
        self.turn(now);
        self.minutes.turn_over(at, good);
        self.hours.turn_over(at, good);
    }

    /// Takes over events that were counted before a start, all of the minute or hour that begins at `at`.
    pub fn restore(&mut self, at: UnixMs, events: Events, now: UnixMs) {
        if at > now || now.since(at) > BUDGET_MS || events.all() == 0 {
            return;
        }
        self.turn(now);
        self.minutes.add(at, events);
        self.hours.add(at, events);
        self.begun = Some(self.begun.map_or(at, |begun| begun.min(at)));
    }

    /// Every bucket with events that ends after `from`: its width, its start and its events, minutes before hours.
    pub fn buckets(&self, from: UnixMs) -> Vec<(u64, UnixMs, Events)> {
        let of =
            |ring: &Ring| ring.from(from).map(|(start, events)| (ring.width_ms, start, events)).collect::<Vec<_>>();
        [of(&self.minutes), of(&self.hours)].concat()
    }

    fn turn(&mut self, now: UnixMs) {
        self.minutes.turn(now);
        self.hours.turn(now);
    }

    fn last(&self, window_ms: u64) -> Events {
        let ring = if window_ms <= 6 * HOUR_MS { &self.minutes } else { &self.hours };
        ring.last(window_ms)
    }

    fn burn(&self, alert: &Alert) -> Burn {
        let (long, short) = (self.last(alert.long_ms), self.last(alert.short_ms));
        let fires =
            short.burn_above(alert.burn_milli, self.allowed) && long.surely_burn_above(alert.burn_milli, self.allowed);
        Burn { long_milli: long.burn_milli(self.allowed), short_milli: short.burn_milli(self.allowed), fires }
    }

    /// The level it stands at now: how many of [`ALERTS`] up to the fastest that fires; 0 where none does.
    pub fn level(&mut self, now: UnixMs) -> usize {
        self.turn(now);
        let firing = (0..ALERTS.len()).rev().find(|index| self.burn(&ALERTS[*index]).fires);
        firing.map_or(0, |index| index + 1)
    }

    /// How it stands.
    pub fn reading(&mut self, now: UnixMs) -> Reading {
        self.turn(now);
        let events = self.last(BUDGET_MS);
        let begun = self.begun.unwrap_or(now);
        let seen_ms = now.since(begun).clamp(HOUR_MS, BUDGET_MS);
        let expected = u128::from(events.all()) * u128::from(BUDGET_MS) / u128::from(seen_ms);
        let budget_e6 = (expected * u128::from(self.allowed.0)).max(1);
        let used = i64::try_from(u128::from(events.bad) * 1_000_000_000 / budget_e6).unwrap_or(i64::MAX);
        Reading {
            allowed: self.allowed,
            events,
            left_permille: 1000_i64.saturating_sub(used),
            burns: ALERTS.each_ref().map(|alert| self.burn(alert)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> UnixMs {
        UnixMs(1_767_225_600_000 + minute * 60_000)
    }

    fn three_nines() -> ErrorBudget {
        ErrorBudget::new(Allowed::beside_success(99_900).unwrap())
    }

    #[test]
    fn a_promise_says_how_many_may_be_bad() {
        assert_eq!(Allowed::beside_success(99_900).map(Allowed::get), Some(1_000));
        assert_eq!(Allowed::beside_success(0).map(Allowed::get), Some(1_000_000));
        assert_eq!((Allowed::beside_success(100_000), Allowed::beside_success(100_001)), (None, None));
    }

    #[test]
    fn three_bad_of_five_do_not_alert_and_neither_do_thirty_with_one() {
        let mut budget = three_nines();
        for good in [true, false, false, true, false] {
            budget.count(good, at(0));
        }
        assert_eq!(budget.level(at(1)), 0);
        let mut budget = ErrorBudget::new(Allowed::P95);
        (0..30).for_each(|number| budget.count(number != 7, at(0)));
        assert_eq!(budget.level(at(1)), 0);
        assert_eq!(budget.reading(at(1)).burns[3].long_milli, 666, "1 of 30 is two thirds of 5 percent");
    }

    #[test]
    fn an_outage_fires_at_once_and_stops_when_its_short_window_is_over() {
        let mut budget = three_nines();
        (0..3_000).for_each(|number| budget.count(true, at(number / 50)));
        assert_eq!(budget.level(at(59)), 0);
        (0..60).for_each(|_| budget.count(false, at(60)));
        assert_eq!(budget.level(at(60)), 4);
        assert_eq!(budget.level(at(66)), 3, "five minutes without a bad one");
        assert_eq!(budget.level(at(91)), 2, "half an hour");
        assert_eq!(budget.level(at(60 + 121)), 1, "two hours");
        assert_eq!(budget.level(at(60 + 361)), 0, "six");
    }

    #[test]
    fn what_is_left_is_of_thirty_days_from_the_first_hour_on() {
        let mut budget = three_nines();
        (0..1_000).for_each(|number| budget.count(number != 0, at(0)));
        // A thousand an hour are 720,000 in thirty days, of which 720 may be bad.
        let reading = budget.reading(at(30));
        assert_eq!((reading.left_permille, reading.events), (999, Events { good: 999, bad: 1 }));
        (0..1_000).for_each(|_| budget.count(false, at(30)));
        assert_eq!(budget.reading(at(30)).left_permille, 1000 - 695, "1001 of 1440");
    }

    #[test]
    fn a_verdict_that_changes_stays_in_its_time_and_is_counted_once() {
        let mut budget = three_nines();
        budget.count(true, at(0));
        budget.count(true, at(10));
        budget.turn_over(at(0), true, at(20));
        assert_eq!(budget.reading(at(20)).events, Events { good: 1, bad: 1 });
        assert_eq!(
            budget.buckets(at(10))[0].2,
            Events { good: 1, bad: 0 },
            "the one of ten minutes later is as it was"
        );
        budget.turn_over(at(0), false, at(21));
        assert_eq!(budget.reading(at(21)).events, Events { good: 2, bad: 0 });
        budget.turn_over(at(0), false, at(22));
        assert_eq!(budget.reading(at(22)).events, Events { good: 2, bad: 0 }, "there is no bad one to turn over");
    }

    #[test]
    fn events_leave_after_thirty_days_and_a_clock_that_steps_back_loses_none() {
        let mut budget = three_nines();
        budget.count(false, at(10));
        budget.count(true, at(5));
        assert_eq!(budget.reading(at(5)).events, Events { good: 1, bad: 1 });
        assert_eq!(budget.reading(at(10 + 30 * 24 * 60)).events.all(), 2);
        assert_eq!(budget.reading(at(10 + 30 * 24 * 60 + 120)).events.all(), 0);
    }

    #[test]
    fn what_was_counted_before_a_start_counts_where_it_was() {
        let (mut kept, mut restored) = (three_nines(), three_nines());
        for minute in 0..1_000 {
            kept.count(minute % 7 != 0, at(minute));
        }
        // Minute by minute from the hour on in which the longest window of minutes begins.
        let (now, start_of_minutes) = (at(1_000), 600);
        for hour in 0..start_of_minutes / 60 {
            let bad = (hour * 60..hour * 60 + 60).filter(|minute| minute % 7 == 0).count() as u64;
            restored.restore(at(hour * 60), Events { good: 60 - bad, bad }, now);
        }
        for minute in start_of_minutes..1_000 {
            let bad = u64::from(minute % 7 == 0);
            restored.restore(at(minute), Events { good: 1 - bad, bad }, now);
        }
        assert_eq!(kept.reading(now), restored.reading(now));
        assert_eq!(kept.buckets(at(980)), restored.buckets(at(980)));
        let of_hours: u64 =
            kept.buckets(at(0)).iter().filter(|(width, ..)| *width == HOUR_MS).map(|(.., e)| e.all()).sum();
        assert_eq!(of_hours, 1_000);
        restored.restore(at(-50_000), Events { good: 1, bad: 0 }, now);
        restored.restore(at(1_100), Events { good: 1, bad: 0 }, now);
        assert_eq!(kept.reading(now), restored.reading(now), "what is too old or to come is not taken");
    }
}
