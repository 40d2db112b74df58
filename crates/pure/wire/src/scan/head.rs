//! What the head of a request says: which model, how large, what it makes use of, whom it is tied to.

use domain::{Meter, Usage};

use super::spans::Spans;
use crate::audio::Length;

/// What the gateway has to know of a request before it may send it anywhere.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The name in `model`, as the client wrote it (escapes resolved), or in the address. A scanned head always has one.
    pub model: Option<String>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the client asked for the usage chunk (`stream_options.include_usage`). Always true where streams carry
    /// usage by themselves.
    pub include_usage: bool,
    /// Whether the client asked for the usage so far in every chunk (`stream_options.continuous_usage_stats`).
    pub continuous_usage: bool,
    /// The cap on output tokens the client named, if it named one; the larger where it named two.
    pub max_output: Option<u64>,
    /// How many answers are asked for, at least 1.
    pub n: u32,
    /// Whether a list of texts is to be embedded, where the dialect has another path for that.
    pub batch: bool,
    /// Bytes of prompt text (escapes resolved, keys included; images, documents and audio not): what tokens are estimated
    /// from.
    pub prompt_bytes: u64,
    /// A number of input tokens the provider will not count above: a token is at least a byte, and what is no text has a
    /// fixed allowance. What a provider's own server-side tools fetch is not in it.
    pub input_upper_tokens: u64,
    /// A number of search units that a ranking of its documents will not be billed above.
    pub search_units_upper: u64,
    /// What it amounts to in units that some models are billed by.
    pub units: Units,
    /// What the request makes use of.
    pub features: Features,
    /// What of the prompt, or of the answer, only one provider has.
    pub bound: Bound,
    pub(crate) spans: Spans,
}

/// What a request amounts to in units that some models are billed by instead of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Units {
    /// Pictures asked for.
    pub pictures: u32,
    /// Pictures sent.
    pub pictures_sent: u32,
    /// Characters to be spoken.
    pub characters: u64,
    /// Audio sent.
    pub audio: Length,
}

impl Units {
    /// No provider will count more.
    pub fn upper(&self) -> Usage {
        self.usage(self.audio.upper_ms)
    }

    /// What will probably be counted.
    pub fn likely(&self) -> Usage {
        self.usage(self.audio.likely_ms)
    }

    fn usage(&self, audio_ms: u64) -> Usage {
        Usage::ZERO
            .with(Meter::OutputImages, self.pictures.into())
            .with(Meter::InputImages, self.pictures_sent.into())
            .with(Meter::InputCharacters, self.characters)
            .with(Meter::InputAudioMs, audio_ms)
    }
}

/// What a request makes use of, so that a model that lacks it can be passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// Tools or functions are offered.
    pub tools: bool,
    /// A message carries an image.
    pub images: bool,
    /// A message carries a document or a video.
    pub documents: bool,
    /// A message carries audio, or audio is asked for.
    pub audio: bool,
    /// The answer is to be JSON or to follow a schema.
    pub structured: bool,
    /// Reasoning is asked for.
    pub reasoning: bool,
    /// Token probabilities are asked for.
    pub logprobs: bool,
    /// The service tier that is asked for, where the dialect says it in a text `service_tier`.
    pub tier: AskedTier,
}

/// The service tier a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AskedTier {
    /// None, or the provider's usual one.
    #[default]
    Usual,
    /// Dearer and faster.
    Priority,
    /// Cheaper and slower.
    Flex,
    /// One that only some provider knows.
    Other,
}

impl AskedTier {
    /// The tier as the providers of these dialects name it; absent where nothing else than the usual was asked for.
    pub const fn named(self) -> Option<&'static str> {
        match self {
            AskedTier::Priority => Some("priority"),
            AskedTier::Flex => Some("flex"),
            AskedTier::Usual | AskedTier::Other => None,
        }
    }
}

/// What ties a request to the provider that made or keeps a part of it (openai-responses; of gemini, cached contents).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bound {
    /// The answer it goes on from, by the provider's id (`previous_response_id`).
    pub previous: Option<String>,
    /// A part of the prompt that we do not see is kept by the provider: an earlier answer, a conversation, a template,
    /// cached contents.
    pub hidden_prompt: bool,
    /// It refers to files that only their keeper has.
    pub opaque: bool,
    /// The answer is to be made later and fetched (`background`).
    pub background: bool,
}

/// Why a body was refused before anything was sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} (at byte {offset} of the body)")]
pub struct BadBody {
    /// What is wrong, and what to write instead.
    pub message: String,
    /// Byte offset into the body.
    pub offset: usize,
    /// The top-level field concerned, if one is.
    pub param: Option<&'static str>,
}

impl Bound {
    /// Whether some of the request is of use to one provider only.
    pub fn is_tied(&self) -> bool {
        self.hidden_prompt || self.opaque
    }
}
