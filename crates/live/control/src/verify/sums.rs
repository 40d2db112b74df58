//! Every sum against what it sums; where the records are gone, against the other sums of the same money.

use domain::{NanoUsd, UnixMs};
use store::rollup::{DAY_MS, HOUR_MS, MINUTE_MS, start_of};
use store::{Books, Expected, Store, StoreError, SumTable};

use super::{Findings, Read};

pub(crate) async fn compare(
    store: &Store,
    books: &Books,
    expected: &Expected,
    findings: &mut Findings,
    read: &mut Read,
) -> Result<(), StoreError> {
    // A width is compared from its first start on whose facts are all there.
    let from = |width: i64| match width {
        MINUTE_MS => start_after(books.pruned_before.max(books.minutes_before), width),
        width => start_after(books.pruned_before, width),
    };
    let mut expected = expected.rows();
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
    for (day, workflow, model, spend, meters) in store.days_that_disagree(UnixMs(i64::MAX)).await? {
        let (spend, meters) = (NanoUsd(spend), NanoUsd(meters));
        let example = format!("{day}, workflow `{workflow}`, model `{model}`: spend says {spend}, meters {meters}");
        findings.add("day_unlike_day", example);
    }
    for (day, hours, days) in store.days_unlike_their_hours().await? {
        let example = format!("{day}: hours {}, day {}", NanoUsd(hours), NanoUsd(days));
        findings.add("day_unlike_hours", example);
    }
    Ok(())
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
