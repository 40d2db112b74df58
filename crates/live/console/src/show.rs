//! How values are written on pages: money to the last nano-dollar, times in UTC, shares and durations with their units.

use domain::{Blame, NanoUsd, UnixMs};

const NANO_PER_CENT: u64 = 10_000_000;

/// An amount of money, padded so that the decimal points of its column stand below each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Money {
    /// Every digit of it.
    pub text: String,
    /// Invisible digits after it.
    pub pad: String,
}

/// The decimals that the finest amount of a column needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column(usize);

impl Column {
    /// The column of these amounts.
    pub fn of(amounts: impl IntoIterator<Item = NanoUsd>) -> Column {
        Column(amounts.into_iter().map(|amount| decimals(&amount.to_string())).max().unwrap_or(2))
    }

    /// An amount as this column writes it.
    pub fn money(self, amount: NanoUsd) -> Money {
        let text = amount.to_string();
        let pad = "0".repeat(self.0.saturating_sub(decimals(&text)));
        Money { text, pad }
    }
}

/// An amount in two parts, cents and the finer digits, so that a large figure stays readable and exact. Below a cent the finer
/// digits are all there is to read.
pub fn split(amount: NanoUsd) -> (String, String) {
    let mut text = amount.to_string();
    if amount.0.unsigned_abs() < NANO_PER_CENT {
        return (text, String::new());
    }
    let cents = text.find('.').map_or(text.len(), |point| (point + 3).min(text.len()));
    let finer = text.split_off(cents);
    (text, finer)
}

/// A piece of a sentence: a name between backticks, or plain words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'a> {
    /// Whether it stood between backticks.
    pub code: bool,
    /// Its text, without them.
    pub text: &'a str,
}

/// A sentence cut at its backticks; one without a partner stays a letter like any other.
pub fn pieces(sentence: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('`')
        && let Some((name, behind)) = after.split_once('`')
    {
        pieces.extend([Piece { code: false, text: before }, Piece { code: true, text: name }]);
        rest = behind;
    }
    pieces.push(Piece { code: false, text: rest });
    pieces
}

fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// An instant: short for the eye, full for the tooltip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct When {
    /// `2026-11-21 09:18:44`, or only the clock.
    pub text: String,
    /// `2026-11-21T09:18:44.123Z`.
    pub full: String,
}

impl When {
    /// Day and time.
    pub fn at(time: UnixMs) -> When {
        let full = time.to_string();
        let (day, clock) = parts(&full);
        When { text: format!("{day} {clock}"), full }
    }

    /// The time alone where it is the same day as `now`, day and time otherwise.
    pub fn near(time: UnixMs, now: UnixMs) -> When {
        let (full, today) = (time.to_string(), now.to_string());
        let (day, clock) = parts(&full);
        let text = if day == parts(&today).0 { clock.to_owned() } else { format!("{day} {clock}") };
        When { text, full }
    }
}

fn parts(full: &str) -> (&str, &str) {
    let (day, clock) = full.split_once('T').unwrap_or((full, ""));
    (day, clock.get(..8).unwrap_or(clock))
}

/// `09:18`.
pub fn hour_minute(time: UnixMs) -> String {
    parts(&time.to_string()).1.chars().take(5).collect()
}

/// A word on a coloured ground; the word alone says everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// `good`, `warn`, `bad` or empty.
    pub kind: &'static str,
    /// The word.
    pub text: String,
}

impl Mark {
    /// A mark.
    pub fn new(kind: &'static str, text: impl Into<String>) -> Mark {
        Mark { kind, text: text.into() }
    }
}

/// A label and what stands behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// What it is.
    pub label: &'static str,
    /// Its value.
    pub text: String,
    /// Where more of it is shown.
    pub href: Option<String>,
}

impl Fact {
    /// A fact.
    pub fn new(label: &'static str, text: impl Into<String>) -> Fact {
        Fact { label, text: text.into(), href: None }
    }

    /// A fact that links to more.
    pub fn linked(label: &'static str, text: impl Into<String>, href: String) -> Fact {
        Fact { label, text: text.into(), href: Some(href) }
    }
}

/// `part` of `whole` in percent with one decimal below ten: `0.8 %`, `82 %`; a dash where there is no whole.
pub fn share(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "–".to_owned();
    }
    let per_mille = i128::from(part.max(0)) * 1000 / i128::from(whole);
    match per_mille {
        0 if part > 0 => "under 0.1 %".to_owned(),
        0 => "0 %".to_owned(),
        1..100 => format!("{}.{} %", per_mille / 10, per_mille % 10),
        _ => format!("{} %", per_mille / 10),
    }
}

