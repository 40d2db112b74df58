//! The file as written: a TOML tree with places, and a typed reader that records every problem it meets (unknown keys,
//! wrong kinds, values out of range) and reads on.

use std::ops::RangeInclusive;

use domain::{NanoUsd, PicoUsd, Region, UnixMs};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::key::Section;
use crate::names::{self, nearest};
use crate::numbers;
use crate::problem::{At, Place, Problems};

pub(crate) use toml::de::DeValue as Value;

/// Parses a text; syntax problems are recorded. `None` where so much is broken that further problems would be guesses.
pub(crate) fn parse<'d>(text: &'d str, problems: &Problems) -> Option<Spanned<DeTable<'d>>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut readable = true;
    for error in errors {
        let place = Place { offset: error.span().map_or(0, |span| span.start), key: String::new() };
        if error.message().starts_with("duplicate key") {
            let key = error.span().and_then(|span| text.get(span)).unwrap_or_default().trim();
            let place = Place { key: key.to_owned(), ..place };
            problems.error(&place, "is written twice in the same table", "keep one of the two");
        } else {
            readable = false;
            let message = error.message().trim().replace('\n', " ");
            let reason = format!("this is no TOML: {message}");
            problems.error(&place, reason, "mend the syntax here; the settings are checked once the file can be read");
        }
    }
    readable.then_some(root)
}

/// A table being read. Keys its section does not know have been reported by the time it exists.
pub(crate) struct Table<'d> {
    /// Its header.
    pub place: Place,
    entries: Vec<Entry<'d>>,
    problems: &'d Problems<'d>,
    section: &'static Section,
    unknown: usize,
}

/// A key with its value.
pub(crate) struct Entry<'d> {
    pub name: &'d str,
    pub place: Place,
    pub value: &'d DeValue<'d>,
}

/// What to do about `[models.gpt-5.5]`, which TOML reads as a table `5` within one called `gpt-5`.
fn unquoted_name(section: &Section, entry: &Entry) -> Option<String> {
    let named = section.path.ends_with(".NAME") && matches!(entry.value, DeValue::Table(_));
    let (_, name) = entry.place.key.split_once('.')?;
    let dotted = named && entry.name.starts_with(|first: char| first.is_ascii_digit());
    dotted.then(|| format!("a name with a dot stands in quotation marks: `\"{name}\"`"))
}

/// A table that people gave a name, such as `[models.sonnet]`.
pub(crate) struct Named<'d> {
    pub name: &'d str,
    pub table: Table<'d>,
}

