//! What a series usually is at this time of the week, learned from its own past in a bounded state.
//!
//! A value is a natural logarithm in millionths ([`micro_ln`]), so that a doubling is the same step at night and at noon.
//! It is taken apart into a *season* by the hour of the week, a *level* that all hours share, and what is left, whose
//! spread says how far from usual is far. All three are medians or means of a middle half: an outlier, or one bad week of
//! several, moves none.
//!
//! While little is known, the season is coarser, and the spread, which is measured against the same season, wider:
//! 1. on the first workday, and on the first day of a weekend, nothing is judged;
//! 2. then the hour of the day counts, workdays and weekends (UTC) apart, from the last days;
//! 3. after two whole weeks the hour of the week counts, by the middle of at most seven whole weeks.
//!
//! A bucket in which nothing happened has no logarithm. It teaches nothing of the level; an hour that is usually empty is
//! expected to be like the busiest, so that a first call at night is no alarm and a flood is.

use std::collections::VecDeque;

use domain::UnixMs;
use serde::{Deserialize, Serialize};

use crate::robust::{median, middle_mean, spread};

/// Hours of a week.
pub const HOURS: usize = 168;
/// Weeks of which the median of each hour is kept; the running one is not used before it is over.
pub const WEEKS: usize = 8;
/// Whole weeks from which on the hour of the week counts.
pub const WEEKS_FOR_HOURS: i64 = 2;
/// The least spread that is taken for real, millionths: five percent. A series of constants has none, and would alarm at a
/// rounding.
pub const LEAST_SPREAD: i32 = 50_000;
/// Days that the level is the median of: it follows growth, and a whole bad day moves it little.
const LEVEL_DAYS: usize = 8;
/// The most that noise is taken to stay from one bucket to the next; what stays longer is a level.
const MOST_STAYS: f64 = 0.8;
/// Hours further apart than this are a step and not a slope, millionths: 1.65 times. Where work begins at eight, half past
/// seven is as quiet as six.
const STEEP: u32 = 500_000;
/// A value that is not there.
const MISSING: i32 = i32::MIN;
/// Millionths in one.
pub const MICRO: f64 = 1e6;

/// How long a bucket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// Five minutes; the last 8 days are kept.
    FiveMinutes,
    /// An hour; the last 28 days are kept.
    Hour,
}

impl Width {
    /// Milliseconds.
    pub const fn ms(self) -> i64 {
        match self {
            Width::FiveMinutes => 300_000,
            Width::Hour => 3_600_000,
        }
    }

    /// Buckets in an hour.
    pub const fn per_hour(self) -> i64 {
        3_600_000 / self.ms()
    }

    /// Buckets that are kept.
    pub const fn kept(self) -> usize {
        match self {
            Width::FiveMinutes => 8 * 24 * 12,
            Width::Hour => 28 * 24,
        }
    }

    /// The number of the bucket that a time lies in.
    pub const fn bucket(self, at: UnixMs) -> i64 {
        at.0.div_euclid(self.ms())
    }

    /// When a bucket begins.
    pub const fn start(self, bucket: i64) -> UnixMs {
        UnixMs(bucket * self.ms())
    }
}

/// The natural logarithm of an amount in millionths; `None` of nothing.
pub fn micro_ln(amount: i64) -> Option<i32> {
    (amount > 0).then(|| ((amount as f64).ln() * MICRO).round() as i32)
}

/// By which factor two logarithms are apart, in thousandths: 2000 is twice.
pub fn factor_milli(above: i32) -> u64 {
    ((f64::from(above) / MICRO).exp() * 1000.0).round() as u64
}

/// From which past an expectation comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The same hour of the day on like days.
    HourOfDay,
    /// The same hour of the week.
    HourOfWeek,
}

/// What a bucket is expected to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Its logarithm, millionths.
    pub log: i32,
    /// One standard deviation of it, millionths.
    pub spread: i32,
    /// From which past.
    pub basis: Basis,
}

