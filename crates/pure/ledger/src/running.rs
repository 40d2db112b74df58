//! Prices that depend on what many calls consumed together: free allowances, steps of volume, credits, commitments.
//!
//! All four are the same: a total that grows over a period, and steps that say which share of the price is left above a count.
//! An allowance of 1,500 free searches a day counts searches, of which nothing is left below 1,500 and all above. A credit counts
//! money in the same way; a volume discount leaves less above its steps; a commitment counts and leaves everything.
//! The total is kept by whoever books ([`Counted`]), so that what is here stays a function.

use domain::{Cost, CostLine, Counted, Meter, NanoUsd, PicoUsd, UnixMs};

use crate::rounding::half_even;
use crate::window::Window;

/// A total over calls, under a name that rows of several models may share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Running {
    /// Its name: what counts towards it in one row counts in every row that names it.
    pub name: String,
    /// What is counted.
    pub counts: Counts,
    /// Over which period; afterwards it begins anew.
    pub per: Window,
    /// Counts nothing before; for contracts, which begin on a day.
    pub from: UnixMs,
    /// Counts nothing from here on; absent while it lasts.
    pub until: Option<UnixMs>,
    /// What is left of the price above each count, ascending. Below the first, everything is.
    pub steps: Vec<Step>,
}

/// What a total counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    /// Units of one meter.
    Units(Meter),
    /// Nano-dollars of every line, before what the steps take off.
    Money,
}

/// Above a count, a share of the price is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Units, or nano-dollars.
    pub above: u64,
    /// Millionths of the price: nothing for what is free, 950 000 for five percent off.
    pub left_millionths: u32,
}

/// One, in millionths.
const WHOLE: u32 = 1_000_000;

impl Running {
    /// So many units of a meter cost nothing in each period.
    pub fn allowance(name: impl Into<String>, meter: Meter, free: u64, per: Window) -> Running {
        let steps = vec![Step { above: 0, left_millionths: 0 }, Step { above: free, left_millionths: WHOLE }];
        Running { name: name.into(), counts: Counts::Units(meter), per, from: UnixMs(i64::MIN), until: None, steps }
    }

    /// Whether it counts at this moment.
    pub fn in_force(&self, at: UnixMs) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// When the period began in which this moment lies.
    pub fn period_start(&self, at: UnixMs) -> UnixMs {
        self.per.bounds(at).0.max(self.from)
    }

    /// The step that holds at a count, and how much more may be counted on it.
    fn step_at(&self, count: u64) -> (u32, u64) {
        let held = self.steps.iter().filter(|step| step.above <= count).max_by_key(|step| step.above);
        let next = self.steps.iter().map(|step| step.above).filter(|above| *above > count).min();
        (held.map_or(WHOLE, |step| step.left_millionths), next.map_or(u64::MAX, |next| next - count))
    }
}

/// Applies the totals of a row that are in force to what an attempt cost that was sent at `at`. `before` is what each had counted in its period. Lines that cross a step
/// are split there, whole unit by whole unit, each part rounded once; a part with another price names the total. Returned beside the
/// cost: what is to be added to each total.
pub fn apply(
    cost: Cost,
    running: &[Running],
    at: UnixMs,
    before: &mut dyn FnMut(&Running) -> u64,
) -> (Cost, Vec<Counted>) {
    let mut counted = Vec::new();
    let cost = running.iter().filter(|one| one.in_force(at)).fold(cost, |cost, one| {
        let start = before(one);
        let mut count = start;
        let stepped = |lines: Vec<CostLine>, count: &mut u64| {
            lines.into_iter().flat_map(|line| split(line, one, count)).collect()
        };
        let cost = match cost {
            Cost::Priced { lines, .. } => {
                let lines: Vec<CostLine> = stepped(lines, &mut count);
                Cost::Priced { total: lines.iter().map(|line| line.amount).sum(), lines }
            }
            Cost::Unpriced { lines, missing } => Cost::Unpriced { lines: stepped(lines, &mut count), missing },
            bound @ Cost::AtMost(_) => bound,
        };
        if count > start {
            counted.push(Counted { name: one.name.clone(), amount: count - start });
        }
        cost
    });
    (cost, counted)
}

