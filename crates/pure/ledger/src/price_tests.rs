//! Examples of pricing, bug by bug where a peer had one.

use super::*;
use crate::hours::Hours;
use crate::terms::within;
use domain::{Meter, PicoUsd, UnixMs};
use proptest::prelude::*;

const AT: UnixMs = UnixMs(1_795_252_724_005);

/// A model with a long-context band, two tiers and a European region.
fn row() -> PriceRow {
    let per_million = |usd| PicoUsd::per_million(usd).unwrap();
    let prices = Prices::NONE
        .with(Meter::Input, per_million("2.5"))
        .with(Meter::CacheRead, per_million("0.25"))
        .with(Meter::Output, per_million("15"));
    let mut row = PriceRow::new("openai/m@2026-11-12", "openai", "m", prices);
    row.bands.push(Band {
        above_input_tokens: 1000,
        prices: Prices::NONE.with(Meter::Input, per_million("5")).with(Meter::Output, per_million("22.5")),
    });
    row.tiers.push(TierPrices {
        tier: "flex".into(),
        prices: Prices::NONE.with(Meter::Input, per_million("1.25")).with(Meter::Output, per_million("7.5")),
        bands: vec![Band {
            above_input_tokens: 1000,
            prices: Prices::NONE.with(Meter::Input, per_million("2.5")).with(Meter::Output, per_million("11.25")),
        }],
    });
    row.tiers.push(TierPrices {
        tier: "priority".into(),
        prices: Prices::NONE.with(Meter::Input, per_million("4")).with(Meter::Output, per_million("30")),
        bands: Vec::new(),
    });
    row.regions.push(RegionPrices { region: "eu".into(), multiplier_millionths: 1_100_000 });
    row
}

fn lines(usage: Usage, served: Served) -> Vec<(Meter, i64, String)> {
    let Cost::Priced { total, lines } = price(&usage, Some(&row()), &served) else { panic!("priced") };
    assert_eq!(total, lines.iter().map(|line| line.amount).sum());
    lines.into_iter().map(|line| (line.meter, line.amount.0, line.price_row)).collect()
}

fn tier(name: &str) -> Served<'_> {
    Served { at: AT, tier: Some(name), region: None }
}

#[test]
fn each_meter_is_one_line_that_names_its_row() {
    let usage = Usage::ZERO.with(Meter::Input, 100).with(Meter::CacheRead, 800).with(Meter::Output, 10);
    let id = "openai/m@2026-11-12".to_owned();
    assert_eq!(
        lines(usage, Served::standard(AT)),
        [(Meter::Input, 250_000, id.clone()), (Meter::CacheRead, 200_000, id.clone()), (Meter::Output, 150_000, id),]
    );
}

#[test]
fn cached_tokens_count_towards_the_context_band() {
    let usage = Usage::ZERO.with(Meter::Input, 1).with(Meter::CacheRead, 1000).with(Meter::Output, 10);
    let lines = lines(usage, Served::standard(AT));
    assert_eq!(lines[0], (Meter::Input, 5000, "openai/m@2026-11-12#above-1000".into()));
    assert_eq!(lines[1], (Meter::CacheRead, 250_000, "openai/m@2026-11-12".into()), "the band names no cache read");
    assert_eq!(lines[2], (Meter::Output, 225_000, "openai/m@2026-11-12#above-1000".into()));
}

#[test]
fn exactly_at_the_threshold_the_band_does_not_apply() {
    assert_eq!(lines(Usage::ZERO.with(Meter::Input, 1000), Served::standard(AT))[0].1, 2_500_000);
    assert_eq!(lines(Usage::ZERO.with(Meter::Input, 1001), Served::standard(AT))[0].1, 5_005_000);
}

#[test]
fn the_tier_served_decides_and_has_bands_of_its_own() {
    let usage = Usage::ZERO.with(Meter::Input, 100);
    assert_eq!(lines(usage, tier("flex"))[0], (Meter::Input, 125_000, "openai/m@2026-11-12#tier-flex".into()));
    let long = lines(Usage::ZERO.with(Meter::Input, 2000), tier("flex"));
    assert_eq!(long[0], (Meter::Input, 5_000_000, "openai/m@2026-11-12#above-1000#tier-flex".into()));
    assert_eq!(lines(usage, tier("default"))[0].2, "openai/m@2026-11-12");
}

