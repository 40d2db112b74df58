//! From the file on disk to a checked snapshot: the one place that hands `config` the environment and secret files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use config::{Catalog, Input, Problem, Severity, Snapshot};
use domain::UnixMs;

/// Longest configuration or secret file read, bytes.
const LONGEST_FILE_BYTES: u64 = 4 << 20;
/// Longest list of prices read, bytes. LiteLLM's map has 3 MB, models.dev's less.
const LONGEST_LIST_BYTES: u64 = 64 << 20;

/// The price and model data this binary was built with.
pub fn catalog() -> Result<Catalog, Vec<Problem>> {
    catalog_with(PRICES)
}

/// The same with another price list.
pub fn catalog_with(prices: &str) -> Result<Catalog, Vec<Problem>> {
    Catalog::parse(
        include_str!("../../../../catalog/providers.toml"),
        include_str!("../../../../catalog/models.toml"),
        prices,
    )
}

/// The price list this binary was built with.
pub const PRICES: &str = include_str!("../../../../catalog/prices.toml");

/// The database of a data directory that is there already, for commands that look at one.
pub fn ensure_data(directory: &Path) -> anyhow::Result<PathBuf> {
    let database = directory.join("freehold.db");
    let shown = directory.display();
    anyhow::ensure!(
        database.exists(),
        "there is no Freehold data in {shown}; name the server's directory with --data or FREEHOLD_DATA"
    );
    Ok(database)
}

/// Reads a file of the configuration, refusing one that cannot be meant.
pub fn read(path: &Path) -> anyhow::Result<String> {
    let hint = || {
        let shown = path.display();
        format!("`{shown}` cannot be read; give the path of a configuration, or write one with `freehold init`")
    };
    std::fs::metadata(path).with_context(hint)?;
    read_short(path)
}

/// Reads a file that a person wrote, of any kind.
pub fn read_short(path: &Path) -> anyhow::Result<String> {
    read_up_to(path, LONGEST_FILE_BYTES)
}

/// Reads a list of prices, which is longer than what people write.
pub fn read_long(path: &Path) -> anyhow::Result<String> {
    read_up_to(path, LONGEST_LIST_BYTES)
}

fn read_up_to(path: &Path, most_bytes: u64) -> anyhow::Result<String> {
    let shown = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("`{shown}` cannot be read"))?.len();
    anyhow::ensure!(length <= most_bytes, "`{shown}` has {length} bytes, more than {most_bytes}");
    std::fs::read_to_string(path).with_context(|| format!("`{shown}` cannot be read as UTF-8 text"))
}

/// Checks a text against the catalog, this process's environment and the secret files it names.
pub fn check(file_name: &str, text: &str, catalog: &Catalog, now: UnixMs) -> Result<Arc<Snapshot>, Vec<Problem>> {
    check_with(file_name, text, catalog, now, &|name| std::env::var(name).ok())
}

/// The same with another environment, for the demo's made-up keys.
pub fn check_with(
    file_name: &str,
    text: &str,
    catalog: &Catalog,
    now: UnixMs,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Arc<Snapshot>, Vec<Problem>> {
    let read_secret_file = |path: &str| read_short(Path::new(path)).map_err(|error| format!("{error:#}"));
    let input = Input { file_name, text, catalog, environment, read_secret_file: &read_secret_file, now };
    config::check(&input).map(Arc::new)
}

/// Prints every problem, warnings among them, and how many are in the way.
pub fn print_problems(problems: &[Problem]) {
    for problem in problems {
        eprintln!("{problem}");
    }
    let count = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    eprintln!("{count} problem{} found; nothing was changed", if count == 1 { "" } else { "s" });
}
