//! What a key may do, as the store hands it to the gateway. The secret itself is never kept.

use serde::{Deserialize, Serialize};

use crate::ids::KeyId;
use crate::money::NanoUsd;
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
    /// What it may spend.
    pub budget: Option<KeyBudget>,
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

/// A hard limit on what one key spends in a calendar window (UTC).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyBudget {
    /// At most this much.
    pub limit: NanoUsd,
    /// `hour`, `day`, `week`, `month`, `year` or `total`, as in the configuration.
    pub per: String,
}
