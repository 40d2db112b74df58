//! Batches that Freehold runs itself: the file of their requests, how far each is, and what came of each request.

use crate::ids::KeyId;
use crate::time::UnixMs;

/// A file of requests that Freehold keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchFile {
    /// Its id, as its key's client has it.
    pub id: String,
    /// Whose it is.
    pub key: KeyId,
    /// What its client calls it.
    pub name: String,
    /// How large it is.
    pub bytes: u64,
    /// Since when it is kept.
    pub created: UnixMs,
}

/// A batch that Freehold runs itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnBatch {
    /// Its id, as its key's client has it.
    pub id: String,
    /// Whose it is.
    pub key: KeyId,
    /// The file of its requests.
    pub input: String,
    /// The route that all of its requests are for, such as `/v1/chat/completions`.
    pub endpoint: String,
    /// What its client noted of it, as JSON.
    pub metadata: Option<String>,
    /// When it was made.
    pub created: UnixMs,
    /// When it ends at the latest.
    pub expires: UnixMs,
    /// How many requests it has.
    pub lines: u64,
    /// How many of them were answered.
    pub answered: u64,
    /// How many came to an error, or were not begun in time.
    pub failed: u64,
    /// How far it is.
    pub status: BatchStatus,
    /// When it was asked to stop.
    pub cancelling: Option<UnixMs>,
    /// When it ended.
    pub ended: Option<UnixMs>,
}

/// How far a batch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchStatus {
    /// Its requests are being answered.
    InProgress,
    /// It was asked to stop, and what was begun is still answered.
    Cancelling,
    /// Every request came to an answer or an error.
    Completed,
    /// Its time was over before every request was answered.
    Expired,
    /// It was stopped.
    Cancelled,
    /// Its requests could not be read any more.
    Failed,
}

/// What came of one request of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchLine {
    /// Its place in the file of requests, counted from 0.
    pub number: u64,
    /// Whether it stands among the errors.
    pub failed: bool,
    /// The line of the output or error file, without its end.
    pub text: Vec<u8>,
}

impl BatchStatus {
    const ALL: [BatchStatus; 6] = [
        BatchStatus::InProgress,
        BatchStatus::Cancelling,
        BatchStatus::Completed,
        BatchStatus::Expired,
        BatchStatus::Cancelled,
        BatchStatus::Failed,
    ];

    /// As OpenAI's API calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            BatchStatus::InProgress => "in_progress",
            BatchStatus::Cancelling => "cancelling",
            BatchStatus::Completed => "completed",
            BatchStatus::Expired => "expired",
            BatchStatus::Cancelled => "cancelled",
            BatchStatus::Failed => "failed",
        }
    }

    /// The status of this name.
    pub fn from_name(name: &str) -> Option<BatchStatus> {
        BatchStatus::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether nothing more comes of it.
    pub const fn is_over(self) -> bool {
        !matches!(self, BatchStatus::InProgress | BatchStatus::Cancelling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_the_name_it_is_written_under() {
        for status in BatchStatus::ALL {
            assert_eq!(BatchStatus::from_name(status.as_str()), Some(status));
        }
        assert_eq!(BatchStatus::from_name("validating"), None);
    }
}
