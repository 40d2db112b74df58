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
    pub geography: Option<Geography>,
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

/// A provider's word for where it processed, such as `us`. A word longer than [`Geography::LONGEST_BYTES`] is cut, and then is no
/// region of any price row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Geography {
    bytes: [u8; Geography::LONGEST_BYTES],
    length: u8,
}

impl Geography {
    /// The longest word kept whole. The longest region of Google's, `northamerica-northeast1`, has 23.
    pub const LONGEST_BYTES: usize = 24;

    /// Keeps a word.
    pub fn new(word: &str) -> Geography {
        let mut end = word.len().min(Geography::LONGEST_BYTES);
        while !word.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; Geography::LONGEST_BYTES];
        bytes[..end].copy_from_slice(&word.as_bytes()[..end]);
        Geography { bytes, length: u8::try_from(end).expect("the longest word has 24 bytes") }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("cut between characters")
    }
}

impl std::fmt::Debug for Geography {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
