//! `freehold ledger`: what was booked, as a summary or line by line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use control::ledger_export::{self, Format, Pages, Summary, csv_line};
use domain::UnixMs;
use jiff::civil::Date;
use ledger::provider_cost::Difference;
use store::Store;

use super::key::Output;
use crate::policy;

/// Show and export what was booked.
///
/// Reads the database; a running server adds to it within a second of each call, and takes what its spool still holds over
/// when it stops or starts.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The data directory of the server
    #[arg(long, global = true, default_value = "freehold-data", env = "FREEHOLD_DATA")]
    data: PathBuf,
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
    /// One row per attempt and cost line
    Export(ExportArguments),
    /// What was booked at other prices than those of its own day, by a price list; and put right, if asked
    Reprice(super::reprice::Arguments),
    /// How far contracts, credits, steps of volume and bought capacity are
    Contracts(super::contracts::Arguments),
}

#[derive(clap::Args)]
struct ExportArguments {
    /// Only attempts whose provider says another cost than was booked, by more than 0.5 percent
    #[arg(long)]
    differing: bool,
}

/// Shows or exports.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let database = policy::ensure_data(&arguments.data)?;
    if let (Some(from), Some(to)) = (arguments.from, arguments.to) {
        anyhow::ensure!(from <= to, "--from {from} is after --to {to}; exchange them");
    }
    let store = Store::open(&database).await.context("the database cannot be opened")?;
    let midnight = |day: Date| day.to_zoned(jiff::tz::TimeZone::UTC).map(|at| UnixMs(at.timestamp().as_millisecond()));
    let from = arguments.from.map(midnight).transpose()?.unwrap_or(UnixMs(0));
    let to = arguments.to.map(|day| day.tomorrow().and_then(midnight)).transpose()?.unwrap_or(UnixMs(i64::MAX));
    match arguments.action {
        Action::Show => show(&Summary::of(&store, from, to).await?, arguments.output),
        Action::Export(only) => export(&store, from, to, arguments.output, only.differing).await?,
        Action::Contracts(contracts) => {
            let code = super::contracts::run(&contracts, &store, arguments.output).await;
            store.close().await;
            return code;
        }
        Action::Reprice(reprice) => {
            let code = super::reprice::run(&reprice, &store, (from, to), arguments.output).await;
            store.close().await;
            return code;
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
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
