//! `freehold backup`: a consistent copy of the data directory while the server runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use control::DataDirectory;
use store::Store;

use crate::policy;

/// Write a consistent copy of the data directory while Freehold runs.
///
/// The copy holds the pepper, without which no key can be checked: guard it like a secret.
#[derive(clap::Args)]
pub struct Arguments {
    /// The data directory of the server
    #[arg(long, default_value = "freehold-data", env = "FREEHOLD_DATA")]
    data: PathBuf,
    /// The directory to write; it must not exist
    #[arg(long)]
    to: PathBuf,
}

/// Copies the spool first and the database after it: what the database takes over meanwhile is then in both, and facts
/// count once however often they are read; the other way round something could be in neither.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { data, to } = arguments;
    let database = policy::ensure_data(&data)?;
    anyhow::ensure!(!to.exists(), "{} exists already; name a directory that does not", to.display());
    let copy = DataDirectory::open(&to)?;
    let segments = copy_spool(&data.join("spool"), &copy.spool())?;
    let store = Store::open(&database).await?;
    store.backup(&copy.database()).await?;
    store.close().await;
    std::fs::copy(data.join("pepper"), copy.pepper()).context("the pepper cannot be copied")?;
    println!("{}: database, pepper, {segments} spool segments", to.display());
    Ok(ExitCode::SUCCESS)
}

/// Copies every segment; one that vanishes meanwhile is in the database.
pub fn copy_spool(from: &Path, to: &Path) -> anyhow::Result<usize> {
    std::fs::create_dir_all(to)?;
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(0) };
    let mut copied = 0;
    for entry in entries {
        let entry = entry?;
        match std::fs::copy(entry.path(), to.join(entry.file_name())) {
            Ok(_) => copied += 1,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be copied", entry.path().display())),
        }
    }
    Ok(copied)
}
