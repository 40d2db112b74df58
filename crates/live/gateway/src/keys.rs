//! Who is calling: the table of keys, as the store publishes it.

use std::sync::Arc;

use domain::{KeyGrant, KeyId, UnixMs};
use rustc_hash::FxHashMap;
use subtle::ConstantTimeEq;

/// Longest key text looked at; anything longer is no key.
const LONGEST_KEY: usize = 200;

/// All keys, by their public half. Immutable; a change publishes a new table.
pub struct KeyTable {
    pepper: [u8; 32],
    keys: FxHashMap<Arc<str>, Arc<Key>>,
}

/// One key.
pub struct Key {
    /// What it may do.
    pub grant: KeyGrant,
}

/// Why a credential is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyRefusal {
    /// No credential at all.
    Missing,
    /// Two credentials that differ.
    Conflicting,
    /// Not one of ours.
    Unknown,
    /// Expired at this time.
    Expired(UnixMs),
    /// Revoked at this time.
    Revoked(UnixMs),
    /// Signed for another time than now.
    Stale,
}

impl KeyTable {
    /// A table of these grants.
    pub fn new(pepper: [u8; 32], grants: Vec<KeyGrant>) -> KeyTable {
        let keys = grants.into_iter().map(|grant| (grant.id.0.clone(), Arc::new(Key { grant })));
        KeyTable { pepper, keys: keys.collect() }
    }

    /// How many keys there are, revoked ones included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values()
    }

    /// The key of this public half, whatever its state.
    pub fn get(&self, id: &KeyId) -> Option<&Arc<Key>> {
        self.keys.get(&id.0)
    }

    /// Whether this key is known and was not revoked.
    pub fn may_ask(&self, id: &KeyId) -> bool {
        self.get(id).is_some_and(|key| key.grant.revoked_at.is_none())
    }

    /// The key a credential belongs to. The secret is compared by keyed hash, in constant time, and an unknown public
    /// half costs the same hash, so that timing tells nothing.
    pub fn authenticate(&self, credential: &str, now: UnixMs) -> Result<Arc<Key>, KeyRefusal> {
        if credential.len() > LONGEST_KEY {
            return Err(KeyRefusal::Unknown);
        }
        let (id, secret) =
            credential.strip_prefix("fh_").and_then(|rest| rest.split_once('_')).ok_or(KeyRefusal::Unknown)?;
        let hash = blake3::keyed_hash(&self.pepper, secret.as_bytes());
        let known = self.keys.get(id);
        let expected = known.map_or(&[0; 32], |key| &key.grant.hash);
        let same = bool::from(hash.as_bytes().ct_eq(expected));
        let key = known.filter(|_| same).ok_or(KeyRefusal::Unknown)?;
        valid(key, now)
    }

    /// The key of this public half, if it may be used now. Its secret is still to be proven, by a signature.
    pub fn claimed(&self, id: &str, now: UnixMs) -> Result<Arc<Key>, KeyRefusal> {
        // The text of a key may stand for its public half.
        let id = id.strip_prefix("fh_").map_or(id, |rest| rest.split('_').next().unwrap_or(rest));
        valid(self.keys.get(id).ok_or(KeyRefusal::Unknown)?, now)
    }

    /// What requests of a key are signed with.
    pub fn aws_secret_access_key(&self, key: &Key) -> String {
        key.grant.aws_secret_access_key(&self.pepper)
    }
}

/// The key, unless it was revoked or has expired.
fn valid(key: &Arc<Key>, now: UnixMs) -> Result<Arc<Key>, KeyRefusal> {
    if let Some(at) = key.grant.revoked_at {
        return Err(KeyRefusal::Revoked(at));
    }
    match key.grant.expires_at {
        Some(at) if at <= now => Err(KeyRefusal::Expired(at)),
        _ => Ok(key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(id: &str, secret: &str, pepper: &[u8; 32]) -> KeyGrant {
        KeyGrant {
            id: KeyId(id.into()),
            hash: *blake3::keyed_hash(pepper, secret.as_bytes()).as_bytes(),
            label: "test".into(),
            workflows: None,
            direct: false,
            budgets: Vec::new(),
            requests_per_minute: Some(60),
            tokens_per_minute: None,
            created_at: UnixMs(0),
            expires_at: Some(UnixMs(1_000)),
            revoked_at: None,
        }
    }

    #[test]
    fn only_the_right_secret_in_time_is_let_in() {
        let pepper = [7; 32];
        let table = KeyTable::new(pepper, vec![grant("ab", "s3cret", &pepper)]);
        assert_eq!(table.authenticate("fh_ab_s3cret", UnixMs(1)).unwrap().grant.id, KeyId("ab".into()));
        for wrong in ["", "fh_", "fh_ab", "fh_ab_", "fh_ab_s3creT", "fh_zz_s3cret", "sk-123", "fh_ab_s3cret "] {
            assert_eq!(table.authenticate(wrong, UnixMs(1)).err(), Some(KeyRefusal::Unknown), "{wrong}");
        }
        assert_eq!(table.authenticate("fh_ab_s3cret", UnixMs(1_000)).err(), Some(KeyRefusal::Expired(UnixMs(1_000))));
    }
}
