//! Which grammar is spoken, and what is asked for in it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A wire grammar, on the client's side or on a provider's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Dialect {
    /// OpenAI's chat completions, spoken by most servers.
    #[serde(rename = "openai-chat")]
    OpenAiChat,
    /// OpenAI's responses, spoken by Codex and newer SDKs.
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    /// Anthropic's messages.
    #[serde(rename = "anthropic")]
    Anthropic,
    /// Google's generateContent, of the Gemini API and of Vertex AI.
    #[serde(rename = "gemini")]
    Gemini,
    /// Amazon Bedrock's Converse.
    #[serde(rename = "bedrock-converse")]
    BedrockConverse,
    /// Cohere's chat, embed and rerank, version 2.
    #[serde(rename = "cohere")]
    Cohere,
}

impl Dialect {
    /// Every dialect, in the order documents list them.
    pub const ALL: &'static [Dialect] = &[
        Dialect::OpenAiChat,
        Dialect::OpenAiResponses,
        Dialect::Anthropic,
        Dialect::Gemini,
        Dialect::BedrockConverse,
        Dialect::Cohere,
    ];

    /// The stable name in configuration, records and fixtures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::OpenAiChat => "openai-chat",
            Dialect::OpenAiResponses => "openai-responses",
            Dialect::Anthropic => "anthropic",
            Dialect::Gemini => "gemini",
            Dialect::BedrockConverse => "bedrock-converse",
            Dialect::Cohere => "cohere",
        }
    }

    /// Whether the address of a request names its model, and whether it is a stream; elsewhere the body does.
    pub const fn is_addressed(self) -> bool {
        match self {
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Cohere => false,
            Dialect::Gemini | Dialect::BedrockConverse => true,
        }
    }

    /// The header that holds nothing but the credential, as the dialect's own API takes it; absent where it is a bearer token.
    pub const fn key_header(self) -> Option<&'static str> {
        match self {
            Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::BedrockConverse | Dialect::Cohere => None,
            Dialect::Anthropic => Some("x-api-key"),
            Dialect::Gemini => Some("x-goog-api-key"),
        }
    }

    /// A header that the dialect's own API demands of every request, and the value our own dialect is written to, where the
    /// client did not send it.
    pub const fn version_header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Dialect::Anthropic => Some(("anthropic-version", "2023-06-01")),
            Dialect::OpenAiChat
            | Dialect::OpenAiResponses
            | Dialect::Gemini
            | Dialect::BedrockConverse
            | Dialect::Cohere => None,
        }
    }

    /// Whether a client of this dialect may go on from an answer by its id, which only the provider that made it knows.
    pub const fn answers_are_gone_on_from(self) -> bool {
        matches!(self, Dialect::OpenAiResponses)
    }

    /// Whether streams tell their usage unasked; OpenAI's have to be asked.
    pub const fn streams_usage_unasked(self) -> bool {
        !matches!(self, Dialect::OpenAiChat)
    }

    /// How the events of a stream follow one another, where the client does not choose.
    pub const fn framing(self) -> Framing {
        match self {
            Dialect::BedrockConverse => Framing::Messages,
            _ => Framing::ServerSentEvents,
        }
    }

    /// Whether streams are Amazon's binary messages; elsewhere they are server-sent events.
    pub(crate) const fn streams_messages(self) -> bool {
        matches!(self.framing(), Framing::Messages)
    }

    /// Whether an event of a stream may be `[DONE]`, which is no JSON.
    pub(crate) const fn may_say_done(self) -> bool {
        matches!(self, Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::Cohere)
    }

    /// The dialect of this stable name.
    pub fn from_name(name: &str) -> Option<Dialect> {
        Dialect::ALL.iter().copied().find(|dialect| dialect.as_str() == name)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// An answer to a conversation.
    Chat,
    /// A conversation made short, for its provider to go on from: OpenAI's `responses/compact`.
    Compact,
    /// Vectors for texts.
    Embeddings,
    /// How many tokens a conversation would be. Costs nothing.
    CountTokens,
    /// An order of documents by how well they answer a query.
    Rerank,
    /// What follows a text: OpenAI's completions, older than chat.
    Completions,
    /// Whether a text or a picture breaks rules.
    Moderations,
    /// Pictures of what a text says.
    ImageGeneration,
    /// Pictures made of pictures.
    ImageEdit,
    /// A text spoken.
    Speech,
    /// What is said in audio.
    Transcription,
    /// What is said in audio, in English.
    AudioTranslation,
    /// Whatever a body means to a model at Bedrock whose vendor's grammar is not read here.
    Invoke,
    /// A spoken conversation over one connection: OpenAI's Realtime.
    Realtime,
}

