//! Reads the blocks that messages, instructions, tool results and answers are made of.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use crate::canonical::json::{Fields, is_object, list, short, text};
use crate::canonical::{Content, Losses, Part, Placed, PlacedRaw, Source, refused, untranslatable};

/// Formats of pictures and documents, and the media types elsewhere.
pub(super) const FORMATS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
];

const NO_CITATIONS: &str = "citations exist only in this dialect";

/// Reads a list of blocks that stands at the pointer `at`. A cache point marks the block before it.
pub(super) fn read<'a>(content: &'a RawValue, at: &str, losses: &mut Losses) -> Result<Vec<Part<'a>>, Fault> {
    let list = list(content).ok_or_else(|| refused(at, "must be a list of blocks"))?;
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(list.len());
    for (index, block) in list.into_iter().enumerate() {
        let at = format!("{at}/{index}");
        match cache_point(block, &at) {
            Some(mark) => match parts.last_mut() {
                Some(last) if last.cache.is_none() => last.cache = Some(mark),
                _ => losses.dropped(at, "a cache point without a block before it marks nothing"),
            },
            None => parts.extend(read_block(block, at, true, losses)?),
        }
    }
    Ok(parts)
}

/// The mark a cache point stands for, in the words that the canonical form has for marks.
pub(super) fn cache_point<'a>(block: &'a RawValue, at: &str) -> Option<PlacedRaw<'a>> {
    let point = Fields::read(block.get(), "")?.take("cachePoint")?;
    let an_hour = Fields::read(point.get(), "")?.take_text("ttl").is_some_and(|ttl| ttl == "1h");
    let mark = if an_hour { r#"{"type":"ephemeral","ttl":"1h"}"# } else { r#"{"type":"ephemeral"}"# };
    let value = serde_json::from_str::<&'static RawValue>(mark).expect("the mark is JSON");
    Some(Placed { at: at.to_owned(), value })
}

