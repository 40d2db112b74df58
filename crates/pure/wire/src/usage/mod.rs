//! Reads what an answer consumed, and splits it over meters that never overlap.
//!
//! Providers count differently: OpenAI's prompt tokens include what the cache served, Anthropic's do not; reasoning is
//! inside the completion, or beside it. A reader turns each into the same partition, in which every token stands once.

pub mod anthropic;
mod bedrock;
mod cohere;
mod decimal;
mod media;
pub mod gemini;
pub mod openai;
mod rerank;

pub use anthropic::anthropic_usage;
pub use bedrock::bedrock_usage;
pub use cohere::cohere_usage;
pub use gemini::gemini_usage;
pub use media::{audio_usage, duration_ms, image_usage, speech_usage};
pub use openai::openai_usage;
pub use rerank::rerank_usage;

use domain::{NanoUsd, Usage};

/// A usage as a provider reported it, split.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reported {
    /// A complete partition of the tokens.
    pub usage: Usage,
    /// Tokens in it that the details did not explain; they stand on the base meter of their direction.
    pub residue: u64,
    /// What the provider says it cost, where it says so.
    pub cost: Option<NanoUsd>,
    /// Where the provider says it was processed, as far as its bill depends on it.
    pub geography: Option<String>,
    /// What calls of models within the answer consumed beside `usage`.
    pub beside: Vec<Beside>,
}

/// A call of a model that the provider made for an answer by itself, and bills beside the answer's totals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beside {
    /// The vendor's id of the model; absent where it was the one asked.
    pub model: Option<String>,
    /// What it consumed.
    pub usage: Usage,
}

impl Reported {
    /// A usage whose details add up, and which says nothing of money or places.
    pub fn of(usage: Usage) -> Reported {
        Reported { usage, residue: 0, cost: None, geography: None, beside: Vec::new() }
    }
}
