//! Does a provider say another cost than we do? Where it tells one, the two stand beside each other, and a difference is an event.

use domain::{Cost, NanoUsd, Record};

/// Differences up to this share of what the provider says are no event, thousandths: 0.5 percent, from the list of promises
/// (pain 9, BerriAI/litellm#27588).
pub const TOLERATED_MILLI: i128 = 5;

/// What a provider says an attempt cost, beside what we booked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What we booked.
    pub ours: NanoUsd,
    /// What the provider says.
    pub theirs: NanoUsd,
}

impl Difference {
    /// The difference of a record, where its provider told a cost that is off by more than is tolerated, whichever the direction.
    /// A nano-dollar a line is rounding. What is not priced yet, or booked at a bound, has nothing to compare.
    pub fn of(record: &Record) -> Option<Difference> {
        let theirs = record.provider_cost?;
        let Cost::Priced { total, lines } = &record.cost else { return None };
        if lines.iter().any(|line| line.amount < NanoUsd::ZERO) || record.corrects.is_some() {
            return None;
        }
        let off = i128::from(total.0) - i128::from(theirs.0);
        let rounding = lines.len().max(1) as i128;
        let tolerated = (i128::from(theirs.0).abs() * TOLERATED_MILLI / 1000).max(rounding);
        (off.abs() > tolerated).then_some(Difference { ours: *total, theirs })
    }

    /// By how much of what the provider says we are off, in percent with two decimals, as text: `+4.20`, `-100.00`; `new` where the
    /// provider says nothing was to pay.
    pub fn percent(&self) -> String {
        let (ours, theirs) = (i128::from(self.ours.0), i128::from(self.theirs.0));
        if theirs == 0 {
            return "new".to_owned();
        }
        let hundredths = (ours - theirs) * 10_000 / theirs.abs();
        let sign = if hundredths < 0 { '-' } else { '+' };
        format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::examples;
    use domain::Meter;

    /// The example record costs 4.5 milli-dollars.
    fn told(theirs: i64) -> Option<Difference> {
        let mut record = examples::record();
        record.provider_cost = Some(NanoUsd(theirs));
        Difference::of(&record)
    }

    #[test]
    fn more_than_half_a_percent_is_a_difference_in_either_direction() {
        assert_eq!(told(4_500_000), None);
        // 0.5 percent of 4,522,613 is 22,613.
        assert_eq!(told(4_522_613), None);
        let (ours, theirs) = (NanoUsd(4_500_000), NanoUsd(4_522_614));
        assert_eq!(told(theirs.0), Some(Difference { ours, theirs }));
        assert!(told(4_477_000).is_some() && told(0).is_some());
        assert_eq!(told(9_000_000).map(|it| it.percent()).as_deref(), Some("-50.00"));
        assert_eq!(told(4_000_000).map(|it| it.percent()).as_deref(), Some("+12.50"));
        assert_eq!(told(0).map(|it| it.percent()).as_deref(), Some("new"));
    }

    #[test]
    fn a_rounded_nano_dollar_is_no_difference() {
        let mut record = examples::record();
        let Cost::Priced { total, lines } = &mut record.cost else { unreachable!("the example is priced") };
        (*total, lines[0].amount, record.provider_cost) = (NanoUsd(10), NanoUsd(10), Some(NanoUsd(11)));
        assert_eq!(Difference::of(&record), None);
        record.provider_cost = Some(NanoUsd(12));
        assert!(Difference::of(&record).is_some());
    }

    #[test]
    fn what_is_not_priced_has_nothing_to_compare() {
        let mut record = examples::record();
        record.provider_cost = Some(NanoUsd(1));
        record.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] };
        assert_eq!(Difference::of(&record), None);
        record.cost = Cost::AtMost(Some(NanoUsd(9)));
        assert_eq!(Difference::of(&record), None);
    }
}
