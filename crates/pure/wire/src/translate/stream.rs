//! Puts a streamed answer into the words of another dialect, event by event.

use domain::Fault;

use crate::canonical::{Cover, Event, Losses};
use crate::dialects::{ReadStream, WriteStream, grammar};
use crate::reply::{ReplyPlan, Seen};
use crate::sse;

/// Translates one streamed answer. Holds no part of it, only what its next event has to be told apart by; except
/// what a dialect can only say whole, or says once more at the end of the answer ([`StreamTranslator::held_bytes`]).
pub struct StreamTranslator {
    reader: Box<dyn ReadStream>,
    writer: Box<dyn WriteStream>,
    losses: Losses,
}

impl StreamTranslator {
    /// A translator for one answer.
    pub fn new(plan: &ReplyPlan) -> StreamTranslator {
        StreamTranslator {
            reader: grammar(plan.upstream).stream_reader(),
            writer: grammar(plan.client).stream_writer(cover(plan)),
            losses: Losses::default(),
        }
    }

    /// Takes one event of the provider's and appends to `out` what the client is to be sent for it, if anything yet.
    ///
    /// An error event goes into [`Seen::fault`]; the fault of this call is [`domain::FaultClass::Malformed`].
    pub fn event(&mut self, event: &sse::Event<'_>, out: &mut Vec<u8>, seen: &mut Seen) -> Result<(), Fault> {
        // What follows the closing event is no part of the answer.
        if seen.ended {
            return Ok(());
        }
        let StreamTranslator { reader, writer, losses } = self;
        let read = reader.read(event, losses, &mut |event, losses| {
            note(&event, seen);
            writer.write(&event, losses, out)
        })?;
        if let Err(fault) = read {
            seen.fault = Some(fault);
        }
        if self.losses.len() != seen.losses.len() {
            seen.losses = self.losses.list().to_vec();
        }
        Ok(())
    }

    /// The provider closed the stream. Nothing is made up for what did not come.
    pub fn end(&mut self, out: &mut Vec<u8>, seen: &mut Seen) -> Result<(), Fault> {
        if !seen.ended {
            let StreamTranslator { reader, writer, losses } = self;
            reader.end(losses, &mut |event, losses| {
                note(&event, seen);
                writer.write(&event, losses, out)
            })?;
        }
        seen.losses = std::mem::take(&mut self.losses).into_list();
        Ok(())
    }
}

impl StreamTranslator {
    /// Bytes held back: what the client's dialect can only say whole, or says once more at the end.
    pub fn held_bytes(&self) -> usize {
        self.writer.held_bytes()
    }

    /// The number of the client's next event, where its dialect numbers them.
    pub fn next_sequence(&self) -> u64 {
        self.writer.next_sequence()
    }
}

/// What the answer is to look like.
pub(super) fn cover(plan: &ReplyPlan) -> Cover {
    Cover {
        model: plan.asked_model.clone(),
        id: plan.answer_id.clone(),
        created_unix_s: plan.created_unix_s,
        include_usage: plan.include_usage,
        continuous_usage: plan.continuous_usage,
        maker: plan.maker,
    }
}

fn note(event: &Event<'_>, seen: &mut Seen) {
    match event {
        Event::Text(text) | Event::Thinking(text) | Event::Refusal(text) => {
            seen.output_bytes += text.len() as u64;
            seen.kept.push(text);
            seen.content_started |= !text.is_empty();
        }
        Event::Elsewhere { bytes } => {
            seen.output_bytes += *bytes as u64;
            seen.content_started = true;
        }
        Event::RedactedThinking(data) => {
            seen.output_bytes += data.len() as u64;
            seen.content_started = true;
        }
        Event::ToolStart { name, .. } => {
            seen.output_bytes += name.len() as u64;
            seen.kept.push(name);
            seen.content_started = true;
        }
        Event::ToolArguments { json, .. } => {
            seen.output_bytes += json.len() as u64;
            seen.kept.push(json);
        }
        Event::Start { id, .. } => seen.provider_request_id = id.as_ref().map(|id| id.to_string()),
        Event::Finish(finish) => seen.finish = Some(finish.word.to_string()),
        Event::Usage(reported) => seen.report(reported.clone()),
        Event::ServiceTier(tier) => seen.service_tier = Some(tier.to_string()),
        Event::End => seen.ended = true,
        Event::Signature(_) | Event::BlockEnd | Event::Ping => {}
    }
}
