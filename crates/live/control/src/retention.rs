//! Forgets records after the configured time and captured bodies when theirs is up.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use domain::UnixMs;
use store::Pruned;
use store::rollup::start_of;

use crate::archive::{ArchiveError, archive};
use crate::control::Control;

/// How often, milliseconds.
const EVERY_MS: u64 = 3_600_000;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Forgets what is old by the running configuration, once. Where there is an archive, whole days go there first.
pub async fn prune(control: &Control) -> Result<Pruned, ArchiveError> {
    let (snapshot, _) = control.running().snapshot();
    let now = control.now();
    let before = now - u64::from(snapshot.server.record_retention_days) * DAY_MS;
    let Some(folder) = &snapshot.server.record_archive else { return Ok(control.store().prune(before, now).await?) };
    let before = UnixMs(start_of(before, store::rollup::DAY_MS));
    let upto = archive(control.store(), Path::new(folder), before).await?;
    Ok(control.store().prune_upto(before, now, upto).await?)
}

/// Does so at once and then every hour until `stop` says so.
pub async fn run(control: Control, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(EVERY_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        match prune(&control).await {
            Ok(pruned) if pruned == Pruned::default() => {}
            Ok(Pruned { attempts, calls, captures }) => {
                tracing::info!(attempts, calls, captures, "what was older than its retention is erased");
            }
            Err(error) => {
                tracing::error!(%error, "what is older than its retention could not be erased; next try in an hour")
            }
        }
    }
}
