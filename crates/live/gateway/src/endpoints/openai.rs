//! Routes in OpenAI's dialect.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, endpoint};

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/v1/chat/completions", Serves::Call(Operation::Chat), Dialect::OpenAiChat),
    endpoint!(POST "/v1/responses", Serves::Call(Operation::Chat), Dialect::OpenAiResponses).carrying(&["openai-beta"]),
    endpoint!(POST "/v1/embeddings", Serves::Call(Operation::Embeddings), Dialect::OpenAiChat),
    // The shape of Jina's, vLLM's and Cohere's first version, which OpenAI has no route for.
    endpoint!(POST "/v1/rerank", Serves::Call(Operation::Rerank), Dialect::OpenAiChat),
    endpoint!(GET "/v1/models", Serves::Models),
    endpoint!(GET "/v1/models/{model}", Serves::Models),
];
