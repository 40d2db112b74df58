//! Durations and shares as people write them: `90s`, `10m`, `99.9%`.

/// Milliseconds of `500ms`, `90s`, `10m` or `2h`.
pub fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.trim().bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.trim().split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Thousandths of a percent of `99.9%`.
pub fn millipercent(text: &str) -> Option<u32> {
    let number = text.trim().strip_suffix('%')?.trim();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || decimals.len() > 3 || !digits(whole) || !digits(decimals) {
        return None;
    }
    let thousandths: u32 = format!("{decimals:0<3}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(1_000)?.checked_add(thousandths)
}

/// `99.9%` of thousandths of a percent.
pub fn percent(millipercent: u64) -> String {
    let (whole, rest) = (millipercent / 1_000, millipercent % 1_000);
    let decimals = format!("{rest:03}");
    match decimals.trim_end_matches('0') {
        "" => format!("{whole}%"),
        decimals => format!("{whole}.{decimals}%"),
    }
}

/// `1h 30m`, `10m`, `90s` of milliseconds, in whole seconds or exactly.
pub fn duration(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        ms if ms % 1_000 != 0 => format!("{ms}ms"),
        ms if ms % 60_000 != 0 => format!("{}s", ms / 1_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms > 3_600_000 => format!("{}h {}m", ms / 3_600_000, ms / 60_000 % 60),
        ms => format!("{}m", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_shares_are_read_as_they_are_written() {
        assert_eq!(
            ["500ms", "90s", "10m", "2h"].map(duration_ms),
            [Some(500), Some(90_000), Some(600_000), Some(7_200_000)]
        );
        assert_eq!(["", "10", "m", "1.5m", "10 m"].map(duration_ms), [None; 5]);
        assert_eq!(["99.9%", "100%", "0.001%"].map(millipercent), [Some(99_900), Some(100_000), Some(1)]);
        assert_eq!(["99.9", "%", "1.2345%", "-1%"].map(millipercent), [None; 4]);
        assert_eq!([99_900, 100_000, 1].map(percent), ["99.9%", "100%", "0.001%"]);
        assert_eq!([600_000, 90_000, 250, 5_400_000].map(duration), ["10m", "90s", "250ms", "1h 30m"]);
    }
}
