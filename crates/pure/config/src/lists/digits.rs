//! A JSON number read by its digits, so that no price passes through a float.

/// The number `text` with its point moved `places` to the right, half to even, and whether that rounded it. `0.0000025` with 12
/// places is 2,500,000.
pub(super) fn pico(text: &str, places: i32) -> Result<(i64, bool), String> {
    let bad = || format!("`{}` is no price", text.chars().take(40).collect::<String>());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().map_err(|_| bad())?)
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if whole.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(bad());
    }
    let digits = digits.trim_start_matches('0');
    let behind_point = i32::try_from(fraction.len()).map_err(|_| bad())?;
    let moved = places.checked_add(exponent).and_then(|moved| moved.checked_sub(behind_point)).ok_or_else(bad)?;
    if digits.is_empty() {
        return Ok((0, false));
    }
    let value: i128 = digits.get(..digits.len().min(36)).and_then(|kept| kept.parse().ok()).ok_or_else(bad)?;
    // Digits beyond the thirty-sixth are below every place that counts.
    let moved = moved.saturating_add(i32::try_from(digits.len().saturating_sub(36)).map_err(|_| bad())?);
    let power = |places: u32| 10i128.checked_pow(places);
    if moved >= 0 {
        let scaled = power(moved.unsigned_abs()).and_then(|scale| value.checked_mul(scale));
        return scaled.and_then(|value| i64::try_from(value).ok()).map(|value| (value, false)).ok_or_else(bad);
    }
    let Some(scale) = power(moved.unsigned_abs()) else { return Ok((0, true)) };
    let (quotient, rest) = (value / scale, value % scale);
    let up = match (rest * 2).cmp(&scale) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
        std::cmp::Ordering::Less => false,
    };
    let value = i64::try_from(quotient + i128::from(up)).map_err(|_| bad())?;
    Ok((value, rest != 0))
}

#[cfg(test)]
mod tests {
    use super::pico;

    #[test]
    fn a_number_is_moved_by_its_digits() {
        for (text, places, expected) in [
            ("2.5e-06", 12, Ok((2_500_000, false))),
            ("0.0000025", 12, Ok((2_500_000, false))),
            ("3", 6, Ok((3_000_000, false))),
            ("0", 12, Ok((0, false))),
            ("0.0", 12, Ok((0, false))),
            ("1E+2", 6, Ok((100_000_000, false))),
            ("0.000283333333333", 9, Ok((283_333, true))),
            ("0.0000005", 6, Ok((0, true))),
            ("0.0000015", 6, Ok((2, true))),
            ("1e-400", 12, Ok((0, true))),
        ] {
            assert_eq!(pico(text, places), expected, "{text}");
        }
        for text in ["-1", "", "x", "1e", ".5", "1e400", "1.2.3", "NaN"] {
            assert!(pico(text, 12).is_err(), "{text}");
        }
    }
}
