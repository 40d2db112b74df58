//! Budgets on one instance: what is held and settled per account, and the bounded wait when money is only reserved, or this
//! instance's slice of a shared budget is used up. The arithmetic is `ledger::hold`; here are the locks and the waiting.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::{KeyId, NanoUsd, SessionId, UnitName, UnixMs, WorkflowName};
use ledger::budget::{Amount, Approval, BudgetId, Measure, Scope, Spend, Terms};
use ledger::hold::{Account, AccountView, Gate, Short, Slice, hold_all};
use ledger::window::Window;
use parking_lot::{Mutex, MutexGuard, RwLock};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::clock;

/// How long a call waits for money that others have only reserved, or for a larger slice, milliseconds.
pub const HOLD_WAIT_MS: u64 = 200;

/// Accounts that a call usually falls under: kept without allocating.
const FEW: usize = 4;

/// A limit that must hold, with what history says was already spent in its window.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Which.
    pub budget: BudgetId,
    /// How much, and what happens near it.
    pub terms: Terms,
    /// What was approved beyond it.
    pub approval: Option<Approval>,
    /// Of a unit: the workflows that belong to it.
    pub members: Vec<WorkflowName>,
    /// Booked so far, and when; only looked at when the account is new.
    pub settled: Vec<(UnixMs, Amount)>,
}

impl Limit {
    /// A hard limit on money of which nothing is spent yet.
    pub fn hard(scope: Scope, limit: NanoUsd, window: Window) -> Limit {
        Limit {
            budget: BudgetId { scope, window, measure: Measure::Usd },
            terms: Terms::hard(limit.into()),
            approval: None,
            members: Vec::new(),
            settled: Vec::new(),
        }
    }
}

/// Whose budgets a call falls under, besides the organisation's and that of its workflow's unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scopes {
    /// Its workflow.
    pub workflow: Option<WorkflowName>,
    /// Its key.
    pub key: KeyId,
    /// Its session, where the client names one.
    pub session: Option<SessionId>,
}

/// A slice that is used up: asked of whoever shares a budget out among instances. The answer is [`Budgets::set_slice`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Of which budget.
    pub budget: BudgetId,
    /// Of which of its windows.
    pub window_start: UnixMs,
    /// How much more a call needs than the slice has.
    pub more: Amount,
}

/// Every budget account.
#[derive(Default)]
pub struct Budgets {
    table: RwLock<Table>,
    freed: Notify,
    lessor: OnceLock<mpsc::Sender<Wanted>>,
}

/// The accounts by whose they are.
#[derive(Default)]
struct Table {
    /// Grows whenever an account comes or goes.
    generation: u64,
    organisation: Entries,
    units: FxHashMap<UnitName, Entries>,
    workflows: FxHashMap<WorkflowName, Entries>,
    keys: FxHashMap<KeyId, Entries>,
    /// For each workflow that has a budget or belongs to a unit with one: the organisation's, the unit's, its own.
    paths: FxHashMap<WorkflowName, Entries>,
}

/// Those of one scope, in the order of their names.
type Entries = SmallVec<[Entry; 1]>;

#[derive(Clone)]
struct Entry {
    budget: Arc<BudgetId>,
    account: Arc<Mutex<Account>>,
}

/// What is reserved for an attempt, and whose. It must be settled or released; dropping it would leave it held for ever, so
/// nothing here does that silently: both ways out consume it, and it cannot be cloned.
#[must_use]
#[derive(Debug)]
pub struct Held {
    spend: Spend,
    at: UnixMs,
    scopes: Scopes,
    generation: u64,
    /// The very accounts it was taken from.
    taken: SmallVec<[(Arc<Mutex<Account>>, Measure); FEW]>,
}

/// A budget that refused.
#[derive(Clone, Debug)]
pub struct Spent {
    /// Which.
    pub budget: BudgetId,
    /// What stood in the way.
    pub short: Short,
}

/// Under what kinds of budgets a call falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Under {
    /// Any at all.
    pub any: bool,
    /// One that refuses.
    pub hard: bool,
    /// One that refuses by money, so that what has no price cannot pass.
    pub hard_money: bool,
}

