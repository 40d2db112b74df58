//! Keys of applications, tokens of administrators, sessions of the console. Only keyed hashes of secrets are here.

use std::collections::HashMap;

use domain::{KeyGrant, KeyId, NanoUsd, UnixMs};

use crate::open::{Store, StoreError, from_json, signed, to_json};
use crate::sql::{Row, query};

/// An administrator's token without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminToken {
    /// The public half.
    pub id: String,
    /// BLAKE3 of the secret, keyed with the installation's pepper.
    pub hash: [u8; 32],
    /// What people call it.
    pub label: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
}

/// A console session without its cookie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSession {
    /// BLAKE3 of the cookie's value, keyed with the installation's pepper.
    pub hash: [u8; 32],
    /// The admin token it was opened with.
    pub token: String,
    /// When it was opened.
    pub created_at: UnixMs,
    /// From when on it is refused.
    pub expires_at: UnixMs,
}

impl Store {
    /// Every key, revoked ones included, newest first.
    pub async fn keys(&self) -> Result<Vec<KeyGrant>, StoreError> {
        let rows = query("SELECT * FROM keys ORDER BY created_at DESC, id").fetch_all(self.reader()).await?;
        rows.iter().map(key_grant).collect()
    }

    /// A number that moves whenever a key is made, changed or revoked, by whichever process.
    pub async fn keys_revision(&self) -> Result<i64, StoreError> {
        let sql = "SELECT value FROM meta WHERE name = 'keys_revision'";
        Ok(query(sql).scalar(self.reader()).await?.unwrap_or_default())
    }

    /// Keeps a number under a name, unless one is there: the one that is there then.
    pub async fn first_number(&self, name: &str, number: i64) -> Result<i64, StoreError> {
        let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        query(sql).bind(name).bind(number).execute(self.writer()).await?;
        let kept = query("SELECT value FROM meta WHERE name = $1").bind(name).scalar(self.writer()).await?;
        Ok(kept.unwrap_or(number))
    }

