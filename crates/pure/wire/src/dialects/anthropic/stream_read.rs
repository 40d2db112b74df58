//! Reads the events of a streamed message.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::answer::{self, WITHOUT_COUNTERPART};
use crate::canonical::json::{Fields, count, is_object, says_nothing, short};
use crate::canonical::{Event, Losses, malformed};
use crate::dialect::Dialect;
use crate::dialects::{Each, MAX_CALLS, ReadStream};
use crate::errors::embedded_fault;
use crate::sse;
use crate::usage::anthropic::Tally;

/// What must be remembered between events.
#[derive(Default)]
pub(super) struct Reader {
    tally: Tally,
    /// The block that is open and is a call: its index and ordinal.
    call: Option<(u64, u32)>,
    calls: u32,
}

impl ReadStream for Reader {
    fn read(
        &mut self,
        event: &sse::Event<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<Result<(), Fault>, Fault> {
        let mut fields = Fields::of_event(event.data)?;
        let kind = fields.take_text("type").unwrap_or_default();
        match kind.as_ref() {
            "error" => return Ok(Err(fault(event.data))),
            "" if fields.peek("error").is_some_and(is_object) => return Ok(Err(fault(event.data))),
            "ping" => each(Event::Ping, losses)?,
            "message_start" => {
                let message = fields.take("message").and_then(|message| Fields::read(message.get(), "/message"));
                let mut message = message.ok_or_else(|| malformed("message_start has no message"))?;
                let id = message.take_text("id").filter(|id| !id.is_empty());
                each(Event::Start { id, created_unix_s: None }, losses)?;
                self.usage(message.take("usage"), losses, each)?;
                for known in ["type", "role", "model", "content", "stop_reason", "stop_sequence"] {
                    message.take(known);
                }
                message.finish(losses, WITHOUT_COUNTERPART);
            }
            "content_block_start" => {
                let index = fields.take("index").and_then(count).unwrap_or(0);
                let block = fields.take("content_block").and_then(|block| Fields::read(block.get(), "/content_block"));
                let block = block.ok_or_else(|| malformed("content_block_start has no block"))?;
                self.open(index, block, losses, each)?;
            }
            "content_block_delta" => {
                let index = fields.take("index").and_then(count).unwrap_or(0);
                let delta = fields.take("delta").and_then(|delta| Fields::read(delta.get(), "/delta"));
                let delta = delta.ok_or_else(|| malformed("content_block_delta has no delta"))?;
                self.more(index, delta, losses, each)?;
            }
            "content_block_stop" => {
                fields.take("index");
                self.call = None;
                each(Event::BlockEnd, losses)?;
            }
            "message_delta" => {
                if let Some(mut delta) = fields.take("delta").and_then(|delta| Fields::read(delta.get(), "/delta")) {
                    let stop_sequence = delta.take_text("stop_sequence");
                    if let Some(word) = delta.take_text("stop_reason") {
                        let finish = answer::finish(word, stop_sequence, losses);
                        each(Event::Finish(finish), losses)?;
                    }
                    delta.finish(losses, WITHOUT_COUNTERPART);
                }
                self.usage(fields.take("usage"), losses, each)?;
            }
            "message_stop" => each(Event::End, losses)?,
            other => {
                let why = format!("events of the type `{}` are not known to the translation", short(other));
                losses.dropped("/type", why);
                return Ok(Ok(()));
            }
        }
        fields.finish(losses, WITHOUT_COUNTERPART);
        Ok(Ok(()))
    }
}

fn fault(data: &[u8]) -> Fault {
    embedded_fault(Dialect::Anthropic, data)
        .unwrap_or_else(|| malformed("the provider sent an error without saying why"))
}

impl Reader {
    fn usage(&mut self, usage: Option<&RawValue>, losses: &mut Losses, each: &mut Each<'_>) -> Result<(), Fault> {
        let Some(usage) = usage else { return Ok(()) };
        if self.tally.merge(usage.get().as_bytes()) && self.tally.is_complete() {
            each(Event::Usage(self.tally.reported()), losses)?;
        }
        match answer::service_tier(usage) {
            Some(tier) => each(Event::ServiceTier(tier), losses),
            None => Ok(()),
        }
    }

    fn open(
        &mut self,
        index: u64,
        mut block: Fields<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let kind = block.take_text("type").unwrap_or_default();
        self.call = None;
        match kind.as_ref() {
            "text" => self.say(block.take_text("text"), Event::Text, losses, each)?,
            "thinking" => {
                self.say(block.take_text("thinking"), Event::Thinking, losses, each)?;
                self.say(block.take_text("signature"), Event::Signature, losses, each)?;
            }
            "redacted_thinking" => {
                let data = block.take_text("data").unwrap_or_default();
                each(Event::RedactedThinking(data), losses)?;
            }
            "tool_use" => {
                if self.calls == MAX_CALLS {
                    return Err(malformed("the answer has too many tool calls"));
                }
                let ordinal = self.calls;
                self.calls += 1;
                self.call = Some((index, ordinal));
                let id = block.take_text("id").filter(|id| !id.is_empty());
                let name = block.take_text("name").unwrap_or_default();
                each(Event::ToolStart { ordinal, id, name }, losses)?;
                // The input opens empty and is streamed; some servers send it whole, here.
                if let Some(input) = block.take("input").filter(|input| is_object(input) && !says_nothing(input)) {
                    each(Event::ToolArguments { ordinal, json: Cow::Borrowed(input.get()) }, losses)?;
                }
                block.take("caller");
            }
            other => {
                let why = format!("blocks of the type `{}` are not known to the translation", short(other));
                losses.dropped("/content_block", why);
                let bytes = block.take_text("name").map_or(0, |name| name.len());
                return each(Event::Elsewhere { bytes }, losses);
            }
        }
        block.finish(losses, &[("citations", "citations exist only in this dialect")]);
        Ok(())
    }

    fn more(
        &mut self,
        index: u64,
        mut delta: Fields<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let kind = delta.take_text("type").unwrap_or_default();
        match kind.as_ref() {
            "text_delta" => self.say(delta.take_text("text"), Event::Text, losses, each)?,
            "thinking_delta" => self.say(delta.take_text("thinking"), Event::Thinking, losses, each)?,
            "signature_delta" => self.say(delta.take_text("signature"), Event::Signature, losses, each)?,
            "input_json_delta" => {
                let json = delta.take_text("partial_json").unwrap_or_default();
                // The input of a block that was not known is not known either.
                match self.call.filter(|(open, _)| *open == index) {
                    _ if json.is_empty() => {}
                    Some((_, ordinal)) => each(Event::ToolArguments { ordinal, json }, losses)?,
                    None => each(Event::Elsewhere { bytes: json.len() }, losses)?,
                }
            }
            "citations_delta" => {
                losses.dropped("/delta/citation", "citations exist only in this dialect");
                return Ok(());
            }
            other => {
                let why = format!("changes of the type `{}` are not known to the translation", short(other));
                losses.dropped("/delta", why);
                return Ok(());
            }
        }
        delta.finish(losses, &[]);
        Ok(())
    }

    /// Hands text on where there is any.
    fn say<'t>(
        &self,
        text: Option<Cow<'t, str>>,
        event: impl FnOnce(Cow<'t, str>) -> Event<'t>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => each(event(text), losses),
            None => Ok(()),
        }
    }
}
