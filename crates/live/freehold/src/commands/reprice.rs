//! `freehold ledger reprice`: what the books would say by another price list, and the corrections that make them say so.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use config::Catalog;
use control::ledger_export::csv_line;
use control::reprice::{self, ListBooks, Report};
use domain::UnixMs;
use jiff::civil::Date;
use store::Store;

use super::key::Output;
use super::price::BUILT_IN;
use crate::{exit, policy};

/// Price history anew, each attempt by the prices that held when it was sent.
///
/// Stored costs never change. With --book each difference is booked as an entry of its own, a record of cause `correction` with its
/// journal lines and sums, under the time of its attempt; the same list booked again adds nothing. Budgets of a running server know of
/// it after its next start. What cannot be priced anew (no price in the list, an upper bound, a free allowance) is counted and left.
#[derive(clap::Args)]
pub struct Arguments {
    /// The price list: a file like catalog/prices.toml, or `built-in`
    #[arg(long, value_name = "FILE", default_value = BUILT_IN)]
    catalog: PathBuf,
    /// By what was known on this day: rows whose source is of a later day are left out
    #[arg(long, value_name = "DAY")]
    as_of: Option<Date>,
    /// The configuration whose own prices, contracts and models apply; without the option freehold.toml, where there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Book the differences as corrections
    #[arg(long)]
    book: bool,
}

/// The configuration that is meant where none is named.
const USUAL_CONFIGURATION: &str = "freehold.toml";

/// Reports, or books. Problems of the list or the configuration are printed.
pub async fn run(
    arguments: &Arguments,
    store: &Store,
    period: (UnixMs, UnixMs),
    output: Output,
) -> anyhow::Result<ExitCode> {
    let now = UnixMs(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?);
    let Some((books, list)) = books(arguments, now)? else { return Ok(ExitCode::from(exit::FAILED)) };
    let why = format!("the prices of its day by {list}");
    let report = reprice::run(store, &books, period, arguments.book.then_some(&*why), now).await?;
    match output {
        Output::Json => println!("{}", serde_json::to_string(&report).expect("a report is plain values")),
        Output::Csv => print!("{}", csv(&report)),
        Output::Table => print!("{}", table(&report, arguments.book)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The books to price by, and what to call their list; nothing where it has problems, which have been printed.
fn books(arguments: &Arguments, now: UnixMs) -> anyhow::Result<Option<(ListBooks, String)>> {
    let (mut list, text) = match arguments.catalog.to_str() {
        Some(BUILT_IN) => {
            (format!("the price list of freehold {}", env!("CARGO_PKG_VERSION")), policy::PRICES.to_owned())
        }
        _ => (arguments.catalog.display().to_string(), policy::read_long(&arguments.catalog)?),
    };
    let built_in = policy::catalog();
    let read = built_in.and_then(|built_in| Ok((policy::catalog_with(&text)?, built_in)));
    let (catalog, built_in) = match read {
        Ok(both) => both,
        Err(problems) => {
            policy::print_problems(&problems);
            return Ok(None);
        }
    };
    let every: Vec<_> = built_in.price_rows().chain(catalog.price_rows()).cloned().collect();
    let catalog = match arguments.as_of {
        Some(day) => {
            list.push_str(&format!(" as known on {day}"));
            catalog.known_on(&day.to_string())
        }
        None => catalog,
    };
    let Some(configured) = configuration(arguments, &catalog, now)? else { return Ok(None) };
    Ok(Some((ListBooks::new(catalog, configured, &every), list)))
}

/// The configuration, if there is one; nothing where it has problems.
fn configuration(
    arguments: &Arguments,
    catalog: &Catalog,
    now: UnixMs,
) -> anyhow::Result<Option<Option<config::Snapshot>>> {
    let usual = Path::new(USUAL_CONFIGURATION);
    let Some(path) = arguments.config.as_deref().or_else(|| usual.exists().then_some(usual)) else {
        return Ok(Some(None));
    };
    let text = policy::read(path)?;
    match config::check_elsewhere(&path.display().to_string(), &text, catalog, now) {
        Ok(snapshot) => Ok(Some(Some(snapshot))),
        Err(problems) => {
            policy::print_problems(&problems);
            Ok(None)
        }
    }
}

const COLUMNS: [&str; 6] = ["workflow", "model", "price_row", "booked_usd", "repriced_usd", "change_usd"];

fn fields(report: &Report) -> impl Iterator<Item = [String; 6]> + '_ {
    report.differences.iter().map(|row| {
        let [booked, repriced, change] = [row.booked, row.repriced, row.change()].map(|amount| amount.to_string());
        [row.workflow.clone(), row.model.clone(), row.price_row.clone(), booked, repriced, change]
    })
}

fn csv(report: &Report) -> String {
    let rows = fields(report).map(|row| csv_line(row.iter().map(String::as_str)));
    std::iter::once(csv_line(COLUMNS)).chain(rows).collect()
}

fn table(report: &Report, booked: bool) -> String {
    let mut text = String::new();
    let mut line = |row: [&str; 6]| {
        let [workflow, model, price_row, booked, repriced, change] = row;
        let workflow = if workflow.is_empty() { "(direct)" } else { workflow };
        text.push_str(&format!("{workflow:20} {model:20} {price_row:44} {booked:>16} {repriced:>16} {change:>16}\n"));
    };
    line(["WORKFLOW", "MODEL", "PRICE ROW", "BOOKED", "REPRICED", "CHANGE"]);
    for row in fields(report) {
        line(row.each_ref().map(String::as_str));
    }
    text.push_str(&format!(
        "{} of {} attempts cost something else: {} USD were booked, {} USD are due, a change of {} USD\n",
        report.changed,
        report.attempts,
        report.booked,
        report.repriced,
        report.repriced - report.booked
    ));
    for (why, count) in &report.left {
        text.push_str(&format!("{count} left as they are: {why}\n"));
    }
    text.push_str(&match (booked, report.corrections) {
        (false, _) if report.changed > 0 => {
            "Nothing was booked; --book books the differences as corrections.\n".to_owned()
        }
        (false, _) => String::new(),
        (true, corrections) => format!("{corrections} corrections were booked.\n"),
    });
    text
}