/// The same for counts.
pub fn count_share(part: u64, whole: u64) -> String {
    share(i64::try_from(part).unwrap_or(i64::MAX), i64::try_from(whole).unwrap_or(i64::MAX))
}

/// A count with its thousands apart: `12,345`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun: `1 call`, `2 calls`.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A duration: `412 ms`, `1.204 s`, `3 min 4 s`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{:03} s", ms / 1000, ms % 1000),
        _ => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
    }
}

/// A duration without trailing zeros, as an axis wants it: `2 s`.
pub fn round_duration(ms: u64) -> String {
    if ms < 1000 { duration(ms) } else { format!("{} s", milli(ms)) }
}

/// A duration, or a dash.
pub fn duration_or_dash(ms: Option<u64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

/// A number of thousandths without trailing zeros: 350 is `0.35`.
pub fn milli(value: u64) -> String {
    let text = format!("{}.{:03}", value / 1000, value % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Who has to act.
pub fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Client => "the caller",
        Blame::Us => "whoever runs Freehold",
        Blame::Provider => "the provider",
    }
}

/// A text as a value in a query, percent-encoded.
pub fn in_query(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A name as an anchor of a page: letters and digits stay, all else becomes its code.
pub fn anchor(kind: &str, name: &str) -> String {
    let mut text = format!("{kind}-");
    for letter in name.chars() {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => text.push(letter),
            other => text.push_str(&format!("_{:x}_", u32::from(other))),
        }
    }
    text
}

/// Names in a row, or what to say when there are none.
pub fn list(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_a_column_keep_every_digit_and_line_up() {
        let amounts = [NanoUsd(12_500_000_000), NanoUsd(2_100), NanoUsd(0)];
        let column = Column::of(amounts);
        let shown = amounts.map(|amount| column.money(amount));
        assert_eq!(shown[0], Money { text: "12.50".into(), pad: "00000".into() });
        assert_eq!(shown[1], Money { text: "0.0000021".into(), pad: "".into() });
        assert!(shown.iter().all(|money| decimals(&money.text) + money.pad.len() == 7));
    }

    #[test]
    fn a_large_figure_is_cut_behind_its_cents() {
        assert_eq!(split(NanoUsd(12_345_678_900)), ("12.34".into(), "56789".into()));
        assert_eq!(split(NanoUsd(0)), ("0.00".into(), "".into()));
        assert_eq!(split(NanoUsd(48_300)), ("0.0000483".into(), "".into()));
        assert_eq!(split(NanoUsd(10_000_001)), ("0.01".into(), "0000001".into()));
    }

    #[test]
    fn names_in_a_sentence_are_told_from_its_words() {
        let shown = pieces("raise `limit` in ` it").iter().map(|p| (p.code, p.text)).collect::<Vec<_>>();
        assert_eq!(shown, [(false, "raise "), (true, "limit"), (false, " in ` it")]);
    }

    #[test]
    fn times_near_now_show_the_clock_alone() {
        let now = UnixMs(1_795_252_724_005);
        assert_eq!(When::near(now, now).text, "09:18:44");
        assert_eq!(When::near(now - 86_400_000, now).text, "2026-11-20 09:18:44");
        assert_eq!(When::at(now).full, "2026-11-21T09:18:44.005Z");
        assert_eq!(hour_minute(now), "09:18");
    }

    #[test]
    fn shares_durations_and_counts_read_plainly() {
        assert_eq!(share(1, 0), "–");
        assert_eq!((share(0, 9), share(1, 10_000)), ("0 %".into(), "under 0.1 %".into()));
        assert_eq!((share(8, 1000), share(820, 1000)), ("0.8 %".into(), "82 %".into()));
        assert_eq!(
            (duration(7), duration(1204), duration(184_000)),
            ("7 ms".into(), "1.204 s".into(), "3 min 4 s".into())
        );
        assert_eq!((count(999), count(1_234_567)), ("999".into(), "1,234,567".into()));
        assert_eq!((milli(350), milli(12_000)), ("0.35".into(), "12".into()));
    }

    #[test]
    fn hostile_names_stay_inside_queries_and_anchors() {
        assert_eq!(in_query("a&b=\"<"), "a%26b%3D%22%3C");
        assert_eq!(anchor("lane", "pre mium\""), "lane-pre_20_mium_22_");
    }
}
