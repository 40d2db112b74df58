//! Puts the two lists together, keeping what earlier imports knew: a price that changed since ends on the day of the new
//! list, and a model that the lists have dropped keeps its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use toml::Table;

use super::genai;
use super::litellm::{self, Map};
use super::rows::{ModelRow, PriceRow, tables};
use super::sources::{Lists, Release, SOURCES};
use super::tokenizers::tokenizer;

/// Imports, and writes the two files.
pub fn run() -> Result<()> {
    let root = crate::workspace::root();
    let lists = Lists::fetch(&root)?;
    let text = lists.litellm_text()?;
    let map = Map::parse(&text)?;
    let providers = lists.genai_providers()?;

    let mut listed = Vec::new();
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in SOURCES {
        let models = map.models(source)?;
        let others = map.other_names(source);
        listed.push((source, models, others, genai::models(&providers, source.genai, &lists.litellm.day)?));
    }
    for (source, models, others, _) in &listed {
        names.entry(source.genai).or_default().extend(models.keys().chain(others).map(String::as_str));
    }
    let matches = lists.matches(&names)?;

    let (mut prices, mut models) = (Vec::new(), Vec::new());
    let nothing = BTreeMap::new();
    for (source, ours, _, theirs) in &listed {
        let matches = matches.get(source.genai).unwrap_or(&nothing);
        let by_id: BTreeMap<&str, &genai::Listed> = theirs.iter().map(|model| (model.id.as_str(), model)).collect();
        for (id, model) in ours {
            let second = matches.get(id).and_then(|name| by_id.get(name.as_str())).copied();
            prices.extend(price_rows(source.provider, id, Some(model), second, &lists));
            models.push(model_row(source.provider, id, Some(model), second, &lists));
        }
        // What only genai-prices lists; vertex shares a list with google, whose ids are the same.
        let matched: BTreeSet<&String> = matches.values().collect();
        for model in theirs.iter().filter(|model| source.provider != "vertex" && !matched.contains(&model.id)) {
            let current = &model.spans[model.current(&lists.genai.day)].1;
            if !current.is_worth_a_row() {
                continue;
            }
            for name in model.names.iter().filter(|name| !ours.contains_key(*name)) {
                prices.extend(price_rows(source.provider, name, None, Some(model), &lists));
                models.push(model_row(source.provider, name, None, Some(model), &lists));
            }
        }
    }
    let old_prices = read(&root, "prices.toml", "price", PriceRow::read)?;
    let old_models = read(&root, "models.toml", "model", ModelRow::read)?;
    let prices = keep_history(old_prices, prices, &lists.litellm.day);
    let models = keep_dropped(old_models, models);
    write(
        &root,
        "prices.toml",
        "What models cost",
        &lists,
        prices.iter().map(|row| |out: &mut String| row.write(out)),
    )?;
    write(&root, "models.toml", "What models take", &lists, models.iter().map(|row| |out: &mut String| row.write(out)))
}

