//! Budgets on one instance: what is held and settled per scope, and the bounded wait when money is only reserved.
//! The arithmetic is `ledger::hold`; here are the locks and the waiting.

use std::sync::Arc;
use std::time::Duration;

use domain::{KeyId, NanoUsd, UnixMs, WorkflowName};
use ledger::hold::{Account, AccountView, Short};
use ledger::window::Window;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock;

/// How long a call waits for money that others have only reserved, milliseconds.
pub const HOLD_WAIT_MS: u64 = 200;

/// Whose money it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// A workflow's budget.
    Workflow(WorkflowName),
    /// A key's budget.
    Key(KeyId),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Workflow(name) => write!(f, "workflow `{name}`"),
            Scope::Key(id) => write!(f, "key `{id}`"),
        }
    }
}

/// A limit that must hold, with what history says was already spent in its window.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Whose.
    pub scope: Scope,
    /// How much.
    pub limit: NanoUsd,
    /// How often it starts anew.
    pub window: Window,
    /// Booked so far in the current window; only looked at when the account is new.
    pub settled: NanoUsd,
}

/// Every budget account.
#[derive(Default)]
pub struct Budgets {
    accounts: RwLock<FxHashMap<Scope, Entry>>,
    freed: Notify,
}

#[derive(Clone)]
struct Entry {
    window: Window,
    account: Arc<Mutex<Account>>,
}

/// Money reserved for an attempt, and whose. It must be settled or released; dropping it would leave it held for ever, so
/// nothing here does that silently: both ways out consume it, and it cannot be cloned.
#[must_use]
#[derive(Debug)]
pub struct Held {
    amount: NanoUsd,
    at: UnixMs,
    scopes: [Option<Scope>; 2],
    /// The very accounts it was taken from; a scope without one had no budget then.
    taken: [Option<Arc<Mutex<Account>>>; 2],
}

/// A budget that refused.
#[derive(Clone, Debug)]
pub struct Spent {
    /// Whose.
    pub scope: Scope,
    /// What was asked for.
    pub asked: NanoUsd,
    /// What stood in the way.
    pub short: Short,
}

impl Held {
    /// What is reserved.
    pub fn amount(&self) -> NanoUsd {
        self.amount
    }
}

impl Budgets {
    /// Makes the accounts match these limits. Known accounts keep what calls under way hold.
    pub fn set(&self, limits: Vec<Limit>, now: UnixMs) {
        let mut accounts = self.accounts.write();
        let mut next = FxHashMap::default();
        for Limit { scope, limit, window, settled } in limits {
            let entry = match accounts.remove(&scope) {
                Some(known) if known.window == window => {
                    known.account.lock().set_limit(limit);
                    known
                }
                Some(known) => {
                    known.account.lock().rewindow(limit, window, settled, now);
                    Entry { window, ..known }
                }
                None => {
                    let account = Account::new(limit, window, settled, window.bounds(now).0);
                    Entry { window, account: Arc::new(Mutex::new(account)) }
                }
            };
            next.insert(scope, entry);
        }
        *accounts = next;
        drop(accounts);
        self.freed.notify_waiters();
    }

    /// Whether a scope has a budget.
    pub fn limits(&self, scope: &Scope) -> bool {
        self.accounts.read().contains_key(scope)
    }

    /// Whether a scope has a budget with this window.
    pub fn has(&self, scope: &Scope, window: Window) -> bool {
        self.accounts.read().get(scope).is_some_and(|entry| entry.window == window)
    }

