//! Writes the conversation of a Converse request: instructions apart, turns that alternate, results before anything else.

use std::borrow::Cow;

use base64::Engine;
use domain::Fault;

use super::blocks::FORMATS;
use crate::canonical::common::{is_own, untagged, write_input};
use crate::canonical::json::{List, Object};
use crate::canonical::{Content, Losses, Part, Request, Role, Source, Target, refused, untranslatable};
use crate::maker::Maker;

/// Instructions and conversation as the dialect has them.
pub(super) struct Conversation<'r, 'a> {
    system: Vec<&'r Part<'a>>,
    turns: Vec<(Role, Vec<&'r Part<'a>>)>,
    /// Whether the model knows cache points; another refuses them.
    marks: bool,
}

impl<'r, 'a> Conversation<'r, 'a> {
    pub(super) fn of(
        request: &'r Request<'a>,
        to: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Conversation<'r, 'a>, Fault> {
        let system = sayable(&request.system, None, losses);
        let mut sorted = Conversation { system, turns: Vec::new(), marks: takes_cache_points(to.model) };
        for message in &request.messages {
            if let Some(name) = &message.name {
                losses.dropped(&name.at, "speakers have no names here; say who speaks in the text");
            }
            let own = (message.role == Role::Assistant).then_some(to.maker);
            let mut parts = sayable(&message.parts, own, losses);
            if message.role == Role::System {
                losses.approximated(&message.at, "instructions within the conversation are put before it");
                sorted.system.append(&mut parts);
            } else if !parts.is_empty() {
                match sorted.turns.last_mut() {
                    Some((role, turn)) if *role == message.role => turn.append(&mut parts),
                    _ => sorted.turns.push((message.role, parts)),
                }
            }
        }
        if sorted.turns.is_empty() {
            let last = sorted.system.pop().ok_or_else(|| refused("/messages", "must say something"))?;
            losses.approximated(&last.at, "an instruction without a conversation is put as a message of the user");
            sorted.turns.push((Role::User, vec![last]));
        }
        if sorted.turns.last().is_some_and(|(role, _)| *role == Role::Assistant) {
            let at = request.messages.last().map_or("/messages", |message| &message.at);
            losses.approximated(at, "an answer at the end is continued by some models and refused by others");
        }
        for (_, parts) in &mut sorted.turns {
            // Results come first, or the dialect does not find them.
            parts.sort_by_key(|part| !matches!(part.content, Content::ToolResult { .. }));
        }
        Ok(sorted)
    }

    /// Writes `system` and `messages`.
    pub(super) fn write(&self, body: &mut Object<'_>, losses: &mut Losses) {
        let mut documents = 0;
        if !self.system.is_empty() {
            body.list("system", |list| {
                for part in &self.system {
                    match &part.content {
                        Content::Text(text) | Content::Document { source: Source::Text(text), .. } => {
                            list.object(|block| block.put("text", text));
                            self.mark(list, part, losses);
                        }
                        _ => losses.dropped(&part.at, "instructions are text here"),
                    }
                }
            });
        }
        body.list("messages", |list| {
            for (role, parts) in &self.turns {
                list.object(|message| {
                    message.put("role", if *role == Role::Assistant { "assistant" } else { "user" });
                    message.list("content", |list| {
                        for part in parts {
                            write_block(list, part, &mut documents, losses);
                            self.mark(list, part, losses);
                        }
                    });
                });
            }
        });
    }

    fn mark(&self, list: &mut List<'_>, part: &Part<'_>, losses: &mut Losses) {
        let Some(mark) = &part.cache else { return };
        if self.marks {
            cache_point(list, mark.value.get());
        } else {
            losses.cache(Some(mark), NO_MARKS);
        }
    }
}

/// Why a mark is left out.
pub(super) const NO_MARKS: &str = "it is not known that this model takes cache points";

/// Models that take cache points (Bedrock user guide, "Prompt caching", supported models).
pub(super) fn takes_cache_points(model: &str) -> bool {
    ["anthropic.claude", "amazon.nova"].into_iter().any(|family| model.contains(family))
}

/// Writes a cache point; the mark it stands for may say how long.
pub(super) fn cache_point(list: &mut List<'_>, mark: &str) {
    list.object(|block| {
        block.object("cachePoint", |point| {
            point.put("type", "default");
            if mark.contains("\"1h\"") {
                point.put("ttl", "1h");
            }
        });
    });
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
                Content::Image(Source::Url(_)) | Content::Document { source: Source::Url(_), .. } => {
                    "stands at an address, which bedrock-converse does not fetch; send the bytes instead"
                }
                Content::Image(Source::Base64 { media_type, .. })
                    if format_of(media_type).is_none_or(|_| !media_type.starts_with("image/")) =>
                {
                    "is a picture of a kind that bedrock-converse does not take; send png, jpeg, gif or webp"
                }
                Content::Document { source: Source::Base64 { media_type, .. }, .. }
                    if format_of(media_type).is_none_or(|_| media_type.starts_with("image/")) =>
                {
                    "is a document of a kind that bedrock-converse does not take; send pdf, text or an office format"
                }
                _ => continue,
            };
            return Err(untranslatable(format!("`{}` {why}", part.at)));
        }
    }
    Ok(())
}

