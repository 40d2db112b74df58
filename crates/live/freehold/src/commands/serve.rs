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
    /// Where the spool, the pepper and the embedded database lie; made when missing
    #[arg(long, default_value = "freehold-data", env = "FREEHOLD_DATA")]
    data: PathBuf,
    /// A PostgreSQL database shared by several instances, postgres://USER@HOST/NAME, instead of the embedded one
    #[arg(long, env = "FREEHOLD_DATABASE", hide_env_values = true)]
    database: Option<String>,
}

/// Serves.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen();
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
    let instance = tokio::select! {
        started = Instance::start(source, snapshot, &data, arguments.database) => started?,
        // A start may wait for its database without end.
        () = signals.told() => return Ok(ExitCode::SUCCESS),
    };
    println!("gateway http://{}", instance.gateway_address);
    println!("console http://{}", instance.console_address);
    instance.run_until(signals.told()).await;
    Ok(ExitCode::SUCCESS)
}
