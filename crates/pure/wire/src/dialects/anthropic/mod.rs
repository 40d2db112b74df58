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

/// Whether a model behind the dialect goes on with a started answer.
pub(crate) fn goes_on_with_a_started_answer(model: &str) -> bool {
    generations::Abilities::of(model).started_answers
}
