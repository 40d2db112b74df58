//! The books as they are handed out.

use control::ledger_export::{Format, Pages, Summary, header, print};
use domain::{AttemptEnd, Cost, Entry, NanoUsd, UnixMs};
use testkit::facts::Sample;

use crate::support::{House, NOON};

#[tokio::test]
async fn rows_add_up_to_the_attempts_also_over_many_pages() {
    let house = House::new().await;
    let mut entries: Vec<Entry> = (0..1_100)
        .flat_map(|number| Sample { cost_nano: number as i64, ..Sample::new(number, NOON) }.entries())
        .collect();
    let mut killed = Sample::new(2_000, NOON).record();
    (killed.end, killed.cost) = (AttemptEnd::Indeterminate, Cost::AtMost(Some(NanoUsd(77))));
    entries.push(Entry::Record(Box::new(killed)));
    house.store.record(entries).await.unwrap();

    let summary = Summary::of(&house.store, UnixMs(0), NOON + 1).await.unwrap();
    assert!(summary.balances());
    assert_eq!((summary.attempts, summary.booked), (1_101, NanoUsd(1_099 * 1_100 / 2 + 77)));
    assert_eq!(summary.indeterminate, 1);
    assert!(summary.table().contains("0.000604527"));
    assert_eq!(Summary::of(&house.store, UnixMs(0), NOON).await.unwrap().attempts, 0);

    let mut pages = Pages::new(&house.store, UnixMs(0), NOON + 1);
    let mut csv = header(Format::Csv);
    while let Some(records) = pages.next().await.unwrap() {
        csv.push_str(&print(Format::Csv, &records));
    }
    assert_eq!(csv.lines().count(), 1_102);
    let amounts = csv.lines().skip(1).map(|line| line.split(',').nth(13).unwrap().parse::<NanoUsd>().unwrap());
    assert_eq!(amounts.sum::<NanoUsd>(), summary.booked);
}
