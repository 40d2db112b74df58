//! `freehold serve`: the gateway and the console, until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use control::DataDirectory;
use gateway::clock;

use crate::assembly::{Instance, Source, StopSignals};
use crate::{exit, policy};

/// Run the gateway and the console.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration
    #[arg(long, default_value = "freehold.toml", env = "FREEHOLD_CONFIG")]
    config: PathBuf,
    /// Where the database, the spool and the pepper lie; made when missing
    #[arg(long, default_value = "freehold-data", env = "FREEHOLD_DATA")]
    data: PathBuf,
    /// PostgreSQL shared by several instances: not built yet
    #[arg(long)]
    database: Option<String>,
}

/// Serves.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let signals = StopSignals::listen();
    anyhow::ensure!(
        arguments.database.is_none(),
        "`--database` is not built yet: this version keeps its records in the SQLite database of --data; leave it out"
    );
    let catalog = match policy::catalog() {
        Ok(catalog) => catalog,
        Err(problems) => {
            policy::print_problems(&problems);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let text = policy::read(&arguments.config)?;
    let name = arguments.config.display().to_string();
    let snapshot = match policy::check(&name, &text, &catalog, clock::now()) {
        Ok(snapshot) => snapshot,
        Err(problems) => {
            policy::print_problems(&problems);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    for warning in &snapshot.warnings {
        tracing::warn!("{warning}");
    }
    let data = DataDirectory::open(&arguments.data)?;
    let source = Source { file: arguments.config, catalog, environment: |name| std::env::var(name).ok() };
    let instance = Instance::start(source, snapshot, &data).await?;
    println!("gateway http://{}", instance.gateway_address);
    println!("console http://{}", instance.console_address);
    instance.run_until(signals.told()).await;
    Ok(ExitCode::SUCCESS)
}
