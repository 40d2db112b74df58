//! Reads and writes a whole response.

use std::borrow::Cow;

use domain::{Fault, Meter, Usage};
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, List, Object, list, object, short, text};
use crate::canonical::{Answer, Content, Cover, Finish, FinishReason, Losses, Part, malformed};
use crate::items::TRANSLATED_THOUGHT;
use crate::usage::Reported;
use crate::usage::openai::{openai_usage, web_searches};

/// Fields of an answer that only repeat the question, or say nothing to a client of another dialect.
pub(super) const ONLY_REPEATED: &[&str] = &[
    "object",
    "model",
    "status",
    "error",
    "output_text",
    "completed_at",
    "instructions",
    "metadata",
    "parallel_tool_calls",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "background",
    "max_output_tokens",
    "max_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "text",
    "top_logprobs",
    "truncation",
    "user",
    "frequency_penalty",
    "presence_penalty",
];

/// Fields of an answer that other dialects have no counterpart for, and why.
pub(super) const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("annotations", "annotations have no place elsewhere"),
    ("logprobs", "token probabilities have no place elsewhere"),
    ("encrypted_content", "encrypted reasoning is of use to its provider only"),
    ("moderation", "the provider's own moderation has no place elsewhere"),
    ("conversation", "what the provider keeps has no place elsewhere"),
    ("tool_usage", "what the provider's own tools used has no place elsewhere"),
    ("timings", "the server's own timings have no place elsewhere"),
];

pub(super) fn read<'a>(body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no JSON object"))?;
    let mut answer = Answer { id: id(&mut fields), created_unix_s: created(&mut fields), ..Answer::default() };
    answer.service_tier = fields.take_text("service_tier");
    answer.usage = usage(&mut fields);
    let finish = finish(&mut fields, losses);
    let output = fields.take("output").and_then(list).ok_or_else(|| malformed("the answer has no output"))?;
    for (index, item) in output.into_iter().enumerate() {
        read_item(item, format!("/output/{index}"), &mut answer.parts, losses)?;
    }
    let calls = answer.parts.iter().any(|part| matches!(part.content, Content::ToolUse { .. }));
    answer.finish = finish.map(|finish| with_calls(finish, calls));
    for name in ONLY_REPEATED {
        fields.take(name);
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(answer)
}

pub(super) fn id<'a>(fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    fields.take_text("id").filter(|id| !id.is_empty())
}

/// When it was made; some servers give fractions of a second.
pub(super) fn created(fields: &mut Fields<'_>) -> Option<i64> {
    let seconds = fields.take("created_at")?.get();
    seconds.split('.').next()?.parse().ok()
}

pub(super) fn usage(fields: &mut Fields<'_>) -> Option<Reported> {
    let mut reported = fields.take("usage").and_then(|usage| openai_usage(usage.get().as_bytes()))?;
    let searches = fields.take("tool_usage").map_or(0, |tools| web_searches(tools.get().as_bytes()));
    reported.usage.set(Meter::WebSearches, searches);
    Some(reported)
}

/// What the end comes down to: why it is incomplete, or that it is not.
pub(super) fn finish<'a>(fields: &mut Fields<'a>, losses: &mut Losses) -> Option<Finish<'a>> {
    let details = fields.take("incomplete_details").and_then(|details| Fields::read(details.get(), ""));
    let why = details.and_then(|mut details| details.take_text("reason"));
    let word = why.or_else(|| fields.peek("status").and_then(text))?;
    let reason = match word.as_ref() {
        "completed" => FinishReason::Stop,
        "max_output_tokens" => FinishReason::Length,
        "content_filter" => FinishReason::Refusal,
        _ => {
            losses.approximated("/status", "the word is not known to the translation; put as a plain end");
            FinishReason::Stop
        }
    };
    Some(Finish { reason, word, stop_sequence: None })
}

