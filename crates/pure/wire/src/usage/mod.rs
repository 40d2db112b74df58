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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reported {
    /// A complete partition of the tokens.
    pub usage: Usage,
    /// Tokens in it that the details did not explain; they stand on the base meter of their direction.
    pub residue: u64,
    /// What the provider says it cost, where it says so.
    pub cost: Option<NanoUsd>,
}
