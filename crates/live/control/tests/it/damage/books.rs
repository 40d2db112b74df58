//! The books that damage is planted in: days of calls, as a gateway's segments bring them.

use std::path::{Path, PathBuf};

use control::ingest::Ingest;
use control::verify::{Against, Report, verify};
use domain::{
    AttemptEnd, CallEnd, Cause, Cost, CostLine, Entry, Meter, NanoUsd, PicoUsd, Record, UnixMs, Usage, UsageOrigin,
};
use store::Store;
use testkit::facts::Sample;

use crate::support::{House, MIDNIGHT, NOON};

pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;
/// When the books are looked at.
pub const NOW: UnixMs = UnixMs(NOON.0 + 3_660_000);
/// Records from before this were erased by retention.
pub const PRUNED: UnixMs = UnixMs(MIDNIGHT.0 - 3 * 86_400_000);

/// Segments by name, in the order in which they were written.
pub type Segments = Vec<(&'static str, Vec<Entry>)>;

/// Four days, the first of them erased since, the third without traffic: six workflows, two models with a price and a free one, two
/// keys, a failed attempt with its failover, an estimated one, a missing price, a bound that was settled and one that stays, a late
/// record, and a call in flight.
pub fn facts() -> Segments {
    let day = |days: u64| MIDNIGHT - days * DAY;
    let mut oldest = Vec::new();
    for number in 0u64..6 {
        let workflow = if number.is_multiple_of(2) { "claims-triage" } else { "support-reply" };
        oldest.extend(call(number, day(4) + (number + 1) * HOUR, workflow, "sonnet"));
    }
    let mut older = Vec::new();
    for number in 10..20 {
        let workflow = ["claims-triage", "support-reply", "invoices", "search", "letters"][number as usize % 5];
        let model = ["sonnet", "haiku", "llama"][number as usize % 3];
        older.extend(call(number, day(3) + (number - 9) * HOUR, workflow, model));
    }
    let mut newer = Vec::new();
    newer.extend(failed_over(30, day(1) + HOUR));
    let [intent, mut unpriced, mut end] = parts(31, day(1) + 2 * HOUR, "invoices", "sonnet");
    record_of(&mut unpriced).cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] };
    end_of(&mut end).cost = NanoUsd::ZERO;
    newer.extend([intent, unpriced, end]);
    let [intent, mut estimated, end] = parts(32, day(1) + 3 * HOUR, "search", "sonnet");
    record_of(&mut estimated).end = AttemptEnd::Cancelled;
    record_of(&mut estimated).usage_origin = UsageOrigin::Estimated { error_percent: 20 };
    newer.extend([intent, estimated, end]);
    let [intent, mut killed, mut end] = parts(33, day(1) + 4 * HOUR, "letters", "haiku");
    let record = record_of(&mut killed);
    (record.end, record.cost, record.usage) =
        (AttemptEnd::Indeterminate, Cost::AtMost(Some(NanoUsd(9_000_000))), Usage::ZERO);
    end_of(&mut end).cost = NanoUsd(9_000_000);
    newer.extend([intent, killed, end]);
    newer.extend(bounded(34, day(1) + 5 * HOUR));
    let mut newest = Vec::new();
    newest.push(settlement(34, day(1) + 5 * HOUR, 9_000_000));
    newest.extend(call(40, day(3) + 15 * HOUR, "claims-triage", "sonnet"));
    for number in 41..47 {
        newest.extend(call(number, day(0) + (number - 40) * HOUR, "claims-triage", "sonnet"));
    }
    let mut last = call(50, NOON, "support-reply", "haiku");
    last.push(Entry::Intent(Sample::new(51, NOON + HOUR).intent()));
    vec![("0001.seg", oldest), ("0002.seg", older), ("0003.seg", newer), ("0004.seg", newest), ("0005.seg", last)]
}

fn cost_nano(model: &str) -> i64 {
    match model {
        "sonnet" => 2_100_000,
        "haiku" => 700_000,
        _ => 0,
    }
}

/// The intent, record and end of a served call.
pub fn parts(number: u64, at: UnixMs, workflow: &'static str, model: &'static str) -> [Entry; 3] {
    let key = if number.is_multiple_of(2) { "k1" } else { "k2" };
    let sample = Sample { workflow, model, key, cost_nano: cost_nano(model), ..Sample::new(number, at) };
    let mut record = sample.record();
    let Cost::Priced { lines, .. } = &mut record.cost else { unreachable!("samples are priced") };
    lines[0].price_row = format!("provider/{model}@2026-01-01");
    record.provider_request_id = Some(format!("answer-{number}"));
    [Entry::Intent(sample.intent()), Entry::Record(Box::new(record)), Entry::Call(Box::new(sample.end()))]
}

pub fn call(number: u64, at: UnixMs, workflow: &'static str, model: &'static str) -> Vec<Entry> {
    parts(number, at, workflow, model).to_vec()
}