    /// Keeps a new key. An identifier that exists already is an error of the database.
    pub async fn insert_key(&self, grant: &KeyGrant) -> Result<(), StoreError> {
        query(
            "INSERT INTO keys (id, hash, label, workflows, direct, budgets, requests_per_minute,
                               tokens_per_minute, created_at, expires_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(grant.id.to_string())
        .bind(grant.hash.to_vec())
        .bind(&grant.label)
        .bind(grant.workflows.as_ref().map(to_json))
        .bind(grant.direct)
        .bind(to_json(&grant.budgets))
        .bind(grant.requests_per_minute.map(i64::from))
        .bind(grant.tokens_per_minute.map(signed))
        .bind(grant.created_at.0)
        .bind(grant.expires_at.map(|at| at.0))
        .bind(grant.revoked_at.map(|at| at.0))
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Revokes a key from `at` on. False where there is none of this name; a key revoked before keeps its time.
    pub async fn revoke_key(&self, id: &KeyId, at: UnixMs) -> Result<bool, StoreError> {
        let done = query("UPDATE keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1")
            .bind(id.to_string())
            .bind(at.0)
            .execute(self.writer())
            .await?;
        Ok(done > 0)
    }

    /// When each key was last used.
    pub async fn keys_last_used(&self) -> Result<HashMap<String, UnixMs>, StoreError> {
        let rows = query("SELECT key, last_used_at FROM key_use").fetch_all(self.reader()).await?;
        rows.iter().map(|row| Ok((row.get("key")?, UnixMs(row.get("last_used_at")?)))).collect()
    }

    /// Keeps a new admin token.
    pub async fn insert_admin_token(&self, token: &AdminToken) -> Result<(), StoreError> {
        query("INSERT INTO admin_tokens (id, hash, label, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(&token.id)
            .bind(token.hash.to_vec())
            .bind(&token.label)
            .bind(token.created_at.0)
            .bind(token.revoked_at.map(|at| at.0))
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// The admin token of this public half, revoked or not.
    pub async fn admin_token(&self, id: &str) -> Result<Option<AdminToken>, StoreError> {
        let row = query("SELECT * FROM admin_tokens WHERE id = $1").bind(id).fetch_optional(self.reader()).await?;
        row.as_ref().map(admin_token).transpose()
    }

    /// Every admin token, newest first.
    pub async fn admin_tokens(&self) -> Result<Vec<AdminToken>, StoreError> {
        let rows = query("SELECT * FROM admin_tokens ORDER BY created_at DESC, id").fetch_all(self.reader()).await?;
        rows.iter().map(admin_token).collect()
    }

    /// Revokes an admin token and ends every session opened with it. False where there is none of this name.
    pub async fn revoke_admin_token(&self, id: &str, at: UnixMs) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let done = query("UPDATE admin_tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1")
            .bind(id)
            .bind(at.0)
            .execute(&mut transaction)
            .await?;
        query("DELETE FROM sessions WHERE token = $1").bind(id).execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done > 0)
    }

    /// Keeps a new session.
    pub async fn insert_session(&self, session: &StoredSession) -> Result<(), StoreError> {
        query("INSERT INTO sessions (hash, token, created_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(session.hash.to_vec())
            .bind(&session.token)
            .bind(session.created_at.0)
            .bind(session.expires_at.0)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// The session of this hash while it lasts and its token is not revoked.
    pub async fn session(&self, hash: &[u8; 32], now: UnixMs) -> Result<Option<StoredSession>, StoreError> {
        let row = query(
            "SELECT sessions.* FROM sessions JOIN admin_tokens ON admin_tokens.id = sessions.token
             WHERE sessions.hash = $1 AND sessions.expires_at > $2 AND admin_tokens.revoked_at IS NULL",
        )
        .bind(hash.to_vec())
        .bind(now.0)
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| {
            Ok(StoredSession {
                hash: hash_of(&row)?,
                token: row.get("token")?,
                created_at: UnixMs(row.get("created_at")?),
                expires_at: UnixMs(row.get("expires_at")?),
            })
        })
        .transpose()
    }

    /// Ends a session.
    pub async fn delete_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        query("DELETE FROM sessions WHERE hash = $1").bind(hash.to_vec()).execute(self.writer()).await?;
        Ok(())
    }
}

fn key_grant(row: &Row) -> Result<KeyGrant, StoreError> {
    let id: String = row.get("id")?;
    let workflows: Option<String> = row.get("workflows")?;
    let budgets: Option<String> = row.get("budgets")?;
    // Keys made before they could have several.
    let only = match (row.get::<Option<i64>>("budget_nano")?, row.get::<Option<String>>("budget_per")?) {
        (Some(limit), Some(per)) => vec![format!("{} USD per {per}", NanoUsd(limit))],
        _ => Vec::new(),
    };
    let whole = |column: &str| row.get::<Option<i64>>(column);
    Ok(KeyGrant {
        hash: hash_of(row)?,
        label: row.get("label")?,
        workflows: workflows.map(|names| from_json(&format!("key {id}"), &names)).transpose()?,
        direct: row.get::<i64>("direct")? != 0,
        budgets: budgets.map_or(Ok(only), |budgets| from_json(&format!("key {id}"), &budgets))?,
        requests_per_minute: whole("requests_per_minute")?.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        tokens_per_minute: whole("tokens_per_minute")?.map(|limit| limit.max(0).unsigned_abs()),
        created_at: UnixMs(row.get("created_at")?),
        expires_at: whole("expires_at")?.map(UnixMs),
        revoked_at: whole("revoked_at")?.map(UnixMs),
        id: KeyId(id.into()),
    })
}

fn admin_token(row: &Row) -> Result<AdminToken, StoreError> {
    Ok(AdminToken {
        id: row.get("id")?,
        hash: hash_of(row)?,
        label: row.get("label")?,
        created_at: UnixMs(row.get("created_at")?),
        revoked_at: row.get::<Option<i64>>("revoked_at")?.map(UnixMs),
    })
}

fn hash_of(row: &Row) -> Result<[u8; 32], StoreError> {
    let bytes: Vec<u8> = row.get("hash")?;
    bytes.try_into().map_err(|bytes: Vec<u8>| StoreError::Unreadable {
        what: "a secret's hash".to_owned(),
        reason: format!("it has {} bytes instead of 32", bytes.len()),
    })
}
