//! Reads Cohere's events and answers in place: what was received, what it cost. Nothing in them names the model, so nothing
//! has to change.

use std::ops::Range;

use super::frame::{Body, Changes, Output, Verdict, unexplained};
use super::plan::Seen;
use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::errors::embedded_fault;
use crate::spoken::Speech;
use crate::usage::cohere_usage;

/// Reads one event of a stream.
pub(super) fn event(data: &[u8], seen: &mut Seen) -> Result<Verdict, Bad> {
    let answer = Answer::read(data)?;
    if answer.error {
        return Ok(Verdict::Fault(embedded_fault(Dialect::Cohere, data).unwrap_or_else(unexplained)));
    }
    let kind = answer.kind.as_ref().map_or(&b""[..], |kind| &data[kind.span.clone()]);
    seen.ended |= kind == b"message-end";
    if let Some(said) = &mut seen.said {
        match kind {
            b"content-start" => said.begin(answer.output.opens.unwrap_or(Speech::Text), ""),
            b"content-end" => said.end(),
            _ => {}
        }
    }
    answer.tell(data, seen);
    Ok(Verdict::Pass(Changes::default()))
}

/// Reads a whole answer: of a chat, of embeddings, of a ranking.
pub(super) fn body(data: &[u8], seen: &mut Seen) -> Result<Body, Bad> {
    let answer = Answer::read(data)?;
    if !answer.error {
        answer.tell(data, seen);
    }
    Ok(Body { error: answer.error, ..Body::default() })
}

/// The figures of an event or an answer.
#[derive(Default)]
struct Answer {
    kind: Option<Text>,
    id: Option<Text>,
    finish: Option<Text>,
    usage: Option<Range<usize>>,
    output: Output,
    error: bool,
}

impl Answer {
    fn read(data: &[u8]) -> Result<Answer, Bad> {
        let mut answer = Answer::default();
        let mut cursor = Cursor::new(data);
        let mut message = false;
        cursor.object(|cursor, member| {
            match &*member.key.name(data) {
                b"type" => answer.kind = cursor.string_or_skip()?,
                b"id" => answer.id = cursor.string_or_skip()?,
                b"delta" if cursor.peek() == Some(b'{') => answer.delta(cursor)?,
                // An error says a text where an answer has its message.
                b"message" if cursor.peek() == Some(b'"') => {
                    cursor.skip()?;
                    message = true;
                }
                b"message" if cursor.peek() == Some(b'{') => answer.message(cursor)?,
                b"finish_reason" => answer.finish = cursor.string_or_skip()?,
                b"usage" | b"meta" => {
                    let value = cursor.value()?;
                    // A chat answer has its usage apart from what else is told of it.
                    if answer.usage.is_none() || &*member.key.name(data) == b"usage" {
                        answer.usage = Some(value);
                    }
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        cursor.finish()?;
        answer.error |= message && answer.kind.is_none();
        answer.error |=
            answer.finish.as_ref().is_some_and(|word| matches!(&data[word.span.clone()], b"ERROR" | b"TIMEOUT"));
        Ok(answer)
    }

    fn delta(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"message" if cursor.peek() == Some(b'{') => self.message(cursor)?,
                b"finish_reason" => self.finish = cursor.string_or_skip()?,
                b"usage" => self.usage = Some(cursor.value()?),
                b"error" => self.error |= cursor.string_or_skip()?.is_some(),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn message(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"content" => self.content(cursor),
            b"tool_plan" => self.text(cursor),
            b"tool_calls" => self.calls(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// A text, a block, or a list of blocks.
    fn content(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.block(cursor)).map(drop),
            Some(b'"') => self.text(cursor),
            _ => self.block(cursor),
        }
    }

    fn block(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            name @ (b"text" | b"thinking") => {
                let speech = if name == b"text" { Speech::Text } else { Speech::Thinking };
                if let Some(text) = cursor.string_or_skip()? {
                    self.output.say(speech, text);
                }
                Ok(())
            }
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// A call or a list of calls. One that begins has an id.
    fn calls(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match cursor.peek() {
            Some(b'[') => cursor.array(|cursor| self.call(cursor)).map(drop),
            _ => self.call(cursor),
        }
    }

    fn call(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        self.output.any = true;
        cursor.object(|cursor, member| {
            if &*member.key.name(cursor.bytes()) != b"function" || cursor.peek() != Some(b'{') {
                return cursor.skip();
            }
            cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
                b"name" | b"arguments" => self.text(cursor),
                _ => cursor.skip(),
            })?;
            Ok(())
        })?;
        Ok(())
    }

    fn text(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if let Some(text) = cursor.string_or_skip()? {
            self.output.text(text);
        }
        Ok(())
    }

    fn tell(&self, data: &[u8], seen: &mut Seen) {
        self.output.tell(data, seen);
        let text = |text: &Option<Text>| text.as_ref()?.decode(data).map(|text| text.into_owned());
        if self.finish.is_some() {
            seen.finish = text(&self.finish);
        }
        if seen.provider_request_id.is_none() {
            seen.provider_request_id = text(&self.id).filter(|id| !id.is_empty());
        }
        if let Some(reported) = self.usage.as_ref().and_then(|usage| cohere_usage(&data[usage.clone()])) {
            seen.report(reported);
        }
    }
}
