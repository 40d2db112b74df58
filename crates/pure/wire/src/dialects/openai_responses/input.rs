//! Reads the input items of a responses request, and the parts they are made of.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, list, short, text};
use crate::canonical::{Content, Losses, Message, Part, Request, Role, Source, refused, untranslatable};

/// Why items of this kind are left out of a conversation that crosses.
const OF_THE_PROVIDER: &str = "what the provider's own tools did is not shown to another";

/// Why the group of a tool is left out.
const GROUPS: &str = "tools are not grouped elsewhere";

/// Reads `instructions`, which stand before the conversation.
pub(super) fn instructions<'a>(
    instructions: &'a RawValue,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    const AT: &str = "/instructions";
    if let Some(text) = text(instructions) {
        if !text.is_empty() {
            request.system.push(Part::new(AT, Content::Text(text)));
        }
        return Ok(());
    }
    let items = list(instructions).ok_or_else(|| refused(AT, "must be a text"))?;
    for (index, item) in items.into_iter().enumerate() {
        read_item(item, format!("{AT}/{index}"), request, losses)?;
    }
    Ok(())
}

/// Reads `input`: a text of the user, or items.
pub(super) fn read<'a>(input: &'a RawValue, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    const AT: &str = "/input";
    if let Some(text) = text(input) {
        return push(request, AT.into(), Role::User, vec![Part::new(AT, Content::Text(text))]);
    }
    let items = list(input).ok_or_else(|| refused(AT, "must be a text or a list of items"))?;
    for (index, item) in items.into_iter().enumerate() {
        read_item(item, format!("{AT}/{index}"), request, losses)?;
    }
    Ok(())
}

/// Adds what one side says. Items of the model that follow one another are one turn: its calls belong together, and so do
/// their results.
fn push<'a>(request: &mut Request<'a>, at: String, role: Role, mut parts: Vec<Part<'a>>) -> Result<(), Fault> {
    let only_results = |parts: &[Part<'_>]| parts.iter().all(|part| matches!(part.content, Content::ToolResult { .. }));
    match request.messages.last_mut() {
        Some(last)
            if last.role == role
                && (role == Role::Assistant || (only_results(&last.parts) && only_results(&parts))) =>
        {
            last.parts.append(&mut parts);
        }
        _ => request.messages.push(Message { at, role, name: None, parts }),
    }
    Ok(())
}

fn read_item<'a>(item: &'a RawValue, at: String, request: &mut Request<'a>, losses: &mut Losses) -> Result<(), Fault> {
    let mut fields = Fields::read(item.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let kind = fields.take_text("type").unwrap_or(Cow::Borrowed("message"));
    // The provider's own name for the item, and how far it had come.
    fields.take("id");
    fields.take("status");
    let must_text = |fields: &mut Fields<'a>, name: &str| {
        let at = fields.at(name);
        fields.take_text(name).ok_or_else(|| refused(&at, "must be a text"))
    };
    let (role, part) = match kind.as_ref() {
        "message" => return message(fields, at, request, losses),
        "function_call" => {
            let (id, name) = (must_text(&mut fields, "call_id")?, must_text(&mut fields, "name")?);
            let arguments = fields.take_text("arguments").unwrap_or_default();
            (Role::Assistant, Content::ToolUse { id, name, arguments })
        }
        "custom_tool_call" => {
            let (id, name) = (must_text(&mut fields, "call_id")?, must_text(&mut fields, "name")?);
            losses.approximated(fields.at("input"), "a call without a schema is put as one argument named `input`");
            let input = serde_json::to_string(&fields.take_text("input").unwrap_or_default());
            let input = input.expect("a string has a JSON form");
            (Role::Assistant, Content::ToolUse { id, name, arguments: Cow::Owned(format!("{{\"input\":{input}}}")) })
        }
        "function_call_output" | "custom_tool_call_output" => {
            let inside_at = fields.at("output");
            let output = fields.take("output").ok_or_else(|| refused(&inside_at, "must be given"))?;
            let Some(id) = fields.take_text("call_id") else {
                // Codex hands in what a tool of its own says unasked.
                losses.approximated(&*at, "a result that no call asked for is put as words of the user");
                let mut said = parts(output, &inside_at, losses)?;
                if let Some(name) = fields.take_text("name") {
                    said.insert(0, Part::new(fields.at("name"), Content::Text(name)));
                }
                fields.finish(losses, &[("namespace", GROUPS)]);
                return push(request, at, Role::User, said);
            };
            (Role::User, Content::ToolResult { id, parts: parts(output, &inside_at, losses)?, is_error: false })
        }
        "reasoning" => (Role::Assistant, thought(&mut fields)),
        "item_reference" => {
            let why = "refers to an item that only the provider which keeps it has; send the item itself";
            return Err(untranslatable(format!("`{at}` {why}")));
        }
        "compaction" | "compaction_trigger" => {
            let why =
                "stands for an earlier conversation that only its provider can read; send the conversation itself";
            return Err(untranslatable(format!("`{at}` {why}")));
        }
        other => {
            let of_a_tool = ["_call", "_call_output", "_list_tools", "_approval_request", "_approval_response"];
            let why = match of_a_tool.iter().any(|end| other.ends_with(end)) {
                true => OF_THE_PROVIDER.to_owned(),
                false => format!("items of the type `{}` are not known to the translation", short(other)),
            };
            losses.dropped(at, why);
            return Ok(());
        }
    };
    fields.finish(losses, &[("namespace", GROUPS), ("caller", OF_THE_PROVIDER)]);
    push(request, at.clone(), role, vec![Part::new(at, part)])
}

