//! Was a call served in the tier that was asked for? Words differ, so what they stand for is compared, and the price says
//! whether it matters where nothing was asked.

use domain::{Meter, NanoUsd, UnixMs, Usage};

use crate::price::price;
use crate::rows::{PriceRow, Served};
use crate::terms::tier_meant;

/// Tokens in and out of the call that tiers are compared by: only how many times dearer one is matters.
const SAMPLE_TOKENS: u64 = 1_000;

/// A call was served in another tier than was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OtherTier {
    /// What it costs there, thousandths of what it would have cost as asked; 1000 where the row does not tell them apart.
    pub times_milli: u64,
}

/// Compares the tier that was asked for (`None` is the usual one) with the provider's word for the one it served. Where none
/// was asked for, only a dearer one counts: what a provider gives for the same money or less is its own business.
pub fn other_than_asked(asked: Option<&str>, served: &str, row: Option<&PriceRow>, at: UnixMs) -> Option<OtherTier> {
    let meant = tier_meant(served);
    if meant == asked {
        return None;
    }
    let usage = Usage::ZERO.with(Meter::Input, SAMPLE_TOKENS).with(Meter::Output, SAMPLE_TOKENS);
    let cost = |tier: Option<&str>| price(&usage, row, &Served { at, tier, region: None }).booked();
    let times_milli = match (cost(asked), cost(Some(served))) {
        (NanoUsd(asked), NanoUsd(served)) if asked > 0 && served > 0 => {
            u64::try_from(i128::from(served) * 1000 / i128::from(asked)).unwrap_or(u64::MAX)
        }
        _ => 1_000,
    };
    (asked.is_some() || times_milli > 1_000).then_some(OtherTier { times_milli })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Prices, TierPrices};
    use domain::PicoUsd;

    fn row() -> PriceRow {
        let both = |price| Prices::NONE.with(Meter::Input, PicoUsd(price)).with(Meter::Output, PicoUsd(price));
        let tier = |name: &str, price| TierPrices { tier: name.into(), prices: both(price), bands: Vec::new() };
        PriceRow {
            tiers: vec![tier("priority", 5_000_000), tier("flex", 1_000_000)],
            ..PriceRow::new("p/m@a", "p", "m", both(2_000_000))
        }
    }

    fn judged(asked: Option<&str>, served: &str) -> Option<u64> {
        other_than_asked(asked, served, Some(&row()), UnixMs(0)).map(|other| other.times_milli)
    }

    #[test]
    fn what_was_asked_for_is_no_surprise_in_whatever_words() {
        for (asked, served) in [(None, "default"), (None, "standard"), (None, "ON_DEMAND"), (Some("flex"), "flex")] {
            assert_eq!(judged(asked, served), None, "{asked:?} {served}");
        }
        assert_eq!(judged(Some("priority"), "ON_DEMAND_PRIORITY"), None);
    }

    #[test]
    fn the_usual_tier_where_a_cheaper_one_was_asked_for_costs_twice() {
        assert_eq!(judged(Some("flex"), "default"), Some(2_000));
        assert_eq!(judged(Some("priority"), "default"), Some(400));
    }

    #[test]
    fn unasked_only_a_dearer_tier_counts() {
        assert_eq!(judged(None, "priority"), Some(2_500));
        assert_eq!(judged(None, "flex"), None);
        assert_eq!(judged(None, "unheard-of"), None);
    }
}
