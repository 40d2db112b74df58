//! LiteLLM's map: one object per model, USD per unit under keys whose names say meter, band and tier.

use std::collections::BTreeMap;

use domain::{Meter, PicoUsd};
use ledger::Window;
use ledger::hours::Hours;
use ledger::price::{Band, OffPeak, PriceRow, Prices, RegionPrices, TierPrices, multiplier_millionths};
use ledger::running::Running;
use serde_json::value::RawValue;

use super::{Import, Object, object, word};
use crate::prices::stretch_of_day;

/// The list's providers that the catalog calls otherwise, and what stands before the vendor's model ids of each.
const PROVIDERS: &[(&str, &str, &str)] = &[
    ("gemini", "google", "gemini/"),
    ("together_ai", "together", "together_ai/"),
    ("fireworks_ai", "fireworks", "fireworks_ai/"),
    ("fireworks_ai-embedding-models", "fireworks", "fireworks_ai/"),
    ("cohere_chat", "cohere", "cohere/"),
    ("text-completion-openai", "openai", "openai/"),
    ("bedrock_converse", "bedrock", ""),
    ("vertex_ai-language-models", "vertex", "vertex_ai/"),
    ("vertex_ai-anthropic_models", "vertex", "vertex_ai/"),
    ("vertex_ai-mistral_models", "vertex", "vertex_ai/"),
    ("vertex_ai-llama_models", "vertex", "vertex_ai/"),
    ("vertex_ai-embedding-models", "vertex", "vertex_ai/"),
    ("vertex_ai", "vertex", "vertex_ai/"),
];

/// Keys by the token, and the meter of each. A longer key comes before the one it begins with.
const TOKEN_KEYS: &[(&str, Meter)] = &[
    ("input_cost_per_audio_token", Meter::InputAudio),
    ("input_cost_per_image_token", Meter::InputImage),
    ("input_cost_per_token_cache_hit", Meter::CacheRead),
    ("input_cost_per_token", Meter::Input),
    ("output_cost_per_reasoning_token", Meter::Reasoning),
    ("output_cost_per_audio_token", Meter::OutputAudio),
    ("output_cost_per_image_token", Meter::OutputImage),
    ("output_cost_per_token", Meter::Output),
    ("citation_cost_per_token", Meter::Citation),
    ("cache_read_input_audio_token_cost", Meter::CacheReadAudio),
    ("cache_read_input_image_token_cost", Meter::CacheReadImage),
    ("cache_read_input_token_cost", Meter::CacheRead),
    ("cache_creation_input_token_cost_above_12hr", Meter::CacheWrite12h),
    ("cache_creation_input_token_cost_above_1hr", Meter::CacheWrite1h),
    ("cache_creation_input_token_cost", Meter::CacheWrite5m),
];

/// Keys apiece: the meter, by how many places the point moves from the list's unit to pico-dollars for one of ours, and in which
/// mode the key means that; empty in every mode.
const UNIT_KEYS: &[(&str, Meter, i32, &str)] = &[
    ("input_cost_per_request", Meter::Requests, 12, ""),
    ("input_cost_per_query", Meter::SearchUnits, 12, "rerank"),
    ("input_cost_per_character", Meter::InputCharacters, 12, ""),
    ("input_cost_per_image", Meter::InputImages, 12, ""),
    ("output_cost_per_image", Meter::OutputImages, 12, ""),
    // A second has a thousand milliseconds.
    ("input_cost_per_second", Meter::InputAudioMs, 9, "audio_transcription"),
    ("input_cost_per_audio_per_second", Meter::InputAudioMs, 9, ""),
    ("output_cost_per_second", Meter::OutputAudioMs, 9, "audio_speech"),
    ("output_cost_per_second", Meter::OutputVideoMs, 9, "video_generation"),
    ("output_cost_per_video_per_second", Meter::OutputVideoMs, 9, ""),
    ("ocr_cost_per_page", Meter::Pages, 12, ""),
    ("google_maps_grounding_cost_per_query", Meter::MapQueries, 12, ""),
    ("code_interpreter_cost_per_session", Meter::CodeSessions, 12, ""),
    ("file_search_cost_per_1k_calls", Meter::FileSearches, 9, ""),
    ("guardrail_cost_per_unit", Meter::GuardTextUnits, 12, ""),
];

/// Endings that name a tier, and its name in a provider's answer.
const TIERS: &[(&str, &str)] = &[
    ("_batches", "batch"),
    ("_flex", "flex"),
    ("_priority", "priority"),
    ("_ultrafast", "ultrafast"),
    ("_decisions", "decisions"),
    ("_balanced", "balanced"),
];

