//! Reads and writes a whole chat completion.

use std::borrow::Cow;

use domain::{Fault, Meter, Usage};
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, Object, list, object, text};
use crate::canonical::{Answer, Content, Cover, Finish, FinishReason, Losses, Part, malformed};
use crate::usage::{Reported, openai_usage};

/// Fields of an answer that other dialects have no counterpart for, and why.
pub(super) const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("system_fingerprint", "the build of the server has no place elsewhere"),
    ("logprobs", "token probabilities have no place elsewhere"),
    ("annotations", "annotations have no place elsewhere"),
    ("audio", "audio has no place elsewhere"),
    ("reasoning_details", "the reasoning is carried over as text"),
    ("timings", "the server's own timings have no place elsewhere"),
    ("obfuscation", "padding says nothing"),
    ("x_groq", "the server's own notes have no place elsewhere; its usage was read"),
];

pub(super) fn read<'a>(body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault> {
    let mut fields = Fields::read(body, "").ok_or_else(|| malformed("the answer is no JSON object"))?;
    let mut answer = Answer { id: id(&mut fields), created_unix_s: created(&mut fields), ..Answer::default() };
    fields.take("object");
    fields.take("model");
    answer.service_tier = fields.take_text("service_tier");
    answer.usage = usage(&mut fields);
    let choices = fields.take("choices").and_then(list).unwrap_or_default();
    let mut choices = choices.into_iter().enumerate();
    let (_, first) = choices.next().ok_or_else(|| malformed("the answer has no choices"))?;
    for (index, _) in choices {
        losses.dropped(format!("/choices/{index}"), "one choice is carried over");
    }
    let mut choice = Fields::read(first.get(), "/choices/0").ok_or_else(|| malformed("a choice is no object"))?;
    choice.take("index");
    let stop = choice.take_text("stop_reason");
    answer.finish = choice.take_text("finish_reason").map(|word| finish(word, stop, losses));
    let message = choice.take("message").and_then(|message| Fields::read(message.get(), "/choices/0/message"));
    let mut message = message.ok_or_else(|| malformed("the answer has no message"))?;
    read_message(&mut message, &mut answer.parts, losses)?;
    message.finish(losses, WITHOUT_COUNTERPART);
    choice.finish(losses, WITHOUT_COUNTERPART);
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(answer)
}

pub(super) fn id<'a>(fields: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    fields.take_text("id").filter(|id| !id.is_empty())
}

pub(super) fn created(fields: &mut Fields<'_>) -> Option<i64> {
    fields.take("created").and_then(|created| created.get().parse().ok())
}

/// The usage, wherever the server puts it.
pub(super) fn usage(fields: &mut Fields<'_>) -> Option<Reported> {
    let reported = fields.take("usage").and_then(|usage| openai_usage(usage.get().as_bytes()));
    reported.or_else(|| {
        let groq = fields.peek("x_groq").and_then(|groq| Fields::read(groq.get(), ""));
        openai_usage(groq?.take("usage")?.get().as_bytes())
    })
}

/// What the end comes down to. vLLM and others name the stop text that was met, in `stop_reason`.
pub(super) fn finish<'a>(word: Cow<'a, str>, stop: Option<Cow<'a, str>>, losses: &mut Losses) -> Finish<'a> {
    let reason = match word.as_ref() {
        "stop" if stop.is_some() => FinishReason::StopSequence,
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolUse,
        "content_filter" => FinishReason::Refusal,
        _ => {
            losses.approximated(
                "/choices/0/finish_reason",
                "the word is not known to the translation; put as a plain end",
            );
            FinishReason::Stop
        }
    };
    Finish { reason, word, stop_sequence: stop.filter(|_| reason == FinishReason::StopSequence) }
}

