//! The form between dialects: what a request, an answer and a stream say, whichever grammar says it.
//!
//! Every dialect is read into this form and written from it, so a new dialect is one reader and one writer, not one per pair.
//! What the form holds borrows from the bytes that were read; schemas, tool arguments and numbers stay the text they were.
//! Each thing knows its JSON pointer in the body that was read, so that a writer that has no place for it can say so.

pub(crate) mod common;
mod functions;
pub(crate) mod json;
mod losses;
pub(crate) mod openai;
pub(crate) mod ranking;
pub(crate) mod schema;
mod source;
pub(crate) mod vectors;

pub use losses::Losses;

use std::borrow::Cow;

use domain::{Fault, FaultClass};
use serde_json::value::RawValue;

use crate::maker::Maker;
use crate::quirks::Quirks;
use crate::usage::Reported;

/// A value and where it stood.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// JSON pointer into the body that was read.
    pub at: String,
    /// The value.
    pub value: T,
}

/// A value whose JSON text is kept, and where it stood.
pub type PlacedRaw<'a> = Placed<&'a RawValue>;

/// A request for an answer to a conversation.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// Instructions that stand before the conversation.
    pub system: Vec<Part<'a>>,
    /// The conversation.
    pub messages: Vec<Message<'a>>,
    /// Tools the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether and which tool must be called.
    pub tool_choice: Option<Placed<ToolChoice<'a>>>,
    /// Whether several tools may be called in one answer.
    pub parallel_tool_calls: Option<Placed<bool>>,
    /// The most tokens the answer may have.
    pub max_output: Option<Placed<u64>>,
    /// Sampling temperature.
    pub temperature: Option<PlacedRaw<'a>>,
    /// Nucleus sampling.
    pub top_p: Option<PlacedRaw<'a>>,
    /// Sampling from the likeliest so many.
    pub top_k: Option<PlacedRaw<'a>>,
    /// Penalty on tokens by how often they came.
    pub frequency_penalty: Option<PlacedRaw<'a>>,
    /// Penalty on tokens that came at all.
    pub presence_penalty: Option<PlacedRaw<'a>>,
    /// Bias on single tokens of one tokenizer.
    pub logit_bias: Option<PlacedRaw<'a>>,
    /// The seed of sampling.
    pub seed: Option<PlacedRaw<'a>>,
    /// Whether token probabilities are wanted.
    pub logprobs: Option<PlacedRaw<'a>>,
    /// How many alternatives to each token are wanted.
    pub top_logprobs: Option<PlacedRaw<'a>>,
    /// How many answers are wanted.
    pub n: Option<Placed<u64>>,
    /// Texts at which the answer ends.
    pub stop: Option<Placed<Vec<Cow<'a, str>>>>,
    /// The shape the answer must have.
    pub format: Option<Placed<Format<'a>>>,
    /// How much the model is to think first.
    pub reasoning: Option<Placed<Reasoning>>,
    /// Who the application's user is.
    pub user: Option<Placed<Cow<'a, str>>>,
    /// The service tier asked for.
    pub service_tier: Option<Placed<ServiceTier>>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
}

/// One turn of a conversation, or an instruction within it.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// JSON pointer of the message.
    pub at: String,
    /// Who speaks.
    pub role: Role,
    /// The speaker's name.
    pub name: Option<Placed<Cow<'a, str>>>,
    /// What is said.
    pub parts: Vec<Part<'a>>,
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Instructions within the conversation.
    System,
    /// The application or its user; results of tools too.
    User,
    /// The model.
    Assistant,
}

/// A piece of a message.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// JSON pointer of the piece.
    pub at: String,
    /// A mark that the prompt up to here is worth caching, as the client wrote it.
    pub cache: Option<PlacedRaw<'a>>,
    /// What it is.
    pub content: Content<'a>,
}

