//! `freehold restore`: a backup becomes a new data directory.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use control::DataDirectory;
use store::Store;

use super::backup::copy_spool;

/// Put a backup into a new data directory.
#[derive(clap::Args)]
pub struct Arguments {
    /// The directory that `freehold backup` wrote
    #[arg(long)]
    from: PathBuf,
    /// The data directory to make; it must not exist
    #[arg(long)]
    data: PathBuf,
}

/// Copies, then has the database checked before anybody serves from it.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { from, data } = arguments;
    anyhow::ensure!(from.join("freehold.db").exists(), "{} is no backup: it holds no freehold.db", from.display());
    anyhow::ensure!(!data.exists(), "{} exists already; restore into a directory that does not", data.display());
    let target = DataDirectory::open(&data)?;
    std::fs::copy(from.join("freehold.db"), target.database()).context("the database cannot be copied")?;
    std::fs::copy(from.join("pepper"), target.pepper()).context("the pepper cannot be copied")?;
    let segments = copy_spool(&from.join("spool"), &target.spool())?;
    let store = Store::open(&target.database()).await?;
    let faults = store.integrity().await?;
    store.close().await;
    anyhow::ensure!(faults.is_empty(), "the database of the backup is damaged: {}", faults.join("; "));
    println!("{}: restored; {segments} spool segments are taken over at the next start", data.display());
    Ok(ExitCode::SUCCESS)
}
