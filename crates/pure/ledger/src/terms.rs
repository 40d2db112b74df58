//! A price row as it applies to one attempt: tier, hour and region found once, and which price a meter has at which size.

use domain::{Meter, PicoUsd};

use crate::rounding::half_even;
use crate::rows::{Band, PriceRow, Prices, RegionPrices, Served, TierPrices};

/// Names providers use for the tier that is none: OpenAI says `default` (and takes `auto`), Anthropic `standard` (and
/// takes `standard_only`), Groq `on_demand`. A row may still price any of them under that name.
const STANDARD_TIERS: &[&str] = &["", "standard", "default", "auto", "standard_only", "on_demand"];

/// What Vertex calls the type of traffic, and the tier it is priced as. Provisioned throughput has been paid for by the unit: a tier of
/// its own name, whose price is that of a configured capacity.
const TRAFFIC_TYPES: &[(&str, &str)] = &[
    ("TRAFFIC_TYPE_UNSPECIFIED", "standard"),
    ("ON_DEMAND", "standard"),
    ("ON_DEMAND_FLEX", "flex"),
    ("ON_DEMAND_PRIORITY", "priority"),
];

/// The tier that a provider's word stands for; `None` where that is the usual one.
pub(crate) fn tier_meant(word: &str) -> Option<&str> {
    let meant = TRAFFIC_TYPES.iter().find(|(traffic, _)| *traffic == word).map_or(word, |(_, meant)| *meant);
    (!STANDARD_TIERS.contains(&meant)).then_some(meant)
}

/// One, in millionths.
const WHOLE: u32 = 1_000_000;

/// What stands in for a meter without a price. Reasoning is billed as output, a cache write or read at most as fresh
/// input, and image tokens as text where a list prices no image tokens apart; audio never stands in for text or the
/// other way round, because it costs a multiple.
fn fallback(meter: Meter) -> Option<Meter> {
    match meter {
        Meter::CacheRead | Meter::CacheWrite5m | Meter::InputImage | Meter::ToolPrompt => Some(Meter::Input),
        // Nearer to the long write than fresh input is, and no cheaper.
        Meter::CacheWrite1h => Some(Meter::CacheWrite5m),
        Meter::CacheWrite12h => Some(Meter::CacheWrite1h),
        Meter::CacheReadAudio => Some(Meter::InputAudio),
        Meter::CacheReadImage => Some(Meter::CacheRead),
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
        | Meter::InputCharacters
        | Meter::OutputAudioMs
        | Meter::OutputVideoMs
        | Meter::Pages
        | Meter::FileSearches
        | Meter::MapQueries
        | Meter::CodeSessions
        | Meter::StorageMbDays
        | Meter::GuardTextUnits
        | Meter::CapacityMinutes => None,
    }
}

/// A row as it applies to one attempt: tier and region found, once for all lines.
pub(crate) struct Terms<'a> {
    row: &'a PriceRow,
    tier: Option<&'a TierPrices>,
    /// The tier stands for hours of the day and not for a word of the provider.
    by_the_hour: bool,
    region: Option<&'a RegionPrices>,
    /// The capacity that serves it.
    capacity: Option<&'a str>,
    pub(crate) tier_known: bool,
}

/// A price and what it depends on.
pub(crate) struct Found<'a> {
    pub(crate) price: PicoUsd,
    above_input_tokens: Option<u64>,
    above_units: Option<u64>,
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
        let off_peak =
            row.off_peak.iter().find(|off_peak| tier.is_none() && tier_known && off_peak.holds_at(served.at));
        let covering = row.regions.iter().filter(|region| served.region.is_some_and(|at| within(at, &region.region)));
        Terms {
            row,
            tier: tier.or(off_peak.map(|off_peak| &off_peak.tier)),
            by_the_hour: off_peak.is_some(),
            region: covering.max_by_key(|region| region.region.len()),
            capacity: capacity(row, served.tier),
            tier_known,
        }
    }

    pub(crate) fn with(row: &'a PriceRow, tier: Option<&'a TierPrices>, region: Option<&'a RegionPrices>) -> Terms<'a> {
        Terms { row, tier, by_the_hour: false, region, capacity: None, tier_known: true }
    }

    /// The parts of a meter's units that have a price each: one, but where the row has slices. Nothing where it has no price.
    pub(crate) fn parts(&self, meter: Meter, units: u64, input_tokens: u64) -> Vec<(u64, Found<'a>)> {
        let Some(base) = self.price(meter, input_tokens) else { return Vec::new() };
        let mut slices = self.slices(meter);
        slices.retain(|(above, _)| *above < units);
        let tops = slices.iter().skip(1).map(|(above, _)| *above).chain([units]);
        let below = slices.first().map_or(units, |(above, _)| *above);
        let tier = base.tier;
        let above_input_tokens = base.above_input_tokens;
        let sliced = slices.iter().zip(tops).map(|((above, price), top)| {
            (top - above, Found { price: *price, above_input_tokens, above_units: Some(*above), tier })
        });
        let base = (below > 0).then_some((below, base));
        base.into_iter().chain(sliced).collect()
    }

    /// The slices of a meter, by the count above which they hold: those that name it. In a tier of its own there are none.
    pub(crate) fn slices(&self, meter: Meter) -> Vec<(u64, PicoUsd)> {
        if self.tier.is_some() {
            return Vec::new();
        }
        let named = self.row.slices.iter().filter_map(|slice| Some((slice.above_units, slice.prices.get(meter)?)));
        let mut slices: Vec<(u64, PicoUsd)> = named.collect();
        slices.sort_unstable();
        slices
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

    /// What a line calls the row: its id, and after it all that moved the price.
    pub(crate) fn name(&self, found: &Found) -> String {
        let mut name = self.row.id.clone();
        if let Some(above) = found.above_input_tokens {
            name.push_str(&format!("#above-{above}"));
        }
        if let Some(above) = found.above_units {
            name.push_str(&format!("#unit-{above}"));
        }
        if let Some(tier) = found.tier {
            name.push_str(&if self.by_the_hour { format!("#hours-{tier}") } else { format!("#tier-{tier}") });
        }
        if let Some(region) = self.region {
            name.push_str(&format!("#region-{}", region.region));
        }
        if let Some(left) = self.row.contract_millionths {
            // Millionths print as a pico-dollar price does: with six decimals at most.
            name.push_str(&format!("#contract-{}", PicoUsd(i64::from(left)).as_usd_per_million()));
        }
        if let Some(capacity) = self.capacity {
            name.push_str(&format!("#capacity-{capacity}"));
        }
        name
    }
}

/// The capacity that serves a tier of the row: the one that names it, else the one that serves every call.
fn capacity<'a>(row: &'a PriceRow, tier: Option<&str>) -> Option<&'a str> {
    let of = |wanted: Option<&str>| row.capacity.iter().find(|one| one.tier.as_deref() == wanted);
    tier.and_then(|tier| of(Some(tier))).or_else(|| of(None)).map(|one| one.name.as_str())
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
        .map(|(above, price)| Found { price, above_input_tokens: Some(above), above_units: None, tier })
        .or_else(|| prices.get(meter).map(|price| Found { price, above_input_tokens: None, above_units: None, tier }))
}

/// Whether a place is a region or a part of it, as [`domain::Region::within`] says it for the configuration's regions.
pub(crate) fn within(place: &str, region: &str) -> bool {
    place.get(..region.len()).is_some_and(|head| {
        head.eq_ignore_ascii_case(region) && matches!(place.as_bytes().get(region.len()), None | Some(b'-'))
    })
}