fn read_message<'a>(message: &mut Fields<'a>, parts: &mut Vec<Part<'a>>, losses: &mut Losses) -> Result<(), Fault> {
    message.take("role");
    if let Some(text) = reasoning(message) {
        parts.push(Part::new(message.at("reasoning_content"), Content::Thinking { text, signature: None }));
    }
    let at = message.at("content");
    if let Some(content) = message.take("content") {
        for piece in pieces(content, losses) {
            parts.push(Part::new(&*at, piece));
        }
    }
    let at = message.at("refusal");
    if let Some(text) = message.take_text("refusal").filter(|text| !text.is_empty()) {
        parts.push(Part::new(at, Content::Refusal(text)));
    }
    let at = message.at("tool_calls");
    for (index, call) in message.take("tool_calls").and_then(list).unwrap_or_default().into_iter().enumerate() {
        let at = format!("{at}/{index}");
        let mut call = Fields::read(call.get(), &*at).ok_or_else(|| malformed("a tool call is no object"))?;
        let id = call.take_text("id").unwrap_or_default();
        let (name, arguments) = function(&mut call);
        call.take("index");
        call.finish(losses, &[]);
        parts.push(Part::new(at, Content::ToolUse { id, name, arguments }));
    }
    if let Some(mut call) = message.take("function_call").and_then(|call| Fields::read(call.get(), "")) {
        let name = call.take_text("name").unwrap_or_default();
        let content = Content::ToolUse { id: Cow::Borrowed(""), name, arguments: arguments(&mut call) };
        parts.push(Part::new(message.at("function_call"), content));
    }
    Ok(())
}

/// What was thought, under either of its names.
pub(super) fn reasoning<'a>(message: &mut Fields<'a>) -> Option<Cow<'a, str>> {
    let (longer, shorter) = (message.take_text("reasoning_content"), message.take_text("reasoning"));
    longer.filter(|text| !text.is_empty()).or(shorter).filter(|text| !text.is_empty())
}

/// The content: a text, or the list of parts that Mistral's reasoning models send.
pub(super) fn pieces<'a>(content: &'a RawValue, losses: &mut Losses) -> Vec<Content<'a>> {
    if let Some(text) = text(content) {
        return if text.is_empty() { Vec::new() } else { vec![Content::Text(text)] };
    }
    let mut pieces = Vec::new();
    for part in list(content).unwrap_or_default() {
        let Some(mut part) = Fields::read(part.get(), "") else { continue };
        let kind = part.take_text("type");
        match kind.as_deref() {
            Some("text") => pieces.extend(part.take_text("text").filter(|text| !text.is_empty()).map(Content::Text)),
            Some("thinking") => {
                for thought in part.take("thinking").and_then(list).unwrap_or_default() {
                    let text = Fields::read(thought.get(), "").and_then(|mut thought| thought.take_text("text"));
                    pieces.extend(text.map(|text| Content::Thinking { text, signature: None }));
                }
            }
            _ => losses.dropped("/choices/0/message/content", "a part that is neither text nor thinking was left out"),
        }
    }
    pieces
}

/// The function of a call: its name and arguments.
pub(super) fn function<'a>(call: &mut Fields<'a>) -> (Cow<'a, str>, Cow<'a, str>) {
    let kind = call.take_text("type").unwrap_or(Cow::Borrowed("function"));
    let Some(mut inner) = call.take(&kind).and_then(|inner| Fields::read(inner.get(), "")) else {
        return (Cow::Borrowed(""), Cow::Borrowed(""));
    };
    (inner.take_text("name").unwrap_or_default(), arguments(&mut inner))
}

/// The arguments; some servers send the object itself.
pub(super) fn arguments<'a>(function: &mut Fields<'a>) -> Cow<'a, str> {
    let text = function.take_text("arguments").or_else(|| function.take_text("input"));
    text.or_else(|| function.take("arguments").map(|object| Cow::Borrowed(object.get()))).unwrap_or_default()
}

