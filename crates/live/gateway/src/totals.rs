//! Totals over many calls that prices depend on: free allowances, steps of volume, credits, commitments. Counted here while calls
//! are settled, kept by their records, and found again in those at a start.

use domain::{Cost, Counted, UnixMs};
use ledger::PriceRow;
use ledger::running::{Running, apply};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// What was counted under each name, and in the period that began when. As many as the configuration and the catalog name.
#[derive(Default)]
pub struct Totals(Mutex<FxHashMap<String, (UnixMs, u64)>>);

impl Totals {
    /// The cost of an attempt as the totals of its row leave it, and what it adds to them. Two attempts that end at once are
    /// counted one after the other, so that no allowance is given twice.
    pub fn priced(&self, cost: Cost, row: Option<&PriceRow>, at: UnixMs) -> (Cost, Vec<Counted>) {
        let running = row.map_or(&[][..], |row| &row.running);
        if running.is_empty() {
            return (cost, Vec::new());
        }
        let mut totals = self.0.lock();
        let (cost, counted) = apply(cost, running, at, &mut |one| {
            let start = one.period_start(at);
            match totals.get(&one.name) {
                // What is settled late counts to the period that runs now.
                Some((known, total)) if *known >= start => *total,
                _ => 0,
            }
        });
        for (name, amount) in counted.iter().map(|one| (&one.name, one.amount)) {
            let start = running.iter().find(|one| one.name == *name).map_or(at, |one| one.period_start(at));
            let total = totals.entry(name.clone()).or_insert((start, 0));
            if total.0 < start {
                *total = (start, 0);
            }
            total.1 = total.1.saturating_add(amount);
        }
        (cost, counted)
    }

    /// Whether a total is known already.
    pub fn knows(&self, name: &str) -> bool {
        self.0.lock().contains_key(name)
    }

    /// Takes over what the records of the running period say.
    pub fn restore(&self, running: &Running, total: u64, now: UnixMs) {
        self.0.lock().entry(running.name.clone()).or_insert((running.period_start(now), total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{CostLine, Meter, NanoUsd, PicoUsd};
    use ledger::{Prices, Window};

    const DAY_MS: i64 = 86_400_000;

    fn row() -> PriceRow {
        let free = Running::allowance("searches", Meter::WebSearches, 10, Window::DAY);
        PriceRow { running: vec![free], ..PriceRow::new("p/m@1", "p", "m", Prices::NONE) }
    }

    fn searches(units: u64) -> Cost {
        let price = PicoUsd(1_000_000);
        let line =
            CostLine { meter: Meter::WebSearches, units, price, amount: price.times(units), price_row: "p/m@1".into() };
        Cost::Priced { total: line.amount, lines: vec![line] }
    }

    #[test]
    fn an_allowance_is_used_up_call_by_call_and_begins_anew_with_its_period() {
        let totals = Totals::default();
        let cost = |units, at| totals.priced(searches(units), Some(&row()), UnixMs(at)).0.booked();
        assert_eq!((cost(6, 5), cost(6, 6)), (NanoUsd(0), NanoUsd(2_000)));
        assert_eq!(cost(1, DAY_MS - 1), NanoUsd(1_000));
        assert_eq!(cost(6, DAY_MS), NanoUsd(0), "the next day");
        assert_eq!(cost(6, DAY_MS - 1), NanoUsd(2_000), "what is settled late counts to the day that runs");
    }

    #[test]
    fn what_was_counted_before_a_start_is_taken_over_once() {
        let totals = Totals::default();
        let running = &row().running[0];
        assert!(!totals.knows("searches"));
        totals.restore(running, 9, UnixMs(5));
        totals.restore(running, 1, UnixMs(5));
        assert!(totals.knows("searches"));
        let (cost, counted) = totals.priced(searches(3), Some(&row()), UnixMs(6));
        assert_eq!((cost.booked(), counted[0].amount), (NanoUsd(2_000), 3));
    }

    #[test]
    fn a_row_without_totals_costs_what_it_costs() {
        let totals = Totals::default();
        let bare = PriceRow::new("p/m@1", "p", "m", Prices::NONE);
        assert_eq!(totals.priced(searches(3), Some(&bare), UnixMs(6)), (searches(3), Vec::new()));
        assert_eq!(totals.priced(searches(3), None, UnixMs(6)), (searches(3), Vec::new()));
    }
}