/// Keys that multiply every price in a region billed apart.
const REGIONS: &[(&str, &str)] =
    &[("regional_processing_uplift_multiplier_eu", "eu"), ("regional_processing_uplift_multiplier_us", "us")];

/// Words in keys that are about money.
const OF_MONEY: &[&str] = &["cost", "price", "pricing", "multiplier", "dbu"];

/// The list's own description of itself.
const DESCRIPTION: &str = "sample_spec";

fn models(text: &str) -> Option<Vec<(String, Object<'_>)>> {
    object(text)?.into_iter().map(|(name, model)| Some((name, object(model.get())?))).collect()
}

pub(super) fn is(text: &str) -> bool {
    models(text).is_some_and(|models| models.iter().any(|(_, model)| model.contains_key("litellm_provider")))
}

pub(super) fn read(text: &str, import: &mut Import) -> Result<(), String> {
    let models = models(text).ok_or("the list is no object of models")?;
    for (key, model) in models.iter().filter(|(key, _)| key != DESCRIPTION) {
        let Some(listed) = word(model, "litellm_provider") else {
            import.left_out("name no provider", key);
            continue;
        };
        let known = PROVIDERS.iter().find(|(theirs, ..)| *theirs == listed);
        let own_prefix = format!("{listed}/");
        let (provider, prefix) =
            known.map_or((listed.as_str(), own_prefix.as_str()), |(_, ours, prefix)| (ours, prefix));
        let id = key.strip_prefix(prefix).unwrap_or(key);
        match no_model(provider, id) {
            Some(why) => import.left_out(why, key),
            None => {
                if let Err(error) = one(provider, id, key, model, import) {
                    import.unreadable(&error, key);
                }
            }
        }
    }
    Ok(())
}

/// Entries that price something else than the calls of a model id.
fn no_model(provider: &str, id: &str) -> Option<&'static str> {
    match provider {
        _ if id.contains("-commitment/") => Some("price provisioned units: write them as `[capacity.*]`"),
        "bedrock" if id.contains('/') => Some("price a model in one region, where the catalog goes by model ids"),
        "azure" if id.contains('/') => Some("price a data zone, where the catalog goes by model ids"),
        "together" if id.starts_with("together-ai-") => Some("price a class of models by size"),
        "fireworks" if id.starts_with("fireworks-ai-") => Some("price a class of models by size"),
        _ if id.contains("-x-") => Some("price a size of a picture, not a model id"),
        _ => None,
    }
}

fn one(provider: &str, id: &str, key: &str, model: &Object<'_>, import: &mut Import) -> Result<(), String> {
    let mode = word(model, "mode").unwrap_or_default();
    let mut row = PriceRow::new("", provider, id, Prices::NONE);
    for (name, raw) in model {
        let says_nothing = matches!(raw.get(), "null" | "0" | "0.0" | "[]" | "{}");
        if says_nothing || !OF_MONEY.iter().any(|word| name.contains(word)) {
            continue;
        }
        let known = member(name, raw, &mode, &mut row, import).map_err(|error| format!("{key}: {name}: {error}"))?;
        if !known {
            import.unknown(name, key);
        }
    }
    for (name, meter) in [("search_free_requests", Meter::WebSearches)] {
        match model.get(name).map(|raw| allowance(raw, meter)) {
            Some(Some(allowance)) => row.running.push(allowance),
            Some(None) => import.unknown(name, key),
            None => {}
        }
    }
    // Anthropic's `inference_geo`, as {"us": 1.1}; what else stands there multiplies prices in ways a row cannot say.
    for (name, raw) in model.get("provider_specific_entry").and_then(|entry| object(entry.get())).unwrap_or_default() {
        match name.as_str() {
            "us" => row.regions.push(region("us", raw)?),
            _ => import.unknown(&format!("provider_specific_entry.{name}"), key),
        }
    }
    row.bands.sort_by_key(|band| band.above_input_tokens);
    import.add(provider, id, |named| PriceRow { id: named.id, source: named.source, as_of: named.as_of, ..row });
    Ok(())
}

