//! Reads what providers tell of their limits in the headers of their answers. Every provider has names of its own, but all are
//! made of the same words: whose headers they are, `limit`, `remaining` or `reset`, what is counted, and over which time.

use domain::{QuotaClaim, QuotaUnit, QuotaWindow, UnixMs};
use smallvec::SmallVec;

/// Longest value looked at, bytes.
const VALUE_BYTES: usize = 64;
/// Most claims taken from one answer.
const MOST_CLAIMS: usize = 8;
/// The longest time to a reset that is believed, milliseconds: the longest month.
const LONGEST_MS: u64 = 31 * 86_400_000;

/// How the headers of a family begin, what they count where they do not say, and whether what they count refills bit by bit.
/// Longer beginnings first.
///
/// Sources: OpenAI's guide to rate limits (`x-ratelimit-remaining-tokens`, `-reset-requests: 1s`), which xAI, Groq (times as
/// `2m59.56s`), Azure, Fireworks (`-tokens-prompt`, `-tokens-generated`), Cerebras (`-tokens-minute`, `-requests-day`, seconds) and
/// Mistral (`-req-minute`, and `ratelimitbysize` for tokens) follow; Anthropic's API reference, rate limits
/// (`anthropic-ratelimit-input-tokens-remaining`, RFC 3339; a token bucket); Together's documentation, rate limits
/// (`x-ratelimit-remaining` of requests, `x-tokenlimit-remaining`); OpenRouter (`X-RateLimit-Reset`, milliseconds since 1970); the
/// IETF's draft "RateLimit header fields for HTTP", which Hugging Face follows.
const FAMILIES: &[Family] = &[
    Family { prefix: "anthropic-ratelimit-", unit: QuotaUnit::Requests, refills: true },
    Family { prefix: "x-ratelimitbysize-", unit: QuotaUnit::Tokens, refills: false },
    Family { prefix: "ratelimitbysize-", unit: QuotaUnit::Tokens, refills: false },
    Family { prefix: "x-tokenlimit-", unit: QuotaUnit::Tokens, refills: false },
    Family { prefix: "x-ratelimit-", unit: QuotaUnit::Requests, refills: false },
    Family { prefix: "ratelimit-", unit: QuotaUnit::Requests, refills: false },
];

/// The header of the IETF's later drafts: `"default";r=50;t=30`.
const STRUCTURED: &str = "ratelimit";

struct Family {
    prefix: &'static str,
    unit: QuotaUnit,
    refills: bool,
}

/// What the headers of one answer tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// What is left.
    pub claims: SmallVec<[QuotaClaim; 4]>,
    /// Headers that look as if they told of limits and could not be read.
    pub unread: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Limit,
    Remaining,
    Reset,
}

/// A claim whose parts come one by one.
struct Parts {
    unit: QuotaUnit,
    window: QuotaWindow,
    limit: Option<u64>,
    left: Option<u64>,
    full_in_ms: Option<u64>,
    refills: bool,
}

/// Whether a header could tell of a limit: cheap, since it is asked of every header of every answer.
pub fn may_tell(name: &str) -> bool {
    matches!(name.as_bytes().first(), Some(b'x' | b'a' | b'r')) && name.contains("limit")
}

/// Reads them. Names are in lower case, as HTTP libraries have them; `now` is what times since 1970 are measured against.
pub fn limits<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>, now: UnixMs) -> Limits {
    let mut parts: SmallVec<[Parts; 4]> = SmallVec::new();
    let mut unread = 0;
    for (name, value) in headers {
        if !may_tell(name) {
            continue;
        }
        let value = std::str::from_utf8(value).ok().filter(|value| value.len() <= VALUE_BYTES).map(str::trim);
        let read = match (FAMILIES.iter().find(|family| name.starts_with(family.prefix)), value) {
            (None, Some(value)) if name == STRUCTURED => structured(value, &mut parts),
            // Somebody else's header: `x-limit-of-something`.
            (None, _) => continue,
            (Some(family), Some(value)) => worded(family, &name[family.prefix.len()..], value, now, &mut parts),
            (Some(_), None) => None,
        };
        unread += u32::from(read.is_none());
    }
    let claims = parts.into_iter().filter_map(Parts::claim).collect();
    Limits { claims, unread }
}

impl Parts {
    /// What is not said is left out. A limit of nothing is how some say that there is none.
    fn claim(self) -> Option<QuotaClaim> {
        let Parts { unit, window, limit, left, full_in_ms, refills } = self;
        let left = left.filter(|_| limit != Some(0))?;
        Some(QuotaClaim { unit, window, limit, left, full_in_ms, refills })
    }
}

