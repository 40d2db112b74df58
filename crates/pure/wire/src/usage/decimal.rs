//! Reads an amount of dollars from a JSON number's own digits, so that no float comes near it.

use domain::NanoUsd;

/// The amount `text` (a JSON number, exponent allowed) names, rounded half to even where it is finer than a nano-dollar.
/// `None`: no number, negative, or too large.
pub(crate) fn nano_usd(text: &str) -> Option<NanoUsd> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    // How many of the digits stand before the point once the amount is in nano-dollars.
    let kept = i32::try_from(digits.len()).ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let kept = kept.checked_add(9)?.checked_add(exponent)?;
    if digits.is_empty() || kept < 0 {
        return Some(NanoUsd::ZERO);
    }
    let kept = usize::try_from(kept).ok()?;
    if kept > 18 {
        return None;
    }
    if kept >= digits.len() {
        let scale = 10i64.checked_pow(u32::try_from(kept - digits.len()).ok()?)?;
        return digits.parse::<i64>().ok()?.checked_mul(scale).map(NanoUsd);
    }
    let (kept, cut) = digits.split_at(kept);
    let nano = if kept.is_empty() { 0 } else { kept.parse::<i64>().ok()? };
    let half = cut.starts_with('5') && cut[1..].bytes().all(|digit| digit == b'0');
    let up = if half { nano % 2 == 1 } else { cut.as_bytes()[0] >= b'5' };
    Some(NanoUsd(nano + i64::from(up)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_from_their_digits() {
        for (text, nano) in [
            ("0", Some(0)),
            ("0.00014", Some(140_000)),
            ("1.4e-05", Some(14_000)),
            ("12", Some(12_000_000_000)),
            ("1E+1", Some(10_000_000_000)),
            ("0.0000000015", Some(2)),
            ("0.0000000025", Some(2)),
            ("0.00000000250001", Some(3)),
            ("0.0000000005", Some(0)),
            ("0.0000000006", Some(1)),
            ("1e-400", Some(0)),
            ("1e400", None),
            ("999999999", Some(999_999_999_000_000_000)),
            ("-1", None),
            ("", None),
            ("1e99999999999", None),
        ] {
            assert_eq!(nano_usd(text), nano.map(NanoUsd), "{text}");
        }
    }
}
