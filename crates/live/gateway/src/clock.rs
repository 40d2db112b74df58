//! What time it is: the one place of the gateway that asks.
//!
//! By the wall it is what the system says. In a drill it is what the drill began with plus what Tokio's clock says has passed
//! since, so that a paused clock moves both.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::UnixMs;
use tokio::time::Instant;

/// Whether any thread of this process has a time of its own. Until then asking costs what it did.
static ANY_VIRTUAL: AtomicBool = AtomicBool::new(false);

thread_local! {
    static BEGAN: Cell<Option<(UnixMs, Instant)>> = const { Cell::new(None) };
}

/// Wall-clock time now.
pub fn now() -> UnixMs {
    if ANY_VIRTUAL.load(Ordering::Relaxed)
        && let Some((start, began)) = BEGAN.get()
    {
        return start + u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// From here on this thread's wall clock begins at `start` and moves with Tokio's, until what is returned is dropped.
pub fn begin_at(start: UnixMs) -> Virtual {
    BEGAN.set(Some((start, Instant::now())));
    ANY_VIRTUAL.store(true, Ordering::Relaxed);
    Virtual
}

/// A thread's time of its own, for as long as it is kept.
#[must_use]
pub struct Virtual;

impl Drop for Virtual {
    fn drop(&mut self) {
        BEGAN.set(None);
    }
}
