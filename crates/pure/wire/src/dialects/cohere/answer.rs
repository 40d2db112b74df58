//! Reads and writes a whole chat answer.

use std::borrow::Cow;

use domain::{Fault, Meter, Usage};

use crate::canonical::json::{Fields, Object, count, list, object, short, text};
use crate::canonical::{Answer, Content, Cover, Finish, FinishReason, Losses, Part, PlacedRaw, malformed};
use crate::usage::{Reported, cohere_usage};

/// Why citations go no further.
pub(super) const CITATIONS: &str = "citations exist only in this dialect";
/// Why a plan changes its place.
pub(super) const PLAN: &str = "a plan of tool calls is put as text before them";

/// Fields of an answer that other dialects have no counterpart for, and why.
pub(super) const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("citations", CITATIONS),
    ("logprobs", "token probabilities have no place elsewhere"),
    ("meta", "the provider's own notes have no place elsewhere"),
    ("generation_id", "an answer has one id elsewhere"),
];

pub(super) fn read<'a>(body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no JSON object"))?;
    let mut answer = Answer { id: fields.take_text("id").filter(|id| !id.is_empty()), ..Answer::default() };
    answer.finish = fields.take_text("finish_reason").map(|word| finish(word, losses));
    answer.usage = fields.take_placed("usage").and_then(|usage| read_usage(&usage, losses));
    let message = fields.take("message").and_then(|message| Fields::read(message.get(), "/message"));
    let mut message = message.ok_or_else(|| malformed("the answer has no message"))?;
    message.take("role");
    let at = message.at("tool_plan");
    if let Some(plan) = message.take_text("tool_plan").filter(|plan| !plan.is_empty()) {
        losses.approximated(&*at, PLAN);
        answer.parts.push(Part::new(at, Content::Text(plan)));
    }
    let at = message.at("content");
    if let Some(content) = message.take("content") {
        if let Some(text) = text(content).filter(|text| !text.is_empty()) {
            answer.parts.push(Part::new(&*at, Content::Text(text)));
        }
        for (index, block) in list(content).unwrap_or_default().into_iter().enumerate() {
            let at = format!("{at}/{index}");
            let mut block = Fields::read(block.get(), &*at).ok_or_else(|| malformed("a block is no object"))?;
            let content = match block.take_text("type").as_deref() {
                Some("text") => block.take_text("text").map(Content::Text),
                Some("thinking") => block.take_text("thinking").map(|text| Content::Thinking { text, signature: None }),
                other => {
                    let kind = short(other.unwrap_or_default());
                    losses.dropped(at, format!("blocks of the type `{kind}` are not known to the translation"));
                    continue;
                }
            };
            answer.parts.extend(content.map(|content| Part::new(at, content)));
        }
    }
    let at = message.at("tool_calls");
    for (index, call) in message.take("tool_calls").and_then(list).unwrap_or_default().into_iter().enumerate() {
        let at = format!("{at}/{index}");
        let mut call = Fields::read(call.get(), &*at).ok_or_else(|| malformed("a tool call is no object"))?;
        let id = call.take_text("id").unwrap_or_default();
        let (name, arguments) = function(&mut call);
        answer.parts.push(Part::new(at, Content::ToolUse { id, name, arguments }));
    }
    message.finish(losses, WITHOUT_COUNTERPART);
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(answer)
}

/// What was consumed. What a cache served is a part of what is billed, and not told apart.
pub(super) fn read_usage(usage: &PlacedRaw<'_>, losses: &mut Losses) -> Option<Reported> {
    let mut fields = Fields::read(usage.value.get(), &*usage.at)?;
    let at = fields.at("cached_tokens");
    if fields.take("cached_tokens").and_then(count).is_some_and(|cached| cached > 0) {
        losses.dropped(at, "tokens read from a cache are within the input here, as they are billed");
    }
    cohere_usage(usage.value.get().as_bytes())
}

/// The function of a call: its name and arguments.
pub(super) fn function<'a>(call: &mut Fields<'a>) -> (Cow<'a, str>, Cow<'a, str>) {
    let inner = call.take("function").and_then(|inner| Fields::read(inner.get(), ""));
    inner.map_or_else(Default::default, |mut inner| {
        (inner.take_text("name").unwrap_or_default(), inner.take_text("arguments").unwrap_or_default())
    })
}

