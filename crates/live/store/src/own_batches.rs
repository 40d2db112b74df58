//! Batches that Freehold runs itself: the files of their requests, how far each is, and what came of each request. An instance runs
//! a batch for as long as it renews its claim.

use domain::{BatchFile, BatchLine, BatchStatus, KeyId, OwnBatch, UnixMs};

use crate::open::{Store, StoreError, signed};
use crate::sql::{Row, query};

const FILE: &str = "SELECT id, key, name, bytes, created FROM own_batch_files ";
const BATCH: &str = "SELECT id, key, input, endpoint, metadata, created, expires, lines, status, cancelling, ended,
    COALESCE(answered, (SELECT COUNT(*) FROM own_batch_lines WHERE batch = own_batches.id AND own_batch_lines.failed = 0)) AS answered,
    COALESCE(failed, (SELECT COUNT(*) FROM own_batch_lines WHERE batch = own_batches.id AND own_batch_lines.failed = 1)) AS failed
    FROM own_batches ";

impl Store {
    /// Keeps a file of requests, unless its key would have more than `most_bytes` kept then. Whether it is kept.
    pub async fn keep_batch_file(&self, file: &BatchFile, body: &[u8], most_bytes: u64) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let sum = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM own_batch_files WHERE key = $1";
        let kept: i64 = query(sum).bind(file.key.to_string()).scalar(&mut transaction).await?.unwrap_or(0);
        if kept.max(0).unsigned_abs().saturating_add(file.bytes) > most_bytes {
            return Ok(false);
        }
        query("INSERT INTO own_batch_files (id, key, name, bytes, created, body) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(&file.id)
            .bind(file.key.to_string())
            .bind(&file.name)
            .bind(signed(file.bytes))
            .bind(file.created.0)
            .bind(body.to_vec())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// A file of a key.
    pub async fn batch_file(&self, key: &KeyId, id: &str) -> Result<Option<BatchFile>, StoreError> {
        let found = made(FILE, "WHERE id = $1 AND key = $2").bind(id).bind(key.to_string());
        found.fetch_optional(self.reader()).await?.as_ref().map(file).transpose()
    }

    /// What is in a file.
    pub async fn batch_file_body(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(query("SELECT body FROM own_batch_files WHERE id = $1").bind(id).scalar(self.reader()).await?)
    }

    /// Forgets a file of a key; not one that a batch under way needs. Whether it was forgotten.
    pub async fn forget_batch_file(&self, key: &KeyId, id: &str) -> Result<bool, StoreError> {
        let forget = query(
            "DELETE FROM own_batch_files WHERE id = $1 AND key = $2
             AND NOT EXISTS (SELECT 1 FROM own_batches WHERE input = own_batch_files.id AND ended IS NULL)",
        );
        Ok(forget.bind(id).bind(key.to_string()).execute(self.writer()).await? > 0)
    }

    /// Files of a key, the newest first, from the one after `after` on.
    pub async fn batch_files(
        &self,
        key: &KeyId,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<BatchFile>, StoreError> {
        let page = "WHERE key = $1 AND ($2 = '' OR (created, id) < (SELECT created, id FROM own_batch_files WHERE id = $2 AND key = $1))
            ORDER BY created DESC, id DESC LIMIT $3";
        let page = made(FILE, page).bind(key.to_string()).bind(after.unwrap_or_default()).bind(signed(limit));
        page.fetch_all(self.reader()).await?.iter().map(file).collect()
    }

    /// Keeps a batch that begins.
    pub async fn begin_own_batch(&self, batch: &OwnBatch) -> Result<(), StoreError> {
        query(
            "INSERT INTO own_batches (id, key, input, endpoint, metadata, created, expires, lines, status, owner_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)",
        )
        .bind(&batch.id)
        .bind(batch.key.to_string())
        .bind(&batch.input)
        .bind(&batch.endpoint)
        .bind(batch.metadata.clone())
        .bind(batch.created.0)
        .bind(batch.expires.0)
        .bind(signed(batch.lines))
        .bind(batch.status.as_str())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// A batch of a key.
    pub async fn own_batch(&self, key: &KeyId, id: &str) -> Result<Option<OwnBatch>, StoreError> {
        let found = made(BATCH, "WHERE id = $1 AND key = $2").bind(id).bind(key.to_string());
        found.fetch_optional(self.reader()).await?.as_ref().map(batch).transpose()
    }

    /// Batches of a key, the newest first, from the one after `after` on.
    pub async fn own_batches(&self, key: &KeyId, after: Option<&str>, limit: u64) -> Result<Vec<OwnBatch>, StoreError> {
        let page = "WHERE key = $1 AND ($2 = '' OR (created, id) < (SELECT created, id FROM own_batches WHERE id = $2 AND key = $1))
            ORDER BY created DESC, id DESC LIMIT $3";
        let page = made(BATCH, page).bind(key.to_string()).bind(after.unwrap_or_default()).bind(signed(limit));
        page.fetch_all(self.reader()).await?.iter().map(batch).collect()
    }

    /// Asks a batch to stop, unless it is over.
    pub async fn cancel_own_batch(&self, key: &KeyId, id: &str, now: UnixMs) -> Result<(), StoreError> {
        query(
            "UPDATE own_batches SET status = 'cancelling', cancelling = $3
             WHERE id = $1 AND key = $2 AND status = 'in_progress'",
        )
        .bind(id)
        .bind(key.to_string())
        .bind(now.0)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Claims what is under way and nobody else runs, at most `most` of it: what this instance runs already, then the earliest to expire.
    /// The claim lasts until `until`.
    pub async fn claim_own_batches(&self, now: UnixMs, until: UnixMs, most: u64) -> Result<Vec<OwnBatch>, StoreError> {
        query(
            "UPDATE own_batches SET owner = $1, owner_until = $3 WHERE ended IS NULL AND (owner = $1 OR owner_until <= $2)
             AND id IN (SELECT id FROM own_batches WHERE ended IS NULL AND (owner = $1 OR owner_until <= $2) 
                        ORDER BY CASE WHEN owner = $1 THEN 0 ELSE 1 END, expires, id LIMIT $4)",
        )
        .bind(self.instance())
        .bind(now.0)
        .bind(until.0)
        .bind(signed(most))
        .execute(self.writer())
        .await?;
        let mine = made(BATCH, "WHERE ended IS NULL AND owner = $1 AND owner_until = $2 ORDER BY expires, id");
        let rows = mine.bind(self.instance()).bind(until.0).fetch_all(self.writer()).await?;
        rows.iter().map(batch).collect()
    }

    /// Which requests of a batch are done with.
    pub async fn own_batch_done(&self, id: &str) -> Result<Vec<u64>, StoreError> {
        let done = query("SELECT number FROM own_batch_lines WHERE batch = $1 ORDER BY number").bind(id);
        let done: Vec<i64> = done.column(self.reader()).await?;
        Ok(done.into_iter().map(i64::unsigned_abs).collect())
    }

    /// Keeps what came of a request. What came of it before stays.
    pub async fn keep_batch_line(&self, batch: &str, line: &BatchLine) -> Result<(), StoreError> {
        query(
            "INSERT INTO own_batch_lines (batch, number, failed, text) VALUES ($1, $2, $3, $4)
             ON CONFLICT (batch, number) DO NOTHING",
        )
        .bind(batch)
        .bind(signed(line.number))
        .bind(line.failed)
        .bind(line.text.clone())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// What came of requests of a batch, answers or errors, in their order from the place `from` on; at most `limit` of them.
    pub async fn own_batch_lines(
        &self,
        id: &str,
        failed: bool,
        from: u64,
        limit: u64,
    ) -> Result<Vec<BatchLine>, StoreError> {
        let lines = query(
            "SELECT number, text FROM own_batch_lines WHERE batch = $1 AND failed = $2 AND number >= $3 ORDER BY number LIMIT $4",
        );
        let lines = lines.bind(id).bind(failed).bind(signed(from)).bind(signed(limit));
        let rows = lines.fetch_all(self.reader()).await?;
        let line = |row: &Row| Ok(BatchLine { number: row.count("number")?, failed, text: row.get("text")? });
        rows.iter().map(line).collect()
    }

    /// Ends a batch.
    pub async fn end_own_batch(&self, id: &str, status: BatchStatus, now: UnixMs) -> Result<(), StoreError> {
        query(
            "UPDATE own_batches SET status = $2, ended = $3,
                 answered = (SELECT COUNT(*) FROM own_batch_lines WHERE batch = $1 AND own_batch_lines.failed = 0),
                 failed = (SELECT COUNT(*) FROM own_batch_lines WHERE batch = $1 AND own_batch_lines.failed = 1)
             WHERE id = $1 AND ended IS NULL",
        )
        .bind(id)
        .bind(status.as_str())
        .bind(now.0)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Forgets what came of the answers or errors of a batch of a key, as its client wishes.
    pub async fn forget_batch_lines(&self, id: &str, failed: bool) -> Result<bool, StoreError> {
        let forget = query("DELETE FROM own_batch_lines WHERE batch = $1 AND failed = $2").bind(id).bind(failed);
        Ok(forget.execute(self.writer()).await? > 0)
    }

    /// Forgets batches that ended before this, with what came of them, and files of before that no batch under way needs.
    pub async fn forget_old_batches(&self, before: UnixMs) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for sql in [
            "DELETE FROM own_batch_lines WHERE batch IN (SELECT id FROM own_batches WHERE ended < $1)",
            "DELETE FROM own_batches WHERE ended < $1",
            "DELETE FROM own_batch_files WHERE created < $1
             AND NOT EXISTS (SELECT 1 FROM own_batches WHERE input = own_batch_files.id AND ended IS NULL)",
        ] {
            query(sql).bind(before.0).execute(&mut transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}

fn made(head: &'static str, rest: &'static str) -> crate::sql::Statement {
    crate::sql::Statement::made([head, rest].concat(), Vec::new())
}

fn file(row: &Row) -> Result<BatchFile, StoreError> {
    Ok(BatchFile {
        id: row.get("id")?,
        key: KeyId(row.get::<String>("key")?.into()),
        name: row.get("name")?,
        bytes: row.count("bytes")?,
        created: UnixMs(row.get("created")?),
    })
}

fn batch(row: &Row) -> Result<OwnBatch, StoreError> {
    let id: String = row.get("id")?;
    let status: String = row.get("status")?;
    let unread = || StoreError::Unreadable { what: format!("batch {id}"), reason: format!("status `{status}`") };
    let status = BatchStatus::from_name(&status).ok_or_else(unread)?;
    Ok(OwnBatch {
        key: KeyId(row.get::<String>("key")?.into()),
        input: row.get("input")?,
        endpoint: row.get("endpoint")?,
        metadata: row.get("metadata")?,
        created: UnixMs(row.get("created")?),
        expires: UnixMs(row.get("expires")?),
        lines: row.count("lines")?,
        answered: row.count("answered")?,
        failed: row.count("failed")?,
        status,
        cancelling: row.get::<Option<i64>>("cancelling")?.map(UnixMs),
        ended: row.get::<Option<i64>>("ended")?.map(UnixMs),
        id,
    })
}
