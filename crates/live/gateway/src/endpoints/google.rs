//! Routes in Google's dialect: of the Gemini API, and of Vertex AI with its projects and locations, which are nothing to us.
//!
//! The version is any: SDKs say `v1`, `v1beta`, `v1beta1` or `v1alpha`, and mean the same.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, endpoint};

/// Google's clients may send the key in the query.
macro_rules! google {
    ($method:ident $path:literal, $serves:expr) => {
        endpoint!($method $path, $serves, Dialect::Gemini).with_query_for_us()
    };
}

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    google!(POST "/{version}/models/{model}:generateContent", Serves::Call(Operation::Chat)),
    google!(POST "/{version}/models/{model}:streamGenerateContent", Serves::Call(Operation::Chat)).streaming(),
    google!(POST "/{version}/models/{model}:countTokens", Serves::Call(Operation::CountTokens)),
    google!(POST "/{version}/models/{model}:embedContent", Serves::Call(Operation::Embeddings)),
    google!(POST "/{version}/models/{model}:batchEmbedContents", Serves::Call(Operation::Embeddings)),
    google!(POST "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:generateContent", Serves::Call(Operation::Chat)),
    google!(POST "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:streamGenerateContent", Serves::Call(Operation::Chat)).streaming(),
    google!(POST "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:countTokens", Serves::Call(Operation::CountTokens)),
    google!(POST "/{version}/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}:embedContent", Serves::Call(Operation::Embeddings)),
    google!(GET "/v1beta/models", Serves::Models),
    google!(GET "/v1beta/models/{model}", Serves::Models),
];
