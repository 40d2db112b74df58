//! Money as integers: a price is pico-dollars per unit, an amount is nano-dollars. No float comes near either.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount in nano-dollars (10⁻⁹ USD). An `i64` holds 9.2 billion dollars; arithmetic stays at that bound instead of
/// wrapping, so that an absurd usage a provider reports can neither stop the books nor turn a debt into a credit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

/// A price in pico-dollars (10⁻¹² USD) per unit; the unit (token, second, image) is the meter's.
/// 3 USD per million tokens = 3 000 000 pico-dollars per token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoUsd(pub i64);

/// Why a text is no amount of money.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadMoney {
    /// Not a plain decimal.
    #[error("`{0}` is no amount; write a plain decimal such as `12.50`")]
    NotDecimal(String),
    /// More decimals than the unit can hold: rounding a price silently would book wrong money.
    #[error("`{0}` has more decimals than can be kept exactly ({1} at most)")]
    TooFine(String, u32),
    /// Larger than the type holds.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

impl NanoUsd {
    /// Nothing.
    pub const ZERO: NanoUsd = NanoUsd(0);
    /// The largest amount.
    pub const MAX: NanoUsd = NanoUsd(i64::MAX);

    /// Whole dollars.
    pub const fn usd(dollars: i64) -> NanoUsd {
        NanoUsd(dollars * 1_000_000_000)
    }

    /// Adds, staying at the largest amount instead of wrapping.
    pub fn saturating_add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }
}

impl PicoUsd {
    /// `units` at this price, rounded half to even to nano-dollars: the one rounding of a ledger line.
    /// Saturates at the largest amount.
    pub fn times(self, units: u64) -> NanoUsd {
        round_to_nano(i128::from(self.0) * i128::from(units), Rounding::HalfEven)
    }

    /// `units` at this price, rounded up: what a hold reserves, never less than the line that may follow.
    pub fn times_rounded_up(self, units: u64) -> NanoUsd {
        round_to_nano(i128::from(self.0) * i128::from(units), Rounding::Up)
    }

    /// Reads a price published as USD per million units, exactly: `0.0375` is 37 500.
    pub fn per_million(usd: &str) -> Result<PicoUsd, BadMoney> {
        decimal(usd, 6).map(PicoUsd)
    }

    /// Reads a price published as USD per single unit, exactly.
    pub fn per_unit(usd: &str) -> Result<PicoUsd, BadMoney> {
        decimal(usd, 12).map(PicoUsd)
    }

    /// The price as USD per million units, without trailing zeros: `3`, `0.0375`.
    pub fn as_usd_per_million(self) -> String {
        scaled(self.0, 6, 0)
    }
}

enum Rounding {
    HalfEven,
    Up,
}

fn round_to_nano(pico: i128, rounding: Rounding) -> NanoUsd {
    let (whole, rest) = (pico.div_euclid(1000), pico.rem_euclid(1000));
    let up = match rounding {
        Rounding::HalfEven => rest > 500 || (rest == 500 && whole % 2 != 0),
        Rounding::Up => rest > 0,
    };
    NanoUsd(i64::try_from(whole + i128::from(up)).unwrap_or(if pico < 0 { i64::MIN } else { i64::MAX }))
}

/// Reads a plain decimal and scales it by 10^`scale`, refusing what would have to be rounded.
fn decimal(text: &str, scale: u32) -> Result<i64, BadMoney> {
    let not_decimal = || BadMoney::NotDecimal(text.chars().take(40).collect());
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(not_decimal());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale as usize {
        return Err(BadMoney::TooFine(text.to_owned(), scale));
    }
    let too_large = || BadMoney::TooLarge(text.chars().take(40).collect());
    let joined = format!("{whole}{fraction}{}", "0".repeat(scale as usize - fraction.len()));
    joined.parse::<i64>().map(|value| sign * value).map_err(|_| too_large())
}

