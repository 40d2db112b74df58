//! Keeps what sessions with a budget have spent, so that a restart does not forget it, and tells each instance what the others
//! booked in its sessions. No call waits for this: what was booked in the last seconds of a killed process is not known to sessions,
//! and two instances together may spend what one of them books within such a stretch.

use std::sync::Arc;
use std::time::Duration;

use domain::UnixMs;
use ledger::sessions::SessionSpent;
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often it is kept and looked, milliseconds.
const EVERY_MS: u64 = 2_000;
/// How long a session is kept after it was last seen, milliseconds; as in the gateway.
const IDLE_MS: u64 = 24 * 3_600_000;
/// How often those are forgotten, in turns of [`EVERY_MS`]: every ten minutes.
const FORGET_EVERY: u32 = 300;
/// Rows read at once: every session the gateway remembers, in both measures.
const AT_ONCE: u32 = 2 * 65_536;

/// The sessions of the running gateway, named here and answered by the binary.
pub trait Sessions: Send + Sync {
    /// Whether any session has a budget.
    fn any(&self) -> bool;
    /// What this instance booked in sessions since it was last kept.
    fn changed(&self) -> Vec<SessionSpent>;
    /// Takes note that this is kept.
    fn kept(&self, spent: &[SessionSpent]);
    /// Hears what was booked in sessions: by other instances, or by this one before it was started.
    fn recall(&self, spent: Vec<SessionSpent>);
}

/// The job of one process.
pub struct SessionKeeper {
    store: Store,
    sessions: Arc<dyn Sessions>,
    now: Arc<dyn Fn() -> UnixMs + Send + Sync>,
    /// Up to which time of the database it was looked.
    seen: UnixMs,
    failing: bool,
}

impl SessionKeeper {
    /// Tells the gateway what is kept.
    pub async fn begin(
        store: Store,
        sessions: Arc<dyn Sessions>,
        now: Arc<dyn Fn() -> UnixMs + Send + Sync>,
    ) -> Result<SessionKeeper, StoreError> {
        store.forget_sessions(now() - IDLE_MS).await?;
        let (seen, spent) = store.sessions_since(UnixMs(0), AT_ONCE).await?;
        sessions.recall(spent);
        Ok(SessionKeeper { store, sessions, now, seen, failing: false })
    }

    /// Keeps and looks until `stop` says so, and once more then.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(Duration::from_millis(EVERY_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0u32;
        loop {
            let ends = tokio::select! {
                _ = ticks.tick() => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            turn = turn.wrapping_add(1);
            let done = self.turn(turn.is_multiple_of(FORGET_EVERY)).await;
            match done {
                Err(error) if !std::mem::replace(&mut self.failing, true) => {
                    tracing::warn!(%error, "what sessions have spent cannot be kept; it is tried again");
                }
                Ok(()) if std::mem::take(&mut self.failing) => tracing::info!("what sessions have spent is kept again"),
                Ok(()) | Err(_) => {}
            }
            if ends {
                return;
            }
        }
    }

    async fn turn(&mut self, forget: bool) -> Result<(), StoreError> {
        if !self.sessions.any() {
            return Ok(());
        }
        let changed = self.sessions.changed();
        if !changed.is_empty() {
            self.store.keep_sessions(&changed).await?;
            self.sessions.kept(&changed);
        }
        if self.store.is_shared() {
            let (seen, mut spent) = self.store.sessions_since(self.seen, AT_ONCE).await?;
            spent.retain(|one| one.instance != self.store.instance());
            self.sessions.recall(spent);
            self.seen = seen;
        }
        if forget {
            self.store.forget_sessions((self.now)() - IDLE_MS).await?;
        }
        Ok(())
    }
}
