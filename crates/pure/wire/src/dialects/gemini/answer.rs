//! Reads and writes a whole answer.

use std::borrow::Cow;

use domain::{Fault, Meter, Usage};

use super::fields::Either;
use super::parts::{self, Calls};
use super::turns::write_arguments;
use crate::canonical::json::{List, Object, object};
use crate::canonical::{Answer, Content, Cover, Finish, FinishReason, Losses, Part, malformed};
use crate::usage::gemini_usage;

/// Fields of an answer that other dialects have no counterpart for, and why.
pub(super) const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("safetyRatings", "ratings of safety have no place elsewhere"),
    ("citationMetadata", "citations exist only in this dialect"),
    ("groundingMetadata", "what the provider's own search found has no place elsewhere"),
    ("groundingAttributions", "what the provider's own search found has no place elsewhere"),
    ("urlContextMetadata", "what the provider's own tools read has no place elsewhere"),
    ("avgLogprobs", "token probabilities have no place elsewhere"),
    ("logprobsResult", "token probabilities have no place elsewhere"),
    ("finishMessage", "why the model stopped in words has no place elsewhere"),
    ("modelStatus", "the state of the provider's model has no place elsewhere"),
    ("automaticFunctionCallingHistory", "what the SDK keeps has no place elsewhere"),
];

pub(super) fn read<'a>(body: &'a str, losses: &mut Losses) -> Result<Answer<'a>, Fault> {
    let mut fields = Either::read(body, "").ok_or_else(|| malformed("the answer is no JSON object"))?;
    let mut answer = Answer { id: id(&mut fields), ..Answer::default() };
    if let Some(usage) = fields.take("usageMetadata") {
        answer.usage = gemini_usage(usage.value.get().as_bytes());
        answer.service_tier = tier(usage.value.get());
    }
    let blocked = blocked(&mut fields, losses);
    let mut candidates = fields.list("candidates").into_iter();
    let first = candidates.next();
    for (at, _) in candidates {
        losses.dropped(at, "one candidate is carried over");
    }
    match (first, blocked) {
        (Some((at, candidate)), _) => {
            let mut candidate =
                Either::read(candidate.get(), &*at).ok_or_else(|| malformed("a candidate is no object"))?;
            for known in ["index", "tokenCount"] {
                candidate.take(known);
            }
            answer.parts = content(&mut candidate, losses)?;
            let calls = answer.parts.iter().any(|part| matches!(part.content, Content::ToolUse { .. }));
            answer.finish = candidate.take_text("finishReason").map(|word| finish(word, calls, losses));
            candidate.finish(losses, WITHOUT_COUNTERPART);
        }
        (None, Some(finish)) => answer.finish = Some(finish),
        (None, None) => return Err(malformed("the answer has no candidates")),
    }
    for known in ["modelVersion", "createTime"] {
        fields.take(known);
    }
    fields.finish(losses, WITHOUT_COUNTERPART);
    Ok(answer)
}

pub(super) fn id<'a>(fields: &mut Either<'a>) -> Option<Cow<'a, str>> {
    fields.take_text("responseId").filter(|id| !id.is_empty())
}

/// Why the prompt was not answered, where it was not.
pub(super) fn blocked<'a>(fields: &mut Either<'a>, losses: &mut Losses) -> Option<Finish<'a>> {
    let feedback = fields.take("promptFeedback")?;
    let mut feedback = Either::read(feedback.value.get(), feedback.at)?;
    let word = feedback.take_text("blockReason");
    feedback.finish(
        losses,
        &[
            ("safetyRatings", "ratings of safety have no place elsewhere"),
            ("blockReasonMessage", "why the prompt was blocked in words has no place elsewhere"),
        ],
    );
    word.map(|word| Finish { reason: FinishReason::Refusal, word, stop_sequence: None })
}

/// The tier named in a usage: the Gemini API's word for it, or what Vertex calls the type of traffic.
pub(super) fn tier(usage: &str) -> Option<Cow<'_, str>> {
    let mut fields = Either::read(usage, "")?;
    fields.take_text("serviceTier").or_else(|| fields.take_text("trafficType"))
}

/// The parts of a candidate.
fn content<'a>(candidate: &mut Either<'a>, losses: &mut Losses) -> Result<Vec<Part<'a>>, Fault> {
    let Some(content) = candidate.take("content") else { return Ok(Vec::new()) };
    let mut content = Either::read(content.value.get(), &*content.at)
        .ok_or_else(|| malformed("a candidate's content is no object"))?;
    content.take("role");
    let (mut calls, mut read) = (Calls::default(), Vec::new());
    for (at, part) in content.list("parts") {
        read.extend(parts::read(part, at, &mut calls, losses).map_err(|fault| malformed(&fault.message))?);
    }
    content.finish(losses, &[]);
    // A text of nothing carries the signature of what came before.
    read.retain(|part| part.text().is_none_or(|text| !text.is_empty()));
    Ok(read)
}

