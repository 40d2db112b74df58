//! Sums by meter and the chain of batches: what was taken over can be added up and proven, also after part of it is erased.

use domain::{Cost, CostLine, Entry, Meter, NanoUsd, PicoUsd, Record, UnixMs, Usage};
use store::rollup::{DAY_MS, HOUR_MS};
use store::{Batch, Digest, Expected, SumTable};
use testkit::facts::Sample;

use crate::world::{World, on_both};

/// A Saturday, 12:00 UTC.
const NOON: UnixMs = UnixMs(1_795_262_400_000);
const MIDNIGHT: UnixMs = UnixMs(1_795_219_200_000);
const EVER: UnixMs = UnixMs(i64::MAX);

on_both! {
    sums_by_meter_hold_units_money_and_attempts_by_the_hour_and_by_the_day,
    what_the_tables_of_sums_hold_is_what_the_facts_add_up_to,
    each_batch_follows_from_the_one_before_and_digests_what_it_wrote,
    what_retention_erases_leaves_its_batch_and_batches_of_which_nothing_is_left_are_folded,
}

fn batch(upto_offset: u64, entries: Vec<Entry>) -> Batch {
    Batch { segment: "1.seg".into(), upto_offset, entries, ..Batch::default() }
}

/// 700 tokens in, 30 out.
fn two_lines(number: u64, at: UnixMs) -> Record {
    let mut record = Sample::new(number, at).record();
    record.usage = Usage::ZERO.with(Meter::Input, 700).with(Meter::Output, 30);
    let Cost::Priced { total, lines } = &mut record.cost else { unreachable!("samples are priced") };
    let price = PicoUsd(15_000_000);
    let line = CostLine {
        meter: Meter::Output,
        units: 30,
        price,
        amount: price.times(30),
        price_row: "provider/sonnet@2026-01-01#tier-batch".into(),
    };
    *total += line.amount;
    lines.push(line);
    record
}

fn boxed(record: &Record) -> Entry {
    Entry::Record(Box::new(record.clone()))
}

async fn sums_by_meter_hold_units_money_and_attempts_by_the_hour_and_by_the_day(world: &World) {
    let store = world.open().await;
    for (offset, hour) in [(1, 0), (2, 0), (3, 1)] {
        store.ingest(batch(offset, vec![boxed(&two_lines(offset, NOON + hour * HOUR_MS as u64))])).await.unwrap();
    }
    let day = store.meter_totals(MIDNIGHT, EVER).await.unwrap();
    let output = day.iter().find(|sum| sum.cell.meter == Some(Meter::Output)).unwrap();
    assert_eq!((output.units, output.amount, output.attempts), (90, NanoUsd(1_350_000), 0));
    assert_eq!(output.cell.price_row, "provider/sonnet@2026-01-01#tier-batch");
    assert_eq!(day.iter().map(|sum| sum.attempts).sum::<u64>(), 3);
    let hour = store.meter_totals(NOON, NOON + HOUR_MS as u64).await.unwrap();
    assert_eq!(hour.iter().map(|sum| sum.amount).sum::<NanoUsd>(), NanoUsd(2 * 2_550_000));
    // Read a row at a time, the hours come in order and once each.
    let (mut cursor, mut seen) = ((0, 0), Vec::new());
    while let Some((next, sum)) = store.meter_hours_after(cursor, UnixMs(0), EVER, 1).await.unwrap().pop() {
        cursor = next;
        seen.push((sum.start, sum.cell.meter.unwrap(), sum.units));
    }
    // Within an hour they come in the order in which their cells were met.
    seen.sort();
    let late = NOON + HOUR_MS as u64;
    let expected =
        [(NOON, Meter::Input, 1400), (NOON, Meter::Output, 60), (late, Meter::Input, 700), (late, Meter::Output, 30)];
    assert_eq!(seen, expected);
}

async fn what_the_tables_of_sums_hold_is_what_the_facts_add_up_to(world: &World) {
    let store = world.open().await;
    let mut expected = Expected::default();
    for number in 0..5 {
        let sample = Sample {
            workflow: if number % 2 == 0 { "claims-triage" } else { "" },
            ..Sample::new(number, NOON + number * 1_800_000)
        };
        let record = two_lines(number, sample.at);
        expected.add_record(&record);
        expected.add_call(&sample.end());
        store.ingest(batch(number + 1, vec![boxed(&record), Entry::Call(Box::new(sample.end()))])).await.unwrap();
    }
    let mut held = std::collections::BTreeMap::new();
    for table in SumTable::ALL {
        held.extend(store.sum_rows(table, UnixMs(0), UnixMs(0)).await.unwrap());
    }
    assert_eq!(held, expected.rows());
}

