//! What is in a file that Freehold keeps, before it is handed over.

use bytes::Bytes;

/// What is in a file that Freehold keeps.
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// What came of a batch, read line by line.
    Lines {
        /// The batch.
        batch: String,
        /// Whether these are its errors.
        failed: bool,
    },
}
