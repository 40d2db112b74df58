//! How much of what a provider says it counted and billed is in the books: its own reports, read into the store, beside ours.
//!
//! Read are the answers of OpenAI's `/organization/usage/…` and `/organization/costs`, of Anthropic's `usage_report/messages` and
//! `cost_report`, and CSV with a day and any of `input_tokens`, `output_tokens`, `cost_usd`. Days are UTC, as the providers' are.

use std::collections::BTreeMap;

use domain::usage::Direction;
use domain::{Meter, NanoUsd, UnixMs};
use serde::Serialize;
use serde_json::Value;
use store::rollup::{DAY_MS, start_of};
use store::{Store, StoreError, Told};
use thiserror::Error;

/// Thousandths of a difference that are worth an alarm: half a percent.
pub const TOLERATED: i64 = 5;

/// Why a report cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadReport {
    /// Neither JSON of a known shape nor CSV with known columns.
    #[error("this is no usage or cost report that is known: {0}")]
    Unknown(String),
    /// A figure or a time in it is none.
    #[error("in {place}: {reason}")]
    Figure {
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// An answer with more pages to come.
    #[error("the report says that there is more (`has_more`); fetch its other pages and give each of them")]
    Partial,
}

/// Reads a report into sums by day and model.
pub fn read(text: &str) -> Result<Vec<Told>, BadReport> {
    let mut days = BTreeMap::new();
    match serde_json::from_str::<Value>(text) {
        Ok(json) => read_json(&json, &mut days)?,
        Err(_) => read_csv(text, &mut days)?,
    }
    Ok(days.into_values().collect())
}

type Days = BTreeMap<(i64, String), Told>;