fn format_of(media_type: &str) -> Option<&'static str> {
    let known = if media_type == "image/jpg" { "image/jpeg" } else { media_type };
    FORMATS.iter().find(|(_, kind)| *kind == known).map(|(format, _)| *format)
}

/// The parts that can be said. Empty text says nothing, and the dialect refuses it.
fn sayable<'r, 'a>(parts: &'r [Part<'a>], own: Option<Maker>, losses: &mut Losses) -> Vec<&'r Part<'a>> {
    let can = |part: &&Part<'_>| match &part.content {
        Content::Thinking { signature, .. } if is_own(signature.as_deref(), own) => true,
        Content::Thinking { .. } | Content::RedactedThinking(_) => {
            losses.thinking(part);
            false
        }
        Content::Text(text) | Content::Refusal(text) => !text.trim().is_empty(),
        _ => true,
    };
    parts.iter().filter(can).collect()
}

fn write_block(list: &mut List<'_>, part: &Part<'_>, documents: &mut u32, losses: &mut Losses) {
    list.object(|block| match &part.content {
        Content::Text(text) => block.put("text", text),
        Content::Refusal(text) => {
            losses.approximated(&part.at, "a refusal is put as text here");
            block.put("text", text);
        }
        Content::Image(source) => block.object("image", |image| write_source(image, source)),
        Content::Document { source, title } => {
            *documents += 1;
            let name = document_name(title.as_deref(), *documents);
            if title.as_deref().is_some_and(|title| title != name) {
                losses.approximated(&part.at, "the document's name was put into the letters that the dialect takes");
            }
            block.object("document", |document| {
                document.put("name", &name);
                write_source(document, source);
            });
        }
        Content::ToolUse { id, name, arguments } => block.object("toolUse", |call| {
            call.put("toolUseId", &tool_id(id));
            call.put("name", name);
            write_input(call, arguments, &part.at, losses);
        }),
        Content::ToolResult { id, parts, is_error } => block.object("toolResult", |result| {
            result.put("toolUseId", &tool_id(id));
            result.list("content", |list| {
                for part in sayable(parts, None, losses) {
                    losses.cache(part.cache.as_ref(), "a cache point stands behind a result, not within it");
                    match &part.content {
                        Content::ToolUse { .. } | Content::ToolResult { .. } => {
                            losses.dropped(&part.at, "a result is text, pictures and documents here");
                        }
                        _ => write_block(list, part, documents, losses),
                    }
                }
            });
            result.put("status", if *is_error { "error" } else { "success" });
        }),
        Content::Thinking { text, signature } => block.object("reasoningContent", |thought| {
            thought.object("reasoningText", |said| {
                said.put("text", text);
                said.put_some("signature", signature.as_deref().map(untagged));
            });
        }),
        Content::RedactedThinking(_) => {
            unreachable!("`sayable` left them out before anything was written")
        }
    });
}

fn write_source(block: &mut Object<'_>, source: &Source<'_>) {
    let (format, bytes): (&str, Cow<'_, str>) = match source {
        Source::Base64 { media_type, data } => (format_of(media_type).unwrap_or("txt"), Cow::Borrowed(data)),
        Source::Text(text) => ("txt", Cow::Owned(base64::engine::general_purpose::STANDARD.encode(text.as_bytes()))),
        Source::Url(_) | Source::File(_) => unreachable!("refused before anything was written"),
    };
    block.put("format", format);
    block.object("source", |inner| inner.put("bytes", &bytes));
}

/// A document's name as the dialect takes it: letters, digits, single spaces, hyphens and brackets; each but once (Bedrock API
/// reference, DocumentBlock).
fn document_name(title: Option<&str>, ordinal: u32) -> String {
    let taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
    let kept: String = title.unwrap_or_default().chars().map(|c| if taken(c) { c } else { ' ' }).collect();
    let name = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = name.chars().take(150).collect();
    match (name.trim(), ordinal) {
        ("", ordinal) => format!("document {ordinal}"),
        (name, 1) => name.to_owned(),
        (name, ordinal) => format!("{name} [{ordinal}]"),
    }
}

/// The id of a call as the dialect takes it: up to 64 letters, digits, `_` and `-`. The same id becomes the same one everywhere.
fn tool_id(id: &str) -> Cow<'_, str> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.is_empty() && id.len() <= 64 && id.bytes().all(taken) {
        return Cow::Borrowed(id);
    }
    // FNV-1a, 64 bits.
    let hash =
        id.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let kept: String = id.chars().take(40).map(|c| if c.is_ascii() && taken(c as u8) { c } else { '_' }).collect();
    Cow::Owned(format!("{kept}_{hash:016x}"))
}
