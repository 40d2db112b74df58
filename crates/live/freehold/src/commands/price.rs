//! `freehold price`: what differs between two price lists; public ones are read by `price_import.rs`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use ledger::PriceRow;
use ledger::price_diff::{Change, diff};
use serde::Serialize;

use crate::{exit, policy};

/// The word for the list this binary was built with.
pub(super) const BUILT_IN: &str = "built-in";

/// Compare and read price lists.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// Write the answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// What a new price list adds, takes away and changes, figure by figure
    ///
    /// A list is a file like catalog/prices.toml, or the word `built-in` for the one in this binary. Rows are matched by
    /// provider, model and first day. Exit code 1 when something differs.
    Diff {
        /// The list before
        old: PathBuf,
        /// The list after
        new: PathBuf,
    },
    /// Read a public price list, and say where it disagrees with the catalog
    Import(super::price_import::Arguments),
}

/// Compares. Exit code 1 when the lists differ.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (old, new) = match arguments.action {
        Action::Diff { old, new } => (old, new),
        Action::Import(import) => return super::price_import::run(&import, arguments.json),
    };
    let lists = [rows(&old)?, rows(&new)?];
    let [Some(old), Some(new)] = lists else { return Ok(ExitCode::from(exit::FAILED)) };
    let changes = diff(&old, &new);
    if arguments.json {
        let shown: Vec<Shown> = changes.iter().map(Shown::of).collect();
        println!("{}", serde_json::to_string(&shown).expect("changes are plain values"));
    } else {
        changes.iter().for_each(print);
        let count = |kind| changes.iter().filter(|change| change.kind() == kind).count();
        println!("{} added, {} gone, {} changed", count("added"), count("gone"), count("changed"));
    }
    Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

/// The rows of a list; nothing where it has problems, which have been printed.
fn rows(list: &Path) -> anyhow::Result<Option<Vec<PriceRow>>> {
    let (name, text) = match list.to_str() {
        Some(BUILT_IN) => (BUILT_IN.to_owned(), policy::PRICES.to_owned()),
        _ => (list.display().to_string(), policy::read_short(list)?),
    };
    let read = config::price_rows(&name, &text);
    Ok(read.inspect_err(|problems| policy::print_problems(problems)).ok())
}

fn print(change: &Change) {
    let row = change.row();
    let from = change.from_day().map(|day| format!(" from {day}")).unwrap_or_default();
    println!("{} {}/{}{from}", change.kind(), row.provider, row.model);
    for figure in &change.figures {
        match (&figure.old, &figure.new) {
            (Some(old), Some(new)) => println!("  {}: {old} -> {new}", figure.name),
            (Some(old), None) => println!("  {}: {old} -> none", figure.name),
            (None, new) => println!("  {}: {}", figure.name, new.as_deref().unwrap_or("none")),
        }
    }
}

/// A change as JSON says it.
#[derive(Serialize)]
struct Shown<'c> {
    change: &'static str,
    provider: &'c str,
    model: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_row: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_row: Option<&'c str>,
    figures: Vec<ShownFigure<'c>>,
}

#[derive(Serialize)]
struct ShownFigure<'c> {
    name: &'c str,
    old: Option<&'c str>,
    new: Option<&'c str>,
}

impl<'c> Shown<'c> {
    fn of(change: &'c Change) -> Shown<'c> {
        let figures = change.figures.iter().map(|figure| ShownFigure {
            name: &figure.name,
            old: figure.old.as_deref(),
            new: figure.new.as_deref(),
        });
        Shown {
            change: change.kind(),
            provider: &change.row().provider,
            model: &change.row().model,
            from: change.from_day(),
            old_row: change.old.map(|row| row.id.as_str()),
            new_row: change.new.map(|row| row.id.as_str()),
            figures: figures.collect(),
        }
    }
}
