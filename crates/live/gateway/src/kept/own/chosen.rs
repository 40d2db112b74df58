//! Who runs a batch: the provider, as far as one has batches, or Freehold.

use std::sync::Arc;

use bytes::Bytes;
use config::BatchRunner;
use wire::Dialect;

use super::lines::{Found, found};
use crate::deployed::Deployed;
use crate::kept::allow::{Holder, family, target};
use crate::kept::asking::Asking;
use crate::keys::Key;
use crate::refusal::Refusal;
use crate::target::{names, unnamed};

/// Who runs the batches of what a name means.
pub fn runner(deployed: &Deployed, key: &Arc<Key>, name: &str) -> Result<BatchRunner, Refusal> {
    let target = target(&deployed.snapshot, key, name)?;
    if let Some(said) = target.workflow().and_then(|workflow| workflow.batches.runner) {
        return Ok(said);
    }
    let takes = |provider: &config::Provider| provider.quirks.keeps_files;
    match Holder::of_name(&deployed.snapshot, key, Some(name), family(Dialect::OpenAiChat), takes) {
        Ok(_) => Ok(BatchRunner::Provider),
        Err(Refusal::NoCandidate { .. }) => Ok(BatchRunner::Own),
        Err(refusal) => Err(refusal),
    }
}

/// The requests of a file for a batch that Freehold is to run. Nothing where it is the provider's, or where what is wrong with it is told
/// by whoever makes it ready for one.
pub fn own_requests(asking: &Asking<'_>, text: &Bytes) -> Result<Option<Vec<Found>>, Refusal> {
    let (deployed, arrival) = (asking.deployed, asking.arrival);
    let Ok(requests) = found(text) else { return Ok(None) };
    // One that names nothing is for the workflow of the header, or the only one.
    let Ok(usual) =
        unnamed(arrival.workflow.as_deref(), &arrival.key, &deployed.snapshot).map(Some).or_else(|refusal| {
            if requests.iter().all(|request| request.name.is_some()) { Ok(None) } else { Err(refusal) }
        })
    else {
        return Ok(None);
    };
    let mut names: Vec<&str> = requests.iter().filter_map(|one| one.name.as_deref().or(usual.as_deref())).collect();
    names.sort_unstable();
    names.dedup();
    let runners: Result<Vec<_>, Refusal> = names.iter().map(|name| runner(deployed, &arrival.key, name)).collect();
    let Ok(runners) = runners else {
        // What names nothing is told by the line it stands in, where Freehold would run it.
        let own = names.iter().any(|name| matches!(runner(deployed, &arrival.key, name), Ok(BatchRunner::Own)));
        return Ok(own.then_some(requests));
    };
    Ok(runners.iter().all(|runner| *runner == BatchRunner::Own).then_some(requests))
}

/// Whether what is listed are Freehold's own: those of a workflow whose batches it runs, or, where none is named, of a key that may use
/// one.
pub fn lists_own(asking: &Asking<'_>) -> bool {
    let (deployed, arrival) = (asking.deployed, asking.arrival);
    if arrival.dialect == Dialect::Anthropic {
        return false;
    }
    let is_own = |name: &str| matches!(runner(deployed, &arrival.key, name), Ok(BatchRunner::Own));
    match unnamed(arrival.workflow.as_deref(), &arrival.key, &deployed.snapshot) {
        Ok(name) => is_own(&name),
        Err(_) => names(&arrival.key, &deployed.snapshot).iter().any(|name| is_own(name)),
    }
}