/// What a piece of a message is.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A picture.
    Image(Source<'a>),
    /// A document.
    Document {
        /// Where it is.
        source: Source<'a>,
        /// Its name.
        title: Option<Cow<'a, str>>,
    },
    /// The model calls a tool.
    ToolUse {
        /// What the result will refer to.
        id: Cow<'a, str>,
        /// Which tool.
        name: Cow<'a, str>,
        /// With what: the text of a JSON object, as far as the model kept to that.
        arguments: Cow<'a, str>,
    },
    /// What a tool gave.
    ToolResult {
        /// Which call it answers.
        id: Cow<'a, str>,
        /// What it gave.
        parts: Vec<Part<'a>>,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// What the model thought. Signed or not, it belongs to the provider that made it and never crosses to another.
    Thinking {
        /// The thought.
        text: Cow<'a, str>,
        /// The provider's signature.
        signature: Option<Cow<'a, str>>,
    },
    /// A thought only its provider can read.
    RedactedThinking(Cow<'a, str>),
    /// The model declined, in these words.
    Refusal(Cow<'a, str>),
}

/// Where a picture or document is.
#[derive(Clone, Debug)]
pub enum Source<'a> {
    /// In the body.
    Base64 {
        /// `image/png`, `application/pdf`.
        media_type: Cow<'a, str>,
        /// The bytes.
        data: Cow<'a, str>,
    },
    /// At an address.
    Url(Cow<'a, str>),
    /// In the body, as plain text.
    Text(Cow<'a, str>),
    /// In a provider's file store, which no other provider can read.
    File(Cow<'a, str>),
}

/// A tool the model may call.
#[derive(Clone, Debug)]
pub struct Tool<'a> {
    /// JSON pointer of the tool.
    pub at: String,
    /// A mark that the prompt up to here is worth caching.
    pub cache: Option<PlacedRaw<'a>>,
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it does.
    pub description: Option<Cow<'a, str>>,
    /// The JSON schema of its arguments.
    pub schema: Option<Cow<'a, RawValue>>,
    /// Whether the arguments are held to the schema.
    pub strict: Option<bool>,
    /// The kind of a tool that is no function of the client's: the provider runs it, or only its models know it.
    pub built_in: Option<Cow<'a, str>>,
}

/// Whether and which tool must be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolChoice<'a> {
    /// The model decides.
    Auto,
    /// At least one.
    Any,
    /// None.
    None,
    /// This one.
    Named(Cow<'a, str>),
}

/// The shape the answer must have.
#[derive(Clone, Debug)]
pub enum Format<'a> {
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// What the shape is called.
        name: Option<Placed<Cow<'a, str>>>,
        /// What it is for.
        description: Option<Placed<Cow<'a, str>>>,
        /// The schema.
        schema: Cow<'a, RawValue>,
        /// Whether the schema is enforced; said or not.
        strict: Option<Placed<bool>>,
    },
}

/// How much the model is to think before it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reasoning {
    /// Not at all.
    Off,
    /// By level.
    Effort(Effort),
    /// Up to so many tokens.
    Budget(u64),
    /// As the model sees fit.
    Adaptive,
}

/// Levels of thinking, in rising order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effort {
    /// Next to none.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More than much.
    ExtraHigh,
    /// All it can.
    Max,
}

/// Thinking budgets up to which an effort is called low and medium, tokens. Ours: the dialects publish no scale.
const LOW_EFFORT_TOKENS: u64 = 4_096;
const MEDIUM_EFFORT_TOKENS: u64 = 16_384;

impl Effort {
    const NAMES: [(&'static str, Effort); 6] = [
        ("minimal", Effort::Minimal),
        ("low", Effort::Low),
        ("medium", Effort::Medium),
        ("high", Effort::High),
        ("xhigh", Effort::ExtraHigh),
        ("max", Effort::Max),
    ];

    /// The level of this name, which dialects share.
    pub fn from_name(name: &str) -> Option<Effort> {
        Effort::NAMES.iter().find(|(known, _)| *known == name).map(|(_, effort)| *effort)
    }

    /// The level nearest to a budget of thinking, for dialects that know levels only.
    pub(crate) fn near(tokens: u64) -> Effort {
        match tokens {
            few if few <= LOW_EFFORT_TOKENS => Effort::Low,
            some if some <= MEDIUM_EFFORT_TOKENS => Effort::Medium,
            _ => Effort::High,
        }
    }

    /// The name dialects share.
    pub fn as_str(self) -> &'static str {
        Effort::NAMES.iter().find(|(_, effort)| *effort == self).map_or("medium", |(name, _)| name)
    }
}

/// The service tier asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceTier {
    /// The best the account pays for.
    Auto,
    /// The ordinary one.
    Standard,
    /// Dearer and faster.
    Priority,
    /// Cheaper and slower.
    Flex,
}

/// Whom a request is written for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The provider's id of the model.
    pub model: &'a str,
    /// How its server departs from the dialect.
    pub quirks: &'a Quirks,
    /// A cap on output tokens of ours, where the client named none.
    pub insert_max_output: Option<u64>,
    /// The cap sent where the dialect requires one and no one named any.
    pub default_max_output: u64,
    /// Whose signatures it can read: its provider's own.
    pub maker: Maker,
    /// Whether the conversation ends with the beginning of an answer that the model is to go on with.
    pub starts: bool,
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct Answer<'a> {
    /// The provider's id of it.
    pub id: Option<Cow<'a, str>>,
    /// When it was made, seconds since 1970.
    pub created_unix_s: Option<i64>,
    /// What it says.
    pub parts: Vec<Part<'a>>,
    /// Why it ended.
    pub finish: Option<Finish<'a>>,
    /// What it consumed.
    pub usage: Option<Reported>,
    /// The service tier that served.
    pub service_tier: Option<Cow<'a, str>>,
}

/// Why an answer ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finish<'a> {
    /// What it comes down to.
    pub reason: FinishReason,
    /// The provider's word.
    pub word: Cow<'a, str>,
    /// The stop text that was met.
    pub stop_sequence: Option<Cow<'a, str>>,
}

/// What the end of an answer comes down to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// It met a stop text.
    StopSequence,
    /// It reached the cap on output.
    Length,
    /// It filled the model's context.
    ContextFull,
    /// It calls tools.
    ToolUse,
    /// It, or a filter, declined.
    Refusal,
    /// The provider paused a long turn; sending it back goes on.
    Pause,
}

