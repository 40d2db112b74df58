//! `[defaults]`: how long anything may take and how persistent a call is, where a provider or workflow says nothing else.

use routing::RetryPolicy;

use crate::key::{Key, Section};
use crate::raw::Table;

/// What holds where nothing more particular is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Defaults {
    /// Persistence of calls whose workflow says nothing, and of calls that name a lane or model directly.
    pub retry: RetryPolicy,
    /// Deadlines of providers that say nothing.
    pub timeouts: Timeouts,
}

/// Deadlines of one attempt, and of the call as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Until a connection is made, TLS included, milliseconds.
    pub connect_ms: u64,
    /// From sending until the first content, milliseconds.
    pub first_token_ms: u64,
    /// Between two frames of a stream, milliseconds.
    pub frame_ms: u64,
    /// For the call as a whole, all attempts and waits included, milliseconds.
    pub total_ms: u64,
}

impl Default for Timeouts {
    /// A connection in 5 s, first content and every further frame in a minute, all of it in ten: longer than the
    /// official SDKs' own default of ten minutes serves nobody.
    fn default() -> Timeouts {
        Timeouts { connect_ms: 5_000, first_token_ms: 60_000, frame_ms: 60_000, total_ms: 600_000 }
    }
}

/// Deadlines as far as somebody set them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeoutOverrides {
    /// Instead of [`Timeouts::connect_ms`].
    pub connect_ms: Option<u64>,
    /// Instead of [`Timeouts::first_token_ms`].
    pub first_token_ms: Option<u64>,
    /// Instead of [`Timeouts::frame_ms`].
    pub frame_ms: Option<u64>,
    /// Instead of [`Timeouts::total_ms`].
    pub total_ms: Option<u64>,
}

impl TimeoutOverrides {
    /// These deadlines where they are set, else those of `base`.
    pub fn over(&self, base: Timeouts) -> Timeouts {
        Timeouts {
            connect_ms: self.connect_ms.unwrap_or(base.connect_ms),
            first_token_ms: self.first_token_ms.unwrap_or(base.first_token_ms),
            frame_ms: self.frame_ms.unwrap_or(base.frame_ms),
            total_ms: self.total_ms.unwrap_or(base.total_ms),
        }
    }
}

/// Keys of `[defaults]`.
pub const SECTION: Section = Section {
    path: "defaults",
    about: "What holds where a provider or a workflow says nothing else.",
    keys: &[RETRY_KEY, TIMEOUTS_KEY],
    meters: false,
};

/// The key that opens [`RETRY`].
pub const RETRY_KEY: Key = Key {
    name: "retry",
    takes: "table",
    default: "see `retry`",
    meaning: "How persistent a call is.",
    example: "{ max_attempts = 4, retries_same = 1, base_ms = 200, max_wait_ms = 2_000, wait_out_ms = 20_000 }",
};

/// The key that opens [`TIMEOUTS`].
pub const TIMEOUTS_KEY: Key = Key {
    name: "timeouts",
    takes: "table",
    default: "see `timeouts`",
    meaning: "How long anything may take.",
    example: "{ connect_ms = 5_000, first_token_ms = 60_000, frame_ms = 60_000, total_ms = 600_000 }",
};

/// Keys of every `retry = { … }`.
pub const RETRY: Section = Section {
    path: "retry",
    about: "How persistent one call is: in `[defaults]` for all, in a workflow for its own calls. A key left out in a workflow keeps its default.",
    keys: &[
        Key {
            name: "max_attempts",
            takes: "count, 1 to 20",
            default: "4",
            meaning: "Attempts for one call in all, on whatever models.",
            example: "4",
        },
        Key {
            name: "retries_same",
            takes: "count, 0 to 10",
            default: "1",
            meaning: "Further attempts on the model that has just failed, before the next one is tried.",
            example: "1",
        },
        Key {
            name: "base_ms",
            takes: "milliseconds, 0 to 60000",
            default: "200",
            meaning: "Upper end of the first wait; it doubles with each further attempt, and the wait is drawn below it.",
            example: "200",
        },
        Key {
            name: "max_wait_ms",
            takes: "milliseconds, 0 to 600000",
            default: "2000",
            meaning: "The longest single wait, a provider's Retry-After included; a longer Retry-After goes to the next model instead.",
            example: "2_000",
        },
        Key {
            name: "wait_out_ms",
            takes: "milliseconds, 0 to 600000",
            default: "20000",
            meaning: "How long a call waits in all while breakers, limits or times that providers named hold back every model that could answer; 0 refuses it at once, with Retry-After.",
            example: "20_000",
        },
    ],
    meters: false,
};

/// Keys of every `timeouts = { … }`.
pub const TIMEOUTS: Section = Section {
    path: "timeouts",
    about: "Deadlines: in `[defaults]` for all, in a provider for its models, in a workflow for its calls; the most particular wins, key by key.",
    keys: &[
        Key {
            name: "connect_ms",
            takes: "milliseconds, 1 to 600000",
            default: "5000",
            meaning: "Until a connection is made, TLS included.",
            example: "5_000",
        },
        Key {
            name: "first_token_ms",
            takes: "milliseconds, 1 to 3600000",
            default: "60000",
            meaning: "From sending until the first content comes; after it the next model is tried.",
            example: "60_000",
        },
        Key {
            name: "frame_ms",
            takes: "milliseconds, 1 to 3600000",
            default: "60000",
            meaning: "Between two frames of a stream.",
            example: "60_000",
        },
        Key {
            name: "total_ms",
            takes: "milliseconds, 1 to 86400000",
            default: "600000",
            meaning: "For the call as a whole, all attempts and waits included.",
            example: "600_000",
        },
    ],
    meters: false,
};

/// Reads `[defaults]`.
pub(crate) fn read(root: &Table) -> Defaults {
    let defaults = Defaults::default();
    let Some(table) = root.table("defaults", &SECTION) else { return defaults };
    Defaults { retry: retry(&table, defaults.retry), timeouts: timeouts(&table).over(defaults.timeouts) }
}

/// Reads a `retry` table over what holds without it.
pub(crate) fn retry(table: &Table, base: RetryPolicy) -> RetryPolicy {
    let Some(table) = table.table("retry", &RETRY) else { return base };
    let small = |name, range| table.count(name, range).and_then(|count| u16::try_from(count).ok());
    RetryPolicy {
        max_attempts: small("max_attempts", 1..=20).unwrap_or(base.max_attempts),
        retries_same: small("retries_same", 0..=10).unwrap_or(base.retries_same),
        base_ms: table.count("base_ms", 0..=60_000).unwrap_or(base.base_ms),
        max_wait_ms: table.count("max_wait_ms", 0..=600_000).unwrap_or(base.max_wait_ms),
        wait_out_ms: table.count("wait_out_ms", 0..=600_000).unwrap_or(base.wait_out_ms),
    }
}

/// Reads a `timeouts` table.
pub(crate) fn timeouts(table: &Table) -> TimeoutOverrides {
    let Some(table) = table.table("timeouts", &TIMEOUTS) else { return TimeoutOverrides::default() };
    TimeoutOverrides {
        connect_ms: table.count("connect_ms", 1..=600_000),
        first_token_ms: table.count("first_token_ms", 1..=3_600_000),
        frame_ms: table.count("frame_ms", 1..=3_600_000),
        total_ms: table.count("total_ms", 1..=86_400_000),
    }
}
