//! `freehold key`: create, list and revoke keys, beside a running server or without one.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use control::keys::{self, NewKey};
use control::ledger_export::csv_line;
use control::{DataDirectory, Pepper};
use domain::{KeyGrant, KeyId, UnixMs, WorkflowName};
use gateway::clock;

use crate::storage::{self, Storage};

/// Create, list and revoke keys. A running server notices within a second.
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
    /// Make a key and show it, once
    Create {
        /// What people will call it
        #[arg(long)]
        label: String,
        /// A workflow it may name; repeat for more, leave out for all
        #[arg(long = "workflow")]
        workflows: Vec<String>,
        /// Whether it may name lane:NAME and model:NAME
        #[arg(long)]
        direct: bool,
        /// What it may spend, such as "200 USD per month", "2M tokens per rolling 24h", "50 USD per day Europe/Berlin" or
        /// "1 USD per session, then notify"; repeat for more
        #[arg(long = "budget")]
        budgets: Vec<String>,
        /// Requests in any sixty seconds, on all instances together
        #[arg(long)]
        requests_per_minute: Option<u32>,
        /// Tokens in any sixty seconds, sent and received, on all instances together
        #[arg(long)]
        tokens_per_minute: Option<u64>,
        /// The last day it works, such as 2027-01-31 (UTC)
        #[arg(long)]
        expires: Option<String>,
    },
    /// Show every key; secrets are not kept and cannot be shown
    List,
    /// Refuse a key from now on
    Revoke {
        /// The part between `fh_` and the second underscore
        id: String,
    },
}

/// How answers are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

/// Creates, lists or revokes.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Only a new key may come before everything else: a list or a revocation in the wrong place would seem to work.
    let store = match arguments.action {
        Action::Create { .. } => {
            let data = DataDirectory::open(&arguments.storage.data)?;
            storage::open(&data, arguments.storage.database.as_deref()).await?
        }
        Action::List | Action::Revoke { .. } => arguments.storage.open_existing().await?,
    };
    match arguments.action {
        Action::Create { label, workflows, direct, budgets, requests_per_minute, tokens_per_minute, expires } => {
            let wish = NewKey {
                label,
                workflows: match workflows.is_empty() {
                    true => None,
                    false => Some(workflows.into_iter().map(WorkflowName::new).collect()),
                },
                direct,
                budgets,
                requests_per_minute,
                tokens_per_minute,
                expires_at: expires.as_deref().map(read_day_after).transpose()?,
            };
            let data = DataDirectory::open(&arguments.storage.data)?;
            let pepper = Pepper::load_or_make(&data)?;
            let (grant, text) = keys::create(&store, &pepper, wish, "command line", clock::now()).await?;
            let aws = pepper.aws_secret_access_key(&grant);
            match arguments.output {
                Output::Json => {
                    let made = serde_json::json!({
                        "id": grant.id, "label": grant.label, "key": text,
                        "aws_access_key_id": grant.id, "aws_secret_access_key": aws
                    });
                    println!("{made}");
                }
                Output::Csv => {
                    let head = ["id", "label", "key", "aws_access_key_id", "aws_secret_access_key"];
                    print!("{}{}", csv_line(head), csv_line([&*grant.id.0, &grant.label, &text, &grant.id.0, &aws]))
                }
                Output::Table => {
                    println!("{text}\n\nThis is the only time it is shown. Its public half is {}.", grant.id);
                    println!("It works at servers on {}.", data.root().display());
                    println!("AWS SDKs sign with access key id {} and secret access key\n{aws}", grant.id);
                }
            }
        }
        Action::List => list(&store.keys().await?, arguments.output),
        Action::Revoke { id } => {
            keys::revoke(&store, &KeyId(id.as_str().into()), "command line", clock::now()).await?;
            println!("{id} is revoked; running servers refuse it within 2 seconds");
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

const COLUMNS: [&str; 9] =
    ["id", "label", "state", "workflows", "direct", "budget", "requests_per_minute", "tokens_per_minute", "created_at"];

fn fields(grant: &KeyGrant, now: UnixMs) -> [String; 9] {
    let or_all = |names: &Option<Vec<WorkflowName>>| {
        names
            .as_ref()
            .map_or("all".into(), |names| names.iter().map(WorkflowName::as_str).collect::<Vec<_>>().join(" "))
    };
    let or_none = |limit: Option<String>| limit.unwrap_or_else(|| "none".into());
    let state = match (grant.revoked_at, grant.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => "valid".to_owned(),
    };
    [
        grant.id.to_string(),
        grant.label.clone(),
        state,
        or_all(&grant.workflows),
        grant.direct.to_string(),
        or_none((!grant.budgets.is_empty()).then(|| grant.budgets.join("; "))),
        or_none(grant.requests_per_minute.map(|limit| limit.to_string())),
        or_none(grant.tokens_per_minute.map(|limit| limit.to_string())),
        grant.created_at.to_string(),
    ]
}

fn list(grants: &[KeyGrant], output: Output) {
    let now = clock::now();
    let rows: Vec<[String; 9]> = grants.iter().map(|grant| fields(grant, now)).collect();
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
        Output::Table if rows.is_empty() => {
            println!("There is no key. Make one with `freehold key create --label NAME`.");
        }
        Output::Table => print_table(&COLUMNS, &rows),
    }
}

/// Columns as wide as their widest field.
pub fn print_table<const N: usize>(columns: &[&str; N], rows: &[[String; N]]) {
    let width = |place: usize| {
        rows.iter().map(|row| row[place].chars().count()).chain([columns[place].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |fields: &[&str]| {
        let cells: Vec<String> = fields.iter().zip(&widths).map(|(field, width)| format!("{field:<width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    };
    line(columns);
    rows.iter().for_each(|row| line(&row.each_ref().map(String::as_str)));
}

/// The first millisecond after a day, so that the key works all through it.
fn read_day_after(text: &str) -> anyhow::Result<UnixMs> {
    let day: jiff::civil::Date =
        text.parse().with_context(|| format!("`{text}` is no day; write it like 2027-01-31"))?;
    let after = day.tomorrow()?.to_zoned(jiff::tz::TimeZone::UTC)?;
    Ok(UnixMs(after.timestamp().as_millisecond()))
}
