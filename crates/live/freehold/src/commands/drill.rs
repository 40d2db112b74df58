//! `freehold drill`: scripted shocks on simulated providers, with a report of what broke and what held.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use config::Snapshot;
use drill::shipped::{SAMPLE, SHIPPED, find};
use drill::{Bad, Report, Scenario, page, run::Failed, scenario};
use gateway::clock;
use store::{KeptDrill, Store};

use crate::storage::Storage;
use crate::{exit, policy};

/// Rehearse an outage: run the gateway against simulated providers that fail as a script says.
///
/// The gateway is the real one, with your configuration's lanes, budgets and prices; its providers are simulated, so nothing is sent to
/// anybody and no key is read. Time is virtual: an hour passes in seconds, and the same seed gives the same report, byte for byte.
///
/// Exit codes: 0 everything held, 1 a workflow broke what was expected of it, 2 the drill or the configuration cannot be used.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the drills that come with Freehold, and the question each asks
    List,
    /// Print a drill that comes with Freehold, to write one's own from
    Show {
        /// Its name
        name: String,
    },
    /// Run a drill
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    /// A file (docs/drills.md says what stands in it), or the name of a drill that comes with Freehold
    drill: PathBuf,
    /// The configuration to try; a built-in sample where none is given
    #[arg(long)]
    config: Option<PathBuf>,
    /// Another seed than the drill's own
    #[arg(long)]
    seed: Option<u64>,
    /// How the report is written
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Run it on live lanes instead: not built yet, and refused
    #[arg(long)]
    live: bool,
    /// Keep the report, for the console's page Drills
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    storage: Storage,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For a terminal
    Text,
    /// For a pipeline
    Json,
    /// One page that needs nothing else
    Html,
}

/// Why there is no report: something the caller gave.
struct BadInput(String);

/// Runs, lists or shows drills.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.action {
        Action::List => {
            for shipped in SHIPPED {
                let read = scenario::parse(shipped.text).context("a shipped drill cannot be read")?;
                println!("{:20} {}", shipped.name, read.asks);
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Show { name } => match find(&name) {
            Some(shipped) => {
                print!("{}", shipped.text);
                Ok(ExitCode::SUCCESS)
            }
            None => Ok(refused(&BadInput(format!("there is no drill `{name}`; `freehold drill list` lists them")))),
        },
        // It computes for seconds, on a thread of its own.
        Action::Run(run) => {
            // Before anything is computed: who asks for it to be kept should not wait to hear that it cannot be.
            let store = match run.keep {
                true => Some(run.storage.open_existing().await?),
                false => None,
            };
            let output = run.output;
            match tokio::task::spawn_blocking(move || report(&run)).await? {
                Ok((report, revision)) => {
                    if let Some(store) = store {
                        keep(&store, &report, revision).await?;
                    }
                    match output {
                        Output::Text => print!("{}", report.text()),
                        Output::Json => print!("{}", report.json()),
                        Output::Html => print!("{}", page::html(&report)),
                    }
                    Ok(if report.held { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
                }
                Err(bad) => Ok(refused(&bad)),
            }
        }
    }
}

async fn keep(store: &Store, report: &Report, revision: String) -> anyhow::Result<()> {
    let (title, report_text) = (report.title.clone(), report.text());
    let drill = KeptDrill {
        id: 0,
        ran_at: clock::now(),
        title,
        revision,
        seed: report.seed,
        held: report.held,
        report: report_text,
    };
    store.keep_drill(&drill, &page::html(report)).await.context("the report cannot be kept")
}

fn refused(bad: &BadInput) -> ExitCode {
    eprintln!("error: {}", bad.0);
    ExitCode::from(exit::USAGE)
}

/// The report, and the revision of the configuration it is of.
fn report(run: &Run) -> Result<(Report, String), BadInput> {
    if run.live {
        let why = "drills on live lanes are not built yet; leave --live out to run it on simulated providers";
        return Err(BadInput(why.into()));
    }
    let (name, text) = drill_text(&run.drill)?;
    let bad = |bad: Bad| BadInput(format!("{name}: {bad}"));
    let mut read: Scenario = scenario::parse(&text).map_err(bad)?;
    read.seed = run.seed.unwrap_or(read.seed);
    let snapshot = configuration(run.config.as_deref())?;
    let report = drill::run(&read, &snapshot).map_err(|failed| match failed {
        Failed::Bad(reason) => bad(reason),
        failed => BadInput(failed.to_string()),
    })?;
    Ok((report, snapshot.revision))
}

/// A file, or a drill of that name.
fn drill_text(asked: &Path) -> Result<(String, String), BadInput> {
    let shown = asked.display().to_string();
    if let Some(shipped) = find(&shown).filter(|_| !asked.exists()) {
        return Ok((shown, shipped.text.to_owned()));
    }
    if !asked.exists() {
        return Err(BadInput(format!(
            "there is no file `{shown}` and no drill of that name; `freehold drill list` lists them"
        )));
    }
    let text = policy::read_short(asked).map_err(|error| BadInput(format!("{error:#}")))?;
    Ok((shown, text))
}

/// The configuration to try, as if every secret it names were there: none is read.
fn configuration(file: Option<&Path>) -> Result<Snapshot, BadInput> {
    let all = |problems: Vec<config::Problem>| {
        BadInput(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    let catalog = policy::catalog().map_err(all)?;
    let (name, text) = match file {
        None => ("the sample configuration".to_owned(), SAMPLE.to_owned()),
        Some(file) => (file.display().to_string(), policy::read(file).map_err(|error| BadInput(format!("{error:#}")))?),
    };
    config::check_elsewhere(&name, &text, &catalog, drill::world::BEGINS).map_err(all)
}
