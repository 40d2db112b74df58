//! Routes of Amazon Bedrock's runtime: the model stands in the path, and so does whether the answer is streamed.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, endpoint};

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/model/{model}/converse", Serves::Call(Operation::Chat), Dialect::BedrockConverse),
    endpoint!(POST "/model/{model}/converse-stream", Serves::Call(Operation::Chat), Dialect::BedrockConverse)
        .streaming(),
    endpoint!(POST "/model/{model}/invoke", Serves::Invocation, Dialect::BedrockConverse),
    endpoint!(POST "/model/{model}/invoke-with-response-stream", Serves::Invocation, Dialect::BedrockConverse)
        .streaming(),
];
