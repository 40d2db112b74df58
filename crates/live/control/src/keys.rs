//! Keys of applications: made, listed and revoked, by the server or by a command beside it; a running server notices.

use std::time::Duration;

use config::Budget;
use domain::{KeyGrant, KeyId, UnixMs, WorkflowName};
use serde::{Deserialize, Serialize};
use store::{AuditLine, Store, StoreError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::failure::ControlError;
use crate::secrets::Pepper;

/// How often a running server looks for changes another process made. Revocation is to take effect within 2 seconds.
pub const LOOK_EVERY_MS: u64 = 500;
/// Longest label.
const LONGEST_LABEL: usize = 100;

/// What somebody wants a key to be.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewKey {
    /// What people will call it.
    pub label: String,
    /// The workflows it may name; `None` means all.
    pub workflows: Option<Vec<WorkflowName>>,
    /// Whether it may name `lane:NAME` and `model:NAME`.
    pub direct: bool,
    /// What it may spend, each like `200 USD per month`, `2M tokens per rolling 24h` or `1 USD per session, then notify`.
    pub budgets: Vec<String>,
    /// Requests a minute; `None` means unlimited.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute; `None` means unlimited.
    pub tokens_per_minute: Option<u64>,
    /// From when on it is refused; `None` means never.
    pub expires_at: Option<UnixMs>,
}

/// Makes a key and keeps it. The text is the only place its secret will ever be.
pub async fn create(
    store: &Store,
    pepper: &Pepper,
    wish: NewKey,
    by: &str,
    now: UnixMs,
) -> Result<(KeyGrant, String), ControlError> {
    check(&wish, now).map_err(ControlError::Refused)?;
    let minted = pepper.mint("fh");
    let grant = KeyGrant {
        id: KeyId(minted.id.as_str().into()),
        hash: minted.hash,
        label: wish.label.trim().to_owned(),
        workflows: wish.workflows,
        direct: wish.direct,
        budgets: wish.budgets,
        requests_per_minute: wish.requests_per_minute,
        tokens_per_minute: wish.tokens_per_minute,
        created_at: now,
        expires_at: wish.expires_at,
        revoked_at: None,
    };
    store.insert_key(&grant).await?;
    let detail = format!("key {} ({})", grant.id, grant.label);
    store.audit(&AuditLine { at: now, who: by.to_owned(), what: "key.create".into(), detail }).await?;
    Ok((grant, minted.text))
}

/// Revokes a key; one that is revoked already stays so from its first time on.
pub async fn revoke(store: &Store, id: &KeyId, by: &str, now: UnixMs) -> Result<(), ControlError> {
    if !store.revoke_key(id, now).await? {
        return Err(ControlError::NotFound(format!("there is no key `{id}`; `freehold key list` shows every key")));
    }
    let line = AuditLine { at: now, who: by.to_owned(), what: "key.revoke".into(), detail: format!("key {id}") };
    Ok(store.audit(&line).await?)
}

fn check(wish: &NewKey, now: UnixMs) -> Result<(), String> {
    let label = wish.label.trim();
    if label.is_empty() || label.chars().count() > LONGEST_LABEL || label.chars().any(char::is_control) {
        return Err(format!(
            "a key needs a label of 1 to {LONGEST_LABEL} printable characters, so that people know whose it is"
        ));
    }
    if wish.workflows.as_ref().is_some_and(Vec::is_empty) && !wish.direct {
        return Err(
            "a key for no workflow at all could do nothing; name workflows, or leave the list out for all".into()
        );
    }
    let mut budgets: Vec<Budget> = Vec::new();
    for text in &wish.budgets {
        let budget: Budget = text.parse().map_err(|error: config::BadBudget| error.to_string())?;
        if budgets.iter().any(|other| (other.measure, &other.per) == (budget.measure, &budget.per)) {
            return Err(format!("`{text}` is the second budget of its kind; give one for each window"));
        }
        budgets.push(budget);
    }
    if wish.requests_per_minute == Some(0) || wish.tokens_per_minute == Some(0) {
        return Err("a limit of zero a minute would let nothing through; leave it out for no limit".into());
    }
    if wish.expires_at.is_some_and(|at| at <= now) {
        return Err("the key would have expired already; choose a time to come".into());
    }
    Ok(())
}

/// Watches the keys of a store and publishes every change, whichever process made it.
pub struct KeyWatch {
    store: Store,
    revision: i64,
    publish: watch::Sender<Vec<KeyGrant>>,
    failing: bool,
}

impl KeyWatch {
    /// Reads the keys for the first time.
    pub async fn start(store: Store) -> Result<(KeyWatch, watch::Receiver<Vec<KeyGrant>>), StoreError> {
        // The revision first: a change in between is then seen again, never missed.
        let revision = store.keys_revision().await?;
        let (publish, keys) = watch::channel(store.keys().await?);
        Ok((KeyWatch { store, revision, publish, failing: false }, keys))
    }

    /// Looks once; true where something had changed and was published.
    pub async fn look(&mut self) -> Result<bool, StoreError> {
        let revision = self.store.keys_revision().await?;
        if revision == self.revision {
            return Ok(false);
        }
        self.publish.send_replace(self.store.keys().await?);
        self.revision = revision;
        Ok(true)
    }

    /// Looks every [`LOOK_EVERY_MS`] until `stop` says so. While the store cannot be read the last keys stand.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(Duration::from_millis(LOOK_EVERY_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            match self.look().await {
                Err(error) if !self.failing => {
                    self.failing = true;
                    tracing::error!(%error, "keys cannot be read; those known stay in force, new and revoked ones are not noticed");
                }
                Ok(_) if self.failing => {
                    self.failing = false;
                    tracing::info!("keys can be read again");
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}
