//! Where the records are: in the data directory, or in a PostgreSQL that several instances share.

use std::path::PathBuf;

use anyhow::Context;
use control::{DataDirectory, Pepper};
use store::Store;

use crate::policy;

/// The options that say so, of every command that looks at records.
#[derive(clap::Args, Clone, Debug)]
pub struct Storage {
    /// The data directory of the server
    #[arg(long, global = true, default_value = "freehold-data", env = "FREEHOLD_DATA")]
    pub data: PathBuf,
    /// A PostgreSQL database that instances share, postgres://USER@HOST/NAME; without it the records are in the data directory
    #[arg(long, global = true, env = "FREEHOLD_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
}

impl Storage {
    /// Opens what is there already, for commands that look at it.
    pub async fn open_existing(&self) -> anyhow::Result<Store> {
        match &self.database {
            Some(address) => connect(address).await,
            None => {
                policy::ensure_data(&self.data)?;
                open(&DataDirectory::open(&self.data)?, None).await
            }
        }
    }
}

/// Opens the database and brings its schema up to date.
pub async fn open(data: &DataDirectory, database: Option<&str>) -> anyhow::Result<Store> {
    let Some(address) = database else {
        return Store::open(&data.database()).await.context("the database cannot be opened");
    };
    let store = connect(address).await?;
    anyhow::ensure!(
        Pepper::load_or_make(data)?.is_that_of(&store).await?,
        "the keys in this database were made with another pepper; copy the file `pepper` of the first instance's data \
         directory to {}",
        data.root().display()
    );
    Ok(store)
}

/// The address may hold a password, and is not repeated.
async fn connect(address: &str) -> anyhow::Result<Store> {
    Store::connect(address).await.context("the PostgreSQL database cannot be opened")
}
