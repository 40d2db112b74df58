//! Reads litellm's map: one object per model, a price per token under keys whose endings name band and tier.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::value::RawValue;

use super::decimal::shifted;
use super::figures::Figures;
use super::sources::Source;

/// A model of the list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Its prices.
    pub figures: Figures,
    /// `chat` or `embedding`.
    pub mode: String,
    /// Most input tokens.
    pub context_tokens: Option<u64>,
    /// Most output tokens.
    pub max_output_tokens: Option<u64>,
    /// The day it is or was retired.
    pub retired: Option<String>,
}

/// The list, parsed one level deep: values stay text, so that numbers stay exact.
pub struct Map<'a>(BTreeMap<String, BTreeMap<String, &'a RawValue>>);

/// Keys per token and the meter each prices. A longer key comes before the one it begins with.
const TOKEN_KEYS: &[(&str, &str)] = &[
    ("input_cost_per_audio_token", "input_audio"),
    ("input_cost_per_image_token", "input_image"),
    ("input_cost_per_token", "input"),
    ("output_cost_per_reasoning_token", "reasoning"),
    ("output_cost_per_audio_token", "output_audio"),
    ("output_cost_per_image_token", "output_image"),
    ("output_cost_per_token", "output"),
    ("cache_read_input_audio_token_cost", "cache_read_audio"),
    ("cache_read_input_token_cost", "cache_read"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
    ("cache_creation_input_token_cost", "cache_write_5m"),
];

/// Endings that name a tier, and its name in a provider's answer.
const TIERS: &[(&str, &str)] = &[
    ("_batches", "batch"),
    ("_flex", "flex"),
    ("_priority", "priority"),
    ("_ultrafast", "ultrafast"),
    ("_decisions", "decisions"),
];

/// Keys that multiply every price in a region billed apart.
const REGIONS: &[(&str, &str)] =
    &[("regional_processing_uplift_multiplier_eu", "eu"), ("regional_processing_uplift_multiplier_us", "us")];

impl<'a> Map<'a> {
    /// Parses the list.
    pub fn parse(text: &'a str) -> Result<Map<'a>> {
        Ok(Map(serde_json::from_str(text).context("litellm's map")?))
    }

    /// What the list sells of one provider by other ways than chat and embeddings: images, speech, realtime, or the
    /// Responses endpoint alone.
    pub fn other_names(&self, source: &Source) -> Vec<String> {
        let entries = self.0.iter().filter(|(_, entry)| is_of(entry, source));
        let others = entries.filter(|(_, entry)| !MODES.contains(&&*text(entry, "mode").unwrap_or_default()));
        others.map(|(key, _)| key.strip_prefix(source.prefix).unwrap_or(key).to_owned()).collect()
    }

    /// The chat and embedding models of one provider, by the vendor's id. An entry of two names counts once, the one with
    /// the provider's prefix first.
    pub fn models(&self, source: &Source) -> Result<BTreeMap<String, Listed>> {
        let mut models: BTreeMap<String, Listed> = BTreeMap::new();
        let mut keys: Vec<&String> = self.0.keys().collect();
        keys.sort_by_key(|key| !key.starts_with(source.prefix));
        for key in keys {
            let entry = &self.0[key];
            let mode = text(entry, "mode").unwrap_or_default();
            let id = key.strip_prefix(source.prefix).unwrap_or(key);
            if !is_of(entry, source) || !MODES.contains(&&*mode) || is_no_model(source.provider, id) {
                continue;
            }
            let number = |name: &str| entry.get(name).and_then(|raw| raw.get().parse::<u64>().ok());
            let listed = Listed {
                figures: figures(entry).with_context(|| format!("litellm: {key}"))?.tidied(),
                context_tokens: number("max_input_tokens").filter(|tokens| *tokens > 0),
                max_output_tokens: number("max_output_tokens").filter(|tokens| *tokens > 0 && mode == "chat"),
                retired: text(entry, "deprecation_date"),
                mode,
            };
            if listed.figures.is_worth_a_row() {
                models.entry(id.to_owned()).or_insert(listed);
            }
        }
        Ok(models)
    }
}

/// The modes whose entries become rows.
const MODES: &[&str] = &["chat", "embedding"];

fn text(entry: &BTreeMap<String, &RawValue>, name: &str) -> Option<String> {
    serde_json::from_str(entry.get(name)?.get()).ok()
}

fn is_of(entry: &BTreeMap<String, &RawValue>, source: &Source) -> bool {
    text(entry, "litellm_provider").is_some_and(|provider| source.litellm.contains(&&*provider))
}

/// Entries that price a class of models, a region or a commitment instead of a model id.
fn is_no_model(provider: &str, id: &str) -> bool {
    match provider {
        "bedrock" => id.contains('/'),
        "together" => id.starts_with("together-ai-"),
        "fireworks" => id.starts_with("fireworks-ai-"),
        _ => id.starts_with("ft:"),
    }
}

fn figures(entry: &BTreeMap<String, &RawValue>) -> Result<Figures> {
    let mut figures = Figures::default();
    for (key, raw) in entry {
        if let Some((tier, above, meter)) = place(key)
            && raw.get() != "null"
        {
            let banded = match tier {
                None => &mut figures.standard,
                Some(tier) => figures.tiers.entry(tier.to_owned()).or_default(),
            };
            banded.level(above).insert(meter, shifted(raw.get(), 6).with_context(|| key.clone())?);
        }
    }
    if let Some(search) = entry.get("search_context_cost_per_query") {
        let sizes: BTreeMap<String, &RawValue> = serde_json::from_str(search.get())?;
        let mut prices = sizes.values().map(|raw| raw.get());
        let first = prices.next();
        // Where the price depends on the size of the search, no one meter can say it.
        if let Some(first) = first.filter(|first| prices.all(|price| price == *first)) {
            let price = shifted(first, 6)?;
            if price != "0" {
                figures.standard.prices.insert("web_searches", price);
            }
        }
    }
    for (key, region) in REGIONS {
        if let Some(raw) = entry.get(*key) {
            figures.regions.insert((*region).to_owned(), shifted(raw.get(), 0)?);
        }
    }
    // Anthropic's `inference_geo`: {"us": 1.1}. Its `fast` is a tier, and genai-prices has the figures of that.
    if let Some(raw) = entry.get("provider_specific_entry")
        && let Ok(by_name) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get())
        && let Some(us) = by_name.get("us")
    {
        figures.regions.insert("us".to_owned(), shifted(us.get(), 0)?);
    }
    Ok(figures)
}

/// What a key prices: tier, threshold, meter. `None` for keys that price something else.
fn place(key: &str) -> Option<(Option<&'static str>, Option<u64>, &'static str)> {
    let (rest, tier) =
        TIERS.iter().find_map(|(ending, tier)| Some((key.strip_suffix(ending)?, Some(*tier)))).unwrap_or((key, None));
    let (start, meter) = TOKEN_KEYS.iter().find(|(start, _)| rest.starts_with(start))?;
    let band = &rest[start.len()..];
    if band.is_empty() {
        return Some((tier, None, meter));
    }
    let thousands: u64 = band.strip_prefix("_above_")?.strip_suffix("k_tokens")?.parse().ok()?;
    Some((tier, Some(thousands * 1000), meter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sources::SOURCES;

    #[test]
    fn a_key_names_meter_band_and_tier() {
        for (key, expected) in [
            ("input_cost_per_token", Some((None, None, "input"))),
            ("output_cost_per_token_above_272k_tokens_flex", Some((Some("flex"), Some(272_000), "output"))),
            ("cache_creation_input_token_cost_above_1hr", Some((None, None, "cache_write_1h"))),
            (
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
                Some((None, Some(200_000), "cache_write_1h")),
            ),
            ("cache_creation_input_token_cost_above_12hr", None),
            ("input_cost_per_token_cache_hit", None),
            ("input_cost_per_second", None),
        ] {
            assert_eq!(place(key), expected, "{key}");
        }
    }

    #[test]
    fn a_models_entry_is_read_exactly() {
        let text = r#"{"openai/m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06,
            "output_cost_per_token": 1e-05, "output_cost_per_token_batches": 5e-06, "max_input_tokens": 128000,
            "search_context_cost_per_query": {"low": 0.01, "high": 0.01}, "deprecation_date": "2027-01-01"},
            "free": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0.0}}"#;
        let models = Map::parse(text).unwrap().models(&SOURCES[0]).unwrap();
        let listed = &models["m"];
        assert_eq!(models.len(), 1, "a price of nothing is left out");
        assert_eq!(listed.figures.standard.prices["input"], "2.5");
        assert_eq!(listed.figures.standard.prices["web_searches"], "10000");
        assert_eq!(listed.figures.tiers["batch"].prices["output"], "5");
        assert_eq!((listed.context_tokens, listed.retired.as_deref()), (Some(128_000), Some("2027-01-01")));
    }
}