impl Operation {
    /// Every operation.
    pub const ALL: &'static [Operation] = &[
        Operation::Chat,
        Operation::Compact,
        Operation::Embeddings,
        Operation::CountTokens,
        Operation::Rerank,
        Operation::Completions,
        Operation::Moderations,
        Operation::ImageGeneration,
        Operation::ImageEdit,
        Operation::Speech,
        Operation::Transcription,
        Operation::AudioTranslation,
        Operation::Invoke,
        Operation::Realtime,
    ];

    /// The stable name in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Compact => "compact",
            Operation::Embeddings => "embeddings",
            Operation::CountTokens => "count_tokens",
            Operation::Rerank => "rerank",
            Operation::Completions => "completions",
            Operation::Moderations => "moderations",
            Operation::ImageGeneration => "image_generation",
            Operation::ImageEdit => "image_edit",
            Operation::Speech => "speech",
            Operation::Transcription => "transcription",
            Operation::AudioTranslation => "audio_translation",
            Operation::Invoke => "invoke",
            Operation::Realtime => "realtime",
        }
    }

    /// Whether the answer is text whose length a cap on tokens bounds.
    pub const fn is_capped(self) -> bool {
        matches!(self, Operation::Chat | Operation::Completions)
    }

    /// Whether it asks something about a conversation that servers of the same dialect may not have.
    pub const fn is_beside_a_conversation(self) -> bool {
        matches!(self, Operation::CountTokens | Operation::Compact)
    }

    /// Whether it is a request of OpenAI's beside conversations, read by rules of its own.
    pub const fn is_beside_chat(self) -> bool {
        matches!(self, Operation::Completions | Operation::Moderations) || self.is_media()
    }

    /// Whether pictures or audio are made or read, which may be billed by the unit.
    pub const fn is_media(self) -> bool {
        matches!(
            self,
            Operation::ImageGeneration
                | Operation::ImageEdit
                | Operation::Speech
                | Operation::Transcription
                | Operation::AudioTranslation
        )
    }

    /// Whether pictures are made.
    pub const fn makes_pictures(self) -> bool {
        matches!(self, Operation::ImageGeneration | Operation::ImageEdit)
    }

    /// Whether audio is read.
    pub const fn hears(self) -> bool {
        matches!(self, Operation::Transcription | Operation::AudioTranslation)
    }

    /// Whether the answer of a request that asks for a stream is one.
    pub const fn may_stream(self) -> bool {
        match self {
            Operation::Compact
            | Operation::Embeddings
            | Operation::CountTokens
            | Operation::Rerank
            | Operation::Moderations
            | Operation::AudioTranslation
            | Operation::Realtime => false,
            Operation::Chat
            | Operation::Completions
            | Operation::ImageGeneration
            | Operation::ImageEdit
            | Operation::Speech
            | Operation::Transcription
            | Operation::Invoke => true,
        }
    }

    /// Whether a request may leave the model out, since the dialect's own API has one for that case.
    pub const fn has_a_model_of_its_own(self) -> bool {
        matches!(self, Operation::Moderations | Operation::ImageGeneration | Operation::ImageEdit)
    }

    /// Where a provider of this dialect answers it, appended to the provider's base URL, with the query the dialect needs
    /// to be told there. `model` is the provider's id of the model; `batch` says that several texts are to be embedded, where
    /// a dialect has another path for that. `None`: the dialect has no such operation.
    pub fn path(self, dialect: Dialect, model: &str, stream: bool, batch: bool) -> Option<Cow<'static, str>> {
        let template = self.template(dialect, stream, batch)?;
        Some(match template.split_once(MODEL) {
            None => Cow::Borrowed(template),
            Some((before, after)) => Cow::Owned([before, &path_segment(model), after].concat()),
        })
    }

    /// Whether the dialect has such an operation.
    pub const fn is_in(self, dialect: Dialect) -> bool {
        self.template(dialect, false, false).is_some()
    }

    /// The path of an operation, with [`MODEL`] where the model's id stands.
    const fn template(self, dialect: Dialect, stream: bool, batch: bool) -> Option<&'static str> {
        match (dialect, self) {
            (Dialect::OpenAiChat, Operation::Chat) => Some("/chat/completions"),
            (Dialect::OpenAiChat, Operation::Embeddings) => Some("/embeddings"),
            (Dialect::OpenAiChat, Operation::Completions) => Some("/completions"),
            (Dialect::OpenAiChat, Operation::Moderations) => Some("/moderations"),
            (Dialect::OpenAiChat, Operation::ImageGeneration) => Some("/images/generations"),
            (Dialect::OpenAiChat, Operation::ImageEdit) => Some("/images/edits"),
            (Dialect::OpenAiChat, Operation::Speech) => Some("/audio/speech"),
            (Dialect::OpenAiChat, Operation::Transcription) => Some("/audio/transcriptions"),
            (Dialect::OpenAiChat, Operation::AudioTranslation) => Some("/audio/translations"),
            (Dialect::OpenAiChat, Operation::Realtime) => Some("/realtime?model={model}"),
            (Dialect::OpenAiResponses, Operation::Chat) => Some("/responses"),
            (Dialect::OpenAiResponses, Operation::Compact) => Some("/responses/compact"),
            (Dialect::OpenAiResponses, Operation::CountTokens) => Some("/responses/input_tokens"),
            (Dialect::Anthropic, Operation::Chat) => Some("/messages"),
            (Dialect::Anthropic, Operation::CountTokens) => Some("/messages/count_tokens"),
            (Dialect::Gemini, Operation::Chat) if stream => Some("/models/{model}:streamGenerateContent?alt=sse"),
            (Dialect::Gemini, Operation::Chat) => Some("/models/{model}:generateContent"),
            (Dialect::Gemini, Operation::Embeddings) if batch => Some("/models/{model}:batchEmbedContents"),
            (Dialect::Gemini, Operation::Embeddings) => Some("/models/{model}:embedContent"),
            (Dialect::Gemini, Operation::CountTokens) => Some("/models/{model}:countTokens"),
            (Dialect::BedrockConverse, Operation::Chat) if stream => Some("/model/{model}/converse-stream"),
            (Dialect::BedrockConverse, Operation::Chat) => Some("/model/{model}/converse"),
            (Dialect::BedrockConverse, Operation::Invoke) if stream => {
                Some("/model/{model}/invoke-with-response-stream")
            }
            (Dialect::BedrockConverse, Operation::Invoke) => Some("/model/{model}/invoke"),
            (Dialect::Cohere, Operation::Chat) => Some("/chat"),
            (Dialect::Cohere, Operation::Embeddings) => Some("/embed"),
            // No part of OpenAI's own API: the shape that Jina, vLLM, Cohere's first version and others share beside it.
            (Dialect::OpenAiChat | Dialect::Cohere, Operation::Rerank) => Some("/rerank"),
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Stands in the template of a path for the model's id.
const MODEL: &str = "{model}";

/// What a client's address says of its request, where the dialect puts it there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The name in the place of the model, percent-decoded.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
}

