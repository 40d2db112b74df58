//! The books as rows: one per attempt and cost line, as CSV, JSON lines or a table, and a summary whose sums are
//! checked against the attempts.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::{AttemptEnd, Cost, NanoUsd, PicoUsd, Record, UnixMs, UsageOrigin};
use serde::Serialize;
use store::{Store, StoreError};

/// Attempts read from the store at once.
const PAGE_ATTEMPTS: u32 = 500;

/// One attempt × cost line. Amounts and prices are decimals of a fixed scale, so that columns add up and sort.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LedgerRow {
    /// When it was sent, RFC 3339.
    pub at: String,
    /// For which call.
    pub call: String,
    /// Which attempt.
    pub attempt: String,
    /// For which workflow; empty where a key named a lane or model.
    pub workflow: String,
    /// Through which lane.
    pub lane: String,
    /// To which model.
    pub model: String,
    /// At which provider.
    pub provider: String,
    /// On whose key.
    pub key: String,
    /// Why.
    pub cause: String,
    /// `served`, `failed`, `cancelled` or `indeterminate`.
    pub end: String,
    /// What was counted; empty where nothing was.
    pub meter: String,
    /// How many; empty where nothing was counted.
    pub units: String,
    /// USD per unit, twelve decimals; empty where there is no price.
    pub price: String,
    /// USD, nine decimals; empty where there is no price.
    pub amount: String,
    /// Which row of the price book said so.
    pub price_row: String,
    /// `reported`, `estimated`, `none`, `upper_bound`, `unpriced` or `corrected`: how far the amount can be trusted.
    pub basis: String,
}

impl LedgerRow {
    /// Column names, in order.
    pub const COLUMNS: [&'static str; 16] = [
        "at",
        "call",
        "attempt",
        "workflow",
        "lane",
        "model",
        "provider",
        "key",
        "cause",
        "end",
        "meter",
        "units",
        "price",
        "amount",
        "price_row",
        "basis",
    ];

    /// The fields, in the order of the columns.
    pub fn fields(&self) -> [&str; 16] {
        [
            &self.at,
            &self.call,
            &self.attempt,
            &self.workflow,
            &self.lane,
            &self.model,
            &self.provider,
            &self.key,
            &self.cause,
            &self.end,
            &self.meter,
            &self.units,
            &self.price,
            &self.amount,
            &self.price_row,
            &self.basis,
        ]
    }
}

/// In which form the books are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// RFC 4180, safe to open in a spreadsheet.
    #[default]
    Csv,
    /// One JSON object a line.
    Json,
    /// Columns for people.
    Table,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "csv" => Ok(Format::Csv),
            "json" => Ok(Format::Json),
            "table" => Ok(Format::Table),
            other => {
                Err(format!("`{}` is no format; write csv, json or table", other.chars().take(40).collect::<String>()))
            }
        }
    }
}

/// The rows of one record: its cost lines; where it has none, one row that says so.
pub fn rows(record: &Record) -> Vec<LedgerRow> {
    let bare = bare_row(record);
    let mut rows = Vec::new();
    match &record.cost {
        Cost::Priced { lines, .. } | Cost::Unpriced { lines, .. } => {
            for line in lines {
                rows.push(LedgerRow {
                    meter: line.meter.to_string(),
                    units: line.units.to_string(),
                    price: usd_12(line.price),
                    amount: usd_9(line.amount),
                    price_row: line.price_row.clone(),
                    ..bare.clone()
                });
            }
        }
        Cost::AtMost(Some(bound)) => {
            rows.push(LedgerRow { amount: usd_9(*bound), basis: "upper_bound".into(), ..bare.clone() });
        }
        Cost::AtMost(None) => rows.push(LedgerRow { basis: "unpriced".into(), ..bare.clone() }),
    }
    if let Cost::Unpriced { missing, .. } = &record.cost {
        for meter in missing {
            rows.push(LedgerRow {
                meter: meter.to_string(),
                units: record.usage.get(*meter).to_string(),
                basis: "unpriced".into(),
                ..bare.clone()
            });
        }
    }
    if rows.is_empty() {
        rows.push(LedgerRow { amount: usd_9(record.cost.booked()), ..bare });
    }
    rows
}

fn bare_row(record: &Record) -> LedgerRow {
    let intent = &record.intent;
    let name = |name: Option<String>| name.unwrap_or_default();
    LedgerRow {
        at: intent.at.to_string(),
        call: intent.attempt.call.to_string(),
        attempt: intent.attempt.to_string(),
        workflow: name(intent.workflow.as_ref().map(ToString::to_string)),
        lane: name(intent.lane.as_ref().map(ToString::to_string)),
        model: intent.model.to_string(),
        provider: intent.provider.to_string(),
        key: intent.key.to_string(),
        cause: intent.cause.to_string(),
        end: match &record.end {
            AttemptEnd::Served { .. } => "served",
            AttemptEnd::Failed { .. } => "failed",
            AttemptEnd::Cancelled => "cancelled",
            AttemptEnd::Indeterminate => "indeterminate",
        }
        .to_owned(),
        meter: String::new(),
        units: String::new(),
        price: String::new(),
        amount: String::new(),
        price_row: String::new(),
        basis: match record.usage_origin {
            _ if record.corrects.is_some() => "corrected",
            UsageOrigin::Reported => "reported",
            UsageOrigin::Estimated { .. } => "estimated",
            UsageOrigin::None => "none",
        }
        .to_owned(),
    }
}

