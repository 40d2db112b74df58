//! Crosses from one dialect to another through the canonical form, and reports what was given up.
//!
//! [`request`](fn@request) on the way out; [`body`](fn@body) and [`StreamTranslator`] on the way back; `beside` is
//! both ways of vectors and rankings. [`fuzz`] holds what must be true of a conversation's.

mod beside;
mod body;
pub mod fuzz;
mod request;
mod stream;

pub use body::body;
pub use request::{has_tools_of_the_provider, request};
pub use stream::StreamTranslator;

use domain::Loss;

/// A request in the words of another dialect.
#[derive(Clone, Debug)]
pub struct Translated {
    /// The body.
    pub body: Vec<u8>,
    /// What it does not say any more.
    pub losses: Vec<Loss>,
    /// Whether it is a list of texts for vectors, where the provider's dialect has another path for that.
    pub batch: bool,
}
