//! The `freehold` command: reads what was asked for and hands it to the command's file.

mod assembly;
mod background;
mod commands;
mod fetch;
mod limits;
mod logging;
mod own_batches;
mod panics;
mod policy;
mod promises;
mod running;
mod slices;
mod starting;
mod storage;
mod vectors;
mod watching;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Calls allocate in small pieces on several threads, which glibc's allocator pays for twice: in time and in memory it keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit codes, the same for every command.
pub mod exit {
    /// Something could not be done; the message says what to do next.
    pub const FAILED: u8 = 1;
    /// The command line itself is wrong (clap's own).
    pub const USAGE: u8 = 2;
}

/// A control plane for AI workloads: applications name a workflow, Freehold decides call by call where it runs.
///
/// Exit codes: 0 done, 1 failed or problems found (the message says what to do next), 2 wrong command line.
#[derive(Parser)]
#[command(name = "freehold", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How logs are written to standard error.
    #[arg(long, global = true, value_enum, default_value = "text", env = "FREEHOLD_LOG_FORMAT")]
    log_format: logging::Format,
}

#[derive(Subcommand)]
enum Command {
    /// Everything on one machine: simulated providers, sample workflows and traffic, the console
    Demo(commands::demo::Arguments),
    /// Write a commented freehold.toml from the provider keys found, and make the first admin token
    Init(commands::init::Arguments),
    /// Run the gateway and the console
    Serve(commands::serve::Arguments),
    /// Validate a configuration, explain it, and say what would change against what runs
    Check(commands::check::Arguments),
    /// Run simulated providers alone, with a transcript of what they received
    Simulate(commands::simulate::Arguments),
    Drill(commands::drill::Arguments),
    /// Create, list and revoke keys
    Key(commands::key::Arguments),
    /// Show how budgets stand, and let those go on that wait for an approval
    Budget(commands::budget::Arguments),
    /// List the providers known, and test one with a few cheap calls
    Provider(commands::provider::Arguments),
    /// Show, export and prove what was booked
    Ledger(commands::ledger::Arguments),
    /// Report on what was booked: hidden costs, concentration
    Report(commands::report::Arguments),
    Instance(commands::instance::Arguments),
    /// Compare price lists, figure by figure, and read public ones
    Price(commands::price::Arguments),
    /// Write a consistent copy of the data directory while Freehold runs
    Backup(commands::backup::Arguments),
    /// Put a backup into a new data directory
    Restore(commands::restore::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.log_format);
    panics::log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Demo(arguments) => commands::demo::run(arguments).await,
            Command::Init(arguments) => commands::init::run(arguments).await,
            Command::Serve(arguments) => commands::serve::run(arguments).await,
            Command::Check(arguments) => commands::check::run(arguments).await,
            Command::Simulate(arguments) => commands::simulate::run(arguments).await,
            Command::Drill(arguments) => commands::drill::run(arguments).await,
            Command::Key(arguments) => commands::key::run(arguments).await,
            Command::Budget(arguments) => commands::budget::run(arguments).await,
            Command::Provider(arguments) => commands::provider::run(arguments).await,
            Command::Ledger(arguments) => commands::ledger::run(arguments).await,
            Command::Report(arguments) => commands::report::run(arguments).await,
            Command::Instance(arguments) => commands::instance::run(arguments).await,
            Command::Price(arguments) => commands::price::run(arguments),
            Command::Backup(arguments) => commands::backup::run(arguments).await,
            Command::Restore(arguments) => commands::restore::run(arguments).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(code) => code,
        // Whoever read on, such as `head`, had enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::from(exit::FAILED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(exit::FAILED)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
