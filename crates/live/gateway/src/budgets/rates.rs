//! What a key may ask for in a minute, on all instances together: taken when a call comes in, corrected when it has ended.

use domain::{KeyId, UnixMs};
use ledger::budget::{Amount, Measure};
use parking_lot::MutexGuard;
use smallvec::SmallVec;

use super::{Account, Budgets, Spent};
use crate::clock;

impl Budgets {
    /// Takes one request and these tokens from what a key may do in a minute; all or nothing. Waits for a larger slice, and for
    /// nothing else.
    pub async fn take_of_minute(&self, key: &KeyId, tokens: u64) -> Result<(), Box<Spent>> {
        self.wait_for(|| self.try_take_of_minute(key, tokens, clock::now()), Spent::may_pass_soon).await
    }

    /// The same without waiting.
    pub fn try_take_of_minute(&self, key: &KeyId, tokens: u64, now: UnixMs) -> Result<(), Box<Spent>> {
        let entries = self.table.read().rates_of(key).cloned().unwrap_or_default();
        let tokens = Amount(i64::try_from(tokens).unwrap_or(i64::MAX));
        // Locked in the order of their names, as everywhere.
        let mut open: SmallVec<[(MutexGuard<'_, Account>, Amount); 2]> = SmallVec::new();
        for entry in &entries {
            let amount = if entry.meta.budget.measure == Measure::Tokens { tokens } else { Amount(1) };
            open.push((entry.account.lock(), amount));
        }
        let refused = open.iter_mut().enumerate().find_map(|(place, (account, amount))| {
            let short = account.can_hold(*amount, now).err()?;
            Some((place, short))
        });
        match refused {
            Some((place, short)) => {
                drop(open);
                Err(self.spent(&entries[place], short, now))
            }
            None => {
                for (account, amount) in &mut open {
                    account.spend(*amount, now).expect("there is room, and it is locked since that was seen");
                }
                Ok(())
            }
        }
    }

    /// Corrects the tokens a call took of its key's minute at `at` to what it used.
    pub fn correct_minute(&self, key: &KeyId, taken: u64, used: u64, at: UnixMs) {
        let entries = self.table.read().rates_of(key).cloned().unwrap_or_default();
        let Some(entry) = entries.iter().find(|entry| entry.meta.budget.measure == Measure::Tokens) else { return };
        let amount = |tokens| Amount(i64::try_from(tokens).unwrap_or(i64::MAX));
        entry.account.lock().correct_rate(amount(taken), amount(used), at, clock::now());
    }
}

#[cfg(test)]
mod tests {
    use domain::NanoUsd;
    use ledger::budget::{BudgetId, Scope, Spend};
    use ledger::{Terms, Window};

    use super::*;
    use crate::budgets::{Limit, Pick, Scopes, ToModel};

    fn limit(scope: Scope, window: Window, measure: Measure, limit: i64) -> Limit {
        let budget = BudgetId { scope: scope.clone(), window, measure };
        Limit { budget, terms: Terms::hard(Amount(limit)), ..Limit::hard(scope, NanoUsd(1), Window::TOTAL) }
    }

    fn used(budgets: &Budgets, measure: Measure) -> (i64, i64) {
        let views = budgets.view();
        let account = &views.iter().find(|view| view.budget.measure == measure).unwrap().account;
        (account.settled.0, account.held.0)
    }

    #[tokio::test]
    async fn a_call_takes_a_request_and_its_tokens_of_its_keys_minute_or_neither() {
        let (budgets, key) = (Budgets::default(), KeyId("k".into()));
        let of_key = |measure, most| limit(Scope::Key(key.clone()), Window::MINUTE, measure, most);
        budgets.set(vec![of_key(Measure::Requests, 2), of_key(Measure::Tokens, 100)], clock::now());
        let at = clock::now();
        budgets.take_of_minute(&key, 80).await.unwrap();
        let spent = budgets.take_of_minute(&key, 21).await.unwrap_err();
        assert_eq!(spent.budget.measure, Measure::Tokens);
        assert_eq!(used(&budgets, Measure::Requests).0, 1, "what was refused took nothing");
        budgets.correct_minute(&key, 80, 30, at);
        budgets.take_of_minute(&key, 21).await.unwrap();
        let spent = budgets.take_of_minute(&key, 1).await.unwrap_err();
        assert_eq!((spent.budget.measure, spent.short.limit), (Measure::Requests, Amount(2)));
    }

    #[tokio::test]
    async fn an_attempt_counts_on_its_models_minute_when_it_is_sent_and_is_under_way_until_it_ends() {
        let budgets = Budgets::default();
        let of_model = |window, measure, most| limit(Scope::Model("m".into()), window, measure, most);
        let limits = vec![
            of_model(Window::MINUTE, Measure::Requests, 3),
            of_model(Window::MINUTE, Measure::Tokens, 100),
            of_model(Window::TOTAL, Measure::Calls, 1),
        ];
        budgets.set(limits, clock::now());
        let scopes = |tokens| Scopes {
            workflow: None,
            key: KeyId("k".into()),
            session: None,
            model: Some(ToModel { name: "m".into(), tokens }),
        };
        let hold = |tokens| budgets.hold_now(scopes(tokens), Spend { usd: NanoUsd(5), tokens: 9_999 }, Pick::Cheapest);
        let standing = || [Measure::Requests, Measure::Tokens, Measure::Calls].map(|measure| used(&budgets, measure));
        // A call of more than a minute's worth has a minute of its own.
        let held = hold(500).unwrap();
        assert_eq!(standing(), [(1, 0), (100, 0), (0, 1)]);
        let full = hold(1).err().unwrap();
        assert!(full.is_of_model(), "{full:?}");
        budgets.settle(held, Spend { usd: NanoUsd(5), tokens: 30 });
        assert_eq!(standing(), [(1, 0), (30, 0), (0, 0)]);
        // What was never sent was no request; what failed was one.
        budgets.release(hold(50).unwrap());
        assert_eq!(standing(), [(1, 0), (30, 0), (0, 0)]);
        budgets.settle(hold(50).unwrap(), Spend::ZERO);
        assert_eq!(standing(), [(2, 0), (30, 0), (0, 0)]);
        let other = Scopes { model: None, ..scopes(0) };
        assert!(
            !budgets.under(&other).any && budgets.under(&scopes(0)).model_tokens && !budgets.under(&scopes(0)).hard
        );
    }

    #[tokio::test]
    async fn an_answer_is_not_broken_off_for_a_limit_of_its_model() {
        let budgets = Budgets::default();
        budgets.set(vec![limit(Scope::Model("m".into()), Window::MINUTE, Measure::Tokens, 10)], clock::now());
        let model = Some(ToModel { name: "m".into(), tokens: 10 });
        let scopes = Scopes { workflow: None, key: KeyId("k".into()), session: None, model };
        let mut held = budgets.hold(scopes, Spend { usd: NanoUsd(1), tokens: 10 }, Pick::Cheapest).await.unwrap();
        budgets.top_up(&mut held, Spend { usd: NanoUsd(1), tokens: 100 }).unwrap();
        budgets.settle(held, Spend { usd: NanoUsd(2), tokens: 70 });
        assert_eq!(used(&budgets, Measure::Tokens), (70, 0));
    }
}
