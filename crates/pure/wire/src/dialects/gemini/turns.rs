//! Writes the conversation of a request: instructions apart, turns that alternate, results in the order of their calls.

use base64::Engine;
use domain::Fault;
use serde_json::value::RawValue;

use super::generations::{Generation, NOT_SIGNED};
use crate::canonical::json::{List, Object, is_object};
use crate::canonical::{Content, Losses, Part, Request, Role, Source, refused, untranslatable};

/// Types of pictures that are told from the end of an address.
const IMAGE_ENDINGS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
];

/// Instructions and conversation as the dialect has them.
pub(super) struct Conversation<'r, 'a> {
    system: Vec<&'r Part<'a>>,
    turns: Vec<Turn<'r, 'a>>,
    /// The calls so far, in order: id and name.
    calls: Vec<(&'r str, &'r str)>,
    generation: Generation,
}

struct Turn<'r, 'a> {
    role: Role,
    parts: Vec<&'r Part<'a>>,
}

impl<'r, 'a> Conversation<'r, 'a> {
    /// Sorts the request's messages.
    pub(super) fn of(
        request: &'r Request<'a>,
        generation: Generation,
        losses: &mut Losses,
    ) -> Result<Conversation<'r, 'a>, Fault> {
        let system = sayable(&request.system, losses)?;
        let mut sorted = Conversation { system, turns: Vec::new(), calls: Vec::new(), generation };
        for message in &request.messages {
            if let Some(name) = &message.name {
                losses.dropped(&name.at, "speakers have no names here; say who speaks in the text");
            }
            let mut parts = sayable(&message.parts, losses)?;
            if message.role == Role::System {
                losses.approximated(&message.at, "instructions within the conversation are put before it");
                sorted.system.append(&mut parts);
                continue;
            }
            for part in &parts {
                if let Content::ToolUse { id, name, .. } = &part.content {
                    sorted.calls.push((id, name));
                }
            }
            // A message of which nothing is left says nothing.
            if parts.is_empty() {
                continue;
            }
            match sorted.turns.last_mut() {
                Some(turn) if turn.role == message.role => turn.parts.append(&mut parts),
                _ => sorted.turns.push(Turn { role: message.role, parts }),
            }
        }
        for part in sorted.system.extract_if(.., |part| !matches!(part.content, Content::Text(_) | Content::Refusal(_)))
        {
            losses.dropped(&part.at, "instructions are text here");
        }
        if sorted.turns.is_empty() {
            let last = sorted.system.pop().ok_or_else(|| refused("/messages", "must say something"))?;
            losses.approximated(&last.at, "an instruction without a conversation is put as a message of the user");
            sorted.turns.push(Turn { role: Role::User, parts: vec![last] });
        }
        if sorted.turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
            let at = request.messages.last().map_or("/messages", |message| &message.at);
            losses.approximated(at, "an answer at the end is continued as the model likes");
        }
        let order = |part: &&Part<'_>| match &part.content {
            // Without ids a result belongs to the call in its place; whatever else is said follows.
            Content::ToolResult { id, .. } => sorted.calls.iter().rposition(|(call, _)| *call == id).unwrap_or(0),
            _ => usize::MAX,
        };
        for turn in &mut sorted.turns {
            turn.parts.sort_by_key(order);
        }
        Ok(sorted)
    }

    /// Writes `systemInstruction` and `contents`.
    pub(super) fn write(&self, body: &mut Object<'_>, losses: &mut Losses) {
        if !self.system.is_empty() {
            body.object("systemInstruction", |content| {
                content.list("parts", |list| self.system.iter().for_each(|part| self.part(list, part, losses)));
            });
        }
        body.list("contents", |list| {
            for turn in &self.turns {
                list.object(|content| {
                    content.put("role", if turn.role == Role::Assistant { "model" } else { "user" });
                    content.list("parts", |list| turn.parts.iter().for_each(|part| self.part(list, part, losses)));
                });
            }
        });
    }

    fn part(&self, list: &mut List<'_>, part: &Part<'_>, losses: &mut Losses) {
        losses.cache(part.cache.as_ref(), "Google caches by itself, without marks");
        match &part.content {
            Content::Text(text) => list.object(|written| written.put("text", text)),
            Content::Refusal(text) => {
                losses.approximated(&part.at, "a refusal is put as text here");
                list.object(|written| written.put("text", text));
            }
            Content::Image(source) => media(list, source, &part.at, true, losses),
            Content::Document { source, title } => {
                if title.is_some() {
                    losses.dropped(&part.at, "documents have no titles here; say it in the text");
                }
                media(list, source, &part.at, false, losses);
            }
            Content::ToolUse { name, arguments, .. } => list.object(|written| {
                written.object("functionCall", |call| {
                    call.put("name", name);
                    write_arguments(call, arguments, &part.at, losses);
                });
                if self.generation.signs_calls() {
                    written.put("thoughtSignature", NOT_SIGNED);
                }
            }),
            Content::ToolResult { id, parts, is_error } => self.result(list, part, id, parts, *is_error, losses),
            Content::Thinking { .. } | Content::RedactedThinking(_) => {
                unreachable!("`sayable` left thoughts out before anything was written")
            }
        }
    }

    fn result(
        &self,
        list: &mut List<'_>,
        part: &Part<'_>,
        id: &str,
        parts: &[Part<'_>],
        is_error: bool,
        losses: &mut Losses,
    ) {
        let name = self.calls.iter().rev().find(|(call, _)| *call == id).map(|(_, name)| *name);
        if name.is_none() {
            losses.approximated(&part.at, "the call it answers is not there; its id stands for the tool's name");
        }
        let texts: Vec<&str> = parts.iter().filter_map(Part::text).collect();
        let text = texts.concat();
        list.object(|written| {
            written.object("functionResponse", |response| {
                response.put("name", name.unwrap_or(id));
                match serde_json::from_str::<&RawValue>(text.trim()) {
                    _ if is_error => response.object("response", |inner| inner.put("error", &text)),
                    Ok(object) if is_object(object) => response.put("response", object),
                    _ => response.object("response", |inner| inner.put("output", &text)),
                }
            });
        });
        for inner in parts {
            losses.cache(inner.cache.as_ref(), "Google caches by itself, without marks");
            match &inner.content {
                Content::Image(source) => {
                    losses.approximated(&inner.at, "a picture in a tool's result is put beside it");
                    media(list, source, &inner.at, true, losses);
                }
                Content::Document { source, .. } => {
                    losses.approximated(&inner.at, "a document in a tool's result is put beside it");
                    media(list, source, &inner.at, false, losses);
                }
                Content::Text(_) => {}
                _ => losses.dropped(&inner.at, "a tool's result is text, pictures and documents here"),
            }
        }
    }
}

