//! The catalog that ships: it reads without a problem, and what it offers can be configured in one line.

use config::{Catalog, Input, Mode};
use domain::Meter;

use crate::{CREDENTIAL, NOW};

pub fn shipped() -> Catalog {
    Catalog::parse(
        include_str!("../../../../../catalog/providers.toml"),
        include_str!("../../../../../catalog/models.toml"),
        include_str!("../../../../../catalog/prices.toml"),
    )
    .unwrap_or_else(|problems| panic!("{}", crate::printed(&problems)))
}

#[test]
fn every_provider_that_can_be_called_needs_its_name_its_credential_and_what_is_ones_own_only() {
    let catalog = shipped();
    let usable = catalog.providers().filter(|row| !row.dialects.is_empty() && row.endpoint.is_some());
    let text: String = usable
        .map(|row| {
            let places = row.endpoint.iter().flat_map(|endpoint| endpoint.places());
            let filled: Vec<String> = places.map(|place| format!("{place} = \"own-1\"")).collect();
            let fill = if filled.is_empty() { String::new() } else { format!("fill = {{ {} }}\n", filled.join(", ")) };
            let proof = match (&row.env, row.identity) {
                (Some(env), _) => format!("api_key = {{ env = \"{env}\" }}\n"),
                (None, Some(_)) => "identity = { from = \"google-metadata\" }\n".to_owned(),
                (None, None) => String::new(),
            };
            format!("[providers.{}]\n{fill}{proof}", row.name)
        })
        .collect();
    let input = Input {
        file_name: "freehold.toml",
        text: &text,
        catalog: &catalog,
        environment: &|_| Some(CREDENTIAL.to_owned()),
        read_secret_file: &|_| Err("no such file".to_owned()),
        now: NOW,
    };
    let snapshot = config::check(&input).unwrap_or_else(|problems| panic!("{}", crate::printed(&problems)));
    assert!(snapshot.providers.len() >= 30, "{text}");
}

/// What `check` warns of, with the shipped catalog.
fn warnings(text: &str) -> (String, String) {
    let input = Input {
        file_name: "freehold.toml",
        text,
        catalog: &shipped(),
        environment: &|_| Some(CREDENTIAL.to_owned()),
        read_secret_file: &|_| Err("no such file".to_owned()),
        now: NOW,
    };
    let snapshot = config::check(&input).unwrap_or_else(|problems| panic!("{}", crate::printed(&problems)));
    let told = crate::printed(&snapshot.warnings);
    // That nothing but a provider stands there is no matter here.
    let told = told.lines().filter(|line| !line.contains("no `[workflows.*]` entry")).collect::<Vec<_>>().join("\n");
    (snapshot.providers[0].base_url.to_string(), told)
}

#[test]
fn a_region_that_the_catalog_does_not_know_is_warned_about() {
    let bedrock = |region: &str| {
        let proof = "api_key = { env = \"AWS_BEARER_TOKEN_BEDROCK\" }";
        warnings(&format!("[providers.bedrock]\n{proof}\nfill = {{ region = \"{region}\" }}\n"))
    };
    let (address, told) = bedrock("eu-central-1");
    assert_eq!((&*address, &*told), ("https://bedrock-runtime.eu-central-1.amazonaws.com", ""));
    let (address, told) = bedrock("eu-centarl-1");
    assert_eq!(address, "https://bedrock-runtime.eu-centarl-1.amazonaws.com", "a region may be newer than the catalog");
    let expected = "warning: providers.bedrock.fill.region: the catalog knows no region `eu-centarl-1` of `bedrock` (as of 2026-11-30); \
                    did you mean `eu-central-1`?";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_provider_with_regional_addresses_beside_its_own_is_reached_at_either() {
    let openai =
        |more: &str| warnings(&format!("[providers.openai]\napi_key = {{ env = \"OPENAI_API_KEY\" }}\n{more}"));
    assert_eq!(openai("").0, "https://api.openai.com/v1");
    assert_eq!(openai("fill = { region = \"eu\" }\n"), ("https://eu.api.openai.com/v1".to_owned(), String::new()));
    assert!(openai("fill = { region = \"mars\" }\n").1.contains("the catalog knows no region `mars` of `openai`"));
}

#[test]
fn openais_models_have_their_public_tokenizer_and_other_vendors_have_none() {
    let catalog = shipped();
    let of = |provider: &str, id: &str| catalog.model(provider, id).unwrap().tokenizer.map(|tokenizer| tokenizer.name);
    for id in ["gpt-4o", "gpt-4o-mini-2024-07-18", "gpt-4.1-mini", "gpt-5.4", "o3"] {
        assert_eq!(of("openai", id), Some("o200k_base"), "{id}");
    }
    for id in ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "text-embedding-3-small"] {
        assert_eq!(of("openai", id), Some("cl100k_base"), "{id}");
    }
    assert_eq!(of("groq", "openai/gpt-oss-120b"), Some("o200k_harmony"));
    assert_eq!(of("openai", "gpt-6-sol"), None, "nobody published which it has");
    assert!(catalog.models("anthropic").all(|(_, model)| model.tokenizer.is_none()));
}

#[test]
fn models_that_make_pictures_speak_hear_and_rank_are_priced_by_what_they_are_billed_by() {
    let catalog = shipped();
    for (provider, id, mode, meter) in [
        ("openai", "gpt-image-1", Mode::ImageGeneration, Meter::OutputImage),
        ("xai", "grok-imagine-image", Mode::ImageGeneration, Meter::OutputImages),
        ("openai", "tts-1", Mode::AudioSpeech, Meter::InputCharacters),
        ("openai", "gpt-4o-mini-tts", Mode::AudioSpeech, Meter::OutputAudio),
        ("openai", "whisper-1", Mode::AudioTranscription, Meter::InputAudioMs),
        ("openai", "gpt-4o-transcribe", Mode::AudioTranscription, Meter::InputAudio),
        ("groq", "whisper-large-v3", Mode::AudioTranscription, Meter::InputAudioMs),
        ("cohere", "rerank-v3.5", Mode::Rerank, Meter::SearchUnits),
    ] {
        let model = catalog.model(provider, id).unwrap_or_else(|| panic!("{provider}/{id}"));
        let row = model.prices.as_ref().and_then(|book| book.row(NOW)).unwrap();
        assert_eq!((model.mode, row.prices.get(meter).is_some()), (mode, true), "{provider}/{id}: {meter}");
    }
}

#[test]
fn every_listed_model_has_a_price_that_is_valid_now() {
    let catalog = shipped();
    let mut models = 0;
    for provider in catalog.providers() {
        for (id, model) in catalog.models(&provider.name) {
            models += 1;
            let row = model.prices.as_ref().and_then(|book| book.row(NOW));
            assert!(row.is_some(), "{}/{id}", provider.name);
        }
    }
    assert!(models >= 150, "{models} models");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test holds a document on disk against the catalog")]
fn the_document_of_providers_has_every_row_with_its_address() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/providers.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for row in shipped().providers().filter(|row| !row.dialects.is_empty()) {
        let dialects: Vec<&str> = row.dialects.iter().map(|dialect| dialect.as_str()).collect();
        let start = format!("| `{}` | {} | ", row.name, dialects.join(", "));
        let end = format!(" | `{}` |", row.endpoint.as_ref().unwrap().form());
        assert!(document.lines().any(|line| line.starts_with(&start) && line.ends_with(&end)), "{start}…{end}");
        rows += 1;
    }
    assert_eq!(document.lines().filter(|line| line.starts_with("| `") && line.ends_with("` |")).count(), rows);
}
