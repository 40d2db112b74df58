//! A drill: the same calls twice, once with its shocks and once without, and what differs.

use std::io;

use config::Snapshot;
use thiserror::Error;

use crate::plan::Plan;
use crate::report::Report;
use crate::scenario::{Bad, Scenario};
use crate::world::{Watch, simulate};

/// Why there is no report.
#[derive(Debug, Error)]
pub enum Failed {
    /// The script does not fit the configuration.
    #[error(transparent)]
    Bad(#[from] Bad),
    /// A run could not be made.
    #[error("the drill could not be run: {0}")]
    Run(#[from] io::Error),
}

/// Runs a drill on a configuration.
pub fn run(scenario: &Scenario, snapshot: &Snapshot) -> Result<Report, Failed> {
    let plan = Plan::new(scenario, snapshot)?;
    let expectations = plan.expectations(scenario)?;
    let calm = Plan::new(&Scenario { shocks: Vec::new(), ..scenario.clone() }, snapshot)?;
    let without = simulate(&calm, Watch::default())?;
    let with = simulate(&plan, Watch::default())?;
    Ok(Report::new(scenario, &plan, &expectations, &with, &without))
}
