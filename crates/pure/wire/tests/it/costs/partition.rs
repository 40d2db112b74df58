//! What every reader of usage promises: no count of a provider is dropped or counted twice, whatever its details say.

use domain::Meter;
use domain::usage::Direction;
use ledger::price::{PriceRow, Prices, Served, price};
use proptest::prelude::*;
use wire::usage::{Reported, anthropic_usage, bedrock_usage, gemini_usage, openai_usage};

use super::AT;

/// A row that prices every token at one nano-dollar, so that a cost is a count.
fn a_nano_dollar_each() -> PriceRow {
    let tokens = Meter::ALL.iter().filter(|meter| meter.direction() != Direction::Apiece);
    let prices = tokens.fold(Prices::NONE, |prices, meter| prices.with(*meter, domain::PicoUsd(1_000)));
    PriceRow::new("each", "p", "m", prices)
}

fn counted(reported: Option<Reported>) -> (i64, u64) {
    let reported = reported.expect("a usage");
    (price(&reported.usage, Some(&a_nano_dollar_each()), &Served::standard(AT)).booked().0, reported.residue)
}

proptest! {
    #[test]
    fn every_token_of_anthropic_is_priced_once_and_what_the_split_leaves_open_is_told(
        input in 0u64..1000, read in 0u64..1000, written in 0u64..1000, short in 0u64..600, long in 0u64..600,
        output in 0u64..1000, thinking in 0u64..2000,
    ) {
        let (cost, residue) = counted(anthropic_usage(format!(
            r#"{{"input_tokens":{input},"cache_read_input_tokens":{read},"cache_creation_input_tokens":{written},
                "cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{long}}},
                "output_tokens":{output},"output_tokens_details":{{"thinking_tokens":{thinking}}}}}"#).as_bytes()));
        // Where the split says more than the total, the split is believed: tokens were written under both names.
        let split = short + long;
        prop_assert_eq!(cost.unsigned_abs(), input + read + written.max(split) + output);
        prop_assert_eq!(residue, if split == 0 { 0 } else { written.saturating_sub(split) });
    }

    #[test]
    fn every_token_of_bedrock_is_priced_once_and_what_the_split_leaves_open_is_told(
        input in 0u64..1000, read in 0u64..1000, written in 0u64..1000, short in 0u64..600, long in 0u64..600, output in 0u64..1000,
    ) {
        let (cost, residue) = counted(bedrock_usage(format!(
            r#"{{"inputTokens":{input},"cacheReadInputTokens":{read},"cacheWriteInputTokens":{written},"outputTokens":{output},
                "cacheDetails":[{{"ttl":"5m","inputTokens":{short}}},{{"ttl":"1h","inputTokens":{long}}}]}}"#).as_bytes()));
        let split = short + long;
        prop_assert_eq!(cost.unsigned_abs(), input + read + written.max(split) + output);
        prop_assert_eq!(residue, if split == 0 { 0 } else { written.saturating_sub(split) });
    }

    #[test]
    fn every_token_of_openai_is_priced_once_and_what_the_total_knows_more_is_told(
        prompt in 0u64..1000, completion in 0u64..1000, more in 0u64..50, cached in 0u64..2000, written in 0u64..2000,
        audio in 0u64..2000, image in 0u64..2000, cached_audio in 0u64..2000, reasoning in 100u64..2000, rejected in 0u64..2000,
    ) {
        let (cost, residue) = counted(openai_usage(format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{},"prompt_tokens_details":{{
                "cached_tokens":{cached},"cache_write_tokens":{written},"audio_tokens":{audio},"image_tokens":{image},
                "cached_tokens_details":{{"audio_tokens":{cached_audio}}}}},
                "completion_tokens_details":{{"reasoning_tokens":{reasoning},"rejected_prediction_tokens":{rejected}}}}}"#,
            prompt + completion + more).as_bytes()));
        prop_assert_eq!((cost.unsigned_abs(), residue), (prompt + completion + more, more));
    }

    #[test]
    fn every_token_of_google_is_priced_once_and_what_the_total_knows_more_is_told(
        prompt in 0u64..1000, candidates in 0u64..1000, thoughts in 0u64..1000, tools in 0u64..1000, more in 0u64..50,
        cached in 0u64..2000, audio in 0u64..2000, image in 0u64..2000, cached_audio in 0u64..2000,
    ) {
        let (cost, residue) = counted(gemini_usage(format!(
            r#"{{"promptTokenCount":{prompt},"candidatesTokenCount":{candidates},"thoughtsTokenCount":{thoughts},
                "toolUsePromptTokenCount":{tools},"totalTokenCount":{},"cachedContentTokenCount":{cached},
                "promptTokensDetails":[{{"modality":"AUDIO","tokenCount":{audio}}},{{"modality":"IMAGE","tokenCount":{image}}}],
                "cacheTokensDetails":[{{"modality":"AUDIO","tokenCount":{cached_audio}}}]}}"#,
            prompt + candidates + thoughts + tools + more).as_bytes()));
        prop_assert_eq!((cost.unsigned_abs(), residue), (prompt + candidates + thoughts + tools + more, more));
    }
}