/// Reads the books of `from..to` a page at a time, so that a year of them needs no more memory than a page.
pub struct Pages<'a> {
    store: &'a Store,
    from: UnixMs,
    to: UnixMs,
    cursor: u64,
    done: bool,
}

impl<'a> Pages<'a> {
    /// The books of attempts sent in `from..to`.
    pub fn new(store: &'a Store, from: UnixMs, to: UnixMs) -> Pages<'a> {
        Pages { store, from, to, cursor: 0, done: false }
    }

    /// The next records; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let page = self.store.records_after(self.cursor, self.from, self.to, PAGE_ATTEMPTS).await?;
        let Some((cursor, _)) = page.last() else { return Ok(None) };
        self.cursor = *cursor;
        self.done = page.len() < PAGE_ATTEMPTS as usize;
        Ok(Some(page.into_iter().map(|(_, record)| record).collect()))
    }
}

/// What comes before the first row.
pub fn header(format: Format) -> String {
    match format {
        Format::Csv => csv_line(LedgerRow::COLUMNS),
        Format::Json => String::new(),
        Format::Table => table_line(LedgerRow::COLUMNS),
    }
}

/// The rows of some records.
pub fn print(format: Format, records: &[Record]) -> String {
    let mut out = String::new();
    for row in records.iter().flat_map(rows) {
        match format {
            Format::Csv => out.push_str(&csv_line(row.fields())),
            Format::Json => {
                out.push_str(&serde_json::to_string(&row).expect("a row is plain text"));
                out.push('\n');
            }
            Format::Table => out.push_str(&table_line(row.fields())),
        }
    }
    out
}

/// One line of RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it: names and
/// keys come from people.
pub fn csv_line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_decimal(field);
        if formula || field.contains(['"', ',', '\r', '\n']) {
            line.push('"');
            if formula {
                line.push('\'');
            }
            line.push_str(&field.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(field);
        }
    }
    line.push_str("\r\n");
    line
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Widths that fit the usual contents; a longer field pushes the rest to the right instead of being cut.
fn table_line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    const WIDTHS: [usize; 16] = [24, 31, 33, 18, 12, 16, 12, 10, 9, 13, 14, 8, 14, 14, 32, 0];
    let mut line = String::new();
    for (field, width) in fields.into_iter().zip(WIDTHS) {
        let field = if field.is_empty() { "-" } else { field };
        let _ = write!(line, "{field:width$}  ");
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// Spend by workflow, lane and model.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    /// By workflow, lane, model; empty names where there is none.
    pub groups: Vec<Group>,
    /// Attempts in all.
    pub attempts: u64,
    /// What they booked, from the attempts.
    #[serde(rename = "booked_nano_usd")]
    pub booked: NanoUsd,
    /// What the rows add up to; the same, or the books are wrong.
    #[serde(rename = "rows_nano_usd")]
    pub rows: NanoUsd,
    /// Attempts that consumed something nobody could price.
    pub unpriced: u64,
    /// Attempts booked with an upper bound.
    pub indeterminate: u64,
}

/// One line of a summary.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Group {
    /// The workflow.
    pub workflow: String,
    /// The lane.
    pub lane: String,
    /// The model.
    pub model: String,
    /// Attempts.
    pub attempts: u64,
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// What they booked.
    #[serde(rename = "booked_nano_usd")]
    pub booked: NanoUsd,
}

impl Summary {
    /// Whether the rows add up to what the attempts booked.
    pub fn balances(&self) -> bool {
        self.rows == self.booked
    }

    /// Reads the books of `from..to` and adds them up.
    pub async fn of(store: &Store, from: UnixMs, to: UnixMs) -> Result<Summary, StoreError> {
        let mut summary = Summary::default();
        let mut groups: BTreeMap<(String, String, String), Group> = BTreeMap::new();
        let mut pages = Pages::new(store, from, to);
        while let Some(records) = pages.next().await? {
            for record in &records {
                summary.add(record);
                let row = bare_row(record);
                let group =
                    groups.entry((row.workflow.clone(), row.lane.clone(), row.model.clone())).or_insert_with(|| {
                        Group { workflow: row.workflow, lane: row.lane, model: row.model, ..Group::default() }
                    });
                group.attempts += u64::from(store::rollup::is_attempt(record));
                group.input_tokens = group.input_tokens.saturating_add(record.usage.input_tokens());
                group.output_tokens = group.output_tokens.saturating_add(record.usage.output_tokens());
                group.booked = group.booked.saturating_add(record.cost.booked());
            }
        }
        summary.groups = groups.into_values().collect();
        summary.groups.sort_by_key(|group| std::cmp::Reverse(group.booked));
        Ok(summary)
    }

