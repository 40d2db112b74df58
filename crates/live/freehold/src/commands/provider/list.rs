//! `freehold provider list`: a row for every provider of the catalog and of the configuration, without a secret in it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use config::catalog::CatalogProvider;
use config::{AuthScheme, CredentialSource, Identity, Need, Provider};
use gateway::clock;

use super::super::key::print_table;
use crate::policy;

const COLUMNS: [&str; 7] = ["provider", "configured", "dialects", "auth", "credential", "address", "regions"];
/// Regions shown of a row in the table; JSON has all.
const REGIONS_SHOWN: usize = 6;

/// Prints the rows.
pub fn run(file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let catalog = policy::catalog().map_err(|problems| anyhow::anyhow!("the catalog is broken: {}", problems[0]))?;
    let configured = match file.exists() {
        false => Vec::new(),
        true => {
            let text = policy::read(file)?;
            let name = file.display().to_string();
            // What is only missing its secrets is listed all the same: saying so is what the list is for.
            let checked =
                policy::check(&name, &text, &catalog, clock::now()).map(|snapshot| snapshot.providers.clone());
            let elsewhere =
                || config::check_elsewhere(&name, &text, &catalog, clock::now()).map(|found| found.providers);
            checked
                .or_else(|_| elsewhere())
                .map_err(|problems| anyhow::anyhow!("{}", problems[0]))
                .context("the configuration has problems; `freehold check` lists them all")?
        }
    };
    let mut rows: Vec<[String; 7]> = configured.iter().map(|provider| of_configured(provider)).collect();
    for row in catalog.providers().filter(|row| !row.dialects.is_empty()) {
        if configured.iter().any(|provider| provider.catalog.as_deref() == Some(&row.name)) {
            continue;
        }
        let mut auth: Vec<String> = Vec::new();
        if row.auth != AuthScheme::None || row.identity.is_none() {
            auth.push(row.auth.to_string());
        }
        auth.extend(row.identity.map(|cloud| format!("identity {cloud}")));
        let credential = match (&row.env, row.identity) {
            (Some(variable), _) => variable_state(variable),
            (None, Some(cloud)) => {
                format!("by identity: {}", Identity::sources(cloud).collect::<Vec<_>>().join(", "))
            }
            (None, None) => "none needed".to_owned(),
        };
        let dialects: Vec<&str> = row.dialects.iter().map(|dialect| dialect.as_str()).collect();
        let address = row.endpoint.as_ref().map_or("", |endpoint| endpoint.form());
        rows.push([
            row.name.clone(),
            "no".to_owned(),
            dialects.join(" "),
            auth.join(" or "),
            credential,
            address.to_owned(),
            regions(row, json),
        ]);
    }
    if json {
        for row in rows {
            let object: serde_json::Map<_, _> =
                COLUMNS.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.into())).collect();
            println!("{}", serde_json::Value::Object(object));
        }
    } else {
        print_table(&COLUMNS, &rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a row can be reached; as many as a line takes, unless it is for a program.
fn regions(row: &CatalogProvider, all: bool) -> String {
    let shown = if all { row.regions.len() } else { REGIONS_SHOWN };
    let mut text = row.regions.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(" ");
    if let Some(more) = row.regions.len().checked_sub(shown).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    if let Some(regional) = &row.regional {
        text.push_str(&format!(" at {}", regional.form()));
    }
    text
}

fn of_configured(provider: &Provider) -> [String; 7] {
    let dialects: Vec<&str> = provider.dialects.iter().map(|dialect| dialect.as_str()).collect();
    let credential = match (&provider.identity, &provider.credential_source) {
        (Some(identity), _) => {
            let needs: Vec<String> = identity.needs().iter().map(need_state).collect();
            format!("{}: {}", identity.source_word(), needs.join(", "))
        }
        (None, Some(source)) => source_state(source),
        (None, None) => "none".to_owned(),
    };
    [
        provider.name.to_string(),
        provider.catalog.clone().map_or_else(|| "yes".to_owned(), |row| format!("as {row}")),
        dialects.join(" "),
        provider.auth.to_string(),
        credential,
        provider.base_url.to_string(),
        provider.region.as_ref().map_or_else(|| "none declared".to_owned(), |region| format!("declared {region}")),
    ]
}

fn need_state(need: &Need) -> String {
    match need {
        Need::Found(source) => source_state(source),
        Need::ReadEachTime(path) => file_state(path),
        Need::Asked(address) => format!("{address} is asked when it runs"),
    }
}

fn source_state(source: &CredentialSource) -> String {
    match source {
        CredentialSource::Environment(name) => variable_state(name),
        CredentialSource::File(path) => file_state(path),
    }
}

fn variable_state(name: &str) -> String {
    let set = std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    format!("{name} is {}", if set { "set" } else { "not set" })
}

fn file_state(path: &str) -> String {
    let found = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    format!("{path} is {}", if found { "there" } else { "not there" })
}
