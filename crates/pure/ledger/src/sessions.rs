//! What one instance booked in one session, as it is kept over a restart and told to other instances.

use domain::UnixMs;

use crate::budget::{Amount, Measure, Scope};

/// What one instance booked in a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionSpent {
    /// The session, under its workflow's or its key's budget.
    pub scope: Scope,
    /// In what.
    pub measure: Measure,
    /// All of it, absolute: told again it changes nothing.
    pub amount: Amount,
    /// When the session was last seen.
    pub seen_at: UnixMs,
    /// Which instance.
    pub instance: String,
}
