//! Reads OpenAI-shaped usage, whose prompt tokens include what the cache served and whose completion includes reasoning.
//! Chat says `prompt` and `completion` where Responses says `input` and `output`; the figures mean the same.

use domain::{Meter, NanoUsd, Usage};

use super::Reported;
use super::decimal::nano_usd;
use crate::cursor::{Bad, Cursor};

/// Splits an OpenAI `usage` object (its JSON text). `None` when it is no object or counts nothing we know.
pub fn openai_usage(json: &[u8]) -> Option<Reported> {
    let mut counts = Counts::default();
    let mut cursor = Cursor::new(json);
    counts.read(&mut cursor).ok()?;
    (counts.prompt.is_some() || counts.completion.is_some() || counts.total.is_some()).then(|| counts.reported())
}

/// Searches the provider ran, as `tool_usage` of a Responses answer counts them; they are billed beside the tokens.
pub(crate) fn web_searches(tool_usage: &[u8]) -> u64 {
    let (mut cursor, mut count) = (Cursor::new(tool_usage), 0);
    let read = cursor.object(|cursor, member| {
        if &*member.key.name(tool_usage) != b"web_search" || cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            match &*member.key.name(tool_usage) {
                b"num_requests" => count = cursor.count_or_skip()?.unwrap_or(0),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    });
    read.map_or(0, |_| count)
}

/// The figures as they stand in the object.
#[derive(Default)]
struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    /// What the prompt's details say. Cached audio is inside `cached` and inside `input_audio`.
    cached: u64,
    cached_audio: u64,
    cached_image: u64,
    cache_write: u64,
    /// Of these, stored for twelve hours.
    cache_write_12h: u64,
    input_text: Option<u64>,
    input_audio: u64,
    input_image: u64,
    /// What the completion's details say.
    reasoning: u64,
    output_text: Option<u64>,
    output_audio: u64,
    output_image: u64,
    rejected_prediction: u64,
    cost: Option<NanoUsd>,
    upstream_cost: Option<NanoUsd>,
    own_key: bool,
}

/// Dollars as a number.
fn amount(cursor: &mut Cursor<'_>) -> Result<Option<NanoUsd>, Bad> {
    let span = cursor.value()?;
    Ok(std::str::from_utf8(&cursor.bytes()[span]).ok().and_then(nano_usd))
}

/// Ten ticks are a nano-dollar; half to even.
fn ticks(ticks: u64) -> Option<NanoUsd> {
    let (whole, rest) = (ticks / 10, ticks % 10);
    let up = rest > 5 || (rest == 5 && whole % 2 == 1);
    i64::try_from(whole + u64::from(up)).ok().map(NanoUsd)
}