fn of(parts: &mut SmallVec<[Parts; 4]>, unit: QuotaUnit, window: QuotaWindow, refills: bool) -> Option<&mut Parts> {
    let known = parts.iter().position(|part| part.unit == unit && part.window == window);
    let place = match known {
        Some(place) => place,
        None if parts.len() == MOST_CLAIMS => return None,
        None => {
            parts.push(Parts { unit, window, limit: None, left: None, full_in_ms: None, refills });
            parts.len() - 1
        }
    };
    parts.get_mut(place)
}

/// A header whose name says what it tells. `None` where a word of it is not known.
fn worded(family: &Family, words: &str, value: &str, now: UnixMs, parts: &mut SmallVec<[Parts; 4]>) -> Option<()> {
    let (mut what, mut unit, mut window) = (None, None, QuotaWindow::Unsaid);
    for word in words.split('-') {
        match word {
            "limit" if what.is_none() => what = Some(What::Limit),
            "remaining" if what.is_none() => what = Some(What::Remaining),
            "reset" if what.is_none() => what = Some(What::Reset),
            "requests" | "req" if unit.is_none() => unit = Some(QuotaUnit::Requests),
            "input" | "prompt" if matches!(unit, None | Some(QuotaUnit::Tokens)) => unit = Some(QuotaUnit::InputTokens),
            "output" | "generated" if matches!(unit, None | Some(QuotaUnit::Tokens)) => {
                unit = Some(QuotaUnit::OutputTokens);
            }
            "tokens" if unit.is_none() => unit = Some(QuotaUnit::Tokens),
            // `input-tokens` has said which.
            "tokens" if matches!(unit, Some(QuotaUnit::InputTokens | QuotaUnit::OutputTokens)) => {}
            "second" | "minute" | "hour" | "day" | "month" if window == QuotaWindow::Unsaid => {
                window = match word {
                    "second" => QuotaWindow::Second,
                    "minute" => QuotaWindow::Minute,
                    "hour" => QuotaWindow::Hour,
                    "day" => QuotaWindow::Day,
                    _ => QuotaWindow::Month,
                };
            }
            _ => return None,
        }
    }
    let (what, unit) = (what?, unit.unwrap_or(family.unit));
    match what {
        What::Limit | What::Remaining => {
            let count = count(value)?;
            let part = of(parts, unit, window, family.refills)?;
            match what {
                What::Limit => part.limit = Some(count),
                _ => part.left = Some(count),
            }
        }
        What::Reset => {
            let (ms, in_words) = reset(value, now)?;
            let part = of(parts, unit, window, family.refills)?;
            part.full_in_ms = Some(ms);
            // Who writes a time in words says until when all is there again: OpenAI and Groq count in buckets.
            part.refills |= in_words;
        }
    }
    Some(())
}

/// `"default";r=50;t=30`, of which the first policy is read.
fn structured(value: &str, parts: &mut SmallVec<[Parts; 4]>) -> Option<()> {
    let parameter = |name: &str| {
        let first = value.split(',').next()?;
        first.split(';').skip(1).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let left = count(parameter("r")?)?;
    let full_in_ms =
        parameter("t").and_then(count).map(|seconds| seconds.saturating_mul(1_000).saturating_add(999).min(LONGEST_MS));
    let part = of(parts, QuotaUnit::Requests, QuotaWindow::Unsaid, false)?;
    (part.left, part.full_in_ms) = (Some(left), full_in_ms);
    Some(())
}

/// A count: whole, or with a fraction that is left off. The IETF's first drafts append policies: `100, 100;w=60`.
fn count(text: &str) -> Option<u64> {
    let first = text.split([',', ';']).next()?.trim();
    let (whole, fraction) = first.split_once('.').unwrap_or((first, ""));
    let is_number = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if is_number { whole.parse().ok() } else { None }
}

/// Milliseconds until a reset, and whether it was written in words (`1m30s`). Otherwise it is seconds, seconds or milliseconds since
/// 1970, or a date; what is told in whole seconds may be any time within that second, so all of it is added.
fn reset(text: &str, now: UnixMs) -> Option<(u64, bool)> {
    if let Some(number) = decimal_ms(text) {
        let until_ms = |at_ms: u64| i64::try_from(at_ms).ok().map(|at| UnixMs(at).since(now));
        let is_whole = !text.contains('.');
        let ms = match number / 1_000 {
            // Seconds of a month are fewer than the seconds since 1970, and those fewer than its milliseconds.
            0..100_000_000 => number + if is_whole { 999 } else { 0 },
            100_000_000..100_000_000_000 => until_ms(number + 999)?,
            _ => until_ms(number / 1_000)?,
        };
        return Some((ms.min(LONGEST_MS), false));
    }
    if let Some(at) = date(text) {
        let within = if text.contains('.') { 0 } else { 999 };
        return Some((UnixMs(at.0 + within).since(now).min(LONGEST_MS), false));
    }
    words(text).map(|ms| (ms.min(LONGEST_MS), true))
}

/// A decimal number of seconds, in milliseconds.
fn decimal_ms(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let milli: u64 = format!("{:0<3}", fraction.get(..fraction.len().min(3))?).parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(milli)
}

/// A duration as Go writes it: `6m0s`, `2m59.56s`, `20ms`, `1h`.
fn words(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut all: u64 = 0;
    while !rest.is_empty() {
        let number_ends = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        // Thousandths of the number; then of its unit in milliseconds.
        let number_milli = decimal_ms(number)?;
        let ms = match unit {
            "d" => number_milli.checked_mul(86_400)?,
            "h" => number_milli.checked_mul(3_600)?,
            "m" => number_milli.checked_mul(60)?,
            "s" => number_milli,
            "ms" => number_milli.div_ceil(1_000),
            "us" | "µs" => number_milli.div_ceil(1_000_000),
            "ns" => number_milli.div_ceil(1_000_000_000),
            _ => return None,
        };
        all = all.checked_add(ms)?;
        rest = after;
    }
    if text.is_empty() { None } else { Some(all) }
}

/// A time of RFC 3339: `2026-11-21T09:18:44Z`, with a fraction or an offset where there is one.
fn date(text: &str) -> Option<UnixMs> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(part).ok()?.parse().ok())?
    };
    let is_at = |place: usize, wanted: &[u8]| bytes.get(place).is_some_and(|byte| wanted.contains(byte));
    let marks = [(4, &b"-"[..]), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if !marks.into_iter().all(|(place, wanted)| is_at(place, wanted)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut milli = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let ends = fraction.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(fraction.len());
        milli = i64::try_from(decimal_ms(&format!("0.{}", &fraction[..ends]))?).ok()?;
        rest = &fraction[ends..];
    }
    let offset_minutes = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = rest.get(1..)?.split_once(':')?;
            sign * (hours.parse::<u8>().ok().map(i64::from)? * 60 + minutes.parse::<u8>().ok().map(i64::from)?)
        }
    };
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_minutes * 60;
    Some(UnixMs(seconds * 1_000 + milli))
}

