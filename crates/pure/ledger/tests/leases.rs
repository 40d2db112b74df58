//! Slices of a budget, whatever several instances do: `cargo xtask prove leases` runs a million cases.

use domain::{NanoUsd, UnixMs};
use ledger::lease::{Ask, Others, ceiling};
use ledger::{Account, Amount, Measure, Slice, Terms, Window};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

const NOON: UnixMs = UnixMs(1_795_262_400_000); // 2026-11-21T12:00:00Z

/// The store and its instances: what each knows, and what the spool of each would tell.
struct World {
    most: i64,
    /// The store's row of each instance: ceiling, settled.
    rows: Vec<(Amount, Amount)>,
    instances: Vec<Instance>,
}

struct Instance {
    account: Account,
    ceiling: Amount,
    /// Holds of calls under way.
    calls: Vec<Amount>,
    /// What its spool says was spent, by attempt.
    spool: Vec<Amount>,
    /// Dead until its spool is read.
    alive: bool,
    /// Past the end of its lease by its own clock.
    ended: bool,
}

fn fresh(most: i64) -> Account {
    let mut account = Account::new(Measure::Usd, Terms::hard(NanoUsd(most).into()), Window::TOTAL, NOON);
    account.set_slice(Some(Slice::default()));
    account
}

impl World {
    fn new(most: i64, instances: usize) -> World {
        let instance = || Instance {
            account: fresh(most),
            ceiling: Amount::ZERO,
            calls: Vec::new(),
            spool: Vec::new(),
            alive: true,
            ended: false,
        };
        World {
            most,
            rows: vec![(Amount::ZERO, Amount::ZERO); instances],
            instances: (0..instances).map(|_| instance()).collect(),
        }
    }

    /// Lowers its own ceiling first, then tells the store, which may raise it; the answer may be lost.
    fn renew(&mut self, number: usize, needed: i64, desired: i64, answered: bool) {
        let others = Others {
            ceilings: Amount(self.rows.iter().enumerate().filter(|(n, _)| *n != number).map(|(_, row)| row.0.0).sum()),
            instances: u32::try_from(self.instances.len()).expect("a few"),
        };
        let one = &mut self.instances[number];
        if !one.alive {
            return;
        }
        let (settled, held) = one.account.used(NOON);
        let used = settled.plus(held);
        let ask = Ask { ceiling: one.ceiling, used, needed: Amount(needed), desired: Amount(desired) };
        let granted = ceiling(Some(Amount(self.most)), ask, others);
        self.rows[number] = (granted, settled);
        if answered {
            one.ended = false;
            one.set(granted);
        }
    }

    /// What the spool says becomes what the store says; nothing else of the ceiling was spent.
    fn recover(&mut self, number: usize) {
        let one = &mut self.instances[number];
        if one.alive {
            return;
        }
        // What was in flight is booked with its hold, the most it can have cost.
        let calls = std::mem::take(&mut one.calls);
        one.spool.extend(calls);
        let spent = Amount(one.spool.iter().map(|amount| amount.0).sum());
        self.rows[number] = (spent, spent);
        one.account = fresh(self.most);
        one.account.book(spent, NOON, NOON);
        one.alive = true;
        one.ended = false;
        one.set(spent);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let ceilings: i64 = self.rows.iter().map(|row| row.0.0).sum();
        prop_assert!(ceilings <= self.most, "ceilings {ceilings} above {}", self.most);
        let mut truth = 0;
        for (one, (row, _)) in self.instances.iter().zip(&self.rows) {
            let spent: i64 = one.spool.iter().chain(&one.calls).map(|amount| amount.0).sum();
            prop_assert!(spent <= row.0, "an instance spent {spent} of its {}", row.0);
            truth += spent;
        }
        prop_assert!(truth <= self.most);
        Ok(())
    }
}

