//! How many instructions do holding and settling take, with slices of a shared budget and without? Run under callgrind by
//! `cargo xtask bench instructions holds`, which counts what happens within [`measured`] and reads the lines printed here as
//! the names of those counts, in order.

use domain::{KeyId, NanoUsd, UnixMs};
use gateway::budgets::{Budgets, Limit, Pick, Scopes};
use gateway::clock;
use ledger::budget::{Amount, Scope, Spend};
use ledger::{Slice, Window};
use tokio::runtime::Builder;

/// Calls in one count.
const CALLS: usize = 1_000;

/// What callgrind counts: from where it is entered to where it is left, which it would not be if the call were its last act.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    std::hint::black_box(());
}

fn main() {
    for leased in [false, true] {
        let budgets = budgets(leased);
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
        let mut work = || {
            runtime.block_on(async {
                for _ in 0..CALLS {
                    let spend = Spend::usd(NanoUsd(1_000));
                    let held = budgets.hold(scopes(), spend, Pick::Cheapest).await.expect("there is enough");
                    budgets.settle(held, Spend::usd(NanoUsd(700)));
                }
            });
        };
        // Once before, so that nothing that happens once in a process counts.
        work();
        measured(&mut work);
        println!("{} holds {CALLS}", if leased { "leased" } else { "alone" });
    }
}

fn scopes() -> Scopes {
    Scopes { workflow: Some("w".into()), key: KeyId("k".into()), session: None, model: None }
}

/// A workflow's budget and a key's; where they are shared, with a slice of each.
fn budgets(leased: bool) -> Budgets {
    let budgets = Budgets::default();
    let limits: Vec<Limit> = [Scope::Workflow("w".into()), Scope::Key(KeyId("k".into()))]
        .into_iter()
        .map(|scope| Limit::hard(scope, NanoUsd::usd(1_000_000), Window::TOTAL))
        .collect();
    let named: Vec<_> = limits.iter().map(|limit| limit.budget.clone()).collect();
    budgets.set(limits, clock::now());
    if leased {
        let (ask, _) = tokio::sync::mpsc::channel(1);
        budgets.ask_for_slices(ask);
        let slice = Slice { ceiling: Amount(NanoUsd::usd(1_000).0), elsewhere: Amount::ZERO };
        named.iter().for_each(|budget| assert!(budgets.set_slice(budget, UnixMs(0), slice), "it has an account"));
    }
    budgets
}
