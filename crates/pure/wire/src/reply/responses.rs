//! Reads events and answers of openai-responses in place: what to change, what was received, what it cost; and what a server
//! left out that OpenAI's SDKs cannot do without (llama.cpp: fixtures/captures/llama-cpp-responses).

use std::ops::Range;

use domain::{Fault, Meter};

use super::frame::{Body, Changes, Ours, Output, Tags, Verdict, not_json, quoted, unexplained};
use super::plan::{ReplyPlan, Seen};
use crate::cursor::{Bad, Cursor, Text};
use crate::dialect::Dialect;
use crate::errors::embedded_fault;
use crate::items::Items;
use crate::kept::{Ids, Kind, StoredAnswer};
use crate::maker::Maker;
use crate::spoken::Speech;
use crate::usage::openai::{openai_usage, web_searches};

/// What is known of a stream from its events so far.
#[derive(Default)]
pub(super) struct Stream {
    items: Items,
    /// The number of the event that comes next.
    pub events: u64,
}

/// Reads one event of a stream.
pub(super) fn event(
    data: &[u8],
    plan: &ReplyPlan,
    asked_model: &[u8],
    seen: &mut Seen,
    stream: &mut Stream,
) -> Result<Verdict, Bad> {
    let mut event = Event::read(data)?;
    let kind = event.kind.as_ref().map_or(&b""[..], |kind| &data[kind.span.clone()]);
    if let Some(answer) = &event.answer {
        answer.tell(data, matches!(kind, b"response.completed" | b"response.incomplete"), seen);
    }
    if matches!(kind, b"error" | b"response.failed") || event.error {
        let fault = embedded_fault(Dialect::OpenAiResponses, data).unwrap_or_else(unexplained);
        return Ok(Verdict::Fault(fault));
    }
    event.count(data, kind, seen, stream);
    seen.ended |= matches!(kind, b"response.completed" | b"response.incomplete");
    let insert = event.left_out(data, kind, plan, asked_model, stream);
    stream.events = event.sequence.unwrap_or(stream.events).saturating_add(1);
    if let Some(said) = &mut seen.said {
        said.events = stream.events;
    }
    let mut tags = event.item.map(|item| item.tags).unwrap_or_default();
    if kind.starts_with(b"response.reasoning") {
        tags.extend(event.item_id.map(|id| id.span.start));
    }
    let (mut model, mut ids) = (None, Vec::new());
    if let Some(answer) = event.answer {
        ids = answer.named(data, &plan.ids);
        tags.extend(answer.tags);
        model = answer.model;
    }
    Ok(Verdict::Pass(Changes { model, cut: None, insert, tags, ids }))
}

/// Reads a whole answer.
pub(super) fn body(data: &[u8], plan: &ReplyPlan, seen: &mut Seen) -> Result<Body, Bad> {
    let mut cursor = Cursor::new(data);
    let answer = Answer::read(&mut cursor)?;
    cursor.finish()?;
    let error = answer.error || answer.says(data, &answer.status, b"failed");
    if !error {
        answer.output.tell(data, seen);
        answer.tell(data, true, seen);
        seen.deferred = [&b"queued"[..], b"in_progress"].iter().any(|word| answer.says(data, &answer.status, word));
    }
    let ids = answer.named(data, &plan.ids);
    Ok(Body { model: answer.model, tags: answer.tags, ids, error })
}

/// Relays an answer as it is stored, whatever it came to.
pub(crate) fn stored(
    ids: &Ids,
    asked_model: &str,
    maker: Maker,
    data: &[u8],
) -> Result<(Vec<u8>, StoredAnswer), Fault> {
    let mut cursor = Cursor::new(data);
    let answer = Answer::read(&mut cursor).and_then(|answer| cursor.finish().map(|()| answer)).map_err(not_json)?;
    let mut seen = Seen::default();
    answer.tell(data, true, &mut seen);
    let status = answer.status.as_ref().and_then(|status| status.decode(data)).unwrap_or_default().into_owned();
    let mut out = Vec::with_capacity(data.len() + 128);
    let ids = answer.named(data, ids);
    let changes = Changes { model: answer.model, tags: answer.tags, ids, ..Changes::default() };
    changes.write(data, &Ours { asked_model: quoted(asked_model), maker }, |position| position, &mut out);
    Ok((out, StoredAnswer { status, usage: seen.reported(), service_tier: seen.service_tier }))
}

