//! `freehold check`: every problem of a configuration, what it resolves to, and what would change.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use gateway::clock;

use crate::{exit, fetch, policy, vectors};

/// Validate a configuration, explain it, and say what would change against what runs.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration
    #[arg(default_value = "freehold.toml", env = "FREEHOLD_CONFIG")]
    file: PathBuf,
    /// The console of a running server to compare with, such as http://127.0.0.1:7401
    #[arg(long)]
    against: Option<String>,
    /// An admin token of that server
    #[arg(long, env = "FREEHOLD_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

/// Checks. Exit code 1 when there is a problem.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let catalog = match policy::catalog() {
        Ok(catalog) => catalog,
        Err(problems) => {
            policy::print_problems(&problems);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let text = policy::read(&arguments.file)?;
    let name = arguments.file.display().to_string();
    let snapshot = match policy::check(&name, &text, &catalog, clock::now()) {
        Ok(snapshot) => snapshot,
        Err(problems) => {
            policy::print_problems(&problems);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    for warning in &snapshot.warnings {
        eprintln!("{warning}");
    }
    if let Some(why) = vectors::missing(&snapshot) {
        eprintln!("warning: server.embedder: a cache's `near` would be off: {why}");
    }
    print!("{}", config::explain(&snapshot));
    let Some(console) = arguments.against else { return Ok(ExitCode::SUCCESS) };
    let token = arguments.admin_token.context("--against needs --admin-token or FREEHOLD_ADMIN_TOKEN")?;
    let running = fetch::get_json(&format!("{console}/api/v1/configuration"), &token).await?;
    let running_text = running["text"].as_str().context("the server's answer holds no configuration")?;
    // As if every secret and file it names were there: that one is only set on the server is no difference of policy.
    let running = config::check_elsewhere("running", running_text, &catalog, clock::now())
        .map_err(|problems| anyhow::anyhow!("the running configuration cannot be read here: {}", problems[0]))?;
    println!("\nAgainst what runs at {console}:");
    let changes = config::diff(&running, &snapshot);
    if changes.is_empty() {
        println!("  nothing would change");
    }
    changes.iter().for_each(|change| println!("  {change}"));
    Ok(ExitCode::SUCCESS)
}