/// What the end comes down to. The dialect has no word of its own for calls.
pub(super) fn finish<'a>(word: Cow<'a, str>, calls: bool, losses: &mut Losses) -> Finish<'a> {
    let reason = match word.as_ref() {
        "STOP" if calls => FinishReason::ToolUse,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::Refusal,
        _ => {
            losses.approximated("/candidates/0/finishReason", "the word has no counterpart; put as a plain end");
            FinishReason::Stop
        }
    };
    Finish { reason, word, stop_sequence: None }
}

pub(super) fn write(answer: &Answer<'_>, cover: &Cover, losses: &mut Losses) -> Vec<u8> {
    let refused = answer.parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
    let mut out = Vec::new();
    object(&mut out, |body| {
        body.list("candidates", |list| {
            list.object(|candidate| {
                candidate.object("content", |content| {
                    content.list("parts", |list| answer.parts.iter().for_each(|part| write_part(list, part, losses)));
                    content.put("role", "model");
                });
                candidate.put("finishReason", finish_word(answer.finish.as_ref(), refused, losses));
                candidate.put("index", &0);
            });
        });
        if let Some(reported) = &answer.usage {
            write_usage(body, &reported.usage);
        }
        body.put("modelVersion", &cover.model);
        body.put("responseId", answer.id.as_deref().unwrap_or(&cover.id));
    });
    out
}

fn write_part(list: &mut List<'_>, part: &Part<'_>, losses: &mut Losses) {
    match &part.content {
        Content::Text(text) | Content::Refusal(text) => list.object(|written| written.put("text", text)),
        Content::Thinking { text, signature } => {
            if signature.as_ref().is_some_and(|signature| !signature.is_empty()) {
                losses.dropped(format!("{}/signature", part.at), parts::SIGNATURE);
            }
            list.object(|written| {
                written.put("text", text);
                written.put("thought", &true);
            });
        }
        Content::RedactedThinking(_) => losses.dropped(&part.at, REDACTED),
        Content::ToolUse { id, name, arguments } => list.object(|written| {
            written.object("functionCall", |call| {
                call.put_some("id", Some(id).filter(|id| !id.is_empty()));
                call.put("name", name);
                write_arguments(call, arguments, &part.at, losses);
            });
        }),
        _ => losses.dropped(&part.at, "an answer is text, thoughts and calls here"),
    }
}

/// Why a redacted thought goes no further.
pub(super) const REDACTED: &str = "a redacted thought is of use to its provider only";

/// The dialect's word for the end.
pub(super) fn finish_word(finish: Option<&Finish<'_>>, refused: bool, losses: &mut Losses) -> &'static str {
    match finish.map_or(FinishReason::Stop, |finish| finish.reason) {
        FinishReason::Stop if refused => "SAFETY",
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::ToolUse => "STOP",
        FinishReason::Length | FinishReason::ContextFull => "MAX_TOKENS",
        FinishReason::Refusal => "SAFETY",
        FinishReason::Pause => {
            losses.approximated("/stop_reason", "a paused turn is put as a plain end");
            "STOP"
        }
    }
}

/// Writes the usage: here the prompt includes what the cache served and stored, and the candidates exclude the thoughts.
pub(super) fn write_usage(body: &mut Object<'_>, usage: &Usage) {
    let sum = |meters: &[Meter]| meters.iter().map(|meter| usage.get(*meter)).sum::<u64>();
    let (tools, thoughts) = (usage.get(Meter::ToolPrompt), usage.get(Meter::Reasoning));
    let (prompt, output) = (usage.input_tokens().saturating_sub(tools), usage.output_tokens());
    let cached = sum(&[Meter::CacheRead, Meter::CacheReadAudio, Meter::CacheReadImage]);
    body.object("usageMetadata", |written| {
        written.put("promptTokenCount", &prompt);
        written.put_some("cachedContentTokenCount", (cached > 0).then_some(cached));
        written.put("candidatesTokenCount", &output.saturating_sub(thoughts));
        written.put_some("toolUsePromptTokenCount", (tools > 0).then_some(tools));
        written.put_some("thoughtsTokenCount", (thoughts > 0).then_some(thoughts));
        written.put("totalTokenCount", &usage.input_tokens().saturating_add(output));
    });
}