    /// Reserves `amount` on every scope that has a budget, or on none. Where the money is not spent but only reserved
    /// by others, waits up to [`HOLD_WAIT_MS`] for it.
    pub async fn hold(&self, scopes: [Option<Scope>; 2], amount: NanoUsd) -> Result<Held, Spent> {
        let until = Instant::now() + Duration::from_millis(HOLD_WAIT_MS);
        let mut last_try = false;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Enabled before the try, so that money freed in between is not missed.
            freed.as_mut().enable();
            let now = clock::now();
            match self.try_hold(&scopes, amount, now) {
                Ok(taken) => return Ok(Held { amount, at: now, scopes, taken }),
                Err(spent) if spent.only_reserved() && !last_try => {
                    last_try = tokio::time::timeout_at(until, freed).await.is_err();
                }
                Err(spent) => return Err(spent),
            }
        }
    }

    /// Notes whose money an attempt will cost that no budget limits now, so that a budget which appears meanwhile has it.
    pub fn note(&self, scopes: [Option<Scope>; 2]) -> Held {
        Held { amount: NanoUsd::ZERO, at: clock::now(), scopes, taken: [None, None] }
    }

    fn try_hold(
        &self,
        scopes: &[Option<Scope>; 2],
        asked: NanoUsd,
        now: UnixMs,
    ) -> Result<[Option<Arc<Mutex<Account>>>; 2], Spent> {
        let accounts = self.accounts.read();
        let mut taken: [Option<Arc<Mutex<Account>>>; 2] = [None, None];
        for (place, scope) in scopes.iter().enumerate() {
            let Some(scope) = scope else { continue };
            let Some(entry) = accounts.get(scope) else { continue };
            let held = entry.account.lock().hold(asked, now);
            if let Err(short) = held {
                for account in taken.into_iter().flatten() {
                    account.lock().release(asked);
                }
                // Nobody is woken for what was held for this moment only: waiters that wake each other without end would
                // stop everything. Who was refused because of it tries once more when its wait is over.
                return Err(Spent { scope: scope.clone(), asked, short });
            }
            taken[place] = Some(entry.account.clone());
        }
        Ok(taken)
    }

    /// Books what it cost and frees the rest. Returns what was billed beyond what had been held, the largest of all scopes.
    pub fn settle(&self, held: Held, actual: NanoUsd) -> NanoUsd {
        let now = clock::now();
        let Held { amount, at, scopes, taken } = held;
        let accounts = self.accounts.read();
        let mut overrun = NanoUsd::ZERO;
        for (scope, taken) in scopes.iter().zip(&taken) {
            let Some(scope) = scope else { continue };
            let current = accounts.get(scope).map(|entry| &entry.account);
            if let Some(account) = taken {
                overrun = overrun.max(account.lock().settle(amount, actual, at, now).overrun);
            }
            // A budget that appeared, or was made anew, while the attempt was under way.
            if let Some(current) = current.filter(|current| taken.as_ref().is_none_or(|old| !Arc::ptr_eq(old, current)))
            {
                current.lock().book(actual, at, now);
            }
        }
        drop(accounts);
        self.freed.notify_waiters();
        overrun
    }

    /// Frees all of it: nothing was spent.
    pub fn release(&self, held: Held) {
        self.settle(held, NanoUsd::ZERO);
    }

    /// Replaces the upper bound that an attempt of these scopes was booked with at `at` by what it cost.
    pub fn correct(&self, scopes: [Option<Scope>; 2], bound: NanoUsd, actual: NanoUsd, at: UnixMs) {
        let now = clock::now();
        let accounts = self.accounts.read();
        for entry in scopes.iter().flatten().filter_map(|scope| accounts.get(scope)) {
            entry.account.lock().correct(bound, actual, at, now);
        }
        drop(accounts);
        self.freed.notify_waiters();
    }

    /// Every account as it stands.
    pub fn view(&self) -> Vec<(Scope, Window, AccountView)> {
        let now = clock::now();
        let accounts = self.accounts.read();
        let mut views: Vec<_> = accounts
            .iter()
            .map(|(scope, entry)| (scope.clone(), entry.window, entry.account.lock().view(now)))
            .collect();
        views.sort_by_key(|(scope, _, _)| scope.to_string());
        views
    }
}

impl Spent {
    /// Whether the amount would fit if everything reserved were given back.
    pub fn only_reserved(&self) -> bool {
        self.short.settled.saturating_add(self.asked) <= self.short.limit
    }
}
