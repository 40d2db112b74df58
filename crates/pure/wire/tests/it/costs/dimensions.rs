//! Every dimension a price has, from what a provider tells to nano-dollars: the list is the project's own (facts on money, 1.3).

use domain::Meter::{CacheRead, CacheReadImage, CacheWrite5m, CacheWrite12h, Input, InputImage, Output, WebSearches};
use domain::{Cost, NanoUsd, PicoUsd, UnixMs, Usage};
use ledger::Window;
use ledger::capacity::Capacity;
use ledger::hours::Hours;
use ledger::price::{OffPeak, PriceRow, RegionPrices, Served, ServedByCapacity, Slice, TierPrices, price};
use ledger::running::{Counts, Running, Step, apply};
use wire::Dialect::{Anthropic, OpenAiResponses};
use wire::Seen;

use super::{AT, nano_usd, prices, row, usage, whole};

fn response(usage: &str) -> Seen {
    let body = r#"{"id":"resp_1","object":"response","status":"completed","error":null,"model":"v","output":[{"type":"message","id":"m","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":USAGE}"#;
    whole(OpenAiResponses, &body.replace("USAGE", usage))
}

fn lines(cost: Cost) -> Vec<(u64, i64, String)> {
    let Cost::Priced { total, lines } = cost else { panic!("{cost:?}") };
    assert_eq!(total, lines.iter().map(|line| line.amount).sum());
    lines.into_iter().map(|line| (line.units, line.amount.0, line.price_row)).collect()
}

#[test]
fn dimension_1_cached_pictures_and_writes_for_twelve_hours_have_their_own_prices() {
    let listed = [
        (Input, "5"),
        (InputImage, "8"),
        (CacheRead, "1.25"),
        (CacheReadImage, "2"),
        (CacheWrite5m, "6.25"),
        (CacheWrite12h, "12.5"),
        (Output, "10"),
    ];
    let seen = response(
        r#"{"input_tokens":1000,"input_tokens_details":{"cached_tokens":500,"image_tokens":400,"cached_tokens_details":{"image_tokens":300,"text_tokens":200},"cache_write_tokens":300,"cache_write_tokens_details":{"ttl_30m_tokens":100,"ttl_12h_tokens":200}},"output_tokens":0,"total_tokens":1000}"#,
    );
    // 300 × 2000 + 200 × 1250 + 200 × 12500 + 100 × 6250 + 100 × 8000 + 100 × 5000
    // = 600 000 + 250 000 + 2 500 000 + 625 000 + 800 000 + 500 000
    assert_eq!((usage(&seen).input_tokens(), nano_usd(&seen, &row("openai", "image", &listed))), (1000, 5_275_000));
    // A list that prices neither apart: the picture as cached text, the long write as the short one.
    let bare = [(Input, "5"), (CacheRead, "1.25"), (CacheWrite5m, "6.25"), (Output, "10")];
    // 500 × 1250 + 300 × 6250 + 200 × 5000
    assert_eq!(nano_usd(&seen, &row("openai", "image", &bare)), 3_500_000);
}