#[test]
fn a_tier_without_the_band_takes_the_dearer_price() {
    let usage = Usage::ZERO.with(Meter::Input, 2000).with(Meter::Output, 1);
    let lines = lines(usage, tier("priority"));
    assert_eq!(lines[0], (Meter::Input, 10_000_000, "openai/m@2026-11-12#above-1000".into()));
    assert_eq!(lines[1], (Meter::Output, 30_000, "openai/m@2026-11-12#tier-priority".into()));
}

#[test]
fn an_unknown_tier_rings_the_alarm_at_the_standard_price() {
    let usage = Usage::ZERO.with(Meter::Input, 100);
    let Cost::Unpriced { lines, missing } = price(&usage, Some(&row()), &tier("ultrafast")) else { panic!("alarm") };
    assert_eq!((lines[0].amount, missing), (NanoUsd(250_000), vec![Meter::Input]));
}

#[test]
fn a_region_billed_apart_multiplies_the_price() {
    let served = Served { at: AT, tier: None, region: Some("EU-de") };
    let lines = lines(Usage::ZERO.with(Meter::Input, 100), served);
    assert_eq!(lines[0], (Meter::Input, 275_000, "openai/m@2026-11-12#region-eu".into()));
    assert!(!within("europe", "eu") && within("eu", "eu"));
}

#[test]
fn a_contract_takes_its_share_off_every_price_and_the_line_names_it() {
    let mut row = row();
    row.contract_millionths = Some(850_000);
    let usage = Usage::ZERO.with(Meter::Input, 100).with(Meter::Output, 10);
    let told = |served| {
        let Cost::Priced { lines, .. } = price(&usage, Some(&row), &served) else { panic!("priced") };
        lines.into_iter().map(|line| (line.amount.0, line.price_row)).collect::<Vec<_>>()
    };
    // 100 × 2500 × 0.85 and 10 × 15000 × 0.85
    let name = "openai/m@2026-11-12#contract-0.85".to_owned();
    assert_eq!(told(Served::standard(AT)), [(212_500, name.clone()), (127_500, name)]);
    // 100 × 1250 × 1.1 × 0.85, in one step: 116 875
    let flex = Served { region: Some("eu"), ..tier("flex") };
    assert_eq!(told(flex)[0], (116_875, "openai/m@2026-11-12#tier-flex#region-eu#contract-0.85".to_owned()));
    assert_eq!(expected(&row, 100, 10, AT), NanoUsd(340_000));
}

#[test]
fn traffic_of_vertex_is_priced_as_the_tier_it_stands_for() {
    let usage = Usage::ZERO.with(Meter::Input, 100);
    assert_eq!(lines(usage, tier("ON_DEMAND"))[0].2, "openai/m@2026-11-12");
    assert_eq!(lines(usage, tier("ON_DEMAND_FLEX"))[0].2, "openai/m@2026-11-12#tier-flex");
    let provisioned = price(&usage, Some(&row()), &tier("PROVISIONED_THROUGHPUT"));
    assert!(matches!(provisioned, Cost::Unpriced { .. }), "what was paid for by the unit is not priced by the token");
}

#[test]
fn meters_without_a_price_fall_back_or_stay_unpriced() {
    let usage = Usage::ZERO.with(Meter::Reasoning, 10).with(Meter::CacheWrite1h, 10).with(Meter::InputImage, 10);
    let amounts: Vec<_> = lines(usage, Served::standard(AT)).into_iter().map(|line| line.1).collect();
    assert_eq!(amounts, [25_000, 150_000, 25_000]);
    let audio = Usage::ZERO.with(Meter::Input, 10).with(Meter::InputAudio, 1);
    let Cost::Unpriced { lines, missing } = price(&audio, Some(&row()), &Served::standard(AT)) else { panic!() };
    assert_eq!((lines.len(), missing), (1, vec![Meter::InputAudio]));
}

#[test]
fn zero_is_a_price_and_no_row_is_none() {
    let free = PriceRow::new("own/m", "own", "m", Prices::NONE.with(Meter::Input, PicoUsd(0)));
    let usage = Usage::ZERO.with(Meter::Input, 10);
    assert_eq!(price(&usage, Some(&free), &Served::standard(AT)).booked(), NanoUsd::ZERO);
    assert!(
        matches!(price(&usage, Some(&free), &Served::standard(AT)), Cost::Priced { lines, .. } if lines.len() == 1)
    );
    let nothing = Cost::Unpriced { lines: vec![], missing: vec![Meter::Input] };
    assert_eq!(price(&usage, None, &Served::standard(AT)), nothing);
    assert_eq!(price(&Usage::ZERO, None, &Served::standard(AT)), Cost::NOTHING);
}

