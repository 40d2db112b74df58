//! Reads and writes a whole message.

use std::borrow::Cow;

use domain::{Fault, Meter, Usage};
use serde_json::value::RawValue;

use super::blocks;
use crate::canonical::common::write_input;
use crate::canonical::json::{Fields, Object, object};
use crate::canonical::{Answer, Content, Cover, Finish, FinishReason, Losses, malformed};
use crate::usage::anthropic_usage;

/// Fields of an answer that other dialects have no counterpart for, and why.
pub(super) const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("container", "containers for code exist only at their provider"),
    ("context_management", "clearing of context has no counterpart elsewhere"),
    ("stop_details", "why the model declined has no place elsewhere"),
];

pub(super) fn read<'a>(body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no JSON object"))?;
    let mut answer = Answer { id: fields.take_text("id").filter(|id| !id.is_empty()), ..Answer::default() };
    for known in ["type", "role", "model"] {
        fields.take(known);
    }
    let content = fields.take("content").ok_or_else(|| malformed("the answer has no content"))?;
    answer.parts = blocks::read(content, "/content", losses).map_err(|fault| malformed(&fault.message))?;
    let stop_sequence = fields.take_text("stop_sequence");
    answer.finish = fields.take_text("stop_reason").map(|word| finish(word, stop_sequence, losses));
    if let Some(usage) = fields.take("usage") {
        answer.usage = anthropic_usage(usage.get().as_bytes());
        answer.service_tier = service_tier(usage);
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(answer)
}

/// The tier named in a usage, or the fast mode, which has prices of its own whatever the tier.
pub(super) fn service_tier<'a>(usage: &'a RawValue) -> Option<Cow<'a, str>> {
    let mut usage = Fields::read(usage.get(), "")?;
    let tier = usage.take_text("service_tier");
    usage.take_text("speed").filter(|speed| speed == "fast").or(tier)
}

/// What the end comes down to.
pub(super) fn finish<'a>(word: Cow<'a, str>, stop_sequence: Option<Cow<'a, str>>, losses: &mut Losses) -> Finish<'a> {
    let reason = match word.as_ref() {
        "end_turn" => FinishReason::Stop,
        "stop_sequence" => FinishReason::StopSequence,
        "max_tokens" => FinishReason::Length,
        "model_context_window_exceeded" => FinishReason::ContextFull,
        "tool_use" => FinishReason::ToolUse,
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::Pause,
        _ => {
            losses.approximated("/stop_reason", "the word is not known to the translation; put as a plain end");
            FinishReason::Stop
        }
    };
    Finish { reason, word, stop_sequence }
}

pub(super) fn write(answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8> {
    let id = answer.id.as_deref().unwrap_or(&cover.id);
    let (mut calls, mut refused) = (0, false);
    let mut out = Vec::new();
    object(&mut out, |body| {
        body.put("id", id);
        body.put("type", "message");
        body.put("role", "assistant");
        body.put("model", &cover.model);
        body.list("content", |list| {
            for part in &answer.parts {
                match &part.content {
                    Content::Text(text) | Content::Refusal(text) => {
                        refused |= matches!(part.content, Content::Refusal(_));
                        list.object(|block| {
                            block.put("type", "text");
                            block.put("text", text);
                        });
                    }
                    Content::Thinking { text, signature } => list.object(|block| {
                        block.put("type", "thinking");
                        block.put("thinking", text);
                        // SDKs require one; there is none from a provider that does not sign.
                        block.put("signature", &cover.maker.tagged(signature.as_deref().unwrap_or_default()));
                    }),
                    Content::ToolUse { id: call, name, arguments } => {
                        let made = made_tool_id(id, calls);
                        calls += 1;
                        list.object(|block| {
                            block.put("type", "tool_use");
                            block.put("id", if call.is_empty() { made.as_str() } else { call.as_ref() });
                            block.put("name", name);
                            write_input(block, arguments, &part.at, losses);
                        });
                    }
                    _ => losses.dropped(&part.at, "an answer is text, thoughts and calls here"),
                }
            }
        });
        body.put("stop_reason", stop_word(answer.finish.as_ref(), calls > 0, refused));
        body.put("stop_sequence", &answer.finish.as_ref().and_then(|finish| finish.stop_sequence.as_ref()));
        if answer.usage.is_none() {
            losses.approximated("/usage", "the provider reported no usage; SDKs require one, so it says zero");
        }
        let usage = answer.usage.as_ref().map_or(Usage::ZERO, |reported| reported.usage);
        body.object("usage", |written| {
            write_usage(written, &usage, answer.service_tier.as_deref().and_then(tier_word))
        });
    });
    out
}

/// The id of a call whose provider gave none.
pub(super) fn made_tool_id(answer_id: &str, ordinal: u32) -> String {
    let kept: String =
        answer_id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect();
    format!("toolu_{kept}_{ordinal}")
}

/// The dialect's word for the end. OpenAI says `stop` for a call that had to be made, and for a refusal in words.
pub(super) fn stop_word(finish: Option<&Finish<'_>>, calls: bool, refused: bool) -> &'static str {
    match finish.map_or(FinishReason::Stop, |finish| finish.reason) {
        FinishReason::Stop if refused => "refusal",
        FinishReason::Stop | FinishReason::ToolUse if calls => "tool_use",
        FinishReason::Stop | FinishReason::ToolUse => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ContextFull => "model_context_window_exceeded",
        FinishReason::Refusal => "refusal",
        FinishReason::Pause => "pause_turn",
    }
}

/// Writes the members of a usage: here the input excludes what the cache served and stored.
pub(super) fn write_usage(written: &mut Object<'_>, usage: &Usage, service_tier: Option<&str>) {
    let sum = |meters: &[Meter]| meters.iter().map(|meter| usage.get(*meter)).sum::<u64>();
    // The dialect has no longer lifetime than an hour to name.
    let (short, long) = (usage.get(Meter::CacheWrite5m), sum(&[Meter::CacheWrite1h, Meter::CacheWrite12h]));
    let read = sum(&[Meter::CacheRead, Meter::CacheReadAudio, Meter::CacheReadImage]);
    written.put("input_tokens", &usage.input_tokens().saturating_sub(read + short + long));
    written.put("cache_creation_input_tokens", &(short + long));
    written.put("cache_read_input_tokens", &read);
    if short + long > 0 {
        written.object("cache_creation", |split| {
            split.put("ephemeral_5m_input_tokens", &short);
            split.put("ephemeral_1h_input_tokens", &long);
        });
    }
    written.put("output_tokens", &usage.output_tokens());
    let thinking = usage.get(Meter::Reasoning);
    if thinking > 0 {
        written.object("output_tokens_details", |details| details.put("thinking_tokens", &thinking));
    }
    written.put_some("service_tier", service_tier);
}

/// The dialect's word for the tier that served.
pub(super) fn tier_word(tier: &str) -> Option<&'static str> {
    match tier {
        "default" => Some("standard"),
        "priority" => Some("priority"),
        _ => None,
    }
}
