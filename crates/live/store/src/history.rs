//! What was changed and by whom: configurations as they were taken over, and audit lines.

use domain::UnixMs;

use crate::open::{Store, StoreError};
use crate::sql::query;

/// A configuration as it was taken over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revision {
    /// Its revision.
    pub revision: String,
    /// When it was taken over.
    pub taken_at: UnixMs,
    /// The file as written; secrets are never in it.
    pub text: String,
}

/// Who did what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditLine {
    /// When.
    pub at: UnixMs,
    /// The admin token's public half, or `command line`.
    pub who: String,
    /// A stable verb such as `key.create`.
    pub what: String,
    /// To which thing, in one sentence without secrets.
    pub detail: String,
}

impl Store {
    /// Notes that a configuration was taken over. One that is the newest already is not noted again.
    pub async fn record_revision(&self, revision: &Revision) -> Result<(), StoreError> {
        query(
            "INSERT INTO revisions (revision, taken_at, text) SELECT $1, $2, $3
             WHERE $1 IS DISTINCT FROM (SELECT revision FROM revisions ORDER BY seq DESC LIMIT 1)",
        )
        .bind(&revision.revision)
        .bind(revision.taken_at.0)
        .bind(&revision.text)
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// The newest configurations taken over, newest first, without their text.
    pub async fn revisions(&self, limit: u32) -> Result<Vec<(String, UnixMs)>, StoreError> {
        let rows = query("SELECT revision, taken_at FROM revisions ORDER BY seq DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(|row| Ok((row.get("revision")?, UnixMs(row.get("taken_at")?)))).collect()
    }

    /// The text of a revision; absent where it was never taken over.
    pub async fn revision_text(&self, revision: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT text FROM revisions WHERE revision = $1 ORDER BY seq DESC LIMIT 1";
        Ok(query(sql).bind(revision).scalar(self.reader()).await?)
    }

    /// Writes an audit line.
    pub async fn audit(&self, line: &AuditLine) -> Result<(), StoreError> {
        query("INSERT INTO audit (at, who, what, detail) VALUES ($1, $2, $3, $4)")
            .bind(line.at.0)
            .bind(&line.who)
            .bind(&line.what)
            .bind(&line.detail)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// The newest audit lines, newest first.
    pub async fn audit_lines(&self, limit: u32) -> Result<Vec<AuditLine>, StoreError> {
        let rows = query("SELECT at, who, what, detail FROM audit ORDER BY seq DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(AuditLine {
                    at: UnixMs(row.get("at")?),
                    who: row.get("who")?,
                    what: row.get("what")?,
                    detail: row.get("detail")?,
                })
            })
            .collect()
    }
}