    fn add(&mut self, record: &Record) {
        self.attempts += u64::from(store::rollup::is_attempt(record));
        self.booked = self.booked.saturating_add(record.cost.booked());
        self.unpriced += u64::from(store::rollup::is_unpriced(&record.cost));
        self.indeterminate += u64::from(record.end == AttemptEnd::Indeterminate);
        // From the printed text, so that what is checked is what is handed out.
        for row in rows(record) {
            let amount = row.amount.parse().unwrap_or(NanoUsd::ZERO);
            self.rows = self.rows.saturating_add(amount);
        }
    }

    /// The summary for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let name = |name: &str| if name.is_empty() { "(direct)".to_owned() } else { name.to_owned() };
        let _ = writeln!(
            out,
            "{:20} {:14} {:20} {:>9} {:>14} {:>14} {:>18}",
            "WORKFLOW", "LANE", "MODEL", "ATTEMPTS", "TOKENS IN", "TOKENS OUT", "USD"
        );
        for group in &self.groups {
            let _ = writeln!(
                out,
                "{:20} {:14} {:20} {:>9} {:>14} {:>14} {:>18}",
                name(&group.workflow),
                name(&group.lane),
                group.model,
                group.attempts,
                group.input_tokens,
                group.output_tokens,
                usd_9(group.booked)
            );
        }
        let _ = writeln!(
            out,
            "{:20} {:14} {:20} {:>9} {:>14} {:>14} {:>18}",
            "TOTAL",
            "",
            "",
            self.attempts,
            "",
            "",
            usd_9(self.booked)
        );
        if self.unpriced > 0 {
            let _ = writeln!(out, "{} attempts have no price and are missing from these sums.", self.unpriced);
        }
        if self.indeterminate > 0 {
            let _ = writeln!(
                out,
                "{} attempts were in flight when Freehold was killed and are booked with the most they can have cost.",
                self.indeterminate
            );
        }
        if !self.balances() {
            let _ = writeln!(
                out,
                "The rows add up to {}, the attempts to {}: the books are wrong, please report this.",
                usd_9(self.rows),
                usd_9(self.booked)
            );
        }
        out
    }
}

/// Nine decimals.
fn usd_9(amount: NanoUsd) -> String {
    fixed(i128::from(amount.0), 9)
}

/// Twelve decimals.
fn usd_12(price: PicoUsd) -> String {
    fixed(i128::from(price.0), 12)
}

fn fixed(value: i128, scale: u32) -> String {
    let unit = 10i128.pow(scale);
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:0width$}", value.abs() / unit, value.abs() % unit, width = scale as usize)
}

#[cfg(test)]
mod tests {
    use domain::{Blame, Meter};
    use testkit::facts::Sample;

    use super::*;

    #[test]
    fn every_attempt_has_a_row_also_when_it_cost_nothing_or_cannot_be_priced() {
        let sample = Sample::new(1, UnixMs(0));
        let served = rows(&sample.record());
        assert_eq!((&*served[0].amount, &*served[0].price), ("0.002100000", "0.000003000000"));
        let mut failed = Sample { failed_by: Some(Blame::Provider), ..sample.clone() }.record();
        failed.cost = Cost::NOTHING;
        assert_eq!((rows(&failed).len(), &*rows(&failed)[0].amount), (1, "0.000000000"));
        let mut unpriced = sample.record();
        unpriced.cost = Cost::Unpriced { lines: Vec::new(), missing: vec![Meter::Input] };
        let row = &rows(&unpriced)[0];
        assert_eq!((&*row.units, &*row.amount, &*row.basis), ("700", "", "unpriced"));
        let mut killed = sample.record();
        (killed.end, killed.cost) = (AttemptEnd::Indeterminate, Cost::AtMost(Some(NanoUsd(5))));
        let row = &rows(&killed)[0];
        assert_eq!((&*row.end, &*row.amount, &*row.basis), ("indeterminate", "0.000000005", "upper_bound"));
    }

    #[test]
    fn csv_quotes_what_rfc_4180_says_and_disarms_formulas() {
        assert_eq!(csv_line(["a", "b c", ""]), "a,b c,\r\n");
        assert_eq!(csv_line(["a,b", "say \"hi\"", "two\nlines"]), "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n");
        assert_eq!(csv_line(["=1+1", "@x", "-1.50", "-x", "+1"]), "\"'=1+1\",\"'@x\",-1.50,\"'-x\",\"'+1\"\r\n");
    }

    #[test]
    fn the_header_names_every_field() {
        let row = rows(&Sample::new(1, UnixMs(0)).record()).remove(0);
        let json = serde_json::to_value(&row).unwrap();
        let named: Vec<&str> = LedgerRow::COLUMNS.iter().map(|column| json[column].as_str().unwrap()).collect();
        assert_eq!(named, row.fields());
    }
}
