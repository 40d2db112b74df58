//! OpenAI-shaped usage: the prompt includes the cache, the completion the reasoning, and the last word counts.

use domain::Meter::{self, CacheRead, CacheReadAudio, Input, InputAudio, Output, SearchUnits};
use domain::{Cost, NanoUsd};
use ledger::price::{Band, PriceRow, Served, TierPrices, price};
use wire::Dialect::OpenAiChat;
use wire::Seen;
use wire::usage::rerank_usage;

use super::{AT, nano_usd, prices, row, streamed, usage, whole};

fn mini() -> PriceRow {
    row("openai", "mini", &[(Input, "1.25"), (CacheRead, "0.125"), (Output, "10")])
}

fn completion(usage: &str) -> Seen {
    let body = r#"{"id":"c","object":"chat.completion","model":"v","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":USAGE}"#;
    whole(OpenAiChat, &body.replace("USAGE", usage))
}

const WORD: &str =
    r#"{"id":"c","object":"chat.completion.chunk","model":"v","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;

/// A stream whose last chunk has this usage, beside a choice or not.
fn chunks(choices: &str, usage: &str) -> Seen {
    let last = r#"{"id":"c","object":"chat.completion.chunk","model":"v","choices":CHOICES,"usage":USAGE}"#;
    streamed(OpenAiChat, &[WORD, &last.replace("CHOICES", choices).replace("USAGE", usage), "[DONE]"])
}