impl Expected {
    /// How many spreads a value lies above what is expected, thousandths.
    pub fn z_milli(&self, log: i32) -> i32 {
        let above = i64::from(log) - i64::from(self.log);
        i32::try_from(above * 1000 / i64::from(self.spread.max(1))).unwrap_or(if above < 0 {
            i32::MIN
        } else {
            i32::MAX
        })
    }
}

/// The past of one series and what follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Season {
    width: Width,
    /// The first bucket there was.
    began: i64,
    /// The bucket that comes next.
    next: i64,
    recent: VecDeque<i32>,
    /// The middle of each hour of the week in each week, counted from `began`.
    weeks: Vec<[i32; WEEKS]>,
    /// Whether the running hour is to be learned from.
    learns: bool,
    #[serde(skip)]
    learned: Option<Box<Learned>>,
}

/// What follows from the past; made anew each hour.
#[derive(Clone, Debug)]
struct Learned {
    /// What each hour of the week is above or below the level.
    season: [i32; HOURS],
    level: i32,
    /// By hour of the day.
    spreads: [i32; 24],
    basis: Basis,
    /// Mean and standard deviation of the plain amounts, as most tools use them.
    plain: (f64, f64),
}

impl Season {
    /// A series whose first bucket is this one.
    pub fn new(width: Width, first: i64) -> Season {
        Season {
            width,
            began: first,
            next: first,
            recent: VecDeque::new(),
            weeks: vec![[MISSING; WEEKS]; HOURS],
            learns: true,
            learned: None,
        }
    }

    /// How long its buckets are.
    pub fn width(&self) -> Width {
        self.width
    }

    /// The bucket that is taken next.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// What the next bucket is expected to be; `None` while too little is known.
    pub fn expected(&mut self) -> Option<Expected> {
        let (next, width) = (self.next, self.width);
        let learned = self.learn()?;
        let season = learned.at(next, width)?;
        let hour_of_day = hour_of_week(next, width) % 24;
        let spread = learned.spreads[hour_of_day];
        Some(Expected { log: learned.level.saturating_add(season), spread, basis: learned.basis })
    }

    /// Mean and standard deviation of the plain amounts of all buckets that are kept.
    pub fn plain(&mut self) -> Option<(f64, f64)> {
        self.learn().map(|learned| learned.plain)
    }

    /// Takes the next bucket. Of one that is known to be out of the ordinary only the level learns, not the hour.
    pub fn push(&mut self, log: Option<i32>, ordinary: bool) {
        if self.recent.len() == self.width.kept() {
            self.recent.pop_front();
        }
        self.recent.push_back(log.unwrap_or(MISSING));
        self.learns &= ordinary;
        self.next += 1;
        if self.next.rem_euclid(self.width.per_hour()) == 0 {
            self.close_hour();
        }
    }

    /// Says that nothing is known up to a bucket. What was longer ago than all that is kept is forgotten.
    pub fn skip_to(&mut self, bucket: i64) {
        let forgotten = WEEKS as i64 * HOURS as i64 * self.width.per_hour();
        if bucket - self.next > forgotten {
            *self = Season::new(self.width, bucket);
        }
        while self.next < bucket {
            self.push(None, true);
        }
    }

    fn close_hour(&mut self) {
        let of_hour = self.recent.len().min(self.width.per_hour() as usize);
        let mut values: Vec<i32> =
            self.recent.iter().rev().take(of_hour).copied().filter(|value| *value != MISSING).collect();
        let middle = middle_mean(&mut values).filter(|_| self.learns).unwrap_or(MISSING);
        let slot = hour_of_week(self.next - 1, self.width);
        let week = self.week(self.next - 1).rem_euclid(WEEKS as i64);
        self.weeks[slot][week as usize] = middle;
        self.learns = true;
        self.learned = None;
    }

    /// Which week of the series a bucket lies in; weeks begin with the series.
    fn week(&self, bucket: i64) -> i64 {
        let hours = bucket.div_euclid(self.width.per_hour()) - self.began.div_euclid(self.width.per_hour());
        hours.div_euclid(HOURS as i64)
    }

