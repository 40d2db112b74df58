//! What a price list says: the prices of one model at one provider over a stretch of time, in every dimension they have.

use domain::{Meter, PicoUsd, UnixMs};
use thiserror::Error;

use crate::hours::Hours;
use crate::running::Running;

/// From as far back as anyone asks: the start of a price whose first day no source names.
pub const BEGINNING: UnixMs = UnixMs(i64::MIN);

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

/// Other prices for the units of one request that lie above a count, the units below keeping theirs: steps, as of a tax.
/// A band, by contrast, moves the whole request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// The units of each meter above this count cost the slice's price.
    pub above_units: u64,
    /// The prices of those units. A meter not named has no slice here.
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

/// Prices that hold in certain hours. A meter not named keeps the standard price, as with a tier; a call that is served in a
/// tier of its own has the tier's price at every hour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffPeak {
    /// When it holds: in any of these.
    pub hours: Vec<Hours>,
    /// Its prices, under a name that is no tier of the provider: `off-peak`.
    pub tier: TierPrices,
}

impl OffPeak {
    /// Whether its prices hold at this moment.
    pub fn holds_at(&self, at: UnixMs) -> bool {
        self.hours.iter().any(|hours| hours.hold_at(at))
    }
}

/// What every price of the row is multiplied by where the provider bills processing in that region apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegionPrices {
    /// The region billed: `eu`, `us`; narrower ones (`eu-de`) lie within it.
    pub region: String,
    /// Millionths: 1 100 000 is 1.1 times.
    pub multiplier_millionths: u32,
}

/// Which attempts a provisioned capacity serves; their lines name it, so that what it cost and nobody used can be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServedByCapacity {
    /// The tier in the provider's answer; absent where every call of the model goes there.
    pub tier: Option<String>,
    /// The capacity's name.
    pub name: String,
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
    /// Steps by the units of one request, in the standard tier.
    pub slices: Vec<Slice>,
    /// Hours in which the standard tier has other prices.
    pub off_peak: Vec<OffPeak>,
    /// Totals over many calls that change a price: free allowances, steps of volume, credits, commitments.
    pub running: Vec<Running>,
    /// Capacity that was paid for by the hour, by the tier that it serves.
    pub capacity: Vec<ServedByCapacity>,
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
            slices: Vec::new(),
            off_peak: Vec::new(),
            running: Vec::new(),
            capacity: Vec::new(),
            contract_millionths: None,
            source: String::new(),
            as_of: String::new(),
            disputed: None,
        }
    }

    /// The row with every price changed, in every dimension.
    #[must_use]
    pub fn map_prices(mut self, change: &dyn Fn(PicoUsd) -> PicoUsd) -> PriceRow {
        let all = |prices: &mut Prices| prices.0.iter_mut().flatten().for_each(|price| *price = change(*price));
        all(&mut self.prices);
        self.bands.iter_mut().for_each(|band| all(&mut band.prices));
        self.slices.iter_mut().for_each(|slice| all(&mut slice.prices));
        for tier in self.tiers.iter_mut().chain(self.off_peak.iter_mut().map(|off_peak| &mut off_peak.tier)) {
            all(&mut tier.prices);
            tier.bands.iter_mut().for_each(|band| all(&mut band.prices));
        }
        self
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
            let tiers = row.tiers.iter().chain(row.off_peak.iter().map(|off_peak| &off_peak.tier));
            let tiers = tiers.flat_map(|tier| [&tier.prices].into_iter().chain(band_prices(&tier.bands)));
            let slices = row.slices.iter().map(|slice| &slice.prices);
            let mut all = [&row.prices].into_iter().chain(band_prices(&row.bands)).chain(slices).chain(tiers);
            if all.any(|prices| prices.iter().any(|(_, price)| price.0 < 0))
                || row.regions.iter().any(|region| region.multiplier_millionths == 0)
            {
                return Err(BadBook::Negative(row.id.clone()));
            }
        }
        if let Some(pair) = rows.windows(2).find(|pair| pair[0].to.is_none_or(|to| to > pair[1].from)) {
            return Err(BadBook::Overlap(pair[0].id.clone(), pair[1].id.clone()));
        }
        rows.shrink_to_fit();
        Ok(PriceBook { rows })
    }

    /// The row valid at this moment.
    pub fn row(&self, at: UnixMs) -> Option<&PriceRow> {
        self.rows.iter().rev().find(|row| row.valid_at(at))
    }

    /// The book with its rows changed within a stretch of time: rows that reach beyond it are cut where it begins and ends.
    #[must_use]
    pub fn changed_between(
        &self,
        from: UnixMs,
        until: Option<UnixMs>,
        change: &dyn Fn(PriceRow) -> PriceRow,
    ) -> PriceBook {
        let earlier = |one: Option<UnixMs>, other: Option<UnixMs>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let mut rows = Vec::new();
        for row in &self.rows {
            let part = |from: UnixMs, to: Option<UnixMs>| {
                to.is_none_or(|to| from < to).then(|| PriceRow { from, to, ..row.clone() })
            };
            rows.extend(part(row.from, earlier(row.to, Some(from))));
            rows.extend(part(row.from.max(from), earlier(row.to, until)).map(change));
            rows.extend(until.and_then(|until| part(row.from.max(until), row.to)));
        }
        PriceBook { rows }
    }

    /// Every row, oldest first.
    pub fn rows(&self) -> &[PriceRow] {
        &self.rows
    }
}

fn band_prices(bands: &[Band]) -> impl Iterator<Item = &Prices> {
    bands.iter().map(|band| &band.prices)
}
