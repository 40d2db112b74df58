//! Over which stretch of time is a budget counted? Calendar windows in UTC.

use std::fmt;
use std::str::FromStr;

use domain::UnixMs;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A calendar window, in UTC; weeks begin on Monday (ISO 8601).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// From the full hour.
    Hour,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first of the month.
    Month,
    /// From 1 January.
    Year,
    /// For ever: never resets.
    Total,
}

/// Why a text is no window.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no window; write `hour`, `day`, `week`, `month`, `year` or `total`")]
pub struct BadWindow(pub String);

impl Window {
    /// Every window, shortest first.
    pub const ALL: &'static [Window] =
        &[Window::Hour, Window::Day, Window::Week, Window::Month, Window::Year, Window::Total];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Week => "week",
            Window::Month => "month",
            Window::Year => "year",
            Window::Total => "total",
        }
    }

    /// The window a moment lies in: its first millisecond, and the first after it. `Total` begins at the Unix epoch and
    /// never ends; so does a window that would reach beyond the year 9999.
    pub fn bounds(self, at: UnixMs) -> (UnixMs, Option<UnixMs>) {
        let moment =
            Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let civil = TimeZone::UTC.to_datetime(moment);
        let day = civil.date();
        let midnight = |date: Date| date.at(0, 0, 0, 0);
        let (start, length) = match self {
            Window::Hour => (day.at(civil.hour(), 0, 0, 0), 1.hour()),
            Window::Day => (midnight(day), 1.day()),
            Window::Week => {
                let monday = day.checked_sub(i64::from(day.weekday().to_monday_zero_offset()).days());
                (midnight(monday.unwrap_or(Date::MIN)), 1.week())
            }
            Window::Month => (midnight(day.first_of_month()), 1.month()),
            Window::Year => (midnight(day.first_of_year()), 1.year()),
            Window::Total => return (UnixMs(0), None),
        };
        (unix_ms(start).unwrap_or(at), start.checked_add(length).ok().and_then(unix_ms))
    }
}

fn unix_ms(civil: DateTime) -> Option<UnixMs> {
    Some(UnixMs(TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond()))
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Window {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Self, BadWindow> {
        let known = Window::ALL.iter().copied().find(|window| window.as_str() == text);
        known.ok_or_else(|| BadWindow(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(window: Window, at: i64) -> (String, Option<String>) {
        let (start, end) = window.bounds(UnixMs(at));
        (start.to_string(), end.map(|end| end.to_string()))
    }

    #[test]
    fn windows_follow_the_calendar_in_utc() {
        let saturday = 1_795_252_724_005; // 2026-11-21T09:18:44.005Z
        let expected = [
            (Window::Hour, "2026-11-21T09", "2026-11-21T10"),
            (Window::Day, "2026-11-21T00", "2026-11-22T00"),
            (Window::Week, "2026-11-16T00", "2026-11-23T00"),
            (Window::Month, "2026-11-01T00", "2026-12-01T00"),
            (Window::Year, "2026-01-01T00", "2027-01-01T00"),
        ];
        for (window, start, end) in expected {
            assert_eq!(shown(window, saturday), (format!("{start}:00:00.000Z"), Some(format!("{end}:00:00.000Z"))));
        }
        assert_eq!(Window::Total.bounds(UnixMs(saturday)), (UnixMs(0), None));
    }

    #[test]
    fn february_of_a_leap_year_has_29_days() {
        let (start, end) = Window::Month.bounds(UnixMs(951_782_400_000)); // 2000-02-29
        assert_eq!(end.unwrap().since(start), 29 * 86_400_000);
    }

    #[test]
    fn names_read_back_and_others_are_refused() {
        for window in Window::ALL {
            assert_eq!(window.as_str().parse(), Ok(*window));
            assert_eq!(serde_json::to_string(window).unwrap(), format!("\"{window}\""));
        }
        assert_eq!("fortnight".parse::<Window>(), Err(BadWindow("fortnight".into())));
    }

    #[test]
    fn a_moment_out_of_the_calendar_does_no_harm() {
        for window in Window::ALL {
            window.bounds(UnixMs(i64::MIN));
            window.bounds(UnixMs(i64::MAX));
        }
    }

    proptest! {
        #[test]
        fn a_moment_lies_in_its_window_and_windows_join(at in 0i64..4_000_000_000_000) {
            for window in &Window::ALL[..5] {
                let (start, end) = window.bounds(UnixMs(at));
                let end = end.unwrap();
                prop_assert!(start.0 <= at && at < end.0);
                prop_assert_eq!(window.bounds(UnixMs(end.0 - 1)), (start, Some(end)));
                prop_assert_eq!(window.bounds(end).0, end);
            }
        }
    }
}