fn failed_over(number: u64, at: UnixMs) -> Vec<Entry> {
    let [intent, mut failed, mut end] = parts(number, at, "claims-triage", "sonnet");
    let mut second = failed.clone();
    let first = record_of(&mut failed);
    (first.cost, first.usage) = (Cost::NOTHING, Usage::ZERO);
    first.end = AttemptEnd::Failed {
        class: domain::FaultClass::Overloaded,
        message: "overloaded".into(),
        after_content: false,
    };
    let again = record_of(&mut second);
    (again.intent.attempt.ordinal, again.intent.cause) = (2, Cause::Retry);
    again.provider_request_id = Some("answer-30-again".into());
    end_of(&mut end).attempts = 2;
    vec![intent, failed, second, end]
}

fn bounded(number: u64, at: UnixMs) -> Vec<Entry> {
    let [intent, mut bound, mut end] = parts(number, at, "claims-triage", "sonnet");
    let record = record_of(&mut bound);
    (record.cost, record.usage) = (Cost::AtMost(Some(NanoUsd(9_000_000))), Usage::ZERO);
    end_of(&mut end).cost = NanoUsd(9_000_000);
    vec![intent, bound, end]
}

/// What settles that bound, `back` of it.
pub fn settlement(number: u64, at: UnixMs, back: i64) -> Entry {
    let [_, mut settled, _] = parts(number, at, "claims-triage", "sonnet");
    let record = record_of(&mut settled);
    let bound = record.intent.attempt;
    record.intent.attempt = bound.settlement();
    record.ended_at = at + 2 * HOUR;
    let Cost::Priced { total, lines } = &mut record.cost else { unreachable!("samples are priced") };
    lines.push(CostLine::taking_back(NanoUsd(back), bound));
    *total -= NanoUsd(back);
    settled
}

pub fn record_of(entry: &mut Entry) -> &mut Record {
    let Entry::Record(record) = entry else { unreachable!("asked of a record") };
    record
}

pub fn end_of(entry: &mut Entry) -> &mut CallEnd {
    let Entry::Call(end) = entry else { unreachable!("asked of a call") };
    end
}

/// Does something to every record of the call of this number, whatever settles it apart.
pub fn each_record(facts: &mut Segments, number: u64, mut change: impl FnMut(&mut Record)) {
    for entry in facts.iter_mut().flat_map(|(_, entries)| entries) {
        if let Entry::Record(record) = entry
            && of(record.intent.attempt.call) == number
            && record.intent.attempt != record.intent.attempt.settlement()
        {
            change(record);
        }
    }
}

/// Does something to the end of the call of this number.
pub fn each_end(facts: &mut Segments, number: u64, mut change: impl FnMut(&mut CallEnd)) {
    for entry in facts.iter_mut().flat_map(|(_, entries)| entries) {
        if let Entry::Call(end) = entry
            && of(end.call) == number
        {
            change(end);
        }
    }
}

/// Leaves out every fact of these calls.
pub fn without(facts: &mut Segments, numbers: impl Fn(u64) -> bool) {
    for (_, entries) in facts {
        entries.retain(|entry| match entry {
            Entry::Intent(intent) => !numbers(of(intent.attempt.call)),
            Entry::Record(record) => !numbers(of(record.intent.attempt.call)),
            Entry::Call(end) => !numbers(of(end.call)),
        });
    }
}

/// Another amount of tokens at the same price, in record and call.
pub fn revalue(facts: &mut Segments, number: u64, units: u64) {
    let mut cost = NanoUsd::ZERO;
    each_record(facts, number, |record| {
        record.usage = Usage::ZERO.with(Meter::Input, units);
        let Cost::Priced { total, lines } = &mut record.cost else { unreachable!("asked of a priced one") };
        lines[0].units = units;
        lines[0].amount = lines[0].price.times(units);
        *total = lines[0].amount;
        cost = *total;
    });
    each_end(facts, number, |end| end.cost = cost);
}

/// Another price, named by another row.
pub fn reprice(facts: &mut Segments, number: u64, price_row: &str, price: PicoUsd) {
    each_record(facts, number, |record| {
        let Cost::Priced { lines, .. } = &mut record.cost else { unreachable!("asked of a priced one") };
        (lines[0].price_row, lines[0].price) = (price_row.into(), price);
    });
    revalue(facts, number, 700);
}

fn of(call: domain::CallId) -> u64 {
    (call.number() & 0xffff_ffff) as u64
}

/// Takes the segments over as a server does, one after the other, and erases what is older than retention allows.
pub async fn filled(segments: &Segments) -> House {
    let house = House::new().await;
    for (name, entries) in segments {
        house.append(name, entries);
        Ingest::new(house.store.clone(), &house.data.spool(), None).pass(false, NOON).await.unwrap();
    }
    house.store.prune(PRUNED, NOON).await.unwrap();
    // Written since, and not taken over yet.
    house.append("0006.seg", &call(60, NOON - 2 * HOUR, "search", "sonnet"));
    house
}

pub async fn look(store: &Store, spool: &Path, anchor: Option<&str>) -> Report {
    let anchor = anchor.map(|anchor| anchor.parse().unwrap());
    verify(store, Against { spool: Some(spool), anchor: anchor.as_ref(), archive: None }, NOW).await.unwrap()
}

/// A copy of a folder of segments.
pub fn copied(from: &Path, to: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    to
}
