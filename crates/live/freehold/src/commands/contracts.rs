//! `freehold ledger contracts`: how far what was agreed and bought is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use control::contracts::{Standing, standings};
use control::ledger_export::csv_line;
use domain::UnixMs;
use store::Store;

use super::key::Output;
use crate::{exit, policy};

/// Tell how far contracts and capacities are.
///
/// What was drawn from a commitment, taken from a credit, spent towards the steps of a volume, and used of bought capacity this month,
/// each with what is left. Amounts are in USD; those of contracts are counted to the hour.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration that names them
    #[arg(long, value_name = "FILE", default_value = "freehold.toml")]
    config: PathBuf,
}

const COLUMNS: [&str; 8] = ["name", "kind", "of", "since", "until", "agreed_usd", "used_usd", "left_usd"];

/// Reports. Problems of the configuration are printed.
pub async fn run(arguments: &Arguments, store: &Store, output: Output) -> anyhow::Result<ExitCode> {
    let now = now()?;
    let snapshot = match configuration(&arguments.config)? {
        Ok(snapshot) => snapshot,
        Err(code) => return Ok(code),
    };
    let standings = standings(store, &snapshot, now).await?;
    match output {
        Output::Json => println!("{}", serde_json::to_string(&standings).expect("standings are plain values")),
        Output::Csv => {
            print!("{}", csv_line(COLUMNS));
            standings.iter().for_each(|one| print!("{}", csv_line(fields(one).iter().map(String::as_str))));
        }
        Output::Table if standings.is_empty() => {
            println!("{} has no [contracts.*] and no [capacity.*]", arguments.config.display());
        }
        Output::Table => {
            line(&COLUMNS.map(|column| column.to_uppercase().replace('_', " ")), "");
            standings.iter().for_each(|one| line(&fields(one), &one.note));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A configuration, whose secrets need not be there; or the exit code, when its problems are printed.
pub fn configuration(file: &Path) -> anyhow::Result<Result<config::Snapshot, ExitCode>> {
    let (text, now) = (policy::read(file)?, now()?);
    let checked = policy::catalog()
        .and_then(|catalog| config::check_elsewhere(&file.display().to_string(), &text, &catalog, now));
    Ok(checked.map_err(|problems| {
        policy::print_problems(&problems);
        ExitCode::from(exit::FAILED)
    }))
}

fn now() -> anyhow::Result<UnixMs> {
    Ok(UnixMs(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?))
}

fn fields(one: &Standing) -> [String; 8] {
    let day = |at: UnixMs| at.to_string().chars().take(10).collect::<String>();
    let amount = |amount: Option<domain::NanoUsd>| amount.map(|amount| amount.to_string()).unwrap_or_default();
    [
        one.name.clone(),
        one.kind.to_owned(),
        one.of.clone(),
        day(one.since),
        one.until.map(day).unwrap_or_default(),
        amount(one.agreed),
        one.used.to_string(),
        amount(one.left()),
    ]
}

fn line(fields: &[String; 8], note: &str) {
    let [name, kind, of, since, until, agreed, used, left] = fields;
    let text = format!("{name:20} {kind:10} {of:16} {since:10} {until:10} {agreed:>16} {used:>16} {left:>16}  {note}");
    println!("{}", text.trim_end());
}
