//! The price catalog: imports catalog/models.toml and catalog/prices.toml from two published lists, and checks all three
//! files.
//!
//! No price is typed by hand. litellm's list has the figures of today with bands and tiers; genai-prices has the days on
//! which prices changed, and is the second opinion: where the two differ, the row says `disputed` with both figures.

mod check;
mod decimal;
mod figures;
mod genai;
mod import;
mod litellm;
mod rows;
mod sources;
mod tokenizers;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// `cargo xtask catalog` imports and then checks; `--check` only checks, and needs no network.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => import::run()?,
        ["--check"] => {}
        _ => bail!("usage: cargo xtask catalog [--check]"),
    }
    check::run()
}
