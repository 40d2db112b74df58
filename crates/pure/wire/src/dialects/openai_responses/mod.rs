//! OpenAI's responses: one list of typed items in, one out, a stream of events that each name their item.
//!
//! What the provider keeps (earlier answers, conversations, templates, items by reference) and what only it can run or read
//! (its own tools, encrypted reasoning) has no place in another dialect: the first is refused, the second told as a loss.

mod answer;
mod input;
mod items;
mod read;
mod stream_read;
mod stream_write;
mod write;

/// The grammar.
pub(crate) struct OpenAiResponses;

grammar_of!(OpenAiResponses);
