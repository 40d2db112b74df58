//! Reads the events of a streamed Converse answer.

use std::borrow::Cow;

use domain::Fault;

use super::answer::{self, WITHOUT_COUNTERPART};
use crate::canonical::json::{Fields, count, short};
use crate::canonical::{Event, Losses, malformed};
use crate::dialects::{Each, MAX_CALLS, ReadStream};
use crate::sse;
use crate::usage::bedrock_usage;

/// What must be remembered between events.
#[derive(Default)]
pub(super) struct Reader {
    /// The call that is open: its index and ordinal.
    call: Option<(u64, u32)>,
    calls: u32,
    stopped: bool,
    ended: bool,
}

impl ReadStream for Reader {
    fn read(
        &mut self,
        event: &sse::Event<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<Result<(), Fault>, Fault> {
        let mut fields = Fields::of_event(event.data)?;
        // Padding against the guessing of texts from the sizes of packets.
        fields.take("p");
        let index = fields.take("contentBlockIndex").and_then(count).unwrap_or(0);
        match event.name {
            "messageStart" => {
                fields.take("role");
                each(Event::Start { id: None, created_unix_s: None }, losses)?;
            }
            "contentBlockStart" => {
                let start = fields.take("start").and_then(|start| Fields::read(start.get(), "/start"));
                self.call = None;
                if let Some(start) = start {
                    self.open(index, start, losses, each)?;
                }
            }
            "contentBlockDelta" => {
                let delta = fields.take("delta").and_then(|delta| Fields::read(delta.get(), "/delta"));
                let delta = delta.ok_or_else(|| malformed("contentBlockDelta has no delta"))?;
                self.more(index, delta, losses, each)?;
            }
            "contentBlockStop" => {
                self.call = None;
                each(Event::BlockEnd, losses)?;
            }
            "messageStop" => {
                self.stopped = true;
                if let Some(word) = fields.take_text("stopReason") {
                    let finish = answer::finish(word, losses);
                    each(Event::Finish(finish), losses)?;
                }
            }
            "metadata" => {
                if let Some(usage) = fields.take("usage").and_then(|usage| bedrock_usage(usage.get().as_bytes())) {
                    each(Event::Usage(usage), losses)?;
                }
                if let Some(tier) = answer::service_tier(&mut fields) {
                    each(Event::ServiceTier(tier), losses)?;
                }
                self.ended = true;
                each(Event::End, losses)?;
            }
            other => {
                let why = format!("events of the type `{}` are not known to the translation", short(other));
                losses.dropped("", why);
                return Ok(Ok(()));
            }
        }
        fields.finish(losses, WITHOUT_COUNTERPART);
        Ok(Ok(()))
    }

    /// The last event tells the usage. A stream that ends after the answer has, without it, is complete all the same.
    fn end(&mut self, losses: &mut Losses, each: &mut Each<'_>) -> Result<(), Fault> {
        if self.stopped && !std::mem::replace(&mut self.ended, true) {
            each(Event::End, losses)?;
        }
        Ok(())
    }
}

impl Reader {
    fn open(
        &mut self,
        index: u64,
        mut start: Fields<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let call = start.take("toolUse").and_then(|call| Fields::read(call.get(), "/start/toolUse"));
        if let Some(mut call) = call.filter(|call| call.peek("type").is_none()) {
            if self.calls == MAX_CALLS {
                return Err(malformed("the answer has too many tool calls"));
            }
            let ordinal = self.calls;
            self.calls += 1;
            self.call = Some((index, ordinal));
            let id = call.take_text("toolUseId").filter(|id| !id.is_empty());
            let name = call.take_text("name").unwrap_or_default();
            each(Event::ToolStart { ordinal, id, name }, losses)?;
            call.finish(losses, &[]);
            return Ok(());
        }
        losses.dropped("/start", "a block that no other dialect knows was left out");
        each(Event::Elsewhere { bytes: 0 }, losses)
    }

    fn more(
        &mut self,
        index: u64,
        mut delta: Fields<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let mut say = |text: Option<Cow<'_, str>>, kind: Say| match text.filter(|text| !text.is_empty()) {
            None => Ok(()),
            Some(text) => each(
                match kind {
                    Say::Text => Event::Text(text),
                    Say::Thinking => Event::Thinking(text),
                    Say::Signature => Event::Signature(text),
                    Say::Redacted => Event::RedactedThinking(text),
                },
                losses,
            ),
        };
        say(delta.take_text("text"), Say::Text)?;
        if let Some(mut thought) = delta.take("reasoningContent").and_then(|thought| Fields::read(thought.get(), "")) {
            say(thought.take_text("text"), Say::Thinking)?;
            say(thought.take_text("signature"), Say::Signature)?;
            say(thought.take_text("redactedContent"), Say::Redacted)?;
        }
        if let Some(mut call) = delta.take("toolUse").and_then(|call| Fields::read(call.get(), "/delta/toolUse")) {
            let json = call.take_text("input").unwrap_or_default();
            // The input of a block that was not announced cannot be handed on.
            match self.call.filter(|(open, _)| *open == index) {
                _ if json.is_empty() => {}
                Some((_, ordinal)) => each(Event::ToolArguments { ordinal, json }, losses)?,
                None => each(Event::Elsewhere { bytes: json.len() }, losses)?,
            }
        }
        delta.finish(losses, &[("citation", "citations exist only in this dialect")]);
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Say {
    Text,
    Thinking,
    Signature,
    Redacted,
}