impl Counts {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"prompt_tokens" | b"input_tokens" => self.prompt = cursor.count_or_skip()?,
                b"completion_tokens" | b"output_tokens" => self.completion = cursor.count_or_skip()?,
                b"total_tokens" => self.total = cursor.count_or_skip()?,
                // Transcriptions say `input_token_details`.
                b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
                    return self.prompt_details(cursor);
                }
                // Realtime says `output_token_details`.
                b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
                    return self.completion_details(cursor);
                }
                // DeepSeek's name beside the details, and Moonshot's.
                b"prompt_cache_hit_tokens" | b"cached_tokens" => {
                    self.cached = self.cached.max(cursor.count_or_skip()?.unwrap_or(0));
                }
                // Perplexity puts the sum among its parts.
                b"cost" if cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        match &*member.key.name(cursor.bytes()) {
                            b"total_cost" => self.cost = amount(cursor)?,
                            _ => cursor.skip()?,
                        }
                        Ok(())
                    })?;
                }
                b"cost" => self.cost = amount(cursor)?,
                // xAI's ticks are tenths of a nano-dollar.
                b"cost_in_usd_ticks" => self.cost = cursor.count_or_skip()?.and_then(ticks).or(self.cost),
                // OpenRouter: on a key of one's own the provider's bill comes beside OpenRouter's.
                b"is_byok" => {
                    let span = cursor.value()?;
                    self.own_key = &cursor.bytes()[span] == b"true";
                }
                b"cost_details" if cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        match &*member.key.name(cursor.bytes()) {
                            b"upstream_inference_cost" => self.upstream_cost = amount(cursor)?,
                            _ => cursor.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn prompt_details(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"cached_tokens" => self.cached = self.cached.max(cursor.count_or_skip()?.unwrap_or(0)),
                // OpenAI's and OpenRouter's name, and LiteLLM's.
                b"cache_write_tokens" | b"cache_creation_tokens" => {
                    self.cache_write = self.cache_write.max(cursor.count_or_skip()?.unwrap_or(0));
                }
                // Where a lifetime was asked for, how much was stored for which: half an hour, or twelve.
                b"cache_write_tokens_details" if cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        match &*member.key.name(cursor.bytes()) {
                            b"ttl_12h_tokens" => self.cache_write_12h = cursor.count_or_skip()?.unwrap_or(0),
                            _ => cursor.skip()?,
                        }
                        Ok(())
                    })?;
                }
                b"text_tokens" => self.input_text = cursor.count_or_skip()?,
                b"audio_tokens" => self.input_audio = cursor.count_or_skip()?.unwrap_or(0),
                b"image_tokens" => self.input_image = cursor.count_or_skip()?.unwrap_or(0),
                b"cached_tokens_details" if cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        match &*member.key.name(cursor.bytes()) {
                            b"audio_tokens" => self.cached_audio = cursor.count_or_skip()?.unwrap_or(0),
                            b"image_tokens" => self.cached_image = cursor.count_or_skip()?.unwrap_or(0),
                            _ => cursor.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn completion_details(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"reasoning_tokens" => self.reasoning = cursor.count_or_skip()?.unwrap_or(0),
                b"text_tokens" => self.output_text = cursor.count_or_skip()?,
                b"audio_tokens" => self.output_audio = cursor.count_or_skip()?.unwrap_or(0),
                b"image_tokens" => self.output_image = cursor.count_or_skip()?.unwrap_or(0),
                b"rejected_prediction_tokens" => {
                    self.rejected_prediction = cursor.count_or_skip()?.unwrap_or(0);
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    /// What the provider says the answer cost in all.
    fn total_cost(&self) -> Option<NanoUsd> {
        let beside = self.upstream_cost.filter(|_| self.own_key);
        match (self.cost, beside) {
            (Some(cost), Some(beside)) => Some(cost.saturating_add(beside)),
            (cost, beside) => cost.or(beside),
        }
    }

    fn reported(&self) -> Reported {
        let mut usage = Usage::ZERO;
        let prompt = self.prompt.unwrap_or(0);
        let cached_audio = self.cached_audio.min(self.cached);
        let mut input = Part { total: prompt, left: prompt };
        usage.set(Meter::CacheReadAudio, input.take(cached_audio));
        let cached_image = self.cached_image.min(self.cached - cached_audio);
        usage.set(Meter::CacheReadImage, input.take(cached_image));
        usage.set(Meter::CacheRead, input.take(self.cached - cached_audio - cached_image));
        let for_long = self.cache_write_12h.min(self.cache_write);
        usage.set(Meter::CacheWrite12h, input.take(for_long));
        usage.set(Meter::CacheWrite5m, input.take(self.cache_write - for_long));
        usage.set(Meter::InputAudio, input.take(self.input_audio.saturating_sub(cached_audio)));
        usage.set(Meter::InputImage, input.take(self.input_image.saturating_sub(self.cached_image)));
        usage.set(Meter::Input, input.left);
        let mut residue = input.unexplained(self.input_text, self.input_audio + self.input_image);

        // Some servers count reasoning beside the completion, and then the total tells: it is more than the two.
        let completion = self.completion.unwrap_or(0);
        let beside = self.total.unwrap_or(0).saturating_sub(prompt.saturating_add(completion));
        let reasoning_beside = self.reasoning > 0 && beside >= self.reasoning;
        let mut output = Part { total: completion, left: completion };
        usage.set(Meter::Reasoning, if reasoning_beside { self.reasoning } else { output.take(self.reasoning) });
        usage.set(Meter::OutputAudio, output.take(self.output_audio));
        usage.set(Meter::OutputImage, output.take(self.output_image));
        usage.set(Meter::RejectedPrediction, output.take(self.rejected_prediction));
        let inside = if reasoning_beside { 0 } else { self.reasoning };
        residue += output
            .unexplained(self.output_text, inside + self.output_audio + self.output_image + self.rejected_prediction);
        let unnamed = if reasoning_beside { beside - self.reasoning } else { beside };
        usage.set(Meter::Output, output.left.saturating_add(unnamed));
        Reported { residue: residue.saturating_add(unnamed), cost: self.total_cost(), ..Reported::of(usage) }
    }
}

/// A total from which details are taken, never more than it has.
struct Part {
    total: u64,
    left: u64,
}

impl Part {
    fn take(&mut self, count: u64) -> u64 {
        let taken = count.min(self.left);
        self.left -= taken;
        taken
    }

    /// How much of the total the details leave open, where they claim to name the text too.
    fn unexplained(&self, text: Option<u64>, others: u64) -> u64 {
        text.filter(|text| *text > 0)
            .map_or(0, |text| self.total.saturating_sub(text.saturating_add(others)))
            .min(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(json: &str) -> Reported {
        openai_usage(json.as_bytes()).unwrap()
    }

    #[test]
    fn cached_and_reasoning_tokens_are_taken_out_of_the_totals() {
        let read = split(
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
                "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10,"audio_tokens":5},
                "completion_tokens_details":{"reasoning_tokens":30,"audio_tokens":4,"accepted_prediction_tokens":3,"rejected_prediction_tokens":2}}"#,
        );
        let expected = Usage::ZERO
            .with(Meter::Input, 25)
            .with(Meter::CacheRead, 60)
            .with(Meter::CacheWrite5m, 10)
            .with(Meter::InputAudio, 5)
            .with(Meter::Output, 14)
            .with(Meter::Reasoning, 30)
            .with(Meter::OutputAudio, 4)
            .with(Meter::RejectedPrediction, 2);
        assert_eq!((read.usage, read.residue), (expected, 0));
    }

    #[test]
    fn responses_say_the_same_in_other_words() {
        let read = split(
            r#"{"input_tokens":75,"input_tokens_details":{"cached_tokens":32,"cache_write_tokens":0},
                "output_tokens":1186,"output_tokens_details":{"reasoning_tokens":1024},"total_tokens":1261}"#,
        );
        let expected = Usage::ZERO
            .with(Meter::Input, 43)
            .with(Meter::CacheRead, 32)
            .with(Meter::Output, 162)
            .with(Meter::Reasoning, 1024);
        assert_eq!((read.usage, read.residue), (expected, 0));
    }

    #[test]
    fn searches_are_counted_where_the_provider_says_how_many() {
        let count = |json: &str| web_searches(json.as_bytes());
        assert_eq!(count(r#"{"image_gen":{"input_tokens":1},"web_search":{"num_requests":2}}"#), 2);
        for none in ["null", "{}", "[]", "{", r#"{"web_search":null}"#, r#"{"web_search":{"num_requests":"x"}}"#] {
            assert_eq!(count(none), 0, "{none}");
        }
    }

    #[test]
    fn deepseek_names_the_cache_beside_the_details() {
        let read = split(
            r#"{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}"#,
        );
        assert_eq!((read.usage.get(Meter::CacheRead), read.usage.get(Meter::Input)), (8, 2));
    }

    #[test]
    fn embeddings_have_only_a_prompt() {
        let read = split(r#"{"prompt_tokens":8,"total_tokens":8}"#);
        assert_eq!(read.usage, Usage::ZERO.with(Meter::Input, 8));
    }

    #[test]
    fn what_the_details_leave_open_is_a_residue_on_the_base_meter() {
        let read = split(
            r#"{"prompt_tokens":100,"completion_tokens":9,"prompt_tokens_details":{"text_tokens":70,"audio_tokens":20}}"#,
        );
        assert_eq!((read.usage.get(Meter::Input), read.usage.get(Meter::InputAudio), read.residue), (80, 20, 10));
    }

    #[test]
    fn details_that_say_more_than_the_total_never_add_tokens() {
        let read = split(
            r#"{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":50},"completion_tokens_details":{"reasoning_tokens":9}}"#,
        );
        assert_eq!((read.usage.input_tokens(), read.usage.output_tokens()), (10, 2));
    }

    #[test]
    fn reasoning_counted_beside_the_completion_is_billed_too() {
        let read = split(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":45,"completion_tokens_details":{"reasoning_tokens":30}}"#,
        );
        assert_eq!((read.usage.get(Meter::Output), read.usage.get(Meter::Reasoning), read.residue), (5, 30, 0));
        let unnamed = split(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":45}"#);
        assert_eq!((unnamed.usage.get(Meter::Output), unnamed.residue), (35, 30));
    }

    #[test]
    fn zero_is_a_value_and_nothing_is_not() {
        assert_eq!(split(r#"{"prompt_tokens":0,"completion_tokens":0}"#).usage, Usage::ZERO);
        for nothing in ["{}", "null", "[]", "7", r#"{"prompt_tokens":null}"#, "{"] {
            assert_eq!(openai_usage(nothing.as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn every_way_of_telling_a_cost_is_read() {
        let cost = |more: &str| split(&format!(r#"{{"prompt_tokens":1,{more}}}"#)).cost;
        // docs.x.ai: 37,756,000 ticks are 0.0037756 USD.
        assert_eq!(cost(r#""cost_in_usd_ticks":37756000"#), Some(NanoUsd(3_775_600)));
        assert_eq!((ticks(25), ticks(35), ticks(26)), (Some(NanoUsd(2)), Some(NanoUsd(4)), Some(NanoUsd(3))));
        assert_eq!(
            cost(r#""cost":{"input_tokens_cost":0.1,"request_cost":0.006,"total_cost":0.106}"#),
            Some(NanoUsd(106_000_000))
        );
        let own_key = r#""cost":0.001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.02}"#;
        assert_eq!(cost(own_key), Some(NanoUsd(21_000_000)));
        assert_eq!(cost(&own_key.replace("true", "false")), Some(NanoUsd(1_000_000)));
    }

    #[test]
    fn cached_pictures_and_long_writes_are_meters_of_their_own() {
        let read = split(
            r#"{"input_tokens":100,"output_tokens":1,"input_tokens_details":{"cached_tokens":60,"image_tokens":50,
                "cached_tokens_details":{"image_tokens":40,"text_tokens":20},
                "cache_write_tokens":20,"cache_write_tokens_details":{"ttl_30m_tokens":5,"ttl_12h_tokens":15}}}"#,
        );
        let expected = Usage::ZERO
            .with(Meter::CacheReadImage, 40)
            .with(Meter::CacheRead, 20)
            .with(Meter::CacheWrite12h, 15)
            .with(Meter::CacheWrite5m, 5)
            .with(Meter::InputImage, 10)
            .with(Meter::Input, 10)
            .with(Meter::Output, 1);
        assert_eq!((read.usage, read.residue), (expected, 0));
    }

    #[test]
    fn a_cost_is_read_to_the_nano_dollar() {
        assert_eq!(split(r#"{"prompt_tokens":1,"cost":9.5e-06}"#).cost, Some(NanoUsd(9_500)));
        assert_eq!(split(r#"{"prompt_tokens":1,"cost":null}"#).cost, None);
    }

    proptest! {
        #[test]
        fn the_partition_sums_to_what_was_reported(p in 0u64..1000, c in 0u64..1000, cached in 0u64..1000, write in 0u64..1000, audio in 0u64..1000, reasoning in 0u64..1000, rejected in 0u64..1000) {
            let json = format!(r#"{{"prompt_tokens":{p},"completion_tokens":{c},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{write},"audio_tokens":{audio}}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"rejected_prediction_tokens":{rejected}}}}}"#, p + c);
            let read = split(&json);
            prop_assert_eq!((read.usage.input_tokens(), read.usage.output_tokens()), (p, c));
        }
    }
}
