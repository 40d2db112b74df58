//! The time, from the one place that asks for it. Where a thread was given a time of its own, it moves with Tokio's clock.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::UnixMs;
use tokio::time::Instant;

thread_local! {
    static BEGAN: Cell<Option<(UnixMs, Instant)>> = const { Cell::new(None) };
}

/// Now.
pub fn now() -> UnixMs {
    if let Some((start, began)) = BEGAN.get() {
        return start + u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// From here on this thread's wall clock begins at `start` and moves with Tokio's, which may be paused; for ever, or until it is
/// given another.
pub fn begin_at(start: UnixMs) {
    BEGAN.set(Some((start, Instant::now())));
}
