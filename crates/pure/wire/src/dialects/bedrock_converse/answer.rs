//! Reads and writes a whole Converse answer.

use std::borrow::Cow;

use domain::{Fault, Meter, Usage};

use super::blocks;
use crate::canonical::common::write_input;
use crate::canonical::json::{Fields, Object, object};
use crate::canonical::{Answer, Content, Cover, Finish, FinishReason, Losses, malformed};
use crate::usage::bedrock_usage;

/// Fields of an answer that other dialects have no counterpart for, and why.
pub(super) const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("metrics", "the provider's own timings have no place elsewhere"),
    ("trace", "what a guardrail found has no place elsewhere"),
    ("additionalModelResponseFields", "the model's own fields have no place elsewhere"),
    ("performanceConfig", "how fast it was served has no place elsewhere"),
];

pub(super) fn read<'a>(body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no JSON object"))?;
    let output = fields.take("output").and_then(|output| Fields::read(output.get(), "/output"));
    let message = output.and_then(|mut output| Fields::read(output.take("message")?.get(), "/output/message"));
    let mut message = message.ok_or_else(|| malformed("the answer has no message"))?;
    message.take("role");
    let content = message.take("content").ok_or_else(|| malformed("the answer has no content"))?;
    let parts = blocks::read(content, "/output/message/content", losses).map_err(|fault| malformed(&fault.message))?;
    message.finish(losses, WITHOUT_COUNTERPART);
    let answer = Answer {
        parts,
        finish: fields.take_text("stopReason").map(|word| finish(word, losses)),
        usage: fields.take("usage").and_then(|usage| bedrock_usage(usage.get().as_bytes())),
        service_tier: service_tier(&mut fields),
        ..Answer::default()
    };
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(answer)
}

/// The tier that served.
pub(super) fn service_tier<'a>(fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    Fields::read(fields.take("serviceTier")?.get(), "")?.take_text("type")
}

/// What the end comes down to.
pub(super) fn finish<'a>(word: Cow<'a, str>, losses: &mut Losses) -> Finish<'a> {
    let reason = match word.as_ref() {
        "end_turn" => FinishReason::Stop,
        "stop_sequence" => FinishReason::StopSequence,
        "max_tokens" => FinishReason::Length,
        "model_context_window_exceeded" => FinishReason::ContextFull,
        "tool_use" => FinishReason::ToolUse,
        "guardrail_intervened" | "content_filtered" => FinishReason::Refusal,
        _ => {
            losses.approximated("/stopReason", "the word is not known to the translation; put as a plain end");
            FinishReason::Stop
        }
    };
    Finish { reason, word, stop_sequence: None }
}

pub(super) fn write(answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8> {
    let calls = answer.parts.iter().any(|part| matches!(part.content, Content::ToolUse { .. }));
    let refused = answer.parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
    let mut ordinal = 0;
    let mut out = Vec::new();
    object(&mut out, |body| {
        body.object("output", |output| {
            output.object("message", |message| {
                message.put("role", "assistant");
                message.list("content", |list| {
                    for part in &answer.parts {
                        match &part.content {
                            Content::Text(text) | Content::Refusal(text) => {
                                list.object(|block| block.put("text", text))
                            }
                            Content::Thinking { text, signature } => {
                                let signature = signature.as_deref().filter(|signature| !signature.is_empty());
                                let signature = signature.map(|signature| cover.maker.tagged(signature));
                                list.object(|block| {
                                    block.object("reasoningContent", |thought| {
                                        thought.object("reasoningText", |said| {
                                            said.put("text", text);
                                            said.put_some("signature", signature);
                                        });
                                    });
                                });
                            }
                            Content::ToolUse { id, name, arguments } => {
                                let made = format!("{}_{ordinal}", cover.id);
                                ordinal += 1;
                                list.object(|block| {
                                    block.object("toolUse", |call| {
                                        call.put("toolUseId", if id.is_empty() { made.as_str() } else { id.as_ref() });
                                        call.put("name", name);
                                        write_input(call, arguments, &part.at, losses);
                                    });
                                });
                            }
                            _ => losses.dropped(&part.at, "an answer is text, thoughts and calls here"),
                        }
                    }
                });
            });
        });
        body.put("stopReason", stop_word(answer.finish.as_ref(), calls, refused, losses));
        if answer.usage.is_none() {
            losses.approximated("/usage", "the provider reported no usage; SDKs require one, so it says zero");
        }
        let usage = answer.usage.as_ref().map_or(Usage::ZERO, |reported| reported.usage);
        body.object("usage", |written| write_usage(written, &usage, losses));
        // SDKs require the member; the gateway's own time is in its records.
        body.object("metrics", |metrics| metrics.put("latencyMs", &0));
        tier(body, answer.service_tier.as_deref());
    });
    out
}

/// Why a signature goes no further.
pub(super) const SIGNATURE: &str = "a signature is of use to its provider only";

/// Writes the tier that served, in the dialect's words.
pub(super) fn tier(body: &mut Object<'_>, tier: Option<&str>) {
    let word = match tier {
        Some("default" | "standard") => "default",
        Some("priority") => "priority",
        Some("flex") => "flex",
        _ => return,
    };
    body.object("serviceTier", |tier| tier.put("type", word));
}

/// The dialect's word for the end.
pub(super) fn stop_word(finish: Option<&Finish<'_>>, calls: bool, refused: bool, losses: &mut Losses) -> &'static str {
    match finish.map_or(FinishReason::Stop, |finish| finish.reason) {
        FinishReason::Stop if refused => "content_filtered",
        // OpenAI says `stop` for a call that had to be made.
        FinishReason::Stop | FinishReason::ToolUse if calls => "tool_use",
        FinishReason::Stop | FinishReason::ToolUse => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ContextFull => "model_context_window_exceeded",
        FinishReason::Refusal => "content_filtered",
        FinishReason::Pause => {
            losses.approximated("/stopReason", "a paused turn is put as a plain end");
            "end_turn"
        }
    }
}

/// Writes the members of a usage: here the input excludes what the cache served and stored.
pub(super) fn write_usage(written: &mut Object<'_>, usage: &Usage, losses: &mut Losses) {
    losses.thinking_within_output(usage);
    let (short, long) = (usage.get(Meter::CacheWrite5m), usage.get(Meter::CacheWrite1h));
    let longest = usage.get(Meter::CacheWrite12h);
    let sum = |meters: &[Meter]| meters.iter().map(|meter| usage.get(*meter)).fold(0, u64::saturating_add);
    let read = sum(&[Meter::CacheRead, Meter::CacheReadAudio, Meter::CacheReadImage]);
    let stored = short.saturating_add(long).saturating_add(longest);
    let (input, output) = (usage.input_tokens(), usage.output_tokens());
    written.put("inputTokens", &input.saturating_sub(read.saturating_add(stored)));
    written.put("outputTokens", &output);
    written.put("totalTokens", &input.saturating_add(output));
    written.put("cacheReadInputTokens", &read);
    written.put("cacheWriteInputTokens", &stored);
    if stored > 0 {
        written.list("cacheDetails", |list| {
            for (ttl, tokens) in [("5m", short), ("1h", long), ("12h", longest)] {
                if tokens > 0 {
                    list.object(|detail| {
                        detail.put("ttl", ttl);
                        detail.put("inputTokens", &tokens);
                    });
                }
            }
        });
    }
}
