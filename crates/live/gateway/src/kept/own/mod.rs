//! Batches that Freehold runs itself, where no provider of a workflow has batches or its configuration wants it so: the file of
//! requests is kept here, and each request is a call of its own, with the key, the budget and the lanes of any other.
//!
//! [`chosen`] says who runs a batch; [`lines`] reads its requests; [`about`] answers what clients ask, in the shapes of [`told`], with the [`content`] of files;
//! [`runner`] begins requests while their models have room, as [`pace`] decides, and [`line`] answers one. [`keeper`] is what all of
//! it needs of the store.

pub mod about;
pub mod chosen;
pub mod content;
pub mod keeper;
pub mod line;
pub mod lines;
pub mod pace;
pub mod runner;
pub mod told;

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use keeper::Keeper;

use crate::refusal::Refusal;

/// How ids of files begin that Freehold keeps.
pub const FILE: &str = "file-own_";
/// How ids of batches begin that Freehold runs.
pub const BATCH: &str = "batch_own_";

/// What is known of batches of our own.
#[derive(Default)]
pub struct OwnBatches {
    keeper: OnceLock<Arc<dyn Keeper>>,
    /// Wakes the runner: a batch was made, or is to stop.
    pub changed: Notify,
}

impl OwnBatches {
    /// Says who keeps them; once, before calls are taken.
    pub fn keep_with(&self, keeper: Arc<dyn Keeper>) {
        // Whoever came first keeps them.
        let _ = self.keeper.set(keeper);
    }

    /// Who keeps them.
    pub fn keeper(&self) -> Result<&Arc<dyn Keeper>, Refusal> {
        self.keeper.get().ok_or_else(|| Refusal::BatchesAway("there is no store".into()))
    }
}

/// Whether an id is one of those.
pub fn is_own(id: &str) -> bool {
    id.starts_with(FILE) || id.starts_with(BATCH)
}
