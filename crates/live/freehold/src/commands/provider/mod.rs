//! `freehold provider`: which providers are known and configured, and whether one works.

mod list;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::storage::Storage;

/// List the providers known, and test one with a few cheap calls.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The configuration; where there is none, only the catalog is known
    #[arg(long, global = true, default_value = "freehold.toml", env = "FREEHOLD_CONFIG")]
    config: PathBuf,
    /// Write the answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Every provider: where it is reached, how it is authorized, and whether its credential is found
    List,
    /// Send one provider a few cheap calls, plain, streamed and with a tool, and say what works
    ///
    /// The calls go through the gateway's own code in this process. They are booked in the data directory under the key
    /// `provider-test`, outside every budget. Exit code 1 when a call that it should answer fails.
    Test {
        /// Its name in freehold.toml
        name: String,
        /// A model of freehold.toml, or the vendor's id of one; the provider's first configured model where left out
        #[arg(long)]
        model: Option<String>,
        #[command(flatten)]
        storage: Storage,
    },
}

/// Lists or tests.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { action, config, json } = arguments;
    match action {
        Action::List => list::run(&config, json),
        Action::Test { name, model, storage } => trial::run(&config, &name, model.as_deref(), &storage, json).await,
    }
}