impl Held {
    /// What is reserved.
    pub fn spend(&self) -> Spend {
        self.spend
    }
}

impl Budgets {
    /// Makes the accounts match these limits. Known accounts keep what calls under way hold.
    pub fn set(&self, limits: Vec<Limit>, now: UnixMs) {
        let mut table = self.table.write();
        let mut before = std::mem::take(&mut *table).into_entries();
        table.generation = before.generation + 1;
        // Whoever stays keeps its account, before one whose window has changed looks for one to take over.
        let known: Vec<Option<Entry>> = limits.iter().map(|limit| before.take(&limit.budget)).collect();
        let mut members: Vec<(WorkflowName, UnitName)> = Vec::new();
        for (Limit { budget, terms, approval, members: of_unit, settled }, known) in limits.into_iter().zip(known) {
            if let Scope::Unit(unit) = &budget.scope {
                members.extend(of_unit.into_iter().map(|workflow| (workflow, unit.clone())));
            }
            let entry = match known {
                Some(known) => {
                    known.account.lock().set_terms(terms);
                    known
                }
                None => {
                    let account = match before.take_other_window(&budget) {
                        Some(account) => {
                            account.lock().rewindow(terms, budget.window.clone(), now);
                            account
                        }
                        None => {
                            let account = Account::new(budget.measure, terms, budget.window.clone(), now);
                            Arc::new(Mutex::new(account))
                        }
                    };
                    let mut open = account.lock();
                    settled.into_iter().for_each(|(at, amount)| open.book(amount, at, now));
                    drop(open);
                    Entry { budget: Arc::new(budget), account }
                }
            };
            entry.account.lock().approve(approval);
            table.insert(entry);
        }
        table.lay_paths(&members);
        drop(table);
        self.freed.notify_waiters();
    }

    /// Whoever shares budgets out among instances hears of every slice that is used up. The channel is bounded; what does not
    /// fit is asked again by the next call. Set once.
    pub fn ask_for_slices(&self, lessor: mpsc::Sender<Wanted>) {
        // A second one would take nothing from the first.
        let _ = self.lessor.set(lessor);
    }

    /// The slice this instance has of a budget from now on, if that is still in the window meant. Whether it was taken over.
    pub fn set_slice(&self, budget: &BudgetId, window_start: UnixMs, slice: Slice) -> bool {
        let now = clock::now();
        let table = self.table.read();
        let Some(entry) = table.of(&budget.scope).and_then(|entries| entries.iter().find(|one| *one.budget == *budget))
        else {
            return false;
        };
        let mut account = entry.account.lock();
        let meant = account.window_start(now) == window_start || budget.window.bounds(now).1.is_none();
        if meant {
            account.set_slice(Some(slice));
        }
        drop(account);
        drop(table);
        self.freed.notify_waiters();
        meant
    }

    /// Under what kinds of budgets a call falls.
    pub fn under(&self, scopes: &Scopes) -> Under {
        let table = self.table.read();
        let mut under = Under::default();
        for entry in table.entries_of(scopes) {
            under.any = true;
            let hard = entry.account.lock().terms().is_hard();
            under.hard |= hard;
            under.hard_money |= hard && entry.budget.measure == Measure::Usd;
        }
        under
    }

    /// The widest scope whose budget of money refuses.
    pub fn hard_money(&self, scopes: &Scopes) -> Option<Scope> {
        let table = self.table.read();
        let mut hard = table
            .entries_of(scopes)
            .filter(|entry| entry.budget.measure == Measure::Usd && entry.account.lock().terms().is_hard());
        hard.next().map(|entry| entry.budget.scope.clone())
    }

    /// Whether this budget has an account.
    pub fn has(&self, budget: &BudgetId) -> bool {
        let table = self.table.read();
        table.of(&budget.scope).is_some_and(|entries| entries.iter().any(|entry| *entry.budget == *budget))
    }

