//! The gateway's slices of shared budgets and its sessions, as the jobs that lease and keep them see them.

use std::sync::Arc;

use control::leases::Slices;
use control::sessions_spent::Sessions;
use domain::UnixMs;
use gateway::dataplane::Gateway;
use ledger::lease::Use;
use ledger::sessions::SessionSpent;
use ledger::{Amount, BudgetId, Slice};

/// The sessions of a gateway, with the name of its instance.
pub struct GatewaySessions(pub Arc<Gateway>, pub String);

impl Sessions for GatewaySessions {
    fn any(&self) -> bool {
        self.0.budgets.any_session()
    }

    fn changed(&self) -> Vec<SessionSpent> {
        self.0.budgets.sessions_changed(&self.1)
    }

    fn kept(&self, spent: &[SessionSpent]) {
        self.0.budgets.sessions_kept(spent);
    }

    fn recall(&self, spent: Vec<SessionSpent>) {
        self.0.budgets.recall_sessions(spent);
    }
}

/// The slices of a gateway.
pub struct GatewaySlices(pub Arc<Gateway>);

impl Slices for GatewaySlices {
    fn uses(&self) -> Vec<Use> {
        self.0.budgets.uses()
    }

    fn let_go(&self, budget: &BudgetId, spare: Amount) -> Option<Use> {
        self.0.budgets.let_go(budget, spare)
    }

    fn set(&self, budget: &BudgetId, window_start: UnixMs, slice: Slice) -> bool {
        self.0.budgets.set_slice(budget, window_start, slice)
    }
}
