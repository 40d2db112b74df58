//! Decimal text shifted by powers of ten, exactly: a price never passes through a float.

use anyhow::{Result, bail};

/// Moves the point of a decimal such as `2.5e-06` by so many places to the right and writes it plainly: `2.5` for six.
pub fn shifted(text: &str, places: i32) -> Result<String> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        bail!("`{text}` is no price");
    }
    let point = whole.len() as i32 + exponent + places;
    let zeros = |count: i32| "0".repeat(count.clamp(0, 64) as usize);
    let padded = format!("{}{digits}{}", zeros(1 - point), zeros(point - digits.len() as i32));
    let point = point.max(1) as usize;
    let (whole, fraction) = padded.split_at(point);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// A plain decimal to the sixth digit behind its point, halves up: lists give prices by the second as 0.000283333333333.
pub fn rounded(text: &str) -> Result<String> {
    divided(text, 1)
}

/// A plain decimal divided by a whole number, to the sixth digit behind its point, halves up.
pub fn divided(text: &str, by: u64) -> Result<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = &fraction[..fraction.len().min(18)];
    let digits: u128 = format!("{whole}{fraction}").parse()?;
    let scale = 10u128.pow(fraction.len() as u32) * u128::from(by);
    let millionths = (digits * 1_000_000 * 2 + scale) / (scale * 2);
    shifted(&millionths.to_string(), -6)
}

/// Whether a plain decimal can be kept to a millionth, which is what the ledger keeps of a price per million.
pub fn is_price(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    !whole.is_empty() && whole.len() <= 12 && fraction.len() <= 6 && digits(whole) && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_per_token_becomes_one_per_million_exactly() {
        for (text, expected) in [
            ("2.5e-06", "2.5"),
            ("3e-07", "0.3"),
            ("0.0000025", "2.5"),
            ("1.5E-05", "15"),
            ("1e-12", "0.000001"),
            ("0.0", "0"),
            ("0", "0"),
            ("0.000125", "125"),
            ("1", "1000000"),
            ("1.23456789e-06", "1.23456789"),
        ] {
            assert_eq!(shifted(text, 6).unwrap(), expected, "{text}");
        }
        assert_eq!(shifted("10.0", 0).unwrap(), "10");
        assert_eq!(shifted("10", 3).unwrap(), "10000");
        for text in ["", "-1", "x", "1e", ".5"] {
            assert!(shifted(text, 6).is_err(), "{text}");
        }
    }

    #[test]
    fn a_price_by_the_hour_becomes_one_by_the_million_milliseconds() {
        // An hour has 3.6 million milliseconds.
        for (hour, expected) in [("0.36", "0.1"), ("0.111", "0.030833"), ("1.02", "0.283333"), ("0", "0")] {
            assert_eq!(divided(&shifted(hour, 1).unwrap(), 36).unwrap(), expected, "{hour}");
        }
        assert_eq!(rounded("0.283333333333").unwrap(), "0.283333");
        assert_eq!(rounded("0.0666667").unwrap(), "0.066667");
        assert_eq!(rounded("15").unwrap(), "15");
    }

    #[test]
    fn more_than_six_decimals_are_no_price() {
        assert!(is_price("0.000001") && is_price("15") && is_price("15.5"));
        assert!(!is_price("0.0000001") && !is_price("1e3") && !is_price("") && !is_price("-1"));
    }
}