/// The parts of a line on the steps it crosses.
fn split(line: CostLine, running: &Running, count: &mut u64) -> Vec<CostLine> {
    let counts = match running.counts {
        Counts::Units(meter) => line.meter == meter,
        Counts::Money => line.price > PicoUsd(0),
    };
    if !counts || line.amount < NanoUsd::ZERO {
        return vec![line];
    }
    let mut parts: Vec<CostLine> = Vec::new();
    let mut left = line.units;
    while left > 0 {
        let (share, room) = running.step_at(*count);
        let units = match running.counts {
            Counts::Units(_) => left.min(room),
            // A unit that crosses the step stands below it: a unit has one price.
            Counts::Money => left.min(units_of(room, line.price)),
        };
        *count = count.saturating_add(match running.counts {
            Counts::Units(_) => units,
            Counts::Money => line.price.times(units).0.unsigned_abs().max(1),
        });
        left -= units;
        let price = share_of(line.price, share);
        let price_row = match share {
            WHOLE => line.price_row.clone(),
            0 => format!("{}#free-{}", line.price_row, running.name),
            _ => format!("{}#{}-{}", line.price_row, running.name, PicoUsd(i64::from(share)).as_usd_per_million()),
        };
        match parts.last_mut().filter(|last| last.price == price && last.price_row == price_row) {
            Some(last) => last.units += units,
            None => parts.push(CostLine { units, price, price_row, amount: NanoUsd::ZERO, ..line.clone() }),
        }
    }
    parts.iter_mut().for_each(|part| part.amount = part.price.times(part.units));
    if parts.is_empty() { vec![line] } else { parts }
}

/// How many units it takes to reach so many nano-dollars; at least one.
fn units_of(nano_usd: u64, price: PicoUsd) -> u64 {
    let pico = u128::from(nano_usd) * 1_000;
    u64::try_from(pico.div_ceil(u128::from(price.0.unsigned_abs()))).unwrap_or(u64::MAX).max(1)
}