#[test]
fn dimension_2_steps_by_the_units_of_a_request_leave_those_below_their_price() {
    let mut stepped = row("p", "m", &[(Input, "4"), (Output, "8")]);
    stepped.slices.push(Slice { above_units: 32_000, prices: prices(&[(Input, "2")]) });
    let told = response(r#"{"input_tokens":40000,"output_tokens":10,"total_tokens":40010}"#);
    let cost = price(&usage(&told), Some(&stepped), &Served::standard(AT));
    // 32000 × 4000 + 8000 × 2000 + 10 × 8000
    let id = "p/m@vector".to_owned();
    assert_eq!(
        lines(cost),
        [(32_000, 128_000_000, id.clone()), (8_000, 16_000_000, format!("{id}#unit-32000")), (10, 80_000, id)]
    );
}

#[test]
fn dimension_3_off_peak_hours_cost_less_by_the_moment_a_call_was_sent() {
    // DeepSeek's list of November 2026, as LiteLLM has it: half the price outside Chinese working hours, and at weekends.
    let mut flash = row("deepseek", "flash", &[(Input, "0.3"), (CacheRead, "0.006"), (Output, "1.2")]);
    let half = prices(&[(Input, "0.15"), (CacheRead, "0.003"), (Output, "0.6")]);
    let work = |from_minute, to_minute| Hours { days: 0b001_1111, from_minute, to_minute };
    let hours =
        vec![work(0, 60), work(240, 360), work(600, 1440), Hours { days: 0b110_0000, from_minute: 0, to_minute: 1440 }];
    flash
        .off_peak
        .push(OffPeak { hours, tier: TierPrices { tier: "off-peak".into(), prices: half, bands: Vec::new() } });
    let used = usage(&response(r#"{"input_tokens":1000,"output_tokens":100,"total_tokens":1100}"#));
    // Monday, 30 November 2026, 00:00 UTC.
    let at = |minute: i64| {
        price(&used, Some(&flash), &Served::standard(UnixMs(1_795_996_800_000 + minute * 60_000))).booked()
    };
    // 1000 × 300 + 100 × 1200, and half of it
    let (peak, half) = (NanoUsd(420_000), NanoUsd(210_000));
    assert_eq!([at(59), at(60), at(240), at(599), at(600), at(5 * 1440 + 100)], [half, peak, half, peak, half, half]);
}

#[test]
fn dimension_4_openai_in_the_eu_or_the_us_costs_a_tenth_more_at_that_address() {
    let mut mini = row("openai", "mini", &[(Input, "0.75"), (Output, "4.5")]);
    for region in ["eu", "us"] {
        mini.regions.push(RegionPrices { region: region.into(), multiplier_millionths: 1_100_000 });
    }
    let used = usage(&response(r#"{"input_tokens":1000,"output_tokens":10,"total_tokens":1010}"#));
    let booked = |region| price(&used, Some(&mini), &Served { at: AT, tier: None, region }).booked();
    // 1000 × 750 + 10 × 4500, and 1.1 times it
    assert_eq!(
        (booked(None), booked(Some("eu")), booked(Some("us"))),
        (NanoUsd(795_000), NanoUsd(874_500), NanoUsd(874_500))
    );
}

#[test]
fn dimension_4_bedrocks_regional_profile_costs_a_tenth_more_than_its_global_one() {
    // Which one a call takes is its model id, and each id has its own row.
    let global = row("bedrock", "global.anthropic.claude-sonnet", &[(Input, "3"), (CacheRead, "0.3"), (Output, "15")]);
    let regional =
        row("bedrock", "eu.anthropic.claude-sonnet", &[(Input, "3.3"), (CacheRead, "0.33"), (Output, "16.5")]);
    let body = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":100,"outputTokens":10,"totalTokens":310,"cacheReadInputTokens":200},"metrics":{"latencyMs":1}}"#;
    let seen = whole(wire::Dialect::BedrockConverse, body);
    // 100 × 3000 + 200 × 300 + 10 × 15000
    assert_eq!((nano_usd(&seen, &global), nano_usd(&seen, &regional)), (510_000, 561_000));
}

#[test]
fn dimension_5_searches_are_free_up_to_what_the_models_of_a_group_share() {
    // 5,000 a month for all models of one family; then 14 USD per thousand.
    let mut gemini = row("google", "gemini", &[(Input, "1"), (Output, "4"), (WebSearches, "14000")]);
    gemini.running.push(Running::allowance("gemini-3", WebSearches, 5_000, Window::MONTH));
    let used = Usage::ZERO.with(Input, 10).with(WebSearches, 3);
    let cost = price(&used, Some(&gemini), &Served::standard(AT));
    let (cost, counted) = apply(cost, &gemini.running, AT, &mut |_| 4_998);
    // 10 × 1000, two free, one at 14 000 000
    let id = "google/gemini@vector".to_owned();
    assert_eq!(lines(cost), [(10, 10_000, id.clone()), (2, 0, format!("{id}#free-gemini-3")), (1, 14_000_000, id)]);
    assert_eq!((counted[0].name.as_str(), counted[0].amount), ("gemini-3", 3));
}

#[test]
fn dimension_6_a_token_of_a_provisioned_unit_costs_its_share_and_the_rest_of_the_hour_is_not_used() {
    let east = Capacity {
        name: "east".into(),
        units: 10,
        unit_hour: NanoUsd::usd(3),
        from: UnixMs(0),
        until: None,
        tokens_per_minute: 50_000,
        term: "month".into(),
    };
    let token = east.token_price().unwrap();
    let mut served = row("vertex", "flash", &[(Input, "0.3"), (Output, "2.5")]);
    let provisioned = ledger::Prices::NONE.with(Input, token).with(Output, token);
    served.tiers.push(TierPrices { tier: "PROVISIONED_THROUGHPUT".into(), prices: provisioned, bands: Vec::new() });
    served.capacity.push(ServedByCapacity { tier: Some("PROVISIONED_THROUGHPUT".into()), name: "east".into() });
    let body = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":900,"candidatesTokenCount":100,"totalTokenCount":1000,"trafficType":"TYPE"},"modelVersion":"v","responseId":"r"}"#;
    let seen = whole(wire::Dialect::Gemini, &body.replace("TYPE", "PROVISIONED_THROUGHPUT"));
    // 3 USD over 3,000,000 tokens: a thousand nano-dollars each.
    assert_eq!((token, nano_usd(&seen, &served)), (PicoUsd(1_000_000), 1_000_000));
    let unused = east.unused(UnixMs(0), NanoUsd(1_000_000)).unwrap().booked();
    assert_eq!(unused + NanoUsd(1_000_000), NanoUsd::usd(30), "the hour costs what the provider bills");
    // What flows over is billed by the token: 900 × 300 + 100 × 2500.
    assert_eq!(nano_usd(&whole(wire::Dialect::Gemini, &body.replace("TYPE", "ON_DEMAND")), &served), 520_000);
}

#[test]
fn dimension_7_a_discount_a_credit_steps_of_volume_and_a_currency_are_on_the_line() {
    let used = usage(&response(r#"{"input_tokens":1000,"output_tokens":0,"total_tokens":1000}"#));
    let total = |name: &str, steps| Running {
        name: name.into(),
        counts: Counts::Money,
        per: Window::TOTAL,
        from: UnixMs(0),
        until: None,
        steps,
    };
    let mut agreed = PriceRow { contract_millionths: Some(900_000), ..row("openai", "mini", &[(Input, "10")]) };
    agreed.running = vec![
        total("acme-volume", vec![Step { above: 5_000_000, left_millionths: 500_000 }]),
        total(
            "acme-credit",
            vec![Step { above: 0, left_millionths: 0 }, Step { above: 1_800_000, left_millionths: 1_000_000 }],
        ),
        total("acme-commitment", Vec::new()),
    ];
    let cost = price(&used, Some(&agreed), &Served::standard(AT));
    let before = |one: &Running| if one.name == "acme-volume" { 500_000 } else { 0 };
    let (cost, counted) = apply(cost, &agreed.running, AT, &mut |one| before(one));
    // 9000 a token after the discount: 500 tokens reach five million, 500 cost half. The credit takes 200 of the first; 300 × 9000
    // and 500 × 4500 are left.
    let id = "openai/mini@vector#contract-0.9";
    assert_eq!(
        lines(cost),
        [
            (200, 0, format!("{id}#free-acme-credit")),
            (300, 2_700_000, id.to_owned()),
            (500, 2_250_000, format!("{id}#acme-volume-0.5")),
        ]
    );
    let told: Vec<_> = counted.iter().map(|one| (one.name.as_str(), one.amount)).collect();
    assert_eq!(told, [("acme-volume", 9_000_000), ("acme-credit", 6_750_000), ("acme-commitment", 4_950_000)]);
    // Agreed in euros at 1.0853: 10 EUR are 10.853 USD.
    let euros = row("p", "m", &[(Input, "10")]).map_prices(&|price| PicoUsd(ledger::rate(price.0, 1_085_300_000)));
    assert_eq!(price(&used, Some(&euros), &Served::standard(AT)).booked(), NanoUsd(10_853_000));
}

#[test]
fn dimension_8_and_9_are_vectors_of_their_own() {
    // Time: `litellm_38615_pain_8_…` in openai.rs, and the histories of `ledger::reprice`. Iterations: `dimension_9_…` in anthropic.rs.
    let told = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1,"iterations":[{"type":"message","input_tokens":1,"output_tokens":1}]}}"#;
    assert!(whole(Anthropic, told).beside.is_empty(), "an iteration that the totals have counts once");
}