/// The rows of one model: what genai-prices knows of other times, and today's by litellm where it lists the model.
fn price_rows(
    provider: &str,
    id: &str,
    ours: Option<&litellm::Listed>,
    theirs: Option<&genai::Listed>,
    lists: &Lists,
) -> Vec<PriceRow> {
    let spans = theirs.map(|model| model.spans.as_slice()).unwrap_or_default();
    let current = theirs.map_or(0, |model| model.current(&lists.litellm.day));
    let row = |from: Option<&String>, to: Option<&String>| PriceRow {
        id: String::new(),
        provider: provider.to_owned(),
        model: id.to_owned(),
        from: from.cloned(),
        to: to.cloned(),
        figures: Default::default(),
        sources: Vec::new(),
        as_of: String::new(),
        disputed: None,
    };
    let mut rows = Vec::new();
    for place in 0..spans.len().max(1) {
        let span = spans.get(place);
        let to = spans.get(place + 1).and_then(|(from, _)| from.as_ref());
        let mut row = row(span.and_then(|(from, _)| from.as_ref()), to);
        let second = |release: &Release| release.name.clone();
        match (ours.filter(|_| place == current), span) {
            (Some(ours), span) => {
                row.figures = ours.figures.clone();
                row.sources = vec![second(&lists.litellm)];
                row.as_of = lists.litellm.day.clone();
                if let Some((_, theirs)) = span {
                    row.sources.push(second(&lists.genai));
                    row.disputed = ours.figures.dispute("litellm", theirs, "genai-prices");
                    for (tier, prices) in &theirs.tiers {
                        row.figures.tiers.entry(tier.clone()).or_default().complete(prices);
                    }
                    let searches = theirs.standard.prices.get("web_searches").filter(|price| *price != "0");
                    if let Some(price) = searches {
                        row.figures.standard.prices.entry("web_searches").or_insert_with(|| price.clone());
                    }
                }
            }
            (None, Some((_, theirs))) => {
                row.figures = theirs.clone();
                row.sources = vec![second(&lists.genai)];
                row.as_of = lists.genai.day.clone();
            }
            (None, None) => continue,
        }
        // A row without a first day is named by the day of the list that first had it.
        let day = row.from.as_ref().unwrap_or(&row.as_of);
        row.id = format!("{provider}/{id}@{day}");
        rows.push(row);
    }
    rows
}

fn model_row(
    provider: &str,
    id: &str,
    ours: Option<&litellm::Listed>,
    theirs: Option<&genai::Listed>,
    lists: &Lists,
) -> ModelRow {
    let context_tokens = theirs.and_then(|model| model.context_tokens);
    let (sources, as_of) = match (ours, theirs) {
        (None, _) => (vec![lists.genai.name.clone()], lists.genai.day.clone()),
        (Some(ours), Some(_)) if ours.context_tokens.is_none() && context_tokens.is_some() => {
            (vec![lists.litellm.name.clone(), lists.genai.name.clone()], lists.litellm.day.clone())
        }
        (Some(_), _) => (vec![lists.litellm.name.clone()], lists.litellm.day.clone()),
    };
    let has_output = theirs.is_some_and(|model| {
        model.spans.iter().any(|(_, figures)| figures.standard.prices.get("output").is_some_and(|price| price != "0"))
    });
    // genai-prices names no mode: what sells audio by its length writes it down, what sells characters speaks them, what sells
    // output is a chat model, what sells only input embeds.
    let sells = |meter: &str| {
        theirs.is_some_and(|model| model.spans.iter().any(|(_, figures)| figures.standard.prices.contains_key(meter)))
    };
    let guessed = match () {
        () if sells("input_audio_ms") => "audio_transcription",
        () if sells("input_characters") => "audio_speech",
        () if has_output => "chat",
        () => "embedding",
    };
    ModelRow {
        provider: provider.to_owned(),
        id: id.to_owned(),
        mode: ours.map_or_else(|| guessed.to_owned(), |ours| ours.mode.clone()),
        context_tokens: ours.and_then(|ours| ours.context_tokens).or(context_tokens),
        max_output_tokens: ours.and_then(|ours| ours.max_output_tokens),
        tokenizer: tokenizer(provider, id).map(str::to_owned),
        retired: ours.and_then(|ours| ours.retired.clone()),
        sources,
        as_of,
    }
}

