//! Routes in Anthropic's dialect, with what Claude Code looks for before it speaks.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, endpoint};

/// Headers Anthropic's API knows; beta features are lost without them.
const CARRIED: &[&str] = &["anthropic-version", "anthropic-beta"];

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/v1/messages", Serves::Call(Operation::Chat), Dialect::Anthropic).carrying(CARRIED),
    endpoint!(POST "/v1/messages/count_tokens", Serves::Call(Operation::CountTokens), Dialect::Anthropic)
        .carrying(CARRIED),
    endpoint!(HEAD "/", Serves::Presence),
    endpoint!(GET "/", Serves::Presence),
];
