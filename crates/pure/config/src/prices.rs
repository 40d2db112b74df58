//! Prices by meter as a table says them, in the catalog and in the configuration alike.

use domain::{Meter, NanoUsd, PicoUsd};
use ledger::hours::{DAY_MINUTES, Hours};
use ledger::price::{Band, OffPeak, PriceRow, RegionPrices, Slice, TierPrices, multiplier_millionths};
use ledger::running::Running;
use ledger::{Period, Prices, Window};

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

/// Keys of a step by the units of one request.
pub const SLICE: Section = Section {
    path: "models.NAME.price.slice",
    about: "Prices of the units of one request that lie above a count, the units below keeping theirs; a meter not named has no step there. In the standard tier. (A band, by contrast, moves the whole request.)",
    keys: &[Key {
        name: "above_units",
        takes: "units of each meter",
        default: "required",
        meaning: "The step begins above this many units of the meter in one request.",
        example: "32_000",
    }],
    meters: true,
};

/// Keys of hours with other prices.
pub const OFF_PEAK: Section = Section {
    path: "models.NAME.price.off_peak",
    about: "Prices that hold in certain hours (UTC), by the moment a call was sent, where no service tier served it; a meter not named keeps its price. Where several hold, the first does.",
    keys: &[
        Key {
            name: "name",
            takes: "text",
            default: "`off-peak`",
            meaning: "What cost lines call it, as `#hours-NAME`.",
            example: "\"weekend\"",
        },
        Key {
            name: "hours",
            takes: "list of `HH:MM-HH:MM`",
            default: "required",
            meaning: "From the first minute to before the second, UTC; over midnight where the second is not after the first, and a whole day as `00:00-00:00`.",
            example: "[\"16:30-00:30\"]",
        },
        Key {
            name: "days",
            takes: "list of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`",
            default: "every day",
            meaning: "The days on which those hours begin.",
            example: "[\"sat\", \"sun\"]",
        },
    ],
    meters: true,
};

/// Keys of a free allowance.
pub const ALLOWANCE: Section = Section {
    path: "models.NAME.price.allowance",
    about: "Units that cost nothing, up to a count in each period. Models that name the same allowance share it; holds do not reckon with it. Kept by the instance that serves, and found again at a start.",
    keys: &[
        Key {
            name: "name",
            takes: "text",
            default: "required",
            meaning: "What models share; cost lines of free units say `#free-NAME`.",
            example: "\"google-search\"",
        },
        Key {
            name: "meter",
            takes: "the name of a meter",
            default: "required",
            meaning: "What is counted.",
            example: "\"web_searches\"",
        },
        Key {
            name: "free",
            takes: "units",
            default: "required",
            meaning: "How many units of it cost nothing.",
            example: "1_500",
        },
        Key {
            name: "per",
            takes: "`hour`, `day`, `week`, `month`, `year` or `total`",
            default: "required",
            meaning: "After which the count begins anew (UTC).",
            example: "\"day\"",
        },
    ],
    meters: false,
};

/// Keys of the currency prices are written in.
pub const CURRENCY: Section = Section {
    path: "models.NAME.price.currency",
    about: "The currency that these prices are agreed in, with the rate they are booked at: every price is turned into USD by it, half to even to a pico-dollar. The rate is yours to keep: nothing is looked up.",
    keys: &[
        Key {
            name: "code",
            takes: "text of three capital letters",
            default: "required",
            meaning: "The currency (ISO 4217).",
            example: "\"EUR\"",
        },
        Key {
            name: "usd",
            takes: "decimal text, above 0, nine decimals at most",
            default: "required",
            meaning: "What one of it is worth in USD. Cost lines name it, as `#EUR-1.0853`.",
            example: "\"1.0853\"",
        },
        Key {
            name: "source",
            takes: "text",
            default: "required",
            meaning: "Who says so.",
            example: "\"ECB reference rate\"",
        },
        Key {
            name: "as_of",
            takes: "day",
            default: "required",
            meaning: "Of which day the rate is.",
            example: "2026-11-02",
        },
    ],
    meters: false,
};

/// A row with every dimension that the table gives it, in USD.
pub(crate) fn dimensions(table: &Table, row: PriceRow) -> PriceRow {
    PriceRow {
        bands: no_larger(bands(table)),
        tiers: no_larger(tiers(table)),
        regions: no_larger(regions(table)),
        slices: no_larger(slices(table)),
        off_peak: no_larger(off_peak(table)),
        running: no_larger(allowances(table)),
        ..row
    }
}

/// Without room for more: these are kept for as long as the process runs, and a price for each meter is half a kilobyte.
fn no_larger<T>(mut list: Vec<T>) -> Vec<T> {
    list.shrink_to_fit();
    list
}