    fn learn(&mut self) -> Option<&Learned> {
        if self.learned.is_none() {
            self.learned = self.conclude().map(Box::new);
        }
        self.learned.as_deref()
    }

    fn conclude(&self) -> Option<Learned> {
        let first = self.next - self.recent.len() as i64;
        let running = self.week(self.next);
        let (season, basis) = match running >= WEEKS_FOR_HOURS {
            true => (self.by_hour_of_week(running), Basis::HourOfWeek),
            false => (self.by_hour_of_day(first)?, Basis::HourOfDay),
        };
        let mut learned = Learned { season, level: 0, spreads: [LEAST_SPREAD; 24], basis, plain: (0.0, 0.0) };
        let mut rest: Vec<(usize, i32)> = Vec::with_capacity(self.recent.len());
        let (mut sum, mut squares) = (0.0, 0.0);
        for (place, value) in self.recent.iter().enumerate().filter(|(_, value)| **value != MISSING) {
            let bucket = first + place as i64;
            let plain = (f64::from(*value) / MICRO).exp();
            (sum, squares) = (sum + plain, squares + plain * plain);
            if let Some(season) = learned.at(bucket, self.width) {
                rest.push((hour_of_week(bucket, self.width) % 24, value.saturating_sub(season)));
            }
        }
        let count = self.recent.len().max(1) as f64;
        let mean = sum / count;
        learned.plain = (mean, (squares / count - mean * mean).max(0.0).sqrt());
        let lately = rest.len().saturating_sub(LEVEL_DAYS * 24 * self.width.per_hour() as usize);
        learned.level = median(&mut rest[lately..].iter().map(|(_, value)| *value).collect::<Vec<_>>())?;
        let mut all: Vec<i32> = rest.iter().map(|(_, value)| *value).collect();
        let stays_percent = stays_percent(&all, learned.level);
        let over_all = i64::from(spread(&mut all, learned.level)?);
        for hour in 0..24 {
            let mut of_hour: Vec<i32> = rest.iter().filter(|(of, _)| *of == hour).map(|(_, value)| *value).collect();
            let count = of_hour.len() as i64;
            let own = i64::from(spread(&mut of_hour, learned.level).unwrap_or(0));
            let both = clearly(own, over_all, count) * stays_percent / 100;
            learned.spreads[hour] = i32::try_from(both).unwrap_or(i32::MAX).max(LEAST_SPREAD);
        }
        Some(learned)
    }

    /// The middle over whole weeks of what an hour was above the median of its week.
    fn by_hour_of_week(&self, running: i64) -> [i32; HOURS] {
        let whole = |week: &i64| *week >= 0 && *week < running;
        let weeks: Vec<usize> = (running - (WEEKS as i64 - 1)..running)
            .filter(whole)
            .map(|week| week.rem_euclid(WEEKS as i64) as usize)
            .collect();
        let level = |week: usize| {
            let mut hours: Vec<i32> =
                self.weeks.iter().map(|hour| hour[week]).filter(|value| *value != MISSING).collect();
            median(&mut hours)
        };
        let levels: Vec<(usize, i32)> = weeks.into_iter().filter_map(|week| Some((week, level(week)?))).collect();
        let mut season = [MISSING; HOURS];
        for (hour, known) in season.iter_mut().zip(&self.weeks) {
            let there = levels.iter().filter(|(week, _)| known[*week] != MISSING);
            let mut above: Vec<i32> = there.map(|(week, level)| known[*week].saturating_sub(*level)).collect();
            if above.len() as i64 >= WEEKS_FOR_HOURS {
                *hour = middle_mean(&mut above).unwrap_or(MISSING);
            }
        }
        filled(season, |_| true)
    }

