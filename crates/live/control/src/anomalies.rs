//! What is out of the ordinary, as people see it: prices, tiers, first tokens and spend, each with its series.

use domain::UnixMs;
use serde::Serialize;

/// What this instance has found, and what it looks at.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct AnomaliesView {
    /// What stands and what is over, the newest first and what stands before all.
    pub anomalies: Vec<AnomalyNow>,
    /// Every series that is watched, over the last day.
    pub series: Vec<WatchedSeries>,
}

/// Something that is, or was, out of the ordinary.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AnomalyNow {
    /// `price`, `tier`, `latency` or `spend`.
    pub kind: &'static str,
    /// Of what: `model sonnet`, `workflow claims-triage`, `all calls`.
    pub subject: String,
    /// When it began.
    pub since: UnixMs,
    /// When it was over; absent while it stands.
    pub until: Option<UnixMs>,
    /// How many times as much as it should be, thousandths.
    pub factor_milli: u64,
    /// What it is, in words.
    pub sentence: String,
    /// Whether calls go elsewhere because of it.
    pub moves: bool,
}

/// A series in buckets of five minutes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WatchedSeries {
    /// Of what.
    pub name: String,
    /// `nano_usd` or `first_token_ms`.
    pub unit: &'static str,
    /// Oldest first.
    pub points: Vec<WatchedPoint>,
}

/// A bucket.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct WatchedPoint {
    /// When it began.
    pub at: UnixMs,
    /// What it came to.
    pub amount: i64,
    /// What was expected; absent while too little is known.
    pub expected: Option<i64>,
    /// Whether the alarm stood.
    pub alarm: bool,
}