fn read_json(json: &Value, days: &mut Days) -> Result<(), BadReport> {
    let unknown = |what: &str| BadReport::Unknown(what.to_owned());
    let buckets = json["data"].as_array().ok_or_else(|| unknown("there is no list `data`"))?;
    if json["has_more"].as_bool() == Some(true) {
        return Err(BadReport::Partial);
    }
    for (place, bucket) in buckets.iter().enumerate() {
        let at = match (bucket["start_time"].as_i64(), bucket["starting_at"].as_str()) {
            (Some(seconds), _) => seconds.saturating_mul(1_000),
            (None, Some(text)) => time(text).ok_or_else(|| figure(place, format!("`{text}` is no time")))?,
            (None, None) => return Err(unknown("a bucket has neither `start_time` nor `starting_at`")),
        };
        for result in bucket["results"].as_array().into_iter().flatten() {
            let model = result["model"].as_str().unwrap_or_default();
            let told = day_of(days, at, model);
            let count = |name: &str| result[name].as_u64();
            let sum = |names: &[&str]| names.iter().filter_map(|name| count(name)).fold(None, plus);
            // OpenAI's input holds what a cache served, audio apart; Anthropic says each part by itself.
            let created = ["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]
                .iter()
                .filter_map(|name| result["cache_creation"][*name].as_u64())
                .fold(None, plus);
            let anthropic = sum(&["uncached_input_tokens", "cache_read_input_tokens"]);
            let input = match (anthropic, count("input_tokens")) {
                (Some(some), None) => Some(some + created.unwrap_or(0)),
                _ => sum(&["input_tokens", "input_audio_tokens"]),
            };
            told.input_tokens = input.into_iter().fold(told.input_tokens, plus);
            let output = sum(&["output_tokens", "output_audio_tokens"]);
            told.output_tokens = output.into_iter().fold(told.output_tokens, plus);
            told.requests = count("num_model_requests").into_iter().fold(told.requests, plus);
            if let Some(nano) = cost(result, place)? {
                told.cost = Some(told.cost.unwrap_or(NanoUsd::ZERO).saturating_add(nano));
            }
        }
    }
    Ok(())
}

/// OpenAI: `amount: {value, currency}` in dollars. Anthropic: `amount` as text, in cents.
fn cost(result: &Value, place: usize) -> Result<Option<NanoUsd>, BadReport> {
    let (text, exponent) = match &result["amount"] {
        Value::Object(amount) => match amount.get("value") {
            Some(value) => (value.to_string().trim_matches('"').to_owned(), 9),
            None => return Ok(None),
        },
        Value::String(cents) => (cents.clone(), 7),
        _ => return Ok(None),
    };
    let currency = result["currency"].as_str().or_else(|| result["amount"]["currency"].as_str()).unwrap_or("usd");
    if !currency.eq_ignore_ascii_case("usd") {
        return Err(figure(place, format!("the currency is `{currency}`; only USD is compared")));
    }
    scaled(&text, exponent)
        .map(|nano| Some(NanoUsd(nano)))
        .ok_or_else(|| figure(place, format!("`{text}` is no amount")))
}

fn read_csv(text: &str, days: &mut Days) -> Result<(), BadReport> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let header = lines.next().ok_or_else(|| BadReport::Unknown("the file is empty".to_owned()))?;
    let columns: Vec<String> = fields(header).iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    let named = |names: &[&str]| columns.iter().position(|column| names.contains(&column.as_str()));
    let day = named(&["date", "day", "usage_date", "usage_date_utc", "starting_at", "start_time"])
        .ok_or_else(|| BadReport::Unknown("no column is called `date`, and it is no JSON".to_owned()))?;
    let (model, cost) = (named(&["model", "model_version"]), named(&["cost_usd", "cost", "amount_usd"]));
    let counted = |names: &[&str]| {
        let places = columns.iter().enumerate().filter(|(_, column)| names.contains(&column.as_str()));
        places.map(|(place, _)| place).collect::<Vec<_>>()
    };
    let input = counted(&[
        "input_tokens",
        "uncached_input_tokens",
        "cache_read_input_tokens",
        "cache_creation_5m_input_tokens",
        "cache_creation_1h_input_tokens",
    ]);
    let output = counted(&["output_tokens"]);
    for (place, line) in lines.enumerate() {
        let fields = fields(line);
        let field = |place: usize| fields.get(place).map_or("", |field| field.trim());
        let at =
            time(field(day)).or_else(|| field(day).parse::<i64>().ok().map(|seconds| seconds.saturating_mul(1_000)));
        let at = at.ok_or_else(|| figure(place + 2, format!("`{}` is no day", field(day))))?;
        let told = day_of(days, at, model.map_or("", field));
        for (sum, places) in [(&mut told.input_tokens, &input), (&mut told.output_tokens, &output)] {
            for text in places.iter().map(|place| field(*place)).filter(|text| !text.is_empty()) {
                let count = text.parse().map_err(|_| figure(place + 2, format!("`{text}` is no count")))?;
                *sum = plus(*sum, count);
            }
        }
        if let Some(text) = cost.map(field).filter(|text| !text.is_empty()) {
            let nano = scaled(text, 9).ok_or_else(|| figure(place + 2, format!("`{text}` is no amount")))?;
            told.cost = Some(told.cost.unwrap_or(NanoUsd::ZERO).saturating_add(NanoUsd(nano)));
        }
    }
    Ok(())
}

/// The fields of a line of RFC 4180 without line feeds in them.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted, mut letters) = (vec![String::new()], false, line.chars().peekable());
    while let Some(letter) = letters.next() {
        let last = fields.last_mut().expect("there is always a field");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                last.push('"');
                letters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => last.push(other),
        }
    }
    fields
}

fn day_of<'a>(days: &'a mut Days, at: i64, model: &str) -> &'a mut Told {
    let start = start_of(UnixMs(at), DAY_MS);
    days.entry((start, model.to_owned())).or_insert_with(|| Told {
        start: UnixMs(start),
        model: model.to_owned(),
        ..Told::default()
    })
}

fn plus(sum: Option<u64>, count: u64) -> Option<u64> {
    Some(sum.unwrap_or(0).saturating_add(count))
}

fn figure(place: usize, reason: String) -> BadReport {
    BadReport::Figure { place: format!("row {place}"), reason }
}

