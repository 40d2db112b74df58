//! This instance's slices of budgets that several share: how they are used, set and let go of.

use domain::UnixMs;
use ledger::hold::Slice;
use ledger::lease::Use;
use ledger::sessions::SessionSpent;
use ledger::{Amount, BudgetId};

use super::Budgets;
use super::entry::Entry;
use crate::clock;

impl Budgets {
    /// How every slice is used now.
    pub fn uses(&self) -> Vec<Use> {
        let now = clock::now();
        self.table.read().all().map(|entry| entry.used(now)).collect()
    }

    /// Lets go of what a slice has beyond what is used and `spare`. How it is used then; nothing where there is no such budget.
    pub fn let_go(&self, budget: &BudgetId, spare: Amount) -> Option<Use> {
        let now = clock::now();
        let entry = self.table.read().find(budget)?;
        let used = entry.used(now);
        if used.spare() <= spare {
            return Some(used);
        }
        let mut account = entry.account.lock();
        // Looked at again under the lock: a call may have come in between.
        let (settled, held) = account.used(now);
        let slice = account.slice().unwrap_or_default();
        let ceiling = slice.ceiling.min(settled.plus(held).plus(spare));
        account.set_slice(Some(Slice { ceiling, ..slice }));
        Some(Use { ceiling, settled, held, ..used })
    }
}

/// What sessions have spent, for whoever keeps it over a restart.
impl Budgets {
    /// Whether any session has a budget.
    pub fn any_session(&self) -> bool {
        self.table.read().sessions.any()
    }

    /// What the instance `own` booked in sessions since it was last kept.
    pub fn sessions_changed(&self, own: &str) -> Vec<SessionSpent> {
        self.table.read().sessions.changed(own, clock::now())
    }

    /// Takes note that this is kept.
    pub fn sessions_kept(&self, spent: &[SessionSpent]) {
        self.table.read().sessions.kept(spent);
    }

    /// Hears what was booked in sessions elsewhere, or before this process was started.
    pub fn recall_sessions(&self, spent: Vec<SessionSpent>) {
        self.table.read().sessions.recall(spent, clock::now());
    }
}

impl Entry {
    /// Nothing may be spent of a shared budget before a slice of it has come.
    pub(super) fn shared(&self) {
        let mut account = self.account.lock();
        let slice = account.slice().unwrap_or_default();
        account.set_slice(Some(slice));
    }

    fn used(&self, now: UnixMs) -> Use {
        let mut account = self.account.lock();
        let (settled, held) = account.used(now);
        let window_start = account.window_start(now);
        Use {
            budget: self.meta.budget.clone(),
            window_start,
            window_end: self.meta.budget.window.bounds(window_start).1,
            most: account.most(),
            // Where nothing refuses there is no slice to keep to, and others need not leave room.
            ceiling: account.slice().map_or(settled.plus(held), |slice| slice.ceiling),
            settled,
            held,
        }
    }
}
