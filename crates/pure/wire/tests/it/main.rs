//! The same-dialect path over whole fixtures: what SDKs send, what servers answer, and what must not change of either.

mod beside;
mod fuzzing;
mod messages;
mod mutate;
mod passthrough;
mod signatures;
mod streams;
mod support;
