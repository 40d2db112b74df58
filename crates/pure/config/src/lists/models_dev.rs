//! models.dev's `api.json`: providers, each with its models, USD per million tokens; context bands as `tiers`, and before those
//! as `context_over_200k`.

use domain::Meter;
use ledger::Prices;
use ledger::price::Band;
use serde_json::value::RawValue;

use super::{Import, Object, object};

/// Its providers that the catalog calls otherwise.
const PROVIDERS: &[(&str, &str)] = &[
    ("togetherai", "together"),
    ("fireworks-ai", "fireworks"),
    ("amazon-bedrock", "bedrock"),
    ("google-vertex", "vertex"),
];

const KEYS: &[(&str, Meter)] = &[
    ("input", Meter::Input),
    ("output", Meter::Output),
    ("reasoning", Meter::Reasoning),
    ("cache_read", Meter::CacheRead),
    ("cache_write", Meter::CacheWrite5m),
    ("input_audio", Meter::InputAudio),
    ("output_audio", Meter::OutputAudio),
];

fn providers(text: &str) -> Option<Vec<(String, Object<'_>)>> {
    object(text)?.into_iter().map(|(name, provider)| Some((name, object(provider.get())?))).collect()
}

pub(super) fn is(text: &str) -> bool {
    let models = |provider: &Object<'_>| provider.get("models").is_some_and(|models| object(models.get()).is_some());
    providers(text).is_some_and(|providers| providers.first().is_some_and(|(_, provider)| models(provider)))
}

pub(super) fn read(text: &str, import: &mut Import) -> Result<(), String> {
    let providers = providers(text).ok_or("the list is no object of providers")?;
    for (listed, provider) in &providers {
        let name = PROVIDERS.iter().find(|(theirs, _)| theirs == listed).map_or(listed.as_str(), |(_, ours)| ours);
        let models = provider.get("models").and_then(|models| object(models.get()));
        let Some(models) = models else { return Err(format!("provider `{listed}` of the list has no `models`")) };
        for (id, model) in &models {
            let full = format!("{listed}/{id}");
            let model = object(model.get()).ok_or_else(|| format!("{full} is no object"))?;
            match model.get("cost").and_then(|cost| object(cost.get())) {
                Some(cost) => {
                    if let Err(error) = one(name, id, &full, &cost, import) {
                        import.unreadable(&error, &full);
                    }
                }
                None => import.left_out("have no prices", &full),
            }
        }
    }
    Ok(())
}

fn one(provider: &str, id: &str, full: &str, cost: &Object<'_>, import: &mut Import) -> Result<(), String> {
    let prices = prices(full, cost, &["tiers", "context_over_200k"], import)?;
    let mut bands = Vec::new();
    let tiers: Vec<&RawValue> = cost
        .get("tiers")
        .map(|tiers| serde_json::from_str(tiers.get()))
        .transpose()
        .map_err(|_| format!("{full}: `tiers` is no list"))?
        .unwrap_or_default();
    for tier in tiers {
        let tier = object(tier.get()).ok_or_else(|| format!("{full}: a tier is no object"))?;
        let bound = tier.get("tier").and_then(|bound| object(bound.get())).unwrap_or_default();
        let size = bound.get("size").and_then(|size| size.get().parse::<u64>().ok());
        match (super::word(&bound, "type").as_deref(), size) {
            (Some("context"), Some(above_input_tokens)) => {
                bands.push(Band { above_input_tokens, prices: self::prices(full, &tier, &["tier"], import)? });
            }
            (kind, _) => import.unknown(&format!("tiers by {}", kind.unwrap_or("nothing")), full),
        }
    }
    // The list says the same twice, for readers of the older form.
    let older = cost.get("context_over_200k").filter(|_| bands.is_empty()).and_then(|older| object(older.get()));
    if let Some(older) = older {
        bands.push(Band { above_input_tokens: 200_000, prices: self::prices(full, &older, &[], import)? });
    }
    import.add(provider, id, |row| ledger::PriceRow { prices, bands, ..row });
    Ok(())
}

fn prices(full: &str, cost: &Object<'_>, beside: &[&str], import: &mut Import) -> Result<Prices, String> {
    let mut prices = Prices::NONE;
    for (key, raw) in cost {
        match KEYS.iter().find(|(name, _)| name == key) {
            Some((_, meter)) if raw.get() != "null" => {
                let price = import.price(raw.get(), 6).map_err(|error| format!("{full}: {key}: {error}"))?;
                price.into_iter().for_each(|price| prices.set(*meter, price));
            }
            Some(_) => {}
            None if beside.contains(&key.as_str()) => {}
            None => import.unknown(key, full),
        }
    }
    Ok(prices)
}
