//! `freehold instance`: which processes serve from a database, and what each may spend of the budgets they share.

use std::process::ExitCode;

use clap::Subcommand;
use control::DataDirectory;
use control::instances::{InstanceState, InstanceView, LeaseView, view};
use control::ledger_export::csv_line;
use gateway::clock;

use super::key::{Output, print_table};
use crate::storage::{self, Storage};

/// Show the instances on a database, and what each may spend of the budgets they share.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    storage: Storage,
    /// How the answer is written
    #[arg(long, global = true, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Subcommand)]
enum Action {
    /// Every instance, with its part in each budget: booked, held, leased beside that, and what may have been spent by a
    /// process whose lease ended before its spool was read
    List,
    /// Read the spool of an instance that is not coming back, book what it left, and free what it had leased. The data
    /// directory is that instance's; a restart of it does the same
    Recover,
}

/// Lists or recovers.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.action {
        Action::List => list(&arguments.storage, arguments.output).await?,
        Action::Recover => recover(&arguments.storage).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Books what the process before left in this data directory, and settles what it had leased.
async fn recover(storage: &Storage) -> anyhow::Result<()> {
    let data = DataDirectory::open(&storage.data)?;
    let lock = data.lock()?;
    let store = storage::open(&data, storage.database.as_deref()).await?;
    let who = control::leases::begin(&store, &data, &lock).await?;
    let store = store.of_instance(&who.instance);
    let now = clock::now();
    let recovered = control::recover(&store, &data, &lock, now).await?;
    let settled = control::leases::settle_from_books(&store, &who, now).await?;
    store.end_instance(&who).await?;
    store.close().await;
    println!(
        "{}: {} facts taken over, {} attempts that were in flight booked at the most they can have cost, {settled} leases settled",
        who.instance, recovered.pass.fresh, recovered.indeterminate
    );
    Ok(())
}

const COLUMNS: [&str; 10] = [
    "instance",
    "state",
    "started_at",
    "lease_ends",
    "budget",
    "window_start",
    "booked",
    "held",
    "leased",
    "indeterminate",
];

async fn list(storage: &Storage, output: Output) -> anyhow::Result<()> {
    let store = storage.open_existing().await?;
    let (instances, leases) = (store.instances().await?, store.leases().await?);
    store.close().await;
    let served = storage.database.is_none() && DataDirectory::open(&storage.data)?.is_served();
    let mut rows = Vec::new();
    for mut instance in instances.iter().map(|instance| view(instance, &leases)) {
        // The one instance of an embedded database renews no lease; while it serves it holds its folder.
        if served && instance.state == InstanceState::Gone {
            instance.state = InstanceState::Serving;
        }
        match instance.leases.as_slice() {
            [] => rows.push(row(&instance, None)),
            leases => rows.extend(leases.iter().map(|lease| row(&instance, Some(lease)))),
        }
    }
    match output {
        Output::Json => {
            for row in rows {
                let object: serde_json::Map<_, _> =
                    COLUMNS.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.into())).collect();
                println!("{}", serde_json::Value::Object(object));
            }
        }
        Output::Csv => {
            print!("{}", csv_line(COLUMNS));
            rows.iter().for_each(|row| print!("{}", csv_line(row.iter().map(String::as_str))));
        }
        Output::Table if rows.is_empty() => println!("No instance has served from this database yet."),
        Output::Table => print_table(&COLUMNS, &rows),
    }
    Ok(())
}

fn row(instance: &InstanceView, lease: Option<&LeaseView>) -> [String; 10] {
    let state = instance.state.as_str().to_owned();
    let of_instance =
        [instance.instance.clone(), state, instance.started_at.to_string(), instance.lease_ends.to_string()];
    let of_lease = lease.map_or_else(Default::default, |lease| {
        let start = lease.window_start.map(|start| start.to_string()).unwrap_or_default();
        let LeaseView { budget, booked, held, leased, indeterminate, .. } = lease.clone();
        [budget, start, booked, held, leased, indeterminate]
    });
    let mut fields = of_instance.into_iter().chain(of_lease);
    std::array::from_fn(|_| fields.next().expect("four and six are ten"))
}
