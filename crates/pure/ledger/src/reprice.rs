//! What would an attempt cost by another price list, at the prices of its own day? Stored costs stay as they are; what differs
//! becomes an entry of its own, the correction.
//!
//! An attempt of one request is priced anew from its counts. Of a batch, and of an answer for which several models were called,
//! only the lines say what was billed together, so each line is priced anew by itself, at the context band that it names.

use std::collections::BTreeMap;

use domain::{AttemptEnd, AttemptId, Cause, Cost, CostLine, Intent, Meter, NanoUsd, PicoUsd, Record, ServedAs, UnixMs};
use domain::{Usage, UsageOrigin};

use crate::rows::{PriceBook, PriceRow, Served};
use crate::terms::Terms;

/// Where prices are found.
pub trait Books {
    /// The prices of what a record was sent to.
    fn of_record(&self, record: &Record) -> Option<&PriceBook>;
    /// The prices of the model that a stored line names by the id of its row; for calls of other models within an answer.
    fn of_line(&self, record: &Record, row: &str) -> Option<&PriceBook>;
    /// The very row that a line names, where it is known, however old: it tells which context bands there were.
    fn row(&self, id: &str) -> Option<&PriceRow>;
}

/// What became of an attempt.
#[derive(Clone, PartialEq, Debug)]
pub enum Repriced {
    /// It costs what is booked.
    Same,
    /// It costs something else.
    Changed(Change),
    /// It cannot be priced anew, and stays as it is.
    Left(Why),
}

/// A cost that differs.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// What is booked, corrections made before included.
    pub booked: Vec<CostLine>,
    /// What it costs by the other list.
    pub now: Vec<CostLine>,
    /// What takes the one to the other; its sum is the correction.
    pub lines: Vec<CostLine>,
}

/// Why an attempt is left as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// It is no call of a model, or a correction itself.
    NotPriced,
    /// It is booked at an upper bound.
    Bound,
    /// The list has no price for it at that time, or not for every meter.
    NoPrice,
    /// A provisioned capacity served it, which is paid for by the hour.
    Capacity,
    /// Its price depends on what other calls consumed before it: a free allowance, a credit, a step of volume.
    Totals,
    /// It was billed in one sum with others, and the list has other context bands than the one it was priced by.
    OtherBands,
}

impl Why {
    /// As reports say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::NotPriced => "no call of a model",
            Why::Bound => "booked at an upper bound",
            Why::NoPrice => "no price in the list at that time",
            Why::Capacity => "served by provisioned capacity",
            Why::Totals => "priced by a total over many calls",
            Why::OtherBands => "billed in one sum, and the list has other context bands",
        }
    }
}

/// Prices an attempt anew. `corrections` are what was booked to correct it before.
pub fn reprice(record: &Record, corrections: &[Record], books: &dyn Books) -> Repriced {
    if matches!(record.intent.cause, Cause::Correction | Cause::Capacity | Cause::Tool | Cause::Keep) {
        return Repriced::Left(Why::NotPriced);
    }
    let lines = match &record.cost {
        Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. } => lines,
        Cost::AtMost(_) => return Repriced::Left(Why::Bound),
    };
    if lines.is_empty() && record.usage == Usage::ZERO {
        return Repriced::Same;
    }
    // What takes an upper bound back is no price.
    let priced: Vec<&CostLine> = lines.iter().filter(|line| line.amount >= NanoUsd::ZERO).collect();
    if priced.iter().any(|line| line.price_row.contains("#capacity-")) {
        return Repriced::Left(Why::Capacity);
    }
    let now = match anew(record, &priced, books) {
        Ok(now) => now,
        Err(why) => return Repriced::Left(why),
    };
    let corrected = corrections.iter().flat_map(|one| match &one.cost {
        Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. } => &lines[..],
        Cost::AtMost(_) => &[],
    });
    let booked: Vec<CostLine> = priced.into_iter().chain(corrected).cloned().collect();
    let sum = |lines: &[CostLine]| lines.iter().map(|line| line.amount).sum::<NanoUsd>();
    if sum(&booked) == sum(&now) {
        return Repriced::Same;
    }
    let lines = between(&booked, &now);
    Repriced::Changed(Change { booked: net(&booked), now, lines })
}

/// The record that books a change: new, of its own name, and under the time of the attempt, so that it falls into the window in
/// which the attempt was booked. `number` counts the corrections of its call from zero.
pub fn correction(of: &Record, number: u16, lines: Vec<CostLine>, why: &str, now: UnixMs) -> Record {
    let attempt = AttemptId { call: of.intent.attempt.call, ordinal: AttemptId::CORRECTIONS.saturating_add(number) };
    let total = lines.iter().map(|line| line.amount).sum();
    Record {
        intent: Intent { attempt, cause: Cause::Correction, hold: None, ..of.intent.clone() },
        ended_at: now,
        end: AttemptEnd::Served { finish: Some("corrected".into()) },
        status: None,
        upstream_model: of.upstream_model.clone(),
        region: of.region.clone(),
        usage: Usage::ZERO,
        usage_residue: 0,
        usage_origin: UsageOrigin::None,
        cost: Cost::Priced { total, lines },
        provider_cost: None,
        latency_ms: 0,
        first_token_ms: None,
        decision: format!("corrects {}: {why}", of.intent.attempt),
        losses: Vec::new(),
        provider_request_id: None,
        served: ServedAs::default(),
        corrects: Some(of.intent.attempt),
        counted: Vec::new(),
    }
}

