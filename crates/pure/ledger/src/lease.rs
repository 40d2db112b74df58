//! How much of a budget may each of several instances spend by itself? The arithmetic of slices.
//!
//! Every instance that takes part in a budget has a **ceiling** in its window: it settles and holds no more than that by
//! itself. All ceilings together never exceed what the budget refuses beyond, so neither does what is spent, whatever the
//! instances do and whoever dies. A ceiling rises only with the store's consent, in one transaction that sees all of them;
//! its instance lowers it first by itself and tells the store after. A dead instance keeps its ceiling until its spool has
//! been read: what of it was spent nobody knows before, so all of it counts, as `indeterminate`.
//!
//! An instance also has a **lease**, a stretch of time. It ends its spending before the lease ends by its own clock, which
//! never goes back, so that whoever reads its spool after that reads all there will be.

use domain::UnixMs;
use serde::{Deserialize, Serialize};

use crate::budget::{Amount, BudgetId};

/// How long a lease lasts by the store's clock, milliseconds.
pub const LEASE_MS: u64 = 30_000;
/// So much before its lease ends an instance stops spending: for a transaction under way, and for clocks that do not run
/// alike. Two that differ by 500 parts in a million, ten times what quartz does, come apart by 15 ms in a lease.
pub const MARGIN_MS: u64 = 5_000;
/// How often a lease is renewed, milliseconds. Several may fail before spending stops.
pub const RENEW_EVERY_MS: u64 = 2_000;
/// Unless a call waits for it, what an instance has to spare is at most so small a part of what nobody has used, divided by
/// the instances: so slices get geometrically smaller near the limit, and little is stranded where somebody else needs it.
const PARTS: i64 = 2;

/// A slice that is used up: asked of whoever shares a budget out among instances.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Of which budget.
    pub budget: BudgetId,
    /// Of which of its windows.
    pub window_start: UnixMs,
    /// How much more a call needs than the slice has.
    pub more: Amount,
}

/// How an instance uses its slice of a budget.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Use {
    /// Which budget.
    pub budget: BudgetId,
    /// Which of its windows; zero where the window goes with the clock.
    pub window_start: UnixMs,
    /// The first millisecond after the window.
    pub window_end: Option<UnixMs>,
    /// Nothing is spent beyond this by all instances together; absent for a soft budget.
    pub most: Option<Amount>,
    /// What this instance settles and holds at most.
    pub ceiling: Amount,
    /// What it has booked in the window.
    pub settled: Amount,
    /// What it holds for calls under way.
    pub held: Amount,
}

/// What an instance asks for when it renews.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ask {
    /// The ceiling it keeps to now.
    pub ceiling: Amount,
    /// What it has booked and holds. More than its ceiling where a provider billed above a hold.
    pub used: Amount,
    /// Without at least so much more, raising the ceiling is of no use; nothing where no call waits.
    pub needed: Amount,
    /// So much more it could use.
    pub desired: Amount,
}

/// The other instances' part in a budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Others {
    /// Their ceilings together.
    pub ceilings: Amount,
    /// How many instances there are, whoever asks included.
    pub instances: u32,
}

impl Use {
    /// Booked and held.
    pub fn used(&self) -> Amount {
        self.settled.plus(self.held)
    }

    /// What the ceiling leaves.
    pub fn spare(&self) -> Amount {
        self.ceiling.minus(self.used()).or_zero()
    }
}

/// The ceiling an instance gets: never lower than what it has used, and raised by no more than all others leave.
pub fn ceiling(most: Option<Amount>, ask: Ask, others: Others) -> Amount {
    let own = ask.ceiling.max(ask.used).or_zero();
    // A slice binds only what something refuses.
    let Some(most) = most else { return own };
    let left = most.minus(others.ceilings).minus(own);
    if left <= Amount::ZERO || ask.needed > left {
        return own;
    }
    let spare = own.minus(ask.used).or_zero();
    let share = Amount(left.plus(spare).0 / (PARTS * i64::from(others.instances.max(1)))).minus(spare);
    let more = ask.needed.max(ask.desired.min(share)).or_zero();
    own.plus(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(limit: i64) -> Option<Amount> {
        Some(Amount(limit))
    }

    #[test]
    fn slices_get_smaller_near_the_limit_and_the_last_of_it_goes_to_a_call_that_waits() {
        let greedy =
            |ceiling| Ask { ceiling: Amount(ceiling), used: Amount(ceiling), desired: Amount::MAX, ..Ask::default() };
        let others = |ceilings| Others { ceilings: Amount(ceilings), instances: 3 };
        assert_eq!(ceiling(usd(600), greedy(0), others(0)), Amount(100));
        assert_eq!(ceiling(usd(600), greedy(100), others(200)), Amount(150));
        assert_eq!(ceiling(usd(600), greedy(100), others(497)), Amount(100), "a sixth of three is nothing");
        let waits = Ask { ceiling: Amount(100), used: Amount(100), needed: Amount(3), desired: Amount(3) };
        assert_eq!(ceiling(usd(600), waits, others(497)), Amount(103));
        assert_eq!(ceiling(usd(600), Ask { needed: Amount(4), ..waits }, others(497)), Amount(100));
    }

    #[test]
    fn a_soft_budget_has_no_slices_and_an_overrun_raises_the_ceiling_that_others_see() {
        let ask = Ask { ceiling: Amount(10), used: Amount(14), ..Ask::default() };
        assert_eq!(ceiling(None, ask, Others::default()), Amount(14));
        assert_eq!(ceiling(usd(10), ask, Others { ceilings: Amount(9), instances: 2 }), Amount(14));
    }
}