#[test]
fn history_is_priced_by_the_row_of_its_day() {
    let old = PriceRow { to: Some(UnixMs(100)), ..PriceRow::new("p/m@a", "p", "m", Prices::NONE) };
    let new = PriceRow { from: UnixMs(100), ..PriceRow::new("p/m@b", "p", "m", Prices::NONE) };
    let book = PriceBook::new(vec![new.clone(), old.clone()]).unwrap();
    assert_eq!(book.row(UnixMs(99)).unwrap().id, "p/m@a");
    assert_eq!(book.row(UnixMs(100)).unwrap().id, "p/m@b");
    let ended = PriceBook::new(vec![old.clone()]).unwrap();
    assert_eq!(ended.row(UnixMs(100)), None);
    let twice = PriceRow { to: None, ..old };
    assert_eq!(PriceBook::new(vec![twice, new]), Err(BadBook::Overlap("p/m@a".into(), "p/m@b".into())));
}

#[test]
fn an_absurd_usage_costs_the_largest_amount() {
    let usage = Usage::ZERO.with(Meter::Input, u64::MAX).with(Meter::Output, u64::MAX);
    assert_eq!(price(&usage, Some(&row()), &Served::standard(AT)).booked(), NanoUsd::MAX);
}

#[test]
fn a_negative_price_is_no_price() {
    let prices = Prices::NONE.with(Meter::Input, PicoUsd(-1));
    assert_eq!(PriceBook::new(vec![PriceRow::new("x", "p", "m", prices)]), Err(BadBook::Negative("x".into())));
}

#[test]
fn a_multiplier_is_read_exactly() {
    assert_eq!(multiplier_millionths("1.1"), Ok(1_100_000));
    assert!(multiplier_millionths("1.0000001").is_err());
}

/// litellm#9812, #6575: cache creation billed twice, as input and as write; #37407: cached and modal tokens overlapping.
#[test]
fn litellm_9812_a_written_token_is_billed_once() {
    let mut row = row();
    row.prices.set(Meter::CacheWrite5m, PicoUsd(3_125_000));
    let usage = Usage::ZERO.with(Meter::Input, 10).with(Meter::CacheWrite5m, 990);
    assert_eq!(price(&usage, Some(&row), &Served::standard(AT)).booked(), NanoUsd(25_000 + 3_093_750));
}

/// litellm#11789: a cache read in a stream billed at the full price, seven times too much.
#[test]
fn litellm_11789_a_cache_read_costs_its_own_price() {
    let usage = Usage::ZERO.with(Meter::CacheRead, 1000);
    assert_eq!(price(&usage, Some(&row()), &Served::standard(AT)).booked(), NanoUsd(250_000));
}

proptest! {
    #[test]
    fn a_priced_cost_is_the_sum_of_its_lines_and_counts_every_unit(
        counts in proptest::collection::vec(0u64..10_000, Meter::COUNT), flex in any::<bool>(),
    ) {
        let mut usage = Usage::ZERO;
        Meter::ALL.iter().zip(counts).for_each(|(meter, count)| usage.set(*meter, count));
        let cost = price(&usage, Some(&row()), &Served { at: AT, tier: flex.then_some("flex"), region: None });
        let (lines, missing) = match &cost {
            Cost::Priced { lines, .. } => (lines.clone(), Vec::new()),
            Cost::Unpriced { lines, missing } => (lines.clone(), missing.clone()),
            Cost::AtMost(_) => unreachable!("pricing never bounds"),
        };
        for (meter, units) in usage.counts() {
            let found: u64 = lines.iter().filter(|line| line.meter == meter).map(|line| line.units).sum();
            prop_assert_eq!(found, if missing.contains(&meter) { 0 } else { units });
        }
        prop_assert_eq!(cost.booked(), lines.iter().map(|line| line.amount).sum());
    }
}

