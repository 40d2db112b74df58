//! Reads Converse's events and answers in place: what was received, what it cost, what is signed. Nothing in them names the
//! model.

use std::ops::Range;

use super::frame::{Body, Output, Tags};
use super::plan::Seen;
use crate::cursor::{Bad, Cursor, Text};
use crate::spoken::Speech;
use crate::usage::bedrock_usage;

/// Reads the payload of one event of a stream; returns where the maker's tag goes.
pub(super) fn event(kind: &str, data: &[u8], seen: &mut Seen) -> Result<Tags, Bad> {
    let answer = Answer::read(data)?;
    answer.tell(data, seen);
    if let ("contentBlockStop", Some(said)) = (kind, &mut seen.said) {
        said.end();
    }
    seen.ended |= kind == "metadata";
    Ok(answer.tags)
}

/// Reads a whole answer.
pub(super) fn body(data: &[u8], seen: &mut Seen) -> Result<Body, Bad> {
    let answer = Answer::read(data)?;
    if !answer.error {
        answer.tell(data, seen);
    }
    Ok(Body { tags: answer.tags, error: answer.error, ..Body::default() })
}

/// The figures of an event or an answer.
#[derive(Default)]
struct Answer {
    finish: Option<Text>,
    usage: Option<Range<usize>>,
    tier: Option<Text>,
    output: Output,
    /// Whether what is read is a thought.
    thinks: bool,
    tags: Tags,
    error: bool,
}

impl Answer {
    fn read(data: &[u8]) -> Result<Answer, Bad> {
        let mut answer = Answer::default();
        let mut cursor = Cursor::new(data);
        cursor.object(|cursor, member| {
            match &*member.key.name(data) {
                b"output" if cursor.peek() == Some(b'{') => answer.inside(cursor, b"message")?,
                b"start" | b"delta" => answer.block(cursor)?,
                b"stopReason" => answer.finish = cursor.string_or_skip()?,
                b"usage" => answer.usage = Some(cursor.value()?),
                b"serviceTier" if cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        if &*member.key.name(data) == b"type" {
                            answer.tier = cursor.string_or_skip()?;
                            return Ok(());
                        }
                        cursor.skip()
                    })?;
                }
                // An error says a text, or a type, where an answer has its output.
                b"message" | b"__type" => {
                    let value = cursor.value()?;
                    answer.error |= data[value.start] == b'"';
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        cursor.finish()?;
        Ok(answer)
    }

    /// An object of which only one member says something: an object again, or a list of blocks.
    fn inside(&mut self, cursor: &mut Cursor<'_>, name: &[u8]) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            let key = member.key.name(cursor.bytes());
            if *key != *name {
                return cursor.skip();
            }
            match name {
                b"message" => self.inside(cursor, b"content"),
                _ if cursor.peek() == Some(b'[') => cursor.array(|cursor| self.block(cursor)).map(drop),
                _ => cursor.skip(),
            }
        })?;
        Ok(())
    }

    /// A block, or the beginning of one, or the change to one.
    fn block(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"text" | b"signature" | b"redactedContent" | b"toolUseId" | b"name" | b"input" | b"type"
                | b"reasoningText" | b"reasoningContent" | b"toolUse" => {
                    self.value(cursor, member.key.name(cursor.bytes()).as_ref())
                }
                b"citation" => cursor.skip(),
                // A block that is not known is content by being there.
                _ => {
                    self.output.any = true;
                    cursor.skip()
                }
            }
        })?;
        Ok(())
    }

    fn value(&mut self, cursor: &mut Cursor<'_>, name: &[u8]) -> Result<(), Bad> {
        match name {
            b"text" | b"name" => {
                if let Some(text) = cursor.string_or_skip()? {
                    let speech = match name {
                        b"text" if self.thinks => Speech::Thinking,
                        b"text" => Speech::Text,
                        _ => Speech::Other,
                    };
                    self.output.say(speech, text);
                }
                Ok(())
            }
            // Of no use to a tokenizer.
            b"redactedContent" => {
                if let Some(data) = cursor.string_or_skip()? {
                    self.tags.push(data.span.start);
                    self.output.length(data.decoded_len as u64);
                }
                Ok(())
            }
            b"signature" => {
                self.tags.extend(cursor.string_or_skip()?.map(|text| text.span.start));
                Ok(())
            }
            // In a stream the text of JSON, in a whole answer the JSON itself.
            b"input" if cursor.peek() == Some(b'"') => {
                if let Some(text) = cursor.string_or_skip()? {
                    self.output.text(text);
                }
                Ok(())
            }
            b"input" => {
                let value = cursor.value()?;
                self.output.length(value.len() as u64);
                Ok(())
            }
            b"toolUse" => {
                self.output.any = true;
                self.block(cursor)
            }
            b"reasoningText" | b"reasoningContent" => {
                let before = std::mem::replace(&mut self.thinks, true);
                let read = self.block(cursor);
                self.thinks = before;
                read
            }
            _ => cursor.skip(),
        }
    }

    fn tell(&self, data: &[u8], seen: &mut Seen) {
        self.output.tell(data, seen);
        let text = |text: &Option<Text>| text.as_ref()?.decode(data).map(|text| text.into_owned());
        if self.finish.is_some() {
            seen.finish = text(&self.finish);
        }
        if self.tier.is_some() {
            seen.service_tier = text(&self.tier);
        }
        if let Some(reported) = self.usage.as_ref().and_then(|usage| bedrock_usage(&data[usage.clone()])) {
            seen.report(reported);
        }
    }
}
