//! May a call be answered with what another was answered? The stage between protection and the first attempt, for workflows
//! with a `cache`.
//!
//! [`request`] says which requests are the same, and which are passed by. What is kept stands on the [`shelf`], bounded in bytes
//! and in time, in the memory of this instance alone: nothing of it reaches a disk or a log. [`keeping`] writes an answer down on
//! its way to the client, and [`replay`] gives it again. A hit asks no provider and holds no money; what it saved is a memo in the
//! call's end, priced as the attempt of then would be now.

pub mod keeping;
pub mod replay;
pub mod request;
pub mod shelf;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use config::Snapshot;
use domain::{Class, KeyId, LaneName, Record, UnixMs, WorkflowName};
use parking_lot::Mutex;
use wire::{Dialect, Seen};

use crate::dataplane::Gateway;
use crate::metrics::{CacheLabels, Metrics};
use crate::protect::Protected;
use crate::reply::Waiting;
use crate::trail::Trail;
use keeping::Keeping;
use request::Passed;
use shelf::{Kept, Shelf, Totals};

/// Answers a call with what is kept, where something is. Gives the client back where a model is to be asked.
pub async fn serve(
    gateway: &Gateway,
    call: &Protected,
    client: Waiting,
    errors: Dialect,
    trail: &mut Trail,
) -> Option<Waiting> {
    match gateway.cache.look(call, &gateway.metrics, call.call().call.at) {
        Looked::Off => {}
        Looked::Passed(why) => {
            trail.cache_told = Some("pass");
            trail.note("cache", format!("not asked: {}", why.as_str()));
        }
        Looked::Nothing(keeping) => (trail.cache_told, trail.keeping) = (Some("miss"), Some(keeping)),
        Looked::Found(kept) => {
            // Boxed, so that calls without a cache pay nothing for it.
            Box::pin(replay::replay(gateway, call, kept, client, errors, trail)).await;
            return None;
        }
    }
    Some(client)
}

/// The answers that may be given again.
pub struct Cache {
    shelf: Mutex<Shelf>,
    /// Keys the names of requests, so that a name tells nothing of what was asked, and nobody can choose one.
    pepper: [u8; 32],
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
        Cache { shelf: Mutex::new(Shelf::new(snapshot.server.cache_max_bytes)), pepper }
    }

    /// Takes over a configuration: what is kept for workflows that keep nothing any more is thrown away.
    pub fn deploy(&self, snapshot: &Snapshot) {
        let mut shelf = self.shelf.lock();
        shelf.resize(snapshot.server.cache_max_bytes);
        shelf.throw_away(|kept| snapshot.workflows.get(&kept.workflow).is_none_or(|workflow| workflow.cache.is_none()));
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
            Looked::Nothing(_) => "miss",
            Looked::Found(_) => "hit",
        };
        metrics.cache_lookups.get_or_create(&CacheLabels { workflow: workflow.name.to_string(), outcome }).inc();
        looked
    }

    /// Puts an answer where calls like it find it, if it is one to be given again.
    pub fn keep(&self, keeping: Keeping, record: &Record, seen: &Seen, lane: Option<(LaneName, Class)>, now: UnixMs) {
        if let Some((name, kept)) = keeping.into_kept(record, seen, record.intent.attempt.call, lane, now) {
            self.shelf.lock().put(name, kept, now);
        }
    }

    /// Throws away what is kept for a workflow, or everything; how many answers that were.
    pub fn purge(&self, workflow: Option<&WorkflowName>) -> u64 {
        self.shelf.lock().throw_away(|kept| workflow.is_none_or(|workflow| kept.workflow == *workflow))
    }

    /// Throws away what was answered to keys that may not ask any more.
    pub fn forget_keys(&self, gone: impl Fn(&KeyId) -> bool) {
        self.shelf.lock().throw_away(|kept| gone(&kept.key));
    }

    /// What is kept, of each workflow, and what became of the rest.
    pub fn totals(&self, now: UnixMs) -> Totals {
        self.shelf.lock().totals(now)
    }
}