/// New rows, with what the file knew before: rows of dropped models stay; a first row whose figures are the same as an
/// old one's keeps its id and first day; where they changed and no list names the day, the old row ends and the new one
/// begins on the day of the new list.
fn keep_history(old: Vec<PriceRow>, new: Vec<PriceRow>, day: &str) -> Vec<PriceRow> {
    let key = |row: &PriceRow| (row.provider.clone(), row.model.clone());
    let mut before: BTreeMap<_, Vec<PriceRow>> = BTreeMap::new();
    old.into_iter().for_each(|row| before.entry(key(&row)).or_default().push(row));
    let mut after: BTreeMap<_, Vec<PriceRow>> = BTreeMap::new();
    new.into_iter().for_each(|row| after.entry(key(&row)).or_default().push(row));
    for (key, rows) in before {
        let Some(mut fresh) = after.remove(&key) else {
            after.insert(key, rows);
            continue;
        };
        let open = rows.iter().find(|row| row.to.is_none()).cloned();
        let dated = fresh.iter().any(|row| row.from.is_some());
        if let (Some(mut open), false) = (open, dated) {
            let mut first = fresh.remove(0);
            let mut kept: Vec<PriceRow> = rows.into_iter().filter(|row| row.to.is_some()).collect();
            if open.figures == first.figures {
                (first.id, first.from) = (open.id, open.from);
            } else if open.as_of.as_str() < day {
                open.to = Some(day.to_owned());
                first.from = Some(day.to_owned());
                first.id = format!("{}/{}@{day}", first.provider, first.model);
                kept.push(open);
            }
            kept.push(first);
            fresh = kept;
        }
        after.insert(key, fresh);
    }
    after.into_values().flatten().collect()
}

fn keep_dropped(old: Vec<ModelRow>, new: Vec<ModelRow>) -> Vec<ModelRow> {
    let key = |row: &ModelRow| (row.provider.clone(), row.id.clone());
    let mut rows: BTreeMap<_, ModelRow> = old.into_iter().map(|row| (key(&row), row)).collect();
    rows.extend(new.into_iter().map(|row| (key(&row), row)));
    // What counts for a model is our table's word, of whatever import its row is.
    rows.values_mut().for_each(|row| row.tokenizer = tokenizer(&row.provider, &row.id).map(str::to_owned));
    rows.into_values().collect()
}

/// The rows of a file of the catalog; none when there is no file yet.
pub fn read<Row>(root: &Path, file: &str, list: &str, row: fn(&Table) -> Result<Row>) -> Result<Vec<Row>> {
    let path = root.join("catalog").join(file);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file: Table = std::fs::read_to_string(path)?.parse().with_context(|| format!("catalog/{file}"))?;
    tables(&file, list)?.into_iter().map(row).collect()
}

fn write(
    root: &Path,
    file: &str,
    what: &str,
    lists: &Lists,
    rows: impl Iterator<Item = impl Fn(&mut String)>,
) -> Result<()> {
    let mut text = format!(
        "# {what}. Written by `cargo xtask catalog` from {} (released {}) and {} (released {}).\n\
         # Days are those on which the packages were uploaded. Do not edit: a price typed by hand is a defect.\n",
        lists.litellm.name, lists.litellm.day, lists.genai.name, lists.genai.day
    );
    rows.for_each(|row| row(&mut text));
    std::fs::write(root.join("catalog").join(file), text).with_context(|| format!("catalog/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::rows::tests::row;

    fn undated() -> PriceRow {
        PriceRow { to: None, ..row() }
    }

    #[test]
    fn an_unchanged_price_keeps_its_row_id_through_a_later_import() {
        let later = PriceRow { id: "p/m@2027-02-01".into(), as_of: "2027-02-01".into(), ..undated() };
        let rows = keep_history(vec![undated()], vec![later], "2027-02-01");
        assert_eq!((rows.len(), &*rows[0].id, &*rows[0].as_of), (1, "p/m@2026-11-12", "2027-02-01"));
    }

    #[test]
    fn a_changed_price_ends_the_old_row_on_the_day_of_the_new_list() {
        let mut later = PriceRow { as_of: "2027-02-01".into(), ..undated() };
        later.figures.standard.prices.insert("input", "2".into());
        let rows = keep_history(vec![undated()], vec![later], "2027-02-01");
        assert_eq!((rows[0].to.as_deref(), rows[1].from.as_deref()), (Some("2027-02-01"), Some("2027-02-01")));
        assert_eq!(rows[1].id, "p/m@2027-02-01");
    }

    #[test]
    fn a_model_the_lists_have_dropped_keeps_its_price() {
        assert_eq!(keep_history(vec![undated()], Vec::new(), "2027-02-01"), [undated()]);
    }
}