/// A complete answer that calls tools ended to have them called.
pub(super) fn with_calls(finish: Finish<'_>, calls: bool) -> Finish<'_> {
    match finish.reason {
        FinishReason::Stop if calls => Finish { reason: FinishReason::ToolUse, ..finish },
        _ => finish,
    }
}

fn read_item<'a>(item: &'a RawValue, at: String, parts: &mut Vec<Part<'a>>, losses: &mut Losses) -> Result<(), Fault> {
    let mut fields = Fields::read(item.get(), &*at).ok_or_else(|| malformed("an output item is no object"))?;
    let kind = fields.take_text("type").unwrap_or_default();
    for known in ["id", "status", "role", "phase"] {
        fields.take(known);
    }
    match kind.as_ref() {
        "message" => {
            let content_at = fields.at("content");
            for part in fields.take("content").and_then(list).unwrap_or_default() {
                let Some(mut part) = Fields::read(part.get(), &*content_at) else { continue };
                match part.take_text("type").as_deref() {
                    Some("refusal") => {
                        let said = part.take_text("refusal").unwrap_or_default();
                        parts.push(Part::new(&*content_at, Content::Refusal(said)));
                    }
                    Some("output_text") | None => {
                        let said = part.take_text("text").unwrap_or_default();
                        parts.push(Part::new(&*content_at, Content::Text(said)));
                    }
                    Some(other) => {
                        let why = format!("parts of the type `{}` are not known to the translation", short(other));
                        losses.dropped(&*content_at, why);
                        continue;
                    }
                }
                part.finish(losses, WITHOUT_COUNTERPART);
            }
        }
        "reasoning" => {
            for name in ["summary", "content"] {
                for part in fields.take(name).and_then(list).unwrap_or_default() {
                    let said = Fields::read(part.get(), "").and_then(|mut part| part.take_text("text"));
                    if let Some(text) = said.filter(|text| !text.is_empty()) {
                        parts.push(Part::new(fields.at(name), Content::Thinking { text, signature: None }));
                    }
                }
            }
        }
        "function_call" => {
            let id = fields.take_text("call_id").unwrap_or_default();
            let name = fields.take_text("name").unwrap_or_default();
            let arguments = fields.take_text("arguments").unwrap_or_default();
            parts.push(Part::new(&*at, Content::ToolUse { id, name, arguments }));
        }
        other => {
            losses.dropped(at, of_the_provider(other));
            return Ok(());
        }
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(())
}

/// Why an item of another kind is left out.
pub(super) fn of_the_provider(kind: &str) -> String {
    format!("what the provider's own tools did (`{}`) is not shown in another dialect", short(kind))
}

pub(super) fn write(answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8> {
    let id = answer.id.as_deref().unwrap_or(&cover.id);
    let created = answer.created_unix_s.unwrap_or(cover.created_unix_s);
    let end = End::of(answer.finish.as_ref(), losses);
    let mut out = Vec::new();
    object(&mut out, |body| {
        let head = Head { id, created_unix_s: created, model: &cover.model };
        head.write(body, end.status, end.incomplete);
        body.list("output", |list| write_items(list, id, &answer.parts, end.status, losses));
        match &answer.usage {
            Some(reported) => body.object("usage", |usage| write_usage(usage, &reported.usage)),
            None => body.put("usage", &()),
        }
        body.put_some("service_tier", answer.service_tier.as_deref().and_then(tier_word));
    });
    out
}

/// The dialect's words for the end.
pub(super) struct End {
    pub status: &'static str,
    pub incomplete: Option<&'static str>,
}

impl End {
    pub(super) fn of(finish: Option<&Finish<'_>>, losses: &mut Losses) -> End {
        match finish.map(|finish| finish.reason) {
            Some(FinishReason::Length | FinishReason::ContextFull) => {
                End { status: "incomplete", incomplete: Some("max_output_tokens") }
            }
            Some(FinishReason::Refusal) => End { status: "incomplete", incomplete: Some("content_filter") },
            Some(FinishReason::Pause) => {
                losses.approximated("/stop_reason", "a paused turn is put as a plain end");
                End { status: "completed", incomplete: None }
            }
            Some(FinishReason::Stop | FinishReason::StopSequence | FinishReason::ToolUse) | None => {
                End { status: "completed", incomplete: None }
            }
        }
    }
}

/// What every answer, and every event about one, begins with.
pub(super) struct Head<'h> {
    pub id: &'h str,
    pub created_unix_s: i64,
    pub model: &'h str,
}

impl Head<'_> {
    /// Writes it. SDKs require what the answer repeats of the question; what is not known here is what OpenAI says of a
    /// question that did not say it.
    pub(super) fn write(&self, body: &mut Object<'_>, status: &str, incomplete: Option<&str>) {
        body.put("id", self.id);
        body.put("object", "response");
        body.put("created_at", &self.created_unix_s);
        body.put("status", status);
        body.put("background", &false);
        body.put("error", &());
        match incomplete {
            Some(reason) => body.object("incomplete_details", |details| details.put("reason", reason)),
            None => body.put("incomplete_details", &()),
        }
        body.put("instructions", &());
        body.put("max_output_tokens", &());
        body.object("metadata", |_| {});
        body.put("model", self.model);
        body.put("parallel_tool_calls", &true);
        body.put("previous_response_id", &());
        body.object("reasoning", |reasoning| {
            reasoning.put("effort", &());
            reasoning.put("summary", &());
        });
        body.put("store", &false);
        body.put("temperature", &());
        body.object("text", |text| text.object("format", |format| format.put("type", "text")));
        body.put("tool_choice", "auto");
        body.list("tools", |_| {});
        body.put("top_p", &());
        body.put("truncation", "disabled");
        body.put("user", &());
    }
}

