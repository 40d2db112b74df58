//! Where answers are kept: bounded in bytes and in time, and what was not used for longest goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use domain::{CallId, Class, KeyId, LaneName, ModelName, UnixMs, Usage, WorkflowName};
use http::HeaderMap;
use rustc_hash::FxHashMap;

use super::name::Name;

/// What an entry takes beside its answer, bytes: its places in three tables, its names and counts. Rounded up from their sizes.
const ENTRY_BYTES: usize = 1 << 10;
/// What each header of an answer takes, bytes, beside its value.
const HEADER_BYTES: usize = 96;
/// The largest share of the shelf that one answer may take.
const LARGEST_SHARE: usize = 8;

/// An answer, as its client got it.
pub struct Kept {
    /// The call it answered.
    pub of: CallId,
    /// Whose that call was.
    pub key: KeyId,
    /// For which workflow.
    pub workflow: WorkflowName,
    /// The lane that answered.
    pub lane: Option<(LaneName, Class)>,
    /// The model that answered.
    pub model: ModelName,
    /// When it was complete.
    pub at: UnixMs,
    /// Until when it may be given again.
    pub until: UnixMs,
    /// Its headers but those of the call.
    pub head: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The beginning of its text, to be compared with another; empty where the workflow compares none.
    pub text: String,
    /// Where each piece of a stream ended, and when it came, milliseconds after the first; empty for a whole answer.
    pub pieces: Vec<PieceEnd>,
    /// What it consumed.
    pub usage: Usage,
    /// The service tier that served it, in the provider's word.
    pub tier: Option<String>,
    /// The region it was billed for.
    pub region: Option<String>,
}

/// Where a piece of a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PieceEnd {
    /// Bytes from the beginning of the body.
    pub end: u32,
    /// Milliseconds after the first piece.
    pub after_ms: u32,
}

impl Kept {
    /// The memory it takes, bytes.
    pub fn bytes(&self) -> usize {
        let head: usize = self.head.values().map(|value| value.len() + HEADER_BYTES).sum();
        ENTRY_BYTES + head + self.body.len() + self.text.len() + self.pieces.len() * size_of::<PieceEnd>()
    }
}

/// What is kept, and what became of the rest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Bytes taken.
    pub bytes: u64,
    /// Bytes that may be taken.
    pub most_bytes: u64,
    /// Answers kept, by workflow.
    pub entries: BTreeMap<WorkflowName, u64>,
    /// Answers that went to make room.
    pub evicted: u64,
    /// Answers whose time was up.
    pub expired: u64,
    /// Answers that were too large to be kept.
    pub too_large: u64,
}

/// The answers.
pub struct Shelf {
    most_bytes: usize,
    bytes: usize,
    answers: FxHashMap<Name, Place>,
    /// By when they were used last: a count that only grows.
    by_use: BTreeMap<u64, Name>,
    by_end: BTreeSet<(UnixMs, Name)>,
    uses: u64,
    counted: Totals,
}

struct Place {
    kept: Arc<Kept>,
    used: u64,
}

impl Shelf {
    /// An empty one.
    pub fn new(most_bytes: usize) -> Shelf {
        Shelf {
            most_bytes,
            bytes: 0,
            answers: FxHashMap::default(),
            by_use: BTreeMap::new(),
            by_end: BTreeSet::new(),
            uses: 0,
            counted: Totals::default(),
        }
    }

    /// Makes it larger or smaller.
    pub fn resize(&mut self, most_bytes: usize) {
        self.most_bytes = most_bytes;
        self.make_room(0);
    }

    /// The answer of this name, if its time is not up.
    pub fn find(&mut self, name: &Name, now: UnixMs) -> Option<Arc<Kept>> {
        self.expire(now);
        let place = self.answers.get_mut(name)?;
        self.by_use.remove(&place.used);
        self.uses += 1;
        place.used = self.uses;
        self.by_use.insert(self.uses, *name);
        Some(place.kept.clone())
    }

    /// Puts an answer in, in the place of an older one of its name.
    pub fn put(&mut self, name: Name, kept: Kept, now: UnixMs) {
        self.expire(now);
        let bytes = kept.bytes();
        if bytes > self.most_bytes / LARGEST_SHARE {
            self.counted.too_large += 1;
            return;
        }
        self.take(&name);
        self.make_room(bytes);
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, name);
        self.by_end.insert((kept.until, name));
        self.answers.insert(name, Place { kept: Arc::new(kept), used: self.uses });
    }

    /// Whether there is an answer of this name.
    pub fn has(&self, name: &Name) -> bool {
        self.answers.contains_key(name)
    }

    /// Throws away what is no longer wanted; how many answers that were.
    pub fn throw_away(&mut self, unwanted: impl Fn(&Kept) -> bool) -> u64 {
        let names: Vec<Name> =
            self.answers.iter().filter(|(_, place)| unwanted(&place.kept)).map(|(name, _)| *name).collect();
        names.iter().for_each(|name| self.take(name));
        names.len() as u64
    }

    /// What is kept now.
    pub fn totals(&mut self, now: UnixMs) -> Totals {
        self.expire(now);
        let mut entries = BTreeMap::new();
        for place in self.answers.values() {
            *entries.entry(place.kept.workflow.clone()).or_insert(0) += 1;
        }
        Totals { bytes: self.bytes as u64, most_bytes: self.most_bytes as u64, entries, ..self.counted.clone() }
    }

    fn expire(&mut self, now: UnixMs) {
        while let Some((until, name)) = self.by_end.first().copied().filter(|(until, _)| *until <= now) {
            self.by_end.remove(&(until, name));
            self.take(&name);
            self.counted.expired += 1;
        }
    }

    fn make_room(&mut self, bytes: usize) {
        while self.bytes + bytes > self.most_bytes
            && let Some((_, name)) = self.by_use.first_key_value().map(|(used, name)| (*used, *name))
        {
            self.take(&name);
            self.counted.evicted += 1;
        }
    }

    fn take(&mut self, name: &Name) {
        let Some(Place { kept, used }) = self.answers.remove(name) else { return };
        self.by_use.remove(&used);
        self.by_end.remove(&(kept.until, *name));
        self.bytes -= kept.bytes();
    }
}