fn message<'a>(
    mut fields: Fields<'a>,
    at: String,
    request: &mut Request<'a>,
    losses: &mut Losses,
) -> Result<(), Fault> {
    let role = match fields.take_text("role").as_deref() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(refused(&fields.at("role"), "must be one of user, assistant, system, developer")),
    };
    let content_at = fields.at("content");
    let content = fields.take("content").ok_or_else(|| refused(&content_at, "must be a text or a list of parts"))?;
    let mut parts = parts(content, &content_at, losses)?;
    fields.finish(losses, &[("phase", "whether the model was still at work is not said elsewhere")]);
    if role == Role::System && request.messages.is_empty() {
        request.system.append(&mut parts);
        return Ok(());
    }
    push(request, at, role, parts)
}

/// What was thought: its summary, or what only its provider can read.
fn thought<'a>(fields: &mut Fields<'a>) -> Content<'a> {
    let mut texts = Vec::new();
    for name in ["summary", "content"] {
        for part in fields.take(name).and_then(list).unwrap_or_default() {
            texts.extend(Fields::read(part.get(), "").and_then(|mut part| part.take_text("text")));
        }
    }
    let encrypted = fields.take_text("encrypted_content");
    match (texts.is_empty(), encrypted) {
        (true, Some(encrypted)) => Content::RedactedThinking(encrypted),
        (_, signature) => Content::Thinking { text: Cow::Owned(texts.join("\n\n")), signature },
    }
}

/// A text, or a list of parts.
fn parts<'a>(content: &'a RawValue, at: &str, losses: &mut Losses) -> Result<Vec<Part<'a>>, Fault> {
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
    let must_text = |fields: &mut Fields<'a>, name: &str| {
        let at = fields.at(name);
        fields.take_text(name).ok_or_else(|| refused(&at, "must be a text"))
    };
    let content = match kind.as_ref() {
        "input_text" | "output_text" | "text" => {
            fields.take("logprobs");
            Content::Text(must_text(&mut fields, "text")?)
        }
        "refusal" => Content::Refusal(must_text(&mut fields, "refusal")?),
        "input_image" => {
            if fields.peek("detail").and_then(text).is_some_and(|detail| detail == "auto") {
                fields.take("detail");
            }
            match (fields.take_text("image_url"), fields.take_text("file_id")) {
                (Some(url), _) => match Source::at_address(url, &at)? {
                    source if source.is_pdf() => Content::Document { source, title: None },
                    source => Content::Image(source),
                },
                (None, Some(id)) => Content::Image(Source::File(id)),
                (None, None) => return Err(refused(&fields.at("image_url"), "or `file_id` must be given")),
            }
        }
        "input_file" => {
            let title = fields.take_text("filename");
            let source = match (fields.take_text("file_data"), fields.take_text("file_url")) {
                (Some(data), _) if data.starts_with("data:") => Source::at_address(data, &at)?,
                // The dialect's documentation has the bare base64 of a PDF too.
                (Some(data), _) => Source::Base64 { media_type: "application/pdf".into(), data },
                (None, Some(url)) if url.starts_with("data:") => {
                    return Err(refused(
                        &fields.at("file_url"),
                        "must be an address on the web; send bytes as file_data",
                    ));
                }
                (None, Some(url)) => Source::Url(url),
                (None, None) => match fields.take_text("file_id") {
                    Some(id) => Source::File(id),
                    None => return Err(refused(&fields.at("file_data"), "or `file_url` or `file_id` must be given")),
                },
            };
            Content::Document { source, title }
        }
        "input_audio" => {
            let why = "audio can only be sent to an OpenAI-compatible model; send a transcript instead";
            return Err(untranslatable(why));
        }
        other => {
            losses.dropped(at, format!("parts of the type `{}` are not known to the translation", short(other)));
            return Ok(None);
        }
    };
    fields.finish(
        losses,
        &[
            ("annotations", "annotations of an earlier answer have no counterpart elsewhere"),
            ("detail", "the resolution of pictures is the provider's choice elsewhere"),
            ("prompt_cache_breakpoint", "where the prompt is cached is marked by cache_control elsewhere"),
        ],
    );
    Ok(Some(Part::new(at, content)))
}
