//! What will a call cost, at most and probably, before it is sent?

use domain::money::BadMoney;
use domain::usage::Direction;
use domain::{Meter, NanoUsd, PicoUsd, UnixMs, Usage};

use crate::rounding::half_even;
use crate::rows::{PriceRow, Served};
use crate::terms::Terms;

/// The most `n` answers can cost when nothing is known of the tier or the region they will be served in: the dearest
/// tier and region of the row. See [`upper_bound_for`].
pub fn upper_bound(row: &PriceRow, input_upper_tokens: u64, output_cap_tokens: u64, n: u32, _at: UnixMs) -> NanoUsd {
    let dearest_region = row.regions.iter().max_by_key(|region| region.multiplier_millionths);
    let region = dearest_region.filter(|region| region.multiplier_millionths > 1_000_000);
    let off_peak = row.off_peak.iter().map(|off_peak| &off_peak.tier);
    let tiers = row.tiers.iter().chain(off_peak).map(Some).chain([None]);
    tiers
        .map(|tier| bound(&Terms::with(row, tier, region), row, input_upper_tokens, output_cap_tokens, n))
        .max()
        .unwrap_or(NanoUsd::ZERO)
}

/// The most `n` answers can cost in a known tier and region: every token sent at the dearest input meter that may apply
/// (a cache write costs more than fresh input), every token allowed at the dearest output meter, in the dearest context
/// band within reach, rounded up. No line that may follow exceeds it, except for searches and calls billed apiece by
/// the provider's own tools, whose number nobody knows beforehand.
pub fn upper_bound_for(
    row: &PriceRow,
    input_upper_tokens: u64,
    output_cap_tokens: u64,
    n: u32,
    served: &Served,
) -> NanoUsd {
    bound(&Terms::of(row, served), row, input_upper_tokens, output_cap_tokens, n)
}

/// The most a ranking of documents can cost: by the search unit, or by the token sent, whichever is dearer, since the answer
/// says which of the two counts. `None` where the row prices neither: that is not free.
pub fn upper_bound_of_ranking(row: &PriceRow, input_upper_tokens: u64, search_units_upper: u64) -> Option<NanoUsd> {
    let units = upper_bound_of_units(row, &Usage::ZERO.with(Meter::SearchUnits, search_units_upper));
    let tokens = row.prices.get(Meter::Input).map(|_| upper_bound(row, input_upper_tokens, 0, 1, UnixMs(0)));
    units.max(tokens)
}

/// Whether a row prices tokens at all: one that prices only images or milliseconds says nothing of them.
pub fn prices_tokens(row: &PriceRow) -> bool {
    row.prices.iter().any(|(meter, _)| meter.direction() != Direction::Apiece)
}

/// The most these counts can cost by the unit: each meter that the row prices, at its dearest tier and region, rounded up.
/// `None` where the row prices none of them: that is not free.
pub fn upper_bound_of_units(row: &PriceRow, upper: &Usage) -> Option<NanoUsd> {
    let dearest = row.regions.iter().max_by_key(|region| region.multiplier_millionths);
    let terms = Terms::with(row, None, dearest.filter(|region| region.multiplier_millionths > 1_000_000));
    let slices = |meter| row.slices.iter().filter_map(move |slice| slice.prices.get(meter));
    let off_peak = || row.off_peak.iter().map(|off_peak| &off_peak.tier);
    let tiers =
        |meter| row.tiers.iter().chain(off_peak()).filter_map(move |tier| tier.prices.get(meter)).chain(slices(meter));
    upper
        .counts()
        .filter(|(meter, _)| meter.direction() == Direction::Apiece)
        .filter_map(|(meter, units)| {
            let price = tiers(meter).chain(row.prices.get(meter)).max()?;
            Some(terms.billed(price).times_rounded_up(units))
        })
        .reduce(NanoUsd::saturating_add)
}

