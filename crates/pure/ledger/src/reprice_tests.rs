//! Histories priced anew: by their own day, once, and never more than was used.

use super::*;
use crate::price::{self, Band, Prices, TierPrices};
use crate::segment::examples;
use proptest::prelude::*;

/// The books of a test: one model at one provider, and a second that the first may call.
struct Two(PriceBook, PriceBook);

impl Books for Two {
    fn of_record(&self, _: &Record) -> Option<&PriceBook> {
        Some(&self.0)
    }
    fn of_line(&self, _: &Record, row: &str) -> Option<&PriceBook> {
        Some(if row.starts_with("anthropic/other@") { &self.1 } else { &self.0 })
    }
    fn row(&self, id: &str) -> Option<&PriceRow> {
        self.0.rows().iter().chain(self.1.rows()).find(|row| row.id == id)
    }
}

fn row(id: &str, input: i64) -> PriceRow {
    PriceRow::new(id, "anthropic", "m", Prices::NONE.with(Meter::Input, PicoUsd(input)))
}

fn books(rows: Vec<PriceRow>) -> Two {
    let other =
        PriceRow::new("anthropic/other@1", "anthropic", "other", Prices::NONE.with(Meter::Input, PicoUsd(9_000)));
    Two(PriceBook::new(rows).unwrap(), PriceBook::new(vec![other]).unwrap())
}

fn changed(repriced: Repriced) -> Change {
    match repriced {
        Repriced::Changed(change) => change,
        other => panic!("{other:?}"),
    }
}

fn sum(lines: &[CostLine]) -> NanoUsd {
    lines.iter().map(|line| line.amount).sum()
}

#[test]
fn an_attempt_is_priced_by_the_row_of_its_own_day() {
    // 1500 tokens at 3000 nano each were booked; on that day the list says 2000, and 5000 only later.
    let record = examples::record();
    let day = UnixMs(record.intent.at.0 + 1);
    let books = books(vec![
        PriceRow { to: Some(day), ..row("anthropic/m@a", 2_000_000) },
        PriceRow { from: day, ..row("anthropic/m@b", 5_000_000) },
    ]);
    let change = changed(reprice(&record, &[], &books));
    assert_eq!(
        (sum(&change.booked), sum(&change.now), sum(&change.lines)),
        (NanoUsd(4_500_000), NanoUsd(3_000_000), NanoUsd(-1_500_000))
    );
    let told: Vec<_> = change.lines.iter().map(|line| (line.price.0, line.amount.0, line.price_row.as_str())).collect();
    assert_eq!(told, [(-3_000_000, -4_500_000, "anthropic/m@2026-11-12"), (2_000_000, 3_000_000, "anthropic/m@a")]);
}

#[test]
fn a_correction_that_is_booked_is_not_booked_again() {
    let record = examples::record();
    let first = books(vec![row("anthropic/m@a", 2_000_000)]);
    let lines = changed(reprice(&record, &[], &first)).lines;
    let correction_1 = correction(&record, 0, lines, "a test", UnixMs(1));
    assert_eq!(reprice(&record, std::slice::from_ref(&correction_1), &first), Repriced::Same);
    assert_eq!(
        (correction_1.corrects, correction_1.intent.attempt.is_correction()),
        (Some(record.intent.attempt), true)
    );
    assert_eq!(reprice(&correction_1, &[], &first), Repriced::Left(Why::NotPriced));
    // A third list goes on from the second.
    let second = books(vec![row("anthropic/m@b", 4_000_000)]);
    let change = changed(reprice(&record, std::slice::from_ref(&correction_1), &second));
    assert_eq!((sum(&change.booked), sum(&change.lines)), (NanoUsd(3_000_000), NanoUsd(3_000_000)));
    let both = [correction_1, correction(&record, 1, change.lines, "a test", UnixMs(2))];
    assert_eq!(reprice(&record, &both, &second), Repriced::Same);
}

#[test]
fn a_row_of_another_name_and_the_same_price_is_no_change() {
    assert_eq!(reprice(&examples::record(), &[], &books(vec![row("anthropic/m@z", 3_000_000)])), Repriced::Same);
}

#[test]
fn what_had_no_price_gets_one_and_what_has_none_now_stays() {
    let mut record = examples::record();
    record.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] };
    let change = changed(reprice(&record, &[], &books(vec![row("anthropic/m@a", 2_000_000)])));
    assert_eq!(sum(&change.lines), NanoUsd(3_000_000));
    let ended = PriceRow { to: Some(UnixMs(1)), ..row("anthropic/m@a", 2_000_000) };
    assert_eq!(reprice(&examples::record(), &[], &books(vec![ended])), Repriced::Left(Why::NoPrice));
}

#[test]
fn the_tier_that_served_counts_and_an_older_record_says_it_in_its_lines() {
    let mut list = row("anthropic/m@a", 4_000_000);
    let prices = Prices::NONE.with(Meter::Input, PicoUsd(1_000_000));
    list.tiers.push(TierPrices { tier: "flex".into(), prices, bands: Vec::new() });
    let mut record = examples::record();
    record.served.tier = Some("flex".into());
    assert_eq!(sum(&changed(reprice(&record, &[], &books(vec![list.clone()]))).now), NanoUsd(1_500_000));
    let mut older = examples::record();
    let Cost::Priced { lines, .. } = &mut older.cost else { unreachable!("the example is priced") };
    lines[0].price_row.push_str("#tier-flex");
    assert_eq!(sum(&changed(reprice(&older, &[], &books(vec![list]))).now), NanoUsd(1_500_000));
}