/// The parts that can be said. Empty text says nothing. The fault: something lies in another provider's store.
fn sayable<'r, 'a>(parts: &'r [Part<'a>], losses: &mut Losses) -> Result<Vec<&'r Part<'a>>, Fault> {
    let mut said = Vec::with_capacity(parts.len());
    for part in parts {
        match &part.content {
            Content::Thinking { .. } | Content::RedactedThinking(_) => losses.thinking(part),
            Content::Text(text) | Content::Refusal(text) if text.is_empty() => {}
            Content::Image(Source::File(_)) | Content::Document { source: Source::File(_), .. } => {
                return Err(untranslatable(format!(
                    "`{}` is in another provider's file store; send the bytes instead",
                    part.at
                )));
            }
            Content::ToolResult { parts, .. } => {
                sayable(parts, losses)?;
                said.push(part);
            }
            _ => said.push(part),
        }
    }
    Ok(said)
}

fn media(list: &mut List<'_>, source: &Source<'_>, at: &str, is_image: bool, losses: &mut Losses) {
    list.object(|written| match source {
        Source::Base64 { media_type, data } => written.object("inlineData", |blob| {
            blob.put("mimeType", media_type);
            blob.put("data", data);
        }),
        Source::Text(text) => written.object("inlineData", |blob| {
            blob.put("mimeType", "text/plain");
            blob.put("data", &base64::engine::general_purpose::STANDARD.encode(text.as_bytes()));
        }),
        Source::Url(url) | Source::File(url) => written.object("fileData", |file| {
            let ending = url.split(['?', '#']).next().and_then(|path| path.rsplit_once('.')).map(|(_, ending)| ending);
            let known = ending.and_then(|ending| {
                IMAGE_ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|(_, kind)| *kind)
            });
            let kind = if is_image { known.unwrap_or("image/jpeg") } else { "application/pdf" };
            losses.approximated(at, format!("gemini requires the type of what lies at an address; {kind} was sent"));
            file.put("mimeType", kind);
            file.put("fileUri", url);
        }),
    });
}

/// Arguments as an object. Models do not always finish theirs, and the dialect takes nothing but an object.
pub(super) fn write_arguments(call: &mut Object<'_>, arguments: &str, at: &str, losses: &mut Losses) {
    let json = arguments.trim();
    match serde_json::from_str::<&RawValue>(json) {
        // A line break between tokens would end the line of a stream's event; within a text it is always escaped.
        Ok(_) if json.starts_with('{') && json.contains(['\n', '\r']) => {
            call.raw("args", |out| out.extend_from_slice(json.replace(['\n', '\r'], " ").as_bytes()));
        }
        Ok(object) if json.starts_with('{') => call.put("args", object),
        _ if json.is_empty() || json == "null" => call.object("args", |_| {}),
        _ => {
            losses.approximated(at, "the arguments are no JSON object; they were put as one text named `arguments`");
            call.object("args", |args| args.put("arguments", arguments));
        }
    }
}
