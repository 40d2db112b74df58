//! Waiting out a moment in which nobody can be asked: every model is behind an open breaker or a limit, so that going elsewhere helps
//! nothing and patience does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use routing::RetryPolicy;
use routing::backoff::Chance;
use tokio::time::Instant;

use crate::dataplane::Gateway;
use crate::refusal::Refusal;
use crate::reply::Leaves;
use crate::trail::Trail;

/// The shortest first wait, milliseconds: asking more often tells nothing new. Each further one is at least twice as long, so that a
/// call asks a handful of times, not in a circle.
const LEAST_MS: u64 = 100;

/// How long to wait where somebody may be free in `until_ms`; nothing where that is longer than the call still waits. A quarter of
/// what is left of its time stays for the attempt.
fn wait_ms(until_ms: u64, least_ms: u64, spread_ms: u64, patience_left_ms: u64, left_ms: u64) -> Option<u64> {
    let wait_ms = until_ms.max(least_ms).saturating_add(spread_ms);
    (wait_ms <= patience_left_ms && wait_ms <= left_ms - left_ms / 4).then_some(wait_ms)
}

/// A call that nobody can be asked for now.
pub(crate) struct Stranded {
    /// How persistent it is.
    pub policy: RetryPolicy,
    /// When its answer must have ended.
    pub deadline: Instant,
    /// Whether its workflow is of the most critical kind.
    pub is_most_critical: bool,
    /// How long it has waited so already, milliseconds.
    pub waited_ms: u64,
    /// How many times.
    pub waits: u32,
    /// Decides the random part of its wait.
    pub seed: u64,
}

/// Waits until somebody may be free again, and says for how long it did, milliseconds. Nothing where the call is not to wait for that.
pub(crate) async fn wait_out(
    gateway: &Gateway,
    call: Stranded,
    until_ms: u64,
    client: &mut impl Leaves,
    trail: &mut Trail,
) -> Result<Option<u64>, Refusal> {
    if gateway.draining.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let left = call.deadline.saturating_duration_since(Instant::now());
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    // Those who wait for the same model should not all come at the same moment.
    let spread_ms = Chance::new(call.seed ^ call.waited_ms).below(call.policy.base_ms.saturating_add(1));
    let patience_left_ms = call.policy.wait_out_ms.saturating_sub(call.waited_ms);
    let least_ms = LEAST_MS.saturating_mul(1 << call.waits.min(16));
    let Some(wait_ms) = wait_ms(until_ms, least_ms, spread_ms, patience_left_ms, left_ms) else { return Ok(None) };
    let Some(_place) = gateway.waiting_room.enter(call.is_most_critical) else { return Ok(None) };
    if call.waited_ms == 0 {
        gateway.metrics.waited_out.inc();
    }
    trail.note("attempt", format!("nobody can be asked now: waited {wait_ms} ms"));
    tokio::select! {
        biased;
        () = client.gone() => Err(Refusal::ClientGone),
        () = tokio::time::sleep(Duration::from_millis(wait_ms)) => Ok(Some(wait_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_before_patience_and_leaves_time_for_the_attempt() {
        assert_eq!(wait_ms(5_000, 100, 20, 20_000, 60_000), Some(5_020));
        assert_eq!(wait_ms(0, 100, 0, 20_000, 60_000), Some(100), "not in a circle");
        assert_eq!(wait_ms(0, 1_600, 0, 20_000, 60_000), Some(1_600), "less and less often");
        assert_eq!(wait_ms(20_000, 100, 1, 20_000, 60_000), None, "longer than it waits in all");
        assert_eq!(wait_ms(5_000, 100, 0, 20_000, 6_000), None, "a second is too little for an answer");
        assert_eq!(wait_ms(100, 100, 0, 0, 60_000), None, "switched off");
    }
}
