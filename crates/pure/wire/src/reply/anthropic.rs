//! Reads Anthropic's events and answers in place: what to change, what was received, what it cost.

use std::ops::Range;

use super::frame::{Body, Changes, Output, Tags, Verdict, unexplained};
use super::plan::Seen;
use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::errors::embedded_fault;
use crate::spoken::Speech;
use crate::usage::anthropic::Tally;

/// What is known of a stream from its events so far.
#[derive(Default)]
pub(super) struct Stream {
    tally: Tally,
    /// Whether a message was opened.
    opened: bool,
    /// The content block that was opened and not closed.
    pub open_block: Option<u64>,
    /// Whether an event came that needs an opened message and found none.
    pub lacks_opening: bool,
}

/// Reads one event of a stream. The figures of its usage replace those known.
pub(super) fn event(data: &[u8], seen: &mut Seen, stream: &mut Stream) -> Result<Verdict, Bad> {
    let mut event = Event::default();
    let mut cursor = Cursor::new(data);
    cursor.object(|cursor, member| {
        match &*member.key.name(data) {
            b"type" => event.kind = cursor.string_or_skip()?,
            b"index" => event.index = Some(cursor.value()?),
            b"message" if cursor.peek() == Some(b'{') => event.message.read(cursor)?,
            b"delta" if cursor.peek() == Some(b'{') => event.part(cursor, false)?,
            b"content_block" if cursor.peek() == Some(b'{') => event.part(cursor, true)?,
            b"usage" => event.message.usage = Some(cursor.value()?),
            b"error" => {
                let value = cursor.value()?;
                event.error |= data[value.start] == b'{';
            }
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    cursor.finish()?;
    let kind = event.kind.as_ref().map_or(&b""[..], |kind| &data[kind.span.clone()]);
    match kind {
        b"error" => return Ok(Verdict::Fault(embedded_fault(Dialect::Anthropic, data).unwrap_or_else(unexplained))),
        b"" if event.error => {
            return Ok(Verdict::Fault(embedded_fault(Dialect::Anthropic, data).unwrap_or_else(unexplained)));
        }
        b"message_stop" => seen.ended = true,
        b"message_start" => stream.opened = true,
        b"content_block_start" => {
            let index = event.index.as_ref().and_then(|index| std::str::from_utf8(&data[index.clone()]).ok());
            stream.open_block = index.and_then(|index| index.parse().ok());
        }
        b"content_block_stop" => {
            stream.open_block = None;
            seen.said.iter_mut().for_each(|said| said.end());
        }
        _ => {}
    }
    if let (b"content_block_start", Some(said)) = (kind, &mut seen.said) {
        said.begin(event.output.opens.unwrap_or(Speech::Text), "");
    }
    event.message.output = event.output;
    if event.finish.is_some() {
        event.message.finish = event.finish;
    }
    event.message.tell(data, seen, &mut stream.tally);
    stream.lacks_opening = !stream.opened && kind == b"content_block_start";
    stream.opened |= stream.lacks_opening;
    // Only the event that opens an answer names its model; elsewhere the word may be the model's own output.
    let model = if kind == b"message_start" { event.message.model } else { None };
    let mut tags = event.message.tags;
    tags.extend(event.tags);
    Ok(Verdict::Pass(Changes { model, tags, ..Changes::default() }))
}

/// Reads a whole answer, or a count of tokens.
pub(super) fn body(data: &[u8], seen: &mut Seen) -> Result<Body, Bad> {
    let mut message = Message::default();
    let mut cursor = Cursor::new(data);
    message.read(&mut cursor)?;
    cursor.finish()?;
    if !message.error {
        message.tell(data, seen, &mut Tally::default());
    }
    Ok(Body { model: message.model, tags: message.tags, error: message.error, ..Body::default() })
}

/// The opening event a stream lost, with what is known of it. SDKs fail without one; llama.cpp was seen to leave it out when
/// the first token was half a character.
pub(super) fn opening(id: &str, asked_model: &str) -> Vec<u8> {
    let message = serde_json::json!({
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": asked_model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    });
    let event = serde_json::json!({"type": "message_start", "message": message});
    format!("event: message_start\ndata: {event}\n\n").into_bytes()
}

/// One event of a stream.
#[derive(Default)]
struct Event {
    kind: Option<Text>,
    /// Where the number of its content block stands.
    index: Option<Range<usize>>,
    /// The message it opens; other events borrow its `usage`.
    message: Message,
    output: Output,
    finish: Option<Text>,
    tags: Tags,
    error: bool,
}

impl Event {
    /// The `delta` or `content_block` of an event. A block opens with a signature that is not there yet.
    fn part(&mut self, cursor: &mut Cursor<'_>, opens: bool) -> Result<(), Bad> {
        let part = block(cursor)?;
        self.tags.extend(part.container);
        self.tags.extend(part.signed.filter(|_| !opens || part.says_something));
        self.output.add(part.output);
        self.finish = part.stop_reason;
        Ok(())
    }
}

/// An answer, whole or as it opens.
#[derive(Default)]
struct Message {
    model: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    id: Option<Text>,
    finish: Option<Text>,
    output: Output,
    tags: Tags,
    error: bool,
}

impl Message {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let bytes = cursor.bytes();
        cursor.object(|cursor, member| {
            match &*member.key.name(bytes) {
                b"model" => self.model = cursor.string_or_skip()?.map(|text| text.quoted()),
                b"usage" => self.usage = Some(cursor.value()?),
                b"id" => self.id = cursor.string_or_skip()?,
                b"container" => self.tags.extend(container(cursor)?),
                b"stop_reason" => self.finish = cursor.string_or_skip()?,
                b"type" => {
                    let kind = cursor.string_or_skip()?;
                    self.error |= kind.is_some_and(|kind| &bytes[kind.span] == b"error");
                }
                b"error" => {
                    let value = cursor.value()?;
                    self.error |= bytes[value.start] == b'{';
                }
                b"content" if cursor.peek() == Some(b'[') => {
                    cursor.array(|cursor| {
                        if cursor.peek() != Some(b'{') {
                            return cursor.skip();
                        }
                        let block = block(cursor)?;
                        self.tags.extend(block.signed);
                        self.output.add(block.output);
                        Ok(())
                    })?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn tell(&self, data: &[u8], seen: &mut Seen, tally: &mut Tally) {
        self.output.tell(data, seen);
        let text = |text: &Option<Text>| text.as_ref()?.decode(data).map(|text| text.into_owned());
        if self.finish.is_some() {
            seen.finish = text(&self.finish);
        }
        if seen.provider_request_id.is_none() {
            seen.provider_request_id = text(&self.id).filter(|id| !id.is_empty());
        }
        if let Some(usage) = &self.usage {
            let json = &data[usage.clone()];
            if tally.merge(json) && tally.is_complete() {
                seen.report(tally.reported());
            }
            if let Some(tier) = service_tier(json) {
                seen.service_tier = Some(tier);
            }
        }
    }
}

/// A content block, or the change to one.
#[derive(Default)]
struct Block {
    output: Output,
    stop_reason: Option<Text>,
    /// Where its signature begins, or what is encrypted in it.
    signed: Option<usize>,
    /// Whether that is more than an empty text.
    says_something: bool,
    /// Where the id begins of the container in which the provider's own tools left files, if a change to the message names it.
    container: Option<usize>,
}

fn block(cursor: &mut Cursor<'_>) -> Result<Block, Bad> {
    let (mut block, mut kind, mut data) = (Block::default(), 0..0, None);
    let bytes = cursor.bytes();
    cursor.object(|cursor, member| {
        match &*member.key.name(bytes) {
            b"type" => {
                if let Some(text) = cursor.string_or_skip()? {
                    kind = text.span;
                }
            }
            b"signature" => {
                if let Some(text) = cursor.string_or_skip()? {
                    (block.signed, block.says_something) = (Some(text.span.start), text.decoded_len > 0);
                }
            }
            name @ (b"text" | b"thinking" | b"partial_json" | b"data" | b"name") => {
                if let Some(text) = cursor.string_or_skip()? {
                    if name == b"data" {
                        data = Some(text.span.start);
                    }
                    let speech = match name {
                        b"text" => Speech::Text,
                        b"thinking" => Speech::Thinking,
                        _ => Speech::Other,
                    };
                    block.output.say(speech, text);
                }
            }
            // What a tool is called with, in a whole answer. A stream opens it empty.
            b"input" => {
                let before = cursor.text_bytes;
                cursor.skip()?;
                block.output.bytes += cursor.text_bytes - before;
            }
            b"stop_reason" => block.stop_reason = cursor.string_or_skip()?,
            b"container" => block.container = container(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    if &bytes[kind.clone()] == b"redacted_thinking" {
        (block.signed, block.says_something) = (data, true);
    }
    // Blocks other than these two are content by being there: a tool call, a search result. They open empty.
    let opens_empty = matches!(
        &bytes[kind],
        b"" | b"text" | b"thinking" | b"text_delta" | b"thinking_delta" | b"signature_delta" | b"input_json_delta"
    );
    block.output.any |= !opens_empty;
    Ok(block)
}

/// Where the id of a container begins, which only the provider that runs it knows.
fn container(cursor: &mut Cursor<'_>) -> Result<Option<usize>, Bad> {
    let (mut id, bytes) = (None, cursor.bytes());
    if cursor.peek() != Some(b'{') {
        return cursor.skip().map(|()| None);
    }
    cursor.object(|cursor, member| {
        if &*member.key.name(bytes) != b"id" {
            return cursor.skip();
        }
        id = cursor.string_or_skip()?;
        Ok(())
    })?;
    Ok(id.filter(|id: &Text| id.decoded_len > 0).map(|id| id.span.start))
}

/// The tier named in a usage.
fn service_tier(usage: &[u8]) -> Option<String> {
    let (mut cursor, mut tier, mut fast) = (Cursor::new(usage), None, None);
    cursor
        .object(|cursor, member| {
            match &*member.key.name(usage) {
                b"service_tier" => tier = cursor.string_or_skip()?,
                b"speed" => fast = cursor.string_or_skip()?.filter(|speed| &usage[speed.span.clone()] == b"fast"),
                _ => cursor.skip()?,
            }
            Ok(())
        })
        .ok()?;
    // The fast mode has prices of its own, whatever the tier it was served in.
    fast.or(tier)?.decode(usage).map(|tier| tier.into_owned())
}
