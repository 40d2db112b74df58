//! Every sum against what it sums; where the records are gone, against the seal that retention left, and against the other sums of
//! the same money.

use std::collections::BTreeMap;

use domain::{NanoUsd, UnixMs};
use store::rollup::{DAY_MS, HOUR_MS, MINUTE_MS, start_of};
use store::{Books, ErasedDay, LastingSums, Store, StoreError, SumTable};

use super::anchor::Anchor;
use super::walk::Facts;
use super::{Findings, Read, hex};

/// Table, width, start, of what: figures.
type Rows = BTreeMap<(SumTable, i64, i64, String), Vec<i64>>;

/// The hash of all sums that are kept for ever.
pub(crate) async fn compare(
    store: &Store,
    books: &Books,
    facts: &Facts,
    anchor: Option<&Anchor>,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<String, StoreError> {
    // A width is compared from its first start on whose facts are all there.
    let from = |width: i64| match width {
        MINUTE_MS => start_after(books.pruned_before.max(books.minutes_before), width),
        width => start_after(books.pruned_before, width),
    };
    let all = facts.expected.rows();
    let mut expected: Rows = all.clone();
    expected.retain(|(_, width, start, _), _| *start >= from(*width).0);
    for table in SumTable::ALL {
        for ((_, width, start, of), held) in store.sum_rows(table, from(HOUR_MS), from(MINUTE_MS)).await? {
            read.sums += 1;
            if start < from(width).0 {
                continue;
            }
            let wanted = expected.remove(&(table, width, start, of.clone()));
            if wanted.as_ref() != Some(&held) && !(wanted.is_none() && held.iter().all(|figure| *figure == 0)) {
                findings.add("sum_wrong", example(table, width, start, &of, Some(&held), wanted.as_deref()));
            }
        }
    }
    for ((table, width, start, of), wanted) in expected {
        findings.add("sum_wrong", example(table, width, start, &of, None, Some(&wanted)));
    }
    lasting(store, books, facts, &by_day(all), anchor, findings).await
}

/// The sums that are kept for ever, day by day: with each other, with what retention sealed of them, and with an anchor.
async fn lasting(
    store: &Store,
    books: &Books,
    facts: &Facts,
    expected: &BTreeMap<i64, Rows>,
    anchor: Option<&Anchor>,
    findings: &mut Findings,
) -> Result<String, StoreError> {
    let (nothing, since) = (Rows::new(), by_day(facts.since_anchor.rows()));
    let mut erased: BTreeMap<i64, ErasedDay> =
        store.erased_days().await?.into_iter().map(|day| (day.start.0, day)).collect();
    let (mut now, mut then) = (blake3::Hasher::new(), blake3::Hasher::new());
    for day in store.days_with_sums().await? {
        let sums = store.lasting_sums(day).await?;
        agree(day, &sums, findings);
        sums.add_to(&mut now);
        sums.clone().without(since.get(&day.0).unwrap_or(&nothing).iter()).add_to(&mut then);
        let left = sums.without(expected.get(&day.0).unwrap_or(&nothing).iter());
        let sealed = erased.remove(&day.0);
        // The day on which retention stands is sealed when it is past.
        if day.0 + DAY_MS > books.pruned_before.0 {
            continue;
        }
        match sealed.map(|day| day.sums) {
            None if left.rows().next().is_none() => {}
            None | Some(None) => findings.add("erased_unsealed", day.to_string()),
            Some(Some(seal)) if seal == left.seal() => {}
            Some(Some(_)) => {
                let erased: Vec<String> = left
                    .rows()
                    .take(3)
                    .map(|((table, _, _, of), figures)| format!("{} of [{of}] {figures:?}", table.as_str()))
                    .collect();
                findings.add("erased_sums", format!("{day}: not what was sealed; now {} …", erased.join(", ")));
            }
        }
    }
    for day in
        erased.into_values().filter(|day| day.sums.as_ref().is_some_and(|seal| *seal != LastingSums::default().seal()))
    {
        findings.add("erased_sums", format!("{}: sealed, and all its sums are gone", day.start));
    }
    if let Some(stand) = anchor.and_then(|anchor| anchor.stand.as_ref()).filter(|_| facts.since_is_whole)
        && stand.sums != hex(then.finalize().as_bytes())
    {
        let example = format!("batch {}: what was booked up to row {} of `attempts`", stand.batch, stand.attempts);
        findings.add("sums_unlike_anchor", example);
    }
    Ok(hex(now.finalize().as_bytes()))
}

/// Hours add up to their day, and two tables hold the same money.
fn agree(day: UnixMs, sums: &LastingSums, findings: &mut Findings) {
    let mut hours: BTreeMap<&str, Vec<i128>> = BTreeMap::new();
    let mut money: BTreeMap<(&str, &str), (i128, i128)> = BTreeMap::new();
    for ((table, width, _, of), figures) in sums.rows() {
        let mut words = of.split(" | ");
        let mut word = |skipped: usize| words.nth(skipped).unwrap_or_default();
        if *table == SumTable::Meters {
            let sign = if *width == HOUR_MS { 1 } else { -1 };
            let left = hours.entry(of).or_insert_with(|| vec![0; figures.len()]);
            left.iter_mut().zip(figures).for_each(|(left, figure)| *left += sign * i128::from(*figure));
        }
        match (table, *width) {
            (SumTable::Spend, DAY_MS) => money.entry((word(0), word(1))).or_default().0 += i128::from(figures[1]),
            (SumTable::Meters, DAY_MS) => money.entry((word(0), word(0))).or_default().1 += i128::from(figures[2]),
            _ => {}
        }
    }
    for (of, left) in hours.into_iter().filter(|(_, left)| left.iter().any(|figure| *figure != 0)) {
        findings.add(
            "day_unlike_hours",
            format!("{day} [{of}]: hours less day are {left:?} {:?}", SumTable::Meters.figures()),
        );
    }
    for ((workflow, model), (spend, meters)) in money.into_iter().filter(|(_, (spend, meters))| spend != meters) {
        let say = |nano: i128| i64::try_from(nano).map_or(nano.to_string(), |nano| NanoUsd(nano).to_string());
        let (spend, meters) = (say(spend), say(meters));
        let example = format!("{day}, workflow `{workflow}`, model `{model}`: spend says {spend}, meters {meters}");
        findings.add("day_unlike_day", example);
    }
}

fn by_day(rows: Rows) -> BTreeMap<i64, Rows> {
    let mut days: BTreeMap<i64, Rows> = BTreeMap::new();
    for (key, figures) in rows.into_iter().filter(|((table, width, _, _), _)| LastingSums::lasts(*table, *width)) {
        days.entry(start_of(UnixMs(key.2), DAY_MS)).or_default().insert(key, figures);
    }
    days
}

fn start_after(at: UnixMs, width: i64) -> UnixMs {
    let start = start_of(at, width);
    UnixMs(if start < at.0 { start + width } else { start })
}

fn example(table: SumTable, width: i64, start: i64, of: &str, held: Option<&[i64]>, wanted: Option<&[i64]>) -> String {
    let word = match width {
        MINUTE_MS => "minute",
        HOUR_MS => "hour",
        DAY_MS => "day",
        _ => "width unknown",
    };
    let say = |figures: Option<&[i64]>| figures.map_or("nothing".to_owned(), |figures| format!("{figures:?}"));
    let (held, wanted) = (say(held), say(wanted));
    format!("{} of the {word} {} [{of}]: holds {held}, the facts make {wanted}", table.as_str(), UnixMs(start))
}