/// What these counts cost by the unit in the standard tier, for choosing among models; nothing where none is priced.
pub fn expected_of_units(row: &PriceRow, units: &Usage) -> NanoUsd {
    let apiece = units.counts().filter(|(meter, _)| meter.direction() == Direction::Apiece);
    let terms = Terms::with(row, None, None);
    let priced = apiece.filter_map(|(meter, units)| Some(terms.billed(row.prices.get(meter)?).times(units)));
    priced.fold(NanoUsd::ZERO, NanoUsd::saturating_add)
}

fn bound(terms: &Terms, row: &PriceRow, input_upper_tokens: u64, output_cap_tokens: u64, n: u32) -> NanoUsd {
    let output_tokens = output_cap_tokens.saturating_mul(u64::from(n));
    let request =
        terms.price(Meter::Requests, input_upper_tokens).map_or(PicoUsd(0), |found| terms.billed(found.price));
    side(terms, row, Direction::Input, input_upper_tokens, input_upper_tokens)
        .saturating_add(side(terms, row, Direction::Output, output_tokens, input_upper_tokens))
        .saturating_add(request.times_rounded_up(1))
}

/// `units` at the dearest meter of one direction. Lines are rounded one by one: two lines of 1.5 nano-dollars are
/// booked as 2 each. So where several meters have a price finer than a nano-dollar, half of one for each is added.
fn side(terms: &Terms, row: &PriceRow, direction: Direction, units: u64, input_upper_tokens: u64) -> NanoUsd {
    let mut dearest = PicoUsd(0);
    let mut fine_meters: i64 = 0;
    for meter in Meter::ALL.iter().copied().filter(|meter| meter.direction() == direction) {
        let mut fine = false;
        for input_tokens in levels(row, input_upper_tokens) {
            if let Some(found) = terms.price(meter, input_tokens) {
                let price = terms.billed(found.price);
                dearest = dearest.max(price);
                fine |= price.0 % 1000 != 0;
            }
        }
        fine_meters += i64::from(fine);
        for (_, price) in terms.slices(meter) {
            let price = terms.billed(price);
            dearest = dearest.max(price);
            fine_meters += i64::from(price.0 % 1000 != 0);
        }
    }
    dearest.times_rounded_up(units).saturating_add(NanoUsd(if units == 0 { 0 } else { fine_meters / 2 }))
}

/// One input size for each context band a request of at most this size may fall into.
fn levels(row: &PriceRow, input_upper_tokens: u64) -> impl Iterator<Item = u64> + '_ {
    let tiered = row.tiers.iter().flat_map(|tier| &tier.bands);
    let above = row.bands.iter().chain(tiered).map(|band| band.above_input_tokens.saturating_add(1));
    above.filter(move |tokens| *tokens <= input_upper_tokens).chain([0])
}

/// What one answer of this size costs in the standard tier, with fresh text in and out: for choosing among models, not
/// for holding. Meters without a price count as nothing.
pub fn expected(row: &PriceRow, input_tokens: u64, output_tokens: u64, at: UnixMs) -> NanoUsd {
    let terms = Terms::of(row, &Served::standard(at));
    [(Meter::Input, input_tokens), (Meter::Output, output_tokens), (Meter::Requests, 1)]
        .into_iter()
        .filter_map(|(meter, units)| Some(terms.billed(terms.price(meter, input_tokens)?.price).times(units)))
        .fold(NanoUsd::ZERO, NanoUsd::saturating_add)
}

/// What is saved of [`expected`] where so many of the input tokens are read from a provider's cache; nothing where the row
/// has no price for that, or no lower one.
pub fn saved_by_cache(row: &PriceRow, input_tokens: u64, cached_tokens: u64, at: UnixMs) -> NanoUsd {
    let terms = Terms::of(row, &Served::standard(at));
    let price = |meter| Some(terms.billed(terms.price(meter, input_tokens)?.price));
    let (Some(input), Some(cached)) = (price(Meter::Input), price(Meter::CacheRead)) else { return NanoUsd::ZERO };
    let less = PicoUsd(input.0.saturating_sub(cached.0).max(0));
    less.times(cached_tokens.min(input_tokens))
}