#[test]
fn requests_of_a_batch_are_priced_each_by_its_own_size_and_rounded_together() {
    let mut row = PriceRow::new("r", "p", "m", Prices::NONE.with(Meter::Input, PicoUsd(1_500)));
    row.bands = vec![Band { above_input_tokens: 10, prices: Prices::NONE.with(Meter::Input, PicoUsd(4_000)) }];
    let used = |tokens| Usage::ZERO.with(Meter::Input, tokens);
    let cost = price_each(&[used(1), used(1), used(1), used(11)], Some(&row), &Served::standard(UnixMs(0)));
    let Cost::Priced { total, lines } = cost else { panic!("every meter has a price") };
    let told: Vec<_> = lines.iter().map(|line| (line.units, line.amount)).collect();
    // Three times 1.5 is 4.5, which is rounded once, to the even 4.
    assert_eq!((told, total), (vec![(3, NanoUsd(4)), (11, NanoUsd(44))], NanoUsd(48)));
    assert_eq!(price_each(&[], Some(&row), &Served::standard(UnixMs(0))), Cost::NOTHING);
    assert!(matches!(price_each(&[used(1)], None, &Served::standard(UnixMs(0))), Cost::Unpriced { .. }));
    assert_eq!(total_usage(&[used(1), used(2)]), used(3));
}

#[test]
fn parts_of_an_answer_are_each_priced_by_their_own_row_and_size() {
    let dear = PriceRow::new("p/dear@1", "p", "dear", Prices::NONE.with(Meter::Input, PicoUsd(10_000_000)));
    let used = |tokens| Usage::ZERO.with(Meter::Input, tokens);
    let served = Served::standard(AT);
    let parts = [
        price(&used(600), Some(&row()), &served),
        price(&used(600), Some(&row()), &served),
        price(&used(5), Some(&dear), &served),
    ];
    let Cost::Priced { total, lines } = together(parts) else { panic!("priced") };
    let told: Vec<_> = lines.iter().map(|line| (line.units, line.amount.0, line.price_row.as_str())).collect();
    // Twice 600 tokens are two requests below the band of 1,000: 1200 × 2500. The other is 5 × 10000.
    assert_eq!(told, [(1200, 3_000_000, "openai/m@2026-11-12"), (5, 50_000, "p/dear@1")]);
    assert_eq!(total, NanoUsd(3_050_000));
}

#[test]
fn a_row_that_stands_in_charges_the_nearest_figure_and_rings_the_alarm() {
    let usage = Usage::ZERO.with(Meter::Input, 100).with(Meter::Output, 10);
    let cost = price_standing_in(&usage, Some(&row()), &Served::standard(AT));
    // 100 × 2500 + 10 × 15000
    assert_eq!(cost.booked(), NanoUsd(400_000));
    assert!(matches!(&cost, Cost::Unpriced { missing, .. } if *missing == [Meter::Input, Meter::Output]), "{cost:?}");
    let own = price(&usage, Some(&row()), &Served::standard(AT));
    assert!(matches!(together([own, cost]), Cost::Unpriced { lines, .. } if lines.len() == 2));
}

/// A model whose output costs less above a thousand and above two thousand tokens of one request.
fn sliced() -> PriceRow {
    let mut row = PriceRow::new("p/m@1", "p", "m", Prices::NONE.with(Meter::Output, PicoUsd(4_000_000)));
    for (above_units, price) in [(2_000, 1_000_000), (1_000, 2_000_000)] {
        row.slices.push(Slice { above_units, prices: Prices::NONE.with(Meter::Output, PicoUsd(price)) });
    }
    row
}

#[test]
fn units_above_a_slice_cost_its_price_and_those_below_keep_theirs() {
    let cost = |units| price(&Usage::ZERO.with(Meter::Output, units), Some(&sliced()), &Served::standard(AT));
    let told = |units| {
        let Cost::Priced { lines, .. } = cost(units) else { panic!("priced") };
        lines.into_iter().map(|line| (line.units, line.amount.0, line.price_row)).collect::<Vec<_>>()
    };
    // 1000 × 4000 + 1000 × 2000 + 500 × 1000
    assert_eq!(
        told(2_500),
        [
            (1_000, 4_000_000, "p/m@1".to_owned()),
            (1_000, 2_000_000, "p/m@1#unit-1000".to_owned()),
            (500, 500_000, "p/m@1#unit-2000".to_owned()),
        ]
    );
    assert_eq!(told(1_000), [(1_000, 4_000_000, "p/m@1".to_owned())]);
    assert_eq!(cost(1_001).booked(), NanoUsd(4_002_000));
    assert!(cost(2_500).booked() <= upper_bound(&sliced(), 0, 2_500, 1, AT));
}

