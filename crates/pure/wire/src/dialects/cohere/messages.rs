//! Reads and writes the messages of a chat request.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, List, is_object, list, short, text};
use crate::canonical::{Content, Losses, Message, Part, Request, Role, Source, refused, untranslatable};

const CACHES: &str = "the provider caches by itself, without marks";

/// Reads one message into the request: before the conversation where that is its place, else at its end.
pub(super) fn read<'a>(
    message: &'a RawValue,
    at: String,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let mut fields = Fields::read(message.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let role = fields.take_text("role").unwrap_or_default();
    let content_at = fields.at("content");
    let content = fields.take("content");
    let mut parts = Vec::new();
    let role = match role.as_ref() {
        "system" => {
            parts = read_parts(content, &content_at, losses)?;
            Role::System
        }
        "user" => {
            parts = read_parts(content, &content_at, losses)?;
            Role::User
        }
        "assistant" => {
            assistant(&mut fields, content, &content_at, &mut parts, losses)?;
            Role::Assistant
        }
        "tool" => {
            let inside = read_parts(content, &content_at, losses)?;
            let id = fields.take_text("tool_call_id");
            let id = id.ok_or_else(|| refused(&fields.at("tool_call_id"), "must be a text"))?;
            parts.push(Part::new(&*at, Content::ToolResult { id, parts: inside, is_error: false }));
            Role::User
        }
        _ => return Err(refused(&fields.at("role"), "must be one of system, user, assistant, tool")),
    };
    fields.finish(losses, &[("citations", "citations exist only in this dialect")]);
    if role == Role::System && request.messages.is_empty() {
        request.system.append(&mut parts);
    } else {
        request.messages.push(Message { at, role, name: None, parts });
    }
    Ok(())
}

/// The text or blocks of a message.
fn read_parts<'a>(content: Option<&'a RawValue>, at: &str, losses: &mut Losses) -> Result<Vec<Part<'a>>, Fault> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if let Some(text) = text(content) {
        return Ok(vec![Part::new(at, Content::Text(text))]);
    }
    // The API takes a block alone, too.
    if is_object(content) {
        return Ok(read_block(content, at.to_owned(), losses)?.into_iter().collect());
    }
    let list = list(content).ok_or_else(|| refused(at, "must be a text or a list of blocks"))?;
    let mut parts = Vec::with_capacity(list.len());
    for (index, block) in list.into_iter().enumerate() {
        parts.extend(read_block(block, format!("{at}/{index}"), losses)?);
    }
    Ok(parts)
}

fn read_block<'a>(block: &'a RawValue, at: String, losses: &mut Losses) -> Result<Option<Part<'a>>, Fault> {
    let mut fields = Fields::read(block.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let kind = fields.take_text("type").unwrap_or_default();
    let must_be_text = |fields: &Fields<'_>, name: &str| refused(&fields.at(name), "must be a text");
    let content = match kind.as_ref() {
        "text" => Content::Text(fields.take_text("text").ok_or_else(|| must_be_text(&fields, "text"))?),
        "thinking" => {
            let text = fields.take_text("thinking").ok_or_else(|| must_be_text(&fields, "thinking"))?;
            Content::Thinking { text, signature: None }
        }
        "image_url" => {
            let inner = fields.take("image_url").and_then(|inner| Fields::read(inner.get(), fields.at("image_url")));
            let mut image = inner.ok_or_else(|| refused(&fields.at("image_url"), "must be an object"))?;
            let url = image.take_text("url").ok_or_else(|| must_be_text(&image, "url"))?;
            if image.peek("detail").and_then(text).is_some_and(|detail| detail == "auto") {
                image.take("detail");
            }
            image.finish(losses, &[("detail", "the resolution of pictures is the provider's choice elsewhere")]);
            Content::Image(Source::at_address(url, &at)?)
        }
        "document" => {
            let inner = fields.take("document").and_then(|inner| Fields::read(inner.get(), fields.at("document")));
            let mut document = inner.ok_or_else(|| refused(&fields.at("document"), "must be an object"))?;
            let data = document.take("data").ok_or_else(|| refused(&document.at("data"), "must be an object"))?;
            document.finish(losses, &[("id", "citations exist only in this dialect")]);
            losses.approximated(&*at, "a document is put as the text of its data");
            Content::Text(text(data).unwrap_or(Cow::Borrowed(data.get())))
        }
        other => {
            losses.dropped(at, format!("blocks of the type `{}` are not known to the translation", short(other)));
            return Ok(None);
        }
    };
    fields.finish(losses, &[]);
    Ok(Some(Part::new(at, content)))
}

