//! `freehold ledger`: what was booked, as a summary or line by line, and the proof that it is right.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Subcommand;
use control::capture;
use control::focus_export::{self, Dataset, Form, Handed};
use control::ledger_export::{self, Format, Pages, Summary, csv_line};
use control::verify::anchor::Anchor;
use control::verify::{Against, Report};
use domain::UnixMs;
use jiff::civil::Date;
use ledger::focus::{Commitment, Version};
use ledger::provider_cost::Difference;
use store::Store;

use super::key::Output;
use crate::storage::Storage;

/// Show, export and prove what was booked.
///
/// Reads the database; a running server adds to it within a second of each call, and takes what its spool still holds over
/// when it stops or starts.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    storage: Storage,
    /// How the answer is written
    #[arg(long, global = true, value_enum, default_value = "table")]
    output: Output,
    /// From this day on, such as 2026-11-01 (UTC)
    #[arg(long, global = true)]
    from: Option<Date>,
    /// Up to and with this day (UTC)
    #[arg(long, global = true)]
    to: Option<Date>,
}

#[derive(Subcommand)]
enum Action {
    /// Spend by workflow, lane and model, with the check that the books balance
    Show,
    /// One row per attempt and cost line, or FOCUS charges by hour and meter
    ///
    /// Of FOCUS, only whole days are exported. Exit codes: 0 done, 1 it could not be done, 3 the charges do not add up to the ledger.
    Export(ExportArguments),
    /// Compare with what a provider says it counted and billed
    ///
    /// Reports that are read stay in the database, and days that are off by more than half a percent are an alarm in the console.
    /// Exit codes: 0 the books agree, 3 they do not, 1 something could not be read.
    Capture {
        /// The provider, as freehold.toml names it
        #[arg(long)]
        provider: String,
        /// A report: JSON of OpenAI's usage or costs, of Anthropic's usage or cost report, or CSV; more than one may be given
        #[arg(long)]
        file: Vec<PathBuf>,
    },
    /// Prove that the books are balanced and complete; name every disagreement, what it means and what to do
    ///
    /// Reads everything kept and changes nothing. Exit codes: 0 the books are right, 3 they are not proven, 1 they could not be read.
    Verify {
        /// What an earlier run printed last, or a file with it: the books must still go on from there
        ///
        /// Kept where nobody who writes to the database can reach, it shows that the newest facts were cut off, an older copy was put
        /// in place, or the whole past was written anew.
        #[arg(long)]
        anchor: Option<String>,
        /// The folder into which retention puts what it erases (`[server] record_archive`): each day must be there as it was erased
        #[arg(long)]
        archive: Option<PathBuf>,
    },
    /// What was booked at other prices than those of its own day, by a price list; and put right, if asked
    Reprice(super::reprice::Arguments),
    /// How far contracts, credits, steps of volume and bought capacity are
    Contracts(super::contracts::Arguments),
}