/// How the events of a stream follow one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Framing {
    /// As server-sent events.
    #[default]
    ServerSentEvents,
    /// As the elements of one JSON array, which is what Google's clients get that do not ask for `alt=sse`.
    JsonArray,
    /// As Amazon's binary messages.
    Messages,
    /// As Amazon's binary messages, each with one event of another vendor's dialect inside: what Bedrock's `invoke` streams.
    Chunks,
}

impl Framing {
    /// What the client is told it gets.
    pub const fn content_type(self) -> &'static str {
        match self {
            Framing::ServerSentEvents => "text/event-stream; charset=utf-8",
            Framing::JsonArray => "application/json; charset=utf-8",
            Framing::Messages | Framing::Chunks => "application/vnd.amazon.eventstream",
        }
    }

    /// The dialect in which a client that speaks `dialect` is told errors: who came by Bedrock's `invoke` speaks another
    /// vendor's and reads Amazon's errors.
    pub const fn errors_of(self, dialect: Dialect) -> Dialect {
        match self {
            Framing::Chunks => Dialect::BedrockConverse,
            Framing::ServerSentEvents | Framing::JsonArray | Framing::Messages => dialect,
        }
    }

    /// The same without parameters, as it is asked for.
    pub const fn media_type(self) -> &'static str {
        match self {
            Framing::ServerSentEvents => "text/event-stream",
            Framing::JsonArray => "application/json",
            Framing::Messages | Framing::Chunks => "application/vnd.amazon.eventstream",
        }
    }
}

/// A text as one segment of a path: everything but RFC 3986's unreserved characters is percent-encoded, so that no id can
/// lead to another path.
pub fn path_segment(text: &str) -> Cow<'_, str> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    // Two dots alone would be a step up, and one none; both are encoded, though that helps only with strict readers.
    let dots = matches!(text, "." | "..");
    if !dots && text.bytes().all(unreserved) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if unreserved(byte) && !dots {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(encoded)
}

/// The text a segment of a path stands for. `None` when it is no percent-encoded UTF-8.
pub fn from_path_segment(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        decoded.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
        rest = after;
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_id_is_one_segment_of_a_path_whatever_it_holds() {
        for (id, segment) in [
            ("gemini-2.5-flash", "gemini-2.5-flash"),
            ("anthropic.claude-3:0", "anthropic.claude-3%3A0"),
            ("../x?y#z", "..%2Fx%3Fy%23z"),
            ("..", "%2E%2E"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(path_segment(id), segment);
            assert_eq!(from_path_segment(segment).as_deref(), Some(id));
        }
        for broken in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(from_path_segment(broken), None, "{broken}");
        }
    }

    #[test]
    fn every_dialect_reads_back_its_name() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.as_str()), Some(*dialect));
            assert_eq!(serde_json::to_string(dialect).unwrap(), format!("\"{dialect}\""));
        }
    }
}
