//! Writes the conversation of a messages request: instructions apart, turns that alternate, results before anything else.

use std::borrow::Cow;

use base64::Engine;
use domain::Fault;

use crate::canonical::common::{is_own, untagged, write_input};
use crate::canonical::json::{List, Object};
use crate::canonical::{Content, Losses, Part, Request, Role, Source, refused, untranslatable};
use crate::maker::Maker;

/// Instructions and conversation as the dialect has them.
pub(super) struct Conversation<'r, 'a> {
    system: Vec<&'r Part<'a>>,
    turns: Vec<Turn<'r, 'a>>,
}

/// What one side says until the other does.
struct Turn<'r, 'a> {
    role: Role,
    parts: Vec<&'r Part<'a>>,
}

impl<'r, 'a> Conversation<'r, 'a> {
    /// Sorts the request's messages. `started_answers`: whether the conversation may end with the model's own words.
    pub(super) fn of(
        request: &'r Request<'a>,
        started_answers: bool,
        maker: Maker,
        losses: &mut Losses,
    ) -> Result<Conversation<'r, 'a>, Fault> {
        let mut sorted = Conversation { system: sayable(&request.system, None, losses), turns: Vec::new() };
        for message in &request.messages {
            if let Some(name) = &message.name {
                losses.dropped(&name.at, "speakers have no names here; say who speaks in the text");
            }
            let own = (message.role == Role::Assistant).then_some(maker);
            let mut parts = sayable(&message.parts, own, losses);
            if message.role == Role::System {
                losses.approximated(&message.at, "instructions within the conversation are put before it");
                sorted.system.append(&mut parts);
                continue;
            }
            // A message of which nothing is left says nothing; the dialect refuses it.
            if parts.is_empty() {
                continue;
            }
            match sorted.turns.last_mut() {
                Some(turn) if turn.role == message.role => turn.parts.append(&mut parts),
                _ => sorted.turns.push(Turn { role: message.role, parts }),
            }
        }
        sorted.begin_with_something(losses)?;
        if let Some(last) = sorted.turns.last().filter(|turn| turn.role == Role::Assistant) {
            let at = request.messages.last().map_or("/messages", |message| &message.at);
            let calls = last.parts.iter().any(|part| matches!(part.content, Content::ToolUse { .. }));
            if !started_answers && !calls {
                return Err(untranslatable(format!(
                    "`{at}` ends with the model's own words, which this model refuses"
                )));
            }
            losses.approximated(at, "an answer at the end is continued, not followed by another");
        }
        for turn in &mut sorted.turns {
            // Results come first, or the dialect does not find them.
            turn.parts.sort_by_key(|part| !matches!(part.content, Content::ToolResult { .. }));
        }
        Ok(sorted)
    }

    /// The dialect requires a message; where there are only instructions, the last one becomes it.
    fn begin_with_something(&mut self, losses: &mut Losses) -> Result<(), Fault> {
        if !self.turns.is_empty() {
            return Ok(());
        }
        let last = self.system.pop().ok_or_else(|| refused("/messages", "must say something"))?;
        losses.approximated(&last.at, "an instruction without a conversation is put as a message of the user");
        self.turns.push(Turn { role: Role::User, parts: vec![last] });
        Ok(())
    }