fn share_of(price: PicoUsd, millionths: u32) -> PicoUsd {
    if millionths == WHOLE {
        price
    } else {
        PicoUsd(half_even(i128::from(price.0) * i128::from(millionths), i128::from(WHOLE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(meter: Meter, units: u64, price: i64) -> CostLine {
        let price = PicoUsd(price);
        CostLine { meter, units, price, amount: price.times(units), price_row: "p/m@1".into() }
    }

    fn priced(lines: Vec<CostLine>) -> Cost {
        Cost::Priced { total: lines.iter().map(|line| line.amount).sum(), lines }
    }

    fn told(cost: &Cost) -> Vec<(u64, i64, &str)> {
        let (Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. }) = cost else { panic!("lines") };
        lines.iter().map(|line| (line.units, line.amount.0, line.price_row.as_str())).collect()
    }

    #[test]
    fn searches_beyond_the_free_ones_cost_and_the_line_is_split_where_they_end() {
        // 14 USD per thousand, of which 1,500 a day are free for all models that share the name.
        let free = Running::allowance("searches", Meter::WebSearches, 1_500, Window::DAY);
        let cost = priced(vec![line(Meter::Input, 100, 300_000), line(Meter::WebSearches, 4, 14_000_000_000)]);
        let (cost, counted) = apply(cost, std::slice::from_ref(&free), UnixMs(1), &mut |_| 1_498);
        // 100 × 300 nano; two searches free; two at 14 000 000.
        assert_eq!(told(&cost), [(100, 30_000, "p/m@1"), (2, 0, "p/m@1#free-searches"), (2, 28_000_000, "p/m@1")]);
        assert_eq!(counted, [Counted { name: "searches".into(), amount: 4 }]);
        assert_eq!(cost.booked(), NanoUsd(28_030_000));
    }

    #[test]
    fn a_credit_is_spent_before_anything_costs() {
        let steps = vec![Step { above: 0, left_millionths: 0 }, Step { above: 1_000, left_millionths: WHOLE }];
        let credit = Running {
            name: "credit".into(),
            counts: Counts::Money,
            per: Window::TOTAL,
            from: UnixMs(0),
            until: None,
            steps,
        };
        // 10 tokens of 300 nano: 1,000 of 3,000 are the credit's; the fourth token crosses its end and is the credit's too.
        let (cost, counted) = apply(priced(vec![line(Meter::Input, 10, 300_000)]), &[credit], UnixMs(1), &mut |_| 0);
        assert_eq!(told(&cost), [(4, 0, "p/m@1#free-credit"), (6, 1_800, "p/m@1")]);
        assert_eq!(counted[0].amount, 3_000);
    }

    #[test]
    fn above_a_step_of_volume_less_is_left_of_the_price() {
        let steps = vec![Step { above: 2_000, left_millionths: 950_000 }];
        let volume = Running {
            name: "volume".into(),
            counts: Counts::Money,
            per: Window::MONTH,
            from: UnixMs(0),
            until: None,
            steps,
        };
        let (cost, _) = apply(priced(vec![line(Meter::Output, 10, 1_000_000)]), &[volume], UnixMs(1), &mut |_| 1_000);
        // One of a thousand nano reaches the step; nine cost 950 each.
        assert_eq!(told(&cost), [(1, 1_000, "p/m@1"), (9, 8_550, "p/m@1#volume-0.95")]);
    }

    #[test]
    fn a_commitment_counts_and_leaves_the_price() {
        let drawn = Running {
            name: "acme".into(),
            counts: Counts::Money,
            per: Window::TOTAL,
            from: UnixMs(0),
            until: None,
            steps: Vec::new(),
        };
        let before = priced(vec![line(Meter::Input, 7, 2_000_000)]);
        let (cost, counted) = apply(before.clone(), &[drawn], UnixMs(1), &mut |_| 5);
        assert_eq!((cost, counted), (before, vec![Counted { name: "acme".into(), amount: 14_000 }]));
    }

    #[test]
    fn a_period_begins_anew_and_never_before_the_contract() {
        let day = Running::allowance("a", Meter::Pages, 1, Window::DAY);
        assert_eq!(day.period_start(UnixMs(86_400_000 + 5)), UnixMs(86_400_000));
        let later = Running { from: UnixMs(86_400_002), ..day };
        assert_eq!(later.period_start(UnixMs(86_400_000 + 5)), UnixMs(86_400_002));
    }

    proptest! {
        #[test]
        fn units_are_never_lost_and_parts_round_once(
            units in 0u64..5_000, price in 1i64..4_000_000, before in 0u64..5_000, free in 0u64..5_000, money in any::<bool>(),
        ) {
            let counts = if money { Counts::Money } else { Counts::Units(Meter::Input) };
            let steps = vec![Step { above: 0, left_millionths: 0 }, Step { above: free, left_millionths: 900_000 }];
            let running = Running { name: "r".into(), counts, per: Window::TOTAL, from: UnixMs(0), until: None, steps };
            let (cost, counted) = apply(priced(vec![line(Meter::Input, units, price)]), &[running], UnixMs(1), &mut |_| before);
            let Cost::Priced { total, lines } = cost else { panic!("priced") };
            prop_assert_eq!(lines.iter().map(|line| line.units).sum::<u64>(), units);
            prop_assert!(lines.len() <= 2 && lines.iter().all(|line| line.amount == line.price.times(line.units)));
            prop_assert!(total <= PicoUsd(price).times(units));
            if !money {
                prop_assert_eq!(counted.iter().map(|one| one.amount).sum::<u64>(), units);
                let paid = (before + units).saturating_sub(free.max(before));
                prop_assert_eq!(lines.iter().filter(|line| line.price > PicoUsd(0)).map(|line| line.units).sum::<u64>(), paid);
            }
        }
    }
}
