//! Reads the messages of a chat completion request, and the parts they are made of.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, list, short, text};
use crate::canonical::{
    Content, Losses, Message, Part, Placed, PlacedRaw, Request, Role, Source, refused, untranslatable,
};

/// Reads one message into the request: before the conversation where that is its place, else at its end.
pub(super) fn message<'a>(
    message: &'a RawValue,
    at: String,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let mut fields = Fields::read(message.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let role = fields.take_text("role").unwrap_or_default();
    let (name_at, cache) = (fields.at("name"), fields.take_placed("cache_control"));
    let mut name = fields.take_text("name").filter(|name| !name.is_empty()).map(|value| Placed { at: name_at, value });
    let content_at = fields.at("content");
    let content = fields.take("content");
    let mut parts = Vec::new();
    let role = match role.as_ref() {
        "system" | "developer" | "user" => {
            parts = read_parts(content, &content_at, losses)?;
            if role == "user" { Role::User } else { Role::System }
        }
        "assistant" => {
            assistant(&mut fields, content, &content_at, &mut parts, losses)?;
            Role::Assistant
        }
        "tool" | "function" => {
            let inside = read_parts(content, &content_at, losses)?;
            let id = match role.as_ref() {
                "tool" => fields.take_text("tool_call_id"),
                // The older form names the function; its call was given the same id below.
                _ => name.take().map(|name| name.value),
            };
            let id = id.ok_or_else(|| refused(&fields.at("tool_call_id"), "must be a text"))?;
            parts.push(Part::new(&*at, Content::ToolResult { id, parts: inside, is_error: false }));
            Role::User
        }
        _ => return Err(refused(&fields.at("role"), "must be one of system, developer, user, assistant, tool")),
    };
    fields.finish(
        losses,
        &[
            ("audio", "audio of an earlier answer is kept by the provider that spoke it"),
            ("annotations", "annotations of an earlier answer have no counterpart elsewhere"),
            ("reasoning_details", "thinking belongs to the provider that made it and is not shown to another"),
        ],
    );
    mark(&mut parts, cache, losses);
    if role == Role::System && request.messages.is_empty() {
        if let Some(name) = name {
            losses.dropped(name.at, "instructions have no speaker elsewhere");
        }
        request.system.append(&mut parts);
    } else {
        request.messages.push(Message { at, role, name, parts });
    }
    Ok(())
}

/// A cache mark on a message stands on its last part.
fn mark<'a>(parts: &mut [Part<'a>], cache: Option<PlacedRaw<'a>>, losses: &mut Losses) {
    match parts.last_mut() {
        Some(last) if last.cache.is_none() => last.cache = cache,
        _ => losses.cache(cache.as_ref(), "the last part of the message has a mark of its own, or there is none"),
    }
}

/// The text or parts of a message.
fn read_parts<'a>(content: Option<&'a RawValue>, at: &str, losses: &mut Losses) -> Result<Vec<Part<'a>>, Fault> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = text(content) {
        return Ok(vec![Part::new(at, Content::Text(text))]);
    }
    let list = list(content).ok_or_else(|| refused(at, "must be a text or a list of parts"))?;
    let mut parts = Vec::with_capacity(list.len());
    for (index, part) in list.into_iter().enumerate() {
        parts.extend(read_part(part, format!("{at}/{index}"), losses)?);
    }
    Ok(parts)
}

