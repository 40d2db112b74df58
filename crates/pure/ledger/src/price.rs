//! What does this usage cost? Counts by meter times prices by meter, each line rounded once, each naming its price row.
//!
//! A price has more dimensions than its meter. Filled here: meter and modality, effective dates, context bands (by the
//! whole request), the service tier served, the region billed, a contract's discount, and calls of other models within an
//! answer, each by its own row ([`together`]). Graduated bands, off-peak hours,
//! provisioned capacity and volume steps are further fields of [`PriceRow`] when their issue comes;
//! [`PriceRow::new`] keeps callers whole.

use domain::money::BadMoney;
use domain::{Cost, CostLine, Meter, NanoUsd, PicoUsd, UnixMs, Usage};
use thiserror::Error;

pub use crate::bound::{
    expected, expected_of_units, gpu_price, prices_tokens, upper_bound, upper_bound_for, upper_bound_of_ranking,
    upper_bound_of_units,
};

/// From as far back as anyone asks: the start of a price whose first day no source names.
pub const BEGINNING: UnixMs = UnixMs(i64::MIN);

/// Names providers use for the tier that is none: OpenAI says `default` (and takes `auto`), Anthropic `standard` (and
/// takes `standard_only`), Groq `on_demand`. A row may still price any of them under that name.
const STANDARD_TIERS: &[&str] = &["", "standard", "default", "auto", "standard_only", "on_demand"];

/// What Vertex calls the type of traffic, and the tier it is priced as. Provisioned throughput has been paid for by the unit; until
/// such units are priced, it is a tier of its own name.
const TRAFFIC_TYPES: &[(&str, &str)] = &[
    ("TRAFFIC_TYPE_UNSPECIFIED", "standard"),
    ("ON_DEMAND", "standard"),
    ("ON_DEMAND_FLEX", "flex"),
    ("ON_DEMAND_PRIORITY", "priority"),
];

/// One, in millionths.
const WHOLE: u32 = 1_000_000;

/// Prices by meter. A meter without one is not free: it falls back to a near meter, or stays unpriced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Prices([Option<PicoUsd>; Meter::COUNT]);

impl Prices {
    /// Nothing priced.
    pub const NONE: Prices = Prices([None; Meter::COUNT]);

    /// The price of exactly this meter, without fallback.
    pub fn get(&self, meter: Meter) -> Option<PicoUsd> {
        self.0[meter as usize]
    }

    /// Sets the price of one meter; zero is a price.
    pub fn set(&mut self, meter: Meter, price: PicoUsd) {
        self.0[meter as usize] = Some(price);
    }

    /// Prices with one more meter set; for building examples.
    #[must_use]
    pub fn with(mut self, meter: Meter, price: PicoUsd) -> Prices {
        self.set(meter, price);
        self
    }

    /// The meters that have a price, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, PicoUsd)> + '_ {
        Meter::ALL.iter().filter_map(|meter| self.get(*meter).map(|price| (*meter, price)))
    }
}

/// Prices that apply to the whole request once its input, cached tokens included, is above a threshold. A meter not
/// named keeps its price without the band.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Band {
    /// Applies when the input is above this many tokens.
    pub above_input_tokens: u64,
    /// The prices then.
    pub prices: Prices,
}

/// Prices of a service tier, such as `batch`, `flex` or `priority`, as the provider says it served. A meter not named
/// keeps the standard price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierPrices {
    /// The tier's name in the provider's answer.
    pub tier: String,
    /// Its prices.
    pub prices: Prices,
    /// Its own context bands.
    pub bands: Vec<Band>,
}

/// What every price of the row is multiplied by where the provider bills processing in that region apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegionPrices {
    /// The region billed: `eu`, `us`; narrower ones (`eu-de`) lie within it.
    pub region: String,
    /// Millionths: 1 100 000 is 1.1 times.
    pub multiplier_millionths: u32,
}