fn anew(record: &Record, priced: &[&CostLine], books: &dyn Books) -> Result<Vec<CostLine>, Why> {
    let together = record.intent.cause == Cause::Batch || models(priced).len() > 1;
    let (tier, region) = (tier(record, priced), region(record, priced));
    let served = Served { at: record.intent.at, tier: tier.as_deref(), region: region.as_deref() };
    if !together {
        let row = books.of_record(record).and_then(|book| book.row(served.at));
        if depends_on_totals(record, priced, row) {
            return Err(Why::Totals);
        }
        return match crate::price::price(&record.usage, row, &served) {
            Cost::Priced { lines, .. } => Ok(lines),
            Cost::Unpriced { .. } | Cost::AtMost(_) => Err(Why::NoPrice),
        };
    }
    priced.iter().map(|line| by_itself(record, line, books, &served)).collect()
}

/// A line priced by itself: its units at the price of its meter, in the band that it names.
fn by_itself(record: &Record, line: &CostLine, books: &dyn Books, served: &Served) -> Result<CostLine, Why> {
    let id = row_id(&line.price_row);
    let row = books.of_line(record, id).and_then(|book| book.row(served.at)).ok_or(Why::NoPrice)?;
    if depends_on_totals(record, &[line], Some(row)) {
        return Err(Why::Totals);
    }
    let bands = |row: &PriceRow| {
        let tiered = row.tiers.iter().flat_map(|tier| &tier.bands);
        row.bands.iter().chain(tiered).map(|band| band.above_input_tokens).collect::<std::collections::BTreeSet<_>>()
    };
    if !row.slices.is_empty() || books.row(id).map_or(!bands(row).is_empty(), |old| bands(old) != bands(row)) {
        return Err(Why::OtherBands);
    }
    let above = part(&line.price_row, "above").and_then(|above| above.parse::<u64>().ok());
    let terms = Terms::of(row, served);
    let found = terms.price(line.meter, above.map_or(0, |above| above.saturating_add(1))).ok_or(Why::NoPrice)?;
    let price = terms.billed(found.price);
    let amount = price.times(line.units);
    Ok(CostLine { meter: line.meter, units: line.units, price, amount, price_row: terms.name(&found) })
}

/// Whether a total over many calls moved the price of a line, or would by the new row. One that only counts, as a commitment does,
/// moves none.
fn depends_on_totals(record: &Record, lines: &[&CostLine], row: Option<&PriceRow>) -> bool {
    let moved = |name: &str| {
        lines.iter().any(|line| part(&line.price_row, name).is_some() || part(&line.price_row, "free") == Some(name))
    };
    let moves =
        |name: &str| row.is_some_and(|row| row.running.iter().any(|one| one.name == name && !one.steps.is_empty()));
    record.counted.iter().any(|counted| moved(&counted.name) || moves(&counted.name))
}

/// The row that a line names, without what moved its price.
pub fn row_id(price_row: &str) -> &str {
    price_row.split('#').next().unwrap_or(price_row)
}

/// What stands behind `#NAME-` in a line's row.
fn part<'l>(price_row: &'l str, name: &str) -> Option<&'l str> {
    price_row.split('#').skip(1).find_map(|part| part.strip_prefix(name)?.strip_prefix('-'))
}

/// The models that lines name: their rows without the day behind the last `@`.
fn models<'l>(lines: &[&'l CostLine]) -> std::collections::BTreeSet<&'l str> {
    lines
        .iter()
        .map(|line| row_id(&line.price_row))
        .map(|id| id.rsplit_once('@').map_or(id, |(model, _)| model))
        .collect()
}

/// The tier that served: as the record says, or, in one written before records said it, as its lines do.
fn tier(record: &Record, lines: &[&CostLine]) -> Option<String> {
    record
        .served
        .tier
        .clone()
        .or_else(|| lines.iter().find_map(|line| part(&line.price_row, "tier")).map(str::to_owned))
}

fn region(record: &Record, lines: &[&CostLine]) -> Option<String> {
    record
        .served
        .region
        .clone()
        .or_else(|| lines.iter().find_map(|line| part(&line.price_row, "region")).map(str::to_owned))
}

/// What a line counts: a price below zero takes back what stood under the same row and price.
type Key = (Meter, String, PicoUsd);

/// Lines of the same meter, row and price put together; what was taken back is gone.
fn net(lines: &[CostLine]) -> Vec<CostLine> {
    let sums = sums(lines, 1, BTreeMap::new());
    sums.into_iter().filter_map(|(key, sum)| line(key, sum)).collect()
}

/// The lines that lead from the booked ones to the new ones.
fn between(booked: &[CostLine], now: &[CostLine]) -> Vec<CostLine> {
    let sums = sums(now, 1, sums(booked, -1, BTreeMap::new()));
    sums.into_iter().filter_map(|(key, sum)| line(key, sum)).collect()
}

/// Units and nano-dollars under each key.
fn sums(lines: &[CostLine], sign: i128, mut sums: BTreeMap<Key, (i128, i128)>) -> BTreeMap<Key, (i128, i128)> {
    for line in lines {
        let taken_back = line.price < PicoUsd(0);
        let key = (line.meter, line.price_row.clone(), PicoUsd(line.price.0.saturating_abs()));
        let sum = sums.entry(key).or_default();
        sum.0 += sign * i128::from(line.units) * if taken_back { -1 } else { 1 };
        sum.1 += sign * i128::from(line.amount.0);
    }
    sums
}

fn line((meter, price_row, price): Key, (units, amount): (i128, i128)) -> Option<CostLine> {
    let sign = if amount < 0 || units < 0 { -1 } else { 1 };
    let clamped = |value: i128| i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX });
    (amount != 0).then(|| CostLine {
        meter,
        units: u64::try_from(units.abs()).unwrap_or(u64::MAX),
        price: PicoUsd(price.0.saturating_mul(sign)),
        amount: NanoUsd(clamped(amount)),
        price_row,
    })
}

#[cfg(test)]
#[path = "reprice_tests.rs"]
mod tests;
