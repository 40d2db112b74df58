//! Reads Google's partial and whole answers in place: what to change, what was received, what it cost.

use std::ops::Range;

use super::frame::{Body, Changes, Output, Tags, Verdict, unexplained};
use super::plan::Seen;
use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::dialects::gemini::is_spelled;
use crate::errors::embedded_fault;
use crate::spoken::Speech;
use crate::usage::gemini_usage;

/// Reads one partial answer of a stream. `finished` turns true with the last one: the dialect has no event for the end, which
/// is the end of the connection.
pub(super) fn chunk(data: &[u8], seen: &mut Seen, finished: &mut bool) -> Result<Verdict, Bad> {
    let answer = Answer::read(data)?;
    if answer.error {
        return Ok(Verdict::Fault(embedded_fault(Dialect::Gemini, data).unwrap_or_else(unexplained)));
    }
    answer.tell(data, seen);
    *finished |= answer.finish.is_some() || answer.blocked.is_some();
    Ok(Verdict::Pass(Changes { model: answer.model, tags: answer.tags, ..Changes::default() }))
}

/// Reads a whole answer, a count or vectors.
pub(super) fn body(data: &[u8], seen: &mut Seen) -> Result<Body, Bad> {
    // An error may stand alone in a list.
    if data.trim_ascii_start().starts_with(b"[") {
        let mut cursor = Cursor::new(data);
        cursor.skip()?;
        cursor.finish()?;
        return Ok(Body { error: true, ..Body::default() });
    }
    let answer = Answer::read(data)?;
    if !answer.error {
        answer.tell(data, seen);
    }
    Ok(Body { model: answer.model, tags: answer.tags, error: answer.error, ..Body::default() })
}

/// The spans and figures of an answer, whole or partial.
#[derive(Default)]
struct Answer {
    model: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    id: Option<Text>,
    finish: Option<Text>,
    blocked: Option<Text>,
    output: Output,
    tags: Tags,
    error: bool,
}

impl Answer {
    fn read(data: &[u8]) -> Result<Answer, Bad> {
        let mut answer = Answer::default();
        let mut cursor = Cursor::new(data);
        cursor.object(|cursor, member| {
            let name = member.key.name(data);
            match () {
                () if is_spelled(&name, "modelVersion") => {
                    answer.model = cursor.string_or_skip()?.map(|text| text.quoted());
                }
                () if is_spelled(&name, "usageMetadata") => answer.usage = Some(cursor.value()?),
                () if is_spelled(&name, "responseId") => answer.id = cursor.string_or_skip()?,
                () if &*name == b"candidates" && cursor.peek() == Some(b'[') => {
                    cursor.array(|cursor| answer.candidate(cursor))?;
                }
                () if is_spelled(&name, "promptFeedback") && cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        if is_spelled(&member.key.name(data), "blockReason") {
                            answer.blocked = cursor.string_or_skip()?;
                            return Ok(());
                        }
                        cursor.skip()
                    })?;
                }
                () if &*name == b"error" => {
                    let value = cursor.value()?;
                    answer.error |= data[value.start] == b'{';
                }
                () => cursor.skip()?,
            }
            Ok(())
        })?;
        cursor.finish()?;
        Ok(answer)
    }

    fn candidate(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            match () {
                () if is_spelled(&name, "finishReason") => {
                    if let Some(finish) = cursor.string_or_skip()?.filter(|finish| finish.decoded_len > 0) {
                        self.finish = Some(finish);
                    }
                }
                () if &*name == b"content" && cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        if &*member.key.name(cursor.bytes()) == b"parts" && cursor.peek() == Some(b'[') {
                            return cursor.array(|cursor| self.part(cursor)).map(drop);
                        }
                        cursor.skip()
                    })?;
                }
                () => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn part(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        let (mut said, mut is_thought) = (Output::default(), false);
        cursor.object(|cursor, member| {
            let name = member.key.name(cursor.bytes());
            match () {
                () if &*name == b"text" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        said.say(Speech::Text, text);
                    }
                }
                () if &*name == b"thought" => {
                    let value = cursor.value()?;
                    is_thought = cursor.bytes()[value.start] == b't';
                }
                () if is_spelled(&name, "thoughtSignature") => {
                    let signature = cursor.string_or_skip()?.filter(|text| text.decoded_len > 0);
                    self.tags.extend(signature.map(|text| text.span.start));
                }
                () if is_spelled(&name, "functionCall") && cursor.peek() == Some(b'{') => {
                    self.output.any = true;
                    self.call(cursor)?;
                }
                // Pictures, code and its results: content by being there, and of no length that tells its tokens.
                () => {
                    let value = cursor.value()?;
                    self.output.any |= cursor.bytes()[value.start] == b'{';
                }
            }
            Ok(())
        })?;
        if is_thought {
            said.were_thoughts();
        }
        self.output.add(said);
        Ok(())
    }

    fn call(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"name" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        self.output.text(text);
                    }
                }
                b"args" => {
                    let value = cursor.value()?;
                    self.output.length(value.len() as u64);
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn tell(&self, data: &[u8], seen: &mut Seen) {
        self.output.tell(data, seen);
        let text = |text: &Option<Text>| text.as_ref()?.decode(data).map(|text| text.into_owned());
        if self.finish.is_some() || self.blocked.is_some() {
            seen.finish = text(&self.finish).or_else(|| text(&self.blocked));
        }
        if seen.provider_request_id.is_none() {
            seen.provider_request_id = text(&self.id).filter(|id| !id.is_empty());
        }
        let Some(usage) = &self.usage else { return };
        let json = &data[usage.clone()];
        if let Some(reported) = gemini_usage(json) {
            seen.report(reported);
        }
        if let Some(tier) = tier(json) {
            seen.service_tier = Some(tier);
        }
    }
}

/// The tier named in a usage: the Gemini API's word for it, or what Vertex calls the type of traffic.
fn tier(usage: &[u8]) -> Option<String> {
    let (mut cursor, mut tier, mut traffic) = (Cursor::new(usage), None, None);
    cursor
        .object(|cursor, member| {
            let name = member.key.name(usage);
            match () {
                () if is_spelled(&name, "serviceTier") => tier = cursor.string_or_skip()?,
                () if is_spelled(&name, "trafficType") => traffic = cursor.string_or_skip()?,
                () => cursor.skip()?,
            }
            Ok(())
        })
        .ok()?;
    tier.or(traffic)?.decode(usage).map(|tier| tier.into_owned())
}