/// The prices of one model at one provider over one stretch of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceRow {
    /// What lines refer to: `openai/gpt-4o@2026-11-12`.
    pub id: String,
    /// The catalog's provider.
    pub provider: String,
    /// The vendor's model id.
    pub model: String,
    /// Valid from here; [`BEGINNING`] where no source names the day.
    pub from: UnixMs,
    /// Valid until before here; `None` while it lasts.
    pub to: Option<UnixMs>,
    /// Standard prices.
    pub prices: Prices,
    /// Context bands.
    pub bands: Vec<Band>,
    /// Service tiers.
    pub tiers: Vec<TierPrices>,
    /// Regions billed apart.
    pub regions: Vec<RegionPrices>,
    /// What a contract leaves of every price, millionths: 850 000 is 15 % off; `None` without a contract.
    pub contract_millionths: Option<u32>,
    /// Who says so: package and version, or the configuration's line.
    pub source: String,
    /// The day the source is of.
    pub as_of: String,
    /// Where two sources differ, both figures.
    pub disputed: Option<String>,
}

impl PriceRow {
    /// A row with standard prices only, valid for all time.
    pub fn new(
        id: impl Into<String>,
        provider: impl Into<String>,
        model: impl Into<String>,
        prices: Prices,
    ) -> PriceRow {
        PriceRow {
            id: id.into(),
            provider: provider.into(),
            model: model.into(),
            from: BEGINNING,
            to: None,
            prices,
            bands: Vec::new(),
            tiers: Vec::new(),
            regions: Vec::new(),
            contract_millionths: None,
            source: String::new(),
            as_of: String::new(),
            disputed: None,
        }
    }

    /// Whether the row is valid at this moment.
    pub fn valid_at(&self, at: UnixMs) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// How the provider served an attempt, as far as its price depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Served<'a> {
    /// When it was sent.
    pub at: UnixMs,
    /// The service tier in the provider's answer; `None` is the standard one.
    pub tier: Option<&'a str>,
    /// The region the provider bills apart, where one was asked for or reported; `None` where none was. This is not the
    /// place of the default endpoint, which costs nothing extra.
    pub region: Option<&'a str>,
}

impl Served<'_> {
    /// Standard tier, no region billed apart.
    pub const fn standard(at: UnixMs) -> Served<'static> {
        Served { at, tier: None, region: None }
    }
}

/// Prices a usage: one line per meter that is not zero, each rounded once, half to even.
///
/// A meter without a price, its fallbacks tried, makes the whole cost [`Cost::Unpriced`]. So does a service tier the row
/// does not know: its lines then stand at the standard price, so that a budget is charged with the nearest known
/// figure while the alarm rings, and every meter is listed as missing. No row prices nothing, unless nothing was used.
pub fn price(usage: &Usage, row: Option<&PriceRow>, served: &Served) -> Cost {
    let mut lines = Vec::new();
    let mut missing = Vec::new();
    let terms = row.map(|row| Terms::of(row, served));
    let input_tokens = usage.input_tokens();
    for (meter, units) in usage.counts() {
        let found = terms.as_ref().and_then(|terms| terms.price(meter, input_tokens));
        let tier_known = terms.as_ref().is_some_and(|terms| terms.tier_known);
        if found.is_none() || !tier_known {
            missing.push(meter);
        }
        if let (Some(found), Some(terms)) = (found, &terms) {
            let price = terms.billed(found.price);
            lines.push(CostLine { meter, units, price, amount: price.times(units), price_row: terms.name(&found) });
        }
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

/// The rows of one model over time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceBook {
    rows: Vec<PriceRow>,
}

/// Why rows make no price book.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadBook {
    /// Two rows are valid at the same moment.
    #[error("price rows `{0}` and `{1}` are valid at the same time; end the first with `to` where the second begins")]
    Overlap(String, String),
    /// A row ends before it begins.
    #[error("price row `{0}` ends before it begins")]
    Empty(String),
    /// A price below zero, or a multiplier of zero.
    #[error("price row `{0}` has a negative price or a multiplier of zero")]
    Negative(String),
}

