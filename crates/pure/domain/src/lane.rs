//! Lane classes and pick rules.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a lane is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Class {
    /// Premium.
    A,
    /// Standard.
    B,
    /// Failover and open models.
    C,
}

/// How a lane chooses among its models.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// Highest quality; declared until evaluation measures it.
    Best,
    /// Lowest measured time to the first token.
    Fastest,
    /// Lowest expected cost of this very call, not lowest list price.
    Cheapest,
    /// The better of two drawn by expected cost, attempts under way and failures of late.
    Balanced,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Class::A => "A",
            Class::B => "B",
            Class::C => "C",
        })
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pick::Best => "best",
            Pick::Fastest => "fastest",
            Pick::Cheapest => "cheapest",
            Pick::Balanced => "balanced",
        })
    }
}
