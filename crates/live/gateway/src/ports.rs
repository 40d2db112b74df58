//! What the gateway needs from outside, as plain values: snapshots, keys and limits come in; facts leave by the spool,
//! status by [`crate::dataplane::Gateway`]'s views. It imports no store and waits for none.

use std::sync::Arc;

use config::Snapshot;
use domain::KeyGrant;

use crate::budgets::Limit;

/// A configuration to take over, with the limits that follow from it and from the keys.
pub struct Policy {
    /// The checked configuration.
    pub snapshot: Arc<Snapshot>,
    /// Every budget, with what is booked in its window already.
    pub limits: Vec<Limit>,
}

/// The keys to take over, with the limits that follow from them and from the configuration.
pub struct Keys {
    /// Every key, revoked ones included, so that they are refused by name.
    pub grants: Vec<KeyGrant>,
    /// Every budget, with what is booked in its window already.
    pub limits: Vec<Limit>,
}
