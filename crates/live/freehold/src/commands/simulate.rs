//! `freehold simulate`: simulated providers alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use simulator::Scenario;

use crate::assembly::StopSignals;
use crate::policy;

/// Run simulated providers alone, with a transcript of what they received.
///
/// Each provider of the scenario answers below /NAME/v1; /_transcript lists what was received and answered, /_stats counts,
/// and a POST to /_script changes a provider's script. Without a scenario there is one provider without faults.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7500")]
    listen: SocketAddr,
    /// The scenario, a TOML file
    #[arg(long)]
    scenario: Option<PathBuf>,
}

/// Simulates until told to stop.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::listen();
    anyhow::ensure!(arguments.listen.ip().is_loopback(), "simulated providers take any key: listen on loopback only");
    let scenario = match &arguments.scenario {
        None => Scenario::plain(),
        Some(file) => {
            let text = policy::read_short(file)?;
            Scenario::parse(&text).with_context(|| format!("{} is no scenario", file.display()))?
        }
    };
    let simulator = simulator::serve(scenario, arguments.listen).await.context("the address cannot be listened on")?;
    println!("simulator http://{}", simulator.address);
    signals.told().await;
    simulator.stop().await;
    Ok(ExitCode::SUCCESS)
}
