//! One account with what belongs to it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ledger::budget::{BudgetId, Scope};
use ledger::hold::Account;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::limit::{Limit, Rule};

/// The accounts of one scope, in the order of their names.
pub(super) type Entries = SmallVec<[Entry; 1]>;

#[derive(Clone)]
pub(super) struct Entry {
    pub meta: Arc<Meta>,
    pub account: Arc<Mutex<Account>>,
}

/// What of an account does not change while calls are under way.
pub(super) struct Meta {
    pub budget: BudgetId,
    pub rule: Rule,
    /// Whether it counts at once what is taken of it.
    pub is_rate: bool,
    /// How many of its marks were reached since it was made.
    pub reached: AtomicU64,
}

impl Entry {
    /// An account under these terms.
    pub fn new(limit: Limit, account: Arc<Mutex<Account>>) -> Entry {
        let mut open = account.lock();
        open.set_terms(limit.terms);
        open.approve(limit.approval);
        open.set_marks(limit.rule.notices.iter().map(|notice| notice.amount));
        drop(open);
        let is_rate = limit.budget.is_rate();
        let meta = Meta { budget: limit.budget, rule: limit.rule, is_rate, reached: AtomicU64::new(0) };
        Entry { meta: Arc::new(meta), account }
    }

    /// Whether it limits what is sent to a model.
    pub fn is_of_model(&self) -> bool {
        matches!(self.meta.budget.scope, Scope::Model(_))
    }
}