impl PriceBook {
    /// Puts rows in order of time; refuses overlaps.
    pub fn new(mut rows: Vec<PriceRow>) -> Result<PriceBook, BadBook> {
        rows.sort_by_key(|row| row.from);
        for row in &rows {
            if row.to.is_some_and(|to| to <= row.from) {
                return Err(BadBook::Empty(row.id.clone()));
            }
            let tiers = row.tiers.iter().flat_map(|tier| [&tier.prices].into_iter().chain(band_prices(&tier.bands)));
            let mut all = [&row.prices].into_iter().chain(band_prices(&row.bands)).chain(tiers);
            if all.any(|prices| prices.iter().any(|(_, price)| price.0 < 0))
                || row.regions.iter().any(|region| region.multiplier_millionths == 0)
            {
                return Err(BadBook::Negative(row.id.clone()));
            }
        }
        if let Some(pair) = rows.windows(2).find(|pair| pair[0].to.is_none_or(|to| to > pair[1].from)) {
            return Err(BadBook::Overlap(pair[0].id.clone(), pair[1].id.clone()));
        }
        Ok(PriceBook { rows })
    }

    /// The row valid at this moment.
    pub fn row(&self, at: UnixMs) -> Option<&PriceRow> {
        self.rows.iter().rev().find(|row| row.valid_at(at))
    }

    /// Every row, oldest first.
    pub fn rows(&self) -> &[PriceRow] {
        &self.rows
    }
}

fn band_prices(bands: &[Band]) -> impl Iterator<Item = &Prices> {
    bands.iter().map(|band| &band.prices)
}

/// What stands in for a meter without a price. Reasoning is billed as output, a cache write or read at most as fresh
/// input, and image tokens as text where a list prices no image tokens apart; audio never stands in for text or the
/// other way round, because it costs a multiple.
fn fallback(meter: Meter) -> Option<Meter> {
    match meter {
        Meter::CacheRead | Meter::CacheWrite5m | Meter::InputImage | Meter::ToolPrompt => Some(Meter::Input),
        // Nearer to the long write than fresh input is, and no cheaper.
        Meter::CacheWrite1h => Some(Meter::CacheWrite5m),
        Meter::CacheReadAudio => Some(Meter::InputAudio),
        Meter::Reasoning | Meter::RejectedPrediction | Meter::Citation => Some(Meter::Output),
        Meter::Input
        | Meter::Output
        | Meter::InputAudio
        | Meter::OutputAudio
        | Meter::OutputImage
        | Meter::Requests
        | Meter::WebSearches
        | Meter::SearchUnits
        | Meter::InputImages
        | Meter::OutputImages
        | Meter::InputAudioMs
        | Meter::InputCharacters => None,
    }
}

/// A row as it applies to one attempt: tier and region found, once for all lines.
pub(crate) struct Terms<'a> {
    row: &'a PriceRow,
    tier: Option<&'a TierPrices>,
    region: Option<&'a RegionPrices>,
    tier_known: bool,
}

/// A price and what it depends on.
pub(crate) struct Found<'a> {
    pub(crate) price: PicoUsd,
    above_input_tokens: Option<u64>,
    tier: Option<&'a str>,
}

impl<'a> Terms<'a> {
    pub(crate) fn of(row: &'a PriceRow, served: &Served) -> Terms<'a> {
        let named = |name: &str| row.tiers.iter().find(|tier| tier.tier == name);
        // A row may price a word as the provider says it; else the tier that the word stands for.
        let meant =
            served.tier.map(|word| TRAFFIC_TYPES.iter().find(|(traffic, _)| *traffic == word).map_or(word, |it| it.1));
        let tier = served.tier.and_then(named).or_else(|| meant.and_then(named));
        let tier_known = tier.is_some() || meant.is_none_or(|name| STANDARD_TIERS.contains(&name));
        let covering = row.regions.iter().filter(|region| served.region.is_some_and(|at| within(at, &region.region)));
        Terms { row, tier, region: covering.max_by_key(|region| region.region.len()), tier_known }
    }

    pub(crate) fn with(row: &'a PriceRow, tier: Option<&'a TierPrices>, region: Option<&'a RegionPrices>) -> Terms<'a> {
        Terms { row, tier, region, tier_known: true }
    }

    /// The price of a meter for a request of this much input, falling back to near meters.
    pub(crate) fn price(&self, meter: Meter, input_tokens: u64) -> Option<Found<'a>> {
        let mut next = Some(meter);
        while let Some(meter) = next {
            if let Some(found) = self.exactly(meter, input_tokens) {
                return Some(found);
            }
            next = fallback(meter);
        }
        None
    }

    fn exactly(&self, meter: Meter, input_tokens: u64) -> Option<Found<'a>> {
        let standard = at_level(&self.row.prices, &self.row.bands, None, meter, input_tokens);
        let Some(tier) = self.tier else { return standard };
        let tiered = at_level(&tier.prices, &tier.bands, Some(&tier.tier), meter, input_tokens);
        match (tiered, standard) {
            // No source says what the tier costs in this band: the dearer of the two never books too little.
            (Some(tiered), Some(standard))
                if tiered.above_input_tokens < standard.above_input_tokens && standard.price > tiered.price =>
            {
                Some(standard)
            }
            (Some(tiered), _) => Some(tiered),
            (None, standard) => standard,
        }
    }

