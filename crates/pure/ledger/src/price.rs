//! What does this usage cost? Counts by meter times prices by meter, each line rounded once, each naming its price row.
//!
//! A price has more dimensions than its meter: modality, effective dates, context bands (by the whole request), steps by the
//! units of a request, the service tier served, the hour, the region billed, a contract's discount, and calls of other models
//! within an answer, each by its own row ([`together`]). Totals over many calls come after: [`crate::running`].

use domain::{Cost, CostLine, NanoUsd, Usage};

pub use crate::bound::{
    expected, expected_of_units, gpu_price, prices_tokens, saved_by_cache, upper_bound, upper_bound_for,
    upper_bound_of_ranking, upper_bound_of_units,
};
pub use crate::rounding::multiplier_millionths;
pub use crate::rows::{
    BEGINNING, BadBook, Band, OffPeak, PriceBook, PriceRow, Prices, RegionPrices, Served, ServedByCapacity, Slice,
    TierPrices,
};
use crate::terms::Terms;

/// Prices a usage: one line per meter that is not zero, each rounded once, half to even.
///
/// A meter without a price, its fallbacks tried, makes the whole cost [`Cost::Unpriced`]. So does a service tier the row
/// does not know: its lines then stand at the standard price, so that a budget is charged with the nearest known
/// figure while the alarm rings, and every meter is listed as missing. No row prices nothing, unless nothing was used.
pub fn price(usage: &Usage, row: Option<&PriceRow>, served: &Served) -> Cost {
    // Most usages have input and output, and some of them a part that was cached.
    let mut lines = Vec::with_capacity(4);
    let mut missing = Vec::new();
    let terms = row.map(|row| Terms::of(row, served));
    let input_tokens = usage.input_tokens();
    for (meter, units) in usage.counts() {
        let Some(terms) = &terms else {
            missing.push(meter);
            continue;
        };
        let parts = terms.parts(meter, units, input_tokens);
        if parts.is_empty() || !terms.tier_known {
            missing.push(meter);
        }
        lines.extend(parts.into_iter().map(|(units, found)| {
            let price = terms.billed(found.price);
            CostLine { meter, units, price, amount: price.times(units), price_row: terms.name(&found) }
        }));
    }
    if missing.is_empty() {
        let total = lines.iter().fold(NanoUsd::ZERO, |sum, line| sum.saturating_add(line.amount));
        Cost::Priced { total, lines }
    } else {
        Cost::Unpriced { lines, missing }
    }
}

/// Prices the requests of a batch: each by its own size, as bands want it, and lines of the same price put together and rounded
/// once.
pub fn price_each(usages: &[Usage], row: Option<&PriceRow>, served: &Served) -> Cost {
    together(usages.iter().map(|usage| price(usage, row, served)))
}

/// One cost of several parts, each priced by itself: an answer for which several calls of models were made. Lines of the same
/// price and row are put together and rounded once.
pub fn together(parts: impl IntoIterator<Item = Cost>) -> Cost {
    let mut lines: Vec<CostLine> = Vec::new();
    let mut missing = Vec::new();
    for part in parts {
        let (found, unpriced) = match part {
            Cost::Priced { lines, .. } => (lines, Vec::new()),
            Cost::Unpriced { lines, missing } => (lines, missing),
            Cost::AtMost(_) => (Vec::new(), Vec::new()),
        };
        missing.extend(unpriced);
        for line in found {
            let is_same = |known: &CostLine| {
                known.meter == line.meter && known.price == line.price && known.price_row == line.price_row
            };
            match lines.iter_mut().find(|known| is_same(known)) {
                Some(known) => known.units = known.units.saturating_add(line.units),
                None => lines.push(line),
            }
        }
    }
    lines.iter_mut().for_each(|line| line.amount = line.price.times(line.units));
    missing.sort();
    missing.dedup();
    match missing.is_empty() {
        true => Cost::Priced { total: lines.iter().map(|line| line.amount).sum(), lines },
        false => Cost::Unpriced { lines, missing },
    }
}

/// A usage of a model without a row of its own, at the prices of one that stands in: its lines charge a budget with the nearest
/// known figure, while the alarm rings for every meter.
pub fn price_standing_in(usage: &Usage, row: Option<&PriceRow>, served: &Served) -> Cost {
    let lines = match price(usage, row, served) {
        Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. } => lines,
        Cost::AtMost(_) => Vec::new(),
    };
    Cost::Unpriced { lines, missing: usage.counts().map(|(meter, _)| meter).collect() }
}

/// What all of them consumed.
pub fn total_usage(usages: &[Usage]) -> Usage {
    let mut total = Usage::ZERO;
    usages.iter().flat_map(Usage::counts).for_each(|(meter, count)| total.add(meter, count));
    total
}

#[cfg(test)]
#[path = "price_tests.rs"]
mod tests;
