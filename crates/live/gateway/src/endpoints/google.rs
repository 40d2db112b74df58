//! Routes in Google's dialect: of the Gemini API, and of Vertex AI with its projects and locations, which are nothing to us.
//!
//! The version is any: SDKs say `v1`, `v1beta`, `v1beta1` or `v1alpha`, and mean the same.

use http::Method;
use wire::{Dialect, Operation};

use super::{Endpoint, Query, Serves};

/// A call, by its path.
const fn call(name: &'static str, path: &'static str, operation: Operation, streams: bool) -> Endpoint {
    Endpoint {
        name,
        method: Method::POST,
        path,
        dialect: Some(Dialect::Gemini),
        serves: Serves::Call(operation),
        carries: &[],
        query: Query::Ours,
        streams,
    }
}

/// The list of models, or one of them.
const fn models(name: &'static str, path: &'static str) -> Endpoint {
    Endpoint {
        name,
        method: Method::GET,
        path,
        dialect: Some(Dialect::Gemini),
        serves: Serves::Models,
        carries: &[],
        query: Query::Ours,
        streams: false,
    }
}

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    call(
        "POST /{version}/models/{model}:generateContent",
        "/{version}/models/{model}:generateContent",
        Operation::Chat,
        false,
    ),
    call(
        "POST /{version}/models/{model}:streamGenerateContent",
        "/{version}/models/{model}:streamGenerateContent",
        Operation::Chat,
        true,
    ),
    call(
        "POST /{version}/models/{model}:countTokens",
        "/{version}/models/{model}:countTokens",
        Operation::CountTokens,
        false,
    ),
    call(
        "POST /{version}/models/{model}:embedContent",
        "/{version}/models/{model}:embedContent",
        Operation::Embeddings,
        false,
    ),
    call(
        "POST /{version}/models/{model}:batchEmbedContents",
        "/{version}/models/{model}:batchEmbedContents",
        Operation::Embeddings,
        false,
    ),
    call(
        "POST /{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:generateContent",
        "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:generateContent",
        Operation::Chat,
        false,
    ),
    call(
        "POST /{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:streamGenerateContent",
        "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:streamGenerateContent",
        Operation::Chat,
        true,
    ),
    call(
        "POST /{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:countTokens",
        "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:countTokens",
        Operation::CountTokens,
        false,
    ),
    call(
        "POST /{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:embedContent",
        "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:embedContent",
        Operation::Embeddings,
        false,
    ),
    models("GET /v1beta/models", "/v1beta/models"),
    models("GET /v1beta/models/{model}", "/v1beta/models/{model}"),
];
