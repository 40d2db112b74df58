//! Reads litellm's map: one object per model, a price per token under keys whose endings name band and tier.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::value::RawValue;

use super::decimal::{rounded, shifted};
use super::figures::Figures;
use super::sources::Source;

/// A model of the list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Its prices.
    pub figures: Figures,
    /// What it does, in the list's word: `chat`, `embedding`, `image_generation`.
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

    /// What the list sells of one provider by ways that are not imported: videos, searches, documents read by the page.
    pub fn other_names(&self, source: &Source) -> Vec<String> {
        let entries = self.0.iter().filter(|(_, entry)| is_of(entry, source));
        let others = entries.filter(|(_, entry)| !MODES.contains(&&*text(entry, "mode").unwrap_or_default()));
        others.map(|(key, _)| key.strip_prefix(source.prefix).unwrap_or(key).to_owned()).collect()
    }

    /// The models of one provider, by the vendor's id. An entry of two names counts once, the one with
    /// the provider's prefix first.
    pub fn models(&self, source: &Source) -> Result<BTreeMap<String, Listed>> {
        let mut models: BTreeMap<String, Listed> = BTreeMap::new();
        let mut keys: Vec<&String> = self.0.keys().collect();
        keys.sort_by_key(|key| !key.starts_with(source.prefix));
        for key in keys {
            let entry = &self.0[key];
            let mode = text(entry, "mode").unwrap_or_default();
            let id = key.strip_prefix(source.prefix).unwrap_or(key);
            if !is_of(entry, source) || !MODES.contains(&&*mode) || is_no_model(source.provider, &mode, id) {
                continue;
            }
            let number = |name: &str| entry.get(name).and_then(|raw| raw.get().parse::<u64>().ok());
            let listed = Listed {
                figures: figures(&mode, entry).with_context(|| format!("litellm: {key}"))?.tidied(),
                context_tokens: number("max_input_tokens").filter(|tokens| *tokens > 0),
                max_output_tokens: number("max_output_tokens")
                    .filter(|tokens| *tokens > 0 && matches!(&*mode, "chat" | "responses")),
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

/// The modes whose entries become rows: what there is a route for.
const MODES: &[&str] = &[
    "chat",
    "completion",
    "responses",
    "embedding",
    "rerank",
    "moderation",
    "image_generation",
    "audio_speech",
    "audio_transcription",
    "realtime",
];

/// Keys of what is billed apiece in a mode, the meter of it, and by how many places the price is moved to become one per
/// million.
const UNIT_KEYS: &[(&str, &str, &str, i32)] = &[
    ("rerank", "input_cost_per_query", "search_units", 6),
    ("image_generation", "output_cost_per_image", "output_images", 6),
    ("audio_speech", "input_cost_per_character", "input_characters", 6),
    // A second has a thousand milliseconds.
    ("audio_transcription", "input_cost_per_second", "input_audio_ms", 3),
];

fn text(entry: &BTreeMap<String, &RawValue>, name: &str) -> Option<String> {
    serde_json::from_str(entry.get(name)?.get()).ok()
}

fn is_of(entry: &BTreeMap<String, &RawValue>, source: &Source) -> bool {
    text(entry, "litellm_provider").is_some_and(|provider| source.litellm.contains(&&*provider))
}

/// Entries that price a class of models, a region or a commitment instead of a model id; of pictures also those that price
/// a size of a model (`high/1024-x-1024/…`), which is what the model's image tokens come to, and a step of making one, which
/// no answer tells. Bedrock's pictures and rankings have no route.
fn is_no_model(provider: &str, mode: &str, id: &str) -> bool {
    if mode == "image_generation" && (provider == "fireworks" || id.contains("-x-")) {
        return true;
    }
    match provider {
        // A deployment is called as its model is; prices of data zones stand under the zone.
        "azure" => id.contains('/') || id.starts_with("ft:"),
        "bedrock" if !matches!(mode, "chat" | "embedding") => true,
        "bedrock" => id.contains('/'),
        "together" => id.starts_with("together-ai-"),
        "fireworks" => id.starts_with("fireworks-ai-"),
        _ => id.starts_with("ft:"),
    }
}

fn figures(mode: &str, entry: &BTreeMap<String, &RawValue>) -> Result<Figures> {
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
    units(mode, entry, &mut figures)?;
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

/// What is billed apiece.
fn units(mode: &str, entry: &BTreeMap<String, &RawValue>, figures: &mut Figures) -> Result<()> {
    let prices = &mut figures.standard.prices;
    let mut put = |key: &str, meter: &'static str, places: i32| -> Result<bool> {
        let Some(raw) = entry.get(key).filter(|raw| raw.get() != "null") else { return Ok(false) };
        let price = rounded(&shifted(raw.get(), places).with_context(|| key.to_owned())?)?;
        let says_something = price != "0";
        if says_something {
            prices.insert(meter, price);
        }
        Ok(says_something)
    };
    let mut any = false;
    for (_, key, meter, places) in UNIT_KEYS.iter().filter(|(of, ..)| *of == mode) {
        any |= put(key, meter, *places)?;
    }
    if mode == "image_generation" {
        // Where the list has no price for a picture made, that of one sent is meant so; beside it, it is what it says.
        any |= put("input_cost_per_image", if any { "input_images" } else { "output_images" }, 6)?;
    }
    // Tokens for nothing, beside units that cost something, are what is not billed.
    if any {
        for meter in ["input", "output"] {
            if prices.get(meter).is_some_and(|price| price == "0") {
                prices.remove(meter);
            }
        }
    }
    Ok(())
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
    fn pictures_speech_audio_and_rankings_are_priced_by_the_unit() {
        let text = r#"{
            "high/1024-x-1024/m": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_image": 0.167},
            "picture": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_image": 0.02},
            "both": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_image": 0.0011,
                "output_cost_per_image": 0.134, "output_cost_per_image_token": 0.00012, "input_cost_per_token": 2e-06},
            "speaks": {"litellm_provider": "openai", "mode": "audio_speech", "input_cost_per_character": 1.5e-05},
            "hears": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.000283333333333,
                "output_cost_per_second": 0.0},
            "ranks": {"litellm_provider": "openai", "mode": "rerank", "input_cost_per_query": 0.002,
                "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
            "films": {"litellm_provider": "openai", "mode": "video_generation", "output_cost_per_second": 0.1}}"#;
        let map = Map::parse(text).unwrap();
        let models = map.models(&SOURCES[0]).unwrap();
        let prices = |id: &str| {
            let prices = &models[id].figures.standard.prices;
            prices.iter().map(|(meter, price)| format!("{meter} {price}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(models.keys().collect::<Vec<_>>(), ["both", "hears", "picture", "ranks", "speaks"]);
        assert_eq!(prices("picture"), "output_images 20000");
        assert_eq!(prices("both"), "input 2, input_images 1100, output_image 120, output_images 134000");
        assert_eq!(prices("speaks"), "input_characters 15");
        assert_eq!(prices("hears"), "input_audio_ms 0.283333");
        assert_eq!(prices("ranks"), "search_units 2000");
        assert_eq!(map.other_names(&SOURCES[0]), ["films"]);
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
