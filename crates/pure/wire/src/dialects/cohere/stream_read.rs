//! Reads the events of a streamed chat answer.

use std::borrow::Cow;

use domain::Fault;

use super::answer::{self, CITATIONS, PLAN, WITHOUT_COUNTERPART};
use crate::canonical::json::{Fields, count, short, text};
use crate::canonical::{Event, Losses, malformed};
use crate::dialect::Dialect;
use crate::dialects::{Each, MAX_CALLS, ReadStream};
use crate::errors::embedded_fault;
use crate::sse;

/// What must be remembered between events.
#[derive(Default)]
pub(super) struct Reader {
    /// The call that is open: its index and ordinal.
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
        // Some servers add OpenAI's mark after the closing event, which alone says that the answer is complete.
        if event.data.trim_ascii() == b"[DONE]" {
            return Ok(Ok(()));
        }
        let mut fields = Fields::of_event(event.data)?;
        if let Some(fault) = embedded_fault(Dialect::Cohere, event.data) {
            return Ok(Err(fault));
        }
        let kind = fields.take_text("type").unwrap_or_default();
        let delta = fields.take("delta").and_then(|delta| Fields::read(delta.get(), "/delta"));
        match kind.as_ref() {
            "message-start" => {
                let id = fields.take_text("id").filter(|id| !id.is_empty());
                each(Event::Start { id, created_unix_s: None }, losses)?;
            }
            "content-start" | "content-delta" => {
                let content = inner(delta, "content").unwrap_or_else(|| Fields::read("{}", "").expect("an object"));
                say(content, losses, each)?;
                fields.take("index");
            }
            "content-end" => {
                fields.take("index");
                each(Event::BlockEnd, losses)?;
            }
            "tool-plan-delta" => {
                let message = delta.and_then(|mut delta| Fields::read(delta.take("message")?.get(), ""));
                if let Some(plan) = message.and_then(|mut message| message.take_text("tool_plan")) {
                    losses.approximated("/delta/message/tool_plan", PLAN);
                    some(plan, Event::Text, losses, each)?;
                }
            }
            "tool-call-start" => {
                let index = fields.take("index").and_then(count).unwrap_or(0);
                let call = inner(delta, "tool_calls").ok_or_else(|| malformed("tool-call-start has no call"))?;
                self.open(index, call, losses, each)?;
            }
            "tool-call-delta" => {
                let index = fields.take("index").and_then(count).unwrap_or(0);
                let json = inner(delta, "tool_calls").map(|mut call| answer::function(&mut call).1).unwrap_or_default();
                // Arguments of a call that was not announced cannot be handed on.
                match self.call.filter(|(open, _)| *open == index) {
                    _ if json.is_empty() => {}
                    Some((_, ordinal)) => each(Event::ToolArguments { ordinal, json }, losses)?,
                    None => each(Event::Elsewhere { bytes: json.len() }, losses)?,
                }
            }
            "tool-call-end" => {
                fields.take("index");
                self.call = None;
                each(Event::BlockEnd, losses)?;
            }
            "citation-start" | "citation-end" => {
                losses.dropped("/delta/message/citations", CITATIONS);
                return Ok(Ok(()));
            }
            "message-end" => {
                fields.take("id");
                if let Some(mut delta) = delta {
                    if let Some(word) = delta.take_text("finish_reason") {
                        let finish = answer::finish(word, losses);
                        each(Event::Finish(finish), losses)?;
                    }
                    if let Some(usage) = delta.take_placed("usage").and_then(|usage| answer::read_usage(&usage, losses))
                    {
                        each(Event::Usage(usage), losses)?;
                    }
                    delta.finish(losses, WITHOUT_COUNTERPART);
                }
                each(Event::End, losses)?;
            }
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

/// What stands in the message of a change.
fn inner<'a>(delta: Option<Fields<'a>>, name: &str) -> Option<Fields<'a>> {
    let message = delta?.take("message")?;
    let inner = Fields::read(message.get(), "/delta/message")?.take(name)?;
    Fields::read(inner.get(), format!("/delta/message/{name}"))
}

/// Hands text on where there is any.
fn some<'t>(
    text: Cow<'t, str>,
    event: impl FnOnce(Cow<'t, str>) -> Event<'t>,
    losses: &mut Losses,
    each: &mut Each<'_>,
) -> Result<(), Fault> {
    if text.is_empty() { Ok(()) } else { each(event(text), losses) }
}

fn say(mut content: Fields<'_>, losses: &mut Losses, each: &mut Each<'_>) -> Result<(), Fault> {
    content.take("type");
    if let Some(thought) = content.take_text("thinking") {
        some(thought, Event::Thinking, losses, each)?;
    }
    if let Some(said) = content.take_text("text") {
        some(said, Event::Text, losses, each)?;
    }
    content.finish(losses, &[("citations", CITATIONS)]);
    Ok(())
}

impl Reader {
    fn open(
        &mut self,
        index: u64,
        mut call: Fields<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        if self.calls == MAX_CALLS {
            return Err(malformed("the answer has too many tool calls"));
        }
        let ordinal = self.calls;
        self.calls += 1;
        self.call = Some((index, ordinal));
        let id = call.take("id").and_then(text).filter(|id| !id.is_empty());
        let (name, arguments) = answer::function(&mut call);
        each(Event::ToolStart { ordinal, id, name }, losses)?;
        if arguments.is_empty() { Ok(()) } else { each(Event::ToolArguments { ordinal, json: arguments }, losses) }
    }
}
