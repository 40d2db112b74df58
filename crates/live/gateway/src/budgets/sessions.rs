//! Budgets of each session: made when a session is first seen, forgotten when it was not seen for a day or there are too many.

use std::sync::Arc;

use domain::{KeyId, SessionId, UnixMs, WorkflowName};
use ledger::budget::{Amount, BudgetId, Measure, Scope};
use ledger::hold::Account;
use ledger::sessions::SessionSpent;
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
    /// What was booked in sessions by other instances, or by this one before it was started.
    recalled: Mutex<FxHashMap<Scope, Vec<Recalled>>>,
}

struct Known {
    entries: Entries,
    seen_at: UnixMs,
    /// What was last kept of each measure.
    kept: Vec<(Measure, Amount)>,
}

/// What somebody else booked in a session.
struct Recalled {
    /// Which instance; this one is who it was before it was started.
    instance: String,
    measure: Measure,
    amount: Amount,
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
        for (scope, Known { entries, seen_at, kept }) in known {
            let limits = match &scope {
                Scope::Session { workflow: Some(workflow), .. } => self.of_workflows.get(workflow),
                Scope::Session { workflow: None, key, .. } => self.of_keys.get(key),
                _ => None,
            };
            let Some(limits) = limits else { continue };
            let entries = made(&scope, limits, &entries, self.recalled.get_mut().get(&scope), now);
            self.known.get_mut().insert(scope, Known { entries, seen_at, kept });
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
        let entries = made(&scope, limits, &Entries::new(), self.recalled.lock().get(&scope), now);
        known.insert(scope, Known { entries: entries.clone(), seen_at: now, kept: Vec::new() });
        entries
    }

    /// Whether any session has a budget.
    pub fn any(&self) -> bool {
        !(self.of_workflows.is_empty() && self.of_keys.is_empty())
    }

    /// What this instance, called `own`, booked in sessions since it was last kept.
    pub fn changed(&self, own: &str, now: UnixMs) -> Vec<SessionSpent> {
        let known: Vec<_> = self
            .known
            .lock()
            .iter()
            .map(|(scope, one)| (scope.clone(), one.entries.clone(), one.seen_at, one.kept.clone()))
            .collect();
        let mut changed: Vec<SessionSpent> = Vec::new();
        for (scope, entries, seen_at, kept) in known {
            let others = self.recalled.lock();
            let others: &[Recalled] = others.get(&scope).map_or(&[], Vec::as_slice);
            for entry in &entries {
                let measure = entry.meta.budget.measure;
                let theirs = others.iter().filter(|one| one.measure == measure && one.instance != own);
                let theirs: i64 = theirs.map(|one| one.amount.0).sum();
                let amount = entry.account.lock().used(now).0.minus(Amount(theirs)).or_zero();
                let is_kept = kept.iter().any(|(of, before)| *of == measure && *before == amount);
                let is_there = changed.last().is_some_and(|last| last.scope == scope && last.measure == measure);
                if !is_kept && !is_there && amount > Amount::ZERO {
                    changed.push(SessionSpent {
                        scope: scope.clone(),
                        measure,
                        amount,
                        seen_at,
                        instance: own.to_owned(),
                    });
                }
            }
        }
        changed
    }

    /// Takes note that this is kept.
    pub fn kept(&self, spent: &[SessionSpent]) {
        let mut known = self.known.lock();
        for one in spent {
            let Some(session) = known.get_mut(&one.scope) else { continue };
            session.kept.retain(|(measure, _)| *measure != one.measure);
            session.kept.push((one.measure, one.amount));
        }
    }

    /// Hears what was booked in sessions elsewhere, or before this process was started; what was heard before is not booked twice.
    pub fn recall(&self, spent: Vec<SessionSpent>, now: UnixMs) {
        let known = self.known.lock();
        let mut recalled = self.recalled.lock();
        for SessionSpent { scope, measure, amount, seen_at, instance } in spent {
            let all = recalled.entry(scope.clone()).or_default();
            let before = match all.iter_mut().find(|one| one.instance == instance && one.measure == measure) {
                Some(one) => {
                    one.seen_at = seen_at;
                    std::mem::replace(&mut one.amount, amount)
                }
                None => {
                    all.push(Recalled { instance, measure, amount, seen_at });
                    Amount::ZERO
                }
            };
            let entries = known.get(&scope).map_or(&[][..], |session| &session.entries);
            for entry in entries.iter().filter(|entry| entry.meta.budget.measure == measure) {
                let mut account = entry.account.lock();
                match amount >= before {
                    true => account.book(amount.minus(before), now, now),
                    false => account.correct(before.minus(amount), Amount::ZERO, now, now),
                }
            }
        }
        // Sessions that nobody has seen for a day are of no use, but where their accounts are still there.
        recalled.retain(|scope, all| {
            known.contains_key(scope) || all.iter().any(|one| now.since(one.seen_at) < SESSION_IDLE_MS)
        });
    }
}

/// The accounts of one session; those it has already are taken over, new ones begin with what is recalled of it.
fn made(scope: &Scope, limits: &[Limit], before: &Entries, recalled: Option<&Vec<Recalled>>, now: UnixMs) -> Entries {
    let mut entries = Entries::new();
    for limit in limits {
        let budget = BudgetId { scope: scope.clone(), ..limit.budget.clone() };
        let account = match before.iter().find(|entry| entry.meta.budget == budget) {
            Some(entry) => entry.account.clone(),
            None => {
                let mut account = Account::new(budget.measure, limit.terms, budget.window.clone(), now);
                let of_it = recalled.into_iter().flatten().filter(|one| one.measure == budget.measure);
                of_it.for_each(|one| account.book(one.amount, now, now));
                Arc::new(Mutex::new(account))
            }
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
            model: None,
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

    #[test]
    fn what_a_session_has_spent_is_recalled_once_and_what_others_book_is_not_told_as_ones_own() {
        let limit =
            Limit { each_session: true, ..Limit::hard(Scope::Key(KeyId("k".into())), NanoUsd(100), Window::TOTAL) };
        let mut sessions = Sessions::default();
        sessions.follow(vec![limit], UnixMs(0));
        let scopes =
            Scopes { workflow: None, key: KeyId("k".into()), session: Some(SessionId::new("run-7")), model: None };
        let scope = Scope::Session { workflow: None, key: KeyId("k".into()), session: SessionId::new("run-7") };
        let spent = |instance: &str, amount: i64| SessionSpent {
            scope: scope.clone(),
            measure: Measure::Usd,
            amount: Amount(amount),
            seen_at: UnixMs(1),
            instance: instance.into(),
        };
        // Before the restart this instance had booked 30, another 20.
        sessions.recall(vec![spent("own", 30), spent("other", 20)], UnixMs(1));
        let entry = sessions.of(&scopes, UnixMs(2))[0].clone();
        let settled = || entry.account.lock().used(UnixMs(2)).0;
        assert_eq!(settled(), Amount(50));
        sessions.recall(vec![spent("other", 20)], UnixMs(2));
        assert_eq!(settled(), Amount(50), "told again it changes nothing");
        sessions.recall(vec![spent("other", 25)], UnixMs(2));
        entry.account.lock().book(Amount(4), UnixMs(2), UnixMs(2));
        assert_eq!(settled(), Amount(59));
        let changed = sessions.changed("own", UnixMs(2));
        assert_eq!(changed.iter().map(|one| one.amount).collect::<Vec<_>>(), [Amount(34)]);
        sessions.kept(&changed);
        assert!(sessions.changed("own", UnixMs(2)).is_empty());
    }
}
