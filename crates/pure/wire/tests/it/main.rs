//! The same-dialect path over whole fixtures: what SDKs send, what servers answer, and what must not change of either.

mod beside;
mod costs;
mod events;
mod fuzzing;
mod invoke;
mod messages;
mod mutate;
mod passthrough;
mod realtime;
mod signatures;
mod streams;
mod support;
mod unstreamed;
