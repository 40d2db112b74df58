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

/// Money reserved for an attempt. It must be settled or released; dropping it would leave it held for ever, so nothing
/// here does that silently: `#[must_use]`, and both ways out consume it.
#[must_use]
#[derive(Debug)]
pub struct Held {
    amount: NanoUsd,
    at: UnixMs,
    scopes: [Option<Scope>; 2],
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
    /// Makes the accounts match these limits. Known accounts keep what they hold and have booked.
    pub fn set(&self, limits: Vec<Limit>, now: UnixMs) {
        let mut accounts = self.accounts.write();
        let mut next = FxHashMap::default();
        for Limit { scope, limit, window, settled } in limits {
            let entry = match accounts.remove(&scope) {
                Some(known) if known.window == window => {
                    known.account.lock().set_limit(limit);
                    known
                }
                _ => {
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
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Enabled before the try, so that money freed in between is not missed.
            freed.as_mut().enable();
            let now = clock::now();
            match self.try_hold(&scopes, amount, now) {
                Ok(()) => return Ok(Held { amount, at: now, scopes }),
                Err(spent) if spent.only_reserved() => {
                    if tokio::time::timeout_at(until, freed).await.is_err() {
                        return Err(spent);
                    }
                }
                Err(spent) => return Err(spent),
            }
        }
    }

    fn try_hold(&self, scopes: &[Option<Scope>; 2], asked: NanoUsd, now: UnixMs) -> Result<(), Spent> {
        let accounts = self.accounts.read();
        let mut taken: [Option<&Entry>; 2] = [None, None];
        for (place, scope) in scopes.iter().enumerate() {
            let Some(scope) = scope else { continue };
            let Some(entry) = accounts.get(scope) else { continue };
            let held = entry.account.lock().hold(asked, now);
            if let Err(short) = held {
                for entry in taken.into_iter().flatten() {
                    entry.account.lock().release(asked);
                }
                return Err(Spent { scope: scope.clone(), asked, short });
            }
            taken[place] = Some(entry);
        }
        Ok(())
    }

    /// Books what it cost and frees the rest. Returns what was billed beyond what had been held, over all scopes.
    pub fn settle(&self, held: Held, actual: NanoUsd) -> NanoUsd {
        let now = clock::now();
        let accounts = self.accounts.read();
        let mut overrun = NanoUsd::ZERO;
        for entry in held.scopes.iter().flatten().filter_map(|scope| accounts.get(scope)) {
            overrun = overrun.max(entry.account.lock().settle(held.amount, actual, held.at, now).overrun);
        }
        drop(accounts);
        self.freed.notify_waiters();
        overrun
    }

    /// Frees all of it: nothing was spent.
    pub fn release(&self, held: Held) {
        self.settle(held, NanoUsd::ZERO);
    }

    /// Every account as it stands.
    pub fn view(&self) -> Vec<(Scope, Window, AccountView)> {
        let now = clock::now();
        let accounts = self.accounts.read();
        let mut views: Vec<_> = accounts
            .iter()
            .map(|(scope, entry)| (scope.clone(), entry.window, entry.account.lock().view(now)))
            .collect();
        views.sort_by(|a, b| a.0.to_string().cmp(&b.0.to_string()));
        views
    }
}

impl Spent {
    /// Whether the amount would fit if everything reserved were given back.
    fn only_reserved(&self) -> bool {
        self.short.settled.saturating_add(self.asked) <= self.short.limit
    }
}
