//! Checks the three files of the catalog without a network: form, provenance, unique names, prices that do not overlap.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::Result;
use toml::Table;

use super::figures::UNITS;
use super::import::read;
use super::rows::{ModelRow, PriceRow, optional_text, text};
use super::tokenizers::tokenizer;

/// Fewer models than this mean that an import went wrong.
const LEAST_MODELS: usize = 150;

/// Prints counts and problems.
pub fn run() -> Result<ExitCode> {
    let root = crate::workspace::root();
    let providers = read(&root, "providers.toml", "provider", |table| Ok(table.clone()))?;
    let models = read(&root, "models.toml", "model", ModelRow::read)?;
    let prices = read(&root, "prices.toml", "price", PriceRow::read)?;
    let problems = problems(&providers, &models, &prices);
    println!("{:12} {:>7} {:>7} {:>9}", "provider", "models", "prices", "disputed");
    let mut names: BTreeSet<&str> = models.iter().map(|row| row.provider.as_str()).collect();
    names.extend(providers.iter().filter_map(|row| row.get("name").and_then(|name| name.as_str())));
    for name in names {
        let rows = prices.iter().filter(|row| row.provider == name);
        let disputed = rows.clone().filter(|row| row.disputed.is_some()).count();
        let listed = models.iter().filter(|row| row.provider == name).count();
        println!("{name:12} {listed:>7} {:>7} {disputed:>9}", rows.count());
    }
    let disputed = prices.iter().filter(|row| row.disputed.is_some()).count();
    println!("{:12} {:>7} {:>7} {disputed:>9}", "all", models.len(), prices.len());
    for problem in &problems {
        eprintln!("catalog: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn problems(providers: &[Table], models: &[ModelRow], prices: &[PriceRow]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for provider in providers {
        problems.extend(provider_problems(provider));
        let name = provider.get("name").and_then(|name| name.as_str()).unwrap_or_default();
        if !names.insert(name) {
            problems.push(format!("provider `{name}` is there twice"));
        }
    }
    if models.len() < LEAST_MODELS {
        problems.push(format!("{} models; at least {LEAST_MODELS} belong there", models.len()));
    }
    let mut by_model: BTreeMap<(&str, &str), Vec<&PriceRow>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for row in prices {
        by_model.entry((&row.provider, &row.model)).or_default().push(row);
        if !ids.insert(&row.id) {
            problems.push(format!("price row `{}` is there twice", row.id));
        }
        let prices = &row.figures.standard.prices;
        if !prices.contains_key("input") && !UNITS.iter().any(|unit| prices.contains_key(unit)) {
            problems.push(format!("price row `{}` has no price for input, nor for a unit", row.id));
        }
        let days = [row.from.as_ref(), row.to.as_ref(), Some(&row.as_of)];
        if row.sources.is_empty() || days.into_iter().flatten().any(|day| !is_day(day)) {
            problems.push(format!("price row `{}` needs sources, and days written as 2026-11-12", row.id));
        }
    }
    for rows in by_model.values_mut() {
        rows.sort_by_key(|row| &row.from);
        for pair in rows.windows(2) {
            if pair[1].from.is_none() || pair[0].to.is_none() || pair[0].to > pair[1].from {
                problems.push(format!("price rows `{}` and `{}` overlap", pair[0].id, pair[1].id));
            }
        }
    }
    let mut seen = BTreeSet::new();
    for model in models {
        let name = format!("{}/{}", model.provider, model.id);
        if !seen.insert((model.provider.as_str(), model.id.as_str())) {
            problems.push(format!("model `{name}` is there twice"));
        }
        if !names.contains(model.provider.as_str()) {
            problems.push(format!("model `{name}` is of a provider that is not in providers.toml"));
        }
        if model.sources.is_empty() || !is_day(&model.as_of) || model.retired.as_ref().is_some_and(|day| !is_day(day)) {
            problems.push(format!("model `{name}` needs sources, and days written as 2026-11-12"));
        }
    }
    for model in models {
        let (listed, ruled) = (model.tokenizer.as_deref(), tokenizer(&model.provider, &model.id));
        if listed != ruled {
            let (name, shown) = (&model.id, |one: Option<&str>| one.unwrap_or("none").to_owned());
            let (listed, ruled) = (shown(listed), shown(ruled));
            problems
                .push(format!("model `{}/{name}` has tokenizer {listed}; tokenizers.rs says {ruled}", model.provider));
        }
    }
    for (provider, model) in by_model.keys().filter(|key| !seen.contains(*key)) {
        problems.push(format!("prices of `{provider}/{model}`, which is not in models.toml"));
    }
    for (provider, model) in seen.iter().filter(|key| !by_model.contains_key(*key)) {
        problems.push(format!("model `{provider}/{model}` has no price"));
    }
    problems
}

fn provider_problems(provider: &Table) -> Vec<String> {
    let name = text(provider, "name").unwrap_or_else(|_| "without a name".into());
    let mut problems = Vec::new();
    for key in ["name", "source", "as_of"] {
        if let Err(error) = text(provider, key) {
            problems.push(format!("provider `{name}`: {error}"));
        }
    }
    if text(provider, "as_of").is_ok_and(|day| !is_day(&day)) {
        problems.push(format!("provider `{name}`: `as_of` is no day"));
    }
    const DIALECTS: [&str; 6] =
        ["openai-chat", "openai-responses", "anthropic", "gemini", "bedrock-converse", "cohere"];
    let known = |dialect: &str| DIALECTS.contains(&dialect);
    let several = provider.get("dialects").and_then(|list| list.as_array());
    let dialects = match several {
        Some(list) => {
            Ok(Some(list.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()))
        }
        None => optional_text(provider, "dialect").map(|one| one.map(|dialect| vec![dialect.to_string()])),
    };
    match dialects {
        Ok(Some(dialects)) if !dialects.is_empty() && dialects.iter().all(|dialect| known(dialect)) => {
            for key in ["base_url", "auth", "quirks"] {
                if let Err(error) = text(provider, key) {
                    problems.push(format!("provider `{name}`: {error}"));
                }
            }
        }
        Ok(None) => {}
        _ => problems.push(format!("provider `{name}`: unknown dialect")),
    }
    problems
}

fn is_day(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    matches!(text.split('-').collect::<Vec<_>>()[..], [year, month, day]
        if year.len() == 4 && digits(year) && digits(month) && digits(day)
            && (1..=12).contains(&month.parse().unwrap_or(0)) && (1..=31).contains(&day.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::rows::tests::row;

    #[test]
    fn each_kind_of_mistake_is_named() {
        let provider: Table = "name = \"p\"\nas_of = \"today\"\ndialect = \"morse\"".parse().unwrap();
        let open = PriceRow { to: None, ..row() };
        let second = PriceRow { from: Some("2026-12-01".into()), as_of: "x".into(), ..open.clone() };
        let problems = problems(&[provider], &[], &[open, second]).join("\n");
        for part in
            ["`source` is missing", "no day", "unknown dialect", "0 models", "there twice", "overlap", "needs sources"]
        {
            assert!(problems.contains(part), "{part} in\n{problems}");
        }
    }

    #[test]
    fn a_day_has_four_two_and_two_digits() {
        assert!(is_day("2026-11-12") && !is_day("2026-13-01") && !is_day("26-1-1") && !is_day("2026-11"));
    }
}
