//! What a translation between dialects dropped or approximated. Never silent: the caller gets the list.

use serde::{Deserialize, Serialize};

/// One field that did not come through as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loss {
    /// JSON pointer (RFC 6901) into the body that was translated, such as `/messages/0/name`.
    pub pointer: String,
    /// Dropped, or put as something near.
    pub kind: LossKind,
    /// Why, in one sentence a developer can act on.
    pub reason: String,
}

/// How much of the field survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// The provider's dialect has no place for it.
    Dropped,
    /// Something near it was sent instead.
    Approximated,
}
