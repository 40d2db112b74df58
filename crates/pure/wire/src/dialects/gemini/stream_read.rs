//! Reads the partial answers of a stream. The last one is told from the others by its reason to finish, and followed by
//! nothing but the end of the connection.

use domain::Fault;
use serde_json::value::RawValue;

use super::answer::{self, WITHOUT_COUNTERPART};
use super::fields::Either;
use super::parts::{self, Calls};
use crate::canonical::json::Fields;
use crate::canonical::{Content, Event, Losses, malformed};
use crate::dialect::Dialect;
use crate::dialects::{Each, MAX_CALLS, ReadStream};
use crate::errors::embedded_fault;
use crate::sse;
use crate::usage::gemini_usage;

/// What must be remembered between events.
#[derive(Default)]
pub(super) struct Reader {
    started: bool,
    calls: u32,
    finished: bool,
}

impl ReadStream for Reader {
    fn read(
        &mut self,
        event: &sse::Event<'_>,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<Result<(), Fault>, Fault> {
        if let Some(fault) = embedded_fault(Dialect::Gemini, event.data) {
            return Ok(Err(fault));
        }
        let mut fields = Either::over(Fields::of_event(event.data)?);
        let id = answer::id(&mut fields);
        if !std::mem::replace(&mut self.started, true) {
            each(Event::Start { id, created_unix_s: None }, losses)?;
        }
        // What was sent is told before what came, which is where other dialects have it.
        if let Some(usage) = fields.take("usageMetadata") {
            if let Some(reported) = gemini_usage(usage.value.get().as_bytes()) {
                each(Event::Usage(reported), losses)?;
            }
            if let Some(tier) = answer::tier(usage.value.get()) {
                each(Event::ServiceTier(tier), losses)?;
            }
        }
        let blocked = answer::blocked(&mut fields, losses);
        let candidates = fields.list("candidates");
        let answers = !candidates.is_empty();
        for (at, candidate) in candidates {
            self.candidate(candidate, at, losses, each)?;
        }
        if let (Some(finish), false) = (blocked, answers) {
            self.finished = true;
            each(Event::Finish(finish), losses)?;
        }
        for known in ["modelVersion", "createTime"] {
            fields.take(known);
        }
        fields.finish(losses, WITHOUT_COUNTERPART);
        Ok(Ok(()))
    }

    fn end(&mut self, losses: &mut Losses, each: &mut Each<'_>) -> Result<(), Fault> {
        match self.finished {
            true => each(Event::End, losses),
            false => Ok(()),
        }
    }
}

impl Reader {
    fn candidate(
        &mut self,
        candidate: &RawValue,
        at: String,
        losses: &mut Losses,
        each: &mut Each<'_>,
    ) -> Result<(), Fault> {
        let mut candidate = Either::read(candidate.get(), &*at).ok_or_else(|| malformed("a candidate is no object"))?;
        let index = candidate.take("index").and_then(|index| crate::canonical::json::count(index.value)).unwrap_or(0);
        candidate.take("tokenCount");
        let mut said = Vec::new();
        if let Some(content) = candidate.take("content") {
            let content = Either::read(content.value.get(), content.at);
            let mut content = content.ok_or_else(|| malformed("a candidate's content is no object"))?;
            content.take("role");
            said = content.list("parts");
            content.finish(losses, &[]);
        }
        let finish = candidate.take_text("finishReason").filter(|word| !word.is_empty());
        if index > 0 {
            losses.dropped(at, "one candidate is carried over");
            let bytes = said.iter().map(|(_, part)| length(part)).sum();
            return if said.is_empty() { Ok(()) } else { each(Event::Elsewhere { bytes }, losses) };
        }
        candidate.finish(losses, WITHOUT_COUNTERPART);
        for (at, part) in said {
            self.part(part, at, losses, each)?;
        }
        if let Some(word) = finish {
            self.finished = true;
            each(Event::Finish(answer::finish(word, self.calls > 0, losses)), losses)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &RawValue, at: String, losses: &mut Losses, each: &mut Each<'_>) -> Result<(), Fault> {
        // Calls are numbered by the stream; the ids that a whole conversation needs are of no use here.
        let own_id = || {
            let call = Either::read(part.get(), "")?.take("functionCall")?;
            Either::read(call.value.get(), "")?.take_text("id").filter(|id| !id.is_empty())
        };
        let read = parts::read(part, at, &mut Calls::default(), losses).map_err(|fault| malformed(&fault.message))?;
        let Some(read) = read else { return each(Event::Elsewhere { bytes: 0 }, losses) };
        match read.content {
            Content::Text(text) if text.is_empty() => Ok(()),
            Content::Text(text) => each(Event::Text(text), losses),
            Content::Thinking { text, signature } => {
                if !text.is_empty() {
                    each(Event::Thinking(text), losses)?;
                }
                match signature {
                    Some(signature) => each(Event::Signature(signature), losses),
                    None => Ok(()),
                }
            }
            Content::ToolUse { name, arguments, .. } => {
                if self.calls == MAX_CALLS {
                    return Err(malformed("the answer has too many tool calls"));
                }
                let ordinal = self.calls;
                self.calls += 1;
                each(Event::ToolStart { ordinal, id: own_id(), name }, losses)?;
                each(Event::ToolArguments { ordinal, json: arguments }, losses)?;
                each(Event::BlockEnd, losses)
            }
            _ => {
                losses.dropped(read.at, "an answer is text, thoughts and calls elsewhere");
                each(Event::Elsewhere { bytes: 0 }, losses)
            }
        }
    }
}

/// Bytes of text in a part that is not carried over; they were made, and will be billed.
fn length(part: &RawValue) -> usize {
    let Some(mut fields) = Either::read(part.get(), "") else { return 0 };
    let text = fields.take_text("text").map_or(0, |text| text.len());
    let call = fields.take("functionCall").and_then(|call| Either::read(call.value.get(), ""));
    text + call.map_or(0, |mut call| {
        call.take_text("name").map_or(0, |name| name.len()) + call.take("args").map_or(0, |args| args.value.get().len())
    })
}