/// Relays what an answer was asked with: its items, with the maker's tags before what only the maker can read.
pub(crate) fn stored_input(maker: Maker, data: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut changes = Changes::default();
    let mut cursor = Cursor::new(data);
    let read = cursor.object(|cursor, member| {
        if &*member.key.name(data) != b"data" || cursor.peek() != Some(b'[') {
            return cursor.skip();
        }
        cursor.array(|cursor| {
            if cursor.peek() != Some(b'{') {
                return cursor.skip();
            }
            changes.tags.extend(Item::read(cursor)?.tags);
            Ok(())
        })?;
        Ok(())
    });
    read.and_then(|_| cursor.finish()).map_err(not_json)?;
    let mut out = Vec::with_capacity(data.len() + 128);
    changes.write(data, &Ours { asked_model: Vec::new(), maker }, |position| position, &mut out);
    Ok(out)
}

/// One event of a stream.
#[derive(Default)]
struct Event {
    /// Just past its opening brace.
    open: usize,
    kind: Option<Text>,
    sequence: Option<u64>,
    index: Option<u64>,
    has_content_index: bool,
    has_summary_index: bool,
    has_logprobs: bool,
    item_id: Option<Text>,
    delta: Option<Text>,
    arguments: Option<Text>,
    item: Option<Item>,
    answer: Option<Answer>,
    error: bool,
}

