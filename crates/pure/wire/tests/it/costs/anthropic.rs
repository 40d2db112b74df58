//! Anthropic's usage: input excludes the cache, streamed totals replace one another, and some of it stands apart.

use domain::Meter::{CacheRead, CacheWrite1h, CacheWrite5m, Input, Output};
use domain::{Cost, Meter, NanoUsd};
use ledger::price::{Band, PriceRow, RegionPrices, Served, TierPrices, price, together};
use wire::Dialect::Anthropic;
use wire::Seen;

use super::{AT, nano_usd, prices, row, streamed, usage, whole};

/// Prices of Claude Sonnet's class.
fn sonnet() -> PriceRow {
    let listed = [(Input, "3"), (CacheRead, "0.3"), (CacheWrite5m, "3.75"), (CacheWrite1h, "6"), (Output, "15")];
    row("anthropic", "sonnet", &listed)
}

/// Prices of Claude Opus's class.
fn opus() -> PriceRow {
    let listed = [(Input, "5"), (CacheRead, "0.5"), (CacheWrite5m, "6.25"), (CacheWrite1h, "10"), (Output, "25")];
    row("anthropic", "opus", &listed)
}

fn message(usage: &str) -> Seen {
    let body = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":USAGE}"#;
    whole(Anthropic, &body.replace("USAGE", usage))
}

/// A stream that opens with one usage and ends with another.
fn stream(first: &str, last: &str) -> Seen {
    let start = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],"usage":USAGE}}"#;
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":USAGE}"#;
    let last = &last.replace('\n', "");
    let events = [start.replace("USAGE", first), delta.replace("USAGE", last), r#"{"type":"message_stop"}"#.into()];
    streamed(Anthropic, &events.each_ref().map(String::as_str))
}

