//! Routes in OpenAI's dialect.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, Takes, endpoint};
use crate::kept::Ask;

/// A row about something a provider keeps; nothing is sent with it.
macro_rules! kept {
    ($method:ident $path:literal, $ask:expr) => {
        endpoint!($method $path, Serves::Kept($ask), Dialect::OpenAiChat).carrying(&["openai-beta"]).taking(Takes::Nothing)
    };
}

/// The same of stored answers, whose errors are told in their own dialect.
macro_rules! answer {
    ($method:ident $path:literal, $ask:expr) => {
        endpoint!($method $path, Serves::Kept($ask), Dialect::OpenAiResponses)
            .carrying(&["openai-beta"])
            .taking(Takes::Nothing)
    };
}

/// Whatever else is asked for below `/v1/`, with any method.
pub const OTHER: Endpoint = Endpoint {
    name: "ANY /v1/{other}",
    carries: &["openai-beta", "anthropic-version", "anthropic-beta"],
    takes: Takes::Anything,
    ..endpoint!(POST "/v1/{other}", Serves::Kept(Ask::Other))
};

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/v1/chat/completions", Serves::Call(Operation::Chat), Dialect::OpenAiChat),
    endpoint!(POST "/v1/responses", Serves::Call(Operation::Chat), Dialect::OpenAiResponses).carrying(&["openai-beta"]),
    endpoint!(POST "/v1/responses/compact", Serves::Call(Operation::Compact), Dialect::OpenAiResponses)
        .carrying(&["openai-beta"]),
    endpoint!(POST "/v1/responses/input_tokens", Serves::Call(Operation::CountTokens), Dialect::OpenAiResponses)
        .carrying(&["openai-beta"]),
    endpoint!(POST "/v1/embeddings", Serves::Call(Operation::Embeddings), Dialect::OpenAiChat),
    endpoint!(POST "/v1/completions", Serves::Call(Operation::Completions), Dialect::OpenAiChat),
    endpoint!(POST "/v1/moderations", Serves::Call(Operation::Moderations), Dialect::OpenAiChat),
    endpoint!(POST "/v1/images/generations", Serves::Call(Operation::ImageGeneration), Dialect::OpenAiChat),
    endpoint!(POST "/v1/images/edits", Serves::Call(Operation::ImageEdit), Dialect::OpenAiChat)
        .taking(Takes::JsonOrForm),
    endpoint!(POST "/v1/audio/speech", Serves::Call(Operation::Speech), Dialect::OpenAiChat),
    endpoint!(POST "/v1/audio/transcriptions", Serves::Call(Operation::Transcription), Dialect::OpenAiChat)
        .taking(Takes::Form),
    endpoint!(POST "/v1/audio/translations", Serves::Call(Operation::AudioTranslation), Dialect::OpenAiChat)
        .taking(Takes::Form),
    endpoint!(GET "/v1/realtime", Serves::Conversation, Dialect::OpenAiChat)
        .carrying(&["openai-beta", "openai-safety-identifier"]),
    endpoint!(POST "/v1/realtime/client_secrets", Serves::EphemeralKey, Dialect::OpenAiChat),
    endpoint!(POST "/v1/realtime/sessions", Serves::EphemeralKey, Dialect::OpenAiChat),
    endpoint!(POST "/v1/realtime/transcription_sessions", Serves::EphemeralKey, Dialect::OpenAiChat),
    endpoint!(POST "/v1/realtime/translations/client_secrets", Serves::EphemeralKey, Dialect::OpenAiChat),
    endpoint!(POST "/v1/realtime/calls", Serves::EphemeralKey, Dialect::OpenAiChat),
    endpoint!(POST "/v1/realtime/calls/{call}/accept", Serves::EphemeralKey, Dialect::OpenAiChat),
    // The shape of Jina's, vLLM's and Cohere's first version, which OpenAI has no route for.
    endpoint!(POST "/v1/rerank", Serves::Call(Operation::Rerank), Dialect::OpenAiChat),
    answer!(GET "/v1/responses/{id}", Ask::Answer),
    answer!(DELETE "/v1/responses/{id}", Ask::AnswerDeleted),
    answer!(POST "/v1/responses/{id}/cancel", Ask::AnswerCancelled),
    answer!(GET "/v1/responses/{id}/input_items", Ask::AnswerInput),
    endpoint!(POST "/v1/batches", Serves::Kept(Ask::BatchCreated), Dialect::OpenAiChat).carrying(&["openai-beta"]),
    kept!(GET "/v1/batches", Ask::Batches),
    kept!(GET "/v1/batches/{id}", Ask::Batch),
    kept!(POST "/v1/batches/{id}/cancel", Ask::BatchCancelled),
    endpoint!(POST "/v1/feedback", Serves::Feedback, Dialect::OpenAiChat),
    endpoint!(GET "/v1/models", Serves::Models),
    endpoint!(GET "/v1/models/{model}", Serves::Models),
];
