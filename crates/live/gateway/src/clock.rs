//! What time it is: the one place of the gateway that asks.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::UnixMs;

/// Wall-clock time now.
pub fn now() -> UnixMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
