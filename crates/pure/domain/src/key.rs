//! What a key may do, as the store hands it to the gateway. The secret itself is never kept.

use serde::{Deserialize, Serialize};

use crate::ids::KeyId;
use crate::names::WorkflowName;
use crate::time::UnixMs;

/// A key without its secret: `fh_<id>_<secret>` is shown once, only `hash` stays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyGrant {
    /// The public half.
    pub id: KeyId,
    /// BLAKE3 of the secret, keyed with the installation's pepper.
    pub hash: [u8; 32],
    /// What people call it.
    pub label: String,
    /// The workflows it may name; `None` means all.
    pub workflows: Option<Vec<WorkflowName>>,
    /// Whether it may name `lane:NAME` and `model:NAME`.
    pub direct: bool,
    /// What it may spend, each as `freehold key create --budget` takes it: `200 USD per month`.
    pub budgets: Vec<String>,
    /// Requests a minute; `None` means unlimited.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, sent and received; `None` means unlimited.
    pub tokens_per_minute: Option<u64>,
    /// When it was made.
    pub created_at: UnixMs,
    /// From when on it is refused; `None` means never.
    pub expires_at: Option<UnixMs>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
}

impl KeyGrant {
    /// The secret access key with which AWS SDKs sign requests of this key; its [`KeyGrant::id`] is the access key id.
    ///
    /// A signature can only be checked by who knows the secret, and secrets are not kept. So this one is made from what is:
    /// whoever has the pepper and the store can make it again, and nobody else.
    pub fn aws_secret_access_key(&self, pepper: &[u8; 32]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(pepper);
        // The length keeps ids from running into what follows.
        hasher.update(b"freehold aws secret access key\0").update(&(self.id.0.len() as u64).to_le_bytes());
        hasher.update(self.id.0.as_bytes()).update(&self.hash);
        hasher.finalize().to_hex().to_string()
    }
}
