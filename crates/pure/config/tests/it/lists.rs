//! Public price lists in the catalog's form: excerpts as published (fixtures/lists/origin.toml), and what goes wrong with them.

use config::lists::{Format, Import, disagreements, import, text};
use domain::{Meter, PicoUsd};
use ledger::PriceRow;

const LITELLM: &str = include_str!("fixtures/lists/litellm.json");
const MODELS_DEV: &str = include_str!("fixtures/lists/models-dev.json");
const OPENROUTER: &str = include_str!("fixtures/lists/openrouter.json");

fn read(list: &str) -> Import {
    let format = Format::recognised(list).expect("the excerpt is recognised");
    import(format, list, "an excerpt", "2026-11-20").unwrap()
}

fn row<'i>(import: &'i Import, id: &str) -> &'i PriceRow {
    import.rows.iter().find(|row| row.id == format!("{id}@2026-11-20")).unwrap_or_else(|| panic!("{id}"))
}

fn usd(row: &PriceRow, meter: Meter) -> Option<String> {
    row.prices.get(meter).map(PicoUsd::as_usd_per_million)
}

#[test]
fn each_list_is_recognised_by_its_shape() {
    for (list, format) in
        [(LITELLM, Format::LiteLlm), (MODELS_DEV, Format::ModelsDev), (OPENROUTER, Format::OpenRouter)]
    {
        assert_eq!(Format::recognised(list), Some(format));
        assert_eq!(Format::from_name(format.as_str()), Some(format));
    }
    for other in ["", "{}", "[]", "not json", "{\"a\": 1}", "{\"data\": []}", "[[1]]"] {
        assert_eq!(Format::recognised(other), None, "{other}");
    }
}

#[test]
fn litellms_keys_become_meters_bands_tiers_regions_and_hours() {
    let list = read(LITELLM);
    let gpt = row(&list, "openai/gpt-5.4");
    assert_eq!((usd(gpt, Meter::Input), usd(gpt, Meter::CacheRead)), (Some("2.5".into()), Some("0.25".into())));
    assert_eq!(gpt.bands[0].above_input_tokens, 272_000);
    assert_eq!(gpt.bands[0].prices.get(Meter::Output), Some(PicoUsd(22_500_000)));
    let tiers: Vec<_> = gpt.tiers.iter().map(|tier| tier.tier.as_str()).collect();
    assert_eq!(tiers, ["batch", "flex", "priority"]);
    let regions: Vec<_> = gpt.regions.iter().map(|one| (one.region.as_str(), one.multiplier_millionths)).collect();
    assert_eq!(regions, [("eu", 1_100_000), ("us", 1_100_000)]);

    let opus = row(&list, "anthropic/claude-opus-4-6");
    assert_eq!(
        (usd(opus, Meter::CacheWrite1h), usd(opus, Meter::WebSearches)),
        (Some("10".into()), Some("10000".into()))
    );
    assert_eq!(opus.regions[0].region, "us");

    let flash = row(&list, "deepseek/deepseek-flash");
    assert_eq!(usd(flash, Meter::CacheRead), Some("0.006".into()));
    let off_peak = &flash.off_peak[0];
    assert_eq!(off_peak.tier.prices.get(Meter::Output), Some(PicoUsd(600_000)));
    // Monday, 30 November 2026, 00:30 and 02:00 UTC; Saturday, 5 December, 02:00.
    let monday = 1_795_996_800_000;
    let holds = |minutes: i64| off_peak.holds_at(domain::UnixMs(monday + minutes * 60_000));
    assert_eq!((holds(30), holds(120), holds(5 * 1440 + 120)), (true, false, true));

    // The whole request goes by its range, upper end included.
    let qwen = row(&list, "dashscope/qwen-flash");
    assert_eq!((usd(qwen, Meter::Input), qwen.bands[0].above_input_tokens), (Some("0.05".into()), 256_000));

    let gemini = row(&list, "google/gemini-2.5-pro");
    assert_eq!(usd(gemini, Meter::MapQueries), Some("25000".into()));
    let free = &gemini.running[0];
    assert_eq!((free.name.as_str(), free.steps[1].above), ("gemini-2.5-pro-web_searches", 10_000));

    assert_eq!(usd(row(&list, "openai/whisper-1"), Meter::InputAudioMs), Some("0.1".into()));
    assert_eq!(usd(row(&list, "openai/text-embedding-3-small"), Meter::Output), Some("0".into()));
    assert!(usd(row(&list, "mistral/mistral-ocr-latest"), Meter::Pages).is_some());
}

