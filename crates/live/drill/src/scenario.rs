//! What a script can say: how long, who asks what, what goes wrong, and what is expected all the same.

use std::collections::BTreeMap;

use simulator::scenario::{Kind, Length, Spread};
use thiserror::Error;

pub use crate::written::parse;

/// A drill, read and checked as far as that goes without a configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// What people call it.
    pub title: String,
    /// The question it asks, in a sentence.
    pub asks: String,
    /// How long calls come in, milliseconds of virtual time.
    pub lasts_ms: u64,
    /// From this come all arrivals, texts, latencies and chances.
    pub seed: u64,
    /// Who asks what; every workflow of the configuration, moderately, where there is none.
    pub load: Vec<Load>,
    /// How fast providers are without a shock, by name.
    pub paces: BTreeMap<String, Pace>,
    /// What goes wrong.
    pub shocks: Vec<Shock>,
    /// What is expected, by workflow; `*` means every one that has no expectation of its own.
    pub expect: BTreeMap<String, Expect>,
}

/// Calls for a workflow.
#[derive(Clone, PartialEq, Debug)]
pub struct Load {
    /// Which; every one that no other load names, where absent.
    pub workflow: Option<String>,
    /// How many in a minute, on average; they come at random moments.
    pub per_minute: f64,
    /// Tokens of the prompt, four characters each.
    pub prompt_tokens: Length,
    /// Tokens of the answer.
    pub output_tokens: Length,
    /// How many of a hundred are streamed.
    pub streamed_percent: f64,
    /// Where it stands in the file.
    pub line: usize,
}

/// How fast a provider is.
#[derive(Clone, PartialEq, Debug)]
pub struct Pace {
    /// From the request to the first token, milliseconds.
    pub first_token_ms: Option<Spread>,
    /// Tokens a second after the first.
    pub tokens_per_second: Option<Spread>,
    /// Where it stands in the file.
    pub line: usize,
}

/// Something that goes wrong for a while.
#[derive(Clone, PartialEq, Debug)]
pub struct Shock {
    /// What.
    pub what: What,
    /// To whom; each of these that is given narrows it, and nothing given means everybody.
    pub target: Target,
    /// When it begins, milliseconds.
    pub at_ms: u64,
    /// How long it lasts, milliseconds.
    pub lasts_ms: u64,
    /// To what share of the calls it happens, percent.
    pub percent: f64,
    /// Where it comes and goes within its time: every so many milliseconds, for so many, for all targets at the same moments.
    pub bursts: Option<(u64, u64)>,
    /// Where it stands in the file.
    pub line: usize,
}

/// What goes wrong.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// Nobody is there: connections are refused, and those that stood are cut.
    Gone,
    /// A fault of the simulator's, by its own name there.
    Fault {
        /// Which.
        kind: Kind,
        /// How much later, or how long silent.
        delay_ms: Option<u64>,
        /// After how many frames of a stream.
        after_frames: usize,
        /// What Retry-After says.
        retry_after_ms: Option<u64>,
        /// Only streamed answers, or only whole ones.
        stream: Option<bool>,
    },
    /// So many requests a minute are served by each provider; the rest are told to wait.
    Quota {
        /// How many.
        requests_per_minute: u64,
    },
    /// The price list changes: every price is multiplied.
    Price {
        /// By so much, percent; 200 doubles.
        percent: u64,
    },
}

/// To whom something happens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// Models of these providers.
    pub providers: Vec<String>,
    /// These models.
    pub models: Vec<String>,
    /// Models of these lanes.
    pub lanes: Vec<String>,
    /// Models of lanes of these classes: `A`, `B`, `C`.
    pub classes: Vec<String>,
    /// Models that run within this region.
    pub region: Option<String>,
}

/// What is expected of a workflow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expect {
    /// At least this share of its calls is answered in full, thousandths of a percent.
    pub success_millipercent: Option<u32>,
    /// 95 of 100 first tokens come within this, milliseconds.
    pub first_token_p95_ms: Option<u64>,
    /// 95 of 100 answers are over within this, milliseconds.
    pub total_p95_ms: Option<u64>,
    /// Its lane's service level is broken in at most so many minutes.
    pub broken_minutes: Option<u64>,
    /// It costs at most this much of what it costs without the shocks, percent.
    pub cost_percent: Option<u64>,
    /// Where it stands in the file.
    pub line: usize,
}

/// Why a text is no drill, or none for this configuration.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("line {line}: {reason}; {remedy}")]
pub struct Bad {
    /// Where.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl Bad {
    /// Puts it together.
    pub fn new(line: usize, reason: impl Into<String>, remedy: impl Into<String>) -> Bad {
        Bad { line, reason: reason.into(), remedy: remedy.into() }
    }
}

impl Target {
    /// In words.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        let mut add = |what: &str, names: &[String]| {
            if !names.is_empty() {
                parts.push(format!("{what} {}", names.join(", ")));
            }
        };
        add("provider", &self.providers);
        add("model", &self.models);
        add("lane", &self.lanes);
        add("class", &self.classes);
        add("region", self.region.as_slice());
        if parts.is_empty() { "every provider".to_owned() } else { parts.join(", ") }
    }
}
