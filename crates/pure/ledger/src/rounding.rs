//! Exact rounding, and multipliers read exactly.

use domain::PicoUsd;
use domain::money::BadMoney;

/// `parts / whole`, half to even, saturating at the largest value.
pub(crate) fn half_even(parts: i128, whole: i128) -> i64 {
    let (quotient, rest) = (parts.div_euclid(whole), parts.rem_euclid(whole));
    let up = match (rest * 2).cmp(&whole) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Less => false,
    };
    i64::try_from(quotient + i128::from(up)).unwrap_or(i64::MAX)
}

/// A price or an amount at a rate in billionths, half to even.
pub fn rate(value: i64, billionths: i64) -> i64 {
    half_even(i128::from(value) * i128::from(billionths), 1_000_000_000)
}

/// Reads a multiplier such as `1.1` exactly, in millionths.
pub fn multiplier_millionths(text: &str) -> Result<u32, BadMoney> {
    let PicoUsd(millionths) = PicoUsd::per_million(text)?;
    u32::try_from(millionths).map_err(|_| BadMoney::TooLarge(text.chars().take(40).collect()))
}
