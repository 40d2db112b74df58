//! Over which stretch of time is a budget counted? Calendar windows in a named time zone, and rolling ones.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use domain::UnixMs;
use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A window: a period, and the time zone whose calendar it follows. Its text is `month`, `month Europe/Berlin` or
/// `rolling 24h`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Window {
    period: Period,
    zone: Zone,
}

/// Which stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Period {
    /// From the full hour.
    Hour,
    /// From midnight.
    Day,
    /// From Monday (ISO 8601).
    Week,
    /// From the first of the month.
    Month,
    /// From 1 January.
    Year,
    /// For ever: never resets.
    Total,
    /// The last so many milliseconds, at any time.
    Rolling(u64),
    /// The last sixty seconds, at any time, counted by the second: what rates of a key or a model are counted over. No budget's.
    Minute,
}

/// A time zone by its IANA name, from the database that is part of the program.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

/// Why a text is no window.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadWindow {
    /// No period.
    #[error(
        "`{0}` is no window; write `hour`, `day`, `week`, `month`, `year` or `total`, or a stretch of time that goes with the \
         clock, such as `rolling 24h` or `rolling 30d`"
    )]
    Period(String),
    /// A rolling window that is too short or too long.
    #[error("`{0}` is no rolling window; write whole minutes, hours or days from 1m to 366d, such as `rolling 24h`")]
    Rolling(String),
    /// No zone.
    #[error("there is no time zone `{0}`; write a name of the IANA database, such as `Europe/Berlin`, or `UTC`")]
    Zone(String),
}

impl Zone {
    /// Where nothing else is said.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// The zone of this IANA name.
    pub fn named(name: &str) -> Result<Zone, BadWindow> {
        let bad = || BadWindow::Zone(name.chars().take(60).collect());
        if name == "UTC" {
            return Ok(Zone::UTC);
        }
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| bad())?;
        zone.iana_name().is_some().then(|| Zone(zone.clone())).ok_or_else(bad)
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl Period {
    /// Every period of the calendar, shortest first, and the one that never ends.
    pub const CALENDAR: &'static [Period] =
        &[Period::Hour, Period::Day, Period::Week, Period::Month, Period::Year, Period::Total];

    const fn calendar_name(self) -> Option<&'static str> {
        match self {
            Period::Hour => Some("hour"),
            Period::Day => Some("day"),
            Period::Week => Some("week"),
            Period::Month => Some("month"),
            Period::Year => Some("year"),
            Period::Total => Some("total"),
            Period::Rolling(_) | Period::Minute => None,
        }
    }

    /// How long it is, milliseconds, where it goes with the clock.
    pub const fn rolling_ms(self) -> Option<u64> {
        match self {
            Period::Rolling(span_ms) => Some(span_ms),
            Period::Minute => Some(MINUTE_MS),
            _ => None,
        }
    }

    /// How finely a rolling period is counted, milliseconds: a minute below a day, a quarter of an hour below a week, else
    /// an hour. What was spent leaves the window as a whole with the end of its minute, quarter or hour, never earlier than
    /// the window says. Rates are counted by the second.
    pub const fn resolution_ms(self) -> Option<u64> {
        match self {
            Period::Minute => Some(SECOND_MS),
            Period::Rolling(span_ms) if span_ms < DAY_MS => Some(MINUTE_MS),
            Period::Rolling(span_ms) if span_ms < 7 * DAY_MS => Some(15 * MINUTE_MS),
            Period::Rolling(_) => Some(HOUR_MS),
            _ => None,
        }
    }
}

impl Window {
    /// A day of UTC.
    pub const DAY: Window = Window::utc(Period::Day);
    /// A month of UTC.
    pub const MONTH: Window = Window::utc(Period::Month);
    /// The last sixty seconds.
    pub const MINUTE: Window = Window::utc(Period::Minute);
    /// For ever.
    pub const TOTAL: Window = Window::utc(Period::Total);

    /// A period in UTC.
    pub const fn utc(period: Period) -> Window {
        Window { period, zone: Zone::UTC }
    }

    /// A period in a zone. Periods that follow no calendar are the same everywhere.
    pub fn new(period: Period, zone: Zone) -> Window {
        match period {
            Period::Rolling(_) | Period::Minute | Period::Total => Window::utc(period),
            _ => Window { period, zone },
        }
    }

    /// The period.
    pub fn period(&self) -> Period {
        self.period
    }

