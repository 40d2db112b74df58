//! What batches of our own need of the store, as a port. It may be away for a while: every answer may be a sentence that says so.

use std::pin::Pin;

use bytes::Bytes;
use domain::{BatchFile, BatchLine, BatchStatus, KeyId, OwnBatch, UnixMs};

/// An answer that may take a moment, or the sentence why there is none.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Keeps files, batches and what came of their requests, so that a process that dies loses nothing.
pub trait Keeper: Send + Sync {
    /// Keeps a file of requests, unless its key would have more than `most_bytes` kept then. Whether it is kept.
    fn keep_file(&self, file: BatchFile, body: Bytes, most_bytes: u64) -> Answer<'_, bool>;
    /// A file of a key.
    fn file(&self, key: KeyId, id: String) -> Answer<'_, Option<BatchFile>>;
    /// What is in a file.
    fn file_body(&self, id: String) -> Answer<'_, Option<Bytes>>;
    /// Files of a key, the newest first, after this one.
    fn files(&self, key: KeyId, after: Option<String>, limit: u64) -> Answer<'_, Vec<BatchFile>>;
    /// Forgets a file of a key; not one that a batch under way needs. Whether it was forgotten.
    fn forget_file(&self, key: KeyId, id: String) -> Answer<'_, bool>;
    /// Keeps a batch that begins.
    fn begin(&self, batch: OwnBatch) -> Answer<'_, ()>;
    /// A batch of a key.
    fn batch(&self, key: KeyId, id: String) -> Answer<'_, Option<OwnBatch>>;
    /// Batches of a key, the newest first, after this one.
    fn batches(&self, key: KeyId, after: Option<String>, limit: u64) -> Answer<'_, Vec<OwnBatch>>;
    /// Asks a batch to stop, unless it is over.
    fn cancel(&self, key: KeyId, id: String, now: UnixMs) -> Answer<'_, ()>;
    /// Claims batches under way that nobody else runs, until `until`; what it had claimed first.
    fn claim(&self, now: UnixMs, until: UnixMs, most: u64) -> Answer<'_, Vec<OwnBatch>>;
    /// The places of requests that are done with.
    fn done(&self, batch: String) -> Answer<'_, Vec<u64>>;
    /// Keeps what came of a request; what came of it before stays.
    fn keep_line(&self, batch: String, line: BatchLine) -> Answer<'_, ()>;
    /// What came of requests, answers or errors, in their order from this place on.
    fn lines(&self, batch: String, failed: bool, from: u64, limit: u64) -> Answer<'_, Vec<BatchLine>>;
    /// Forgets the answers or errors of a batch. Whether there were any.
    fn forget_lines(&self, batch: String, failed: bool) -> Answer<'_, bool>;
    /// Ends a batch.
    fn end(&self, batch: String, status: BatchStatus, now: UnixMs) -> Answer<'_, ()>;
    /// Forgets what ended, and files that were kept since, before this.
    fn forget_old(&self, before: UnixMs) -> Answer<'_, ()>;
}