/// One thing a stream says.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a usage comes once or twice a stream, and a box would be made for each")]
pub enum Event<'a> {
    /// It begins.
    Start {
        /// The provider's id of the answer.
        id: Option<Cow<'a, str>>,
        /// When it was made, seconds since 1970.
        created_unix_s: Option<i64>,
    },
    /// More text.
    Text(Cow<'a, str>),
    /// More of a thought.
    Thinking(Cow<'a, str>),
    /// The signature of the thought before.
    Signature(Cow<'a, str>),
    /// A thought only its provider can read.
    RedactedThinking(Cow<'a, str>),
    /// More of the words in which the model declines.
    Refusal(Cow<'a, str>),
    /// A tool call begins.
    ToolStart {
        /// Its place among the answer's tool calls.
        ordinal: u32,
        /// Its id, where the provider gave one.
        id: Option<Cow<'a, str>>,
        /// Which tool.
        name: Cow<'a, str>,
    },
    /// More of a tool call's arguments, as JSON text.
    ToolArguments {
        /// Which call.
        ordinal: u32,
        /// The text.
        json: Cow<'a, str>,
    },
    /// Output that no other dialect has a place for: so many bytes of it. It was made, and will be billed.
    Elsewhere {
        /// Bytes of text.
        bytes: usize,
    },
    /// What was being said is complete.
    BlockEnd,
    /// Why it ended. What was consumed may still follow.
    Finish(Finish<'a>),
    /// What was consumed so far; replaces what was said before.
    Usage(Reported),
    /// The service tier that serves.
    ServiceTier(Cow<'a, str>),
    /// Nothing, to keep the connection open.
    Ping,
    /// It is complete.
    End,
}

/// What an answer is to look like to the client.
#[derive(Clone, Debug)]
pub struct Cover {
    /// The name the client asked for.
    pub model: String,
    /// The id where the provider gave none.
    pub id: String,
    /// The time where the provider gave none, seconds since 1970.
    pub created_unix_s: i64,
    /// Whether a stream ends with its usage.
    pub include_usage: bool,
    /// Whether a stream carries the usage so far in every chunk.
    pub continuous_usage: bool,
    /// Whose tag stands before what the provider signed.
    pub maker: Maker,
}

/// The longest id or word of a provider's that is kept between the events of a stream, bytes.
pub(crate) const MAX_KEPT_BYTES: usize = 512;

/// A body whose field at `at` is not what its dialect says; `must` names what it must be.
pub(crate) fn refused(at: &str, must: &str) -> Fault {
    Fault::new(FaultClass::BadRequest, format!("`{at}` {must}"))
}

/// Whether a text is a media type without parameters: two tokens of RFC 9110, which hold no comma that would end the head of
/// a data URL.
pub(crate) fn is_media_type(text: &str) -> bool {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// A request that the provider's dialect cannot say.
pub(crate) fn untranslatable(why: impl Into<String>) -> Fault {
    Fault::new(FaultClass::Untranslatable, why)
}

/// An answer that is not what its dialect promises.
pub(crate) fn malformed(what: &str) -> Fault {
    Fault::new(FaultClass::Malformed, what)
}

impl<'a> Part<'a> {
    /// A piece without a cache mark.
    pub(crate) fn new(at: impl Into<String>, content: Content<'a>) -> Part<'a> {
        Part { at: at.into(), cache: None, content }
    }

    /// Its text, if that is what it is.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Cover {
    /// Takes the provider's id of an answer; one of absurd length is none.
    pub(crate) fn take_id(&mut self, id: Option<&Cow<'_, str>>) {
        if let Some(id) = id.filter(|id| id.len() <= MAX_KEPT_BYTES) {
            self.id = id.to_string();
        }
    }
}

impl Finish<'_> {
    /// The same, borrowing nothing. What is kept of a stream has a bound, so words beyond it are not kept.
    pub(crate) fn to_kept(&self) -> Finish<'static> {
        let keep = |text: &Cow<'_, str>| (text.len() <= MAX_KEPT_BYTES).then(|| Cow::Owned(text.to_string()));
        Finish {
            reason: self.reason,
            word: keep(&self.word).unwrap_or_default(),
            stop_sequence: self.stop_sequence.as_ref().and_then(keep),
        }
    }
}

impl Losses {
    /// Thoughts are signed for, or readable by, the provider that made them.
    pub(crate) fn thinking(&mut self, part: &Part<'_>) {
        self.dropped(&part.at, "thinking belongs to the provider that made it and is not shown to another");
    }

    /// Marks without a place to stand.
    pub(crate) fn cache(&mut self, mark: Option<&PlacedRaw<'_>>, why: &str) {
        if let Some(mark) = mark {
            self.dropped(&mark.at, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_holds_nothing_that_would_end_the_head_of_a_data_url() {
        assert!(is_media_type("image/png") && is_media_type("application/vnd.ms-excel"));
        for text in ["", "image", "image/", "/png", "image/,png", "image/png;base64", "image/ png", "a/b/c"] {
            assert!(!is_media_type(text), "{text}");
        }
    }
}
