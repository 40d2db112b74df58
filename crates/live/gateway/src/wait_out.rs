//! Waiting out a moment in which nobody can be asked: every model is behind an open breaker or a limit, so that going elsewhere helps
//! nothing and patience does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use routing::backoff::Chance;
use tokio::time::Instant;

use crate::refusal::Refusal;
use crate::reply::Leaves;
use crate::search::Search;
use crate::trail::Trail;

/// Calls that may wait so at one time in one process: each keeps its request in memory meanwhile. Only calls of the most critical kind
/// take the second half of the places.
const PLACES: u32 = 1_000;
/// The shortest wait, milliseconds: asking more often tells nothing new.
const LEAST_MS: u64 = 100;

/// Places for calls that wait until somebody can be asked: how many are taken.
#[derive(Debug, Default)]
pub struct WaitingRoom(AtomicU32);

/// One of them, given back when it is dropped.
struct Place<'a>(&'a WaitingRoom);

impl WaitingRoom {
    fn enter(&self, is_most_critical: bool) -> Option<Place<'_>> {
        let most = if is_most_critical { PLACES } else { PLACES / 2 };
        let one_more = |waiting| (waiting < most).then_some(waiting + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long to wait where somebody may be free in `until_ms`; nothing where that is longer than the call still waits. A quarter of
/// what is left of its time stays for the attempt.
fn wait_ms(until_ms: u64, spread_ms: u64, patience_left_ms: u64, left_ms: u64) -> Option<u64> {
    let wait_ms = until_ms.max(LEAST_MS).saturating_add(spread_ms);
    (wait_ms <= patience_left_ms && wait_ms <= left_ms - left_ms / 4).then_some(wait_ms)
}

/// Waits until somebody may be free again. False where the call is not to wait for that.
pub(crate) async fn wait_out(
    search: &mut Search<'_>,
    until_ms: u64,
    client: &mut impl Leaves,
    trail: &mut Trail,
) -> Result<bool, Refusal> {
    let (gateway, policy) = (search.gateway, search.policy());
    if gateway.draining.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let left = search.deadline.saturating_duration_since(Instant::now());
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    // Those who wait for the same model should not all come at the same moment.
    let spread_ms = Chance::new(search.seed ^ search.waited_out_ms).below(policy.base_ms.saturating_add(1));
    let patience_left_ms = policy.wait_out_ms.saturating_sub(search.waited_out_ms);
    let Some(wait_ms) = wait_ms(until_ms, spread_ms, patience_left_ms, left_ms) else { return Ok(false) };
    let Some(_place) = gateway.waiting_room.enter(search.criticality == Some(0)) else { return Ok(false) };
    if search.waited_out_ms == 0 {
        gateway.metrics.waited_out.inc();
    }
    search.waited_out_ms += wait_ms;
    trail.note("attempt", format!("nobody can be asked now: waited {wait_ms} ms"));
    tokio::select! {
        biased;
        () = client.gone() => Err(Refusal::ClientGone),
        () = tokio::time::sleep(Duration::from_millis(wait_ms)) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_before_patience_and_leaves_time_for_the_attempt() {
        assert_eq!(wait_ms(5_000, 20, 20_000, 60_000), Some(5_020));
        assert_eq!(wait_ms(0, 0, 20_000, 60_000), Some(LEAST_MS), "not in a circle");
        assert_eq!(wait_ms(20_000, 1, 20_000, 60_000), None, "longer than it waits in all");
        assert_eq!(wait_ms(5_000, 0, 20_000, 6_000), None, "a second is too little for an answer");
        assert_eq!(wait_ms(100, 0, 0, 60_000), None, "switched off");
    }

    #[test]
    fn the_last_places_are_for_the_most_critical_calls_and_each_is_given_back() {
        let room = WaitingRoom::default();
        let usual: Vec<_> = std::iter::from_fn(|| room.enter(false)).collect();
        let critical: Vec<_> = std::iter::from_fn(|| room.enter(true)).collect();
        assert_eq!((usual.len(), critical.len()), (500, 500));
        drop((usual, critical));
        assert!(room.enter(false).is_some());
    }
}