/// What the end comes down to.
pub(super) fn finish<'a>(word: Cow<'a, str>, losses: &mut Losses) -> Finish<'a> {
    let reason = match word.as_ref() {
        "COMPLETE" => FinishReason::Stop,
        "STOP_SEQUENCE" => FinishReason::StopSequence,
        "MAX_TOKENS" => FinishReason::Length,
        "TOOL_CALL" => FinishReason::ToolUse,
        "ERROR_TOXIC" => FinishReason::Refusal,
        _ => {
            losses.approximated("/finish_reason", "the word is not known to the translation; put as a plain end");
            FinishReason::Stop
        }
    };
    Finish { reason, word, stop_sequence: None }
}

pub(super) fn write(answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8> {
    let calls = answer.parts.iter().any(|part| matches!(part.content, Content::ToolUse { .. }));
    let mut out = Vec::new();
    object(&mut out, |body| {
        body.put("id", answer.id.as_deref().unwrap_or(&cover.id));
        body.object("message", |message| {
            message.put("role", "assistant");
            message.list("content", |list| {
                for part in &answer.parts {
                    let (kind, text) = match &part.content {
                        Content::Text(text) => ("text", text),
                        Content::Refusal(text) => {
                            losses.approximated(&part.at, REFUSAL);
                            ("text", text)
                        }
                        Content::Thinking { text, signature } => {
                            if signature.as_ref().is_some_and(|signature| !signature.is_empty()) {
                                losses.dropped(format!("{}/signature", part.at), SIGNATURE);
                            }
                            ("thinking", text)
                        }
                        Content::ToolUse { .. } => continue,
                        Content::RedactedThinking(_) => {
                            losses.dropped(&part.at, REDACTED);
                            continue;
                        }
                        _ => {
                            losses.dropped(&part.at, "an answer is text, thoughts and calls here");
                            continue;
                        }
                    };
                    list.object(|block| {
                        block.put("type", kind);
                        block.put(kind, text);
                    });
                }
            });
            if calls {
                message.list("tool_calls", |list| {
                    let calls = answer.parts.iter().filter_map(|part| match &part.content {
                        Content::ToolUse { id, name, arguments } => Some((id, name, arguments)),
                        _ => None,
                    });
                    for (ordinal, (id, name, arguments)) in calls.enumerate() {
                        let made = format!("{}_{ordinal}", answer.id.as_deref().unwrap_or(&cover.id));
                        list.object(|call| {
                            call.put("id", if id.is_empty() { made.as_str() } else { id.as_ref() });
                            call.put("type", "function");
                            call.object("function", |function| {
                                function.put("name", name);
                                function.put("arguments", if arguments.is_empty() { "{}" } else { arguments });
                            });
                        });
                    }
                });
            }
        });
        body.put("finish_reason", finish_word(answer.finish.as_ref(), calls, losses));
        if let Some(reported) = &answer.usage {
            body.object("usage", |written| write_usage(written, &reported.usage, losses));
        }
    });
    out
}

/// Why a signature goes no further.
pub(super) const SIGNATURE: &str = "a signature is of use to its provider only";
/// Why a refusal is no refusal any more.
pub(super) const REFUSAL: &str = "a refusal is put as text here";
/// Why a redacted thought goes no further.
pub(super) const REDACTED: &str = "a redacted thought is of use to its provider only";

/// The dialect's word for the end.
pub(super) fn finish_word(finish: Option<&Finish<'_>>, calls: bool, losses: &mut Losses) -> &'static str {
    match finish.map(|finish| finish.reason) {
        Some(FinishReason::ToolUse) => "TOOL_CALL",
        // OpenAI says `stop` for a call that had to be made.
        Some(FinishReason::Stop) | None if calls => "TOOL_CALL",
        Some(FinishReason::Length | FinishReason::ContextFull) => "MAX_TOKENS",
        Some(FinishReason::StopSequence) => "STOP_SEQUENCE",
        Some(FinishReason::Refusal) => {
            losses.approximated("/finish_reason", "a refusal is put as a plain end");
            "COMPLETE"
        }
        Some(FinishReason::Pause) => {
            losses.approximated("/finish_reason", "a paused turn is put as a plain end");
            "COMPLETE"
        }
        Some(FinishReason::Stop) | None => "COMPLETE",
    }
}

/// Writes the members of a usage. Other providers bill what they count.
pub(super) fn write_usage(written: &mut Object<'_>, usage: &Usage, losses: &mut Losses) {
    losses.thinking_within_output(usage);
    for name in ["billed_units", "tokens"] {
        written.object(name, |counts| {
            counts.put("input_tokens", &usage.input_tokens());
            counts.put("output_tokens", &usage.output_tokens());
        });
    }
    let cached = [Meter::CacheRead, Meter::CacheReadAudio, Meter::CacheReadImage].map(|meter| usage.get(meter));
    let cached = cached.into_iter().fold(0, u64::saturating_add);
    written.put_some("cached_tokens", (cached > 0).then_some(cached));
}
