//! Reports of drills that somebody chose to keep.

pub use store::KeptDrill;

use crate::control::Control;
use crate::failure::ControlError;

impl Control {
    /// Every kept report, newest first.
    pub async fn drills(&self) -> Result<Vec<KeptDrill>, ControlError> {
        Ok(self.store().drills().await?)
    }

    /// The HTML file of a kept report.
    pub async fn drill_page(&self, id: i64) -> Result<Option<String>, ControlError> {
        Ok(self.store().drill_page(id).await?)
    }
}
