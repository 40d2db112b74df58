//! A budget as pages show it: what is booked, held and left, in words and as a bar.

use control::views::BudgetNow;
use ledger::Amount;

use crate::show::{self, When};
use crate::svg::{self, Bar, Part, WIDTH};

/// A budget as pages show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetShown {
    /// Booked.
    pub spent: String,
    /// The limit.
    pub limit: String,
    /// `82 %`.
    pub share: String,
    /// `month` and so on.
    pub per: String,
    /// Held, where anything is.
    pub held: Option<String>,
    /// Overrun, where there is any.
    pub overrun: Option<String>,
    /// When the window turns.
    pub resets: Option<When>,
    /// The bar.
    pub bar: Bar,
}

impl BudgetShown {
    /// The budget with its bar.
    pub fn new(budget: &BudgetNow) -> BudgetShown {
        let some = |amount: Amount| (amount > Amount::ZERO).then(|| budget.measure.shown(amount));
        BudgetShown {
            spent: budget.measure.figure(budget.settled),
            limit: budget.measure.shown(budget.limit),
            share: show::share(budget.settled.0, budget.limit.0),
            per: budget.per.clone(),
            held: some(budget.held),
            overrun: some(budget.overrun),
            resets: budget.resets_at.map(When::at),
            bar: budget_bar(budget),
        }
    }
}

/// What is booked and held of a budget.
fn budget_bar(budget: &BudgetNow) -> Bar {
    let settled = svg::part_of(budget.settled.0, budget.limit.0);
    let held = svg::part_of(budget.held.0, budget.limit.0).min(WIDTH - settled);
    let class = match settled {
        WIDTH.. => "settled over",
        800.. => "settled near",
        _ => "settled",
    };
    let label = format!(
        "{} of {} booked ({}), {} held",
        budget.measure.figure(budget.settled),
        budget.measure.shown(budget.limit),
        show::share(budget.settled.0, budget.limit.0),
        budget.measure.shown(budget.held)
    );
    let parts = [Part { class, from: 0, width: settled }, Part { class: "held", from: settled, width: held }];
    Bar { label, parts: parts.into_iter().filter(|part| part.width > 0).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_money_never_leaves_the_bar() {
        let budget = BudgetNow {
            scope: "workflow a".into(),
            per: "month".into(),
            measure: ledger::Measure::Tokens,
            limit: Amount(100),
            hard: true,
            settled: Amount(95),
            held: Amount(20),
            overrun: Amount(0),
            left: Amount(0),
            approval_at: None,
            approval: None,
            resets_at: None,
        };
        let bar = budget_bar(&budget);
        assert_eq!(bar.parts.iter().map(|part| part.width).sum::<u64>(), 1000);
        assert_eq!(bar.parts[0].class, "settled near");
    }
}
