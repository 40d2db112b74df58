//! Alarms about money that is not in the books: tokens at a price of zero that have a price, answers without a usage, and days on
//! which a provider says it counted something else.

use std::collections::BTreeMap;

use config::Model;
use domain::usage::Direction;
use domain::{Cause, UnixMs};
use ledger::cells::Basis;
use store::MeterSum;
use store::rollup::DAY_MS;

use super::{Today, alarm};
use crate::capture;
use crate::control::Control;
use crate::failure::ControlError;
use crate::views::Alarm;

/// Days of a provider's report that are looked at.
const TOLD_DAYS: i64 = 35;
/// Pico-dollars that never round to nothing.
const A_NANO_DOLLAR: i128 = 1_000;

pub(super) async fn all(control: &Control, today: Today) -> Result<Vec<Alarm>, ControlError> {
    let mut alarms = Vec::new();
    let sums = control.store().meter_totals(today.day, UnixMs(today.day.0 + DAY_MS)).await?;
    let (snapshot, _) = control.running().snapshot();
    for model in &snapshot.models {
        let of_model = sums.iter().filter(|sum| sum.cell.model == model.name);
        alarms.extend(without_cost(model, of_model, control.now()));
    }
    let from = UnixMs(today.day.0 - TOLD_DAYS * DAY_MS);
    for provider in control.store().tellers(from).await? {
        let days = capture::compare(control.store(), &provider, from).await?;
        // The report of a day that is not over is not whole.
        let off = days.iter().filter(|day| day.start < today.day && day.is_off());
        let off: BTreeMap<String, i64> = off
            .map(|day| {
                let worst =
                    day.pairs().iter().filter_map(|(_, pair)| pair.rate()).min_by_key(|rate| -(rate - 1_000).abs());
                (day.start.to_string()[..10].to_owned(), worst.unwrap_or(0))
            })
            .collect();
        if let Some((day, rate)) = off.first_key_value() {
            let message = format!(
                "provider `{provider}` says it counted something else than the books hold on {} of the last {TOLD_DAYS} days, first \
                 {day} ({}.{} % captured); see `freehold ledger capture --provider {provider}`",
                off.len(),
                rate / 10,
                rate % 10
            );
            alarms.push(alarm("capture", message));
        }
    }
    Ok(alarms)
}

/// Tokens at a price of zero though the model has one, and answers of which nobody knows what they used.
fn without_cost<'a>(model: &Model, sums: impl Iterator<Item = &'a MeterSum>, now: UnixMs) -> Vec<Alarm> {
    let costs = |row: &ledger::PriceRow| row.prices.iter().any(|(_, price)| price.0 > 0);
    if !model.prices.as_ref().and_then(|book| book.row(now)).is_some_and(costs) {
        return Vec::new();
    }
    let (mut tokens, mut silent) = (0u64, 0u64);
    for sum in sums {
        let cell = &sum.cell;
        let counted = matches!(cell.basis, Basis::Reported | Basis::Estimated);
        let is_token = cell.meter.is_some_and(|meter| meter.direction() != Direction::Apiece);
        let worth = i128::from(cell.price.0) * i128::from(sum.units);
        let lost = sum.amount.0 == 0 && (cell.price.0 == 0 || worth >= A_NANO_DOLLAR);
        tokens += if counted && is_token && lost { sum.units } else { 0 };
        let answers = matches!(cell.cause, Cause::Serve | Cause::Retry | Cause::Failover | Cause::Embed);
        silent += if answers && cell.end == "served" && cell.meter.is_none() && counted_nothing(cell.basis) {
            sum.attempts
        } else {
            0
        };
    }
    let mut alarms = Vec::new();
    if tokens > 0 {
        let message = format!(
            "{tokens} tokens of model `{}` today cost nothing, though it has a price; compare `models.{}` with the provider's list",
            model.name, model.name
        );
        alarms.push(alarm("zero_cost", message));
    }
    if silent > 0 {
        let message = format!(
            "{silent} answers of model `{}` today came without a usage, and cost nothing in the books; compare with the provider's \
             own usage (`freehold ledger capture`)",
            model.name
        );
        alarms.push(alarm("no_usage", message));
    }
    alarms
}

fn counted_nothing(basis: Basis) -> bool {
    matches!(basis, Basis::Nothing | Basis::Reported | Basis::Estimated)
}