fn read_part<'a>(part: &'a RawValue, at: String, losses: &mut Losses) -> Result<Option<Part<'a>>, Fault> {
    let mut fields = Fields::read(part.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let kind = fields.take_text("type").unwrap_or_default();
    let cache = fields.take_placed("cache_control");
    let inner = |fields: &mut Fields<'a>, name: &str| {
        let at = fields.at(name);
        fields
            .take(name)
            .and_then(|inner| Fields::read(inner.get(), &*at))
            .ok_or_else(|| refused(&at, "must be an object"))
    };
    let must_be_text = |fields: &Fields<'_>, name: &str| refused(&fields.at(name), "must be a text");
    let content = match kind.as_ref() {
        "text" => Content::Text(fields.take_text("text").ok_or_else(|| must_be_text(&fields, "text"))?),
        "refusal" => Content::Refusal(fields.take_text("refusal").ok_or_else(|| must_be_text(&fields, "refusal"))?),
        "image_url" => {
            // Some clients give the address itself where the dialect has an object.
            let url = match fields.take_text("image_url") {
                Some(url) => url,
                None => {
                    let mut image = inner(&mut fields, "image_url")?;
                    let url = image.take_text("url").ok_or_else(|| must_be_text(&image, "url"))?;
                    if image.peek("detail").and_then(text).is_some_and(|detail| detail == "auto") {
                        image.take("detail");
                    }
                    image
                        .finish(losses, &[("detail", "the resolution of pictures is the provider's choice elsewhere")]);
                    url
                }
            };
            match Source::at_address(url, &at)? {
                source if source.is_pdf() => Content::Document { source, title: None },
                source => Content::Image(source),
            }
        }
        "file" => {
            let mut file = inner(&mut fields, "file")?;
            let title = file.take_text("filename");
            let source = match (file.take_text("file_data"), file.take_text("file_id")) {
                (Some(data), _) if data.starts_with("data:") => Source::at_address(data, &at)?,
                // The dialect's documentation has the bare base64 of a PDF too.
                (Some(data), _) => Source::Base64 { media_type: "application/pdf".into(), data },
                (None, Some(id)) => Source::File(id),
                (None, None) => return Err(refused(&file.at("file_data"), "or `file_id` must be given")),
            };
            file.finish(losses, &[]);
            Content::Document { source, title }
        }
        "input_audio" => {
            return Err(untranslatable(
                "audio can only be sent to an OpenAI-compatible model; send a transcript instead",
            ));
        }
        "video_url" => return Err(untranslatable("video can only be sent to an OpenAI-compatible model")),
        "thinking" => {
            losses.dropped(at, "thinking belongs to the provider that made it and is not shown to another");
            return Ok(None);
        }
        other => {
            losses.dropped(at, format!("parts of the type `{}` are not known to the translation", short(other)));
            return Ok(None);
        }
    };
    fields.finish(losses, &[]);
    Ok(Some(Part { at, cache, content }))
}

/// What the model said earlier: thoughts, text, a refusal, calls.
fn assistant<'a>(
    fields: &mut Fields<'a>,
    content: Option<&'a RawValue>,
    content_at: &str,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    for name in ["reasoning_content", "reasoning"] {
        let at = fields.at(name);
        if let Some(text) = fields.take_text(name).filter(|text| !text.is_empty()) {
            parts.push(Part::new(at, Content::Thinking { text, signature: None }));
        }
    }
    parts.append(&mut read_parts(content, content_at, losses)?);
    let at = fields.at("refusal");
    if let Some(refusal) = fields.take_text("refusal").filter(|refusal| !refusal.is_empty()) {
        parts.push(Part::new(at, Content::Refusal(refusal)));
    }
    if let Some(calls) = fields.take("tool_calls") {
        let at = fields.at("tool_calls");
        let calls = list(calls).ok_or_else(|| refused(&at, "must be a list"))?;
        for (index, call) in calls.into_iter().enumerate() {
            parts.extend(read_call(call, format!("{at}/{index}"), losses)?);
        }
    }
    if let Some(call) = fields.take("function_call") {
        let at = fields.at("function_call");
        let mut call = Fields::read(call.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
        let name = call.take_text("name").ok_or_else(|| refused(&call.at("name"), "must be a text"))?;
        let arguments = call.take_text("arguments").unwrap_or_default();
        parts.push(Part::new(at, Content::ToolUse { id: name.clone(), name, arguments }));
    }
    Ok(())
}

fn read_call<'a>(call: &'a RawValue, at: String, losses: &mut Losses) -> Result<Option<Part<'a>>, Fault> {
    let mut fields = Fields::read(call.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let id = fields.take_text("id").ok_or_else(|| refused(&fields.at("id"), "must be a text"))?;
    let kind = fields.take_text("type").unwrap_or(Cow::Borrowed("function"));
    let inner = fields.take(&kind).and_then(|inner| Fields::read(inner.get(), fields.at(&kind)));
    let mut inner = inner.ok_or_else(|| refused(&fields.at(&kind), "must be an object"))?;
    let name = inner.take_text("name").ok_or_else(|| refused(&inner.at("name"), "must be a text"))?;
    let arguments = match kind.as_ref() {
        "function" => inner.take_text("arguments").unwrap_or_default(),
        _ => {
            losses.approximated(inner.at("input"), "a call without a schema is put as one argument named `input`");
            let input = inner.take_text("input").unwrap_or_default();
            let input = serde_json::to_string(&input).expect("a string has a JSON form");
            Cow::Owned(format!("{{\"input\":{input}}}"))
        }
    };
    inner.finish(losses, &[]);
    fields.take("index");
    fields.finish(losses, &[("extra_content", "a provider's own mark on the call is not shown to another")]);
    Ok(Some(Part::new(at, Content::ToolUse { id, name, arguments })))
}