#[test]
fn litellm_36168_usage_beside_a_choice_keeps_its_cached_tokens() {
    // As it came over the wire; the gateway that was wrong booked four times the cost of the whole answer.
    let told = r#"{"completion_tokens":2,"prompt_tokens":16111,"total_tokens":16113,"completion_tokens_details":{"reasoning_tokens":0},"prompt_tokens_details":{"cached_tokens":15872}}"#;
    let flash = row("tensorx", "flash", &[(Input, "0.14"), (CacheRead, "0.028"), (Output, "0.28")]);
    // 239 × 140 + 15872 × 28 + 2 × 280 = 33 460 + 444 416 + 560
    for seen in [chunks(r#"[{"index":0,"delta":{}}]"#, told), chunks("[]", told), completion(told)] {
        assert_eq!(nano_usd(&seen, &flash), 478_436);
    }
}

#[test]
fn litellm_36943_the_last_usage_of_a_stream_replaces_the_first() {
    let first = r#"{"id":"c","object":"chat.completion.chunk","model":"v","choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":{"prompt_tokens":100,"completion_tokens":0,"total_tokens":100}}"#;
    let last = r#"{"id":"c","object":"chat.completion.chunk","model":"v","choices":[],"usage":{"prompt_tokens":800,"completion_tokens":40,"total_tokens":840}}"#;
    let seen = streamed(OpenAiChat, &[first, last, "[DONE]"]);
    // 800 × 1250 + 40 × 10000
    assert_eq!(nano_usd(&seen, &mini()), 1_400_000);
}

#[test]
fn langfuse_10592_cached_tokens_are_taken_out_of_the_prompt() {
    let seen =
        completion(r#"{"prompt_tokens":17903,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":17817}}"#);
    assert_eq!((usage(&seen).get(Input), usage(&seen).input_tokens()), (86, 17_903));
    // 86 × 1250 + 17817 × 125 + 10 × 10000 = 107 500 + 2 227 125 + 100 000
    assert_eq!(nano_usd(&seen, &mini()), 2_434_625);
}

#[test]
fn langfuse_5568_the_second_call_with_a_warm_cache_is_cheaper_and_no_longer() {
    let first =
        completion(r#"{"prompt_tokens":1999,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":0}}"#);
    let second =
        completion(r#"{"prompt_tokens":1999,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":1792}}"#);
    assert_eq!(usage(&first).input_tokens(), usage(&second).input_tokens());
    // 1999 × 1250, then 207 × 1250 + 1792 × 125 = 258 750 + 224 000
    assert_eq!((nano_usd(&first, &mini()), nano_usd(&second, &mini())), (2_498_750, 482_750));
}

#[test]
fn bifrost_904_cached_tokens_have_their_own_price() {
    // 51,232 fresh and 1,188,096 cached: about 0.34 USD, where 1.68 was booked.
    let seen = completion(
        r#"{"prompt_tokens":1239328,"completion_tokens":12909,"prompt_tokens_details":{"cached_tokens":1188096}}"#,
    );
    // 51232 × 1250 + 1188096 × 125 + 12909 × 10000 = 64 040 000 + 148 512 000 + 129 090 000
    assert_eq!(nano_usd(&seen, &mini()), 341_642_000);
}

#[test]
fn litellm_37407_a_cached_token_of_audio_is_billed_once() {
    let listed = [(Input, "4"), (CacheRead, "0.4"), (InputAudio, "32"), (CacheReadAudio, "0.4"), (Output, "16")];
    let audio = row("openai", "audio", &listed);
    let seen = completion(
        r#"{"prompt_tokens":100,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":60,"audio_tokens":50,"text_tokens":50,"cached_tokens_details":{"audio_tokens":30,"text_tokens":30}}}"#,
    );
    // 30 cached audio × 400, 30 cached text × 400, 20 audio × 32000, 20 text × 4000 = 12 000 + 12 000 + 640 000 + 80 000
    assert_eq!((usage(&seen).input_tokens(), nano_usd(&seen, &audio)), (100, 744_000));
}

#[test]
fn litellm_37992_a_zero_that_is_told_stays_zero() {
    let told = r#"{"prompt_tokens":10,"completion_tokens":0,"total_tokens":10}"#;
    // 10 × 1250
    for seen in [completion(told), chunks("[]", told)] {
        assert_eq!((usage(&seen).get(Output), nano_usd(&seen, &mini())), (0, 12_500));
    }
}

#[test]
fn litellm_14457_30630_33736_a_cancelled_stream_with_running_usage_costs_what_was_told_last() {
    let running = |tokens: u32| {
        format!(
            r#"{{"id":"c","object":"chat.completion.chunk","model":"v","choices":[{{"index":0,"delta":{{"content":"a"}}}}],"usage":{{"prompt_tokens":50,"completion_tokens":{tokens},"total_tokens":{}}}}}"#,
            50 + tokens
        )
    };
    let seen = streamed(OpenAiChat, &[&running(1), &running(2), &running(3)]);
    // 50 × 1250 + 3 × 10000
    assert_eq!((nano_usd(&seen, &mini()), seen.ended), (92_500, false));
}

#[test]
fn litellm_40002_bifrost_4917_pain_8_above_272k_tokens_the_dearer_price_holds_for_the_whole_request() {
    let mut pro = row("openai", "pro", &[(Input, "2.5"), (CacheRead, "0.25"), (Output, "15")]);
    let long = prices(&[(Input, "5"), (CacheRead, "0.5"), (Output, "22.5")]);
    pro.bands.push(Band { above_input_tokens: 272_000, prices: long });
    let told = |prompt: u32| {
        completion(&format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":100,"prompt_tokens_details":{{"cached_tokens":270000}}}}"#
        ))
    };
    // 2000 × 2500 + 270000 × 250 + 100 × 15000 = 5 000 000 + 67 500 000 + 1 500 000
    assert_eq!(nano_usd(&told(272_000), &pro), 74_000_000);
    // 2001 × 5000 + 270000 × 500 + 100 × 22500 = 10 005 000 + 135 000 000 + 2 250 000
    assert_eq!(nano_usd(&told(272_001), &pro), 147_255_000);
}

#[test]
fn litellm_38615_pain_8_a_promotions_price_ends_with_its_last_day() {
    use domain::UnixMs;
    use ledger::PriceBook;
    let promotion = PriceRow { to: Some(AT), ..row("p", "m", &[(Input, "2.4")]) };
    let after = PriceRow { id: "p/m@after".into(), from: AT, ..row("p", "m", &[(Input, "3")]) };
    let book = PriceBook::new(vec![promotion, after]).unwrap();
    let used = usage(&completion(r#"{"prompt_tokens":1000,"completion_tokens":0}"#));
    let booked = |at| price(&used, book.row(at), &Served::standard(at)).booked();
    // 1000 × 2400 before, 1000 × 3000 from then on
    assert_eq!((booked(UnixMs(AT.0 - 1)), booked(AT)), (NanoUsd(2_400_000), NanoUsd(3_000_000)));
}

#[test]
fn litellm_27588_pain_9_what_the_provider_says_it_cost_stands_beside_ours() {
    let seen = completion(r#"{"prompt_tokens":1000,"completion_tokens":0,"cost":0.00131}"#);
    // 1000 × 1250
    assert_eq!((nano_usd(&seen, &mini()), seen.provider_cost), (1_250_000, Some(NanoUsd(1_310_000))));
}

#[test]
fn litellm_7258_pain_7_a_ranking_is_not_free() {
    let used = rerank_usage(br#"{"results":[],"meta":{"billed_units":{"search_units":3}}}"#).unwrap().usage;
    let ranker = row("bedrock", "rerank", &[(SearchUnits, "2000")]);
    // 3 × 2 000 000
    assert_eq!(price(&used, Some(&ranker), &Served::standard(AT)).booked(), NanoUsd(6_000_000));
}

#[test]
fn pain_10_tokens_without_a_price_are_an_alarm_and_never_zero() {
    let used = usage(&completion(r#"{"prompt_tokens":10,"completion_tokens":2}"#));
    let cost = price(&used, None, &Served::standard(AT));
    assert_eq!(cost, Cost::Unpriced { lines: vec![], missing: vec![Meter::Input, Meter::Output] });
}

#[test]
fn dimension_3_the_tier_that_served_is_billed_and_not_the_one_asked() {
    let mut row = mini();
    let flex = prices(&[(Input, "0.625"), (Output, "5")]);
    row.tiers.push(TierPrices { tier: "flex".into(), prices: flex, bands: Vec::new() });
    let body = |tier: &str| {
        format!(
            r#"{{"id":"c","object":"chat.completion","model":"v","service_tier":"{tier}","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hi"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1000,"completion_tokens":10}}}}"#
        )
    };
    // 1000 × 625 + 10 × 5000, and 1000 × 1250 + 10 × 10000 where the provider fell back to its default tier
    assert_eq!(nano_usd(&whole(OpenAiChat, &body("flex")), &row), 675_000);
    assert_eq!(nano_usd(&whole(OpenAiChat, &body("default")), &row), 1_350_000);
}
