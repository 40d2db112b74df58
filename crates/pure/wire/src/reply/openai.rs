//! Reads OpenAI chunks and answers in place: what to change, what was received, what it cost.

use std::ops::Range;

use super::frame::{Body, Changes, Output, Tags, Verdict, unexplained};
use super::plan::{ReplyPlan, Seen};
use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::errors::embedded_fault;
use crate::quirks::StreamUsage;
use crate::splice::MemberSpan;
use crate::spoken::Speech;
use crate::usage::openai_usage;

/// Reads one chunk of a stream.
pub(super) fn chunk(data: &[u8], plan: &ReplyPlan, seen: &mut Seen) -> Result<Verdict, Bad> {
    let answer = Answer::read(data)?;
    if answer.error {
        return Ok(Verdict::Fault(embedded_fault(Dialect::OpenAiChat, data).unwrap_or_else(unexplained)));
    }
    answer.tell(data, seen);
    let Some(usage) = &answer.usage else {
        return Ok(Verdict::Pass(Changes { model: answer.model, tags: answer.tags, ..Changes::default() }));
    };
    let only_usage = answer.choices == Some(0);
    let reports = data[usage.value.start] == b'{';
    if only_usage && reports && !plan.include_usage {
        return Ok(Verdict::Drop);
    }
    // Only what we made the server add is taken out again; what it sends by itself is its answer.
    let ours = match plan.quirks.stream_usage {
        StreamUsage::None => false,
        StreamUsage::IncludeUsage => !plan.include_usage,
        StreamUsage::Continuous if !plan.include_usage => true,
        StreamUsage::Continuous => !plan.continuous_usage && !only_usage && reports,
    };
    let cut = ours.then(|| usage.removal(data, 0));
    Ok(Verdict::Pass(Changes { model: answer.model, cut, tags: answer.tags, ..Changes::default() }))
}

/// Reads a whole answer, or a list of embeddings.
pub(super) fn body(data: &[u8], seen: &mut Seen) -> Result<Body, Bad> {
    let answer = Answer::read(data)?;
    if !answer.error {
        answer.tell(data, seen);
    }
    Ok(Body { model: answer.model, tags: answer.tags, error: answer.error, ..Body::default() })
}

/// The spans and figures of a chunk or an answer.
#[derive(Default)]
struct Answer {
    model: Option<Range<usize>>,
    usage: Option<MemberSpan>,
    /// Groq's usage in the last chunk, inside `x_groq`.
    groq_usage: Option<Range<usize>>,
    choices: Option<u32>,
    finish: Option<Text>,
    id: Option<Text>,
    service_tier: Option<Text>,
    output: Output,
    tags: Tags,
    error: bool,
}

