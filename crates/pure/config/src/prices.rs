//! Prices by meter as a table says them, in the catalog and in the configuration alike.

use domain::Meter;
use ledger::Prices;
use ledger::price::{Band, RegionPrices, TierPrices, multiplier_millionths};

use crate::key::{Key, Section};
use crate::raw::Table;

/// Keys of a context band.
pub const BAND: Section = Section {
    path: "models.NAME.price.band",
    about: "Prices of the whole request once its input is above a threshold; a meter not named keeps its price.",
    keys: &[Key {
        name: "above_input_tokens",
        takes: "tokens",
        default: "required",
        meaning: "The band applies above this much input.",
        example: "200_000",
    }],
    meters: true,
};

/// Keys of a service tier.
pub const TIER: Section = Section {
    path: "models.NAME.price.tier",
    about: "Prices of what a provider says it served in a tier of its own; a meter not named keeps its price.",
    keys: &[
        Key {
            name: "tier",
            takes: "text",
            default: "required",
            meaning: "The tier's name in the provider's answer, such as `flex` or `priority`; `batch` for batches, whose cost is not known without it.",
            example: "\"batch\"",
        },
        Key {
            name: "band",
            takes: "list of tables",
            default: "none",
            meaning: "Other prices for long requests.",
            example: "[{ above_input_tokens = 200_000, input = \"3.00\" }]",
        },
    ],
    meters: true,
};

/// Keys of a region billed apart.
pub const REGION: Section = Section {
    path: "models.NAME.price.region",
    about: "Where the provider bills processing in a region apart, as it says where it processed. The narrowest region counts.",
    keys: &[
        Key {
            name: "region",
            takes: "text, such as `eu` or `eu-de`",
            default: "required",
            meaning: "The region in the provider's answer.",
            example: "\"us\"",
        },
        Key {
            name: "multiplier",
            takes: "decimal text, above 0",
            default: "required",
            meaning: "What every price is multiplied by there.",
            example: "\"1.1\"",
        },
    ],
    meters: false,
};

/// The meters a table prices.
pub(crate) fn read(table: &Table) -> Prices {
    let mut prices = Prices::NONE;
    for meter in Meter::ALL {
        if let Some(price) = table.usd_per_million(meter.as_str()) {
            prices.set(*meter, price.value);
        }
    }
    prices
}

/// The context bands of a table.
pub(crate) fn bands(table: &Table) -> Vec<Band> {
    let mut bands = Vec::new();
    for band in table.list("band", &BAND) {
        match band.count("above_input_tokens", 0..=u64::MAX) {
            Some(above_input_tokens) => bands.push(Band { above_input_tokens, prices: read(&band) }),
            None => band.missing("above_input_tokens", "say above how many input tokens the band applies"),
        }
    }
    bands
}

/// The service tiers of a table.
pub(crate) fn tiers(table: &Table) -> Vec<TierPrices> {
    let mut tiers = Vec::new();
    for tier in table.list("tier", &TIER) {
        match tier.text("tier") {
            Some(name) => {
                tiers.push(TierPrices { tier: name.value.to_owned(), prices: read(&tier), bands: bands(&tier) })
            }
            None if tier.has("tier") => {}
            None => tier.missing("tier", "name the tier as the provider's answers do, such as batch"),
        }
    }
    tiers
}

/// The regions of a table that are billed apart.
pub(crate) fn regions(table: &Table) -> Vec<RegionPrices> {
    table.list("region", &REGION).iter().filter_map(region).collect()
}

fn region(table: &Table) -> Option<RegionPrices> {
    for name in ["region", "multiplier"] {
        if !table.has(name) {
            table.missing(name, "write it as { region = \"us\", multiplier = \"1.1\" }");
        }
    }
    let region = table.region("region")?.as_str().to_owned();
    let multiplier = table.decimal_text("multiplier", "\"1.1\"")?;
    match multiplier_millionths(multiplier.value) {
        Ok(multiplier_millionths) => Some(RegionPrices { region, multiplier_millionths }),
        Err(error) => {
            table.problems().error(&multiplier.place, error.to_string(), "write a decimal such as \"1.1\"");
            None
        }
    }
}