#[test]
fn off_peak_hours_have_their_price_and_a_tier_of_its_own_has_it_at_every_hour() {
    let mut row = row();
    // AT is Saturday, 21 November 2026, 09:18 UTC.
    let hours = vec![Hours { days: 0b010_0000, from_minute: 9 * 60, to_minute: 10 * 60 }];
    let prices = Prices::NONE.with(Meter::Input, PicoUsd(1_000_000));
    row.off_peak.push(OffPeak { hours, tier: TierPrices { tier: "night".into(), prices, bands: Vec::new() } });
    let told = |served| {
        let usage = Usage::ZERO.with(Meter::Input, 10).with(Meter::Output, 1);
        let Cost::Priced { lines, .. } = price(&usage, Some(&row), &served) else { panic!("priced") };
        lines.into_iter().map(|line| (line.amount.0, line.price_row)).collect::<Vec<_>>()
    };
    let id = "openai/m@2026-11-12".to_owned();
    // Output has no price of the hour, and keeps its own.
    assert_eq!(told(Served::standard(AT)), [(10_000, format!("{id}#hours-night")), (15_000, id.clone())]);
    let an_hour_later = Served::standard(AT + 3_600_000);
    assert_eq!(told(an_hour_later)[0], (25_000, id.clone()));
    assert_eq!(told(tier("flex"))[0], (12_500, format!("{id}#tier-flex")));
}

#[test]
fn what_a_capacity_serves_names_it() {
    let mut row = row();
    let prices = Prices::NONE.with(Meter::Input, PicoUsd(500_000));
    row.tiers.push(TierPrices { tier: "PROVISIONED_THROUGHPUT".into(), prices, bands: Vec::new() });
    row.capacity.push(ServedByCapacity { tier: Some("PROVISIONED_THROUGHPUT".into()), name: "east".into() });
    let usage = Usage::ZERO.with(Meter::Input, 10);
    let name = |served| {
        let Cost::Priced { lines, .. } = price(&usage, Some(&row), &served) else { panic!("priced") };
        lines[0].price_row.clone()
    };
    assert_eq!(name(tier("PROVISIONED_THROUGHPUT")), "openai/m@2026-11-12#tier-PROVISIONED_THROUGHPUT#capacity-east");
    assert_eq!(name(Served::standard(AT)), "openai/m@2026-11-12", "what flows over is billed by the token");
}

#[test]
fn a_book_that_is_changed_for_a_while_keeps_its_rows_before_and_after() {
    let old = PriceRow { to: Some(UnixMs(100)), ..PriceRow::new("p/m@a", "p", "m", Prices::NONE) };
    let new = PriceRow { from: UnixMs(100), ..PriceRow::new("p/m@b", "p", "m", Prices::NONE) };
    let book = PriceBook::new(vec![old, new]).unwrap();
    let contract = |row: PriceRow| PriceRow { contract_millionths: Some(900_000), ..row };
    let told = |book: &PriceBook| {
        let told =
            |row: &PriceRow| (row.id.clone(), row.from.0, row.to.map(|to| to.0), row.contract_millionths.is_some());
        book.rows().iter().map(told).collect::<Vec<_>>()
    };
    let ever = BEGINNING.0;
    let (a, b) = ("p/m@a".to_owned(), "p/m@b".to_owned());
    assert_eq!(
        told(&book.changed_between(UnixMs(50), Some(UnixMs(150)), &contract)),
        [
            (a.clone(), ever, Some(50), false),
            (a.clone(), 50, Some(100), true),
            (b.clone(), 100, Some(150), true),
            (b.clone(), 150, None, false),
        ]
    );
    assert_eq!(
        told(&book.changed_between(UnixMs(100), None, &contract)),
        [(a, ever, Some(100), false), (b, 100, None, true)]
    );
}

#[test]
fn every_price_of_a_row_is_changed_with_it() {
    let doubled = row().map_prices(&|price| PicoUsd(price.0 * 2));
    assert_eq!(doubled.prices.get(Meter::Input), Some(PicoUsd(5_000_000)));
    assert_eq!(doubled.tiers[0].bands[0].prices.get(Meter::Output), Some(PicoUsd(22_500_000)));
    assert_eq!(doubled.prices.get(Meter::Citation), None);
}