/// Turns prices that are agreed in another currency into USD, and names the rate in the row's id and source.
pub(crate) fn in_usd(table: &Table, row: PriceRow) -> PriceRow {
    let Some(currency) = table.table("currency", &CURRENCY) else { return row };
    for name in ["code", "usd", "source", "as_of"] {
        if !currency.has(name) {
            currency
                .missing(name, "write it as { code = \"EUR\", usd = \"1.0853\", source = \"…\", as_of = 2026-11-02 }");
        }
    }
    let (code, usd) = (currency.text("code"), currency.decimal_text("usd", "\"1.0853\""));
    let (source, as_of) = (currency.text("source"), currency.day("as_of"));
    let (Some(code), Some(usd), Some(source), Some(as_of)) = (code, usd, source, as_of) else { return row };
    if code.value.len() != 3 || !code.value.bytes().all(|letter| letter.is_ascii_uppercase()) {
        currency.problems().error(&code.place, "is no currency", "write its three letters, such as \"EUR\"");
    }
    // Billionths, as amounts have them.
    let rate = usd.value.parse::<NanoUsd>().ok().filter(|rate| *rate > NanoUsd::ZERO);
    let Some(NanoUsd(rate)) = rate else {
        currency.problems().error(
            &usd.place,
            "is no rate above 0",
            "write what one is worth in USD, such as \"1.0853\"",
        );
        return row;
    };
    let day = crate::numbers::day_text(as_of.value);
    let id = format!("{}#{}-{}", row.id, code.value, usd.value);
    let source = format!("{}; {} at {} USD by {} of {day}", row.source, code.value, usd.value, source.value);
    PriceRow { id, source, ..row.map_prices(&|price| PicoUsd(ledger::rate(price.0, rate))) }
}

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
fn bands(table: &Table) -> Vec<Band> {
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
fn tiers(table: &Table) -> Vec<TierPrices> {
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
fn regions(table: &Table) -> Vec<RegionPrices> {
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

/// The steps by the units of one request.
fn slices(table: &Table) -> Vec<Slice> {
    let mut slices = Vec::new();
    for slice in table.list("slice", &SLICE) {
        match slice.count("above_units", 1..=u64::MAX) {
            Some(above_units) => slices.push(Slice { above_units, prices: read(&slice) }),
            None if slice.has("above_units") => {}
            None => slice.missing("above_units", "say above how many units of a request the step begins"),
        }
    }
    slices
}

/// The hours with other prices.
fn off_peak(table: &Table) -> Vec<OffPeak> {
    table.list("off_peak", &OFF_PEAK).iter().filter_map(one_off_peak).collect()
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn one_off_peak(table: &Table) -> Option<OffPeak> {
    let problems = table.problems();
    let mut days = if table.has("days") { 0 } else { 0b111_1111 };
    for day in table.texts("days").iter().flat_map(|list| &list.value) {
        match DAYS.iter().position(|known| *known == day.value) {
            Some(place) => days |= 1 << place,
            None => problems.error(&day.place, "is no day of the week", "write mon, tue, wed, thu, fri, sat or sun"),
        }
    }
    if !table.has("hours") {
        table.missing("hours", "write them as [\"16:30-00:30\"], UTC");
    }
    let mut hours = Vec::new();
    for stretch in table.texts("hours").iter().flat_map(|list| &list.value) {
        match stretch_of_day(stretch.value) {
            Some((from_minute, to_minute)) => hours.push(Hours { days, from_minute, to_minute }),
            None => problems.error(&stretch.place, "is no stretch of a day", "write it as \"16:30-00:30\", UTC"),
        }
    }
    let tier = table.text("name").map_or("off-peak", |name| name.value).to_owned();
    (!hours.is_empty()).then(|| OffPeak { hours, tier: TierPrices { tier, prices: read(table), bands: Vec::new() } })
}

/// Minutes of the day from `16:30-00:30`; midnight at the end is the day's last.
pub(crate) fn stretch_of_day(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let digits =
            [hour, minute].iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()));
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (digits && minute < 60 && hour * 60 + minute <= DAY_MINUTES).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from < DAY_MINUTES).then_some((from, if to == 0 { DAY_MINUTES } else { to }))
}

/// The free allowances.
fn allowances(table: &Table) -> Vec<Running> {
    table.list("allowance", &ALLOWANCE).iter().filter_map(allowance).collect()
}

fn allowance(table: &Table) -> Option<Running> {
    for name in ["name", "meter", "free", "per"] {
        if !table.has(name) {
            table.missing(
                name,
                "write it as { name = \"google-search\", meter = \"web_searches\", free = 1500, per = \"day\" }",
            );
        }
    }
    let meters: Vec<(&str, Meter)> = Meter::ALL.iter().map(|meter| (meter.as_str(), *meter)).collect();
    let (name, meter) = (table.text("name")?, table.choice("meter", &meters)?);
    let (free, per) = (table.count("free", 1..=u64::MAX)?, window(table, "per")?);
    name_of_total(table, &name).then(|| Running::allowance(name.value, meter, free, per))
}

/// A calendar window.
pub(crate) fn window(table: &Table, key: &str) -> Option<Window> {
    let named: Vec<(String, Period)> =
        Period::CALENDAR.iter().map(|period| (Window::utc(*period).to_string(), *period)).collect();
    let periods: Vec<(&str, Period)> = named.iter().map(|(name, period)| (name.as_str(), *period)).collect();
    table.choice(key, &periods).map(Window::utc)
}

/// Whether a name can stand in a cost line behind a `#`.
fn name_of_total(table: &Table, name: &crate::problem::At<&str>) -> bool {
    let fits = crate::names::is_name(name.value);
    if !fits {
        table.problems().error(&name.place, "is no name", crate::names::RULE);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_a_day_is_read_to_the_minute() {
        assert_eq!(stretch_of_day("16:30-00:30"), Some((990, 30)));
        assert_eq!(stretch_of_day("10:00-00:00"), Some((600, 1440)));
        assert_eq!(stretch_of_day("00:00-24:00"), Some((0, 1440)));
        for text in ["", "16:30", "16:30-", "24:00-01:00", "16:60-17:00", "1:00-2:00", "16:30-25:00", "+1:00-02:00"] {
            assert_eq!(stretch_of_day(text), None, "{text}");
        }
    }
}
