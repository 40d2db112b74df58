//! The gateway's slices of shared budgets, as the job that leases them sees them.

use std::sync::Arc;

use control::leases::Slices;
use domain::UnixMs;
use gateway::dataplane::Gateway;
use ledger::lease::Use;
use ledger::{Amount, BudgetId, Slice};

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
