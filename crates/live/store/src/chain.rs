//! What proves that nothing was taken away or changed later: each batch notes which rows it wrote and what they digest to, hashed
//! with the batch before it. Whoever notes the newest hash elsewhere can tell whether the past was written anew.

use crate::open::{Store, StoreError};
use crate::sql::{Row, Transaction, query};

/// The digest of rows: their hashes added up, so that it does not depend on their order and rows can be taken out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest(pub u128);

impl Digest {
    /// With the record of an attempt, as its row has it.
    pub fn add_attempt(&mut self, text: &str) {
        self.add("attempt", text);
    }

    /// With the end of a call, as its row has it.
    pub fn add_call(&mut self, text: &str) {
        self.add("call", text);
    }

    /// With what another one has.
    pub fn join(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }

    fn add(&mut self, kind: &str, text: &str) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind.as_bytes()).update(b"\0").update(text.as_bytes());
        let mut half = [0; 16];
        hasher.finalize_xof().fill(&mut half);
        self.0 = self.0.wrapping_add(u128::from_le_bytes(half));
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Digest {
        let mut half = [0; 16];
        let length = bytes.len().min(16);
        half[..length].copy_from_slice(&bytes[..length]);
        Digest(u128::from_le_bytes(half))
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
}

/// What a batch says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BatchRow {
    /// One more than the one before.
    pub seq: i64,
    /// The segment it came from; empty for what recovery concluded.
    pub segment: String,
    /// From which byte.
    pub from_offset: i64,
    /// Up to which byte.
    pub upto_offset: i64,
    /// Its attempts have higher numbers than this,
    pub attempts_after: i64,
    /// and none higher than this.
    pub attempts_upto: i64,
    /// How many attempts it wrote.
    pub attempts: i64,
    /// As for attempts.
    pub calls_after: i64,
    /// As for attempts.
    pub calls_upto: i64,
    /// How many call ends it wrote.
    pub calls: i64,
    /// The digest of both.
    pub digest: Digest,
    /// The hash over all of this and the chain before.
    pub chain: Vec<u8>,
    /// How many of its rows retention has erased.
    pub pruned: i64,
    /// What those digest to.
    pub pruned_digest: Digest,
}

impl BatchRow {
    /// The hash this batch has, following `before`.
    pub fn hash(&self, before: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(before).update(&(self.segment.len() as u64).to_le_bytes()).update(self.segment.as_bytes());
        let numbers = [
            self.seq,
            self.from_offset,
            self.upto_offset,
            self.attempts_after,
            self.attempts_upto,
            self.attempts,
            self.calls_after,
            self.calls_upto,
            self.calls,
        ];
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.digest.0.to_le_bytes());
        hasher.finalize().into()
    }
}

/// What a batch is about to write.
#[derive(Default)]
pub(crate) struct Seal {
    digest: Digest,
    attempts: i64,
    calls: i64,
}

impl Seal {
    pub fn attempt(&mut self, text: &str) {
        self.digest.add_attempt(text);
        self.attempts += 1;
    }

    pub fn call(&mut self, text: &str) {
        self.digest.add_call(text);
        self.calls += 1;
    }

    /// Of no rows: over what retention has erased.
    pub fn over(digest: Digest) -> Seal {
        Seal { digest, ..Seal::default() }
    }
}

/// The next link of the chain, while its transaction lasts.
pub(crate) struct Link {
    before: Vec<u8>,
    row: BatchRow,
}

impl Link {
    /// Takes the chain's end; transactions of other instances wait here for each other, so that numbers of rows do not mix.
    pub async fn begin(transaction: &mut Transaction) -> Result<Link, StoreError> {
        let sql = "UPDATE books SET seq = seq + 1 WHERE one = 1 RETURNING seq, chain, attempts_upto, calls_upto";
        let head = query(sql).fetch_optional(transaction).await?.ok_or_else(missing)?;
        let row = BatchRow {
            seq: head.get("seq")?,
            attempts_after: head.get("attempts_upto")?,
            calls_after: head.get("calls_upto")?,
            ..BatchRow::default()
        };
        Ok(Link { before: head.get("chain")?, row })
    }

