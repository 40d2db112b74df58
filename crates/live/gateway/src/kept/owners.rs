//! Whose the files and batches at a provider are, for the lists of them: a provider lists those of all keys together. Used for
//! nothing but lists, since every id says by itself whose it is; so it may be bounded, and a restart finds it again in the records.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use domain::{Cause, KeyId, ModelName, ProviderName, Record};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use wire::kept::Kind;

use super::seal::{Most, Note};

/// How many are remembered; the oldest is left out of lists first.
const MOST: usize = 65_536;

/// Whose something is, and what its id is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Whose key.
    pub key: KeyId,
    /// Through which model.
    pub model: ModelName,
    /// For what: a workflow, `lane:NAME` or `model:NAME`.
    pub asked: String,
    /// What else belongs to it.
    pub note: Note,
}

/// Whose things are.
#[derive(Default)]
pub struct Owners {
    /// Ids are the providers' words and have any length, so hashes of them are kept.
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    owners: FxHashMap<u64, Owner>,
    /// Oldest first.
    order: VecDeque<u64>,
}

impl Owners {
    /// Whose it is, as far as that is remembered.
    pub fn of(&self, kind: Kind, provider: &ProviderName, id: &str) -> Option<Owner> {
        self.known.lock().owners.get(&self.hasher.hash_one((kind, provider, id))).cloned()
    }

    /// Remembers it.
    pub fn remember(&self, kind: Kind, provider: &ProviderName, id: &str, owner: Owner) {
        let name = self.hasher.hash_one((kind, provider, id));
        let mut known = self.known.lock();
        if known.owners.insert(name, owner).is_none() {
            known.order.push_back(name);
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.owners.remove(&oldest);
        }
    }

    /// Remembers what a record tells.
    pub fn recall(&self, record: &Record) {
        let intent = &record.intent;
        if intent.attempt == intent.attempt.settlement() {
            return;
        }
        let kind = match intent.cause {
            Cause::Keep => Kind::File,
            Cause::Batch => Kind::Batch,
            _ => return,
        };
        let Some(id) = &record.provider_request_id else { return };
        let most = Most { usd: intent.hold, tokens: intent.hold_tokens };
        let note = match kind {
            Kind::File if most == Most::default() => Note::None,
            _ => Note::Input(most),
        };
        let asked = match (&intent.workflow, &intent.lane) {
            (Some(workflow), _) => workflow.to_string(),
            (None, Some(lane)) => format!("lane:{lane}"),
            (None, None) => format!("model:{}", intent.model),
        };
        let owner = Owner { key: intent.key.clone(), model: intent.model.clone(), asked, note };
        self.remember(kind, &intent.provider, id, owner);
    }
}