/// What the model said earlier: its plan, thoughts, text, calls.
fn assistant<'a>(
    fields: &mut Fields<'a>,
    content: Option<&'a RawValue>,
    content_at: &str,
    parts: &mut Vec<Part<'a>>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let at = fields.at("tool_plan");
    if let Some(plan) = fields.take_text("tool_plan").filter(|plan| !plan.is_empty()) {
        losses.approximated(&*at, "a plan of tool calls is put as text before them");
        parts.push(Part::new(at, Content::Text(plan)));
    }
    parts.append(&mut read_parts(content, content_at, losses)?);
    let Some(calls) = fields.take("tool_calls") else { return Ok(()) };
    let at = fields.at("tool_calls");
    let calls = list(calls).ok_or_else(|| refused(&at, "must be a list"))?;
    for (index, call) in calls.into_iter().enumerate() {
        let at = format!("{at}/{index}");
        let mut call = Fields::read(call.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
        let id = call.take_text("id").ok_or_else(|| refused(&call.at("id"), "must be a text"))?;
        let inner = call.take("function").and_then(|inner| Fields::read(inner.get(), call.at("function")));
        let mut inner = inner.ok_or_else(|| refused(&call.at("function"), "must be an object"))?;
        let name = inner.take_text("name").ok_or_else(|| refused(&inner.at("name"), "must be a text"))?;
        let arguments = inner.take_text("arguments").unwrap_or_default();
        inner.finish(losses, &[]);
        call.take("type");
        call.finish(losses, &[]);
        parts.push(Part::new(at, Content::ToolUse { id, name, arguments }));
    }
    Ok(())
}

/// What would change the question if it were left out.
pub(super) fn refuse_what_cannot_be_said(request: &Request<'_>) -> Result<(), Fault> {
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        let inside = match &part.content {
            Content::ToolResult { parts, .. } => parts.as_slice(),
            _ => std::slice::from_ref(part),
        };
        for part in inside {
            let why = match &part.content {
                Content::Image(Source::File(_)) | Content::Document { source: Source::File(_), .. } => {
                    "is in another provider's file store; send the bytes instead"
                }
                Content::Document { source: Source::Base64 { .. } | Source::Url(_), .. } => {
                    "is a document, of which cohere reads none but text; send its text instead"
                }
                _ => continue,
            };
            return Err(untranslatable(format!("`{}` {why}", part.at)));
        }
    }
    Ok(())
}

/// Writes the instructions and the conversation. The dialect takes instructions at the beginning only.
pub(super) fn write(list: &mut List<'_>, request: &Request<'_>, losses: &mut Losses) {
    let mut instructions: Vec<&Part<'_>> = request.system.iter().collect();
    for message in request.messages.iter().filter(|message| message.role == Role::System) {
        losses.approximated(&message.at, "instructions within the conversation are put before it");
        instructions.extend(&message.parts);
    }
    if !instructions.is_empty() {
        let texts: Vec<_> = instructions.into_iter().filter_map(|part| say(part, losses)).collect();
        list.object(|message| {
            message.put("role", "system");
            message.put("content", &texts.join("\n\n"));
        });
    }
    for (index, message) in request.messages.iter().enumerate() {
        if let Some(name) = &message.name {
            losses.dropped(&name.at, "speakers have no names here; say who speaks in the text");
        }
        match message.role {
            Role::System => {}
            Role::User => user(list, message, losses),
            Role::Assistant => {
                if index + 1 == request.messages.len() {
                    let why = "a started answer is not continued here; the model begins a new one";
                    losses.approximated(&message.at, why);
                }
                write_assistant(list, message, losses);
            }
        }
    }
}