    /// From which segment it comes.
    pub fn of(&mut self, segment: &str, from_offset: i64, upto_offset: i64) {
        self.row.segment = segment.to_owned();
        (self.row.from_offset, self.row.upto_offset) = (from_offset, upto_offset);
    }

    /// Writes the batch, when its rows are written.
    pub async fn close(self, transaction: &mut Transaction, seal: &Seal) -> Result<(), StoreError> {
        let Link { before, mut row } = self;
        let (attempts, calls) = newest(transaction).await?;
        (row.attempts_upto, row.calls_upto) = (attempts.max(row.attempts_after), calls.max(row.calls_after));
        (row.attempts, row.calls, row.digest) = (seal.attempts, seal.calls, seal.digest);
        let chain = row.hash(&before).to_vec();
        query(
            "INSERT INTO batches (seq, segment, from_offset, upto_offset, attempts_after, attempts_upto, attempts,
                                  calls_after, calls_upto, calls, digest, chain)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(row.seq)
        .bind(&row.segment)
        .bind(row.from_offset)
        .bind(row.upto_offset)
        .bind(row.attempts_after)
        .bind(row.attempts_upto)
        .bind(row.attempts)
        .bind(row.calls_after)
        .bind(row.calls_upto)
        .bind(row.calls)
        .bind(row.digest.bytes())
        .bind(chain.clone())
        .execute(&mut *transaction)
        .await?;
        query("UPDATE books SET chain = $1, attempts_upto = $2, calls_upto = $3 WHERE one = 1")
            .bind(chain)
            .bind(row.attempts_upto)
            .bind(row.calls_upto)
            .execute(transaction)
            .await?;
        Ok(())
    }
}

/// The highest numbers of attempts and calls.
async fn newest(transaction: &mut Transaction) -> Result<(i64, i64), StoreError> {
    let sql = "SELECT COALESCE((SELECT MAX(seq) FROM attempts), 0) AS attempts,
                      COALESCE((SELECT MAX(seq) FROM calls), 0) AS calls";
    let row = query(sql).fetch_optional(transaction).await?.ok_or_else(missing)?;
    Ok((row.get("attempts")?, row.get("calls")?))
}

impl Store {
    /// Batches after the one of this number, in order.
    pub async fn batches_after(&self, seq: i64, limit: u32) -> Result<Vec<BatchRow>, StoreError> {
        let sql = "SELECT * FROM batches WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = query(sql).bind(seq).bind(i64::from(limit)).fetch_all(self.reader()).await?;
        rows.iter().map(batch_row).collect()
    }
}

pub(crate) fn batch_row(row: &Row) -> Result<BatchRow, StoreError> {
    Ok(BatchRow {
        seq: row.get("seq")?,
        segment: row.get("segment")?,
        from_offset: row.get("from_offset")?,
        upto_offset: row.get("upto_offset")?,
        attempts_after: row.get("attempts_after")?,
        attempts_upto: row.get("attempts_upto")?,
        attempts: row.get("attempts")?,
        calls_after: row.get("calls_after")?,
        calls_upto: row.get("calls_upto")?,
        calls: row.get("calls")?,
        digest: Digest::of_bytes(&row.get::<Vec<u8>>("digest")?),
        chain: row.get("chain")?,
        pruned: row.get("pruned")?,
        pruned_digest: Digest::of_bytes(&row.get::<Vec<u8>>("pruned_digest")?),
    })
}

/// What says that the row of the books themselves is gone.
pub(crate) fn missing() -> StoreError {
    StoreError::Unreadable { what: "the row of `books`".to_owned(), reason: "it is not there".to_owned() }
}