/// Prints `value / 10^scale`, trailing zeros cut down to `least` decimals. Digit by digit: amounts are put into words on
/// every call.
fn scaled(value: i64, scale: u32, least: usize) -> String {
    let scale = scale as usize;
    let mut rest = value.unsigned_abs();
    // From the last digit to the first.
    let mut digits = Vec::with_capacity(20);
    while rest > 0 || digits.len() <= scale {
        digits.push(b'0' + (rest % 10) as u8);
        rest /= 10;
    }
    let zeros = digits[..scale - least.min(scale)].iter().take_while(|digit| **digit == b'0').count();
    let mut text = String::with_capacity(digits.len() + 2);
    text.extend((value < 0).then_some('-'));
    text.extend(digits[scale..].iter().rev().map(|digit| char::from(*digit)));
    if zeros < scale {
        text.push('.');
        text.extend(digits[zeros..scale].iter().rev().map(|digit| char::from(*digit)));
    }
    text
}

impl FromStr for NanoUsd {
    type Err = BadMoney;

    /// Reads dollars: `12.50` is 12 500 000 000 nano-dollars.
    fn from_str(text: &str) -> Result<Self, BadMoney> {
        decimal(text, 9).map(NanoUsd)
    }
}

impl fmt::Display for NanoUsd {
    /// Dollars without the currency: at least two decimals, as many as are needed, nothing rounded away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&scaled(self.0, 9, 2))
    }
}

impl Add for NanoUsd {
    type Output = NanoUsd;
    fn add(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_add(other.0))
    }
}
impl Sub for NanoUsd {
    type Output = NanoUsd;
    fn sub(self, other: NanoUsd) -> NanoUsd {
        NanoUsd(self.0.saturating_sub(other.0))
    }
}
impl Neg for NanoUsd {
    type Output = NanoUsd;
    fn neg(self) -> NanoUsd {
        NanoUsd(self.0.saturating_neg())
    }
}
impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: NanoUsd) {
        *self = *self + other;
    }
}
impl SubAssign for NanoUsd {
    fn sub_assign(&mut self, other: NanoUsd) {
        *self = *self - other;
    }
}
impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = NanoUsd>>(amounts: I) -> NanoUsd {
        amounts.fold(NanoUsd::ZERO, |sum, amount| sum + amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_are_read_exactly() {
        assert_eq!(PicoUsd::per_million("3.00"), Ok(PicoUsd(3_000_000)));
        assert_eq!(PicoUsd::per_million("0.0375"), Ok(PicoUsd(37_500)));
        assert_eq!(PicoUsd::per_million("0.0000001").unwrap_err(), BadMoney::TooFine("0.0000001".into(), 6));
        assert_eq!(PicoUsd(37_500).as_usd_per_million(), "0.0375");
        for text in ["", ".5", "1e3", "1,5", "--1", "+1", "0x1"] {
            assert!(PicoUsd::per_million(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_is_rounded_once_half_to_even() {
        assert_eq!(PicoUsd(500).times(1), NanoUsd(0));
        assert_eq!(PicoUsd(500).times(3), NanoUsd(2));
        assert_eq!(PicoUsd(501).times(1), NanoUsd(1));
        assert_eq!(PicoUsd(1).times_rounded_up(1), NanoUsd(1));
        assert_eq!(PicoUsd(i64::MAX).times(u64::MAX), NanoUsd::MAX);
    }

    #[test]
    fn amounts_print_as_dollars() {
        assert_eq!(NanoUsd::usd(412).to_string(), "412.00");
        assert_eq!(NanoUsd(2_100_000).to_string(), "0.0021");
        assert_eq!(NanoUsd(-1).to_string(), "-0.000000001");
    }

    proptest! {
        #[test]
        fn an_amount_reads_back_what_it_printed(nano in -9_000_000_000_000_000_000i64..9_000_000_000_000_000_000) {
            prop_assert_eq!(NanoUsd(nano).to_string().parse(), Ok(NanoUsd(nano)));
        }

        #[test]
        fn a_hold_is_never_less_than_its_line(price in 0i64..1_000_000_000, units in 0u64..10_000_000) {
            let (line, hold) = (PicoUsd(price).times(units), PicoUsd(price).times_rounded_up(units));
            prop_assert!(line <= hold && hold.0 - line.0 <= 1);
        }
    }
}