/// Takes a member of a model; false where the row cannot say it.
fn member(name: &str, raw: &RawValue, mode: &str, row: &mut PriceRow, import: &mut Import) -> Result<bool, String> {
    if let Some((_, place)) = REGIONS.iter().find(|(key, _)| *key == name) {
        row.regions.push(region(place, raw)?);
        return Ok(true);
    }
    match name {
        "search_context_cost_per_query" => return searches(raw, row, import),
        "tiered_pricing" => return tiered(raw, row, import),
        "off_peak_pricing" => return off_peak(raw, row, import),
        _ => {}
    }
    // One price for each of several things is no one meter's.
    if raw.get().starts_with(['{', '[']) {
        return Ok(false);
    }
    let unit = UNIT_KEYS.iter().find(|(key, _, _, of)| *key == name && (of.is_empty() || *of == mode));
    if let Some((_, meter, places, _)) = unit {
        set(&mut row.prices, *meter, raw, *places, import)?;
        return Ok(true);
    }
    let Some((tier, above, meter)) = place(name) else { return Ok(false) };
    let prices = match tier {
        None => level(&mut row.prices, &mut row.bands, above),
        Some(tier) => {
            let place = row.tiers.iter().position(|known| known.tier == tier).unwrap_or(row.tiers.len());
            if place == row.tiers.len() {
                row.tiers.push(TierPrices { tier: tier.to_owned(), prices: Prices::NONE, bands: Vec::new() });
            }
            let tier = &mut row.tiers[place];
            level(&mut tier.prices, &mut tier.bands, above)
        }
    };
    // The older name of a price stands back behind the newer.
    if name.ends_with("_cache_hit") && prices.get(meter).is_some() {
        return Ok(true);
    }
    set(prices, meter, raw, 12, import)?;
    Ok(true)
}

fn set(prices: &mut Prices, meter: Meter, raw: &RawValue, places: i32, import: &mut Import) -> Result<(), String> {
    import.price(raw.get(), places)?.into_iter().for_each(|price| prices.set(meter, price));
    Ok(())
}

/// The prices without a band, or in one.
fn level<'p>(prices: &'p mut Prices, bands: &'p mut Vec<Band>, above: Option<u64>) -> &'p mut Prices {
    let Some(above_input_tokens) = above else { return prices };
    let place = bands.iter().position(|band| band.above_input_tokens == above_input_tokens).unwrap_or(bands.len());
    if place == bands.len() {
        bands.push(Band { above_input_tokens, prices: Prices::NONE });
    }
    &mut bands[place].prices
}

/// What a key prices: tier, threshold, meter.
fn place(key: &str) -> Option<(Option<&'static str>, Option<u64>, Meter)> {
    let (rest, tier) =
        TIERS.iter().find_map(|(ending, tier)| Some((key.strip_suffix(ending)?, Some(*tier)))).unwrap_or((key, None));
    let (start, meter) = TOKEN_KEYS.iter().find(|(start, _)| rest.starts_with(start))?;
    let band = &rest[start.len()..];
    if band.is_empty() {
        return Some((tier, None, *meter));
    }
    let thousands: u64 = band.strip_prefix("_above_")?.strip_suffix("k_tokens")?.parse().ok()?;
    Some((tier, Some(thousands.checked_mul(1000)?), *meter))
}

fn region(place: &str, raw: &RawValue) -> Result<RegionPrices, String> {
    let multiplier_millionths = multiplier_millionths(raw.get()).map_err(|error| error.to_string())?;
    Ok(RegionPrices { region: place.to_owned(), multiplier_millionths })
}

/// Searches that cost the same whatever their size; where the price depends on that, no one meter can say it.
fn searches(raw: &RawValue, row: &mut PriceRow, import: &mut Import) -> Result<bool, String> {
    let sizes: BTreeMap<String, &RawValue> = object(raw.get()).ok_or("is no object")?;
    let mut prices = sizes.values().map(|raw| raw.get());
    let first = prices.next();
    let Some(first) = first.filter(|first| prices.all(|price| price == *first)) else { return Ok(false) };
    import.price(first, 12)?.into_iter().for_each(|price| row.prices.set(Meter::WebSearches, price));
    Ok(true)
}

/// Requests of a provider's tool that are free in each period, for all models of a group together.
fn allowance(raw: &RawValue, meter: Meter) -> Option<Running> {
    let free = object(raw.get())?;
    let count = free.get("count")?.get().parse().ok()?;
    let per = word(&free, "period")?.parse::<Window>().ok()?;
    Some(Running::allowance(format!("{}-{meter}", word(&free, "shared_group")?), meter, count, per))
}

