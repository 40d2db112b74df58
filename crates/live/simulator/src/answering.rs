//! A call being answered: what every dialect needs to know to write an answer down.

use crate::content::Usage;
use crate::scenario::{Kind, Script};

/// A call being answered, as the writers of answers see it.
pub struct Answering<'a> {
    /// Its provider's.
    pub script: &'a Script,
    /// The scenario's.
    pub seed: u64,
    /// Letters and digits that distinguish this answer.
    pub id: String,
    /// When it is made.
    pub created_unix_s: i64,
    /// The fault that is played on it, where there is one.
    pub fault: Option<Kind>,
}

impl Answering<'_> {
    /// The service tier to report.
    pub fn tier(&self, standard: &'static str) -> &str {
        self.script.usage.service_tier.as_deref().unwrap_or(standard)
    }

    /// The usage to report, which a fault may make a lie.
    pub fn reported(&self, usage: Usage) -> Option<Usage> {
        match self.fault {
            Some(Kind::UsageMissing) => None,
            Some(Kind::UsageZero) => Some(Usage::default()),
            Some(Kind::UsageWrong) => Some(Usage {
                prompt: usage.prompt * 10,
                cached: usage.cached * 10,
                cache_write_5m: usage.cache_write_5m * 10,
                cache_write_1h: usage.cache_write_1h * 10,
                output: usage.output * 10,
                reasoning: usage.reasoning * 10,
            }),
            _ => Some(usage),
        }
    }
}
