//! `freehold price import`: a public price list in the catalog's form, and where it disagrees with the catalog.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use config::lists::{Disagreement, Format, Import, Named, disagreement, disagreements, import, text};
use domain::UnixMs;
use jiff::civil::Date;
use serde::Serialize;

use crate::{exit, policy};

/// Models and figures shown of each kind; the rest is counted, and in `--json` all.
const SHOWN: usize = 40;

/// Read a public price list, and say where it disagrees with the catalog.
///
/// Reads LiteLLM's map (model_prices_and_context_window.json), models.dev's api.json and OpenRouter's GET /api/v1/models. What a list
/// prices and a row cannot say is named, and so is what no row was made of. Nothing is taken into use: write the rows to a file, look
/// at it with `freehold price diff`, and copy what you mean into freehold.toml or give it to `freehold ledger reprice`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The list, as it was fetched
    file: PathBuf,
    /// What list it is: litellm, models-dev or openrouter; recognised by its shape where it is not said
    #[arg(long)]
    format: Option<String>,
    /// What the rows say they are from; without it the format's and the file's name
    #[arg(long)]
    source: Option<String>,
    /// The day the list is of; without it today (UTC)
    #[arg(long, value_name = "DAY")]
    as_of: Option<Date>,
    /// Write the rows there, as catalog/prices.toml has them
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write rows of providers that the catalog does not know, too
    #[arg(long)]
    all: bool,
}

/// Imports and reports.
pub fn run(arguments: &Arguments, json: bool) -> anyhow::Result<ExitCode> {
    let now = UnixMs(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?);
    let shown = arguments.file.display().to_string();
    let list = policy::read_long(&arguments.file)?;
    let format = match &arguments.format {
        Some(name) => Format::from_name(name).with_context(|| {
            format!("`{name}` is no format; write {}", Format::names().collect::<Vec<_>>().join(", "))
        })?,
        None => Format::recognised(&list).with_context(|| {
            format!(
                "`{shown}` is no list that is known by its shape; is it JSON, whole, and one of {}? --format says which it is meant to be",
                Format::names().collect::<Vec<_>>().join(", ")
            )
        })?,
    };
    let name = arguments.file.file_name().unwrap_or_default().to_string_lossy();
    let source = arguments.source.clone().unwrap_or_else(|| format!("{} {name}", format.as_str()));
    let as_of = arguments.as_of.map_or_else(|| now.to_string().chars().take(10).collect(), |day| day.to_string());
    let catalog = match policy::catalog() {
        Ok(catalog) => catalog,
        Err(problems) => {
            policy::print_problems(&problems);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let mut imported = import(format, &list, &source, &as_of).map_err(|error| anyhow::anyhow!("`{shown}`: {error}"))?;
    let mut unknown_providers: BTreeMap<String, u64> = BTreeMap::new();
    for row in imported.rows.iter().filter(|row| catalog.provider(&row.provider).is_none()) {
        *unknown_providers.entry(row.provider.clone()).or_default() += 1;
    }
    if !arguments.all {
        imported.rows.retain(|row| !unknown_providers.contains_key(&row.provider));
    }
    if let Some(path) = &arguments.write {
        let comment = format!("Read from {source} of {as_of} by freehold price import.");
        std::fs::write(path, text::written(&imported.rows, &comment))
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    // A list is compared with what held on its own day.
    let at = as_of.parse::<Date>()?.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp().as_millisecond();
    let report = Report {
        format: format.as_str(),
        rows: imported.rows.len(),
        disagreements: disagreements(&imported.rows, &catalog, UnixMs(at)),
        new_models: disagreement::new_models(&imported.rows, &catalog, UnixMs(at))
            .iter()
            .map(|row| format!("{}/{}", row.provider, row.model))
            .collect(),
        unknown_providers,
        imported: &imported,
    };
    if json {
        println!("{}", report.json())
    } else {
        report.print(arguments.all)
    }
    Ok(ExitCode::SUCCESS)
}

struct Report<'i> {
    format: &'static str,
    rows: usize,
    disagreements: Vec<Disagreement>,
    new_models: Vec<String>,
    unknown_providers: BTreeMap<String, u64>,
    imported: &'i Import,
}

/// A disagreement as JSON says it.
#[derive(Serialize)]
struct ShownDisagreement<'d> {
    provider: &'d str,
    model: &'d str,
    figure: &'d str,
    catalog: Option<&'d str>,
    list: Option<&'d str>,
    percent: Option<String>,
}

#[derive(Serialize)]
struct ShownNamed<'n> {
    models: u64,
    example: &'n str,
}

