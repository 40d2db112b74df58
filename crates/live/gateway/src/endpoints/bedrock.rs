//! Routes of Amazon Bedrock's runtime: the model stands in the path, and so does whether the answer is streamed.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, endpoint};

/// What `invoke` is told in headers, since its body is another vendor's (API reference, InvokeModel).
const CARRIED: &[&str] = &[
    GUARDRAIL,
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-trace",
    "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-service-tier",
];

/// Which guardrail is to look at what is said; no provider but Bedrock has it.
pub const GUARDRAIL: &str = "x-amzn-bedrock-guardrailidentifier";

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/model/{model}/converse", Serves::Call(Operation::Chat), Dialect::BedrockConverse),
    endpoint!(POST "/model/{model}/converse-stream", Serves::Call(Operation::Chat), Dialect::BedrockConverse)
        .streaming(),
    endpoint!(POST "/model/{model}/invoke", Serves::Invocation, Dialect::BedrockConverse).carrying(CARRIED),
    endpoint!(POST "/model/{model}/invoke-with-response-stream", Serves::Invocation, Dialect::BedrockConverse)
        .streaming()
        .carrying(CARRIED),
];
