//! Budgets of each session: made when a session is first seen, forgotten when it was not seen for a day or there are too many.

use std::sync::Arc;

use domain::{KeyId, SessionId, UnixMs, WorkflowName};
use ledger::budget::{BudgetId, Scope};
use ledger::hold::Account;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::entry::{Entries, Entry};
use super::limit::{Limit, Scopes};

/// Sessions that are remembered at most, those of workflows and of keys counted apart.
pub const MOST_SESSIONS: usize = 65_536;

/// How long a session is remembered after its last call, milliseconds.
pub const SESSION_IDLE_MS: u64 = 24 * 3_600_000;

/// What each session may spend, and what those that are known have spent.
#[derive(Default)]
pub(super) struct Sessions {
    of_workflows: FxHashMap<WorkflowName, Vec<Limit>>,
    of_keys: FxHashMap<KeyId, Vec<Limit>>,
    known: Mutex<FxHashMap<Scope, Known>>,
}

struct Known {
    entries: Entries,
    seen_at: UnixMs,
}

impl Sessions {
    /// Takes over what each session may spend from now on. What they have spent stays.
    pub fn follow(&mut self, limits: Vec<Limit>, now: UnixMs) {
        self.of_workflows.clear();
        self.of_keys.clear();
        for limit in limits {
            match &limit.budget.scope {
                Scope::Workflow(name) => self.of_workflows.entry(name.clone()).or_default().push(limit),
                Scope::Key(id) => self.of_keys.entry(id.clone()).or_default().push(limit),
                _ => {}
            }
        }
        let known = std::mem::take(self.known.get_mut());
        for (scope, Known { entries, seen_at }) in known {
            let limits = match &scope {
                Scope::Session { workflow: Some(workflow), .. } => self.of_workflows.get(workflow),
                Scope::Session { workflow: None, key, .. } => self.of_keys.get(key),
                _ => None,
            };
            let Some(limits) = limits else { continue };
            let entries = made(&scope, limits, &entries, now);
            self.known.get_mut().insert(scope, Known { entries, seen_at });
        }
    }

    /// The accounts of a call's session: those its workflow declares, those its key does.
    pub fn of(&self, scopes: &Scopes, now: UnixMs) -> Entries {
        let mut entries = Entries::new();
        let Some(session) = &scopes.session else { return entries };
        let workflow = scopes.workflow.as_ref().and_then(|name| Some((name, self.of_workflows.get(name)?)));
        if let Some((workflow, limits)) = workflow {
            entries.extend(self.known(Some(workflow), &scopes.key, session, limits, now));
        }
        if let Some(limits) = self.of_keys.get(&scopes.key) {
            // Its name is less than one with a workflow, so it comes first in the order of names.
            entries.insert_many(0, self.known(None, &scopes.key, session, limits, now));
        }
        entries
    }

    pub fn find(&self, budget: &BudgetId) -> Option<Entry> {
        let known = self.known.lock();
        known.get(&budget.scope)?.entries.iter().find(|entry| entry.meta.budget == *budget).cloned()
    }

    /// Every session that is known.
    pub fn all(&self) -> Vec<Entry> {
        self.known.lock().values().flat_map(|known| known.entries.iter().cloned()).collect()
    }

    fn known(
        &self,
        workflow: Option<&WorkflowName>,
        key: &KeyId,
        session: &SessionId,
        limits: &[Limit],
        now: UnixMs,
    ) -> Entries {
        let scope = Scope::Session { workflow: workflow.cloned(), key: key.clone(), session: session.clone() };
        let mut known = self.known.lock();
        if let Some(found) = known.get_mut(&scope) {
            found.seen_at = now;
            return found.entries.clone();
        }
        if known.len() >= MOST_SESSIONS {
            forget(&mut known, now);
        }
        let entries = made(&scope, limits, &Entries::new(), now);
        known.insert(scope, Known { entries: entries.clone(), seen_at: now });
        entries
    }
}

/// The accounts of one session; those it has already are taken over.
fn made(scope: &Scope, limits: &[Limit], before: &Entries, now: UnixMs) -> Entries {
    let mut entries = Entries::new();
    for limit in limits {
        let budget = BudgetId { scope: scope.clone(), ..limit.budget.clone() };
        let account = match before.iter().find(|entry| entry.meta.budget == budget) {
            Some(entry) => entry.account.clone(),
            None => Arc::new(Mutex::new(Account::new(budget.measure, limit.terms, budget.window.clone(), now))),
        };
        entries.push(Entry::new(Limit { budget, ..limit.clone() }, account));
    }
    entries.sort_by(|one, other| one.meta.budget.cmp(&other.meta.budget));
    entries
}

/// Forgets sessions of which nothing is held: those not seen for a day, or else the tenth that was not seen for longest.
fn forget(known: &mut FxHashMap<Scope, Known>, now: UnixMs) {
    let is_idle =
        |one: &Known| one.entries.iter().all(|entry| entry.account.lock().used(now).1 <= ledger::Amount::ZERO);
    let before = known.len();
    known.retain(|_, one| now.since(one.seen_at) < SESSION_IDLE_MS || !is_idle(one));
    if known.len() < before {
        return;
    }
    let mut seen: Vec<UnixMs> = known.values().map(|one| one.seen_at).collect();
    seen.sort();
    let oldest = seen.get(seen.len() / 10).copied().unwrap_or(now);
    known.retain(|_, one| one.seen_at > oldest || !is_idle(one));
    tracing::warn!(
        forgotten = before - known.len(),
        "more sessions have budgets than are remembered; the ones not seen for longest begin anew"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::NanoUsd;
    use ledger::Window;

    #[test]
    fn the_oldest_sessions_make_room_and_those_with_calls_under_way_stay() {
        let mut sessions = Sessions::default();
        let limit =
            Limit { each_session: true, ..Limit::hard(Scope::Key(KeyId("k".into())), NanoUsd(5), Window::TOTAL) };
        sessions.follow(vec![limit], UnixMs(0));
        let scopes = |number: usize| Scopes {
            workflow: None,
            key: KeyId("k".into()),
            session: Some(SessionId::new(number.to_string())),
        };
        let at = |number: usize| UnixMs(i64::try_from(number).unwrap());
        for number in 0..MOST_SESSIONS {
            let entries = sessions.of(&scopes(number), at(number));
            if number == 0 {
                entries[0].account.lock().hold(ledger::Amount(3), at(0)).unwrap();
            }
        }
        sessions.of(&scopes(MOST_SESSIONS), at(MOST_SESSIONS));
        assert!(sessions.known.lock().len() < MOST_SESSIONS);
        let (_, held) = sessions.of(&scopes(0), at(MOST_SESSIONS))[0].account.lock().used(at(MOST_SESSIONS));
        assert_eq!(held, ledger::Amount(3));
    }
}