/// Days since 1970 of a date, by Howard Hinnant's algorithm; the other way round than [`UnixMs`] prints.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use QuotaUnit::{InputTokens, OutputTokens, Requests, Tokens};
    use QuotaWindow::{Day, Minute, Unsaid};

    /// 21 November 2026, 09:18:44 UTC.
    const NOW: UnixMs = UnixMs(1_795_252_724_000);

    fn told(headers: &[(&str, &str)]) -> Limits {
        limits(headers.iter().map(|(name, value)| (*name, value.as_bytes())), NOW)
    }

    type Expected = (QuotaUnit, QuotaWindow, Option<u64>, u64, Option<u64>, bool);

    fn claims(headers: &[(&str, &str)]) -> Vec<Expected> {
        let told = told(headers);
        assert_eq!(told.unread, 0, "{headers:?}");
        let claim =
            |claim: &QuotaClaim| (claim.unit, claim.window, claim.limit, claim.left, claim.full_in_ms, claim.refills);
        told.claims.iter().map(claim).collect()
    }

    #[test]
    fn each_providers_words_tell_what_is_left_and_until_when() {
        let openai = [
            ("x-ratelimit-limit-requests", "5000"),
            ("x-ratelimit-limit-tokens", "160000"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-remaining-tokens", "159976"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        let expected = [
            (Requests, Unsaid, Some(5000), 4999, Some(12), true),
            (Tokens, Unsaid, Some(160_000), 159_976, Some(360_000), true),
        ];
        assert_eq!(claims(&openai), expected);
        let groq = [("x-ratelimit-remaining-requests", "14370"), ("x-ratelimit-reset-requests", "2m59.56s")];
        assert_eq!(claims(&groq), [(Requests, Unsaid, None, 14_370, Some(179_560), true)]);
        let anthropic = [
            ("anthropic-ratelimit-input-tokens-limit", "50000"),
            ("anthropic-ratelimit-input-tokens-remaining", "49000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T09:18:45Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-21T10:19:44.5+01:00"),
        ];
        let expected = [
            (InputTokens, Unsaid, Some(50_000), 49_000, Some(1_999), true),
            (OutputTokens, Unsaid, None, 0, Some(60_500), true),
        ];
        assert_eq!(claims(&anthropic), expected);
        let mistral = [
            ("x-ratelimit-limit-req-minute", "60"),
            ("x-ratelimit-remaining-req-minute", "0"),
            ("ratelimitbysize-limit", "500000"),
            ("ratelimitbysize-remaining", "499900"),
            ("ratelimitbysize-reset", "28"),
        ];
        let expected = [
            (Requests, Minute, Some(60), 0, None, false),
            (Tokens, Unsaid, Some(500_000), 499_900, Some(28_999), false),
        ];
        assert_eq!(claims(&mistral), expected);
        let fireworks = [
            ("x-ratelimit-remaining-tokens-prompt", "7193993"),
            ("x-ratelimit-limit-tokens-generated", "72000"),
            ("x-ratelimit-remaining-tokens-generated", "69338"),
        ];
        let expected = [
            (InputTokens, Unsaid, None, 7_193_993, None, false),
            (OutputTokens, Unsaid, Some(72_000), 69_338, None, false),
        ];
        assert_eq!(claims(&fireworks), expected);
        let cerebras = [
            ("x-ratelimit-remaining-requests-day", "14399.0"),
            ("x-ratelimit-remaining-tokens-minute", "59000"),
            ("x-ratelimit-reset-tokens-minute", "11.382883787155151"),
        ];
        let expected =
            [(Requests, Day, None, 14_399, None, false), (Tokens, Minute, None, 59_000, Some(11_382), false)];
        assert_eq!(claims(&cerebras), expected);
        let together = [
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "9"),
            ("x-ratelimit-reset", "1"),
            ("x-tokenlimit-remaining", "98500"),
        ];
        let expected =
            [(Requests, Unsaid, Some(10), 9, Some(1_999), false), (Tokens, Unsaid, None, 98_500, None, false)];
        assert_eq!(claims(&together), expected);
        let openrouter = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795252734000")];
        assert_eq!(claims(&openrouter), [(Requests, Unsaid, None, 0, Some(10_000), false)]);
        let seconds =
            [("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "7"), ("ratelimit-reset", "1795252734")];
        assert_eq!(claims(&seconds), [(Requests, Unsaid, Some(100), 7, Some(10_999), false)]);
        assert_eq!(
            claims(&[("ratelimit", r#""api";r=50;t=30, "b";r=1"#)]),
            [(Requests, Unsaid, None, 50, Some(30_999), false)]
        );
    }

    #[test]
    fn what_is_not_understood_is_counted_and_claims_nothing() {
        for (name, value) in [
            ("x-ratelimit-remaining-requests", "-1"),
            ("x-ratelimit-remaining-requests", "many"),
            ("x-ratelimit-remaining-requests", ""),
            ("x-ratelimit-remaining-requests", "99999999999999999999999"),
            ("x-ratelimit-reset-requests", "soon"),
            ("x-ratelimit-reset-requests", "1 fortnight"),
            ("x-ratelimit-reset-requests", "2026-13-01T00:00:00Z"),
            ("x-ratelimit-remaining-tokens_usage_based", "5"),
            ("x-ratelimit-remaining-tokens-cache-adjusted-prompt", "5"),
            ("x-ratelimit-over-limit", "yes"),
            ("ratelimit-policy", "\"default\";q=100;w=30"),
            ("ratelimit", "default"),
        ] {
            let told = told(&[(name, value)]);
            assert_eq!((told.claims.len(), told.unread), (0, 1), "{name}: {value}");
        }
        for (name, value) in [("x-request-id", "1"), ("x-limit", "1"), ("access-control-limit", "1")] {
            assert_eq!(told(&[(name, value)]), Limits::default(), "{name}");
        }
        // A limit of nothing is none.
        let none = [("x-ratelimit-limit-requests", "0"), ("x-ratelimit-remaining-requests", "0")];
        assert!(told(&none).claims.is_empty());
        // Nothing is believed for longer than a month, nor taken without end.
        let far = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "99999999999")];
        assert_eq!(told(&far).claims[0].full_in_ms, Some(LONGEST_MS));
        let units = ["requests", "tokens", "input-tokens", "output-tokens"];
        let windows = ["second", "minute", "hour", "day", "month"];
        let names: Vec<String> = units
            .iter()
            .flat_map(|unit| windows.iter().map(move |window| format!("x-ratelimit-remaining-{unit}-{window}")))
            .collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "5")).collect();
        assert_eq!(told(&many).claims.len(), MOST_CLAIMS);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_told_is_bounded(
            headers in proptest::collection::vec(("[a-z]{0,3}x?-?ratelimit-[a-z-]{0,30}", "[0-9a-z:.;=µTZ+ -]{0,30}"), 0..20),
        ) {
            let told = limits(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())), NOW);
            proptest::prop_assert!(told.claims.len() <= MOST_CLAIMS);
            proptest::prop_assert!(told.claims.iter().all(|claim| claim.full_in_ms.is_none_or(|ms| ms <= LONGEST_MS)));
        }
    }

    #[test]
    fn a_date_is_read_as_it_is_printed() {
        for ms in [0, 951_782_400_000, 1_709_164_800_123, NOW.0, 4_102_444_799_999] {
            assert_eq!(date(&UnixMs(ms).to_string()), Some(UnixMs(ms)));
        }
    }
}
