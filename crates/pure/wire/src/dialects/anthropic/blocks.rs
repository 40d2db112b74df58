//! Reads the blocks that messages, instructions and tool results are made of.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, flag, is_object, list, short, text};
use crate::canonical::{Content, Losses, Part, Source, is_media_type, refused, untranslatable};

/// Why blocks of this kind are left out of a history that crosses.
const OF_THE_PROVIDER: &str = "what the provider's own tools did is not shown to another";

/// Reads a text or a list of blocks that stands at the pointer `at`.
pub(super) fn read<'a>(content: &'a RawValue, at: &str, losses: &mut Losses) -> Result<Vec<Part<'a>>, Fault> {
    if let Some(text) = text(content) {
        return Ok(vec![Part::new(at, Content::Text(text))]);
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
    let cache = fields.take_placed("cache_control");
    let must_text = |fields: &mut Fields<'a>, name: &str| {
        let at = fields.at(name);
        fields.take_text(name).ok_or_else(|| refused(&at, "must be a text"))
    };
    let content = match kind.as_ref() {
        "text" => Content::Text(must_text(&mut fields, "text")?),
        "image" => Content::Image(source(&mut fields, losses)?),
        "document" => Content::Document { source: source(&mut fields, losses)?, title: fields.take_text("title") },
        "tool_use" => {
            let (id, name) = (must_text(&mut fields, "id")?, must_text(&mut fields, "name")?);
            let input = fields.take("input").filter(|input| is_object(input));
            // `caller` says that the model called it directly; the other callers are code at the provider.
            if fields
                .peek("caller")
                .and_then(|caller| Fields::read(caller.get(), "")?.take_text("type"))
                .is_some_and(|caller| caller == "direct")
            {
                fields.take("caller");
            }
            Content::ToolUse { id, name, arguments: Cow::Borrowed(input.map_or("{}", RawValue::get)) }
        }
        "tool_result" => {
            let id = must_text(&mut fields, "tool_use_id")?;
            let is_error = fields.take("is_error").and_then(flag).unwrap_or(false);
            let inside_at = fields.at("content");
            let parts = match fields.take("content") {
                Some(content) => read_inside(content, &inside_at, losses)?,
                None => Vec::new(),
            };
            Content::ToolResult { id, parts, is_error }
        }
        "thinking" => {
            let text = must_text(&mut fields, "thinking")?;
            Content::Thinking { text, signature: fields.take_text("signature") }
        }
        "redacted_thinking" => Content::RedactedThinking(must_text(&mut fields, "data")?),
        "search_result" => {
            losses.approximated(&*at, "a search result is put as text");
            Content::Text(search_result(&mut fields, losses)?)
        }
        "container_upload" => {
            return Err(untranslatable(format!("`{at}` is in another provider's file store; send the bytes instead")));
        }
        other => {
            let why = match other {
                "server_tool_use" | "mcp_tool_use" => OF_THE_PROVIDER.to_owned(),
                result if result.ends_with("_tool_result") => OF_THE_PROVIDER.to_owned(),
                _ => format!("blocks of the type `{}` are not known to the translation", short(other)),
            };
            losses.dropped(at, why);
            return Ok(None);
        }
    };
    fields.finish(
        losses,
        &[
            ("citations", "citations exist only in this dialect"),
            ("context", "a document's context has no place elsewhere; say it in the prompt"),
            ("caller", OF_THE_PROVIDER),
        ],
    );
    Ok(Some(Part { at, cache, content }))
}

/// What stands in a tool's result: blocks again, but no results, or the reading would have no end.
fn read_inside<'a>(content: &'a RawValue, at: &str, losses: &mut Losses) -> Result<Vec<Part<'a>>, Fault> {
    if let Some(text) = text(content) {
        return Ok(vec![Part::new(at, Content::Text(text))]);
    }
    let list = list(content).ok_or_else(|| refused(at, "must be a text or a list of blocks"))?;
    let mut parts = Vec::with_capacity(list.len());
    for (index, block) in list.into_iter().enumerate() {
        let at = format!("{at}/{index}");
        let kind = Fields::read(block.get(), "").and_then(|mut fields| fields.take_text("type")).unwrap_or_default();
        match kind.as_ref() {
            "text" | "image" | "document" | "search_result" => parts.extend(read_block(block, at, losses)?),
            other => {
                losses.dropped(
                    at,
                    format!("blocks of the type `{}` in a result are not known to the translation", short(other)),
                );
            }
        }
    }
    Ok(parts)
}

/// The `source` of a picture or document.
fn source<'a>(fields: &mut Fields<'a>, losses: &mut Losses) -> Result<Source<'a>, Fault> {
    let at = fields.at("source");
    let inner = fields.take("source").and_then(|inner| Fields::read(inner.get(), &*at));
    let mut inner = inner.ok_or_else(|| refused(&at, "must be an object"))?;
    let kind = inner.take_text("type").unwrap_or_default();
    let must_text = |inner: &mut Fields<'a>, name: &str| {
        let at = inner.at(name);
        inner.take_text(name).ok_or_else(|| refused(&at, "must be a text"))
    };
    let source = match kind.as_ref() {
        "base64" => {
            let media_type = must_text(&mut inner, "media_type")?;
            if !is_media_type(&media_type) {
                return Err(refused(&inner.at("media_type"), "must be a media type such as image/png"));
            }
            Source::Base64 { media_type, data: must_text(&mut inner, "data")? }
        }
        "url" => {
            let url = must_text(&mut inner, "url")?;
            if url.starts_with("data:") {
                return Err(refused(&inner.at("url"), "must be an address on the web; send bytes as base64"));
            }
            Source::Url(url)
        }
        "file" => Source::File(must_text(&mut inner, "file_id")?),
        "text" => {
            inner.take("media_type");
            Source::Text(must_text(&mut inner, "data")?)
        }
        "content" => {
            let content = inner.take("content").ok_or_else(|| refused(&inner.at("content"), "must be given"))?;
            Source::Text(texts(content, &inner.at("content"), losses)?)
        }
        _ => return Err(refused(&inner.at("type"), "must be one of base64, url, file, text, content")),
    };
    inner.finish(losses, &[]);
    Ok(source)
}

/// The texts of a text or a list of blocks, one after the other.
fn texts<'a>(content: &'a RawValue, at: &str, losses: &mut Losses) -> Result<Cow<'a, str>, Fault> {
    if let Some(text) = text(content) {
        return Ok(text);
    }
    let list = list(content).ok_or_else(|| refused(at, "must be a text or a list of blocks"))?;
    let mut texts = Vec::with_capacity(list.len());
    for (index, block) in list.into_iter().enumerate() {
        let text = Fields::read(block.get(), "").and_then(|mut fields| fields.take_text("text"));
        match text {
            Some(text) => texts.push(text),
            None => losses.dropped(format!("{at}/{index}"), "only text can stand here"),
        }
    }
    Ok(Cow::Owned(texts.join("\n")))
}

fn search_result<'a>(fields: &mut Fields<'a>, losses: &mut Losses) -> Result<Cow<'a, str>, Fault> {
    let (title, source) =
        (fields.take_text("title").unwrap_or_default(), fields.take_text("source").unwrap_or_default());
    let at = fields.at("content");
    let content = fields.take("content").ok_or_else(|| refused(&at, "must be given"))?;
    Ok(Cow::Owned([title, source, texts(content, &at, losses)?].join("\n")))
}
