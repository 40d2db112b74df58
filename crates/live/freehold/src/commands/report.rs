//! `freehold report`: what the ledger says about the business.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use config::Snapshot;
use control::cache::{self, CachedWorkflow};
use control::concentration::{self, Concentration};
use control::hidden_costs::{self, HiddenCosts};
use control::ledger_export::csv_line;
use domain::UnixMs;
use gateway::clock;
use jiff::civil::Date;

use super::key::Output;
use crate::policy;
use crate::storage::Storage;

/// Report on what was booked.
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
    /// What answers cost beyond their list price, per workflow and cause, with the measured multiplier
    HiddenCosts,
    /// What answers given again from the cache would have cost, per workflow
    Cache,
    /// How much depends on which provider, region and model family, and what would become of each workflow without one
    Concentration {
        /// The configuration whose lanes would answer
        #[arg(long, default_value = "freehold.toml", env = "FREEHOLD_CONFIG")]
        config: PathBuf,
    },
}

/// Reports.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (from, to) = days(arguments.from, arguments.to)?;
    let store = arguments.storage.open_existing().await?;
    match arguments.action {
        Action::HiddenCosts => print(&hidden_costs::of(&store, from, to).await?, arguments.output),
        Action::Cache => print_cache(&cache::given(&store, from, to).await?, arguments.output),
        Action::Concentration { config } => {
            let snapshot = configuration(&config)?;
            let found = concentration::of(&store, &snapshot, from, to, clock::now()).await?;
            print_concentration(&found, arguments.output);
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// A configuration as if every secret it names were there: it is looked at, not served with.
fn configuration(file: &Path) -> anyhow::Result<Snapshot> {
    let all = |problems: Vec<config::Problem>| {
        anyhow::anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    let catalog = policy::catalog().map_err(all)?;
    config::check_elsewhere(&file.display().to_string(), &policy::read(file)?, &catalog, clock::now()).map_err(all)
}

fn print_concentration(found: &Concentration, output: Output) {
    match output {
        Output::Table => print!("{}", found.table()),
        Output::Json => println!("{}", serde_json::to_string(found).expect("a report is plain values")),
        Output::Csv => {
            print!(
                "{}",
                csv_line(["kind", "name", "workflow", "answers", "answers_millipercent", "usd", "risk", "instead"])
            );
            let kinds = [("provider", &found.providers), ("region", &found.regions), ("family", &found.families)];
            for (kind, share) in kinds.iter().flat_map(|(kind, shares)| shares.iter().map(move |share| (*kind, share)))
            {
                let (answers, part, usd) =
                    (share.answers.to_string(), share.answers_millipercent.to_string(), share.booked.to_string());
                print!("{}", csv_line([kind, &*share.name, "", &*answers, &*part, &*usd, "", ""]));
            }
            for row in &found.gone {
                let (answers, part) = (row.answers.to_string(), row.answers_millipercent.to_string());
                let added = row.added.map_or_else(String::new, |added| added.to_string());
                let instead = row.instead.as_ref().map_or("", |instead| &*instead.model);
                let cells =
                    ["gone", &*row.what, &*row.workflow, &*answers, &*part, &*added, row.risk.as_str(), instead];
                print!("{}", csv_line(cells));
            }
        }
    }
}

/// The start of the first day, and the end of the last one.
pub fn days(from: Option<Date>, to: Option<Date>) -> anyhow::Result<(UnixMs, UnixMs)> {
    if let (Some(from), Some(to)) = (from, to) {
        anyhow::ensure!(from <= to, "--from {from} is after --to {to}; exchange them");
    }
    let midnight = |day: Date| day.to_zoned(jiff::tz::TimeZone::UTC).map(|at| UnixMs(at.timestamp().as_millisecond()));
    let start = from.map(midnight).transpose()?.unwrap_or(UnixMs(0));
    let end = to.map(|day| day.tomorrow().and_then(midnight)).transpose()?.unwrap_or(UnixMs(i64::MAX));
    Ok((start, end))
}

const COLUMNS: [&str; 7] = ["workflow", "cause", "end", "answers", "attempts", "usd", "multiplier"];

fn print(costs: &HiddenCosts, output: Output) {
    match output {
        Output::Table => print!("{}", costs.table()),
        Output::Json => println!("{}", serde_json::to_string(costs).expect("a report is plain values")),
        Output::Csv => {
            print!("{}", csv_line(COLUMNS));
            for workflow in &costs.workflows {
                for part in &workflow.parts {
                    let answers = if part.answers { "yes" } else { "no" };
                    let (attempts, usd) = (part.attempts.to_string(), part.booked.to_string());
                    let multiplier = workflow.multiplier();
                    let row = [&*workflow.workflow, &*part.cause, &*part.end, answers, &*attempts, &*usd, &*multiplier];
                    print!("{}", csv_line(row));
                }
            }
        }
    }
}

const CACHE_COLUMNS: [&str; 6] = ["workflow", "likeness", "hits", "saved_usd", "compared", "differing"];

fn print_cache(workflows: &[CachedWorkflow], output: Output) {
    match output {
        Output::Table => print!("{}", cache::table(workflows)),
        Output::Json => println!("{}", serde_json::to_string(workflows).expect("a report is plain values")),
        Output::Csv => {
            print!("{}", csv_line(CACHE_COLUMNS));
            for (workflow, likeness, given) in workflows.iter().flat_map(CachedWorkflow::rows) {
                let counts = [given.hits, given.compared, given.differing].map(|count| count.to_string());
                let saved = given.saved.to_string();
                print!("{}", csv_line([workflow, likeness, &*counts[0], &*saved, &*counts[1], &*counts[2]]));
            }
        }
    }
}