impl Answer {
    fn read(data: &[u8]) -> Result<Answer, Bad> {
        let mut answer = Answer::default();
        let mut cursor = Cursor::new(data);
        cursor.object(|cursor, member| {
            match &*member.key.name(data) {
                b"model" => answer.model = cursor.string_or_skip()?.map(|text| text.quoted()),
                b"choices" if cursor.peek() == Some(b'[') => {
                    answer.choices = Some(cursor.array(|cursor| answer.choice(cursor))?);
                }
                b"usage" => answer.usage = Some(MemberSpan::new(member, cursor.value()?)),
                b"id" => answer.id = cursor.string_or_skip()?,
                b"service_tier" => answer.service_tier = cursor.string_or_skip()?,
                b"error" => {
                    let value = cursor.value()?;
                    answer.error |= matches!(data[value.start], b'{' | b'"');
                }
                b"object" => {
                    let object = cursor.string_or_skip()?;
                    answer.error |= object.is_some_and(|object| &data[object.span] == b"error");
                }
                b"x_groq" if cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        let value = cursor.value()?;
                        if &*member.key.name(data) == b"usage" {
                            answer.groq_usage = Some(value);
                        }
                        Ok(())
                    })?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        cursor.finish()?;
        Ok(answer)
    }

    /// Puts down what the ledger wants to know.
    fn tell(&self, data: &[u8], seen: &mut Seen) {
        self.output.tell(data, seen);
        let text = |text: &Option<Text>| text.as_ref()?.decode(data).map(|text| text.into_owned());
        if self.finish.is_some() {
            seen.finish = text(&self.finish);
        }
        if seen.provider_request_id.is_none() {
            seen.provider_request_id = text(&self.id).filter(|id| !id.is_empty());
        }
        if self.service_tier.is_some() && seen.service_tier.is_none() {
            seen.service_tier = text(&self.service_tier);
        }
        let usage = self.usage.as_ref().map(|usage| &data[usage.value.clone()]).and_then(openai_usage);
        let groq = || openai_usage(&data[self.groq_usage.clone()?]);
        if let Some(reported) = usage.or_else(groq) {
            seen.report(reported);
        }
    }

    fn choice(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                b"delta" | b"message" => self.delta(cursor)?,
                // Completions, which are older than messages.
                b"text" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        self.output.text(text);
                    }
                }
                b"finish_reason" => {
                    if let Some(finish) = cursor.string_or_skip()? {
                        self.finish = Some(finish);
                    }
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn delta(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| {
            match &*member.key.name(cursor.bytes()) {
                // Text, or a list of parts (Mistral's reasoning models).
                name @ (b"content" | b"reasoning_content" | b"reasoning" | b"refusal") => {
                    let speech = match name {
                        b"content" => Speech::Text,
                        b"refusal" => Speech::Other,
                        _ => Speech::Thinking,
                    };
                    let before = cursor.text_bytes;
                    match cursor.peek() {
                        Some(b'"') => self.output.say(speech, cursor.string()?),
                        Some(b'[') => {
                            cursor.skip()?;
                            self.output.length(cursor.text_bytes - before);
                        }
                        _ => cursor.skip()?,
                    }
                }
                b"tool_calls" if cursor.peek() == Some(b'[') => {
                    let calls = cursor.array(|cursor| self.tool_call(cursor))?;
                    self.output.any |= calls > 0;
                }
                b"function_call" if cursor.peek() == Some(b'{') => {
                    self.output.any = true;
                    self.function(cursor)?;
                }
                b"reasoning_details" if cursor.peek() == Some(b'[') => {
                    let details = cursor.array(|cursor| self.detail(cursor))?;
                    self.output.any |= details > 0;
                }
                b"extra_content" => self.beside(cursor)?,
                b"audio" if cursor.peek() == Some(b'{') => {
                    self.output.any = true;
                    cursor.skip()?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn tool_call(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"function" | b"custom" if cursor.peek() == Some(b'{') => self.function(cursor),
            b"extra_content" => self.beside(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// A thought as OpenRouter passes it on, signed or encrypted by who made it.
    fn detail(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"signature" | b"data" => self.signed(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// What Google's models say beside a message or a call: `google.thought_signature`.
    fn beside(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip();
        }
        cursor.object(|cursor, member| match &*member.key.name(cursor.bytes()) {
            b"google" => self.beside(cursor),
            b"thought_signature" => self.signed(cursor),
            _ => cursor.skip(),
        })?;
        Ok(())
    }

    /// What the maker's tag goes before; nothing is signed with an empty text here.
    fn signed(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let text = cursor.string_or_skip()?.filter(|text| text.decoded_len > 0);
        self.tags.extend(text.map(|text| text.span.start));
        Ok(())
    }

    fn function(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        cursor.object(|cursor, member| {
            let counts = matches!(&*member.key.name(cursor.bytes()), b"name" | b"arguments" | b"input");
            if let (Some(text), true) = (cursor.string_or_skip()?, counts) {
                self.output.text(text);
            }
            Ok(())
        })?;
        Ok(())
    }
}
