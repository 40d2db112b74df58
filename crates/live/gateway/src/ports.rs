//! What the gateway needs from outside, as plain values: snapshots, keys and limits come in; facts leave by the spool,
//! status by [`crate::dataplane::Gateway`]'s views. It imports no store and waits for none.

use std::pin::Pin;
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

/// Makes vectors of texts, beside the event loop.
pub trait Embedder: Send + Sync {
    /// The vector of a text, of length 1. `None` where too many texts wait, the text is too long, or the model failed.
    fn embed(&self, text: String, length: Length) -> Embedding<'_>;
}

/// A vector that may take a moment.
pub type Embedding<'a> = Pin<Box<dyn Future<Output = Option<Vec<f32>>> + Send + 'a>>;

/// What becomes of a text that is longer than the model reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// It has no vector.
    Whole,
    /// It has that of its beginning.
    Beginning,
}

/// The keys to take over, with the limits that follow from them and from the configuration.
pub struct Keys {
    /// Every key, revoked ones included, so that they are refused by name.
    pub grants: Vec<KeyGrant>,
    /// Every budget, with what is booked in its window already.
    pub limits: Vec<Limit>,
}
