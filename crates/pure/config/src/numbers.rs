//! Small texts that are numbers: amounts, shares and days, read exactly.

use domain::{NanoUsd, UnixMs};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Reads `500 USD`. The currency is required, so that nobody's euros are taken for dollars.
pub(crate) fn usd(text: &str) -> Result<NanoUsd, String> {
    let Some((amount, currency)) = text.split_once(' ') else {
        return Err(format!("`{text}` names no currency"));
    };
    if currency.trim() != "USD" {
        return Err(format!("`{}` is not kept; amounts are in USD", currency.trim()));
    }
    amount.parse().map_err(|error: domain::money::BadMoney| error.to_string())
}

/// Reads a decimal from 0 to 1 in thousandths.
pub(crate) fn milli(text: &str) -> Option<u32> {
    let NanoUsd(billionths) = text.parse().ok()?;
    let milli = u32::try_from(billionths / 1_000_000).ok()?;
    (billionths % 1_000_000 == 0 && billionths >= 0 && milli <= 1000).then_some(milli)
}

/// Reads `99.9%` in thousandths of a percent.
pub(crate) fn millipercent(text: &str) -> Option<u32> {
    let NanoUsd(billionths) = text.strip_suffix('%')?.trim_end().parse().ok()?;
    let millipercent = u32::try_from(billionths / 1_000_000).ok()?;
    (billionths % 1_000_000 == 0 && billionths >= 0 && millipercent <= 100_000).then_some(millipercent)
}

/// Writes thousandths as a decimal without needless zeros: 930 is `0.93`.
pub(crate) fn milli_text(milli: u32) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The instant at which a day `YYYY-MM-DD` begins in UTC.
pub(crate) fn day(text: &str) -> Option<UnixMs> {
    if text.len() != 10 || text.as_bytes()[4] != b'-' {
        return None;
    }
    let date: Date = text.parse().ok()?;
    let begins = date.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?;
    Some(UnixMs(begins.timestamp().as_millisecond()))
}

/// The day of an instant in UTC: `2027-03-01`.
pub(crate) fn day_text(at: UnixMs) -> String {
    at.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_need_their_currency() {
        assert_eq!(usd("500 USD"), Ok(NanoUsd::usd(500)));
        assert_eq!(usd("0.50 USD"), Ok(NanoUsd(500_000_000)));
        for text in ["500", "500 EUR", "$500", "USD 500", "5,00 USD", ""] {
            assert!(usd(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_exact_or_refused() {
        assert_eq!((milli("0.93"), milli("1"), milli("0")), (Some(930), Some(1000), Some(0)));
        assert_eq!((milli("1.001"), milli("-0.1"), milli("0.9301"), milli("best")), (None, None, None, None));
        assert_eq!((milli_text(930), milli_text(1000), milli_text(0)), ("0.93".into(), "1".into(), "0".into()));
        assert_eq!(
            (millipercent("99.9%"), millipercent("100 %"), millipercent("99.9")),
            (Some(99_900), Some(100_000), None)
        );
        assert_eq!(millipercent("100.001%"), None);
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(day("2026-11-21"), Some(UnixMs(1_795_219_200_000)));
        assert_eq!(day_text(UnixMs(1_795_219_200_000)), "2026-11-21");
        for text in ["2026-02-30", "20261121", "21.11.2026", "2026-11-21T00:00:00Z", ""] {
            assert_eq!(day(text), None, "{text}");
        }
    }
}