impl Instance {
    fn set(&mut self, ceiling: Amount) {
        self.ceiling = ceiling;
        let elsewhere = Amount::ZERO;
        self.account.set_slice(Some(Slice { ceiling, elsewhere }));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Hold(usize, i64),
    TopUp(usize, usize, i64),
    Settle(usize, usize, u8),
    Release(usize, usize),
    Renew(usize, i64, i64, bool),
    LetGo(usize, i64),
    LeaseEnds(usize),
    Kill(usize),
    Recover(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..4;
    prop_oneof![
        6 => (who.clone(), 0i64..120).prop_map(|(who, amount)| Step::Hold(who, amount)),
        2 => (who.clone(), any::<usize>(), 0i64..60).prop_map(|(who, call, more)| Step::TopUp(who, call, more)),
        4 => (who.clone(), any::<usize>(), 0u8..=100).prop_map(|(who, call, percent)| Step::Settle(who, call, percent)),
        2 => (who.clone(), any::<usize>()).prop_map(|(who, call)| Step::Release(who, call)),
        5 => (who.clone(), 0i64..150, 0i64..400, prop::bool::weighted(0.8))
            .prop_map(|(who, needed, desired, answered)| Step::Renew(who, needed, desired, answered)),
        2 => (who.clone(), 0i64..50).prop_map(|(who, spare)| Step::LetGo(who, spare)),
        1 => who.clone().prop_map(Step::LeaseEnds),
        1 => who.clone().prop_map(Step::Kill),
        1 => who.prop_map(Step::Recover),
    ]
}

/// How many cases, and from which seed: a proof says so, everyday runs take few and always the same.
#[expect(clippy::disallowed_methods, reason = "a proof tells its tests how far to go by the environment")]
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Whatever four instances do, in any order, whoever dies and whichever answer is lost: together they never spend more than
/// the budget, and when every spool is read and everything let go, nothing is held back.
#[test]
fn prove_leases_in_any_order_exceed_no_budget_and_leak_none_of_it() {
    let cases = u32::try_from(number("FREEHOLD_PROVE_CASES", 2_000)).expect("fewer than four thousand million");
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("FREEHOLD_PROVE_SEED", 1).to_le_bytes());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let cases = (0i64..2_000, proptest::collection::vec(step(), 0..80));
    runner.run(&cases, |(most, steps)| live(most, steps)).unwrap();
}

fn live(most: i64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new(most, 4);
    for step in steps {
        match step {
            Step::Hold(who, amount) => {
                let one = &mut world.instances[who];
                if one.alive && !one.ended && one.account.hold(Amount(amount), NOON).is_ok() {
                    one.calls.push(Amount(amount));
                }
            }
            Step::TopUp(who, call, more) => {
                let one = &mut world.instances[who];
                let calls = one.calls.len();
                if one.alive && !one.ended && calls > 0 && one.account.top_up(Amount(more), NOON).is_ok() {
                    one.calls[call % calls] = one.calls[call % calls].plus(Amount(more));
                }
            }
            Step::Settle(who, call, percent) => {
                let one = &mut world.instances[who];
                if one.alive && !one.calls.is_empty() {
                    let held = one.calls.swap_remove(call % one.calls.len());
                    let actual = Amount(held.0 * i64::from(percent) / 100);
                    one.account.settle(held, actual, NOON, NOON);
                    one.spool.push(actual);
                }
            }
            Step::Release(who, call) => {
                let one = &mut world.instances[who];
                if one.alive && !one.calls.is_empty() {
                    let held = one.calls.swap_remove(call % one.calls.len());
                    one.account.release(held);
                }
            }
            Step::Renew(who, needed, desired, answered) => world.renew(who, needed, desired, answered),
            Step::LetGo(who, spare) => {
                let one = &mut world.instances[who];
                let (settled, held) = one.account.used(NOON);
                let lower = one.ceiling.min(settled.plus(held).plus(Amount(spare)));
                one.set(lower);
            }
            Step::LeaseEnds(who) => {
                let one = &mut world.instances[who];
                one.ended = true;
                let (settled, held) = one.account.used(NOON);
                let lower = one.ceiling.min(settled.plus(held));
                one.set(lower);
            }
            Step::Kill(who) => world.instances[who].alive = false,
            Step::Recover(who) => world.recover(who),
        }
        world.check()?;
    }
    for who in 0..4 {
        world.instances[who].alive = false;
        world.recover(who);
        world.renew(who, 0, 0, true);
        world.check()?;
    }
    let spent: i64 = world.instances.iter().flat_map(|one| &one.spool).map(|amount| amount.0).sum();
    prop_assert_eq!(world.rows.iter().map(|row| row.0.0).sum::<i64>(), spent, "nothing is held back");
    prop_assert_eq!(world.rows.iter().map(|row| row.1.0).sum::<i64>(), spent, "counters are what the spools say");
    Ok(())
}