/// The price of a token on own hardware: dollars for an hour of the GPUs that serve the model, over the tokens they
/// serve in it; half to even to a pico-dollar.
pub fn gpu_price(gpu_hour_usd: &str, tokens_per_second: u32) -> Result<PicoUsd, BadMoney> {
    let hour: NanoUsd = gpu_hour_usd.parse()?;
    if tokens_per_second == 0 {
        return Err(BadMoney::TooLarge(format!("{gpu_hour_usd} / 0 tokens")));
    }
    Ok(PicoUsd(half_even(i128::from(hour.0) * 1000, 3600 * i128::from(tokens_per_second))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{Band, Prices, RegionPrices, TierPrices, price};
    use proptest::prelude::*;

    const AT: UnixMs = UnixMs(1_795_252_724_005);

    fn row() -> PriceRow {
        let prices = Prices::NONE
            .with(Meter::Input, PicoUsd(3_000_000))
            .with(Meter::CacheRead, PicoUsd(300_000))
            .with(Meter::CacheWrite5m, PicoUsd(3_750_000))
            .with(Meter::Output, PicoUsd(15_000_000));
        PriceRow::new("p/m@1", "p", "m", prices)
    }

    #[test]
    fn what_is_cached_costs_less_by_the_difference_and_no_more_than_the_prompt_is_cached() {
        // 2.7 µ$ less for each of 1000.
        assert_eq!(saved_by_cache(&row(), 1000, 1000, AT), NanoUsd(2_700_000));
        assert_eq!(saved_by_cache(&row(), 1000, 9_999, AT), NanoUsd(2_700_000));
        let bare = PriceRow::new("p/m@1", "p", "m", Prices::NONE.with(Meter::Input, PicoUsd(3_000_000)));
        assert_eq!(saved_by_cache(&bare, 1000, 1000, AT), NanoUsd::ZERO);
    }

    #[test]
    fn a_hold_reckons_with_the_cache_write() {
        // 1000 × 3.75 µ$ + 2 × 100 × 15 µ$
        assert_eq!(upper_bound(&row(), 1000, 100, 2, AT), NanoUsd(3_750_000 + 3_000_000));
    }

    #[test]
    fn a_hold_reckons_with_the_dearest_tier_unless_told() {
        let mut row = row();
        let prices = Prices::NONE.with(Meter::Output, PicoUsd(30_000_000));
        row.tiers.push(TierPrices { tier: "priority".into(), prices, bands: Vec::new() });
        row.regions.push(RegionPrices { region: "eu".into(), multiplier_millionths: 1_100_000 });
        assert_eq!(upper_bound(&row, 0, 100, 1, AT), NanoUsd(3_300_000));
        assert_eq!(upper_bound_for(&row, 0, 100, 1, &Served::standard(AT)), NanoUsd(1_500_000));
    }

    #[test]
    fn a_ranking_is_bound_by_what_its_model_is_billed_by_and_has_no_bound_without_a_price() {
        let unit = Prices::NONE.with(Meter::SearchUnits, PicoUsd(2_000_000_000));
        assert_eq!(upper_bound_of_ranking(&PriceRow::new("p/r@1", "p", "r", unit), 900, 3), Some(NanoUsd(6_000_000)));
        let token = Prices::NONE.with(Meter::Input, PicoUsd(20_000));
        assert_eq!(upper_bound_of_ranking(&PriceRow::new("p/r@1", "p", "r", token), 900, 3), Some(NanoUsd(18_000)));
        let neither = Prices::NONE.with(Meter::Output, PicoUsd(1));
        assert_eq!(upper_bound_of_ranking(&PriceRow::new("p/r@1", "p", "r", neither), 900, 3), None);
    }

    #[test]
    fn units_are_bound_by_their_own_price_and_have_no_bound_without_one() {
        let prices = Prices::NONE.with(Meter::InputAudioMs, PicoUsd(100_000)).with(Meter::OutputImages, PicoUsd(0));
        let mut row = PriceRow::new("p/a@1", "p", "a", prices);
        let minute = Usage::ZERO.with(Meter::InputAudioMs, 60_000);
        assert_eq!(upper_bound_of_units(&row, &minute), Some(NanoUsd(6_000_000)));
        assert_eq!(expected_of_units(&row, &minute), NanoUsd(6_000_000));
        assert_eq!(upper_bound_of_units(&row, &Usage::ZERO.with(Meter::OutputImages, 4)), Some(NanoUsd(0)));
        assert_eq!(upper_bound_of_units(&row, &Usage::ZERO.with(Meter::InputCharacters, 4)), None);
        assert_eq!(upper_bound_of_units(&row, &Usage::ZERO.with(Meter::Input, 4)), None);
        assert!(!prices_tokens(&row));
        row.regions.push(RegionPrices { region: "eu".into(), multiplier_millionths: 2_000_000 });
        assert_eq!(upper_bound_of_units(&row, &minute), Some(NanoUsd(12_000_000)));
    }

    #[test]
    fn expected_is_the_price_of_fresh_text() {
        assert_eq!(expected(&row(), 1000, 100, AT), NanoUsd(3_000_000 + 1_500_000));
    }

    #[test]
    fn own_hardware_costs_its_hour_over_its_tokens() {
        // 2.10 USD / 3600 s / 5200 tokens/s = 112 179.48… pico-dollars
        assert_eq!(gpu_price("2.10", 5200), Ok(PicoUsd(112_179)));
        assert_eq!(gpu_price("3.60", 1), Ok(PicoUsd(1_000_000_000)));
        assert!(gpu_price("2.10", 0).is_err() && gpu_price("dear", 1).is_err());
    }

    fn any_prices() -> impl Strategy<Value = Prices> {
        // Input and output always, the rest sometimes, apiece meters never: no bound covers those.
        proptest::collection::vec(proptest::option::of(0i64..40_000_000), Meter::COUNT).prop_map(|list| {
            let mut prices = Prices::NONE.with(Meter::Input, PicoUsd(1)).with(Meter::Output, PicoUsd(1));
            for (meter, price) in Meter::ALL.iter().zip(list) {
                if let Some(price) = price.filter(|_| meter.direction() != Direction::Apiece) {
                    prices.set(*meter, PicoUsd(price));
                }
            }
            prices
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn no_cost_exceeds_its_bound(
            prices in any_prices(), band in any_prices(), tier in any_prices(), tier_band in any_prices(),
            above in 0u64..3000, counts in proptest::collection::vec(0u64..1000, Meter::COUNT),
            tiered in any::<bool>(), regional in any::<bool>(), n in 1u32..4,
            contract in proptest::option::of(1u32..1_000_000),
        ) {
            let mut row = PriceRow::new("p/m@1", "p", "m", prices);
            row.bands.push(Band { above_input_tokens: above, prices: band });
            let bands = vec![Band { above_input_tokens: above * 2, prices: tier_band }];
            row.tiers.push(TierPrices { tier: "flex".into(), prices: tier, bands });
            row.regions.push(RegionPrices { region: "eu".into(), multiplier_millionths: 1_100_001 });
            row.contract_millionths = contract;
            let mut usage = Usage::ZERO;
            for (meter, count) in Meter::ALL.iter().zip(counts) {
                let priced = meter.direction() != Direction::Apiece
                    && Terms::of(&row, &Served::standard(AT)).price(*meter, 0).is_some();
                usage.set(*meter, if priced { count } else { 0 });
            }
            let served = Served { at: AT, tier: tiered.then_some("flex"), region: regional.then_some("eu-de") };
            let cap = usage.output_tokens().div_ceil(u64::from(n));
            let cost = price(&usage, Some(&row), &served);
            prop_assert!(matches!(cost, domain::Cost::Priced { .. }), "{:?}", cost);
            prop_assert!(cost.booked() <= upper_bound_for(&row, usage.input_tokens(), cap, n, &served));
            prop_assert!(cost.booked() <= upper_bound(&row, usage.input_tokens(), cap, n, AT));
        }
    }
}