    /// The window a moment lies in: its first millisecond, and the first after it. `Total` begins at the Unix epoch and
    /// never ends; so does a window that would reach beyond the year 9999. A rolling window has no end: it begins with the
    /// first stretch of its resolution of which a part lies within the period.
    ///
    /// A day of a zone may have 23 or 25 hours. Where clocks are put forward over midnight, its day begins when they are.
    pub fn bounds(&self, at: UnixMs) -> (UnixMs, Option<UnixMs>) {
        if let (Some(span_ms), Some(resolution_ms)) = (self.period.rolling_ms(), self.period.resolution_ms()) {
            let oldest = at.0.saturating_sub(i64::try_from(span_ms).unwrap_or(i64::MAX));
            return (start_of(UnixMs(oldest), resolution_ms), None);
        }
        let moment =
            Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let civil = self.zone.0.to_datetime(moment);
        let day = civil.date();
        let midnight = |date: Date| date.at(0, 0, 0, 0);
        let (start, length) = match self.period {
            // An hour is an hour by any clock, also the one that is counted twice in autumn.
            Period::Hour => return self.hour(moment, at),
            Period::Day => (midnight(day), 1.day()),
            Period::Week => {
                let monday = day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days());
                (midnight(monday.unwrap_or(Date::MIN)), 1.week())
            }
            Period::Month => (midnight(day.first_of_month()), 1.month()),
            Period::Year => (midnight(day.first_of_year()), 1.year()),
            Period::Total | Period::Rolling(_) | Period::Minute => return (UnixMs(0), None),
        };
        (self.unix_ms(start).unwrap_or(at), start.checked_add(length).ok().and_then(|end| self.unix_ms(end)))
    }

    fn hour(&self, moment: Timestamp, at: UnixMs) -> (UnixMs, Option<UnixMs>) {
        let offset_ms = i64::from(self.zone.0.to_offset(moment).seconds()) * 1000;
        let hour_ms = HOUR_MS as i64;
        let local = at.0.saturating_add(offset_ms);
        let start = local.div_euclid(hour_ms).saturating_mul(hour_ms).saturating_sub(offset_ms);
        (UnixMs(start), start.checked_add(hour_ms).filter(|end| Timestamp::from_millisecond(*end).is_ok()).map(UnixMs))
    }

    fn unix_ms(&self, civil: DateTime) -> Option<UnixMs> {
        Some(UnixMs(self.zone.0.to_timestamp(civil).ok()?.as_millisecond()))
    }
}

/// The first millisecond of the stretch of this length that a moment lies in, counted from the Unix epoch.
pub fn start_of(at: UnixMs, width_ms: u64) -> UnixMs {
    let width = i64::try_from(width_ms).unwrap_or(i64::MAX).max(1);
    UnixMs(at.0.div_euclid(width).saturating_mul(width))
}

/// The name of the window of rates. Nobody writes it: a budget per minute is one per `rolling 1m`.
const MINUTE: &str = "minute";

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.calendar_name(), self) {
            (Some(name), _) => f.pad(name),
            (None, Period::Rolling(ms)) if ms.is_multiple_of(DAY_MS) && *ms > DAY_MS => {
                write!(f, "rolling {}d", ms / DAY_MS)
            }
            (None, Period::Rolling(ms)) if ms.is_multiple_of(HOUR_MS) => write!(f, "rolling {}h", ms / HOUR_MS),
            (None, Period::Rolling(ms)) => write!(f, "rolling {}m", ms / MINUTE_MS),
            (None, Period::Minute) => f.pad(MINUTE),
            (None, _) => Ok(()),
        }
    }
}

impl FromStr for Period {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let cut = || text.chars().take(40).collect::<String>();
        if let Some(known) = Period::CALENDAR.iter().find(|period| period.calendar_name() == Some(text)) {
            return Ok(*known);
        }
        let stretch = text.strip_prefix("rolling ").ok_or_else(|| BadWindow::Period(cut()))?;
        let units = [("m", MINUTE_MS), ("h", HOUR_MS), ("d", DAY_MS)];
        let read =
            units.iter().find_map(|(unit, ms)| stretch.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*ms));
        // Days and more are counted by quarters of an hour, so they are whole ones.
        let whole =
            |span_ms: &u64| Period::Rolling(*span_ms).resolution_ms().is_some_and(|ms| span_ms.is_multiple_of(ms));
        let allowed = |span_ms: &u64| (MINUTE_MS..=366 * DAY_MS).contains(span_ms) && whole(span_ms);
        read.filter(allowed).map(Period::Rolling).ok_or_else(|| BadWindow::Rolling(cut()))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zone.name() {
            "UTC" => self.period.fmt(f),
            zone => write!(f, "{} {zone}", self.period),
        }
    }
}