async fn each_batch_follows_from_the_one_before_and_digests_what_it_wrote(world: &World) {
    let store = world.open().await;
    store.ingest(batch(300, Sample::new(1, NOON).entries())).await.unwrap();
    store.ingest(batch(300, Sample::new(1, NOON).entries())).await.unwrap();
    store.ingest(batch(900, Sample::new(2, NOON).entries())).await.unwrap();
    store.record(vec![boxed(&Sample::new(3, NOON).record())]).await.unwrap();
    let batches = store.batches_after(0, 10).await.unwrap();
    let places: Vec<_> = batches
        .iter()
        .map(|it| (it.seq, &*it.segment, it.from_offset, it.upto_offset, it.attempts, it.calls))
        .collect();
    assert_eq!(places, [(1, "1.seg", 0, 300, 1, 1), (2, "1.seg", 300, 900, 1, 1), (3, "", 0, 0, 1, 0)]);
    let mut before = vec![0; 32];
    for batch in &batches {
        assert_eq!(batch.chain, batch.hash(&before));
        before = batch.chain.clone();
    }
    assert_eq!(store.books().await.unwrap().chain, before);
    let (mut first, attempts, calls) =
        (Digest::default(), store.raw_attempts_after(0, 1).await.unwrap(), store.raw_calls_after(0, 1).await.unwrap());
    first.add_attempt(&attempts[0].record);
    first.add_call(&calls[0].call_end);
    assert_eq!(batches[0].digest, first);
    assert_eq!((calls[0].attempts, calls[0].attempts_nano, calls[0].last_ordinal), (1, 2_100_000, 1));
}

async fn what_retention_erases_leaves_its_batch_and_batches_of_which_nothing_is_left_are_folded(world: &World) {
    let store = world.open().await;
    let late = NOON + DAY_MS as u64;
    store.ingest(batch(1, Sample::new(1, NOON).entries())).await.unwrap();
    let mixed = [Sample::new(2, NOON).entries(), Sample::new(3, late).entries()].concat();
    store.ingest(batch(2, mixed)).await.unwrap();
    store.prune(late, late + DAY_MS as u64).await.unwrap();
    let books = store.books().await.unwrap();
    assert_eq!((books.folded_seq, books.pruned_before), (1, late));
    let batches = store.batches_after(0, 10).await.unwrap();
    assert_eq!((batches[0].seq, batches[0].pruned), (2, 2));
    // What retention noted of the day that is gone is in the chain, and sealed.
    let erased = store.erased_days().await.unwrap();
    assert_eq!((erased.len(), erased[0].attempts, erased[0].calls, erased[0].sums.is_some()), (1, 2, 2, true));
    let last = batches.last().unwrap();
    assert_eq!((&*last.segment, last.digest), (store::erased::RETENTION, store::erased::digest_of(&erased)));
    assert_eq!(batches[0].chain, batches[0].hash(&books.folded_chain));
    let mut left = batches[0].pruned_digest;
    left.join({
        let mut rest = Digest::default();
        rest.add_attempt(&store.raw_attempts_after(0, 9).await.unwrap()[0].record);
        rest.add_call(&store.raw_calls_after(0, 9).await.unwrap()[0].call_end);
        rest
    });
    assert_eq!(left, batches[0].digest);
    // The hours stay for exports, and the next batch's rows have numbers of their own.
    assert_eq!(store.meter_totals(UnixMs(0), EVER).await.unwrap().iter().map(|sum| sum.attempts).sum::<u64>(), 3);
    store.prune(late + DAY_MS as u64, late + 2 * DAY_MS as u64).await.unwrap();
    let left: Vec<String> = store.batches_after(0, 10).await.unwrap().into_iter().map(|batch| batch.segment).collect();
    assert_eq!(left, [store::erased::RETENTION]);
    store.ingest(batch(3, Sample::new(4, late).entries())).await.unwrap();
    assert_eq!(store.batches_after(0, 10).await.unwrap()[1].attempts_after, 3);
}