impl Event {
    fn read(data: &[u8]) -> Result<Event, Bad> {
        let mut cursor = Cursor::new(data);
        cursor.peek();
        let mut event = Event { open: cursor.position() + 1, ..Event::default() };
        cursor.object(|cursor, member| {
            match &*member.key.name(data) {
                b"type" => event.kind = cursor.string_or_skip()?,
                b"sequence_number" => event.sequence = cursor.count_or_skip()?,
                b"output_index" => event.index = cursor.count_or_skip()?,
                b"content_index" => event.has_content_index = cursor.count_or_skip()?.is_some(),
                b"summary_index" => event.has_summary_index = cursor.count_or_skip()?.is_some(),
                b"logprobs" => {
                    cursor.skip()?;
                    event.has_logprobs = true;
                }
                b"item_id" => event.item_id = cursor.string_or_skip()?,
                b"delta" => event.delta = cursor.string_or_skip()?,
                b"arguments" => event.arguments = cursor.string_or_skip()?,
                b"item" if cursor.peek() == Some(b'{') => event.item = Some(Item::read(cursor)?),
                b"response" if cursor.peek() == Some(b'{') => event.answer = Some(Answer::read(cursor)?),
                b"error" => {
                    let value = cursor.value()?;
                    event.error |= matches!(data[value.start], b'{' | b'"');
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        cursor.finish()?;
        Ok(event)
    }

    /// Puts down what was received. What is said once more when it is complete counts once.
    fn count(&mut self, data: &[u8], kind: &[u8], seen: &mut Seen, stream: &mut Stream) {
        let mut output = Output::default();
        let (delta, arguments) = (self.delta.take(), self.arguments.take());
        let (name, whole) =
            self.item.as_mut().map(|item| (item.name.take(), item.arguments.take())).unwrap_or_default();
        let says_something = |text: &Option<Text>| text.as_ref().is_some_and(|text| text.decoded_len > 0);
        let own_id = self.item.as_ref().and_then(|item| item.id.as_ref());
        let id = self.item_id.as_ref().or(own_id).map(|id| &data[id.span.clone()]);
        let is_call = self.item.as_ref().is_some_and(|item| &data[item.kind.clone()] == b"function_call");
        match kind {
            b"response.output_text.delta" => delta.into_iter().for_each(|text| output.say(Speech::Text, text)),
            b"response.reasoning_text.delta" | b"response.reasoning_summary_text.delta" => {
                delta.into_iter().for_each(|text| output.say(Speech::Thinking, text));
            }
            b"response.refusal.delta"
            | b"response.custom_tool_call_input.delta"
            | b"response.mcp_call_arguments.delta"
            | b"response.code_interpreter_call_code.delta" => output.texts(delta),
            b"response.function_call_arguments.delta" => {
                if let Some(item) = stream.items.find(self.index, id) {
                    item.told |= says_something(&delta);
                }
                output.texts(delta);
            }
            b"response.function_call_arguments.done" => {
                if let Some(item) = stream.items.find(self.index, id).filter(|item| !item.told) {
                    item.told = true;
                    output.texts(arguments);
                }
            }
            b"response.output_item.added" => {
                let begun = stream.items.begin(self.index, id, is_call);
                if let Some(item) = &self.item {
                    output.any |= !matches!(&data[item.kind.clone()], b"message" | b"reasoning");
                    if is_call {
                        if let Some(begun) = begun {
                            begun.told = says_something(&whole);
                        }
                        output.texts(name.into_iter().chain(whole));
                    }
                }
            }
            b"response.output_item.done" if is_call => {
                if let Some(item) = stream.items.find(self.index, id).filter(|item| !item.told) {
                    item.told = true;
                    output.texts(whole);
                }
            }
            _ => {}
        }
        if let (Some(said), Some(item)) = (&mut seen.said, &self.item) {
            match kind {
                b"response.output_item.added" => match &data[item.kind.clone()] {
                    b"message" => {
                        said.begin(Speech::Text, "");
                        said.item = item.id.as_ref().and_then(|id| id.decode(data)).map(|id| id.into_owned());
                    }
                    b"reasoning" => said.begin(Speech::Thinking, ""),
                    _ => said.stick(),
                },
                b"response.output_item.done" => said.end(),
                _ => {}
            }
        }
        output.tell(data, seen);
    }

    /// What SDKs need and the server left out.
    fn left_out(
        &self,
        data: &[u8],
        kind: &[u8],
        plan: &ReplyPlan,
        asked_model: &[u8],
        stream: &mut Stream,
    ) -> Vec<(usize, String)> {
        let Some(kind) = kind.strip_prefix(b"response.") else { return Vec::new() };
        let about = |names: &[&str]| names.iter().any(|name| kind.starts_with(name.as_bytes()));
        let mut fields = String::new();
        if self.sequence.is_none() {
            fields.push_str(&format!("\"sequence_number\":{},", stream.events));
        }
        if self.index.is_none()
            && about(&["output_item.", "content_part.", "output_text.", "refusal.", "reasoning_", "function_call_"])
        {
            let own_id = self.item.as_ref().and_then(|item| item.id.as_ref());
            let id = self.item_id.as_ref().or(own_id).map(|id| &data[id.span.clone()]);
            let index = stream.items.find(None, id).map_or(0, |item| item.index);
            fields.push_str(&format!("\"output_index\":{index},"));
        }
        if !self.has_content_index && about(&["content_part.", "output_text.", "refusal.", "reasoning_text."]) {
            fields.push_str("\"content_index\":0,");
        }
        if !self.has_summary_index && about(&["reasoning_summary_"]) {
            fields.push_str("\"summary_index\":0,");
        }
        if !self.has_logprobs && about(&["output_text.delta", "output_text.done"]) {
            fields.push_str("\"logprobs\":[],");
        }
        let mut insert = Vec::new();
        if !fields.is_empty() {
            insert.push((self.open, fields));
        }
        if let Some(answer) = self.answer.as_ref().filter(|answer| !answer.is_empty) {
            let mut fields = String::new();
            let mut need = |has: bool, name: &str, value: &str| {
                if !has {
                    fields.push_str(&format!("\"{name}\":{value},"));
                }
            };
            need(answer.has_created, "created_at", &plan.created_unix_s.to_string());
            need(answer.model.is_some(), "model", &String::from_utf8_lossy(asked_model));
            need(answer.has_output, "output", "[]");
            need(answer.has_parallel, "parallel_tool_calls", "true");
            need(answer.has_choice, "tool_choice", "\"auto\"");
            need(answer.has_tools, "tools", "[]");
            if !fields.is_empty() {
                insert.push((answer.open, fields));
            }
        }
        insert
    }
}

/// An output item, as it begins or as it is complete.
#[derive(Default)]
struct Item {
    id: Option<Text>,
    kind: Range<usize>,
    /// The tool's name, and what it is called with.
    name: Option<Text>,
    arguments: Option<Text>,
    /// What is said or thought in it.
    said: Vec<Text>,
    /// Where its id and what is encrypted in it begin, if it is a thought.
    tags: Tags,
}

impl Item {
    fn read(cursor: &mut Cursor<'_>) -> Result<Item, Bad> {
        let (mut item, mut encrypted, bytes) = (Item::default(), None, cursor.bytes());
        cursor.object(|cursor, member| {
            match &*member.key.name(bytes) {
                b"id" => item.id = cursor.string_or_skip()?,
                b"type" => {
                    if let Some(text) = cursor.string_or_skip()? {
                        item.kind = text.span;
                    }
                }
                b"name" => item.name = cursor.string_or_skip()?,
                b"arguments" => item.arguments = cursor.string_or_skip()?,
                b"encrypted_content" => encrypted = cursor.string_or_skip()?,
                b"content" | b"summary" if cursor.peek() == Some(b'[') => {
                    cursor.array(|cursor| {
                        if cursor.peek() != Some(b'{') {
                            return cursor.skip();
                        }
                        cursor.object(|cursor, member| {
                            if !matches!(&*member.key.name(bytes), b"text" | b"refusal") {
                                return cursor.skip();
                            }
                            item.said.extend(cursor.string_or_skip()?);
                            Ok(())
                        })?;
                        Ok(())
                    })?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        if matches!(&bytes[item.kind.clone()], b"reasoning" | b"compaction") {
            let id = item.id.as_ref().filter(|id| id.decoded_len > 0);
            item.tags.extend(id.into_iter().chain(&encrypted).map(|text| text.span.start));
        }
        Ok(item)
    }
}

/// An answer, whole or as an event has it.
#[derive(Default)]
struct Answer {
    /// Just past its opening brace.
    open: usize,
    is_empty: bool,
    model: Option<Range<usize>>,
    usage: Option<Range<usize>>,
    tool_usage: Option<Range<usize>>,
    id: Option<Text>,
    /// The answer it goes on from.
    previous: Option<Text>,
    status: Option<Text>,
    service_tier: Option<Text>,
    /// Why it is incomplete.
    reason: Option<Text>,
    has_created: bool,
    has_output: bool,
    has_parallel: bool,
    has_choice: bool,
    has_tools: bool,
    output: Output,
    tags: Tags,
    error: bool,
}

impl Answer {
    fn read(cursor: &mut Cursor<'_>) -> Result<Answer, Bad> {
        cursor.peek();
        let (mut answer, bytes) = (Answer { open: cursor.position() + 1, ..Answer::default() }, cursor.bytes());
        let members = cursor.object(|cursor, member| {
            match &*member.key.name(bytes) {
                b"model" => answer.model = cursor.string_or_skip()?.map(|text| text.quoted()),
                b"usage" => answer.usage = Some(cursor.value()?),
                b"tool_usage" => answer.tool_usage = Some(cursor.value()?),
                b"id" => answer.id = cursor.string_or_skip()?,
                b"previous_response_id" => answer.previous = cursor.string_or_skip()?,
                b"status" => answer.status = cursor.string_or_skip()?,
                b"service_tier" => answer.service_tier = cursor.string_or_skip()?,
                b"incomplete_details" if cursor.peek() == Some(b'{') => {
                    cursor.object(|cursor, member| {
                        if &*member.key.name(bytes) != b"reason" {
                            return cursor.skip();
                        }
                        answer.reason = cursor.string_or_skip()?;
                        Ok(())
                    })?;
                }
                b"error" => {
                    let value = cursor.value()?;
                    answer.error |= matches!(bytes[value.start], b'{' | b'"');
                }
                b"object" => {
                    let object = cursor.string_or_skip()?;
                    answer.error |= object.is_some_and(|object| &bytes[object.span] == b"error");
                }
                b"output" if cursor.peek() == Some(b'[') => {
                    answer.has_output = true;
                    cursor.array(|cursor| {
                        if cursor.peek() != Some(b'{') {
                            return cursor.skip();
                        }
                        let item = Item::read(cursor)?;
                        answer.tags.extend(item.tags);
                        let is_call = &bytes[item.kind] == b"function_call";
                        answer.output.any |= is_call;
                        let name = item.name.filter(|_| is_call);
                        answer.output.texts(item.said.into_iter().chain(name).chain(item.arguments));
                        Ok(())
                    })?;
                }
                name => {
                    match name {
                        b"created_at" => answer.has_created = true,
                        b"parallel_tool_calls" => answer.has_parallel = true,
                        b"tool_choice" => answer.has_choice = true,
                        b"tools" => answer.has_tools = true,
                        _ => {}
                    }
                    cursor.skip()?;
                }
            }
            Ok(())
        })?;
        answer.is_empty = members == 0;
        Ok(answer)
    }

    /// Puts down what the ledger wants to know. `closes`: nothing more of the answer comes.
    fn tell(&self, data: &[u8], closes: bool, seen: &mut Seen) {
        let text = |text: &Option<Text>| text.as_ref()?.decode(data).map(|text| text.into_owned());
        if seen.provider_request_id.is_none() {
            seen.provider_request_id = text(&self.id).filter(|id| !id.is_empty());
        }
        if let Some(mut reported) = self.usage.as_ref().and_then(|usage| openai_usage(&data[usage.clone()])) {
            let searches = self.tool_usage.as_ref().map_or(0, |tools| web_searches(&data[tools.clone()]));
            reported.usage.set(Meter::WebSearches, searches);
            seen.report(reported);
        }
        if closes {
            seen.finish = text(&self.reason).or_else(|| text(&self.status));
            // What is served is known at the end; before it stands what was asked for.
            if self.service_tier.is_some() {
                seen.service_tier = text(&self.service_tier);
            }
        }
    }

    /// Its ids, where the client calls them something else.
    fn named(&self, data: &[u8], ids: &Ids) -> Vec<(Range<usize>, Vec<u8>)> {
        let texts = [&self.id, &self.previous].into_iter().flatten();
        let name = |text: &Text| Some((text.quoted(), quoted(&ids.name(Kind::Answer, &text.decode(data)?)?)));
        texts.filter_map(name).collect()
    }

    fn says(&self, data: &[u8], text: &Option<Text>, word: &[u8]) -> bool {
        text.as_ref().is_some_and(|text| &data[text.span.clone()] == word)
    }
}