/// Writes the parts as items: what is said of one kind in a row is one of them.
fn write_items(list: &mut List<'_>, answer_id: &str, parts: &[Part<'_>], status: &str, losses: &mut Losses) {
    let mut number = 0;
    let mut rest = parts;
    while let Some((first, after)) = rest.split_first() {
        let is_said = |part: &Part<'_>| matches!(part.content, Content::Text(_) | Content::Refusal(_));
        let id = |prefix: &str| item_id(prefix, answer_id, number);
        match &first.content {
            Content::Text(_) | Content::Refusal(_) => {
                let length = rest.iter().take_while(|part| is_said(part)).count();
                list.object(|item| {
                    write_message(item, &id("msg"), status, |content| {
                        for part in &rest[..length] {
                            content.object(|written| match &part.content {
                                Content::Refusal(text) => write_refusal(written, text),
                                _ => write_text(written, part.text().unwrap_or_default()),
                            });
                        }
                    });
                });
                rest = &rest[length..];
            }
            Content::Thinking { text, signature } => {
                if signature.as_ref().is_some_and(|signature| !signature.is_empty()) {
                    losses.dropped(format!("{}/signature", first.at), SIGNATURE);
                }
                list.object(|item| write_reasoning(item, &id(TRANSLATED_THOUGHT), text));
                rest = after;
            }
            Content::ToolUse { id: call, name, arguments } => {
                let made = item_id("call", answer_id, number);
                let call = if call.is_empty() { made.as_str() } else { call.as_ref() };
                let arguments = if arguments.is_empty() { "{}" } else { arguments.as_ref() };
                list.object(|item| write_call(item, &id("fc"), call, name, arguments, "completed"));
                rest = after;
            }
            Content::RedactedThinking(_) => {
                losses.dropped(&first.at, REDACTED);
                rest = after;
                continue;
            }
            _ => {
                losses.dropped(&first.at, "an answer is text, thoughts and calls here");
                rest = after;
                continue;
            }
        }
        number += 1;
    }
}

/// Why a signature goes no further.
pub(super) const SIGNATURE: &str = "a signature is of use to its provider only";
/// Why a redacted thought goes no further.
pub(super) const REDACTED: &str = "a redacted thought is of use to its provider only";

/// The id of an item, which the provider did not give.
pub(super) fn item_id(prefix: &str, answer_id: &str, number: usize) -> String {
    format!("{prefix}_{answer_id}_{number}")
}

pub(super) fn write_message(item: &mut Object<'_>, id: &str, status: &str, content: impl FnOnce(&mut List<'_>)) {
    item.put("id", id);
    item.put("type", "message");
    item.put("status", status);
    item.put("role", "assistant");
    item.list("content", content);
}

pub(super) fn write_text(part: &mut Object<'_>, text: &str) {
    part.put("type", "output_text");
    part.list("annotations", |_| {});
    part.list("logprobs", |_| {});
    part.put("text", text);
}

pub(super) fn write_refusal(part: &mut Object<'_>, text: &str) {
    part.put("type", "refusal");
    part.put("refusal", text);
}

/// What was thought, as its summary: of the whole thought OpenAI shows no more, and its clients look there.
pub(super) fn write_reasoning(item: &mut Object<'_>, id: &str, text: &str) {
    item.put("id", id);
    item.put("type", "reasoning");
    item.list("summary", |list| list.object(|summary| write_summary(summary, text)));
}

pub(super) fn write_summary(summary: &mut Object<'_>, text: &str) {
    summary.put("type", "summary_text");
    summary.put("text", text);
}

pub(super) fn write_call(item: &mut Object<'_>, id: &str, call: &str, name: &str, arguments: &str, status: &str) {
    item.put("id", id);
    item.put("type", "function_call");
    item.put("status", status);
    item.put("arguments", arguments);
    item.put("call_id", call);
    item.put("name", name);
}

/// The dialect's word for the tier that served.
pub(super) fn tier_word(tier: &str) -> Option<&'static str> {
    match tier {
        "standard" | "default" => Some("default"),
        "priority" => Some("priority"),
        "flex" => Some("flex"),
        _ => None,
    }
}

/// Writes the usage: here the input includes what the cache served and stored, and the output the reasoning.
pub(super) fn write_usage(written: &mut Object<'_>, usage: &Usage) {
    let (input, output) = (usage.input_tokens(), usage.output_tokens());
    let sum = |meters: &[Meter]| meters.iter().map(|meter| usage.get(*meter)).sum::<u64>();
    written.put("input_tokens", &input);
    written.object("input_tokens_details", |details| {
        details.put("cached_tokens", &sum(&[Meter::CacheRead, Meter::CacheReadAudio, Meter::CacheReadImage]));
        details.put("cache_write_tokens", &sum(&[Meter::CacheWrite5m, Meter::CacheWrite1h, Meter::CacheWrite12h]));
    });
    written.put("output_tokens", &output);
    written.object("output_tokens_details", |details| details.put("reasoning_tokens", &usage.get(Meter::Reasoning)));
    written.put("total_tokens", &input.saturating_add(output));
}
