//! Reads the events of a streamed response.

use std::borrow::Cow;

use domain::Fault;
use serde_json::value::RawValue;

use super::answer::{self, ONLY_REPEATED, WITHOUT_COUNTERPART, of_the_provider};
use crate::canonical::json::{Fields, count, short};
use crate::canonical::{Event, Losses, malformed};
use crate::dialect::Dialect;
use crate::dialects::{Each, ReadStream};
use crate::errors::embedded_fault;
use crate::items::Items;
use crate::sse;

/// How the types of events begin that tell how far an item is that has no place elsewhere (OpenAI's Python SDK 3.52.0,
/// `ResponseStreamEvent`).
const OF_ITEMS_ELSEWHERE: [&str; 11] = [
    "response.code_interpreter_call.",
    "response.code_interpreter_call_code.done",
    "response.compaction.",
    "response.custom_tool_call_input.done",
    "response.file_search_call.",
    "response.image_generation_call.",
    "response.mcp_call.",
    "response.mcp_call_arguments.done",
    "response.mcp_list_tools.",
    "response.shell_call_",
    "response.web_search_call.",
];

/// What must be remembered between events.
#[derive(Default)]
pub(super) struct Reader {
    started: bool,
    calls: bool,
    items: Items,
}

impl ReadStream for Reader {
    fn read(
        &mut self,
        event: &sse::Event<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<Result<(), Fault>, Fault> {
        // Some servers close the stream so too, after the event that does.
        if event.data.trim_ascii() == b"[DONE]" {
            return Ok(Ok(()));
        }
        let mut fields = Fields::of_event(event.data)?;
        let kind = fields.take_text("type").unwrap_or_default();
        fields.take("sequence_number");
        let is_error = fields.peek("error").is_some_and(|error| error.get().starts_with(['{', '"']));
        if kind == "error" || (is_error && kind != "response.failed") {
            return Ok(Err(fault(event.data)));
        }
        let index = fields.take("output_index").and_then(count);
        let item_id = fields.take_text("item_id");
        let id = item_id.as_deref().map(str::as_bytes);
        match kind.as_ref() {
            "response.created" | "response.queued" | "response.in_progress" => {
                self.lifecycle(fields.take("response"), false, losses, each)?;
            }
            "response.completed" | "response.incomplete" => {
                self.lifecycle(fields.take("response"), true, losses, each)?;
                each(Event::End, losses)?;
            }
            "response.failed" => {
                self.lifecycle(fields.take("response"), false, losses, each)?;
                return Ok(Err(fault(event.data)));
            }
            "response.output_item.added" => {
                let item = fields.take("item").and_then(|item| Fields::read(item.get(), "/item"));
                self.begin(index, item.ok_or_else(|| malformed("an output item is missing"))?, losses, each)?;
            }
            "response.output_text.delta" => say(fields.take_text("delta"), Event::Text, losses, each)?,
            "response.refusal.delta" => say(fields.take_text("delta"), Event::Refusal, losses, each)?,
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                say(fields.take_text("delta"), Event::Thinking, losses, each)?;
            }
            "response.function_call_arguments.delta" => {
                let json = fields.take_text("delta").unwrap_or_default();
                self.arguments(index, id, json, false, losses, each)?;
            }
            "response.function_call_arguments.done" => {
                let json = fields.take_text("arguments").unwrap_or_default();
                self.arguments(index, id, json, true, losses, each)?;
            }
            "response.reasoning_summary_part.done" => each(Event::BlockEnd, losses)?,
            "response.output_item.done" => {
                if let Some(mut item) = fields.take("item").and_then(|item| Fields::read(item.get(), "/item")) {
                    if item.take_text("type").is_some_and(|kind| kind == "function_call") {
                        let (own_id, json) = (item.take_text("id"), item.take_text("arguments").unwrap_or_default());
                        let id = id.or(own_id.as_deref().map(str::as_bytes));
                        self.arguments(index, id, json, true, losses, each)?;
                    }
                    if item.take_text("encrypted_content").is_some() {
                        losses.dropped("/item/encrypted_content", "encrypted reasoning is of use to its provider only");
                    }
                }
                each(Event::BlockEnd, losses)?;
            }
            "response.custom_tool_call_input.delta"
            | "response.mcp_call_arguments.delta"
            | "response.code_interpreter_call_code.delta"
            | "response.shell_call_command.delta"
            | "response.shell_call_output_content.delta" => {
                let bytes = fields.take_text("delta").map_or(0, |text| text.len());
                if bytes > 0 {
                    each(Event::Elsewhere { bytes }, losses)?;
                }
            }
            "response.output_text.annotation.added" => {
                losses.dropped("/annotation", "annotations have no place elsewhere");
            }
            // What was said is said once more when it is complete.
            "response.content_part.added"
            | "response.content_part.done"
            | "response.output_text.done"
            | "response.refusal.done"
            | "response.reasoning_text.done"
            | "response.reasoning_summary_text.done"
            | "response.reasoning_summary_part.added" => {}
            // What the provider's own tools are at. The item they belong to was named when it began.
            other if OF_ITEMS_ELSEWHERE.iter().any(|known| other.starts_with(known)) => {}
            other if other.starts_with("response.audio.") => {
                let bytes = fields.take_text("delta").map_or(0, |sound| sound.len());
                losses.dropped("/delta", "sound in an answer has no place elsewhere");
                if bytes > 0 {
                    each(Event::Elsewhere { bytes }, losses)?;
                }
            }
            other => {
                let why = format!("events of the type `{}` are not known to the translation", short(other));
                losses.dropped("/type", why);
            }
        }
        Ok(Ok(()))
    }
}