    /// Reserves `spend` on every budget it falls under, or on none. Where it is not spent but only reserved by others, or where
    /// only this instance's slice is used up, waits up to [`HOLD_WAIT_MS`] for it.
    pub async fn hold(&self, scopes: Scopes, spend: Spend) -> Result<Held, Spent> {
        let mut until: Option<Instant> = None;
        let mut last_try = false;
        loop {
            // Enabled before the try, so that money freed in between is not missed; the first try goes without.
            let freed = until.map(|_| self.freed.notified());
            let mut freed = std::pin::pin!(freed);
            if let Some(freed) = freed.as_mut().as_pin_mut() {
                freed.enable();
            }
            match self.try_hold(&scopes, spend) {
                Ok((taken, generation, at)) => return Ok(Held { spend, at, scopes, generation, taken }),
                Err(spent) if spent.may_pass_soon() && !last_try => match (until, freed.as_pin_mut()) {
                    (Some(until), Some(freed)) => last_try = tokio::time::timeout_at(until, freed).await.is_err(),
                    _ => until = Some(Instant::now() + Duration::from_millis(HOLD_WAIT_MS)),
                },
                Err(spent) => return Err(spent),
            }
        }
    }

    /// Notes whose money an attempt will cost that no budget limits now, so that a budget which appears meanwhile has it.
    pub fn note(&self, scopes: Scopes) -> Held {
        let generation = self.table.read().generation;
        // What no account was asked for is looked up again when it is settled.
        Held {
            spend: Spend::ZERO,
            at: clock::now(),
            scopes,
            generation: generation.wrapping_sub(1),
            taken: SmallVec::new(),
        }
    }