/// What is exported, and how.
#[derive(clap::Args)]
struct ExportArguments {
    /// Records line by line, or a version of the FinOps Foundation's FOCUS
    #[arg(long, value_enum, default_value = "records")]
    format: ExportFormat,
    /// Which table of FOCUS; invoice-details and contract-commitments are of 1.4
    #[arg(long, value_enum, default_value = "cost-and-usage")]
    dataset: FocusTable,
    /// Only attempts whose provider says another cost than was booked, by more than 0.5 percent
    #[arg(long)]
    differing: bool,
    /// The configuration whose contracts FOCUS 1.4 names: charges say which commitments they draw from; contract-commitments needs it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write FOCUS into this file, as Parquet where its name ends with .parquet, else as CSV to standard output
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportFormat {
    Records,
    #[value(name = "focus-1.2")]
    Focus12,
    #[value(name = "focus-1.4")]
    Focus14,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FocusTable {
    CostAndUsage,
    InvoiceDetails,
    ContractCommitments,
}

/// The books are not proven.
const UNPROVEN: u8 = 3;

/// Shows or exports.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (from, to) = super::report::days(arguments.from, arguments.to)?;
    let store = arguments.storage.open_existing().await?;
    let mut code = ExitCode::SUCCESS;
    match arguments.action {
        Action::Verify { anchor, archive } => {
            let anchor = anchor.map(|anchor| read_anchor(&anchor)).transpose()?;
            let against = Against { spool: None, anchor: anchor.as_ref(), archive: archive.as_deref() };
            let report = verify(&store, &arguments.storage.data, against).await?;
            print_report(&report, arguments.output);
            if !report.proven {
                code = ExitCode::from(UNPROVEN);
            }
        }
        Action::Capture { provider, file } => {
            for path in &file {
                let text = crate::policy::read(path)?;
                let told = capture::read(&text).with_context(|| format!("{} cannot be read", path.display()))?;
                store.keep_told(&provider, &told).await?;
            }
            let days = capture::compare(&store, &provider, from).await?;
            anyhow::ensure!(
                !days.is_empty(),
                "nothing was read yet of what `{provider}` says; give a report with --file"
            );
            print_days(&days, arguments.output);
            if days.iter().any(capture::CapturedDay::is_off) {
                code = ExitCode::from(UNPROVEN);
            }
        }
        Action::Show => show(&Summary::of(&store, from, to).await?, arguments.output),
        Action::Export(ExportArguments { format: ExportFormat::Records, file, differing, .. }) => {
            anyhow::ensure!(file.is_none(), "--file is for FOCUS; records go to standard output");
            export(&store, from, to, arguments.output, differing).await?;
        }
        Action::Export(wanted) => {
            anyhow::ensure!(!wanted.differing, "--differing is for records; FOCUS has charges, not attempts");
            let commitments = match &wanted.config {
                None => Vec::new(),
                Some(file) => match super::contracts::configuration(file)? {
                    Ok(snapshot) => focus_export::commitments(&snapshot),
                    Err(code) => return Ok(code),
                },
            };
            if !focus(&store, from, to, &wanted, &commitments).await?.agrees() {
                code = ExitCode::from(UNPROVEN);
            }
        }
        Action::Contracts(contracts) => {
            code = super::contracts::run(&contracts, &store, arguments.output).await?;
        }
        Action::Reprice(reprice) => {
            code = super::reprice::run(&reprice, &store, (from, to), arguments.output).await?;
        }
    }
    store.close().await;
    Ok(code)
}

/// Writes FOCUS charges and says on standard error what they come to.
async fn focus(
    store: &Store,
    from: UnixMs,
    to: UnixMs,
    wanted: &ExportArguments,
    commitments: &[Arc<Commitment>],
) -> anyhow::Result<Handed> {
    let version = if wanted.format == ExportFormat::Focus12 { Version::V1_2 } else { Version::V1_4 };
    let dataset = match wanted.dataset {
        FocusTable::CostAndUsage => Dataset::CostAndUsage,
        FocusTable::InvoiceDetails => Dataset::InvoiceDetails,
        FocusTable::ContractCommitments => Dataset::ContractCommitments,
    };
    let known = dataset == Dataset::CostAndUsage || version == Version::V1_4;
    anyhow::ensure!(known, "FOCUS 1.2 has one table; take --format focus-1.4 for the others");
    anyhow::ensure!(
        dataset != Dataset::ContractCommitments || wanted.config.is_some(),
        "commitments stand in the configuration: give it as --config freehold.toml"
    );
    let handed = match &wanted.file {
        None => {
            let out = std::io::stdout();
            focus_export::export(store, (from, to), version, dataset, commitments, Form::Csv, out).await?
        }
        Some(path) => {
            let form = if path.extension().is_some_and(|it| it == "parquet") { Form::Parquet } else { Form::Csv };
            let file = std::fs::File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
            let out = std::io::BufWriter::new(file);
            focus_export::export(store, (from, to), version, dataset, commitments, form, out).await?
        }
    };
    let charged = i64::try_from(handed.pico_usd / 1_000).unwrap_or(i64::MAX);
    let verdict = if handed.agrees() { "the same" } else { "NOT the same: run `freehold ledger verify`" };
    let (rows, charged) = (handed.rows, domain::NanoUsd(charged));
    eprintln!("{rows} rows; charges of {charged} USD, booked {} USD: {verdict}", handed.booked);
    Ok(handed)
}

/// An anchor, or a file whose last line is one.
fn read_anchor(given: &str) -> anyhow::Result<Anchor> {
    let text = match Path::new(given).is_file() {
        true => crate::policy::read(Path::new(given))?,
        false => given.to_owned(),
    };
    Ok(text.trim_end().lines().last().unwrap_or_default().parse()?)
}

/// The books, and the spool of the instance that serves from this data directory, where there is one.
async fn verify(store: &Store, data: &Path, against: Against<'_>) -> anyhow::Result<Report> {
    let now = UnixMs(jiff::Timestamp::now().as_millisecond());
    let spool = data.join("spool");
    let (store, spool) = match spool.is_dir() {
        true => (store.of_instance(&control::identity::instance(&control::DataDirectory::open(data)?)?), Some(&*spool)),
        false => (store.clone(), None),
    };
    control::verify::verify(&store, Against { spool, ..against }, now).await.context("the books cannot be read")
}

/// One line a day and figure: ours, theirs, and ours over theirs.
fn print_days(days: &[capture::CapturedDay], output: Output) {
    if output == Output::Json {
        return println!("{}", serde_json::to_string(days).expect("days are plain values"));
    }
    let columns = ["day", "figure", "ours", "theirs", "captured_percent", "agrees"];
    let line = |fields: [&str; 6]| match output {
        Output::Csv => print!("{}", csv_line(fields)),
        _ => println!(
            "{:12} {:14} {:>20} {:>20} {:>16} {}",
            fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]
        ),
    };
    line(columns);
    for day in days {
        let start = day.start.to_string();
        for (name, pair) in day.pairs() {
            let Some(theirs) = pair.theirs else { continue };
            let say = |number: i64| match name {
                "cost" => domain::NanoUsd(number).to_string(),
                _ => number.to_string(),
            };
            let rate = pair.rate().map_or("-".to_owned(), |rate| format!("{}.{}", rate / 10, rate % 10));
            let agrees = if pair.is_off() { "no" } else { "yes" };
            line([&start[..10], name, &say(pair.ours), &say(theirs), &rate, agrees]);
        }
    }
}

