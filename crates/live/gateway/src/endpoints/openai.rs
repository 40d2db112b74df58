//! Routes in OpenAI's dialect.

use http::Method;
use wire::{Dialect, Operation};

use super::{Endpoint, Query, Serves};

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "POST /v1/chat/completions",
        method: Method::POST,
        path: "/v1/chat/completions",
        dialect: Some(Dialect::OpenAiChat),
        serves: Serves::Call(Operation::Chat),
        carries: &[],
        query: Query::Carried,
        streams: false,
    },
    Endpoint {
        name: "POST /v1/embeddings",
        method: Method::POST,
        path: "/v1/embeddings",
        dialect: Some(Dialect::OpenAiChat),
        serves: Serves::Call(Operation::Embeddings),
        carries: &[],
        query: Query::Carried,
        streams: false,
    },
    Endpoint {
        name: "GET /v1/models",
        method: Method::GET,
        path: "/v1/models",
        dialect: None,
        serves: Serves::Models,
        carries: &[],
        query: Query::Carried,
        streams: false,
    },
    Endpoint {
        name: "GET /v1/models/{model}",
        method: Method::GET,
        path: "/v1/models/{model}",
        dialect: None,
        serves: Serves::Models,
        carries: &[],
        query: Query::Carried,
        streams: false,
    },
];
