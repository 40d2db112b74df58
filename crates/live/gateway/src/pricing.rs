//! What of a price is no matter of its row: where a provider bills by its address, calls of other models within an answer, and what
//! is told where a provider says another cost.

use std::sync::Arc;

use config::Model;
use domain::{Cost, Record};
use ledger::PriceRow;
use ledger::price::Served;
use ledger::provider_cost::Difference;
use wire::usage::Beside;

use crate::metrics::Metrics;

/// Where a provider bills processing by the address it is asked at; an answer that says where it was processed knows better.
pub fn billed_region(model: &Model) -> Option<&str> {
    model.provider.billed_region.as_ref().map(|region| region.as_str())
}

/// What a call of a model within the answer cost: by the price of the configured model of this provider that has its id. Without one
/// the model that was asked stands in, and the alarm rings.
pub fn priced_beside(
    one: &Beside,
    models: &[Arc<Model>],
    asked: &Model,
    row: Option<&PriceRow>,
    served: &Served,
) -> Cost {
    let Some(id) = &one.model else { return ledger::price::price(&one.usage, row, served) };
    let here = |model: &&Arc<Model>| model.provider.name == asked.provider.name && model.upstream == *id;
    let own = models.iter().find(here).and_then(|model| model.price_at(served.at));
    match own {
        Some(own) => ledger::price::price(&one.usage, Some(own), served),
        None => ledger::price::price_standing_in(&one.usage, row, served),
    }
}

/// Says that a provider tells another cost than was booked. The first time of a model, and then each time that they have doubled: the
/// metric and the books have every one.
pub fn tell_difference(record: &Record, metrics: &Metrics) {
    let Some(difference) = Difference::of(record) else { return };
    let times = metrics.cost_difference(&record.intent.model);
    if times.is_power_of_two() {
        tracing::warn!(
            attempt = %record.intent.attempt,
            model = %record.intent.model,
            booked_usd = %difference.ours,
            provider_usd = %difference.theirs,
            percent = difference.percent(),
            times,
            "a provider says another cost than was booked; compare its price list with ours, and see `freehold ledger export --differing`"
        );
    }
}