fn print_report(report: &Report, output: Output) {
    match output {
        Output::Json => println!("{}", serde_json::to_string(report).expect("a report is plain values")),
        Output::Table => print!("{}", report.table()),
        Output::Csv => {
            print!("{}", csv_line(["weight", "code", "count", "meaning", "remedy", "example"]));
            for finding in &report.findings {
                for example in &finding.examples {
                    let count = finding.count.to_string();
                    let row = [finding.weight, finding.code, &count, finding.meaning, finding.remedy, example];
                    print!("{}", csv_line(row));
                }
            }
        }
    }
}

async fn export(store: &Store, from: UnixMs, to: UnixMs, output: Output, differing: bool) -> anyhow::Result<()> {
    let format = match output {
        Output::Table => Format::Table,
        Output::Json => Format::Json,
        Output::Csv => Format::Csv,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout());
    out.write_all(ledger_export::header(format).as_bytes())?;
    let mut pages = Pages::new(store, from, to);
    while let Some(mut records) = pages.next().await? {
        records.retain(|record| !differing || Difference::of(record).is_some());
        out.write_all(ledger_export::print(format, &records).as_bytes())?;
    }
    Ok(out.flush()?)
}

const COLUMNS: [&str; 7] = ["workflow", "lane", "model", "attempts", "input_tokens", "output_tokens", "usd"];

fn show(summary: &Summary, output: Output) {
    let rows: Vec<[String; 7]> = summary
        .groups
        .iter()
        .map(|group| {
            [
                group.workflow.clone(),
                group.lane.clone(),
                group.model.clone(),
                group.attempts.to_string(),
                group.input_tokens.to_string(),
                group.output_tokens.to_string(),
                group.booked.to_string(),
            ]
        })
        .collect();
    match output {
        Output::Json => println!("{}", serde_json::to_string(summary).expect("a summary is plain values")),
        Output::Csv => {
            print!("{}", csv_line(COLUMNS));
            rows.iter().for_each(|row| print!("{}", csv_line(row.iter().map(String::as_str))));
        }
        Output::Table => print!("{}", summary.table()),
    }
}