    /// From the last days: the median of an hour of the day, workdays and weekends apart. `None` before one day is over.
    fn by_hour_of_day(&self, first: i64) -> Option<[i32; HOURS]> {
        let mut all: Vec<i32> = self.recent.iter().copied().filter(|value| *value != MISSING).collect();
        let level = median(&mut all)?;
        let mut values: [Vec<i32>; 48] = std::array::from_fn(|_| Vec::new());
        let mut seen = [0; 2];
        for (place, value) in self.recent.iter().enumerate() {
            let hour = hour_of_week(first + place as i64, self.width);
            seen[usize::from(is_weekend(hour))] += 1;
            if *value != MISSING {
                values[hour % 24 + 24 * usize::from(is_weekend(hour))].push(*value);
            }
        }
        let known = seen.map(|count| count >= 24 * self.width.per_hour());
        let middles = values.map(|mut values| median(&mut values).map_or(MISSING, |value| value.saturating_sub(level)));
        let season = std::array::from_fn(|hour| middles[hour % 24 + 24 * usize::from(is_weekend(hour))]);
        known.contains(&true).then(|| filled(season, |hour| known[usize::from(is_weekend(hour))]))
    }
}

impl Learned {
    /// What the season is in the middle of a bucket: between the middles of hours it goes straight from one to the next.
    fn at(&self, bucket: i64, width: Width) -> Option<i32> {
        let per_hour = width.per_hour();
        let hour = hour_of_week(bucket, width);
        let here = self.season[hour];
        if here == MISSING {
            return None;
        }
        // Halves of buckets from the middle of the hour, so that it stays whole.
        let from_middle = 2 * bucket.rem_euclid(per_hour) + 1 - per_hour;
        let other = self.season[(hour + if from_middle < 0 { HOURS - 1 } else { 1 }) % HOURS];
        if other == MISSING || from_middle == 0 || other.abs_diff(here) > STEEP {
            return Some(here);
        }
        let step = (i64::from(other) - i64::from(here)) * from_middle.abs() / (2 * per_hour);
        Some(here.saturating_add(i32::try_from(step).unwrap_or(0)))
    }
}

/// The spread of one hour of the day where it is clearly another than over all hours, else that one. Of n values the spread is
/// known to about 1.2/√n of itself, so only what lies beyond twice that counts, and by as much as it lies beyond: an hour that
/// looks calm by chance would alarm by chance.
fn clearly(own: i64, over_all: i64, count: i64) -> i64 {
    let unsure = (2.4 * over_all as f64 / (count.max(1) as f64).sqrt()).round() as i64;
    let beyond = own - over_all;
    over_all + beyond.signum() * (beyond.abs() - unsure).max(0)
}

/// How much wider the spread must be taken because noise stays from one bucket to the next, percent: √((1+φ)/(1−φ)) with the
/// correlation φ of neighbours, residuals clipped at three spreads. A sum of such noise wanders by so much more.
fn stays_percent(values: &[i32], level: i32) -> i64 {
    let Some(clip) = spread(&mut values.to_vec(), level).map(|spread| 3.0 * f64::from(spread.max(1))) else {
        return 100;
    };
    let rest = |value: &i32| (f64::from(*value) - f64::from(level)).clamp(-clip, clip);
    let product: f64 = values.windows(2).map(|pair| rest(&pair[0]) * rest(&pair[1])).sum();
    let square: f64 = values.iter().map(|value| rest(value) * rest(value)).sum();
    let stays = if square > 0.0 { (product / square).clamp(0.0, MOST_STAYS) } else { 0.0 };
    (100.0 * ((1.0 + stays) / (1.0 - stays)).sqrt()).round() as i64
}

/// Hours that are known to be empty as a rule are taken for the busiest; those that nothing is known of stay unknown.
fn filled(mut season: [i32; HOURS], is_known: impl Fn(usize) -> bool) -> [i32; HOURS] {
    let busiest = season.iter().copied().max().unwrap_or(MISSING);
    for (hour, value) in season.iter_mut().enumerate() {
        match (*value, is_known(hour)) {
            (_, false) => *value = MISSING,
            (MISSING, true) => *value = busiest,
            _ => {}
        }
    }
    season
}

/// Hours since Thursday, 00:00 UTC, the weekday of the epoch.
fn hour_of_week(bucket: i64, width: Width) -> usize {
    bucket.div_euclid(width.per_hour()).rem_euclid(HOURS as i64) as usize
}

