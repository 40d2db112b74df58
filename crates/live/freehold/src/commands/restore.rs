//! `freehold restore`: a backup becomes a new data directory.

use std::path::{Path, PathBuf};
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
    for part in ["freehold.db", "pepper"] {
        let shown = from.display();
        anyhow::ensure!(from.join(part).exists(), "{shown} is no whole backup: it holds no {part}; take another one");
    }
    anyhow::ensure!(!data.exists(), "{} exists already; restore into a directory that does not", data.display());
    let restored = copy(&from, &data).await;
    if restored.is_err() {
        // Half a data directory would be in the way of the next attempt, or be served from.
        let _ = std::fs::remove_dir_all(&data);
    }
    let segments = restored?;
    println!("{}: restored; {segments} spool segments are taken over at the next start", data.display());
    Ok(ExitCode::SUCCESS)
}

/// How many segments of the spool came along.
async fn copy(from: &Path, data: &Path) -> anyhow::Result<usize> {
    let target = DataDirectory::open(data)?;
    std::fs::copy(from.join("freehold.db"), target.database()).context("the database cannot be copied")?;
    std::fs::copy(from.join("pepper"), target.pepper()).context("the pepper cannot be copied")?;
    let segments = copy_spool(&from.join("spool"), &target.spool())?;
    let damaged = |why: String| anyhow::anyhow!("the database of the backup is damaged ({why}); take another backup");
    let store = Store::open(&target.database()).await.map_err(|error| damaged(error.to_string()))?;
    let faults = store.integrity().await;
    store.close().await;
    let faults = faults.map_err(|error| damaged(error.to_string()))?;
    anyhow::ensure!(faults.is_empty(), damaged(faults.join("; ")));
    Ok(segments)
}