#[derive(Serialize)]
struct ShownReport<'r> {
    format: &'static str,
    rows: usize,
    disagreements: Vec<ShownDisagreement<'r>>,
    new_models: &'r [String],
    unknown_dimensions: BTreeMap<&'r str, ShownNamed<'r>>,
    left_out: BTreeMap<&'r str, ShownNamed<'r>>,
    unknown_providers: &'r BTreeMap<String, u64>,
    rounded: u64,
}

impl Report<'_> {
    fn json(&self) -> String {
        let named = |all: &'_ BTreeMap<String, Named>| -> BTreeMap<String, (u64, String)> {
            all.iter().map(|(what, named)| (what.clone(), (named.models, named.example.clone()))).collect()
        };
        let (unknown, left_out) = (named(&self.imported.unknown), named(&self.imported.left_out));
        fn shown(all: &BTreeMap<String, (u64, String)>) -> BTreeMap<&str, ShownNamed<'_>> {
            all.iter()
                .map(|(what, (models, example))| (what.as_str(), ShownNamed { models: *models, example }))
                .collect()
        }
        let report = ShownReport {
            format: self.format,
            rows: self.rows,
            disagreements: self
                .disagreements
                .iter()
                .map(|one| ShownDisagreement {
                    provider: &one.provider,
                    model: &one.model,
                    figure: &one.figure,
                    catalog: one.catalog.as_deref(),
                    list: one.list.as_deref(),
                    percent: one.percent(),
                })
                .collect(),
            new_models: &self.new_models,
            unknown_dimensions: shown(&unknown),
            left_out: shown(&left_out),
            unknown_providers: &self.unknown_providers,
            rounded: self.imported.rounded,
        };
        serde_json::to_string(&report).expect("a report is plain values")
    }

    fn print(&self, all: bool) {
        println!("{} rows read as {}", self.rows, self.format);
        let (both, one_sided): (Vec<_>, Vec<_>) = self.disagreements.iter().partition(|one| one.percent().is_some());
        if both.is_empty() {
            println!("where both say a price, the list and the catalog agree");
        } else {
            println!("\n{} figures differ from the catalog (USD per million, list against catalog):", both.len());
            for one in both.iter().take(SHOWN) {
                let (catalog, list) = (one.catalog.as_deref().unwrap_or("-"), one.list.as_deref().unwrap_or("-"));
                let percent = one.percent().unwrap_or_default();
                println!("  {}/{} {}: {catalog} -> {list} ({percent} %)", one.provider, one.model, one.figure);
            }
            rest(both.len());
        }
        let in_list = one_sided.iter().filter(|one| one.catalog.is_none()).count();
        if !one_sided.is_empty() {
            println!(
                "\n{} figures stand only in the list, {} only in the catalog (--json names them)",
                in_list,
                one_sided.len() - in_list
            );
        }
        if !self.new_models.is_empty() {
            println!("\n{} models that the catalog has no price of:", self.new_models.len());
            self.new_models.iter().take(SHOWN).for_each(|model| println!("  {model}"));
            rest(self.new_models.len());
        }
        print_named("dimensions of the list that a row cannot say, and that no row has:", &self.imported.unknown);
        print_named("kinds of models of which no row was made, because they", &self.imported.left_out);
        if !self.unknown_providers.is_empty() {
            let what = if all { "written all the same" } else { "left out; --all writes them" };
            println!("\n{} providers that the catalog does not know ({what}):", self.unknown_providers.len());
            let told: Vec<String> =
                self.unknown_providers.iter().map(|(provider, models)| format!("{provider} {models}")).collect();
            println!("  {}", told.join(", "));
        }
        if self.imported.rounded > 0 {
            println!("\n{} prices finer than 0.000001 USD per million were rounded", self.imported.rounded);
        }
    }
}

fn rest(count: usize) {
    if count > SHOWN {
        println!("  and {} more (--json names them)", count - SHOWN);
    }
}

fn print_named(heading: &str, all: &BTreeMap<String, Named>) {
    if !all.is_empty() {
        println!("\n{} {heading}", all.len());
        all.iter().for_each(|(what, named)| println!("  {what}: {} models, such as {}", named.models, named.example));
    }
}