impl FromStr for Window {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        match text.split_once(' ') {
            Some((period, zone)) if period != "rolling" => Ok(Window::new(period.parse()?, Zone::named(zone)?)),
            _ => Ok(Window::utc(text.parse()?)),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        if text == MINUTE {
            return Ok(Window::MINUTE);
        }
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Zone) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Zone) -> Ordering {
        self.name().cmp(other.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(window: &str, at: i64) -> (String, Option<String>) {
        let (start, end) = window.parse::<Window>().unwrap().bounds(UnixMs(at));
        (start.to_string(), end.map(|end| end.to_string()))
    }

    fn unix_ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn windows_follow_the_calendar_in_utc() {
        let saturday = unix_ms("2026-11-21T09:18:44.005Z");
        let expected = [
            ("hour", "2026-11-21T09", "2026-11-21T10"),
            ("day", "2026-11-21T00", "2026-11-22T00"),
            ("week", "2026-11-16T00", "2026-11-23T00"),
            ("month", "2026-11-01T00", "2026-12-01T00"),
            ("year", "2026-01-01T00", "2027-01-01T00"),
        ];
        for (window, start, end) in expected {
            assert_eq!(shown(window, saturday), (format!("{start}:00:00.000Z"), Some(format!("{end}:00:00.000Z"))));
        }
        assert_eq!(Window::TOTAL.bounds(UnixMs(saturday)), (UnixMs(0), None));
    }

    #[test]
    fn a_zone_has_days_of_23_and_25_hours() {
        let hours = |window: &str, at: &str| {
            let (start, end) = window.parse::<Window>().unwrap().bounds(UnixMs(unix_ms(at)));
            (start.to_string(), end.unwrap().since(start) / HOUR_MS)
        };
        let berlin = "day Europe/Berlin";
        assert_eq!(hours(berlin, "2026-03-29T12:00:00Z"), ("2026-03-28T23:00:00.000Z".into(), 23));
        assert_eq!(hours(berlin, "2026-10-25T12:00:00Z"), ("2026-10-24T22:00:00.000Z".into(), 25));
        assert_eq!(hours("month America/New_York", "2026-03-10T00:00:00Z"), ("2026-03-01T05:00:00.000Z".into(), 743));
        // An hour that a clock shows twice is two hours.
        assert_eq!(hours("hour Europe/Berlin", "2026-10-25T00:30:00Z"), ("2026-10-25T00:00:00.000Z".into(), 1));
        assert_eq!(hours("hour Europe/Berlin", "2026-10-25T01:30:00Z"), ("2026-10-25T01:00:00.000Z".into(), 1));
        assert_eq!(hours("hour Asia/Kolkata", "2026-10-25T01:10:00Z"), ("2026-10-25T00:30:00.000Z".into(), 1));
    }

    #[test]
    fn february_of_a_leap_year_has_29_days() {
        let (start, end) = Window::MONTH.bounds(UnixMs(951_782_400_000)); // 2000-02-29
        assert_eq!(end.unwrap().since(start), 29 * 86_400_000);
    }

    #[test]
    fn a_rolling_window_begins_with_a_whole_stretch_of_its_resolution() {
        let at = unix_ms("2026-11-21T09:18:44.005Z");
        assert_eq!(shown("rolling 30m", at).0, "2026-11-21T08:48:00.000Z");
        assert_eq!(shown("rolling 24h", at).0, "2026-11-20T09:15:00.000Z");
        assert_eq!(shown("rolling 30d", at), ("2026-10-22T09:00:00.000Z".into(), None));
    }

    #[test]
    fn names_read_back_and_others_are_refused() {
        for text in ["hour", "total", "month Europe/Berlin", "rolling 90m", "rolling 24h", "rolling 30d"] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string(), text);
            let json = serde_json::to_string(&window).unwrap();
            assert_eq!((&json, serde_json::from_str(&json).ok()), (&format!("\"{text}\""), Some(window)));
        }
        let minute = serde_json::to_string(&Window::MINUTE).unwrap();
        assert_eq!(serde_json::from_str::<Window>(&minute).unwrap(), Window::MINUTE);
        assert!("minute".parse::<Window>().is_err(), "rates are not written as budgets");
        assert_eq!("rolling 1d".parse::<Window>().unwrap().to_string(), "rolling 24h");
        assert_eq!("fortnight".parse::<Window>(), Err(BadWindow::Period("fortnight".into())));
        for text in
            ["rolling", "rolling 0h", "rolling 400d", "rolling 25", "rolling 1501m", "month Europe/Berlyn", "day "]
        {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_out_of_the_calendar_does_no_harm() {
        let kolkata = Zone::named("Asia/Kolkata").unwrap();
        for period in Period::CALENDAR.iter().copied().chain([Period::Rolling(DAY_MS)]) {
            for window in [Window::utc(period), Window::new(period, kolkata.clone())] {
                window.bounds(UnixMs(i64::MIN));
                window.bounds(UnixMs(i64::MAX));
            }
        }
    }

    proptest! {
        #[test]
        fn a_moment_lies_in_its_window_and_windows_join(at in 0i64..4_000_000_000_000) {
            for zone in ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "Africa/Cairo"] {
                for period in &Period::CALENDAR[..5] {
                    let window = Window::new(*period, Zone::named(zone).unwrap());
                    let (start, end) = window.bounds(UnixMs(at));
                    let end = end.unwrap();
                    prop_assert!(start.0 <= at && at < end.0, "{} at {}", window, at);
                    prop_assert_eq!(window.bounds(UnixMs(end.0 - 1)), (start, Some(end)), "{}", window);
                    prop_assert_eq!(window.bounds(end).0, end, "{}", window);
                }
            }
        }
    }
}