    /// Writes `system` and `messages`.
    pub(super) fn write(&self, body: &mut Object<'_>, losses: &mut Losses) {
        if !self.system.is_empty() {
            content(body, "system", &self.system, false, losses);
        }
        body.list("messages", |list| {
            for (index, turn) in self.turns.iter().enumerate() {
                let ends = index + 1 == self.turns.len() && turn.role == Role::Assistant;
                list.object(|message| {
                    message.put("role", if turn.role == Role::Assistant { "assistant" } else { "user" });
                    content(message, "content", &turn.parts, ends, losses);
                });
            }
        });
    }
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

/// Writes parts as a text where they are one, as blocks where they are more.
fn content(body: &mut Object<'_>, name: &str, parts: &[&Part<'_>], ends: bool, losses: &mut Losses) {
    // An answer that is to be continued may not end in white space.
    let shown = |text: &'_ str| if ends { text.trim_end().to_owned() } else { text.to_owned() };
    match parts {
        [only] if only.text().is_some() && only.cache.is_none() => {
            body.put(name, &shown(only.text().unwrap_or_default()));
        }
        parts => body.list(name, |list| {
            for (index, part) in parts.iter().enumerate() {
                match part.text() {
                    Some(text) if ends && index + 1 == parts.len() => list.object(|block| {
                        block.put("type", "text");
                        block.put("text", &shown(text));
                        cache_mark(block, part);
                    }),
                    _ => write_block(list, part, losses),
                }
            }
        }),
    }
}

fn cache_mark(block: &mut Object<'_>, part: &Part<'_>) {
    block.put_some("cache_control", part.cache.as_ref().map(|mark| mark.value));
}

fn write_block(list: &mut List<'_>, part: &Part<'_>, losses: &mut Losses) {
    list.object(|block| {
        match &part.content {
            Content::Text(text) => {
                block.put("type", "text");
                block.put("text", text);
            }
            Content::Refusal(text) => {
                losses.approximated(&part.at, "a refusal is put as text here");
                block.put("type", "text");
                block.put("text", text);
            }
            Content::Image(source) => {
                block.put("type", "image");
                write_source(block, source);
            }
            Content::Document { source, title } => {
                block.put("type", "document");
                write_source(block, source);
                block.put_some("title", title.as_ref());
            }
            Content::ToolUse { id, name, arguments } => {
                block.put("type", "tool_use");
                block.put("id", &tool_id(id));
                block.put("name", name);
                write_input(block, arguments, &part.at, losses);
            }
            Content::ToolResult { id, parts, is_error } => {
                block.put("type", "tool_result");
                block.put("tool_use_id", &tool_id(id));
                let parts = sayable(parts, None, losses);
                if !parts.is_empty() {
                    content(block, "content", &parts, false, losses);
                }
                block.put_some("is_error", is_error.then_some(true));
            }
            Content::Thinking { text, signature } => {
                block.put("type", "thinking");
                block.put("thinking", text);
                block.put("signature", &untagged(signature.as_deref().unwrap_or_default()));
            }
            Content::RedactedThinking(_) => {
                unreachable!("`sayable` left them out before anything was written")
            }
        }
        cache_mark(block, part);
    });
}

fn write_source(block: &mut Object<'_>, source: &Source<'_>) {
    block.object("source", |inner| match source {
        Source::Base64 { media_type, data } => match plain_text(media_type, data) {
            Some(text) => write_text_source(inner, &text),
            None => {
                inner.put("type", "base64");
                inner.put("media_type", media_type);
                inner.put("data", data);
            }
        },
        Source::Url(url) => {
            inner.put("type", "url");
            inner.put("url", url);
        }
        Source::Text(text) => write_text_source(inner, text),
        Source::File(id) => {
            inner.put("type", "file");
            inner.put("file_id", id);
        }
    });
}

fn write_text_source(inner: &mut Object<'_>, text: &str) {
    inner.put("type", "text");
    inner.put("media_type", "text/plain");
    inner.put("data", text);
}

/// The text of a document that is nothing but text.
pub(super) fn plain_text(media_type: &str, base64: &str) -> Option<String> {
    if !media_type.starts_with("text/") {
        return None;
    }
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(base64).ok()?).ok()
}

/// The id of a call as the dialect takes it: letters, digits, `_` and `-`. The same id becomes the same one everywhere.
fn tool_id(id: &str) -> Cow<'_, str> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match id.bytes().all(taken) {
        true => Cow::Borrowed(id),
        false => {
            id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
        }
    }
}
