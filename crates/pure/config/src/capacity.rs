//! `[capacity.*]`: what was bought by the hour, which models it serves, and what a token of it costs.

use domain::usage::Direction;
use domain::{Meter, ModelName};
use ledger::capacity::Capacity;
use ledger::price::{BEGINNING, PriceBook, PriceRow, Prices, ServedByCapacity, TierPrices};

use crate::key::{Key, Section};
use crate::names::{Declared, did_you_mean};
use crate::problem::At;
use crate::raw::{Named, Table};

/// A capacity with what it serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoughtCapacity {
    /// As it was bought.
    pub capacity: Capacity,
    /// The models it serves; the first stands in records of what was not used.
    pub models: Vec<ModelName>,
    /// The tier by which a provider says that it served; absent where it serves every call of its models.
    pub tier: Option<String>,
    /// How many tokens of the capacity a token received takes.
    pub output_weight: u32,
}

/// Keys of `[capacity.NAME]`.
pub const SECTION: Section = Section {
    path: "capacity.NAME",
    about: "Provisioned capacity, paid for by the hour whether it is used or not (Azure PTU, Vertex GSU, Bedrock model units, a reserved tier). Each token it serves is booked at its share of an hour at full use; what of an hour nobody used is booked once the hour is over, with the cause `capacity`, so that the two together are what the provider bills.",
    keys: &[
        Key {
            name: "models",
            takes: "list of names of `[models.*]` entries",
            default: "required",
            meaning: "What it serves.",
            example: "[\"gemini-east\"]",
        },
        Key {
            name: "units",
            takes: "1 to 1000000",
            default: "required",
            meaning: "How many units were bought.",
            example: "15",
        },
        Key {
            name: "unit_hour",
            takes: "amount in USD",
            default: "required",
            meaning: "What a unit costs for an hour, in the term that was bought: a month's price over its hours.",
            example: "\"1.50 USD\"",
        },
        Key {
            name: "tokens_per_minute",
            takes: "tokens, 1 to 4294967295",
            default: "required",
            meaning: "How many tokens a unit serves a minute at full use, tokens received counted by their weight.",
            example: "50_000",
        },
        Key {
            name: "output_weight",
            takes: "1 to 1000",
            default: "1",
            meaning: "How many tokens of the capacity a token received takes.",
            example: "4",
        },
        Key {
            name: "tier",
            takes: "text",
            default: "every call of its models",
            meaning: "The service tier by which the provider's answer says that the capacity served, such as Vertex's `PROVISIONED_THROUGHPUT`; what flows over is billed by the token.",
            example: "\"PROVISIONED_THROUGHPUT\"",
        },
        Key {
            name: "term",
            takes: "text",
            default: "`hour`",
            meaning: "For how long it was bought; said in reports.",
            example: "\"month\"",
        },
        Key {
            name: "from",
            takes: "day",
            default: "required",
            meaning: "The first day it is paid for (UTC).",
            example: "2026-07-01",
        },
        Key {
            name: "until",
            takes: "day, after `from`",
            default: "for ever",
            meaning: "The day before which it ends (UTC).",
            example: "2027-07-01",
        },
    ],
    meters: false,
};

/// Reads `[capacity.*]`. The names of its models are checked by [`known`].
pub(crate) fn read<'d>(root: &Table<'d>) -> Vec<(BoughtCapacity, Vec<At<&'d str>>)> {
    root.named("capacity", &SECTION).iter().filter_map(one).collect()
}