    /// The price as it is billed: times the region's multiplier and what the contract leaves of it, rounded once to a
    /// pico-dollar, half to even.
    pub(crate) fn billed(&self, price: PicoUsd) -> PicoUsd {
        let region = self.region.map_or(WHOLE, |region| region.multiplier_millionths);
        let contract = self.row.contract_millionths.unwrap_or(WHOLE);
        match (region, contract) {
            (WHOLE, WHOLE) => price,
            _ => {
                let parts = i128::from(price.0) * i128::from(region) * i128::from(contract);
                PicoUsd(half_even(parts, i128::from(WHOLE) * i128::from(WHOLE)))
            }
        }
    }

    fn name(&self, found: &Found) -> String {
        let mut name = self.row.id.clone();
        if let Some(above) = found.above_input_tokens {
            name.push_str(&format!("#above-{above}"));
        }
        if let Some(tier) = found.tier {
            name.push_str(&format!("#tier-{tier}"));
        }
        if let Some(region) = self.region {
            name.push_str(&format!("#region-{}", region.region));
        }
        if let Some(left) = self.row.contract_millionths {
            // Millionths print as a pico-dollar price does: with six decimals at most.
            name.push_str(&format!("#contract-{}", PicoUsd(i64::from(left)).as_usd_per_million()));
        }
        name
    }
}

/// The price in the highest band that applies and names the meter, else the one without a band.
fn at_level<'a>(
    prices: &Prices,
    bands: &[Band],
    tier: Option<&'a str>,
    meter: Meter,
    input_tokens: u64,
) -> Option<Found<'a>> {
    bands
        .iter()
        .filter(|band| input_tokens > band.above_input_tokens)
        .filter_map(|band| Some((band.above_input_tokens, band.prices.get(meter)?)))
        .max_by_key(|(above, _)| *above)
        .map(|(above, price)| Found { price, above_input_tokens: Some(above), tier })
        .or_else(|| prices.get(meter).map(|price| Found { price, above_input_tokens: None, tier }))
}

/// Whether a place is a region or a part of it, as [`domain::Region::within`] says it for the configuration's regions.
fn within(place: &str, region: &str) -> bool {
    place.get(..region.len()).is_some_and(|head| {
        head.eq_ignore_ascii_case(region) && matches!(place.as_bytes().get(region.len()), None | Some(b'-'))
    })
}

/// `parts / whole`, half to even, saturating at the largest value.
pub(crate) fn half_even(parts: i128, whole: i128) -> i64 {
    let (quotient, rest) = (parts.div_euclid(whole), parts.rem_euclid(whole));
    let up = match (rest * 2).cmp(&whole) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Less => false,
    };
    i64::try_from(quotient + i128::from(up)).unwrap_or(i64::MAX)
}

/// Reads a multiplier such as `1.1` exactly, in millionths.
pub fn multiplier_millionths(text: &str) -> Result<u32, BadMoney> {
    let PicoUsd(millionths) = PicoUsd::per_million(text)?;
    u32::try_from(millionths).map_err(|_| BadMoney::TooLarge(text.chars().take(40).collect()))
}

#[cfg(test)]
#[path = "price_tests.rs"]
mod tests;
