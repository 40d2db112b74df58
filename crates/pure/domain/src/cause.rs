//! Why an attempt was spent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason money left the house; every attempt has exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The first try to answer a caller.
    Serve,
    /// The same model again.
    Retry,
    /// Another model or lane after a failure.
    Failover,
    /// A second try raced against a slow first.
    Hedge,
    /// A copy whose answer nobody waits for, or an answer asked for although the cache had one, to compare the two.
    Shadow,
    /// Traffic of an experiment.
    Experiment,
    /// A judge scoring an answer.
    Judge,
    /// An embedding.
    Embed,
    /// A guardrail.
    Guard,
    /// A tool call.
    Tool,
    /// A file put where a provider keeps it.
    Keep,
    /// Many requests handed over at once, to be answered later.
    Batch,
    /// A request of a kind that Freehold does not read, passed on.
    Pass,
    /// A scripted shock.
    Drill,
    /// What an earlier attempt was booked with, put right.
    Correction,
    /// Capacity that was paid for by the hour and not used.
    Capacity,
}

impl Cause {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Serve => "serve",
            Cause::Retry => "retry",
            Cause::Failover => "failover",
            Cause::Hedge => "hedge",
            Cause::Shadow => "shadow",
            Cause::Experiment => "experiment",
            Cause::Judge => "judge",
            Cause::Embed => "embed",
            Cause::Guard => "guard",
            Cause::Tool => "tool",
            Cause::Keep => "keep",
            Cause::Batch => "batch",
            Cause::Pass => "pass",
            Cause::Drill => "drill",
            Cause::Correction => "correction",
            Cause::Capacity => "capacity",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
