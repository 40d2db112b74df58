//! Amazon Bedrock's Converse: blocks told apart by the name of their only member, the model in the address, a binary stream.

mod answer;
mod blocks;
mod read;
mod stream_read;
mod stream_write;
mod turns;
mod write;

/// The grammar.
pub(crate) struct BedrockConverse;

grammar_of!(BedrockConverse);