pub(super) fn write(answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut texts, mut thoughts, mut refusals, mut calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for part in &answer.parts {
        match &part.content {
            Content::Text(text) => texts.push(text.as_ref()),
            Content::Refusal(text) => refusals.push(text.as_ref()),
            Content::Thinking { text, signature } => {
                thoughts.push(text.as_ref());
                if signature.as_ref().is_some_and(|signature| !signature.is_empty()) {
                    losses.dropped(format!("{}/signature", part.at), SIGNATURE);
                }
            }
            Content::RedactedThinking(_) => losses.dropped(&part.at, REDACTED),
            Content::ToolUse { id, name, arguments } => calls.push((id, name, arguments)),
            _ => losses.dropped(&part.at, "an answer is text and calls here"),
        }
    }
    object(&mut out, |body| {
        body.put("id", answer.id.as_deref().unwrap_or(&cover.id));
        body.put("object", "chat.completion");
        body.put("created", &answer.created_unix_s.unwrap_or(cover.created_unix_s));
        body.put("model", &cover.model);
        body.list("choices", |choices| {
            choices.object(|choice| {
                choice.put("index", &0);
                choice.object("message", |message| {
                    message.put("role", "assistant");
                    message.put("content", &(!texts.is_empty()).then(|| texts.concat()));
                    message.put("refusal", &(!refusals.is_empty()).then(|| refusals.concat()));
                    message.put_some("reasoning_content", (!thoughts.is_empty()).then(|| thoughts.concat()));
                    if !calls.is_empty() {
                        message.list("tool_calls", |list| {
                            for (ordinal, (id, name, arguments)) in calls.iter().enumerate() {
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
                choice.put("logprobs", &());
                choice.put("finish_reason", finish_word(answer.finish.as_ref(), !calls.is_empty(), losses));
            });
        });
        if let Some(reported) = &answer.usage {
            write_usage(body, &reported.usage);
        }
        body.put_some("service_tier", answer.service_tier.as_deref().and_then(tier_word));
    });
    out
}

/// Why a signature goes no further.
pub(super) const SIGNATURE: &str = "a signature is of use to its provider only";
/// Why a redacted thought goes no further.
pub(super) const REDACTED: &str = "a redacted thought is of use to its provider only";

/// The dialect's word for the end.
pub(super) fn finish_word(finish: Option<&Finish<'_>>, calls: bool, losses: &mut Losses) -> &'static str {
    match finish.map(|finish| finish.reason) {
        Some(FinishReason::ToolUse) => "tool_calls",
        Some(FinishReason::Length | FinishReason::ContextFull) => "length",
        Some(FinishReason::Refusal) => "content_filter",
        Some(FinishReason::Pause) => {
            losses.approximated("/stop_reason", "a paused turn is put as a plain end");
            "stop"
        }
        Some(FinishReason::StopSequence | FinishReason::Stop) => "stop",
        None if calls => "tool_calls",
        None => "stop",
    }
}

/// The dialect's word for the tier that served.
fn tier_word(tier: &str) -> Option<&'static str> {
    match tier {
        "standard" => Some("default"),
        "priority" => Some("priority"),
        _ => None,
    }
}

/// Writes the usage: here the prompt includes what the cache served and stored, and the completion the reasoning.
pub(super) fn write_usage(body: &mut Object<'_>, usage: &Usage) {
    let (input, output) = (usage.input_tokens(), usage.output_tokens());
    let sum = |meters: &[Meter]| meters.iter().map(|meter| usage.get(*meter)).sum::<u64>();
    body.object("usage", |written| {
        written.put("prompt_tokens", &input);
        written.put("completion_tokens", &output);
        written.put("total_tokens", &input.saturating_add(output));
        written.object("prompt_tokens_details", |details| {
            details.put("cached_tokens", &sum(&[Meter::CacheRead, Meter::CacheReadAudio, Meter::CacheReadImage]));
            let stored = sum(&[Meter::CacheWrite5m, Meter::CacheWrite1h, Meter::CacheWrite12h]);
            details.put_some("cache_write_tokens", (stored > 0).then_some(stored));
        });
        written.object("completion_tokens_details", |details| {
            details.put("reasoning_tokens", &usage.get(Meter::Reasoning));
        });
    });
}
