//! What a record adds to the sums that reports and exports are made of: one line per meter, whose amounts add up to exactly what
//! the record booked.

use domain::{
    AttemptEnd, Cause, Cost, Meter, ModelName, NanoUsd, PicoUsd, ProviderName, Record, UsageOrigin, WorkflowName,
};

/// How far an amount can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Basis {
    /// The provider told the usage.
    Reported,
    /// Freehold counted the usage.
    Estimated,
    /// Nothing was consumed.
    Nothing,
    /// The most it can have cost; what is taken back of it, now that the cost is known, is a line of its own below zero.
    UpperBound,
    /// The meter has no price: what is booked is a stand-in, or zero.
    Unpriced,
    /// Booked, and no line says for what.
    Unexplained,
}

impl Basis {
    /// Every basis.
    pub const ALL: [Basis; 6] =
        [Basis::Reported, Basis::Estimated, Basis::Nothing, Basis::UpperBound, Basis::Unpriced, Basis::Unexplained];

    /// The stable name in sums and exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Basis::Reported => "reported",
            Basis::Estimated => "estimated",
            Basis::Nothing => "nothing",
            Basis::UpperBound => "upper_bound",
            Basis::Unpriced => "unpriced",
            Basis::Unexplained => "unexplained",
        }
    }
}

/// The end of an attempt in one word.
pub const fn end_word(end: &AttemptEnd) -> &'static str {
    match end {
        AttemptEnd::Served { .. } => "served",
        AttemptEnd::Failed { .. } => "failed",
        AttemptEnd::Cancelled => "cancelled",
        AttemptEnd::Indeterminate => "indeterminate",
    }
}

/// What an amount is of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Cell {
    /// For which workflow; absent where a key named a lane or model.
    pub workflow: Option<WorkflowName>,
    /// To which configured model.
    pub model: ModelName,
    /// The vendor's model id; empty for a bound, which stands and falls by its attempt alone.
    pub upstream_model: String,
    /// At which provider.
    pub provider: ProviderName,
    /// Where, as the configuration says; empty where it does not.
    pub region: String,
    /// Why.
    pub cause: Cause,
    /// How the attempt ended; empty for a bound.
    pub end: &'static str,
    /// What was counted; absent where nothing was.
    pub meter: Option<Meter>,
    /// Which row of the price book said so, with band, tier, region and contract; empty where none did.
    pub price_row: String,
    /// Price of a unit.
    pub price: PicoUsd,
    /// How far it can be trusted.
    pub basis: Basis,
}

/// One line of what a record adds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summand {
    /// To which sum.
    pub cell: Cell,
    /// One on the first line of an attempt, zero on its others and on those of a settlement or correction, so that a sum counts attempts.
    pub attempts: u32,
    /// Units of the meter.
    pub units: u64,
    /// What was booked for them.
    pub amount: NanoUsd,
}

/// What a record adds to the sums. The amounts add up to [`Cost::booked`]; there is at least one line.
pub fn summands(record: &Record) -> Vec<Summand> {
    let told = match record.usage_origin {
        UsageOrigin::Reported => Basis::Reported,
        UsageOrigin::Estimated { .. } => Basis::Estimated,
        UsageOrigin::None => Basis::Nothing,
    };
    let mut found = Vec::new();
    match &record.cost {
        Cost::Priced { lines, .. } => found.extend(lines.iter().map(|line| of_line(record, line, told))),
        Cost::Unpriced { lines, missing } => {
            for line in lines {
                let basis = if missing.contains(&line.meter) { Basis::Unpriced } else { told };
                found.push(of_line(record, line, basis));
            }
            for meter in missing.iter().filter(|meter| !lines.iter().any(|line| line.meter == **meter)) {
                let cell = Cell { meter: Some(*meter), ..bare(record, Basis::Unpriced) };
                found.push(Summand { cell, attempts: 0, units: record.usage.get(*meter), amount: NanoUsd::ZERO });
            }
        }
        Cost::AtMost(Some(bound)) => found.push(of_bound(record, *bound)),
        Cost::AtMost(None) => found.push(nothing(bare(record, Basis::Unpriced), NanoUsd::ZERO)),
    }
    let explained: i128 = found.iter().map(|summand| i128::from(summand.amount.0)).sum();
    let rest = i128::from(record.cost.booked().0) - explained;
    if rest != 0 {
        let amount = NanoUsd(i64::try_from(rest).unwrap_or(if rest > 0 { i64::MAX } else { i64::MIN }));
        found.push(nothing(bare(record, Basis::Unexplained), amount));
    }
    if found.is_empty() {
        found.push(nothing(bare(record, told), NanoUsd::ZERO));
    }
    found[0].attempts = u32::from(is_try(record));
    found
}

/// The price without the contract's discount, to the pico-dollar: what the provider's list says.
pub fn list_price(price_row: &str, price: PicoUsd) -> PicoUsd {
    let contract = price_row.split('#').find_map(|part| part.strip_prefix("contract-"));
    let left = contract.and_then(|left| PicoUsd::per_million(left).ok()).filter(|left| left.0 > 0);
    let Some(left) = left else { return price };
    PicoUsd(crate::price::half_even(i128::from(price.0) * 1_000_000, i128::from(left.0)))
}