    #[expect(clippy::type_complexity, reason = "three things for the one caller above")]
    fn try_hold(
        &self,
        scopes: &Scopes,
        spend: Spend,
    ) -> Result<(SmallVec<[(Arc<Mutex<Account>>, Measure); FEW]>, u64, UnixMs), Spent> {
        let now = clock::now();
        let table = self.table.read();
        // Every call locks its accounts in the order of their names, so that no two wait for each other.
        let mut open: SmallVec<[(MutexGuard<'_, Account>, Amount); FEW]> = SmallVec::new();
        for entry in table.entries_of(scopes) {
            open.push((entry.account.lock(), spend.of(entry.budget.measure)));
        }
        let held = hold_all(&mut open, now);
        let asked = held.as_ref().err().map(|(place, short)| {
            let window_start = open[*place].0.window_start(now);
            (short.gate == Gate::Slice).then_some(window_start)
        });
        drop(open);
        match held {
            Ok(()) => {
                let taken = table.entries_of(scopes).map(|entry| (entry.account.clone(), entry.budget.measure));
                Ok((taken.collect(), table.generation, now))
            }
            Err((place, short)) => {
                let entry = table.entries_of(scopes).nth(place).expect("the same table has the same entries");
                let budget = BudgetId::clone(&entry.budget);
                if let (Some(lessor), Some(Some(window_start))) = (self.lessor.get(), asked) {
                    let _ = lessor.try_send(Wanted { budget: budget.clone(), window_start, more: short.asked });
                }
                Err(Spent { budget, short })
            }
        }
    }

    /// Books what it cost and frees the rest. Returns the money billed beyond what had been held.
    pub fn settle(&self, held: Held, actual: Spend) -> NanoUsd {
        let now = clock::now();
        let Held { spend, at, scopes, generation, taken } = held;
        let mut overrun = NanoUsd::ZERO;
        for (account, measure) in &taken {
            let settled = account.lock().settle(spend.of(*measure), actual.of(*measure), at, now);
            if *measure == Measure::Usd {
                overrun = overrun.max(NanoUsd(settled.overrun.0));
            }
        }
        let table = self.table.read();
        if table.generation != generation {
            // A budget that appeared, or was made anew, while the attempt was under way.
            for entry in table.entries_of(&scopes) {
                if !taken.iter().any(|(account, _)| Arc::ptr_eq(account, &entry.account)) {
                    entry.account.lock().book(actual.of(entry.budget.measure), at, now);
                }
            }
        }
        drop(table);
        self.freed.notify_waiters();
        overrun
    }

    /// Frees all of it: nothing was spent.
    pub fn release(&self, held: Held) {
        self.settle(held, Spend::ZERO);
    }

    /// Replaces the upper bound that an attempt of these scopes was booked with at `at` by what it cost.
    pub fn correct(&self, scopes: &Scopes, bound: Spend, actual: Spend, at: UnixMs) {
        let now = clock::now();
        let table = self.table.read();
        for entry in table.entries_of(scopes) {
            let measure = entry.budget.measure;
            entry.account.lock().correct(bound.of(measure), actual.of(measure), at, now);
        }
        drop(table);
        self.freed.notify_waiters();
    }

    /// Every account as it stands, from the widest scope to the narrowest.
    pub fn view(&self) -> Vec<(BudgetId, AccountView)> {
        let now = clock::now();
        let table = self.table.read();
        let mut views: Vec<_> =
            table.all().map(|entry| (BudgetId::clone(&entry.budget), entry.account.lock().view(now))).collect();
        views.sort_by(|one, other| one.0.cmp(&other.0));
        views
    }
}

impl Table {
    fn of(&self, scope: &Scope) -> Option<&Entries> {
        match scope {
            Scope::Organisation => Some(&self.organisation),
            Scope::Unit(name) => self.units.get(name),
            Scope::Workflow(name) => self.workflows.get(name),
            Scope::Key(id) => self.keys.get(id),
            Scope::Session { .. } => None,
        }
    }

    /// The accounts a call falls under, from the widest scope to the narrowest: in the order of their names.
    fn entries_of<'t>(&'t self, scopes: &'t Scopes) -> impl Iterator<Item = &'t Entry> {
        let path = scopes.workflow.as_ref().and_then(|name| self.paths.get(name)).unwrap_or(&self.organisation);
        path.iter().chain(self.keys.get(&scopes.key).into_iter().flatten())
    }

    fn lay_paths(&mut self, members: &[(WorkflowName, UnitName)]) {
        let mut units: FxHashMap<&WorkflowName, &UnitName> = FxHashMap::default();
        units.extend(members.iter().map(|(workflow, unit)| (workflow, unit)));
        let workflows = self.workflows.keys().chain(units.keys().copied());
        let path = |workflow: &WorkflowName| {
            let unit = units.get(workflow).and_then(|unit| self.units.get(*unit));
            let own = self.workflows.get(workflow);
            let entries = self.organisation.iter().chain(unit.into_iter().flatten()).chain(own.into_iter().flatten());
            (workflow.clone(), entries.cloned().collect())
        };
        self.paths = workflows.map(path).collect();
    }

    fn all(&self) -> impl Iterator<Item = &Entry> {
        let named = self.units.values().chain(self.workflows.values()).chain(self.keys.values());
        std::iter::once(&self.organisation).chain(named).flatten()
    }

    fn insert(&mut self, entry: Entry) {
        let entries = match &entry.budget.scope {
            Scope::Organisation => &mut self.organisation,
            Scope::Unit(name) => self.units.entry(name.clone()).or_default(),
            Scope::Workflow(name) => self.workflows.entry(name.clone()).or_default(),
            Scope::Key(id) => self.keys.entry(id.clone()).or_default(),
            Scope::Session { .. } => return,
        };
        let place = entries.partition_point(|other| other.budget < entry.budget);
        entries.insert(place, entry);
    }

    fn into_entries(self) -> Before {
        Before { generation: self.generation, entries: self.all().cloned().collect() }
    }
}

/// The accounts before a change, to be taken over.
struct Before {
    generation: u64,
    entries: Vec<Entry>,
}

impl Before {
    fn take(&mut self, budget: &BudgetId) -> Option<Entry> {
        let place = self.entries.iter().position(|entry| *entry.budget == *budget)?;
        Some(self.entries.swap_remove(place))
    }

    /// The account of the same scope in the same measure that counts over a window nobody asks for any more.
    fn take_other_window(&mut self, budget: &BudgetId) -> Option<Arc<Mutex<Account>>> {
        let alike = |entry: &Entry| entry.budget.scope == budget.scope && entry.budget.measure == budget.measure;
        let place = self.entries.iter().position(alike)?;
        Some(self.entries.swap_remove(place).account)
    }
}

impl Spent {
    /// Whether it may pass in a moment: when calls in flight give back what they reserved, or a larger slice comes.
    pub fn may_pass_soon(&self) -> bool {
        self.short.only_reserved || self.short.gate == Gate::Slice
    }
}
