//! Google's generateContent: contents made of parts, tools as objects without need of ids, a stream of partial answers.

mod answer;
mod fields;
mod generations;
mod parts;
mod read;
mod schema;
mod stream_read;
mod stream_write;
mod turns;
mod vectors;
mod write;

pub(crate) use self::fields::is_spelled;
pub(crate) use self::generations::stand_in_signature;
pub(crate) use self::parts::{SIGNATURE, is_kept_by_google};

/// The grammar.
pub(crate) struct Gemini;

grammar_of!(Gemini);
