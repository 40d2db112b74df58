//! Prices by meter as a table says them, in the catalog and in the configuration alike.

use domain::Meter;
use ledger::Prices;
use ledger::price::Band;

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
