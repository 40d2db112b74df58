//! Crosses from one dialect to another through the canonical form, and reports what was given up.
//!
//! [`request`](fn@request) on the way out; [`body`](fn@body) and [`StreamTranslator`] on the way back. [`fuzz`] holds what
//! must be true of all three.

mod body;
pub mod fuzz;
mod request;
mod stream;

pub use body::body;
pub use request::request;
pub use stream::StreamTranslator;
