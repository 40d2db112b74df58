//! Pages and reports over more and more records: what the slowest answer takes at a hundred thousand, a million, ten million.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::{cargo, root};
use crate::{setup, shell};

/// The most a page or a report may take, milliseconds.
const MOST_MS: f64 = 200.0;

/// `bench rollups [--records N,N,…] [--database sqlite|postgres]`: on both databases unless one is named.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let value = |flag: &str| arguments.iter().position(|it| it == flag).and_then(|place| arguments.get(place + 1));
    let records = value("--records").map_or("100000,1000000", String::as_str);
    let databases = value("--database").map_or(vec!["sqlite", "postgres"], |one| vec![one.as_str()]);
    let build = ["build", "--release", "--locked", "--package", "freehold-control", "--example", "rollups"];
    shell::run(shell::command(cargo(), &build))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), std::path::PathBuf::from);
    let mut slow = false;
    for database in databases {
        let folder = setup::folder().join("rollups");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let mut command = shell::command(target.join("release/examples/rollups"), &[database]);
        command.arg(&folder).args(records.split(','));
        let answer = command.output().context("the example could not be started")?;
        if !answer.status.success() {
            bail!("the example ended with {}: {}", answer.status, String::from_utf8_lossy(&answer.stderr));
        }
        slow |= print(database, &String::from_utf8(answer.stdout)?)?;
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(if slow { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A table of milliseconds, a column for each size. Whether anything took too long.
fn print(database: &str, lines: &str) -> Result<bool> {
    let (mut rates, mut questions) = (Vec::new(), BTreeMap::<String, Vec<f64>>::new());
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        match (line["question"].as_str(), line["slowest_ms"].as_f64()) {
            (Some(question), Some(ms)) => questions.entry(question.to_owned()).or_default().push(ms),
            _ => {
                rates.push((line["records"].as_u64().unwrap_or(0), line["records_per_second"].as_f64().unwrap_or(0.0)))
            }
        }
    }
    println!(
        "\n| {database}: slowest of 5, ms |{}",
        rates.iter().map(|(count, _)| format!(" {count} records |")).collect::<String>()
    );
    println!("|---|{}", "---|".repeat(rates.len()));
    for (question, all) in &questions {
        println!("| {question} |{}", all.iter().map(|ms| format!(" {ms:.1} |")).collect::<String>());
    }
    println!(
        "| *written, records a second* |{}",
        rates.iter().map(|(_, rate)| format!(" {rate:.0} |")).collect::<String>()
    );
    Ok(questions.values().flatten().any(|ms| *ms > MOST_MS))
}
