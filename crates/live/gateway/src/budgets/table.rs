//! The accounts by whose they are: which of them a call falls under, in the one order in which all calls lock them.

use std::sync::Arc;

use domain::{KeyId, ModelName, UnitName, UnixMs, WorkflowName};
use ledger::budget::{BudgetId, Scope};
use ledger::hold::Account;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::entry::{Entries, Entry};
use super::limit::{Limit, Scopes};
use super::sessions::Sessions;

#[derive(Default)]
pub(super) struct Table {
    /// Grows whenever an account comes or goes.
    pub generation: u64,
    organisation: Entries,
    units: FxHashMap<UnitName, Entries>,
    workflows: FxHashMap<WorkflowName, Entries>,
    keys: FxHashMap<KeyId, Entries>,
    /// What keys may ask for in a minute: taken when a call comes in, whatever becomes of it.
    rates: FxHashMap<KeyId, Entries>,
    models: FxHashMap<ModelName, Entries>,
    /// For each workflow that has a budget or belongs to a unit with one: the organisation's, the unit's, its own.
    paths: FxHashMap<WorkflowName, Entries>,
    pub sessions: Sessions,
}

impl Table {
    /// A table of these limits, which takes over what `self` holds and has booked.
    pub fn follow(&mut self, limits: Vec<Limit>, now: UnixMs) {
        let mut before = std::mem::take(self).into_before();
        self.generation = before.generation + 1;
        let (of_sessions, limits): (Vec<Limit>, Vec<Limit>) = limits.into_iter().partition(|limit| limit.each_session);
        // Whoever stays keeps its account, before one whose window has changed looks for one to take over.
        let known: Vec<Option<Entry>> = limits.iter().map(|limit| before.take(&limit.budget)).collect();
        let mut members: Vec<(WorkflowName, UnitName)> = Vec::new();
        for (limit, known) in limits.into_iter().zip(known) {
            if let Scope::Unit(unit) = &limit.budget.scope {
                members.extend(limit.members.iter().map(|workflow| (workflow.clone(), unit.clone())));
            }
            let account = match known {
                Some(known) => known.account,
                None => before.account_for(&limit, now),
            };
            let entry = Entry::new(limit, account);
            self.insert(entry);
        }
        self.lay_paths(&members);
        self.sessions = std::mem::take(&mut before.sessions);
        self.sessions.follow(of_sessions, now);
    }

    pub fn of(&self, scope: &Scope) -> Option<&Entries> {
        match scope {
            Scope::Organisation => Some(&self.organisation),
            Scope::Unit(name) => self.units.get(name),
            Scope::Workflow(name) => self.workflows.get(name),
            Scope::Key(id) => self.keys.get(id),
            Scope::Model(name) => self.models.get(name),
            Scope::Session { .. } => None,
        }
    }

    pub fn find(&self, budget: &BudgetId) -> Option<Entry> {
        if let Scope::Session { .. } = budget.scope {
            return self.sessions.find(budget);
        }
        let entries = match &budget.scope {
            Scope::Key(id) if budget.is_rate() => self.rates_of(id),
            scope => self.of(scope),
        };
        entries?.iter().find(|entry| entry.meta.budget == *budget).cloned()
    }

    /// The accounts a call falls under, from the widest scope to the narrowest: in the order of their names. `sessions` are
    /// those of [`Sessions::of`].
    pub fn entries_of<'t>(&'t self, scopes: &Scopes, sessions: &'t Entries) -> impl Iterator<Item = &'t Entry> {
        let path = scopes.workflow.as_ref().and_then(|name| self.paths.get(name)).unwrap_or(&self.organisation);
        let key = if self.keys.is_empty() { None } else { self.keys.get(&scopes.key) };
        let model = scopes.model.as_ref().and_then(|model| self.models.get(&model.name));
        path.iter().chain(key.into_iter().flatten()).chain(sessions).chain(model.into_iter().flatten())
    }

    /// What a key may ask for in a minute.
    pub fn rates_of(&self, key: &KeyId) -> Option<&Entries> {
        self.rates.get(key)
    }

    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        let named = self.units.values().chain(self.workflows.values()).chain(self.keys.values());
        let named = named.chain(self.rates.values()).chain(self.models.values());
        std::iter::once(&self.organisation).chain(named).flatten()
    }

    fn insert(&mut self, entry: Entry) {
        let entries = match &entry.meta.budget.scope {
            Scope::Organisation => &mut self.organisation,
            Scope::Unit(name) => self.units.entry(name.clone()).or_default(),
            Scope::Workflow(name) => self.workflows.entry(name.clone()).or_default(),
            Scope::Key(id) if entry.meta.is_rate => self.rates.entry(id.clone()).or_default(),
            Scope::Key(id) => self.keys.entry(id.clone()).or_default(),
            Scope::Model(name) => self.models.entry(name.clone()).or_default(),
            Scope::Session { .. } => return,
        };
        let place = entries.partition_point(|other| other.meta.budget < entry.meta.budget);
        entries.insert(place, entry);
    }

    fn lay_paths(&mut self, members: &[(WorkflowName, UnitName)]) {
        let units: FxHashMap<&WorkflowName, &UnitName> =
            members.iter().map(|(workflow, unit)| (workflow, unit)).collect();
        let path = |workflow: &WorkflowName| {
            let unit = units.get(workflow).and_then(|unit| self.units.get(*unit));
            let own = self.workflows.get(workflow);
            let entries = self.organisation.iter().chain(unit.into_iter().flatten()).chain(own.into_iter().flatten());
            (workflow.clone(), entries.cloned().collect())
        };
        self.paths = self.workflows.keys().chain(units.keys().copied()).map(path).collect();
    }

    fn into_before(self) -> Before {
        Before { generation: self.generation, entries: self.all().cloned().collect(), sessions: self.sessions }
    }
}

/// The accounts before a change, to be taken over.
struct Before {
    generation: u64,
    entries: Vec<Entry>,
    sessions: Sessions,
}

impl Before {
    fn take(&mut self, budget: &BudgetId) -> Option<Entry> {
        let place = self.entries.iter().position(|entry| entry.meta.budget == *budget)?;
        Some(self.entries.swap_remove(place))
    }

    /// An account for a budget that had none: that of the same scope in the same measure over a window nobody asks for any
    /// more, with what calls under way hold there, or a new one; with what history has booked.
    fn account_for(&mut self, limit: &Limit, now: UnixMs) -> Arc<Mutex<Account>> {
        let Limit { budget, terms, .. } = limit;
        let alike = |entry: &Entry| {
            let BudgetId { scope, measure, .. } = &entry.meta.budget;
            *scope == budget.scope && *measure == budget.measure && entry.meta.is_rate == budget.is_rate()
        };
        let account = match self.entries.iter().position(alike) {
            Some(place) => {
                let account = self.entries.swap_remove(place).account;
                account.lock().rewindow(*terms, budget.window.clone(), now);
                account
            }
            None => Arc::new(Mutex::new(Account::new(budget.measure, *terms, budget.window.clone(), now))),
        };
        let mut open = account.lock();
        limit.settled.iter().for_each(|(at, amount)| open.book(*amount, *at, now));
        drop(open);
        account
    }
}