/// The text of a part that can be nothing else here.
fn say<'p>(part: &'p Part<'_>, losses: &mut Losses) -> Option<&'p str> {
    losses.cache(part.cache.as_ref(), CACHES);
    losses.only_text(part)
}

/// Results of tools as messages of their own, then the rest.
fn user(list: &mut List<'_>, message: &Message<'_>, losses: &mut Losses) {
    let mut rest: Vec<&Part<'_>> = Vec::new();
    for part in &message.parts {
        let Content::ToolResult { id, parts, is_error } = &part.content else { continue };
        if *is_error {
            losses.dropped(&part.at, "the dialect does not mark failed tools; the text stays");
        }
        losses.cache(part.cache.as_ref(), CACHES);
        let (mut texts, moved_before) = (Vec::new(), rest.len());
        for inside in parts {
            if matches!(inside.content, Content::Image(_)) {
                losses.approximated(&inside.at, "a tool's result is text here; this follows in a message of the user");
                rest.push(inside);
            } else {
                texts.extend(say(inside, losses));
            }
        }
        if texts.is_empty() && rest.len() > moved_before {
            texts.push("The result follows in the next message of the user.");
        }
        list.object(|message| {
            message.put("role", "tool");
            message.put("tool_call_id", id);
            message.put("content", &texts.join("\n"));
        });
    }
    rest.extend(message.parts.iter().filter(|part| !matches!(part.content, Content::ToolResult { .. })));
    if rest.is_empty() && !message.parts.is_empty() {
        return;
    }
    list.object(|written| {
        written.put("role", "user");
        match rest.as_slice() {
            [] => written.put("content", ""),
            [one] if one.text().is_some() => written.put("content", say(one, losses).unwrap_or_default()),
            parts => written.list("content", |list| parts.iter().for_each(|part| write_block(list, part, losses))),
        }
    });
}

fn write_block(list: &mut List<'_>, part: &Part<'_>, losses: &mut Losses) {
    let url = match &part.content {
        Content::Image(source) => source.address(),
        _ => None,
    };
    if let Some(url) = url {
        losses.cache(part.cache.as_ref(), CACHES);
        list.object(|item| {
            item.put("type", "image_url");
            item.object("image_url", |image| image.put("url", &url));
        });
    } else if let Some(text) = say(part, losses) {
        list.object(|item| {
            item.put("type", "text");
            item.put("text", text);
        });
    }
}

fn write_assistant(list: &mut List<'_>, message: &Message<'_>, losses: &mut Losses) {
    let (mut texts, mut calls) = (Vec::new(), Vec::new());
    for part in &message.parts {
        match &part.content {
            Content::ToolUse { id, name, arguments } => {
                losses.cache(part.cache.as_ref(), CACHES);
                calls.push((id, name, arguments));
            }
            _ => texts.extend(say(part, losses)),
        }
    }
    if texts.is_empty() && calls.is_empty() {
        return;
    }
    list.object(|written| {
        written.put("role", "assistant");
        let said = texts.concat();
        if calls.is_empty() {
            written.put("content", &said);
            return;
        }
        // What is said beside calls is their plan (Cohere's tool use guide: the plan is sent back with the calls).
        if !said.is_empty() {
            losses.approximated(&message.at, "text before tool calls is put as their plan");
            written.put("tool_plan", &said);
        }
        written.list("tool_calls", |list| {
            for (id, name, arguments) in &calls {
                list.object(|call| {
                    call.put("id", id);
                    call.put("type", "function");
                    call.object("function", |function| {
                        function.put("name", name);
                        function.put("arguments", if arguments.is_empty() { "{}" } else { arguments });
                    });
                });
            }
        });
    });
}
