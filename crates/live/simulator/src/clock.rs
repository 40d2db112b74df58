//! The time, from the one place that asks for it.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::UnixMs;

/// Now.
pub fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
