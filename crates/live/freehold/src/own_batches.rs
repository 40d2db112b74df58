//! The store as the gateway's batches of its own see it.

use bytes::Bytes;
use domain::{BatchFile, BatchLine, BatchStatus, KeyId, OwnBatch, UnixMs};
use gateway::kept::own::keeper::{Answer, Keeper};
use store::{Store, StoreError};

/// Keeps batches of a gateway in its store.
pub struct StoredBatches(pub Store);

/// The answer of a store, or the sentence why there is none.
fn told<'a, T>(answer: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> Answer<'a, T> {
    Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
}

impl Keeper for StoredBatches {
    fn keep_file(&self, file: BatchFile, body: Bytes, most_bytes: u64) -> Answer<'_, bool> {
        told(async move { self.0.keep_batch_file(&file, &body, most_bytes).await })
    }

    fn file(&self, key: KeyId, id: String) -> Answer<'_, Option<BatchFile>> {
        told(async move { self.0.batch_file(&key, &id).await })
    }

    fn file_body(&self, id: String) -> Answer<'_, Option<Bytes>> {
        told(async move { Ok(self.0.batch_file_body(&id).await?.map(Bytes::from)) })
    }

    fn files(&self, key: KeyId, after: Option<String>, limit: u64) -> Answer<'_, Vec<BatchFile>> {
        told(async move { self.0.batch_files(&key, after.as_deref(), limit).await })
    }

    fn forget_file(&self, key: KeyId, id: String) -> Answer<'_, bool> {
        told(async move { self.0.forget_batch_file(&key, &id).await })
    }

    fn begin(&self, batch: OwnBatch) -> Answer<'_, ()> {
        told(async move { self.0.begin_own_batch(&batch).await })
    }

    fn batch(&self, key: KeyId, id: String) -> Answer<'_, Option<OwnBatch>> {
        told(async move { self.0.own_batch(&key, &id).await })
    }

    fn batches(&self, key: KeyId, after: Option<String>, limit: u64) -> Answer<'_, Vec<OwnBatch>> {
        told(async move { self.0.own_batches(&key, after.as_deref(), limit).await })
    }

    fn cancel(&self, key: KeyId, id: String, now: UnixMs) -> Answer<'_, ()> {
        told(async move { self.0.cancel_own_batch(&key, &id, now).await })
    }

    fn claim(&self, now: UnixMs, until: UnixMs, most: u64) -> Answer<'_, Vec<OwnBatch>> {
        told(async move { self.0.claim_own_batches(now, until, most).await })
    }

    fn done(&self, batch: String) -> Answer<'_, Vec<u64>> {
        told(async move { self.0.own_batch_done(&batch).await })
    }

    fn keep_line(&self, batch: String, line: BatchLine) -> Answer<'_, ()> {
        told(async move { self.0.keep_batch_line(&batch, &line).await })
    }

    fn lines(&self, batch: String, failed: bool, from: u64, limit: u64) -> Answer<'_, Vec<BatchLine>> {
        told(async move { self.0.own_batch_lines(&batch, failed, from, limit).await })
    }

    fn forget_lines(&self, batch: String, failed: bool) -> Answer<'_, bool> {
        told(async move { self.0.forget_batch_lines(&batch, failed).await })
    }

    fn end(&self, batch: String, status: BatchStatus, now: UnixMs) -> Answer<'_, ()> {
        told(async move { self.0.end_own_batch(&batch, status, now).await })
    }

    fn forget_old(&self, before: UnixMs) -> Answer<'_, ()> {
        told(async move { self.0.forget_old_batches(before).await })
    }
}
