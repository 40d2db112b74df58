//! OpenRouter's models: `GET /api/v1/models`, USD per token as text. Prices of nothing are what is not billed apart, and of minus
//! one those of whatever model it routes to.

use domain::{Meter, PicoUsd};
use serde_json::value::RawValue;

use super::{Import, Object, object, word};

/// The catalog's provider.
const PROVIDER: &str = "openrouter";

/// What is priced by the token or apiece, and the meter of it.
const KEYS: &[(&str, Meter)] = &[
    ("prompt", Meter::Input),
    ("completion", Meter::Output),
    ("input_cache_read", Meter::CacheRead),
    ("input_cache_write", Meter::CacheWrite5m),
    ("input_cache_write_1h", Meter::CacheWrite1h),
    ("internal_reasoning", Meter::Reasoning),
    ("audio", Meter::InputAudio),
    ("input_audio_cache", Meter::CacheReadAudio),
    ("image", Meter::InputImages),
    ("request", Meter::Requests),
    ("web_search", Meter::WebSearches),
];

fn models(text: &str) -> Option<Vec<Object<'_>>> {
    let list = match object(text) {
        Some(whole) => whole.get("data")?.get(),
        None => text,
    };
    let models: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    models.into_iter().map(|model| object(model.get())).collect()
}

pub(super) fn is(text: &str) -> bool {
    models(text).is_some_and(|models| models.first().is_some_and(|model| model.contains_key("pricing")))
}

pub(super) fn read(text: &str, import: &mut Import) -> Result<(), String> {
    let models = models(text).ok_or("the list is no object with the models under `data`, and no list of models")?;
    for model in models {
        let Some(id) = word(&model, "id") else { return Err("a model of the list has no `id`".into()) };
        let Some(pricing) = model.get("pricing").and_then(|pricing| object(pricing.get())) else {
            import.left_out("have no prices", &id);
            continue;
        };
        if pricing.values().any(|price| price.get().trim_matches('"').starts_with('-')) {
            import.left_out("cost what the model they route to costs", &id);
            continue;
        }
        let prices = match prices(&id, &pricing, import) {
            Ok(prices) => prices,
            Err(error) => {
                import.unreadable(&error, &id);
                continue;
            }
        };
        import.add(PROVIDER, &id, |mut row| {
            prices.into_iter().for_each(|(meter, price)| row.prices.set(meter, price));
            row
        });
    }
    Ok(())
}

fn prices(id: &str, pricing: &Object<'_>, import: &mut Import) -> Result<Vec<(Meter, PicoUsd)>, String> {
    let mut prices = Vec::new();
    for (key, raw) in pricing {
        let says_nothing = matches!(raw.get(), "null" | "\"0\"" | "0" | "\"\"");
        match KEYS.iter().find(|(name, _)| name == key) {
            _ if says_nothing => {}
            Some((_, meter)) => {
                let price = import.price(raw.get(), 12).map_err(|error| format!("{id}: {key}: {error}"))?;
                prices.extend(price.map(|price| (*meter, price)));
            }
            None => import.unknown(key, id),
        }
    }
    Ok(prices)
}
