//! Reads genai-prices: a list of models per provider, whose prices may begin on a day, and may differ by tier.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::decimal::{divided, shifted};
use super::figures::{Banded, Figures};

/// A model of the list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The package's own id.
    pub id: String,
    /// Ids that name it exactly, its own first.
    pub names: Vec<String>,
    /// Most input tokens.
    pub context_tokens: Option<u64>,
    /// Its prices over time, oldest first, each with the day it begins; the first has none.
    pub spans: Vec<(Option<String>, Figures)>,
}

impl Listed {
    /// The place of the span that is valid on a day.
    pub fn current(&self, day: &str) -> usize {
        self.spans.iter().rposition(|(from, _)| from.as_deref().is_none_or(|from| from <= day)).unwrap_or(0)
    }
}

/// Keys of the list, the meter each prices, and by how many places it is moved to become a price per million.
const KEYS: &[(&str, &str, i32)] = &[
    ("input_mtok", "input", 0),
    ("cache_read_mtok", "cache_read", 0),
    ("cache_write_mtok", "cache_write_5m", 0),
    ("cache_write_1h_mtok", "cache_write_1h", 0),
    ("output_mtok", "output", 0),
    ("output_reasoning_mtok", "reasoning", 0),
    ("output_citation_mtok", "citation", 0),
    ("input_audio_mtok", "input_audio", 0),
    ("cache_audio_read_mtok", "cache_read_audio", 0),
    ("output_audio_mtok", "output_audio", 0),
    ("input_image_mtok", "input_image", 0),
    ("output_image_mtok", "output_image", 0),
    ("web_searches_kcount", "web_searches", 3),
    ("requests_kcount", "requests", 3),
    ("input_mchars", "input_characters", 0),
];

/// Keys of prices by the hour of audio, the surer first; an hour has 3.6 million milliseconds.
const HOUR_KEYS: &[&str] = &["input_audio_hours", "audio_hours"];

/// The models of one provider.
pub fn models(providers: &Value, provider: &str, day: &str) -> Result<Vec<Listed>> {
    let list = providers.as_array().into_iter().flatten().find(|row| row["id"] == provider);
    let list = list.with_context(|| format!("genai-prices has no provider `{provider}`"))?;
    let models = list["models"].as_array().into_iter().flatten();
    models
        .map(|model| listed(model, day).with_context(|| format!("genai-prices: {provider}/{}", model["id"])))
        .collect()
}

fn listed(model: &Value, day: &str) -> Result<Listed> {
    let id = model["id"].as_str().context("no id")?.to_owned();
    let mut names = vec![id.clone()];
    exact_names(&model["match"], &mut names);
    let mut listed =
        Listed { id, names, context_tokens: model["context_window"].as_u64(), spans: spans(&model["prices"])? };
    let current = listed.current(day);
    for variant in model["price_variants"].as_array().into_iter().flatten() {
        let when = variant["when"].as_object().context("a variant without `when`")?;
        let mut conditions = when.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
        let tier = match (conditions.next(), conditions.next()) {
            (Some(("processing", "batch")), None) => "batch",
            // Anthropic's `speed`, told in the usage.
            (Some(("speed", "fast")), None) => "fast",
            // OpenAI answers `priority` to a request for `fast`.
            (Some(("service_tier", tier @ ("flex" | "priority"))), None) => tier,
            _ => continue,
        };
        let banded = banded(&variant["prices"])?;
        // The days of variants are those on which the list's keepers looked, so they apply to what is valid now.
        for (_, figures) in &mut listed.spans[current..] {
            figures.tiers.insert(tier.to_owned(), banded.clone());
        }
    }
    listed.spans.iter_mut().for_each(|(_, figures)| *figures = std::mem::take(figures).tidied());
    Ok(listed)
}