fn one<'d>(named: &Named<'d>) -> Option<(BoughtCapacity, Vec<At<&'d str>>)> {
    let table = &named.table;
    for name in ["models", "units", "unit_hour", "tokens_per_minute", "from"] {
        if !table.has(name) && !table.is_spoiled() {
            table.missing(name, "a capacity needs `models`, `units`, `unit_hour`, `tokens_per_minute` and `from`");
        }
    }
    let small = |name: &str, most: u64| table.count(name, 1..=most).and_then(|count| u32::try_from(count).ok());
    let models = table.texts("models");
    let (units, tokens_per_minute) = (small("units", 1_000_000), small("tokens_per_minute", u64::from(u32::MAX)));
    let output_weight = small("output_weight", 1_000);
    let (unit_hour, from, until) = (table.usd("unit_hour"), table.day("from"), table.day("until"));
    let text = |name| table.text(name).map(|text| text.value.to_owned());
    let (term, tier) = (text("term"), text("tier"));
    if let (Some(from), Some(until)) = (&from, &until)
        && until.value <= from.value
    {
        table.problems().error(&until.place, "ends before it begins", "write a day after `from`");
    }
    if unit_hour.as_ref().is_some_and(|hour| hour.value.0 <= 0) {
        table.problems().error(&table.place_of("unit_hour"), "is no price above 0", "write it as \"1.50 USD\"");
        return None;
    }
    let models = models?.value;
    let capacity = Capacity {
        name: named.name.to_owned(),
        units: units?,
        unit_hour: unit_hour?.value,
        from: from?.value,
        until: until.map(|until| until.value),
        tokens_per_minute: tokens_per_minute?,
        term: term.unwrap_or_else(|| "hour".to_owned()),
    };
    let names = models.iter().map(|model| ModelName::from(model.value)).collect();
    let bought = BoughtCapacity { capacity, models: names, tier, output_weight: output_weight.unwrap_or(1) };
    Some((bought, models))
}

/// Reports models that are not there; gives the capacities.
pub(crate) fn known<T>(
    table: &Table,
    read: Vec<(BoughtCapacity, Vec<At<&str>>)>,
    models: &[Declared<T>],
) -> Vec<BoughtCapacity> {
    for model in read.iter().flat_map(|(_, models)| models) {
        if !models.iter().any(|declared| declared.name == model.value) {
            let remedy = did_you_mean(model.value, models.iter().map(|declared| declared.name));
            table.problems().error(&model.place, format!("there is no model `{}`", model.value), remedy);
        }
    }
    read.into_iter().map(|(bought, _)| bought).collect()
}

impl BoughtCapacity {
    /// A model's prices with what this capacity serves of it.
    pub(crate) fn serving(&self, name: &str, listed: Option<PriceBook>) -> Option<PriceBook> {
        let Capacity { from, until, .. } = self.capacity;
        let token = self.capacity.token_price().ok()?;
        let received = domain::PicoUsd(token.0.saturating_mul(i64::from(self.output_weight)));
        let by_direction = |prices: Prices, meter: Meter| match meter.direction() {
            Direction::Input => prices.with(meter, token),
            Direction::Output => prices.with(meter, received),
            Direction::Apiece => prices,
        };
        let served = ServedByCapacity { tier: self.tier.clone(), name: self.capacity.name.clone() };
        match &self.tier {
            Some(tier) => Some(listed?.changed_between(from, until, &|mut row| {
                // Every meter that the row prices, since one that a tier leaves out keeps its price.
                let meters = row.prices.iter().map(|(meter, _)| meter).chain([Meter::Input, Meter::Output]);
                let prices = meters.fold(Prices::NONE, by_direction);
                row.tiers.retain(|known| known.tier != *tier);
                row.tiers.push(TierPrices { tier: tier.clone(), prices, bands: Vec::new() });
                row.capacity.push(served.clone());
                row
            })),
            None => {
                let prices = [Meter::Input, Meter::Output].into_iter().fold(Prices::NONE, by_direction);
                let id = format!("capacity/{}", self.capacity.name);
                let own = PriceRow {
                    from,
                    to: until,
                    capacity: vec![served],
                    source: format!("capacity.{}", self.capacity.name),
                    ..PriceRow::new(id, "freehold.toml", name, prices)
                };
                let around = |row: &PriceRow| {
                    let before = PriceRow { to: Some(row.to.map_or(from, |to| to.min(from))), ..row.clone() };
                    let after = until.map(|until| PriceRow { from: row.from.max(until), ..row.clone() });
                    let lasts = |row: &PriceRow| row.to.is_none_or(|to| row.from < to);
                    [Some(before), after].into_iter().flatten().filter(lasts).collect::<Vec<_>>()
                };
                debug_assert!(from > BEGINNING, "a day lies after the beginning");
                let mut rows: Vec<PriceRow> = listed.iter().flat_map(PriceBook::rows).flat_map(around).collect();
                rows.push(own);
                PriceBook::new(rows).ok()
            }
        }
    }
}
