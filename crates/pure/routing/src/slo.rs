//! Does a lane keep its promises, and how fast does it use up what it may break? Events are counted as good or bad for each
//! indicator; over thirty days a share of them may be bad, which is the budget of errors. How many times faster than that
//! budget allows bad events come is the burn.
//!
//! [`budget`] counts and measures burn, [`lane`] puts a lane's indicators together, decides how many calls are moved
//! away, and lets them return. Windows, burn rates and shares of the budget are those of the Google SRE Workbook, chapter 5.

pub mod budget;
pub mod lane;

pub use budget::{Allowed, ErrorBudget, Reading};
pub use lane::{LaneBudgets, LaneStanding, Target};

use std::fmt;

use serde::Serialize;

/// What is counted of a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Indicator {
    /// Milliseconds from entering the lane to the first content of a streamed answer.
    FirstToken,
    /// Milliseconds per token of a streamed answer after its first content.
    InterToken,
    /// Milliseconds from entering the lane to the end of the answer.
    Total,
    /// Whether the lane answered a call that came to it.
    Success,
    /// Whether the application said that an answer was good.
    Quality,
}

impl Indicator {
    /// All of them.
    pub const ALL: [Indicator; 5] =
        [Indicator::FirstToken, Indicator::InterToken, Indicator::Total, Indicator::Success, Indicator::Quality];

    /// As labels and keys of JSON have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Indicator::FirstToken => "first_token",
            Indicator::InterToken => "inter_token",
            Indicator::Total => "total",
            Indicator::Success => "success",
            Indicator::Quality => "quality",
        }
    }
}

impl fmt::Display for Indicator {
    /// As sentences have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Indicator::FirstToken => "first token",
            Indicator::InterToken => "time per token",
            Indicator::Total => "total time",
            Indicator::Success => "success",
            Indicator::Quality => "quality",
        })
    }
}

/// A minute, milliseconds.
pub const MINUTE_MS: u64 = 60_000;
/// An hour, milliseconds.
pub const HOUR_MS: u64 = 3_600_000;
/// The time a budget of errors is for, milliseconds: thirty days.
pub const BUDGET_MS: u64 = 30 * 24 * HOUR_MS;

/// A burn that is too fast, in two windows at once: the long one shows that it matters, the short one that it still goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alert {
    /// How many times the even use of the budget, thousandths.
    pub burn_milli: u32,
    /// The long window, milliseconds.
    pub long_ms: u64,
    /// The short window, milliseconds.
    pub short_ms: u64,
    /// Whether somebody is to be woken; the others can wait for the morning.
    pub pages: bool,
    /// Share of the lane's calls that is moved away meanwhile, thousandths. A judgement: the slowest burn, which uses the
    /// budget up just in its thirty days, moves enough to turn it; the fastest, which would in two, leaves what is needed to
    /// see that it is over.
    pub moved_permille: u16,
}

/// The alerts, mildest first (SRE Workbook, table 5-8: 10, 10, 5 and 2 percent of the budget are gone when they fire). A
/// lane's level is how many of the list it stands at: 0 is none, 4 the fastest.
pub const ALERTS: [Alert; 4] = [
    Alert { burn_milli: 1_000, long_ms: 72 * HOUR_MS, short_ms: 6 * HOUR_MS, pages: false, moved_permille: 100 },
    Alert { burn_milli: 3_000, long_ms: 24 * HOUR_MS, short_ms: 2 * HOUR_MS, pages: false, moved_permille: 250 },
    Alert { burn_milli: 6_000, long_ms: 6 * HOUR_MS, short_ms: 30 * MINUTE_MS, pages: true, moved_permille: 500 },
    Alert { burn_milli: 14_400, long_ms: HOUR_MS, short_ms: 5 * MINUTE_MS, pages: true, moved_permille: 900 },
];

/// A burn in words: 16200 thousandths are `16.2`.
#[derive(Clone, Copy, Debug)]
pub struct Times(pub u64);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 100)
    }
}

/// A window in words: `5 m`, `1 h`, `3 d`.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms >= 48 * HOUR_MS => write!(f, "{} d", ms / (24 * HOUR_MS)),
            ms if ms >= HOUR_MS => write!(f, "{} h", ms / HOUR_MS),
            ms => write!(f, "{} m", ms / MINUTE_MS),
        }
    }
}
