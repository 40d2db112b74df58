//! `freehold budget`: how every budget of a running server stands, and approvals to go on.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use control::ledger_export::csv_line;
use hyper::Method;
use ledger::{Amount, Measure};

use super::key::{Output, print_table};
use crate::fetch;

/// Show how budgets stand, and let those go on that wait for an approval.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The console of the running server
    #[arg(long, global = true, default_value = "http://127.0.0.1:7401", env = "FREEHOLD_CONSOLE")]
    console: String,
    /// An admin token of that server
    #[arg(long, global = true, env = "FREEHOLD_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// How the answer is written
    #[arg(long, global = true, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Subcommand)]
enum Action {
    /// Show every budget: limit, spent, held, and when it starts anew
    List,
    /// Let a budget with `require_approval` go on, by an amount or until its window ends
    Approve {
        /// Whose, as the list names it, such as "workflow claims-triage" or "organisation"
        scope: String,
        /// Which window, where the scope has several
        #[arg(long)]
        per: Option<String>,
        /// USD or tokens, where the scope has both
        #[arg(long)]
        measure: Option<String>,
        /// How much more, such as "50 USD"; left out, all that is left below the limit until the window ends
        #[arg(long)]
        amount: Option<String>,
    },
}

const COLUMNS: [&str; 9] = ["scope", "per", "limit", "spent", "held", "left", "hard", "approval", "resets_at"];

/// Lists or approves.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { action, console, admin_token, output } = arguments;
    let token = admin_token.context("give an admin token with --admin-token or FREEHOLD_ADMIN_TOKEN")?;
    match action {
        Action::List => {
            let answer = fetch::get_json(&format!("{console}/api/v1/budgets"), &token).await?;
            let budgets = answer["budgets"].as_array().context("the server's answer holds no budgets")?;
            match output {
                Output::Json => budgets.iter().for_each(|budget| println!("{budget}")),
                Output::Csv => {
                    print!("{}", csv_line(COLUMNS));
                    let rows = budgets.iter().map(fields);
                    rows.for_each(|row| print!("{}", csv_line(row.iter().map(String::as_str))));
                }
                Output::Table if budgets.is_empty() => println!("There is no budget."),
                Output::Table => print_table(&COLUMNS, &budgets.iter().map(fields).collect::<Vec<_>>()),
            }
        }
        Action::Approve { scope, per, measure, amount } => {
            let wish = control::budgets::NewApproval { scope, per, measure, amount };
            let (url, body) = (format!("{console}/api/v1/budgets/approve"), serde_json::to_string(&wish)?);
            let (status, body) = fetch::send(&fetch::client(), Method::POST, &url, &token, body).await?;
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let told = answer["error"]["message"].as_str().unwrap_or("see the server's log");
            anyhow::ensure!(status == 201, "not approved: {told}");
            println!("{}; running calls see it within a second", answer["approved"].as_str().unwrap_or("approved"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a table has of one budget.
fn fields(budget: &serde_json::Value) -> [String; 9] {
    let measure = match budget["measure"].as_str() {
        Some("tokens") => Measure::Tokens,
        Some("requests") => Measure::Requests,
        Some("calls") => Measure::Calls,
        _ => Measure::Usd,
    };
    let text = |name: &str| budget[name].as_str().unwrap_or_default().to_owned();
    let amount = |name: &str| measure.figure(Amount(budget[name].as_i64().unwrap_or(0)));
    let approval = match (budget["approval_at"].as_i64(), &budget["approval"]) {
        (None, _) => "–".to_owned(),
        (Some(at), serde_json::Value::Null) => format!("needed from {}", measure.figure(Amount(at))),
        (Some(_), given) => match given["more"].as_i64() {
            Some(more) => format!("{} more given", measure.figure(Amount(more))),
            None => "given".to_owned(),
        },
    };
    let resets = budget["resets_at"].as_i64().map_or_else(|| "–".to_owned(), |at| domain::UnixMs(at).to_string());
    [
        text("scope"),
        text("per"),
        measure.shown(Amount(budget["limit"].as_i64().unwrap_or(0))),
        amount("settled"),
        amount("held"),
        amount("left"),
        if budget["hard"] == true { "yes" } else { "no" }.to_owned(),
        approval,
        resets,
    ]
}
