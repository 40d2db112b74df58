//! The double entry of an attempt: what a workflow spent, and to which provider it is owed. Every record balances.

use domain::{AttemptEnd, Cause, Cost, NanoUsd, Record};
use serde::{Deserialize, Serialize};

/// One side of a booking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Which account, its parts after slashes: `spend/claims-triage/serve`, `payable/anthropic`.
    pub account: String,
    /// What it receives; negative where it gives.
    pub amount: NanoUsd,
}

/// The entries of one record; their sum is zero.
///
/// A priced attempt moves its cost from `payable/PROVIDER` to `spend/WORKFLOW/CAUSE`. One that was in flight when an
/// instance was killed uses `indeterminate/…` and `payable-at-most/…`, so that bounds never mix with costs; so does the
/// priced part of one with a missing price, under `unpriced/…`. An upper bound that is taken back leaves the accounts it was
/// booked in. A correction moves only what it puts right, between `spend/WORKFLOW/correction` and the provider. Nothing consumed,
/// nothing booked.
pub fn entries(record: &Record) -> Vec<JournalEntry> {
    let lines = match &record.cost {
        Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. } => &lines[..],
        Cost::AtMost(_) => &[],
    };
    // A correction, and what of a capacity was not used, are one sum: what they take back was booked in the same accounts.
    let one_sum = matches!(record.intent.cause, Cause::Correction | Cause::Capacity);
    let lines = if one_sum { &[] } else { lines };
    let taken_back: NanoUsd = lines.iter().map(|line| line.amount).filter(|amount| *amount < NanoUsd::ZERO).sum();
    let amount = record.cost.booked() - taken_back;
    let (spend, payable) = match (&record.cost, &record.end) {
        (Cost::AtMost(_), _) | (_, AttemptEnd::Indeterminate) => ("indeterminate", "payable-at-most"),
        (Cost::Unpriced { .. }, _) => ("unpriced", "payable"),
        (Cost::Priced { .. }, _) => ("spend", "payable"),
    };
    let intent = &record.intent;
    // A slash cannot stand in a checked name, so a direct call never passes for a workflow called `direct`.
    let workflow = intent.workflow.as_ref().map_or("(direct)", |workflow| workflow.as_str());
    let pairs = [(spend, payable, amount), ("indeterminate", "payable-at-most", taken_back)];
    let pairs = pairs.into_iter().filter(|(_, _, amount)| *amount != NanoUsd::ZERO);
    let both = pairs.map(|(spend, payable, amount)| {
        [
            JournalEntry { account: format!("{spend}/{workflow}/{}", intent.cause), amount },
            JournalEntry {
                account: format!("{payable}/{}", intent.provider),
                amount: NanoUsd(amount.0.saturating_neg()),
            },
        ]
    });
    both.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::examples;
    use domain::{Meter, PicoUsd};
    use proptest::prelude::*;

    #[test]
    fn a_served_attempt_moves_its_cost_from_the_provider_to_the_workflow() {
        let entries = entries(&examples::record());
        assert_eq!(
            entries,
            [
                JournalEntry { account: "spend/claims-triage/serve".into(), amount: NanoUsd(4_500_000) },
                JournalEntry { account: "payable/anthropic".into(), amount: NanoUsd(-4_500_000) },
            ]
        );
    }

    #[test]
    fn an_upper_bound_is_taken_back_from_where_it_was_booked() {
        let mut record = examples::record();
        let booked = entries(&record);
        let Cost::Priced { total, lines } = &mut record.cost else { unreachable!("the example is priced") };
        lines.push(domain::CostLine::taking_back(NanoUsd(9_000_000), record.intent.attempt));
        *total = NanoUsd(-4_500_000);
        record.intent.attempt = record.intent.attempt.settlement();
        let settled = entries(&record);
        assert_eq!(settled[..2], booked);
        let back = |account: &str, amount| JournalEntry { account: account.into(), amount: NanoUsd(amount) };
        let expected =
            [back("indeterminate/claims-triage/serve", -9_000_000), back("payable-at-most/anthropic", 9_000_000)];
        assert_eq!(settled[2..], expected);
    }

    #[test]
    fn an_attempt_cut_by_a_kill_is_booked_apart_at_its_bound() {
        let mut record = examples::record();
        (record.cost, record.end) = (Cost::AtMost(Some(NanoUsd(9))), AttemptEnd::Indeterminate);
        record.intent.workflow = None;
        let accounts: Vec<_> = entries(&record).into_iter().map(|entry| entry.account).collect();
        assert_eq!(accounts, ["indeterminate/(direct)/serve", "payable-at-most/anthropic"]);
    }

    #[test]
    fn a_correction_moves_only_what_it_puts_right() {
        let of = examples::record();
        let Cost::Priced { lines, .. } = &of.cost else { unreachable!("the example is priced") };
        let back = domain::CostLine { price: PicoUsd(-3_000_000), amount: NanoUsd(-4_500_000), ..lines[0].clone() };
        let now = domain::CostLine { price: PicoUsd(2_000_000), amount: NanoUsd(3_000_000), ..lines[0].clone() };
        let correction = crate::reprice::correction(&of, 0, vec![back, now], "a list", of.ended_at);
        let entry = |account: &str, amount| JournalEntry { account: account.into(), amount: NanoUsd(amount) };
        let expected = [entry("spend/claims-triage/correction", -1_500_000), entry("payable/anthropic", 1_500_000)];
        assert_eq!(entries(&correction), expected);
    }

    #[test]
    fn nothing_consumed_books_nothing() {
        let mut record = examples::record();
        record.cost = Cost::NOTHING;
        assert!(entries(&record).is_empty());
    }

    #[test]
    fn a_missing_price_books_what_could_be_priced_apart() {
        let mut record = examples::record();
        let Cost::Priced { lines, .. } = record.cost else { unreachable!("the example is priced") };
        record.cost = Cost::Unpriced { lines, missing: vec![Meter::OutputAudio] };
        assert_eq!(entries(&record)[0].account, "unpriced/claims-triage/serve");
    }

    proptest! {
        #[test]
        fn every_record_balances(record in examples::any_record(), price in 0i64..100_000_000) {
            let mut record = record;
            if let Cost::Priced { lines, .. } = &mut record.cost {
                lines.iter_mut().for_each(|line| line.price = PicoUsd(price));
            }
            prop_assert_eq!(entries(&record).iter().map(|entry| entry.amount).sum::<NanoUsd>(), NanoUsd::ZERO);
        }
    }
}
