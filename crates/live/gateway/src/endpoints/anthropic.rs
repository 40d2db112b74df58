//! Routes in Anthropic's dialect, with what Claude Code looks for before it speaks.

use wire::{Dialect, Operation};

use super::{Endpoint, Serves, Takes, endpoint};
use crate::kept::Ask;

/// A row about something a provider keeps; nothing is sent with it.
macro_rules! kept {
    ($method:ident $path:literal, $ask:expr) => {
        endpoint!($method $path, Serves::Kept($ask), Dialect::Anthropic).carrying(CARRIED).taking(Takes::Nothing)
    };
}

/// A row about files, which OpenAI's clients and Anthropic's ask for at one address: a header tells them apart.
macro_rules! file {
    ($method:ident $path:literal, $ask:expr) => {
        endpoint!($method $path, Serves::Kept($ask)).carrying(CARRIED_WITH_FILES).taking(Takes::Nothing)
    };
}

/// Headers either of the two sends with a request about files.
const CARRIED_WITH_FILES: &[&str] = &["anthropic-version", "anthropic-beta", "openai-beta"];

/// Headers Anthropic's API knows; beta features are lost without them.
const CARRIED: &[&str] = &["anthropic-version", "anthropic-beta"];

/// One row a route.
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint!(POST "/v1/messages", Serves::Call(Operation::Chat), Dialect::Anthropic).carrying(CARRIED),
    endpoint!(POST "/v1/messages/count_tokens", Serves::Call(Operation::CountTokens), Dialect::Anthropic)
        .carrying(CARRIED),
    endpoint!(POST "/v1/messages/batches", Serves::Kept(Ask::BatchCreated), Dialect::Anthropic).carrying(CARRIED),
    kept!(GET "/v1/messages/batches", Ask::Batches),
    kept!(GET "/v1/messages/batches/{id}", Ask::Batch),
    kept!(DELETE "/v1/messages/batches/{id}", Ask::BatchDeleted),
    kept!(POST "/v1/messages/batches/{id}/cancel", Ask::BatchCancelled),
    kept!(GET "/v1/messages/batches/{id}/results", Ask::BatchResults),
    endpoint!(POST "/v1/files", Serves::Kept(Ask::FileUpload)).carrying(CARRIED_WITH_FILES).taking(Takes::Form),
    file!(GET "/v1/files", Ask::Files),
    file!(GET "/v1/files/{id}", Ask::File),
    file!(DELETE "/v1/files/{id}", Ask::FileDeleted),
    file!(GET "/v1/files/{id}/content", Ask::FileContent),
    endpoint!(HEAD "/", Serves::Presence),
    endpoint!(GET "/", Serves::Presence),
];
