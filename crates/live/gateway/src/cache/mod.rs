//! May a call be answered with what another was answered? The stage between protection and the first attempt, for workflows
//! with a `cache`.
//!
//! [`stage`] is what a call passes through. [`request`] says which requests are the same, and which are passed by, and makes their
//! [`name`]. The [`answers`] stand on the [`shelf`], bounded in bytes and in time, in the memory of this instance alone: nothing of
//! them reaches a disk or a log. [`keeping`] writes an answer down on its way to the client, and [`replay`] gives it again. [`near`]
//! finds what says nearly the same; a sample of that is compared by [`agree`], and moves the [`threshold`]. A hit asks no provider
//! and holds no money; what it saved is a memo in the call's end, priced as the attempt of then would be now.

pub mod agree;
pub mod answers;
pub mod keeping;
pub mod name;
pub mod near;
pub mod replay;
pub mod request;
pub mod shelf;
pub mod stage;
pub mod threshold;
#[cfg(test)]
mod near_tests;
#[cfg(test)]
mod tests;
