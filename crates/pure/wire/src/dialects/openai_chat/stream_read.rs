//! Reads the chunks of a streamed chat completion.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};

use domain::Fault;
use serde_json::value::RawValue;

use super::answer::{self, WITHOUT_COUNTERPART};
use crate::canonical::json::{Fields, count, list, text};
use crate::canonical::{Content, Event, Losses, malformed};
use crate::dialect::Dialect;
use crate::dialects::{Each, ReadStream};
use crate::errors::embedded_fault;
use crate::sse;

/// How many tool calls of one answer are kept track of.
const MAX_CALLS: usize = 1_024;

/// What must be remembered between chunks.
#[derive(Default)]
pub(super) struct Reader {
    started: bool,
    /// The calls so far, by ordinal: the server's index and id of each.
    calls: Vec<Call>,
}

struct Call {
    index: u64,
    /// A hash of its id, which tells calls apart; ids have any length.
    id: Option<u64>,
}

impl ReadStream for Reader {
    fn read(
        &mut self,
        event: &sse::Event<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<Result<(), Fault>, Fault> {
        if event.data.trim_ascii() == b"[DONE]" {
            return each(Event::End, losses).map(Ok);
        }
        let mut fields = Fields::of_event(event.data)?;
        let is_error = fields.take("error").is_some_and(|error| error.get().starts_with(['{', '"']))
            || fields.take_text("object").is_some_and(|object| object == "error");
        if is_error {
            let unexplained = || malformed("the provider sent an error without saying why");
            return Ok(Err(embedded_fault(Dialect::OpenAiChat, event.data).unwrap_or_else(unexplained)));
        }
        fields.take("model");
        let (id, created_unix_s) = (answer::id(&mut fields), answer::created(&mut fields));
        let choices = fields.take("choices").and_then(list).unwrap_or_default();
        // Azure's filter speaks before the answer has an id.
        if !self.started && (id.is_some() || !choices.is_empty()) {
            self.started = true;
            each(Event::Start { id, created_unix_s }, losses)?;
        }
        if let Some(tier) = fields.take_text("service_tier") {
            each(Event::ServiceTier(tier), losses)?;
        }
        let usage = answer::usage(&mut fields);
        for (place, choice) in choices.into_iter().enumerate() {
            self.choice(choice, place, losses, each)?;
        }
        if let Some(usage) = usage {
            each(Event::Usage(usage), losses)?;
        }
        fields.finish(losses, WITHOUT_COUNTERPART);
        Ok(Ok(()))
    }
}

impl Reader {
    fn choice(
        &mut self,
        choice: &RawValue,
        place: usize,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let at = format!("/choices/{place}");
        let mut choice = Fields::read(choice.get(), &*at).ok_or_else(|| malformed("a choice is no object"))?;
        if choice.take("index").and_then(count).unwrap_or(0) != 0 {
            losses.dropped(at, "one choice is carried over");
            let delta = choice.take("delta").and_then(|delta| Fields::read(delta.get(), ""));
            let bytes = delta.and_then(|mut delta| delta.take_text("content")).map_or(0, |text| text.len());
            return if bytes > 0 { each(Event::Elsewhere { bytes }, losses) } else { Ok(()) };
        }
        if let Some(mut delta) = choice.take("delta").and_then(|delta| Fields::read(delta.get(), choice.at("delta"))) {
            self.delta(&mut delta, losses, each)?;
            delta.finish(losses, WITHOUT_COUNTERPART);
        }
        let stop = choice.take_text("stop_reason");
        if let Some(word) = choice.take_text("finish_reason") {
            let finish = answer::finish(word, stop, losses);
            each(Event::Finish(finish), losses)?;
        }
        choice.finish(losses, WITHOUT_COUNTERPART);
        Ok(())
    }

    fn delta(&mut self, delta: &mut Fields<'_>, losses: &mut Losses, each: &mut Each<'_>) -> Result<(), Fault> {
        delta.take("role");
        if let Some(text) = answer::reasoning(delta) {
            each(Event::Thinking(text), losses)?;
        }
        if let Some(content) = delta.take("content") {
            for piece in answer::pieces(content, losses) {
                match piece {
                    Content::Thinking { text, .. } => each(Event::Thinking(text), losses)?,
                    Content::Text(text) => each(Event::Text(text), losses)?,
                    _ => {}
                }
            }
        }
        if let Some(text) = delta.take_text("refusal").filter(|text| !text.is_empty()) {
            each(Event::Refusal(text), losses)?;
        }
        for call in delta.take("tool_calls").and_then(list).unwrap_or_default() {
            self.call(call, losses, each)?;
        }
        if let Some(mut call) = delta.take("function_call").and_then(|call| Fields::read(call.get(), "")) {
            let (name, arguments) = (call.take_text("name").unwrap_or_default(), answer::arguments(&mut call));
            self.piece(Some(0), None, name, arguments, losses, each)?;
        }
        Ok(())
    }

    fn call(&mut self, call: &RawValue, losses: &mut Losses, each: &mut Each<'_>) -> Result<(), Fault> {
        let mut call = Fields::read(call.get(), "/choices/0/delta/tool_calls")
            .ok_or_else(|| malformed("a tool call is no object"))?;
        let index = call.take("index").and_then(count);
        let id = call.take("id").and_then(text).filter(|id| !id.is_empty());
        let (name, arguments) = answer::function(&mut call);
        call.finish(losses, &[("extra_content", "a provider's own mark on the call is not shown to another")]);
        self.piece(index, id, name, arguments, losses, each)
    }

    /// A piece of a call: its beginning, more of it, or both. A server that counts every call as 0, or none at all, tells
    /// them apart by their ids.
    fn piece(
        &mut self,
        index: Option<u64>,
        id: Option<Cow<'_, str>>,
        name: Cow<'_, str>,
        arguments: Cow<'_, str>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let known = match index {
            Some(index) => self.calls.iter().rposition(|call| call.index == index),
            None => self.calls.len().checked_sub(1),
        };
        let hash = id.as_deref().map(|id| {
            let mut hasher = DefaultHasher::new();
            hasher.write(id.as_bytes());
            hasher.finish()
        });
        let another = |call: &Call| !name.is_empty() && hash.is_some() && hash != call.id;
        let ordinal = match known.filter(|known| !another(&self.calls[*known])) {
            Some(known) => known,
            None if self.calls.len() == MAX_CALLS => return Err(malformed("the answer has too many tool calls")),
            None => {
                let ordinal = self.calls.len();
                self.calls.push(Call { index: index.unwrap_or(ordinal as u64), id: hash });
                each(Event::ToolStart { ordinal: ordinal_of(ordinal), id, name }, losses)?;
                ordinal
            }
        };
        if !arguments.is_empty() {
            each(Event::ToolArguments { ordinal: ordinal_of(ordinal), json: arguments }, losses)?;
        }
        Ok(())
    }
}

fn ordinal_of(place: usize) -> u32 {
    u32::try_from(place).expect("no more than MAX_CALLS are kept")
}