/// A part of a price row's name: `tier`, `above`, `region`, `contract`.
pub fn part<'a>(price_row: &'a str, name: &str) -> Option<&'a str> {
    price_row.split('#').skip(1).find_map(|part| part.strip_prefix(name)?.strip_prefix('-'))
}

/// Whether something was tried: a settlement and a correction are later words on an attempt, unused capacity is none.
fn is_try(record: &Record) -> bool {
    let is_later = record.intent.attempt == record.intent.attempt.settlement();
    !is_later && !matches!(record.intent.cause.as_str(), "correction" | "capacity")
}

fn bare(record: &Record, basis: Basis) -> Cell {
    let intent = &record.intent;
    Cell {
        workflow: intent.workflow.clone(),
        model: intent.model.clone(),
        upstream_model: record.upstream_model.clone(),
        provider: intent.provider.clone(),
        region: record.region.clone().unwrap_or_default(),
        cause: intent.cause,
        end: end_word(&record.end),
        meter: None,
        price_row: String::new(),
        price: PicoUsd(0),
        basis,
    }
}

fn nothing(cell: Cell, amount: NanoUsd) -> Summand {
    Summand { cell, attempts: 0, units: 0, amount }
}

/// The same cell whichever record says it, so that what is taken back leaves nothing behind.
fn of_bound(record: &Record, amount: NanoUsd) -> Summand {
    let bare = bare(record, Basis::UpperBound);
    nothing(Cell { upstream_model: String::new(), region: String::new(), end: "", ..bare }, amount)
}

fn of_line(record: &Record, line: &domain::CostLine, basis: Basis) -> Summand {
    if line.amount < NanoUsd::ZERO && line.price_row.starts_with("upper bound of ") {
        return of_bound(record, line.amount);
    }
    let cell =
        Cell { meter: Some(line.meter), price_row: line.price_row.clone(), price: line.price, ..bare(record, basis) };
    // What is taken back counts nothing, and its price says nothing: one cell holds it, whatever the amounts.
    match line.amount < NanoUsd::ZERO {
        true => Summand { cell: Cell { price: PicoUsd(0), ..cell }, attempts: 0, units: 0, amount: line.amount },
        false => Summand { cell, attempts: 0, units: line.units, amount: line.amount },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::examples;
    use domain::CostLine;
    use proptest::prelude::*;

    #[test]
    fn a_bound_that_is_taken_back_leaves_nothing_in_its_cell() {
        let mut bound = examples::record();
        bound.cost = Cost::AtMost(Some(NanoUsd(90)));
        let mut settled = examples::record();
        settled.intent.attempt = settled.intent.attempt.settlement();
        (settled.upstream_model, settled.region) = ("another".into(), None);
        let Cost::Priced { lines, total } = &mut settled.cost else { unreachable!("the example is priced") };
        lines.push(CostLine::taking_back(NanoUsd(90), bound.intent.attempt));
        *total -= NanoUsd(90);
        let (first, second) = (summands(&bound), summands(&settled));
        assert_eq!((first[0].attempts, second[0].attempts), (1, 0), "a settlement is no further attempt");
        let back = second.iter().find(|summand| summand.amount < NanoUsd::ZERO).unwrap();
        assert_eq!((&back.cell, back.amount + first[0].amount), (&first[0].cell, NanoUsd::ZERO));
    }

    #[test]
    fn a_missing_price_is_a_line_of_its_own() {
        let mut record = examples::record();
        record.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] };
        let found = summands(&record);
        assert_eq!((found[0].cell.basis, found[0].amount), (Basis::Unpriced, NanoUsd::ZERO));
        assert_eq!(found[0].units, record.usage.get(Meter::Input));
    }

    #[test]
    fn the_list_price_is_the_price_without_the_contract() {
        let row = "openai/gpt-4o@2026-11-12#above-200000#tier-batch#contract-0.85";
        assert_eq!(list_price(row, PicoUsd(2_125_000)), PicoUsd(2_500_000));
        assert_eq!(list_price("openai/gpt-4o@2026-11-12", PicoUsd(7)), PicoUsd(7));
        assert_eq!((part(row, "tier"), part(row, "above"), part(row, "region")), (Some("batch"), Some("200000"), None));
    }

    proptest! {
        #[test]
        fn what_a_record_adds_is_what_it_booked(record in examples::any_record()) {
            let found = summands(&record);
            let sum: i128 = found.iter().map(|summand| i128::from(summand.amount.0)).sum();
            prop_assert_eq!(sum, i128::from(record.cost.booked().0));
            let is_settlement = record.intent.attempt == record.intent.attempt.settlement();
            prop_assert_eq!(found.iter().map(|summand| summand.attempts).sum::<u32>(), u32::from(!is_settlement));
        }
    }
}