/// Saturday and Sunday, UTC.
fn is_weekend(hour_of_week: usize) -> bool {
    matches!(hour_of_week / 24, 2 | 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-02, 00:00 UTC.
    const MONDAY: i64 = 1_793_577_600_000 / 300_000;

    /// A thousand by day, a hundred by night, with a tenth of it on weekends.
    fn usual(bucket: i64) -> i64 {
        let hour = hour_of_week(bucket, Width::FiveMinutes);
        let by_day = if (8..20).contains(&(hour % 24)) { 1_000 } else { 100 };
        if is_weekend(hour) { by_day / 10 } else { by_day }
    }

    fn taught(days: i64) -> Season {
        let mut season = Season::new(Width::FiveMinutes, MONDAY);
        (MONDAY..MONDAY + days * 288).for_each(|bucket| season.push(micro_ln(usual(bucket)), true));
        season
    }

    fn expects(season: &mut Season) -> Option<u64> {
        season.expected().map(|expected| (f64::from(expected.log) / MICRO).exp().round() as u64)
    }

    #[test]
    fn nothing_is_judged_before_a_day_of_its_kind_was_seen() {
        let mut season = taught(0);
        assert_eq!(expects(&mut season), None);
        let mut season = taught(1);
        assert_eq!(season.expected().map(|expected| expected.basis), Some(Basis::HourOfDay));
        assert_eq!(expects(&mut season), Some(100));
        let mut saturday = taught(5);
        assert_eq!(expects(&mut saturday), None, "no weekend was seen yet");
        assert_eq!(expects(&mut taught(6)), Some(10));
    }

    #[test]
    fn after_two_weeks_each_hour_of_the_week_is_known() {
        for (days, hour, cost) in [(14, 10, 1_000), (15, 3, 100), (19, 10, 100), (20, 3, 10)] {
            let mut season = taught(days);
            (0..hour * 12 + 6).for_each(|_| season.push(micro_ln(usual(season.next())), true));
            assert_eq!(season.expected().map(|expected| expected.basis), Some(Basis::HourOfWeek));
            let found = expects(&mut season).unwrap();
            assert!(found.abs_diff(cost) <= 1, "day {days}, hour {hour}: {found} instead of {cost}");
        }
    }

    #[test]
    fn a_day_at_ten_times_the_cost_moves_no_expectation() {
        let mut season = taught(21);
        (0..288).for_each(|_| season.push(micro_ln(10 * usual(season.next())), false));
        (0..12 * 12 + 6).for_each(|_| season.push(micro_ln(usual(season.next())), true));
        assert_eq!(expects(&mut season), Some(1_000));
    }

    #[test]
    fn a_level_that_stays_for_a_week_is_the_new_one() {
        let mut season = taught(28);
        (0..7 * 288).for_each(|_| season.push(micro_ln(3 * usual(season.next())), false));
        (0..12 * 12 + 6).for_each(|_| season.push(micro_ln(3 * usual(season.next())), true));
        assert_eq!(expects(&mut season), Some(3_000));
    }

    #[test]
    fn an_hour_that_is_always_empty_is_expected_to_be_no_more_than_the_busiest() {
        let mut season = Season::new(Width::FiveMinutes, MONDAY);
        for bucket in MONDAY..MONDAY + 21 * 288 {
            let works = (8..18).contains(&(hour_of_week(bucket, Width::FiveMinutes) % 24));
            season.push(micro_ln(500).filter(|_| works), true);
        }
        assert_eq!(expects(&mut season), Some(500), "at midnight");
    }

    #[test]
    fn a_stored_state_expects_the_same() {
        let mut season = taught(30);
        let mut read: Season = serde_json::from_str(&serde_json::to_string(&season).unwrap()).unwrap();
        assert_eq!(read.expected(), season.expected());
    }

    #[test]
    fn a_long_silence_forgets_and_a_short_one_does_not() {
        let mut season = taught(21);
        season.skip_to(season.next() + 3 * 288);
        assert!(season.expected().is_some());
        season.skip_to(season.next() + 60 * 288);
        assert_eq!(season.expected(), None);
    }
}
