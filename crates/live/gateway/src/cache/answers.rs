//! The answers that may be given again: looked for, kept, thrown away.

use std::sync::Arc;

use config::Snapshot;
use domain::{Class, KeyId, LaneName, Record, UnixMs, WorkflowName};
use parking_lot::Mutex;
use wire::Seen;

use super::keeping::Keeping;
use super::name::Name;
use super::near::Near;
use super::request::{self, Passed};
use super::shelf::{Kept, Shelf, Totals};
use crate::metrics::{CacheLabels, Label, Metrics};
use crate::protect::Protected;

/// The answers that may be given again.
pub struct Cache {
    shelf: Mutex<Shelf>,
    /// What knows which requests are near each other.
    pub near: Near,
    /// Keys the names of requests, so that a name tells nothing of what was asked, and nobody can choose one.
    pub pepper: [u8; 32],
}

/// What the cache has for a call.
pub enum Looked {
    /// It is not asked.
    Off,
    /// It is for others; why not for this one.
    Passed(Passed),
    /// Nothing yet; what the answer is to be kept as.
    Nothing(Box<Keeping>),
    /// The answer.
    Found(Arc<Kept>),
}

impl Cache {
    /// An empty one, of the size that the configuration says.
    pub fn new(pepper: [u8; 32], snapshot: &Snapshot) -> Cache {
        Cache { shelf: Mutex::new(Shelf::new(snapshot.server.cache_max_bytes)), near: Near::new(), pepper }
    }

    /// Takes over a configuration: what is kept for workflows that keep nothing any more is thrown away.
    pub fn deploy(&self, snapshot: &Snapshot) {
        self.shelf.lock().resize(snapshot.server.cache_max_bytes);
        self.throw_away(|kept| snapshot.workflows.get(&kept.workflow).is_none_or(|workflow| workflow.cache.is_none()));
    }

    /// Looks for the answer to a call.
    pub fn look(&self, call: &Protected, metrics: &Metrics, now: UnixMs) -> Looked {
        let Some((workflow, rule)) =
            call.call().target.workflow().and_then(|workflow| Some((workflow, workflow.cache.as_ref()?)))
        else {
            return Looked::Off;
        };
        let looked = match request::name(call, rule, &self.pepper) {
            Err(passed) => Looked::Passed(passed),
            Ok(name) => match self.shelf.lock().find(&name, now) {
                Some(kept) => Looked::Found(kept),
                None => Looked::Nothing(Box::new(Keeping::new(name, workflow.name.clone(), rule))),
            },
        };
        let outcome = match &looked {
            Looked::Off => return looked,
            Looked::Passed(_) => "pass",
            // Counted where it is known whether something is near.
            Looked::Nothing(_) if rule.near.is_some() => return looked,
            Looked::Nothing(_) => "miss",
            Looked::Found(_) => "hit",
        };
        metrics.cache_lookups.get_or_create(&CacheLabels { workflow: Label(workflow.name.clone()), outcome }).inc();
        looked
    }

    /// The answer of this name, if it is still kept.
    pub fn kept(&self, name: &Name, now: UnixMs) -> Option<Arc<Kept>> {
        self.shelf.lock().find(name, now)
    }

    /// Puts an answer where calls like it find it, if it is one to be given again: under which name.
    pub fn keep(
        &self,
        keeping: Keeping,
        record: &Record,
        seen: &Seen,
        lane: Option<(LaneName, Class)>,
        now: UnixMs,
    ) -> Option<Name> {
        let (name, kept) = keeping.into_kept(record, seen, record.intent.attempt.call, lane, now)?;
        self.put(name, kept, now);
        Some(name)
    }

    /// Puts an answer in its place.
    pub fn put(&self, name: Name, kept: Kept, now: UnixMs) {
        self.shelf.lock().put(name, kept, now);
    }

    /// Throws away what is kept for a workflow, or everything; how many answers that were.
    pub fn purge(&self, workflow: Option<&WorkflowName>) -> u64 {
        self.throw_away(|kept| workflow.is_none_or(|workflow| kept.workflow == *workflow))
    }

    /// Throws away what was answered to keys that may not ask any more.
    pub fn forget_keys(&self, gone: impl Fn(&KeyId) -> bool) {
        self.throw_away(|kept| gone(&kept.key));
    }

    fn throw_away(&self, unwanted: impl Fn(&Kept) -> bool) -> u64 {
        let mut shelf = self.shelf.lock();
        let gone = shelf.throw_away(unwanted);
        if gone > 0 {
            self.near.forget(|name| shelf.has(name));
        }
        gone
    }

    /// What is kept, of each workflow, and what became of the rest.
    pub fn totals(&self, now: UnixMs) -> Totals {
        self.shelf.lock().totals(now)
    }
}