/// A day or a time of RFC 3339, milliseconds; its first ten characters are enough, since days are compared.
fn time(text: &str) -> Option<i64> {
    let day = text.get(..10)?;
    let mut parts = day.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let sane =
        parts.next().is_none() && (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    // Days from civil, as Howard Hinnant gives it in "chrono-Compatible Low-Level Date Algorithms".
    let (year, month_from_march) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era_day =
        (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + (153 * month_from_march + 2) / 5 + day - 1;
    sane.then(|| ((year / 400) * 146_097 + era_day - 719_468) * DAY_MS)
}

/// A decimal, also with an exponent, times ten to the `exponent`, rounded half to even: no float on the way.
fn scaled(text: &str, exponent: i32) -> Option<i64> {
    let text = text.trim();
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (number, power) = match text.split_once(['e', 'E']) {
        Some((number, power)) => (number, power.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 60 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // How many of the digits are before the point of the result.
    let kept = i64::from(exponent) + i64::from(power) + whole.len() as i64;
    let digits: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
    let mut value: i128 = 0;
    for place in 0..kept.clamp(0, 40) {
        value = value.checked_mul(10)?.checked_add(i128::from(digits.get(place as usize).copied().unwrap_or(0)))?;
    }
    let rest = digits.get(usize::try_from(kept.max(0)).ok()?..).unwrap_or_default();
    let (first, others) = match kept {
        ..0 => (0, true),
        _ => (rest.first().copied().unwrap_or(0), rest.iter().skip(1).any(|digit| *digit > 0)),
    };
    let up = first > 5 || (first == 5 && (others || value % 2 == 1));
    i64::try_from(sign * (value + i128::from(up))).ok()
}

/// Ours beside theirs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Pair {
    /// In the books.
    pub ours: i64,
    /// In the provider's report; absent where it does not say.
    pub theirs: Option<i64>,
}

impl Pair {
    /// Ours over theirs, thousandths.
    pub fn rate(&self) -> Option<i64> {
        let theirs = i128::from(self.theirs?);
        (theirs != 0).then(|| i64::try_from(i128::from(self.ours) * 1_000 / theirs).unwrap_or(i64::MAX))
    }

    /// Whether they are further apart than is tolerated.
    pub fn is_off(&self) -> bool {
        let Some(theirs) = self.theirs else { return false };
        let apart = (i128::from(self.ours) - i128::from(theirs)).abs();
        apart * 1_000 > i128::from(theirs).abs() * i128::from(TOLERATED)
    }
}

/// A day of a provider.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CapturedDay {
    /// When it begins.
    pub start: UnixMs,
    /// Tokens sent, cached ones included.
    pub input_tokens: Pair,
    /// Tokens received.
    pub output_tokens: Pair,
    /// Nano-dollars.
    pub cost_nano_usd: Pair,
}

impl CapturedDay {
    /// Its figures with their names.
    pub fn pairs(&self) -> [(&'static str, Pair); 3] {
        [("input_tokens", self.input_tokens), ("output_tokens", self.output_tokens), ("cost", self.cost_nano_usd)]
    }

    /// Whether any figure is further off than is tolerated.
    pub fn is_off(&self) -> bool {
        self.pairs().iter().any(|(_, pair)| pair.is_off())
    }
}

/// Every day from `from` on of which the provider told something, oldest first.
pub async fn compare(store: &Store, provider: &str, from: UnixMs) -> Result<Vec<CapturedDay>, StoreError> {
    let mut days: BTreeMap<i64, CapturedDay> = BTreeMap::new();
    for told in store.told(provider, from).await? {
        let day = days.entry(told.start.0).or_default();
        day.start = told.start;
        let add = |pair: &mut Pair, more: Option<i64>| {
            if let Some(more) = more {
                pair.theirs = Some(pair.theirs.unwrap_or(0).saturating_add(more));
            }
        };
        let count = |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        add(&mut day.input_tokens, count(told.input_tokens));
        add(&mut day.output_tokens, count(told.output_tokens));
        add(&mut day.cost_nano_usd, told.cost.map(|cost| cost.0));
    }
    for (start, meter, units, amount) in store.days_of_provider(provider, from).await? {
        let Some(day) = days.get_mut(&start.0) else { continue };
        match Meter::from_name(&meter).map(Meter::direction) {
            Some(Direction::Input) => day.input_tokens.ours += units,
            Some(Direction::Output) => day.output_tokens.ours += units,
            Some(Direction::Apiece) | None => {}
        }
        day.cost_nano_usd.ours += amount;
    }
    Ok(days.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOVEMBER_21: UnixMs = UnixMs(1_795_219_200_000);

    #[test]
    fn reports_of_openai_are_read() {
        let usage = r#"{"object":"page","has_more":false,"data":[{"object":"bucket","start_time":1795219200,"end_time":1795305600,
            "results":[{"object":"organization.usage.completions.result","input_tokens":1000,"input_cached_tokens":800,
            "output_tokens":500,"input_audio_tokens":7,"output_audio_tokens":0,"num_model_requests":5,"model":"gpt-4o"}]}]}"#;
        let told = read(usage).unwrap();
        assert_eq!((told[0].start, &*told[0].model), (NOVEMBER_21, "gpt-4o"));
        assert_eq!((told[0].input_tokens, told[0].output_tokens, told[0].cost), (Some(1_007), Some(500), None));
        let costs = r#"{"object":"page","data":[{"object":"bucket","start_time":1795219200,"results":[
            {"object":"organization.costs.result","amount":{"value":0.06,"currency":"usd"},"line_item":null},
            {"object":"organization.costs.result","amount":{"value":1.2e-7,"currency":"usd"}}]}],"has_more":false}"#;
        assert_eq!(read(costs).unwrap()[0].cost, Some(NanoUsd(60_000_120)));
    }

    #[test]
    fn reports_of_anthropic_are_read_with_their_cents() {
        let usage = r#"{"data":[{"starting_at":"2026-11-21T13:00:00Z","ending_at":"2026-11-21T14:00:00Z","results":[
            {"uncached_input_tokens":1500,"cache_creation":{"ephemeral_1h_input_tokens":1000,"ephemeral_5m_input_tokens":500},
            "cache_read_input_tokens":200,"output_tokens":500,"server_tool_use":{"web_search_requests":10},"model":null}]}],
            "has_more":false,"next_page":null}"#;
        let told = read(usage).unwrap();
        assert_eq!((told[0].start, told[0].input_tokens, told[0].output_tokens), (NOVEMBER_21, Some(3_200), Some(500)));
        let costs =
            r#"{"data":[{"starting_at":"2026-11-21T00:00:00Z","results":[{"currency":"USD","amount":"123.78912"}]}]}"#;
        assert_eq!(read(costs).unwrap()[0].cost, Some(NanoUsd(1_237_891_200)));
    }

    #[test]
    fn a_table_is_read_by_its_columns() {
        let csv = "Date,Model,Input_Tokens,Output_Tokens,Cost_USD\n2026-11-21,\"gpt-4o, mini\",10,5,0.000001\n2026-11-21,x,1,,2\n";
        let told = read(csv).unwrap();
        assert_eq!((told.len(), &*told[0].model, told[0].cost), (2, "gpt-4o, mini", Some(NanoUsd(1_000))));
        assert_eq!((told[1].input_tokens, told[1].output_tokens), (Some(1), None));
    }

    #[test]
    fn what_is_no_report_or_only_part_of_one_is_refused() {
        assert_eq!(read(r#"{"data":[],"has_more":true}"#), Err(BadReport::Partial));
        assert!(matches!(read("{}"), Err(BadReport::Unknown(_))));
        assert!(matches!(read("a,b\n1,2"), Err(BadReport::Unknown(_))));
        assert!(matches!(read("date,cost\nsoon,2"), Err(BadReport::Figure { .. })));
        let euros = r#"{"data":[{"start_time":1,"results":[{"amount":{"value":1,"currency":"eur"}}]}]}"#;
        assert!(matches!(read(euros), Err(BadReport::Figure { .. })));
    }

    #[test]
    fn decimals_are_scaled_exactly_and_rounded_half_to_even() {
        let cases = [
            ("0.06", 60_000_000),
            ("1e-9", 1),
            ("5e-10", 0),
            ("1.5e-9", 2),
            ("2.5E-9", 2),
            ("-0.1", -100_000_000),
            ("12", 12_000_000_000),
            ("6e-10", 1),
            ("1e-12", 0),
        ];
        for (text, nano) in cases {
            assert_eq!(scaled(text, 9), Some(nano), "{text}");
        }
        assert_eq!((scaled("", 9), scaled("1,5", 9), scaled("1e30", 9), scaled("nan", 9)), (None, None, None, None));
    }

    #[test]
    fn a_pair_is_off_beyond_half_a_percent() {
        let pair = |ours| Pair { ours, theirs: Some(1_000) };
        assert!(!pair(995).is_off() && !pair(1_005).is_off() && pair(994).is_off() && pair(1_006).is_off());
        assert_eq!((pair(500).rate(), Pair { ours: 3, theirs: Some(0) }.rate()), (Some(500), None));
        assert!(Pair { ours: 3, theirs: Some(0) }.is_off(), "what the provider does not know of is off");
        assert!(!Pair { ours: 3, theirs: None }.is_off());
    }
}
