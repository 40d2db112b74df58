//! Routes in Cohere's dialect, version 2.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, endpoint};

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/v2/chat", Serves::Call(Operation::Chat), Dialect::Cohere),
    endpoint!(POST "/v2/embed", Serves::Call(Operation::Embeddings), Dialect::Cohere),
    endpoint!(POST "/v2/rerank", Serves::Call(Operation::Rerank), Dialect::Cohere),
];
