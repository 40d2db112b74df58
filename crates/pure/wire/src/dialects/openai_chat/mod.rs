//! OpenAI's chat completions: one flat list of messages, tool arguments as strings, a stream of deltas.

mod answer;
mod content;
mod messages;
mod ranking;
mod read;
mod stream_read;
mod stream_write;
mod vectors;
mod write;

/// The grammar.
pub(crate) struct OpenAiChat;

grammar_of!(OpenAiChat);
