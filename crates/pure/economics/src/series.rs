//! One series: amounts are counted into buckets as they come, and each bucket that is over is judged by the one before.

use std::collections::VecDeque;

use domain::UnixMs;
use serde::{Deserialize, Serialize};

use crate::detectors::{Cusum, CusumSettings};
use crate::season::{Basis, Expected, MICRO, Season, Width, factor_milli, micro_ln};

/// Buckets of five minutes that are kept for drawing: a day.
pub const DRAWN: usize = 288;
/// What a series is watched in: the short ones find what is large at once, the long ones what is small, or rare, at last.
const WIDTHS: [Width; 2] = [Width::FiveMinutes, Width::Hour];

/// What a bucket says of the amounts in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Their sum, as of money.
    Sum,
    /// Their geometric mean, as of times.
    Mean,
}

/// What became of an alarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// When the bucket that changed it was over.
    pub at: UnixMs,
    /// How long that bucket was.
    pub width: Width,
    /// Whether the alarm stands from now on.
    pub raised: bool,
    /// What the bucket came to: the sum, or the mean.
    pub amount: i64,
    /// What was expected of it.
    pub expected: i64,
    /// By which factor the one is above the other, thousandths.
    pub factor_milli: u64,
    /// From which past.
    pub basis: Basis,
}

/// A bucket as it is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Drawn {
    /// When it began.
    pub start: UnixMs,
    /// What it came to; zero where nothing happened.
    pub amount: i64,
    /// What was expected; absent where nothing was.
    pub expected: Option<i64>,
    /// Whether the alarm stood.
    pub alarm: bool,
}

/// A series that is watched in buckets of five minutes and of an hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    what: What,
    /// Of each width.
    lanes: Vec<Lane>,
    drawn: VecDeque<Drawn>,
}

/// The same series in buckets of one width.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lane {
    season: Season,
    cusum: Cusum,
    sum: i64,
    /// Of the logarithms, millionths.
    logs: i64,
    count: i64,
}

impl Series {
    /// A series that begins now.
    pub fn new(what: What, now: UnixMs) -> Series {
        let lane = |width: Width| Lane {
            season: Season::new(width, width.bucket(now)),
            cusum: Cusum::default(),
            sum: 0,
            logs: 0,
            count: 0,
        };
        Series { what, lanes: WIDTHS.map(lane).into(), drawn: VecDeque::new() }
    }

    /// Whether a bucket is over that was not closed yet.
    pub fn is_due(&self, now: UnixMs) -> bool {
        let five = &self.lanes[0].season;
        five.next() < five.width().bucket(now)
    }

    /// When the bucket begins that is being counted.
    pub fn next(&self) -> UnixMs {
        let five = &self.lanes[0].season;
        five.width().start(five.next())
    }

    /// Counts an amount. What is not above zero is no amount.
    pub fn add(&mut self, amount: i64) {
        let Some(log) = micro_ln(amount) else { return };
        for lane in &mut self.lanes {
            lane.sum = lane.sum.saturating_add(amount);
            lane.logs += i64::from(log);
            lane.count += 1;
        }
    }

    /// Closes what is over; `changed` is told what became of the alarm. To be called before what comes later is counted.
    pub fn advance(&mut self, now: UnixMs, mut changed: impl FnMut(Change)) {
        let stood = self.stands();
        let mut last = None;
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            let width = lane.season.width();
            let bucket = width.bucket(now);
            if lane.season.next() >= bucket {
                continue;
            }
            let (log, amount) = lane.take(self.what);
            let expected = lane.season.expected();
            let z_milli = match (log, expected) {
                (Some(log), Some(expected)) => Some(expected.z_milli(log)),
                _ => None,
            };
            let settings = match width {
                Width::FiveMinutes => &CusumSettings::FIVE_MINUTES,
                Width::Hour => &CusumSettings::HOUR,
            };
            let before = lane.cusum.stands();
            let stands = lane.cusum.step(z_milli, settings);
            let start = width.start(lane.season.next());
            if place == 0 {
                if self.drawn.len() == DRAWN {
                    self.drawn.pop_front();
                }
                let expected = expected.map(|expected| plain(expected.log));
                self.drawn.push_back(Drawn { start, amount, expected, alarm: stands });
            }
            if stands != before
                && let Some(expected) = expected
            {
                last = Some(change(width, start, amount, log, &expected));
            }
            lane.season.push(log, !stands);
            lane.season.skip_to(bucket);
        }
        let stands = self.stands();
        if let Some(drawn) = self.drawn.back_mut() {
            drawn.alarm |= stands;
        }
        if stands != stood
            && let Some(change) = last
        {
            changed(Change { raised: stands, ..change });
        }
    }

    /// Whether an alarm stands, in buckets of either width.
    pub fn stands(&self) -> bool {
        self.lanes.iter().any(|lane| lane.cusum.stands())
    }

    /// The last day in buckets of five minutes, oldest first.
    pub fn drawn(&self) -> impl Iterator<Item = &Drawn> {
        self.drawn.iter()
    }
}