fn fault(data: &[u8]) -> Fault {
    embedded_fault(Dialect::OpenAiResponses, data)
        .unwrap_or_else(|| malformed("the provider sent an error without saying why"))
}

/// Hands text on where there is any.
fn say<'t>(
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

impl Reader {
    /// The answer as an event about all of it has it.
    fn lifecycle(
        &mut self,
        response: Option<&RawValue>,
        closes: bool,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let response = response.and_then(|response| Fields::read(response.get(), "/response"));
        let Some(mut response) = response else { return Ok(()) };
        let (id, created_unix_s) = (answer::id(&mut response), answer::created(&mut response));
        if !std::mem::replace(&mut self.started, true) {
            each(Event::Start { id, created_unix_s }, losses)?;
        }
        if let Some(usage) = answer::usage(&mut response) {
            each(Event::Usage(usage), losses)?;
        }
        if !closes {
            return Ok(());
        }
        if let Some(tier) = response.take_text("service_tier") {
            each(Event::ServiceTier(tier), losses)?;
        }
        if let Some(finish) = answer::finish(&mut response, losses) {
            each(Event::Finish(answer::with_calls(finish, self.calls)), losses)?;
        }
        response.take("output");
        for name in ONLY_REPEATED {
            response.take(name);
        }
        response.finish(losses, WITHOUT_COUNTERPART);
        Ok(())
    }

    fn begin(
        &mut self,
        index: Option<u64>,
        mut item: Fields<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let kind = item.take_text("type").unwrap_or_default();
        let id = item.take_text("id");
        let is_call = kind == "function_call";
        let begun = self.items.begin(index, id.as_deref().map(str::as_bytes), is_call);
        let begun = begun.ok_or_else(|| malformed("the answer has too many items"))?;
        let Some(ordinal) = begun.ordinal else {
            if !matches!(kind.as_ref(), "message" | "reasoning") {
                losses.dropped("/item", of_the_provider(&kind));
                each(Event::Elsewhere { bytes: 0 }, losses)?;
            }
            return Ok(());
        };
        self.calls = true;
        let call = item.take_text("call_id").filter(|id| !id.is_empty());
        let name = item.take_text("name").unwrap_or_default();
        // The arguments begin empty and are streamed; a server may send them whole, here.
        let json = item.take_text("arguments").unwrap_or_default();
        begun.told = !json.is_empty();
        each(Event::ToolStart { ordinal, id: call, name }, losses)?;
        if !json.is_empty() {
            each(Event::ToolArguments { ordinal, json }, losses)?;
        }
        Ok(())
    }

    /// More of a call's arguments; `whole`: all of them, which counts where none came before.
    fn arguments(
        &mut self,
        index: Option<u64>,
        id: Option<&[u8]>,
        json: Cow<'_, str>,
        whole: bool,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        if json.is_empty() {
            return Ok(());
        }
        match self.items.find(index, id) {
            Some(item) if whole && item.told => Ok(()),
            Some(item) => {
                item.told = true;
                match item.ordinal {
                    Some(ordinal) => each(Event::ToolArguments { ordinal, json }, losses),
                    None => each(Event::Elsewhere { bytes: json.len() }, losses),
                }
            }
            // What belongs to no item was made all the same.
            None if whole => Ok(()),
            None => each(Event::Elsewhere { bytes: json.len() }, losses),
        }
    }
}