#[test]
fn an_answer_of_several_models_is_priced_anew_line_by_line() {
    let mut record = examples::record();
    let Cost::Priced { total, lines } = &mut record.cost else { unreachable!("the example is priced") };
    let other = CostLine {
        units: 10,
        price: PicoUsd(8_000),
        amount: NanoUsd(80),
        price_row: "anthropic/other@0".into(),
        ..lines[0].clone()
    };
    lines.push(other);
    *total = NanoUsd(4_500_080);
    let change = changed(reprice(&record, &[], &books(vec![row("anthropic/m@a", 3_000_000)])));
    // Ten of the other model at 9 nano instead of 8.
    assert_eq!((sum(&change.now), sum(&change.lines)), (NanoUsd(4_500_090), NanoUsd(10)));
}

#[test]
fn a_batch_keeps_the_band_of_each_line_and_is_left_where_the_bands_are_others() {
    let banded = |id: &str, above, price| {
        let band = Band { above_input_tokens: above, prices: Prices::NONE.with(Meter::Input, PicoUsd(price)) };
        PriceRow { bands: vec![band], ..row(id, 1_000_000) }
    };
    let mut record = examples::record();
    record.intent.cause = Cause::Batch;
    let Cost::Priced { lines, .. } = &mut record.cost else { unreachable!("the example is priced") };
    lines[0].price_row = "anthropic/m@old#above-100".into();
    let old = PriceRow { to: Some(UnixMs(1)), ..banded("anthropic/m@old", 100, 3_000_000) };
    let now = |above| PriceRow { from: UnixMs(1), ..banded("anthropic/m@a", above, 4_000_000) };
    let change = changed(reprice(&record, &[], &books(vec![old.clone(), now(100)])));
    assert_eq!(sum(&change.now), NanoUsd(6_000_000));
    assert_eq!(change.now[0].price_row, "anthropic/m@a#above-100");
    assert_eq!(reprice(&record, &[], &books(vec![old, now(200)])), Repriced::Left(Why::OtherBands));
}

#[test]
fn a_bound_stays_a_bound_and_what_took_one_back_stays_out_of_it() {
    let mut record = examples::record();
    record.cost = Cost::AtMost(Some(NanoUsd(5)));
    let list = books(vec![row("anthropic/m@a", 2_000_000)]);
    assert_eq!(reprice(&record, &[], &list), Repriced::Left(Why::Bound));
    let mut settled = examples::record();
    let Cost::Priced { total, lines } = &mut settled.cost else { unreachable!("the example is priced") };
    lines.push(CostLine::taking_back(NanoUsd(9_000_000), record.intent.attempt));
    *total = NanoUsd(-4_500_000);
    assert_eq!(sum(&changed(reprice(&settled, &[], &list)).lines), NanoUsd(-1_500_000));
}

#[test]
fn what_depends_on_other_calls_or_on_a_capacity_stays_as_it_is() {
    let list = || row("anthropic/m@a", 2_000_000);
    let mut free = examples::record();
    free.counted = vec![domain::Counted { name: "searches".into(), amount: 1 }];
    let Cost::Priced { lines, .. } = &mut free.cost else { unreachable!("the example is priced") };
    lines[0].price_row.push_str("#free-searches");
    assert_eq!(reprice(&free, &[], &books(vec![list()])), Repriced::Left(Why::Totals));
    let mut committed = examples::record();
    committed.counted = vec![domain::Counted { name: "acme".into(), amount: 4_500_000 }];
    assert!(matches!(reprice(&committed, &[], &books(vec![list()])), Repriced::Changed(_)), "counting moves no price");
    let mut served = examples::record();
    let Cost::Priced { lines, .. } = &mut served.cost else { unreachable!("the example is priced") };
    lines[0].price_row.push_str("#capacity-east");
    assert_eq!(reprice(&served, &[], &books(vec![list()])), Repriced::Left(Why::Capacity));
}

proptest! {
    #[test]
    fn corrections_lead_to_the_new_price_in_any_order_of_lists(
        input in 0u64..10_000, output in 0u64..10_000, prices in proptest::collection::vec((1i64..9_000_000, 1i64..9_000_000), 1..5),
    ) {
        let mut record = examples::record();
        record.usage = Usage::ZERO.with(Meter::Input, input).with(Meter::Output, output);
        let list = |(input, output): (i64, i64)| {
            let prices = Prices::NONE.with(Meter::Input, PicoUsd(input)).with(Meter::Output, PicoUsd(output));
            PriceRow::new(format!("anthropic/m@{input}-{output}"), "anthropic", "m", prices)
        };
        record.cost = price::price(&record.usage, Some(&list((3_000_000, 5))), &Served::standard(record.intent.at));
        let mut corrections = Vec::new();
        for prices in prices {
            let row = list(prices);
            let expected = price::price(&record.usage, Some(&row), &Served::standard(record.intent.at)).booked();
            let books = books(vec![row]);
            if let Repriced::Changed(change) = reprice(&record, &corrections, &books) {
                let number = corrections.len() as u16;
                corrections.push(correction(&record, number, change.lines, "a list", UnixMs(1)));
            }
            let booked: NanoUsd = corrections.iter().map(|one| one.cost.booked()).sum();
            prop_assert_eq!(record.cost.booked() + booked, expected);
            prop_assert_eq!(reprice(&record, &corrections, &books), Repriced::Same);
        }
    }
}