impl Lane {
    /// What was counted since the last time: its logarithm, if there is one, and the amount.
    fn take(&mut self, what: What) -> (Option<i32>, i64) {
        let (sum, logs, count) = (self.sum, self.logs, self.count);
        (self.sum, self.logs, self.count) = (0, 0, 0);
        let log = match what {
            What::Sum => micro_ln(sum),
            What::Mean => (count > 0).then(|| i32::try_from(logs / count).unwrap_or(i32::MAX)),
        };
        (log, log.map_or(0, |log| if what == What::Sum { sum } else { plain(log) }))
    }
}

fn change(width: Width, start: UnixMs, amount: i64, log: Option<i32>, expected: &Expected) -> Change {
    Change {
        at: UnixMs(start.0 + width.ms()),
        width,
        raised: false,
        amount,
        expected: plain(expected.log),
        factor_milli: log.map_or(0, |log| factor_milli(log.saturating_sub(expected.log))),
        basis: expected.basis,
    }
}

/// The amount of a logarithm.
fn plain(log: i32) -> i64 {
    (f64::from(log) / MICRO).exp().round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-02, 00:00 UTC.
    const MONDAY: UnixMs = UnixMs(1_793_577_600_000);

    /// Spends an amount in the middle of each of so many buckets; what changed, and when it is afterwards.
    fn spend(series: &mut Series, from: UnixMs, buckets: u64, amount: i64) -> (Vec<Change>, UnixMs) {
        let mut changes = Vec::new();
        for bucket in 0..buckets {
            let at = from + bucket * 300_000;
            series.advance(at, |change| changes.push(change));
            series.add(amount + (bucket as i64 % 7) * amount / 50);
        }
        let end = from + buckets * 300_000;
        series.advance(end, |change| changes.push(change));
        (changes, end)
    }

    #[test]
    fn a_doubling_is_told_once_and_its_end_once() {
        let mut series = Series::new(What::Sum, MONDAY);
        let (quiet, now) = spend(&mut series, MONDAY, 3 * 288, 1_000_000);
        assert_eq!(quiet, []);
        let (raised, now) = spend(&mut series, now, 6, 2_000_000);
        assert_eq!(raised.len(), 1, "{raised:?}");
        assert!(raised[0].raised && (1_900..2_100).contains(&raised[0].factor_milli), "{raised:?}");
        assert_eq!(raised[0].basis, Basis::HourOfDay);
        let (ended, _) = spend(&mut series, now, 288, 1_000_000);
        assert_eq!(ended.iter().map(|change| change.raised).collect::<Vec<_>>(), [false]);
    }

    #[test]
    fn a_mean_does_not_grow_with_the_number_of_calls() {
        let mut series = Series::new(What::Mean, MONDAY);
        let mut changes = 0;
        for bucket in 0..3 * 288u64 {
            series.advance(MONDAY + bucket * 300_000, |_| changes += 1);
            let calls = if bucket > 2 * 288 { 50 } else { 5 };
            (0..calls).for_each(|call| series.add(300 + call % 3));
        }
        assert_eq!(changes, 0);
        assert_eq!(series.drawn().last().map(|drawn| drawn.amount), Some(301));
    }

    #[test]
    fn a_restart_goes_on_where_it_was() {
        let mut series = Series::new(What::Sum, MONDAY);
        let (_, now) = spend(&mut series, MONDAY, 3 * 288, 1_000_000);
        let text = serde_json::to_string(&series).unwrap();
        assert!(text.len() < 80_000, "{} bytes", text.len());
        assert!(!text.contains('.'), "whole numbers alone");
        let mut read: Series = serde_json::from_str(&text).unwrap();
        assert_eq!(spend(&mut read, now, 6, 2_000_000), spend(&mut series, now, 6, 2_000_000));
    }
}