#[test]
fn bifrost_3451_cache_writes_of_a_stream_are_not_billed_as_input_too() {
    // Provider: 1.06376125 USD. The gateway that was wrong: 1.85984625 USD.
    let first =
        r#"{"input_tokens":6,"cache_creation_input_tokens":159217,"cache_read_input_tokens":0,"output_tokens":1}"#;
    let seen = stream(first, r#"{"output_tokens":2745}"#);
    // 6 × 5000 + 159217 × 6250 + 2745 × 25000 = 30 000 + 995 106 250 + 68 625 000
    assert_eq!(nano_usd(&seen, &opus()), 1_063_761_250);
}

#[test]
fn litellm_5443_6575_6576_9812_a_token_that_is_written_is_not_fresh_input_too() {
    let seen = message(
        r#"{"input_tokens":4,"cache_creation_input_tokens":12304,"cache_read_input_tokens":0,"output_tokens":550}"#,
    );
    // 4 × 3000 + 12304 × 3750 + 550 × 15000 = 12 000 + 46 140 000 + 8 250 000
    assert_eq!(nano_usd(&seen, &sonnet()), 54_402_000);
}

#[test]
fn litellm_11364_40006_40016_cache_reads_and_writes_have_their_own_prices() {
    // 98,805 tokens sent, of which 66,360 were read and 32,435 written; 5,120 received, of which 1,710 thought.
    let seen = message(
        r#"{"input_tokens":10,"cache_read_input_tokens":66360,"cache_creation_input_tokens":32435,"output_tokens":5120,"output_tokens_details":{"thinking_tokens":1710}}"#,
    );
    // 10 × 5000 + 66360 × 500 + 32435 × 6250 + 3410 × 25000 + 1710 × 25000
    // = 50 000 + 33 180 000 + 202 718 750 + 85 250 000 + 42 750 000
    assert_eq!(nano_usd(&seen, &opus()), 363_948_750);
}

#[test]
fn litellm_11789_a_cache_read_of_a_stream_costs_what_it_costs_in_a_whole_answer() {
    let told =
        r#"{"input_tokens":12,"cache_read_input_tokens":18000,"cache_creation_input_tokens":0,"output_tokens":200}"#;
    let seen = stream(told, r#"{"output_tokens":200}"#);
    // 12 × 3000 + 18000 × 300 + 200 × 15000 = 36 000 + 5 400 000 + 3 000 000
    assert_eq!(nano_usd(&seen, &sonnet()), 8_436_000);
    assert_eq!(nano_usd(&message(told), &sonnet()), 8_436_000);
}

#[test]
fn litellm_37923_a_streamed_answer_costs_what_the_whole_one_does_and_not_nothing() {
    let told = r#"{"input_tokens":1000,"output_tokens":500}"#;
    // 1000 × 3000 + 500 × 15000
    assert_eq!(
        nano_usd(&stream(r#"{"input_tokens":1000,"output_tokens":1}"#, r#"{"output_tokens":500}"#), &sonnet()),
        10_500_000
    );
    assert_eq!(nano_usd(&message(told), &sonnet()), 10_500_000);
}

#[test]
fn litellm_42663_writes_beyond_the_first_split_are_priced_at_its_lifetime_and_told() {
    let first = r#"{"input_tokens":3,"cache_creation_input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":100},"output_tokens":1}"#;
    let seen = stream(first, r#"{"input_tokens":3,"cache_creation_input_tokens":160,"output_tokens":20}"#);
    // 3 × 3000 + 160 × 6000 + 20 × 15000 = 9 000 + 960 000 + 300 000
    assert_eq!((nano_usd(&seen, &sonnet()), seen.usage_residue), (1_269_000, 60));
}

#[test]
fn litellm_26919_the_cache_is_no_part_of_the_input_for_whoever_reads_the_books() {
    let seen = message(
        r#"{"input_tokens":2,"cache_read_input_tokens":9842,"cache_creation_input_tokens":100,"output_tokens":10}"#,
    );
    let used = usage(&seen);
    assert_eq!((used.get(Input), used.input_tokens()), (2, 9944));
    // 2 × 3000 + 9842 × 300 + 100 × 3750 + 10 × 15000 = 6 000 + 2 952 600 + 375 000 + 150 000
    assert_eq!(nano_usd(&seen, &sonnet()), 3_483_600);
}

#[test]
fn litellm_16377_40002_above_the_band_the_cache_has_the_bands_prices_too() {
    let mut row = sonnet();
    let long = [(Input, "6"), (CacheRead, "0.6"), (CacheWrite5m, "7.5"), (Output, "22.5")];
    row.bands.push(Band { above_input_tokens: 200_000, prices: prices(&long) });
    let seen = message(
        r#"{"input_tokens":1,"cache_read_input_tokens":199999,"cache_creation_input_tokens":1,"output_tokens":2}"#,
    );
    // 200,001 tokens sent: 1 × 6000 + 199999 × 600 + 1 × 7500 + 2 × 22500 = 6 000 + 119 999 400 + 7 500 + 45 000
    assert_eq!(nano_usd(&seen, &row), 120_057_900);
}

#[test]
fn litellm_36008_37558_39893_a_stream_cut_off_after_its_opening_has_cost_the_input() {
    let start = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],"usage":{"input_tokens":2000,"cache_read_input_tokens":500,"output_tokens":3}}}"#;
    let seen = streamed(Anthropic, &[start]);
    // 2000 × 3000 + 500 × 300 + 3 × 15000 = 6 000 000 + 150 000 + 45 000; what came after is counted by the gateway.
    assert_eq!((nano_usd(&seen, &sonnet()), seen.ended), (6_195_000, false));
}

#[test]
fn dimension_3_the_fast_mode_is_a_tier_of_its_own_streamed_and_whole() {
    let mut row = opus();
    let fast = prices(&[(Input, "30"), (Output, "150")]);
    row.tiers.push(TierPrices { tier: "fast".into(), prices: fast, bands: Vec::new() });
    let told = r#"{"input_tokens":100,"output_tokens":10,"service_tier":"standard","speed":"fast"}"#;
    // 100 × 30000 + 10 × 150000
    assert_eq!(nano_usd(&message(told), &row), 4_500_000);
    assert_eq!(nano_usd(&stream(told, r#"{"output_tokens":10}"#), &row), 4_500_000);
    // 100 × 5000 + 10 × 25000
    let standard = r#"{"input_tokens":100,"output_tokens":10,"service_tier":"standard","speed":"standard"}"#;
    assert_eq!(nano_usd(&message(standard), &row), 750_000);
}

#[test]
fn dimension_4_inference_in_the_us_costs_a_tenth_more_streamed_and_whole() {
    let mut row = opus();
    row.regions.push(RegionPrices { region: "us".into(), multiplier_millionths: 1_100_000 });
    let told = |place: &str| format!(r#"{{"input_tokens":100,"output_tokens":10,"inference_geo":"{place}"}}"#);
    // (100 × 5000 + 10 × 25000) × 1.1
    assert_eq!(nano_usd(&message(&told("us")), &row), 825_000);
    assert_eq!(nano_usd(&stream(&told("us"), r#"{"output_tokens":10}"#), &row), 825_000);
    for elsewhere in ["global", "not_available", ""] {
        assert_eq!(nano_usd(&message(&told(elsewhere)), &row), 750_000, "{elsewhere}");
    }
}

#[test]
fn dimension_9_what_other_calls_of_models_consumed_stands_beside_the_totals_each_by_its_own_model() {
    // genai-prices leaves these out: 0.00066 USD where 0.2088 were billed.
    let told = r#"{"input_tokens":1000,"output_tokens":100,"iterations":[
        {"type":"compaction","input_tokens":150000,"cache_creation_input_tokens":0,"cache_read_input_tokens":2000,"output_tokens":3000},
        {"type":"message","input_tokens":1000,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":100},
        {"type":"advisor_message","model":"opus","input_tokens":800,"output_tokens":500}]}"#;
    let row_of = |model: Option<&str>| if model == Some("opus") { opus() } else { sonnet() };
    for seen in [message(told), stream(r#"{"input_tokens":1000,"output_tokens":1}"#, told)] {
        let beside =
            seen.beside.iter().map(|one| price(&one.usage, Some(&row_of(one.model.as_deref())), &Served::standard(AT)));
        let own = price(&usage(&seen), Some(&sonnet()), &Served::standard(AT));
        let Cost::Priced { total, lines } = together(std::iter::once(own).chain(beside)) else { panic!("priced") };
        // sonnet: 151000 × 3000 + 2000 × 300 + 3100 × 15000 = 453 000 000 + 600 000 + 46 500 000
        // opus: 800 × 5000 + 500 × 25000 = 4 000 000 + 12 500 000
        assert_eq!(total, NanoUsd(516_600_000));
        let rows: Vec<&str> = lines.iter().map(|line| line.price_row.as_str()).collect();
        let (ours, theirs) = ("anthropic/sonnet@vector", "anthropic/opus@vector");
        assert_eq!(rows, [ours, ours, ours, theirs, theirs]);
        assert_eq!(usage(&seen).get(Meter::Output), 100, "the totals stay what the provider says they are");
    }
}