impl<'d> Table<'d> {
    /// The whole file.
    pub fn root(root: &'d Spanned<DeTable<'d>>, section: &'static Section, problems: &'d Problems<'d>) -> Table<'d> {
        Table::new(Place { offset: 0, key: String::new() }, root.get_ref(), section, problems)
    }

    fn new(place: Place, table: &'d DeTable<'d>, section: &'static Section, problems: &'d Problems<'d>) -> Table<'d> {
        let mut table = Table::open(place, table, section, problems);
        let known = |name: &str| section.knows(name);
        for entry in table.entries.iter().filter(|entry| !known(entry.name)) {
            let remedy =
                unquoted_name(section, entry).unwrap_or_else(|| names::did_you_mean(entry.name, section.names()));
            problems.error(&entry.place, "unknown key", remedy);
        }
        table.unknown = table.entries.iter().filter(|entry| !known(entry.name)).count();
        table
    }

    /// A table whose keys people choose.
    fn open(place: Place, table: &'d DeTable<'d>, section: &'static Section, problems: &'d Problems<'d>) -> Table<'d> {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                name: key.get_ref(),
                place: Place { offset: key.span().start, key: join(&place.key, key.get_ref()) },
                value: value.get_ref(),
            })
            .collect();
        // The parser sorts by name; people mean the order in which they wrote.
        entries.sort_by_key(|entry| entry.place.offset);
        Table { place, entries, problems, section, unknown: 0 }
    }

    /// Where problems go.
    pub fn problems(&self) -> &'d Problems<'d> {
        self.problems
    }

    /// Whether a key was unknown, so that what looks missing is probably misspelt and has been reported already.
    pub fn is_spoiled(&self) -> bool {
        self.unknown > 0
    }

    /// Keys and values in the order written.
    pub fn entries(&self) -> &[Entry<'d>] {
        &self.entries
    }

    /// A value of any kind.
    pub fn value(&self, name: &str) -> Option<&Entry<'d>> {
        debug_assert!(
            self.section.keys.is_empty() || self.section.knows(name),
            "`{name}` has no row in {}",
            self.section.path
        );
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Whether the key is there, with whatever value.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The place of a key, or of the table where it is missing.
    pub fn place_of(&self, name: &str) -> Place {
        self.value(name).map_or_else(|| self.place.clone(), |entry| entry.place.clone())
    }

    /// Reports a key that must be there and is not.
    pub fn missing(&self, name: &str, remedy: impl Into<String>) {
        self.problems.error(&self.place, format!("`{name}` is missing"), remedy);
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<At<&'d str>> {
        let entry = self.value(name)?;
        match entry.value {
            DeValue::String(text) if text.is_empty() => {
                self.problems.error(&entry.place, "is empty", "write a value or leave the key out");
                None
            }
            DeValue::String(text) => Some(At { value: text, place: entry.place.clone() }),
            other => self.wrong_kind(entry, other, "a text in quotation marks"),
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let entry = self.value(name)?;
        match entry.value {
            DeValue::Boolean(flag) => Some(*flag),
            other => self.wrong_kind(entry, other, "`true` or `false`"),
        }
    }

    /// A whole number within a range.
    pub fn count(&self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let entry = self.value(name)?;
        let DeValue::Integer(number) = entry.value else {
            return self.wrong_kind(entry, entry.value, "a whole number without quotation marks");
        };
        let count = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|count| range.contains(count));
        if count.is_none() {
            let reason = format!("{number} is out of range");
            let remedy = format!("write a whole number from {} to {}", range.start(), range.end());
            self.problems.error(&entry.place, reason, remedy);
        }
        count
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == text.value).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words = choices.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let nearest = nearest(text.value, choices.iter().map(|(word, _)| *word));
            let hint = nearest.map_or_else(String::new, |word| format!("did you mean `{word}`? "));
            self.problems.error(
                &text.place,
                format!("`{}` is none of its values", text.value),
                format!("{hint}write one of {words}"),
            );
        }
        chosen
    }

    /// Texts, each with its own place; none where one of them is no text.
    pub fn texts(&self, name: &str) -> Option<At<Vec<At<&'d str>>>> {
        let entry = self.value(name)?;
        let DeValue::Array(array) = entry.value else {
            return self.wrong_kind(entry, entry.value, "a list of texts, such as `[\"one\", \"two\"]`");
        };
        let mut texts = Vec::new();
        for item in array {
            let place = Place { offset: item.span().start, key: entry.place.key.clone() };
            match item.get_ref() {
                DeValue::String(text) => texts.push(At { value: &**text, place }),
                other => {
                    let reason = format!("{} stands in a list of texts", kind(other));
                    self.problems.error(&place, reason, "put every item in quotation marks");
                }
            }
        }
        (texts.len() == array.len()).then(|| At { value: texts, place: entry.place.clone() })
    }

    /// A day, as TOML writes it: the instant at which it begins in UTC.
    pub fn day(&self, name: &str) -> Option<At<UnixMs>> {
        let entry = self.value(name)?;
        let text = match entry.value {
            DeValue::Datetime(day) if day.time.is_none() => day.to_string(),
            DeValue::String(text) => text.to_string(),
            other => return self.wrong_kind(entry, other, "a day, such as `2027-03-01`"),
        };
        let day = numbers::day(&text);
        if day.is_none() {
            self.problems.error(&entry.place, format!("`{text}` is no day"), "write it as `2027-03-01`");
        }
        Some(At { value: day?, place: entry.place.clone() })
    }

    /// A place, with its parts joined by `-`; the characters keep it comparable.
    pub fn region(&self, name: &str) -> Option<Region> {
        let text = self.text(name)?;
        self.as_region(&text)
    }

    /// A list of places; none where one of them is no place.
    pub fn regions(&self, name: &str) -> Option<At<Vec<Region>>> {
        let list = self.texts(name)?;
        let regions: Vec<Option<Region>> = list.value.iter().map(|text| self.as_region(text)).collect();
        Some(At { value: regions.into_iter().collect::<Option<_>>()?, place: list.place })
    }

    fn as_region(&self, text: &At<&str>) -> Option<Region> {
        let fits = !text.value.split('-').any(str::is_empty)
            && text.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fits {
            let reason = format!("`{}` is no region", text.value);
            self.problems.error(
                &text.place,
                reason,
                "write a place and its parts joined by `-`, such as `eu` or `eu-de`",
            );
        }
        fits.then(|| Region::new(text.value))
    }

    /// A price in USD per million units; zero is a price, less is none.
    pub fn usd_per_million(&self, name: &str) -> Option<At<PicoUsd>> {
        let text = self.decimal_text(name, "\"3.00\"")?;
        match PicoUsd::per_million(text.value) {
            Ok(price) if price.0 >= 0 => Some(text.map(|_| price)),
            Ok(_) => {
                self.problems.error(
                    &text.place,
                    "a price is never below zero",
                    "write USD per million, such as \"3.00\"",
                );
                None
            }
            Err(error) => {
                self.problems.error(&text.place, error.to_string(), "write USD per million, such as \"3.00\"");
                None
            }
        }
    }

    /// Dollars written with their currency: `500 USD`.
    pub fn usd(&self, name: &str) -> Option<At<NanoUsd>> {
        let text = self.decimal_text(name, "\"500 USD\"")?;
        match numbers::usd(text.value) {
            Ok(amount) => Some(text.map(|_| amount)),
            Err(reason) => {
                self.problems.error(&text.place, reason, "write an amount and its currency, such as \"500 USD\"");
                None
            }
        }
    }

    /// A share from 0 to 1 in thousandths: `"0.93"` is 930.
    pub fn milli(&self, name: &str) -> Option<At<u32>> {
        let text = self.decimal_text(name, "\"0.93\"")?;
        let milli = numbers::milli(text.value);
        if milli.is_none() {
            let reason = format!("`{}` is no share", text.value);
            self.problems.error(
                &text.place,
                reason,
                "write a decimal from 0 to 1 with at most three decimals, such as \"0.93\"",
            );
        }
        Some(At { value: milli?, place: text.place })
    }

    /// A text that is a decimal. A bare number is refused: TOML would read it as a binary float, which holds neither
    /// cents nor thousandths exactly.
    pub fn decimal_text(&self, name: &str, example: &str) -> Option<At<&'d str>> {
        let entry = self.value(name)?;
        if let DeValue::Float(_) | DeValue::Integer(_) = entry.value {
            let reason = "a bare number cannot be kept exactly";
            self.problems.error(&entry.place, reason, format!("put it in quotation marks, such as {example}"));
            return None;
        }
        self.text(name)
    }

    /// A table within this one.
    pub fn table(&self, name: &str, section: &'static Section) -> Option<Table<'d>> {
        let entry = self.value(name)?;
        match entry.value {
            DeValue::Table(table) => Some(Table::new(entry.place.clone(), table, section, self.problems)),
            other => self.wrong_kind(entry, other, "a table, such as `{ … }`"),
        }
    }

    /// A table within this one whose keys people choose.
    pub fn free_table(&self, name: &str) -> Option<Table<'d>> {
        const ANY: Section = Section { path: "", about: "", keys: &[], meters: false };
        let entry = self.value(name)?;
        match entry.value {
            DeValue::Table(table) => Some(Table::open(entry.place.clone(), table, &ANY, self.problems)),
            other => self.wrong_kind(entry, other, "a table, such as `{ … }`"),
        }
    }

    /// The tables `[name.…]` that people gave names, in the order written. A name out of bounds is reported, and kept
    /// so that whoever refers to it is not reported as well.
    pub fn named(&self, name: &str, section: &'static Section) -> Vec<Named<'d>> {
        let Some(outer) = self.free_table(name) else { return Vec::new() };
        let mut named = Vec::new();
        for entry in &outer.entries {
            if !names::is_name(entry.name) {
                let reason = format!("`{}` is no name", entry.name.escape_default());
                self.problems.error(&entry.place, reason, names::RULE);
            }
            match entry.value {
                DeValue::Table(table) => {
                    let table = Table::new(entry.place.clone(), table, section, self.problems);
                    named.push(Named { name: entry.name, table });
                }
                other => {
                    outer.wrong_kind::<()>(entry, other, &format!("a table `[{}]`", entry.place.key));
                }
            }
        }
        named
    }

    /// The tables of `[[name]]`, or of an inline list of tables.
    pub fn list(&self, name: &str, section: &'static Section) -> Vec<Table<'d>> {
        let Some(entry) = self.value(name) else { return Vec::new() };
        let DeValue::Array(array) = entry.value else {
            self.wrong_kind::<()>(entry, entry.value, "a list of tables");
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array {
            let place = Place { offset: item.span().start, key: entry.place.key.clone() };
            match item.get_ref() {
                DeValue::Table(table) => tables.push(Table::new(place, table, section, self.problems)),
                other => {
                    let reason = format!("{} stands in a list of tables", kind(other));
                    self.problems.error(&place, reason, "write `{ … }`");
                }
            }
        }
        tables
    }

    /// A table or a list of them, whichever was written.
    pub fn one_or_more(&self, name: &str, section: &'static Section) -> Vec<Table<'d>> {
        match self.value(name).map(|entry| entry.value) {
            Some(DeValue::Array(_)) => self.list(name, section),
            Some(_) => self.table(name, section).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Reports a value of the wrong kind; never prints it, because it may be a credential in the wrong place.
    fn wrong_kind<T>(&self, entry: &Entry, found: &DeValue, wanted: &str) -> Option<T> {
        self.problems.error(&entry.place, format!("is {}", kind(found)), format!("write {wanted}"));
        None
    }
}

fn kind(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Path of a key below another; names that TOML would need to quote are quoted.
fn join(path: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}
