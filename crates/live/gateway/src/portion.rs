//! How long one attempt may take whose answer comes as a whole, so that a provider that stalls leaves time for another one.

use config::Timeouts;
use routing::{Candidate, Route, portion_ms};
use tokio::time::Instant;
use wire::Operation;

use crate::clock;
use crate::deployed::Deployed;

/// The deadlines of an attempt of which nothing is heard before its end. Its first content is all of its content: it is waited for
/// to the call's end, or, where another model could be asked now, for this attempt's portion of what the call has left.
pub(crate) fn of_whole(
    deployed: &Deployed,
    route: &Route,
    candidate: &Candidate,
    timeouts: Timeouts,
    deadline: Instant,
) -> Timeouts {
    let now = clock::now();
    let is_free = |model: usize| deployed.slots[model].health.lock().is_free(now);
    if !route.others().any(is_free) {
        return Timeouts { first_token_ms: timeouts.total_ms, ..timeouts };
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let slowest_ms = deployed.slots[candidate.model].health.lock().slowest_ms(now);
    Timeouts { first_token_ms: portion_ms(left_ms, slowest_ms), ..timeouts }
}

/// Whether nothing is heard of an answer before its end. Of pictures that come one by one the first may take as long as all.
pub(crate) fn is_whole(operation: Operation, stream: bool) -> bool {
    operation != Operation::Realtime && (!stream || operation.makes_pictures())
}
