//! Cohere's chat, version 2: one flat list of messages, documents and citations beside them, tool arguments as strings, a
//! stream of named events.

mod answer;
mod messages;
mod ranking;
mod read;
mod stream_read;
mod stream_write;
mod vectors;
mod write;

/// The grammar.
pub(crate) struct Cohere;

grammar_of!(Cohere);
