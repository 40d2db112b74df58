//! What a provider says is left of the quota it gives us: requests and tokens, of a window that ends or of a bucket that refills.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a quota counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaUnit {
    /// Requests.
    Requests,
    /// Tokens of prompts and answers together.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
}

/// Over which time it counts, where its name says so.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaWindow {
    /// Nobody says.
    Unsaid,
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
}

/// One claim: how much a provider says is left now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaClaim {
    /// What is counted.
    pub unit: QuotaUnit,
    /// Over which time.
    pub window: QuotaWindow,
    /// The most there can be of it.
    pub limit: Option<u64>,
    /// What is left.
    pub left: u64,
    /// Until there is all of it again, milliseconds from now.
    pub full_in_ms: Option<u64>,
    /// Whether it comes back bit by bit, instead of all at once at the end of a window.
    pub refills: bool,
}

impl QuotaUnit {
    /// All of them.
    pub const ALL: [QuotaUnit; 4] =
        [QuotaUnit::Requests, QuotaUnit::Tokens, QuotaUnit::InputTokens, QuotaUnit::OutputTokens];

    /// The name, as metrics and pages have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            QuotaUnit::Requests => "requests",
            QuotaUnit::Tokens => "tokens",
            QuotaUnit::InputTokens => "input_tokens",
            QuotaUnit::OutputTokens => "output_tokens",
        }
    }

    /// Its place in [`QuotaUnit::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for QuotaUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl QuotaWindow {
    /// The name; empty where nobody says.
    pub const fn as_str(self) -> &'static str {
        match self {
            QuotaWindow::Unsaid => "",
            QuotaWindow::Second => "second",
            QuotaWindow::Minute => "minute",
            QuotaWindow::Hour => "hour",
            QuotaWindow::Day => "day",
            QuotaWindow::Month => "month",
        }
    }

    /// How long it lasts, milliseconds; a month as long as the longest. `None` where nobody says.
    pub const fn ms(self) -> Option<u64> {
        match self {
            QuotaWindow::Unsaid => None,
            QuotaWindow::Second => Some(1_000),
            QuotaWindow::Minute => Some(60_000),
            QuotaWindow::Hour => Some(3_600_000),
            QuotaWindow::Day => Some(86_400_000),
            QuotaWindow::Month => Some(31 * 86_400_000),
        }
    }
}

impl fmt::Display for QuotaWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