fn read_block<'a>(
    block: &'a RawValue,
    at: String,
    results: bool,
    losses: &mut Losses,
) -> Result<Option<Part<'a>>, Fault> {
    let mut fields = Fields::read(block.get(), &*at).ok_or_else(|| refused(&at, "must be an object"))?;
    let inner = |fields: &mut Fields<'a>, name: &str| {
        let at = fields.at(name);
        let inner = fields.take(name).and_then(|inner| Fields::read(inner.get(), &*at));
        inner.ok_or_else(|| refused(&at, "must be an object"))
    };
    let must_text = |fields: &mut Fields<'a>, name: &str| {
        let at = fields.at(name);
        fields.take_text(name).ok_or_else(|| refused(&at, "must be a text"))
    };
    let kind = fields.members().next().map(|(name, _)| name.to_owned()).unwrap_or_default();
    let content = match kind.as_str() {
        "text" => Content::Text(must_text(&mut fields, "text")?),
        "image" => {
            let mut image = inner(&mut fields, "image")?;
            let source = source(&mut image)?;
            image.finish(losses, &[]);
            Content::Image(source)
        }
        "document" => {
            let mut document = inner(&mut fields, "document")?;
            let (title, source) = (document.take_text("name"), source(&mut document)?);
            document.finish(
                losses,
                &[
                    ("citations", NO_CITATIONS),
                    ("context", "a document's context has no place elsewhere; say it in the prompt"),
                ],
            );
            Content::Document { source, title }
        }
        "toolUse" => {
            let mut call = inner(&mut fields, "toolUse")?;
            if call.peek("type").is_some() {
                losses.dropped(at, "what the provider's own tools did is not shown to another");
                return Ok(None);
            }
            let (id, name) = (must_text(&mut call, "toolUseId")?, must_text(&mut call, "name")?);
            let input = call.take("input").filter(|input| is_object(input));
            call.finish(losses, &[]);
            Content::ToolUse { id, name, arguments: Cow::Borrowed(input.map_or("{}", RawValue::get)) }
        }
        "toolResult" if results => {
            let mut result = inner(&mut fields, "toolResult")?;
            let id = must_text(&mut result, "toolUseId")?;
            let is_error = result.take_text("status").is_some_and(|status| status == "error");
            let inside_at = result.at("content");
            let mut parts = Vec::new();
            for (index, block) in result.take("content").and_then(list).unwrap_or_default().into_iter().enumerate() {
                parts.extend(read_block(block, format!("{inside_at}/{index}"), false, losses)?);
            }
            result.finish(losses, &[("type", "the kind of a result says nothing elsewhere")]);
            Content::ToolResult { id, parts, is_error }
        }
        // A tool's result may be JSON, which is text elsewhere.
        "json" if !results => Content::Text(Cow::Borrowed(fields.take("json").map_or("null", RawValue::get))),
        "reasoningContent" => {
            let mut thought = inner(&mut fields, "reasoningContent")?;
            match thought.take_text("redactedContent") {
                Some(data) => Content::RedactedThinking(data),
                None => {
                    let mut said = inner(&mut thought, "reasoningText")?;
                    Content::Thinking { text: must_text(&mut said, "text")?, signature: said.take_text("signature") }
                }
            }
        }
        "guardContent" => {
            let mut guarded = inner(&mut fields, "guardContent")?;
            losses.approximated(
                &*at,
                "content for a guardrail is put as content; guardrails exist only at their provider",
            );
            match guarded.peek("image").is_some() {
                true => Content::Image(source(&mut inner(&mut guarded, "image")?)?),
                false => Content::Text(must_text(&mut inner(&mut guarded, "text")?, "text")?),
            }
        }
        "citationsContent" => {
            let mut cited = inner(&mut fields, "citationsContent")?;
            losses.dropped(format!("{at}/citationsContent/citations"), NO_CITATIONS);
            Content::Text(texts(cited.take("content")))
        }
        "searchResult" => {
            let mut found = inner(&mut fields, "searchResult")?;
            losses.approximated(&*at, "a search result is put as text");
            let head = [found.take_text("title"), found.take_text("source")].into_iter().flatten();
            let head = head.map(|line| format!("{line}\n")).collect::<String>();
            Content::Text(Cow::Owned(head + &texts(found.take("content"))))
        }
        "video" | "audio" => {
            return Err(untranslatable(format!("`{at}` is {kind}, which only a bedrock-converse model is sent")));
        }
        other => {
            losses.dropped(at, format!("blocks of the type `{}` are not known to the translation", short(other)));
            return Ok(None);
        }
    };
    fields.finish(losses, &[]);
    Ok(Some(Part::new(at, content)))
}

/// The texts of a list of text blocks, together.
fn texts(content: Option<&RawValue>) -> Cow<'_, str> {
    let blocks = content.and_then(list).unwrap_or_default();
    let texts = blocks.into_iter().filter_map(|block| Fields::read(block.get(), "")?.take_text("text"));
    Cow::Owned(texts.collect::<Vec<_>>().concat())
}

/// The `format` and `source` of a picture or document.
fn source<'a>(fields: &mut Fields<'a>) -> Result<Source<'a>, Fault> {
    let (format_at, at) = (fields.at("format"), fields.at("source"));
    let format = fields.take_text("format");
    let inner = fields.take("source").and_then(|inner| Fields::read(inner.get(), &*at));
    let mut inner = inner.ok_or_else(|| refused(&at, "must be an object"))?;
    if let Some(text) = inner.take_text("text") {
        return Ok(Source::Text(text));
    }
    if let Some(content) = inner.take("content") {
        return Ok(Source::Text(texts(Some(content))));
    }
    if let Some(place) = inner.take("s3Location") {
        let uri = Fields::read(place.get(), "").and_then(|mut place| place.take_text("uri"));
        return Ok(Source::File(uri.unwrap_or_default()));
    }
    let data = inner.take("bytes").and_then(text).ok_or_else(|| refused(&inner.at("bytes"), "must be base64"))?;
    // A document without a format is plain text.
    let format = format.unwrap_or(Cow::Borrowed("txt"));
    let known = FORMATS.iter().find(|(name, _)| *name == format);
    let (_, media_type) = known.ok_or_else(|| refused(&format_at, "must be a format such as png or pdf"))?;
    Ok(Source::Base64 { media_type: Cow::Borrowed(media_type), data })
}
