//! What an attempt goes on from, where an answer broke off after content.

use domain::{FaultClass, Loss, ModelName};
use wire::{GoingOn, Way};

/// What an attempt goes on from.
pub struct After {
    /// What was said.
    pub going_on: GoingOn,
    /// By whom.
    pub model: ModelName,
    /// How it broke off.
    pub class: FaultClass,
    /// About how many tokens it was.
    pub said_tokens: u64,
}

impl After {
    /// The same in a line for whoever reads the stream itself.
    pub fn line(&self) -> String {
        format!("the answer of {} broke off here ({}) and goes on elsewhere", self.model, self.class)
    }

    /// What the record says is not as it was asked.
    pub fn loss(&self, way: Way) -> Loss {
        self.going_on.loss(way, self.model.as_str(), self.class)
    }
}