/// Prices over time. Of prices by the time of day the last is taken: the list puts the dearer hours behind the others,
/// and a price that may be too high holds a budget where one too low would not.
fn spans(prices: &Value) -> Result<Vec<(Option<String>, Figures)>> {
    let mut spans: BTreeMap<Option<String>, Figures> = BTreeMap::new();
    let single = [prices.clone()];
    for row in prices.as_array().map_or(&single[..], Vec::as_slice) {
        let (constraint, prices) = match row["type"].as_str() {
            Some("ModelPrice") => (&Value::Null, row),
            Some("ConditionalPrice") => (&row["constraint"], &row["prices"]),
            _ => bail!("prices of a form that is new to this importer"),
        };
        let from = match constraint["type"].as_str() {
            None => None,
            Some("StartDateConstraint") => Some(constraint["start_date"].as_str().context("no day")?.to_owned()),
            Some("TimeOfDateConstraint") => spans.keys().next_back().cloned().flatten(),
            Some(other) => bail!("{other} is new to this importer"),
        };
        spans.insert(from, Figures { standard: banded(prices)?, ..Figures::default() });
    }
    Ok(spans.into_iter().collect())
}

fn banded(prices: &Value) -> Result<Banded> {
    let mut banded = Banded::default();
    for (key, meter, places) in KEYS {
        let price = &prices[key];
        if let Some(text) = price.as_str() {
            banded.prices.insert(meter, shifted(text, *places)?);
        } else if let Some(base) = price["base"].as_str() {
            banded.prices.insert(meter, shifted(base, *places)?);
            for tier in price["tiers"].as_array().into_iter().flatten() {
                let above = tier["start"].as_u64().context("a band without a start")?;
                let text = tier["price"].as_str().context("a band without a price")?;
                banded.level(Some(above)).insert(meter, shifted(text, *places)?);
            }
        }
    }
    if let Some(hour) = HOUR_KEYS.iter().find_map(|key| prices[key].as_str()) {
        banded.prices.insert("input_audio_ms", divided(&shifted(hour, 1)?, 36)?);
    }
    Ok(banded)
}

/// Names that match whole, wherever alternatives are listed.
fn exact_names(clause: &Value, names: &mut Vec<String>) {
    match clause["type"].as_str() {
        Some("ClauseEquals") => {
            let name = clause["equals"].as_str().unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some("ClauseOr") => clause["or_"].as_array().into_iter().flatten().for_each(|one| exact_names(one, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_and_speech_are_priced_by_length_and_by_character() {
        let one = |prices: &str| banded(&serde_json::from_str(prices).unwrap()).unwrap().prices;
        let heard = one(r#"{"type": "ModelPrice", "audio_hours": "9", "input_audio_hours": "0.36"}"#);
        assert_eq!(heard.into_iter().collect::<Vec<_>>(), [("input_audio_ms", "0.1".to_owned())]);
        let spoken = one(r#"{"type": "ModelPrice", "input_mchars": "15"}"#);
        assert_eq!(spoken.into_iter().collect::<Vec<_>>(), [("input_characters", "15".to_owned())]);
    }

    #[test]
    fn a_price_that_changed_on_a_day_is_two_spans() {
        let providers = serde_json::json!([{"id": "p", "models": [{"id": "m",
            "match": {"type": "ClauseOr", "or_": [{"type": "ClauseEquals", "equals": "m-2025"}]},
            "prices": [
                {"type": "ConditionalPrice", "prices": {"type": "ModelPrice", "input_mtok": "10", "output_mtok": "40"}},
                {"type": "ConditionalPrice",
                 "constraint": {"type": "StartDateConstraint", "start_date": "2025-06-10"},
                 "prices": {"type": "ModelPrice", "output_mtok": "8", "web_searches_kcount": "10", "input_mtok":
                    {"type": "TieredPrices", "base": "2", "tiers": [{"type": "Tier", "start": 200000, "price": "4"}]}}}],
            "price_variants": [{"type": "PriceVariant", "when": {"processing": "batch"},
                "prices": {"type": "ModelPrice", "input_mtok": "1"}}]}]}]);
        let model = &models(&providers, "p", "2026-01-01").unwrap()[0];
        assert_eq!(model.names, ["m", "m-2025"]);
        let (old, new) = (&model.spans[0], &model.spans[1]);
        assert_eq!((old.0.as_deref(), &*old.1.standard.prices["input"]), (None, "10"));
        assert!(old.1.tiers.is_empty());
        assert_eq!(new.0.as_deref(), Some("2025-06-10"));
        assert_eq!(new.1.standard.bands[&200_000]["input"], "4");
        assert_eq!(new.1.standard.prices["web_searches"], "10000");
        assert_eq!(new.1.tiers["batch"].prices["input"], "1");
        assert_eq!((model.current("2025-06-09"), model.current("2025-06-10")), (0, 1));
    }
}
