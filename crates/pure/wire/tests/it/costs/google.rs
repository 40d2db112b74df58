//! Google's usage: the prompt includes the cache, the candidates exclude the thoughts, and Vertex names the traffic.

use domain::Meter::{CacheRead, Input, InputAudio, Output, Reasoning};
use ledger::price::{Band, PriceRow, TierPrices};
use wire::Dialect::Gemini;
use wire::Seen;

use super::{nano_usd, prices, row, streamed, usage, whole};

fn flash() -> PriceRow {
    let mut row = row("vertex", "flash", &[(Input, "0.3"), (CacheRead, "0.03"), (InputAudio, "1"), (Output, "2.5")]);
    for (tier, input, output) in [("flex", "0.15", "1.25"), ("priority", "0.54", "4.5"), ("batch", "0.15", "1.25")] {
        let prices = prices(&[(Input, input), (Output, output)]);
        row.tiers.push(TierPrices { tier: tier.into(), prices, bands: Vec::new() });
    }
    row
}

fn body(usage: &str) -> String {
    let body = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":USAGE,"modelVersion":"v","responseId":"r"}"#;
    body.replace("USAGE", usage)
}

fn answer(usage: &str) -> Seen {
    whole(Gemini, &body(usage))
}

fn stream(usage: &str) -> Seen {
    let first = body(r#"{"promptTokenCount":1000,"totalTokenCount":1000}"#).replace(r#""finishReason":"STOP","#, "");
    streamed(Gemini, &[&first, &body(usage)])
}

#[test]
fn litellm_37647_37724_38421_38458_flex_traffic_of_vertex_costs_the_flex_price_streamed_and_whole() {
    let told =
        r#"{"promptTokenCount":1000,"candidatesTokenCount":100,"totalTokenCount":1100,"trafficType":"ON_DEMAND_FLEX"}"#;
    // 1000 × 150 + 100 × 1250
    assert_eq!((nano_usd(&stream(told), &flash()), nano_usd(&answer(told), &flash())), (275_000, 275_000));
}

#[test]
fn vertex_tells_the_ordinary_traffic_and_it_costs_the_ordinary_price() {
    for (traffic, expected) in [
        // 1000 × 300 + 100 × 2500
        ("ON_DEMAND", 550_000),
        ("TRAFFIC_TYPE_UNSPECIFIED", 550_000),
        // 1000 × 540 + 100 × 4500
        ("ON_DEMAND_PRIORITY", 990_000),
    ] {
        let told =
            r#"{"promptTokenCount":1000,"candidatesTokenCount":100,"totalTokenCount":1100,"trafficType":"TYPE"}"#;
        assert_eq!(nano_usd(&answer(&told.replace("TYPE", traffic)), &flash()), expected, "{traffic}");
    }
}

#[test]
fn hermes_agent_93678_above_200k_tokens_gemini_has_the_long_price() {
    let mut pro = row("google", "pro", &[(Input, "1.25"), (CacheRead, "0.125"), (Output, "10")]);
    let long = prices(&[(Input, "2.5"), (CacheRead, "0.25"), (Output, "15")]);
    pro.bands.push(Band { above_input_tokens: 200_000, prices: long });
    let told = |prompt: u32| {
        answer(&format!(
            r#"{{"promptTokenCount":{prompt},"cachedContentTokenCount":150000,"candidatesTokenCount":100,"thoughtsTokenCount":50,"totalTokenCount":{}}}"#,
            prompt + 150
        ))
    };
    // 50000 × 1250 + 150000 × 125 + 150 × 10000 = 62 500 000 + 18 750 000 + 1 500 000
    assert_eq!(nano_usd(&told(200_000), &pro), 82_750_000);
    // 50001 × 2500 + 150000 × 250 + 150 × 15000 = 125 002 500 + 37 500 000 + 2 250 000
    assert_eq!(nano_usd(&told(200_001), &pro), 164_752_500);
}

#[test]
fn litellm_16341_pain_7_what_gemini_cached_unasked_costs_the_cached_price() {
    let told =
        r#"{"promptTokenCount":1000,"cachedContentTokenCount":600,"candidatesTokenCount":10,"totalTokenCount":1010}"#;
    // 400 × 300 + 600 × 30 + 10 × 2500 = 120 000 + 18 000 + 25 000
    assert_eq!((nano_usd(&answer(told), &flash()), nano_usd(&stream(told), &flash())), (163_000, 163_000));
}

#[test]
fn litellm_19925_pain_7_a_batch_of_vertex_is_not_free() {
    let mut seen = answer(r#"{"promptTokenCount":1000,"candidatesTokenCount":100,"totalTokenCount":1100}"#);
    seen.service_tier = Some("batch".into());
    // 1000 × 150 + 100 × 1250
    assert_eq!(nano_usd(&seen, &flash()), 275_000);
}

#[test]
fn thoughts_are_billed_beside_the_candidates_and_a_total_that_knows_more_is_a_residue() {
    let seen =
        answer(r#"{"promptTokenCount":10,"candidatesTokenCount":2,"thoughtsTokenCount":30,"totalTokenCount":50}"#);
    assert_eq!((usage(&seen).get(Reasoning), seen.usage_residue), (30, 8));
    // 10 × 300 + (2 + 8) × 2500 + 30 × 2500 = 3 000 + 25 000 + 75 000
    assert_eq!(nano_usd(&seen, &flash()), 103_000);
}

#[test]
fn audio_that_the_cache_served_is_billed_once() {
    let seen = answer(
        r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":0,"totalTokenCount":100,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":50},{"modality":"TEXT","tokenCount":50}],"cacheTokensDetails":[{"modality":"TEXT","tokenCount":60}]}"#,
    );
    // 60 read × 30, the 40 left are audio: 40 × 1000
    assert_eq!((usage(&seen).input_tokens(), nano_usd(&seen, &flash())), (100, 41_800));
}
