//! Anthropic's messages: typed blocks, tools as objects, a stream of blocks that open and close.

mod answer;
mod blocks;
mod generations;
mod read;
mod sampling;
mod stream_read;
mod stream_write;
mod turns;
mod write;

/// The grammar.
pub(crate) struct Anthropic;

grammar_of!(Anthropic);
