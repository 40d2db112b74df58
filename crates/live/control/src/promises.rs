//! Keeps what lanes kept of their promises, so that an instance that is started again knows its budgets of errors. Killed, it has
//! forgotten a minute at most.

use std::time::Duration;

use domain::UnixMs;
use routing::slo::{BUDGET_MS, HOUR_MS, MINUTE_MS};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::control::Control;
use crate::failure::ControlError;

/// How often, milliseconds.
const EVERY_MS: u64 = MINUTE_MS;

/// Minutes are looked back at for six hours and the hour in which these begin.
const MINUTES_KEPT_MS: u64 = 8 * HOUR_MS;

/// Writes down the buckets that may have changed since `from`, and forgets what is too old.
pub async fn keep(control: &Control, from: UnixMs) -> Result<(), ControlError> {
    let events = control.running().lane_events(from);
    if events.is_empty() {
        return Ok(());
    }
    let (store, now) = (control.store(), control.now());
    store.keep_lane_events(&events).await?;
    store.forget_lane_events(MINUTE_MS, now - MINUTES_KEPT_MS).await?;
    store.forget_lane_events(HOUR_MS, now - (BUDGET_MS + HOUR_MS)).await?;
    Ok(())
}

/// Does so every minute, and once more when `stop` says so.
pub async fn run(control: Control, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(EVERY_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kept_until = control.now();
    loop {
        let ends = tokio::select! {
            _ = ticks.tick() => false,
            _ = stop.wait_for(|stop| *stop) => true,
        };
        let now = control.now();
        // What was not written down last time is written with the rest.
        match keep(&control, kept_until).await {
            Ok(()) => kept_until = now,
            Err(error) => {
                tracing::error!(%error, "what lanes kept of their promises could not be written down; next try in a minute");
            }
        }
        if ends {
            return;
        }
    }
}