#[test]
fn what_a_row_cannot_say_and_what_becomes_none_is_named() {
    let list = read(LITELLM);
    assert_eq!(list.unknown["fedramp_uplift_multiplier"].example, "gpt-5.4");
    assert!(list.left_out.keys().any(|why| why.contains("capacity")), "{:?}", list.left_out);
    assert_eq!(list.left_out["are free, or of a price that is not known"].example, "ollama/llama2");
    let router = read(OPENROUTER);
    assert_eq!(router.left_out["cost what the model they route to costs"].example, "openrouter/auto");
    assert_eq!(router.rows.len(), 1);
    // Nothing is not the price of reasoning: it is billed as output.
    let phi = row(&router, "openrouter/microsoft/phi-4-multimodal-instruct");
    assert_eq!((usd(phi, Meter::Reasoning), usd(phi, Meter::Input)), (None, Some("0.07".into())));
    assert_eq!(usd(phi, Meter::InputImages), Some("247.6".into()));
}

#[test]
fn models_devs_tiers_are_bands_and_its_older_form_counts_once() {
    let list = read(MODELS_DEV);
    let grok = row(&list, "xai/grok-4.5");
    assert_eq!((grok.bands.len(), grok.bands[0].above_input_tokens), (1, 200_000));
    assert_eq!(grok.bands[0].prices.get(Meter::CacheRead), Some(PicoUsd(1_000_000)));
    let older = MODELS_DEV.replace("\"tiers\"", "\"tiered\"");
    let list = read(&older);
    assert_eq!(row(&list, "xai/grok-4.5").bands.len(), 1);
    assert_eq!(list.unknown["tiered"].example, "xai/grok-4.5");
    assert_eq!(row(&list, "requesty/xai/grok-4").provider, "requesty");
}

#[test]
fn written_rows_read_back_as_they_were() {
    for list in [LITELLM, MODELS_DEV, OPENROUTER] {
        let rows = read(list).rows;
        let toml = text::written(&rows, "an excerpt");
        let back =
            config::price_rows("import.toml", &toml).unwrap_or_else(|problems| panic!("{}", crate::printed(&problems)));
        assert_eq!(back.len(), rows.len());
        for (back, row) in back.iter().zip(&rows) {
            assert_eq!((&back.id, &back.as_of, &back.source), (&row.id, &row.as_of, &row.source));
            assert_eq!((&back.prices, &back.bands, &back.tiers), (&row.prices, &row.bands, &row.tiers), "{}", row.id);
            assert_eq!((&back.regions, &back.running), (&row.regions, &row.running), "{}", row.id);
            let hours = |row: &PriceRow| row.off_peak.iter().flat_map(|one| one.hours.clone()).collect::<Vec<_>>();
            assert_eq!(hours(back), hours(row));
        }
    }
}

#[test]
fn a_list_that_disagrees_with_the_catalog_is_told_figure_by_figure() {
    let catalog = crate::made_up_catalog();
    let list = r#"{"openai": {"models": {"gpt-small": {"cost": {"input": 0.6, "output": 4, "cache_read": 0.1}}}},
                   "anthropic": {"models": {"claude-new": {"cost": {"input": 1, "output": 5}}}}}"#;
    let rows = import(Format::ModelsDev, list, "a list", "2026-11-20").unwrap().rows;
    let found = disagreements(&rows, &catalog, crate::NOW);
    let told: Vec<_> = found.iter().map(|one| (one.figure.as_str(), one.percent())).collect();
    // The catalog says 0.5 and nothing of the cache.
    assert_eq!(told, [("cache_read", None), ("input", Some("+20.00".into()))]);
    let new = config::lists::disagreement::new_models(&rows, &catalog, crate::NOW);
    assert_eq!(new.iter().map(|row| row.model.as_str()).collect::<Vec<_>>(), ["claude-new"]);
}

#[test]
fn a_list_that_is_no_list_says_what_is_wrong_with_it() {
    for (format, list, expected) in [
        (Format::LiteLlm, "[1]", "is no object of models"),
        (
            Format::LiteLlm,
            "{\"m\": {\"litellm_provider\": \"openai\", \"input_cost_per_token\": \"x\"}}",
            "m: input_cost_per_token: `x` is no price",
        ),
        (
            Format::LiteLlm,
            "{\"m\": {\"mode\": \"chat\"}}",
            "has no price that can be read as litellm: 1 name no provider",
        ),
        (Format::ModelsDev, "{\"p\": {}}", "provider `p` of the list has no `models`"),
        (
            Format::ModelsDev,
            "{\"p\": {\"models\": {\"m\": {\"cost\": {\"input\": -1}}}}}",
            "p/m: input: `-1` is no price",
        ),
        (Format::OpenRouter, "{\"data\": 1}", "no list of models"),
        (Format::OpenRouter, "{\"data\": [{\"pricing\": {}}]}", "has no `id`"),
        (Format::OpenRouter, "{\"data\": []}", "no model in it"),
    ] {
        let error = import(format, list, "a list", "2026-11-20").expect_err(list);
        assert!(error.contains(expected), "{list}: {error}");
    }
}
