//! Routes in Anthropic's dialect, with what Claude Code looks for before it speaks.

use http::Method;
use wire::{Dialect, Operation};

use super::{Endpoint, Query, Serves};

/// Headers Anthropic's API knows; beta features are lost without them.
const CARRIED: &[&str] = &["anthropic-version", "anthropic-beta"];

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        name: "POST /v1/messages",
        method: Method::POST,
        path: "/v1/messages",
        dialect: Some(Dialect::Anthropic),
        serves: Serves::Call(Operation::Chat),
        carries: CARRIED,
        query: Query::Carried,
        streams: false,
    },
    Endpoint {
        name: "POST /v1/messages/count_tokens",
        method: Method::POST,
        path: "/v1/messages/count_tokens",
        dialect: Some(Dialect::Anthropic),
        serves: Serves::Call(Operation::CountTokens),
        carries: CARRIED,
        query: Query::Carried,
        streams: false,
    },
    Endpoint {
        name: "HEAD /",
        method: Method::HEAD,
        path: "/",
        dialect: None,
        serves: Serves::Presence,
        carries: &[],
        query: Query::Carried,
        streams: false,
    },
    Endpoint {
        name: "GET /",
        method: Method::GET,
        path: "/",
        dialect: None,
        serves: Serves::Presence,
        carries: &[],
        query: Query::Carried,
        streams: false,
    },
];