/// Bands as ranges. LiteLLM and Alibaba, whose models have them, take one for the whole request by its input, upper end included.
fn tiered(raw: &RawValue, row: &mut PriceRow, import: &mut Import) -> Result<bool, String> {
    let ranges: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| "is no list")?;
    let has_bounds = |range: &&RawValue| object(range.get()).is_some_and(|range| range.contains_key("range"));
    if !ranges.iter().all(has_bounds) {
        // By the number of results, or by something else that no request says.
        return Ok(false);
    }
    for range in ranges {
        let range = object(range.get()).ok_or("a range is no object")?;
        let bounds: Vec<&RawValue> = range
            .get("range")
            .and_then(|bounds| serde_json::from_str(bounds.get()).ok())
            .ok_or("a range has no bounds")?;
        let from = bounds.first().map_or("0", |from| from.get());
        let (from, _) = super::digits::pico(from, 0)?;
        let above = u64::try_from(from).ok().filter(|above| *above > 0);
        for (name, raw) in range.iter().filter(|(name, raw)| *name != "range" && raw.get() != "null") {
            match place(name) {
                Some((None, None, meter)) => {
                    set(level(&mut row.prices, &mut row.bands, above), meter, raw, 12, import)?;
                }
                _ => import.unknown(&format!("tiered_pricing.{name}"), &row.model),
            }
        }
    }
    Ok(true)
}

/// Prices by the hour: one set of prices, and windows of hours (UTC) and days (1 is Monday).
fn off_peak(raw: &RawValue, row: &mut PriceRow, import: &mut Import) -> Result<bool, String> {
    let off_peak = object(raw.get()).ok_or("is no object")?;
    if word(&off_peak, "weekday_timezone").is_some_and(|zone| zone != "UTC") {
        // Days of another zone begin at other hours than ours: the price of every hour stands, and that is said.
        return Ok(false);
    }
    let windows: Vec<&RawValue> =
        off_peak.get("windows").and_then(|windows| serde_json::from_str(windows.get()).ok()).unwrap_or_default();
    let mut hours = Vec::new();
    for window in windows {
        let window = object(window.get()).ok_or("a window is no object")?;
        let days: Vec<u8> = match window.get("weekdays") {
            Some(days) => serde_json::from_str(days.get()).map_err(|_| "the weekdays of a window are no numbers")?,
            None => (1..=7).collect(),
        };
        let bit = |day: &u8| (1..=7).contains(day).then(|| 1u8 << (day - 1));
        let days = days.iter().map(bit).collect::<Option<Vec<u8>>>().ok_or("a weekday is none of 1 to 7")?;
        let days = days.into_iter().fold(0, |days, day| days | day);
        let stretches = window.get("hours_utc").ok_or("a window has no hours")?;
        let stretches: Vec<String> = serde_json::from_str(stretches.get())
            .or_else(|_| serde_json::from_str(stretches.get()).map(|one: String| vec![one]))
            .map_err(|_| "the hours of a window are no text")?;
        for stretch in stretches {
            let (from_minute, to_minute) = stretch_of_day(&stretch).ok_or("the hours of a window cannot be read")?;
            hours.push(Hours { days, from_minute, to_minute });
        }
    }
    if hours.is_empty() {
        return Ok(false);
    }
    let mut prices = Prices::NONE;
    for (name, raw) in off_peak.iter().filter(|(name, raw)| *name != "windows" && raw.get() != "null") {
        match place(name) {
            // Here a price of nothing is meant: the hours are named with it.
            Some((None, None, meter)) => prices.set(meter, import.price(raw.get(), 12)?.unwrap_or(PicoUsd(0))),
            _ => import.unknown(&format!("off_peak_pricing.{name}"), &row.model),
        }
    }
    row.off_peak.push(OffPeak { hours, tier: TierPrices { tier: "off-peak".into(), prices, bands: Vec::new() } });
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_meter_band_and_tier() {
        for (key, expected) in [
            ("input_cost_per_token", Some((None, None, Meter::Input))),
            ("output_cost_per_token_above_272k_tokens_flex", Some((Some("flex"), Some(272_000), Meter::Output))),
            (
                "cache_creation_input_token_cost_above_12hr_above_272k_tokens",
                Some((None, Some(272_000), Meter::CacheWrite12h)),
            ),
            ("cache_read_input_image_token_cost", Some((None, None, Meter::CacheReadImage))),
            ("input_cost_per_token_balanced", Some((Some("balanced"), None, Meter::Input))),
            ("input_cost_per_video_token", None),
            ("input_cost_per_token_above_15s_interval", None),
        ] {
            assert_eq!(place(key), expected, "{key}");
        }
    }
}
